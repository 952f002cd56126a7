"""`archiver sync` and `archiver repair`."""

from collections.abc import Callable

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.cli.completion import targets
from archiver.cli.options import refuse_unknown, source_option, sources_named
from archiver.cli.reporting import attended
from archiver.config.settings import Source
from archiver.config.toml_tables import share
from archiver.errors import UsageError
from archiver.index.merge import merge_indexes
from archiver.service.reporting import Attended
from archiver.stores.ledger_writer import LedgerWriter
from archiver.stores.session import started
from archiver.stores.sync import Sync


@click.command(short_help="Copy to every store what it is missing, and update locks.")
@source_option()
@click.option(
    "--refill",
    multiple=True,
    metavar="TARGET",
    shell_complete=targets,
    help="This store was replaced by an empty one: fill it.",
)
@verb
def sync(invocation: Invocation, names: tuple[str, ...], refill: tuple[str, ...]) -> Answer:
    """Copy to each store what it is missing, oldest first, and read each copy back. Lock and hold
    all copies as the configuration says now: longer than before, never shorter.

    Every `run` makes missing copies, too: this is to have them now, and for a changed `lock_for`.
    """

    def fill_and_protect(syncing: Sync, source: Source) -> None:
        syncing.fill(source)
        syncing.protect(source)

    known = [target.name for target in invocation.config().storage.targets]
    refuse_unknown("target", refill, known)
    return _run(invocation, "sync", names, fill_and_protect, LedgerWriter.protect, refill)


@click.command(short_help="Read every copy back, and replace damaged ones.")
@source_option()
@click.option(
    "--sample", default="100%", metavar="SHARE", help="Only this share of the copies, such as 5%."
)
@verb
def repair(invocation: Invocation, names: tuple[str, ...], sample: str) -> Answer:
    """Read all copies of all archives, compare each SHA-256 with the manifest's, and replace what
    is damaged or gone by a copy of one that was just found sound. A copy that is not sound is never
    copied. Reads everything that is stored: with a store far away this takes long.

    With --sample, the copies are read that were not read for the longest time, so that twenty
    samples of 5% read each copy once.
    """
    try:
        part = share(sample)
    except ValueError as error:
        raise UsageError(f"--sample: {error}", hint="such as --sample 5%") from error

    def fill_and_repair(syncing: Sync, source: Source) -> None:
        syncing.repair(source, part)
        syncing.fill(source)

    return _run(invocation, "repair", names, fill_and_repair, LedgerWriter.repair)


def _run(
    invocation: Invocation,
    verb: str,
    names: tuple[str, ...],
    work: Callable[[Sync, Source], None],
    ledger: Callable[[LedgerWriter], None],
    refill: tuple[str, ...] = (),
) -> Answer:
    sources_named(invocation.config(), names)

    def on_all_sources(_around: Attended) -> Answer:
        return _run_on_sources(invocation, names, work, ledger, refill)

    return attended(invocation, verb, names, on_all_sources)


def _run_on_sources(
    invocation: Invocation,
    names: tuple[str, ...],
    work: Callable[[Sync, Source], None],
    ledger: Callable[[LedgerWriter], None],
    refill: tuple[str, ...],
) -> Answer:
    config = invocation.config()
    starting = started(config, now=invocation.now, meter=invocation.meter, refill=refill)
    with starting as session:
        session.demand_chain()
        syncing = session.sync()
        for source in sources_named(config, names):
            work(syncing, source)
            merge_indexes(session, source)
        ledger(session.ledger)
        session.note_copies()
    done = {
        "brought": syncing.brought,
        "verified": syncing.verified,
        "mended": syncing.mended,
        "cold": syncing.cold,
        "protected": syncing.protected,
    }
    text = ", ".join(f"{number} {what}" for what, number in done.items() if number)
    failures = session.problems
    return Answer(
        data={**done, "problems": [problem.message for problem in failures]},
        text=f"copies: {text or 'nothing to do'}",
        failures=failures,
        exit_status=failures.worst,
    )
