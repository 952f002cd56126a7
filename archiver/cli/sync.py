"""`archiver sync` and `archiver repair`."""

from collections.abc import Callable

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.cli.completion import targets
from archiver.cli.options import refuse_unknown, source_option, sources_named
from archiver.cli.reporting import attended
from archiver.config.settings import Source
from archiver.config.toml_tables import share
from archiver.errors import UsageError, worst
from archiver.index.merge import merge_indexes
from archiver.service.reporting import Attended
from archiver.stores.ledger_writer import LedgerWriter
from archiver.stores.session import started
from archiver.stores.sync import Sync


@click.command(short_help="Bring every store what it lacks, and lock what is to be locked.")
@source_option()
@click.option(
    "--refill",
    multiple=True,
    metavar="TARGET",
    shell_complete=targets,
    help="This store was replaced: fill it.",
)
@verb
def sync(invocation: Invocation, names: tuple[str, ...], refill: tuple[str, ...]) -> Answer:
    """Bring each store the copies that it lacks, oldest first, each read back; and lock and hold
    all of them as the configuration says now: longer than before, never shorter.

    Every `run` brings missing copies too: this is for not waiting, and for a changed `lock_for`.
    """

    def fill_and_protect(syncing: Sync, source: Source) -> None:
        syncing.fill(source)
        syncing.protect(source)

    known = [target.name for target in invocation.config().storage.targets]
    refuse_unknown("target", refill, known)
    return _attended(invocation, "sync", names, fill_and_protect, LedgerWriter.protect, refill)


@click.command(short_help="Read every copy back, and replace those that are damaged.")
@source_option()
@click.option(
    "--sample", default="100%", metavar="SHARE", help="So many of the copies, such as 5%."
)
@verb
def repair(invocation: Invocation, names: tuple[str, ...], sample: str) -> Answer:
    """Read all copies of all archives, compare each SHA-256 with the manifest's, and make a new
    copy of what is damaged or gone, from one that was just found sound. A copy that is not
    sound is never copied. Reads everything that is stored: on a far store that takes its time.

    With --sample those copies are read that were not for the longest time, so that twenty samples
    of 5% read each copy once.
    """
    try:
        part = share(sample)
    except ValueError as error:
        raise UsageError(f"--sample: {error}", hint="--sample 5%") from error

    def fill_and_repair(syncing: Sync, source: Source) -> None:
        syncing.repair(source, part)
        syncing.fill(source)

    return _attended(invocation, "repair", names, fill_and_repair, LedgerWriter.repair)


def _attended(
    invocation: Invocation,
    verb: str,
    names: tuple[str, ...],
    work: Callable[[Sync, Source], None],
    ledger: Callable[[LedgerWriter], None],
    refill: tuple[str, ...] = (),
) -> Answer:
    sources_named(invocation.config(), names)

    def each(_around: Attended) -> Answer:
        return _each(invocation, names, work, ledger, refill)

    return attended(invocation, verb, names, each)


def _each(
    invocation: Invocation,
    names: tuple[str, ...],
    work: Callable[[Sync, Source], None],
    ledger: Callable[[LedgerWriter], None],
    refill: tuple[str, ...],
) -> Answer:
    config = invocation.config()
    begun = started(config, now=invocation.now, meter=invocation.meter, refill=refill)
    with begun as session:
        if session.unchained:
            raise session.unchained
        syncing = session.sync()
        for source in sources_named(config, names):
            work(syncing, source)
            merge_indexes(session, source)
        ledger(session.ledger)
        session.note_copies()
    told = {
        "brought": syncing.brought,
        "verified": syncing.verified,
        "mended": syncing.mended,
        "cold": syncing.cold,
        "protected": syncing.protected,
    }
    text = ", ".join(f"{count} {what}" for what, count in told.items() if count)
    failures = session.problems
    return Answer(
        data={**told, "problems": [problem.message for problem in failures]},
        text=f"copies: {text or 'nothing to do'}",
        failures=failures,
        exit_status=worst(failures),
    )
