"""`archiver retention plan` and `archiver retention expire`."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, human_size, table, verb
from archiver.cli.dates import days_or_all
from archiver.cli.options import date_option, refuse_unknown, source_option
from archiver.cli.reporting import attended
from archiver.cli.run import certificate, gone
from archiver.errors import ArchiverError, ClockError, RefusedError, UsageError, worst
from archiver.find.snapshot import catalogued
from archiver.nightly import expiry
from archiver.policy.inventory import Inventory
from archiver.policy.ledger import ClockConfirmed
from archiver.retention.expire import Chosen, Expiry, due, expire, resume
from archiver.retention.gather import inventory_now, inventory_of
from archiver.service.reporting import Attended
from archiver.stores.session import started


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which archives are meant."""
    dates = date_option("These log dates, past their maximum or not.")
    return dates(source_option()(command))


@click.command(short_help="What would be destroyed now, and what keeps the rest.")
@_which
@verb
def plan(invocation: Invocation, day: str | None, names: tuple[str, ...]) -> Answer:
    """Show what is past its maximum, and what keeps it there, if anything does; or what could be
    destroyed of the log dates named. Nothing is touched, and no store is asked.
    """
    return _planned(invocation, day, names)


@click.command("expire", short_help="Destroy what is past its maximum, in all its copies.")
@_which
@click.option("-n", "--dry-run", is_flag=True, help="Show the plan; touch nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where no terminal can answer.")
@click.option("--auto", is_flag=True, help="Only what the rules let expire by themselves.")
@click.option("--trust-clock", metavar="REASON", help="The clock is right, though far ahead.")
@verb
def expire_(
    invocation: Invocation,
    day: str | None,
    names: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    auto: bool,
    trust_clock: str | None,
) -> Answer:
    """Destroy what is past its maximum, or of the log dates named with --date whatever is past
    its minimum: every version, in every store; and leave a certificate of each in the ledger.
    What is held, locked or not verified stays, and is told.

    The nightly `run` does so by itself where a rule says `expire = "auto"`; so does --auto, which
    asks nobody, and is what the service calls.
    """
    if auto:
        if day or names or dry_run or trust_clock:
            raise UsageError("--auto goes with no other option", hint="archiver retention plan")
        return attended(invocation, "retention expire", (), lambda a: _by_itself(invocation, a))
    if dry_run:
        return _planned(invocation, day, names)
    config = invocation.config()
    done = Expiry()
    # Asked before the lock is taken: an answer may take a night, and that night has its own run.
    _, shown, _ = _look(invocation, day, names)
    _agree([each for each in shown if each.may_go], yes=yes)
    agreed = {each.summary.key for each in shown}
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        if session.unchained:
            raise session.unchained
        if trust_clock:
            session.ledger.append(ClockConfirmed(trust_clock))
            session.doubt = ""
        if session.doubt:
            raise ClockError(
                f"nothing was destroyed: {session.doubt}",
                hint="if the clock is right, --trust-clock REASON says so, and is written down",
            )
        session.ledger.note_copies()
        resume(session, done)
        chosen = _chosen(inventory_now(session), names, day)
        going = [each for each in chosen if each.may_go and each.summary.key in agreed]
        if going:
            expire(session, going, "asked", done)
        session.note_copies()
        session.problems += [
            RefusedError(
                f"{each.summary.archive_key} was not destroyed: {each.decision.reason}",
                hint="`archiver retention list` tells when it may be",
            )
            for each in chosen
            if not each.may_go
        ]
        return _destroyed(done, session.problems)


def _by_itself(invocation: Invocation, _around: Attended) -> Answer:
    report = expiry(invocation.config(), now=invocation.now)
    return _destroyed(report.expiry, report.problems)


def _look(
    invocation: Invocation, day: str | None, names: tuple[str, ...]
) -> tuple[Inventory, list[Chosen], list[ArchiverError]]:
    """Return what is known, what of it is to go, and what is wrong."""
    config = invocation.config()
    problems: list[ArchiverError] = []
    with catalogued(config, problems) as catalog:
        inventory = inventory_of(config, catalog, now=invocation.now)
    return inventory, _chosen(inventory, names, day), problems


def _planned(invocation: Invocation, day: str | None, names: tuple[str, ...]) -> Answer:
    inventory, chosen, problems = _look(invocation, day, names)
    rows = [
        (
            str(each.summary.date),
            each.summary.source,
            human_size(each.summary.size),
            each.decision.verdict.value,
            each.decision.reason,
        )
        for each in chosen
    ]
    text = table(("DATE", "SOURCE", "STORED", "VERDICT", "WHY"), rows) if rows else "nothing"
    return Answer(
        data={
            "plan": [
                {
                    "key": each.summary.archive_key,
                    "date": str(each.summary.date),
                    "source": each.summary.source,
                    "size": each.summary.size,
                    "verdict": each.decision.verdict.value,
                    "reason": each.decision.reason,
                }
                for each in chosen
            ]
        },
        text=f"{text}\n{inventory.doubt}" if inventory.doubt else text,
        failures=problems,
        exit_status=worst(problems),
    )


def _chosen(inventory: Inventory, names: Sequence[str], day: str | None) -> list[Chosen]:
    first, last = days_or_all(day, inventory.zone, inventory.now)
    refuse_unknown("source", names, inventory.sources)
    return [
        each for each in due(inventory, first, last) if not names or each.summary.source in names
    ]


def _agree(going: Sequence[Chosen], *, yes: bool) -> None:
    """Ask a person. Raises: UsageError: nobody can answer. click.Abort: the answer is no."""
    if yes or not going:
        return
    first, last = (pick(each.summary.date for each in going) for pick in (min, max))
    what = f"{len(going)} archives of {first} to {last}"
    if not sys.stdin.isatty():
        raise UsageError(
            f"{what} would be destroyed, and nobody can be asked here",
            hint="look at `archiver retention plan`, then say --yes",
        )
    click.confirm(f"Destroy {what}, in all copies, for ever?", abort=True, err=True)


def _destroyed(done: Expiry, problems: Sequence[ArchiverError]) -> Answer:
    return Answer(
        data={
            "destroyed": [certificate(each) for each in done.destroyed],
            "kept": [{"key": each.key, "reason": each.reason} for each in done.kept],
        },
        text="\n".join(map(gone, done.destroyed)) or "nothing was destroyed",
        failures=problems,
        exit_status=worst(problems),
    )
