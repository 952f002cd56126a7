"""`archiver hold`."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.cli.completion import cases, sources
from archiver.cli.dates import days
from archiver.config.settings import Config
from archiver.errors import ArchiverError, NotFoundError, UsageError, worst
from archiver.find.snapshot import catalogued
from archiver.policy.inventory import Inventory
from archiver.policy.ledger import HoldAdded, HoldReleased
from archiver.policy.rules import Hold, Scope
from archiver.retention.gather import inventory_of
from archiver.retention.hold import apply
from archiver.stores.session import Session, started
from archiver.system.zone import rfc3339


@click.group(short_help="Keep archives for a case, whatever the retention rules say.")
def hold() -> None:
    """A hold outranks every rule: what it covers is not destroyed until its case is released."""


@hold.command(short_help="Hold archives for a case.")
@click.argument("case", shell_complete=cases)
@click.option("--from", "first", metavar="D", help="The first log date; without it, from ever.")
@click.option("--to", "last", metavar="D", help="The last log date; without it, for ever.")
@click.option(
    "--source",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=sources,
    help="Only this source.",
)
@click.option("--host", metavar="NAME", help="This host: anything else is refused.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; an auditor will read it.")
@verb
def add(
    invocation: Invocation,
    case: str,
    first: str | None,
    last: str | None,
    names: tuple[str, ...],
    host: str | None,
    reason: str,
) -> Answer:
    """Hold what is archived of these log dates, and what will be, until CASE is released.

    It is written to the ledger on every store. Stores with Object Lock put a legal hold on each
    object besides, so that nobody else can destroy it there either. A case may have many holds.
    """
    config = invocation.config()
    _refuse_another(config, host)
    dates = _day(invocation, first), _day(invocation, last)
    scope = Scope(names or Scope.sources, (config.host.name,), *dates)
    try:
        Hold(case, scope, reason, "?", invocation.now)
    except ValueError as error:
        raise UsageError(f"{error}", hint="archiver hold add --help") from error
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        sources = inventory_of(config, session.catalog, now=session.now).sources
        for name in names:
            if name not in sources:
                raise UsageError(f"no source {name!r}", hint=f"there are: {', '.join(sources)}")
        return _recorded(session, HoldAdded(case, scope, reason), case)


@hold.command(short_help="Release all holds of a case.")
@click.argument("case", shell_complete=cases)
@click.option("--reason", required=True, metavar="TEXT", help="Why; an auditor will read it.")
@verb
def release(invocation: Invocation, case: str, reason: str) -> Answer:
    """End all holds of CASE. What no other case holds is again kept by the retention rules only:
    the next `run` may destroy what is past its maximum.
    """
    config = invocation.config()
    if not reason.strip():
        raise UsageError("--reason: it is empty", hint="say why: an auditor will read it")
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        inventory = inventory_of(config, session.catalog, now=session.now)
        if not any(each.case == case and each.released is None for each in inventory.holds):
            cases = sorted({each.case for each in inventory.holds if each.released is None})
            raise NotFoundError(
                f"no hold of case {case!r} is in force",
                hint=f"there are: {', '.join(cases)}" if cases else "there is no hold at all",
            )
        return _recorded(session, HoldReleased(case, reason), case)


def _recorded(session: Session, body: HoldAdded | HoldReleased, case: str) -> Answer:
    """Write it down, bring the stores level with it, and say what is held now."""
    if session.unchained:
        raise session.unchained
    session.ledger.append(body)
    try:
        session.ledger.demand()
    except ArchiverError as problem:
        # It is in force all the same; the next run brings it to the stores.
        if problem.message not in [each.message for each in session.problems]:
            session.problems.append(problem)
    apply(session)
    session.note_copies()
    inventory = inventory_of(session.config, session.catalog, now=session.now)
    done = [each for each in inventory.holds if each.case == case]
    return _answer(inventory, done, session.problems)


@hold.command("list", short_help="Which holds are in force.")
@click.option("--all", "also_released", is_flag=True, help="Those that were released, too.")
@click.option("--host", metavar="NAME", help="With --store: which of the hosts in it.")
@verb
def list_holds(invocation: Invocation, also_released: bool, host: str | None) -> Answer:
    """List the holds: case, log dates, sources, how many archives, since when, by whom, and why."""
    config = invocation.config_to_read(host)
    problems: list[ArchiverError] = []
    with catalogued(config, problems) as catalog:
        inventory = inventory_of(config, catalog, now=invocation.now)
    chosen = [each for each in inventory.holds if also_released or each.released is None]
    return _answer(inventory, chosen, problems)


def _answer(inventory: Inventory, holds: Sequence[Hold], problems: list[ArchiverError]) -> Answer:
    rows = [_row(inventory, each) for each in holds]
    data = [_data(inventory, each) for each in holds]
    header = ("CASE", "FROM", "TO", "SOURCE", "ARCHIVES", "SINCE", "BY", "REASON", "RELEASED")
    return Answer(
        data={"holds": data},
        text=table(header, rows) if rows else "no holds",
        failures=problems,
        exit_status=worst(problems),
    )


def _row(inventory: Inventory, each: Hold) -> tuple[str, ...]:
    scope, released = each.scope, ""
    if each.released is not None:
        released = f"{rfc3339(each.released)} by {each.released_by}: {each.released_for}"
    return (
        each.case,
        str(scope.first or "ever"),
        str(scope.last or "ever"),
        " ".join(scope.sources),
        str(_covered(inventory, each)),
        rfc3339(each.since),
        each.by,
        each.reason,
        released,
    )


def _data(inventory: Inventory, each: Hold) -> dict[str, Any]:
    scope = each.scope
    return {
        "case": each.case,
        "from": scope.first and scope.first.isoformat(),
        "to": scope.last and scope.last.isoformat(),
        "sources": list(scope.sources),
        "archives": _covered(inventory, each),
        "since": rfc3339(each.since),
        "by": each.by,
        "reason": each.reason,
        "released": each.released and rfc3339(each.released),
        "released_by": each.released_by,
        "released_for": each.released_for,
    }


def _covered(inventory: Inventory, each: Hold) -> int:
    return sum(
        each.scope.covers(inventory.host, one.source, one.date) for one in inventory.archives
    )


def _refuse_another(config: Config, host: str | None) -> None:
    if host and host != config.host.name:
        raise UsageError(
            f"--host {host}: this is {config.host.name}, and holds its own archives only",
            hint=f"run `archiver hold add` on {host}",
        )


def _day(invocation: Invocation, text: str | None) -> date | None:
    return days(text, invocation.config().host.zone, invocation.now)[0] if text else None
