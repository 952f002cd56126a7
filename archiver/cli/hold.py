"""`archiver hold`."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.cli.completion import cases
from archiver.cli.dates import days
from archiver.cli.options import from_option, host_option, refuse_unknown, source_option, to_option
from archiver.config.settings import Config
from archiver.errors import ArchiverError, NotFoundError, Problems, UsageError
from archiver.find.snapshot import catalogued
from archiver.policy.bodies import HoldAdded, HoldReleased
from archiver.policy.inventory import Inventory
from archiver.policy.rules import Hold, Scope
from archiver.retention.gather import inventory_of
from archiver.retention.hold import apply
from archiver.stores.session import Session, started
from archiver.system.zone import rfc3339


@click.group(short_help="Keep archives for a case, whatever the rules say.")
def hold() -> None:
    """A hold outranks every rule: what it covers is not destroyed before its case is released."""


@hold.command(short_help="Hold archives for a case.")
@click.argument("case", shell_complete=cases)
@from_option("The first log date. Default: from the beginning.", "D")
@to_option("The last log date. Default: without end.", "D")
@source_option()
@host_option("Only this host's own name is accepted.")
@click.option(
    "--reason", required=True, metavar="TEXT", help="The reason; an auditor will read it."
)
@verb
def add(
    invocation: Invocation,
    case: str,
    start: str | None,
    end: str | None,
    names: tuple[str, ...],
    host: str | None,
    reason: str,
) -> Answer:
    """Hold all archives of these log dates, present and future, until CASE is released.

    The hold is written to the ledger on every store. Stores with Object Lock also put a legal hold
    on each object, so that nobody can destroy it there either. A case may have several holds.
    """
    config = invocation.config()
    _refuse_other_host(config, host)
    dates = _day(invocation, start), _day(invocation, end)
    scope = Scope(names or Scope.sources, (config.host.name,), *dates)
    try:
        Hold(case, scope, reason, "?", invocation.now)
    except ValueError as error:
        raise UsageError(f"{error}", hint="archiver hold add --help") from error
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        sources = inventory_of(config, session.catalog, now=session.now).sources
        refuse_unknown("source", names, sources)
        return _record(session, HoldAdded(case, scope, reason), case)


@hold.command(short_help="Release all holds of a case.")
@click.argument("case", shell_complete=cases)
@click.option(
    "--reason", required=True, metavar="TEXT", help="The reason; an auditor will read it."
)
@verb
def release(invocation: Invocation, case: str, reason: str) -> Answer:
    """End all holds of CASE. What no other case holds is then kept by the retention rules alone:
    the next `run` may destroy what is past its maximum.
    """
    config = invocation.config()
    if not reason.strip():
        raise UsageError("--reason is empty", hint="give the reason: an auditor will read it")
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        inventory = inventory_of(config, session.catalog, now=session.now)
        if not any(hold.case == case and hold.released is None for hold in inventory.holds):
            cases = sorted({hold.case for hold in inventory.holds if hold.released is None})
            raise NotFoundError(
                f"no hold of case {case!r} is in force",
                hint=f"the cases with one are: {', '.join(cases)}"
                if cases
                else "`archiver hold list --all` shows those that were released",
            )
        return _record(session, HoldReleased(case, reason), case)


def _record(session: Session, body: HoldAdded | HoldReleased, case: str) -> Answer:
    """Write to the ledger, apply the holds on the stores, and answer with the holds of the case."""
    session.demand_chain()
    session.ledger.append(body)
    try:
        session.ledger.demand()
    except ArchiverError as problem:
        # It is in force all the same; the next run copies it to the stores.
        session.problems.add(problem)
    apply(session)
    session.note_copies()
    inventory = inventory_of(session.config, session.catalog, now=session.now)
    done = [each for each in inventory.holds if each.case == case]
    return _answer(inventory, done, session.problems)


@hold.command("list", short_help="List the holds in force.")
@click.option("--all", "also_released", is_flag=True, help="Also those that were released.")
@host_option()
@verb
def list_holds(invocation: Invocation, also_released: bool, host: str | None) -> Answer:
    """List the holds: case, log dates, sources, how many archives, since when, by whom, and why."""
    config = invocation.config_to_read(host)
    problems = Problems()
    with catalogued(config, problems) as catalog:
        inventory = inventory_of(config, catalog, now=invocation.now)
    chosen = [each for each in inventory.holds if also_released or each.released is None]
    return _answer(inventory, chosen, problems)


def _answer(inventory: Inventory, holds: Sequence[Hold], problems: Problems) -> Answer:
    rows = [_row(inventory, each) for each in holds]
    data = [_data(inventory, each) for each in holds]
    header = ("CASE", "FROM", "TO", "SOURCE", "ARCHIVES", "SINCE", "BY", "REASON", "RELEASED")
    return Answer(
        data={"holds": data},
        text=table(header, rows) if rows else "no holds",
        failures=problems,
        exit_status=problems.worst,
    )


def _row(inventory: Inventory, hold: Hold) -> tuple[str, ...]:
    scope, released = hold.scope, ""
    if hold.released is not None:
        released = f"{rfc3339(hold.released)} by {hold.released_by}: {hold.released_for}"
    return (
        hold.case,
        str(scope.first or "beginning"),
        str(scope.last or "no end"),
        " ".join(scope.sources),
        str(_covered(inventory, hold)),
        rfc3339(hold.since),
        hold.by,
        hold.reason,
        released,
    )


def _data(inventory: Inventory, hold: Hold) -> dict[str, Any]:
    scope = hold.scope
    return {
        "case": hold.case,
        "from": scope.first and scope.first.isoformat(),
        "to": scope.last and scope.last.isoformat(),
        "sources": list(scope.sources),
        "archives": _covered(inventory, hold),
        "since": rfc3339(hold.since),
        "by": hold.by,
        "reason": hold.reason,
        "released": hold.released and rfc3339(hold.released),
        "released_by": hold.released_by,
        "released_for": hold.released_for,
    }


def _covered(inventory: Inventory, hold: Hold) -> int:
    return sum(
        hold.scope.covers(inventory.host, archive.source, archive.date)
        for archive in inventory.archives
    )


def _refuse_other_host(config: Config, host: str | None) -> None:
    if host and host != config.host.name:
        raise UsageError(
            f"--host {host}: this host is {config.host.name}, and can hold only its own archives",
            hint=f"run `archiver hold add` on {host}",
        )


def _day(invocation: Invocation, text: str | None) -> date | None:
    return days(text, invocation.config().host.zone, invocation.now)[0] if text else None
