"""`archiver retention plan` and `archiver retention expire`."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, count, human_size, table, verb
from archiver.cli.dates import days_or_all
from archiver.cli.options import date_option, refuse_unknown, source_option
from archiver.cli.reporting import attended
from archiver.cli.run import certificate_data, destroyed_line
from archiver.errors import ClockError, Problems, RefusedError, UsageError
from archiver.find.snapshot import catalogued
from archiver.nightly import expiry
from archiver.policy.bodies import ClockConfirmed
from archiver.policy.inventory import Inventory
from archiver.retention.expire import Chosen, Expiry, due, expire, resume
from archiver.retention.gather import inventory_now, inventory_of
from archiver.stores.session import started


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which archives are meant."""
    dates = date_option("These log dates, even before their maximum.")
    return dates(source_option()(command))


@click.command(short_help="Show what would be destroyed now, and what keeps the rest.")
@_selection
@verb
def plan(invocation: Invocation, day: str | None, names: tuple[str, ...]) -> Answer:
    """Show the archives past their maximum, and what still keeps them, if anything does; with
    --date, the verdict about those of these log dates. Touches nothing, and asks no store.
    """
    return _plan(invocation, day, names)


@click.command("expire", short_help="Destroy archives past their maximum, in all their copies.")
@_selection
@click.option("-n", "--dry-run", is_flag=True, help="Show the plan; touch nothing.")
@click.option(
    "--yes", is_flag=True, help="Do not ask; needed where there is no terminal to ask on."
)
@click.option("--auto", is_flag=True, help="Only what a rule lets expire by itself; asks nobody.")
@click.option(
    "--trust-clock", metavar="REASON", help="Confirm that the clock is right, though far ahead."
)
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
    """Destroy the archives past their maximum; with --date, those of the log dates named that are
    past their minimum. Destroys every version in every store, and leaves a certificate of each
    archive in the ledger. What is held, locked or not verified stays, and is reported.

    The nightly `run` does so by itself where a rule says `expire = "auto"`. So does --auto, which
    asks nobody, and is what the service calls.
    """
    if auto:
        if day or names or dry_run or trust_clock:
            raise UsageError(
                "--auto cannot be combined with --date, --source, --dry-run or --trust-clock",
                hint="leave out --auto, or the others",
            )
        return attended(
            invocation, "retention expire", (), lambda _: _expire_automatically(invocation)
        )
    if dry_run:
        return _plan(invocation, day, names)
    config = invocation.config()
    done = Expiry()
    # Ask before the lock is taken: the answer may take all night, and that night has its own run.
    _, shown, _ = _due_now(invocation, day, names)
    _confirm([each for each in shown if each.may_go], yes=yes)
    agreed = {each.summary.key for each in shown}
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        session.demand_chain()
        if trust_clock:
            session.ledger.append(ClockConfirmed(trust_clock))
            session.doubt = ""
        if session.doubt:
            raise ClockError(
                f"nothing was destroyed: {session.doubt}",
                hint="if the clock is right, confirm it with --trust-clock REASON; it is recorded",
            )
        session.ledger.note_copies()
        resume(session, done)
        chosen = _chosen(inventory_now(session), names, day)
        going = [each for each in chosen if each.may_go and each.summary.key in agreed]
        if going:
            expire(session, going, "asked", done)
        session.note_copies()
        session.problems.add(
            *[
                RefusedError(
                    f"{choice.summary.archive_key} was not destroyed: {choice.decision.reason}",
                    hint="`archiver retention list` shows when it may be destroyed",
                )
                for choice in chosen
                if not choice.may_go
            ]
        )
        return _destroyed(done, session.problems)


def _expire_automatically(invocation: Invocation) -> Answer:
    report = expiry(invocation.config(), now=invocation.now)
    return _destroyed(report.expiry, report.problems)


def _due_now(
    invocation: Invocation, day: str | None, names: tuple[str, ...]
) -> tuple[Inventory, list[Chosen], Problems]:
    """Return the inventory, what of it is due to be destroyed, and the problems met."""
    config = invocation.config()
    problems = Problems()
    with catalogued(config, problems) as catalog:
        inventory = inventory_of(config, catalog, now=invocation.now)
    return inventory, _chosen(inventory, names, day), problems


def _plan(invocation: Invocation, day: str | None, names: tuple[str, ...]) -> Answer:
    inventory, chosen, problems = _due_now(invocation, day, names)
    rows = [
        (
            str(choice.summary.date),
            choice.summary.source,
            human_size(choice.summary.size),
            choice.decision.verdict.value,
            choice.decision.reason,
        )
        for choice in chosen
    ]
    text = (
        table(("DATE", "SOURCE", "STORED", "VERDICT", "WHY"), rows)
        if rows
        else "nothing to destroy"
    )
    return Answer(
        data={
            "plan": [
                {
                    "key": choice.summary.archive_key,
                    "date": str(choice.summary.date),
                    "source": choice.summary.source,
                    "size": choice.summary.size,
                    "verdict": choice.decision.verdict.value,
                    "reason": choice.decision.reason,
                }
                for choice in chosen
            ]
        },
        text=f"{text}\n{inventory.doubt}" if inventory.doubt else text,
        failures=problems,
        exit_status=problems.worst,
    )


def _chosen(inventory: Inventory, names: Sequence[str], day: str | None) -> list[Chosen]:
    first, last = days_or_all(day, inventory.zone, inventory.now)
    refuse_unknown("source", names, inventory.sources)
    return [
        each for each in due(inventory, first, last) if not names or each.summary.source in names
    ]


def _confirm(going: Sequence[Chosen], *, yes: bool) -> None:
    """Ask on the terminal. Raises: UsageError: there is none. click.Abort: the answer is no."""
    if yes or not going:
        return
    first, last = (pick(each.summary.date for each in going) for pick in (min, max))
    days = f"{first}" if first == last else f"{first} to {last}"
    archives = f"{count(len(going), 'archive')} of {days}"
    if not sys.stdin.isatty():
        raise UsageError(
            f"{archives} would be destroyed, but there is no terminal to ask on",
            hint="look at `archiver retention plan`, then add --yes",
        )
    click.confirm(f"Destroy {archives}, in all copies, for ever?", abort=True, err=True)


def _destroyed(done: Expiry, problems: Problems) -> Answer:
    return Answer(
        data={
            "destroyed": [certificate_data(each) for each in done.destroyed],
            "kept": [{"key": each.key, "reason": each.reason} for each in done.kept],
        },
        text="\n".join(map(destroyed_line, done.destroyed)) or "nothing was destroyed",
        failures=problems,
        exit_status=problems.worst,
    )
