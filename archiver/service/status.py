"""What there is, and whether all is well: the answers of `list` and `status`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from archiver.catalog import Catalog
from archiver.config.settings import Config, Source
from archiver.config.targets import LocalTarget, Target
from archiver.errors import ArchiverError, WorkKeptError
from archiver.policy.inventory import Summary
from archiver.policy.rules import holds_on
from archiver.retention.gather import inventory_of
from archiver.rotation import last_run
from archiver.rotation.last_run import LastRun
from archiver.rotation.spool import Journal, forgotten
from archiver.system.zone import local_date, rfc3339


@dataclass(frozen=True)
class Waiting:
    """A segment in the spool. stage: open (its writer may hold it), closed or sealed."""

    name: str
    stage: str
    size: int
    written: int


@dataclass(frozen=True)
class SourceStatus:
    """One source: its live log's size (None: no such file), what waits, what is archived.

    lacking: how many archives a target lacks that another one has. destroyed: how many were, or
    are ordered to be, since their retention is over.
    """

    source: str
    path: str
    live_size: int | None
    waiting: tuple[Waiting, ...]
    archives: int
    empty_days: int
    lines: int
    raw_size: int
    size: int
    first_day: date | None
    last_day: date | None
    too_few_copies: int
    lacking: dict[str, int]
    destroyed: int = 0


@dataclass(frozen=True)
class Status:
    sources: tuple[SourceStatus, ...]
    last: LastRun
    problems: tuple[ArchiverError, ...]
    stale: bool


def status(config: Config, catalog: Catalog, *, now: int, max_age: float | None) -> Status:
    """Return how things stand. max_age: seconds since a run last succeeded, at most."""
    today = local_date(now, config.host.zone)
    sources = tuple(_source(config, catalog, source, today) for source in config.sources)
    last = last_run.load(config.host.state_dir)
    missed = [] if max_age is None else _missed(config, last, now, max_age)
    problems = list(forgotten(config, last.spool))
    for each in sources:
        problems += _problems(config, each)
    problems += _overdue(config, catalog, now)
    if last.exit_status:
        problems.append(
            WorkKeptError(
                f"the last run ended with exit status {last.exit_status}",
                hint="`archiver run` goes on from there, and says what is wrong",
            )
        )
    if last.started is None:
        problems.append(WorkKeptError("no run has been made yet", hint="archiver run"))
    problems += missed
    return Status(sources, last, tuple(problems), bool(missed))


def _missed(config: Config, last: LastRun, now: int, max_age: float) -> list[ArchiverError]:
    """The logs about which no run has ended well for so long: nobody else tells of those."""
    late = {}
    for source in config.sources:
        passed = last.passed.get(source.name)
        # One in the future is of a clock that was wrong, and says nothing of today.
        if passed is None or abs(now - passed) > max_age:
            late[source.name] = "ever" if passed is None else f"since {rfc3339(passed)}"
    hint = "is the service, the timer or cron at work? What does `archiver run` say?"
    # In one sentence if they share it: there may be many.
    return [
        WorkKeptError(
            f"no run has succeeded {since}: "
            + ", ".join(name for name, each in late.items() if each == since),
            hint=hint,
        )
        for since in dict.fromkeys(late.values())
    ]


def _overdue(config: Config, catalog: Catalog, now: int) -> list[ArchiverError]:
    """What should not be there any more: never kept without saying so, unless a case holds it."""
    if not config.retention.rules:
        return []
    inventory = inventory_of(config, catalog, now=now)
    late = [
        each
        for each in inventory.archives
        if inventory.decision(each).past_since
        and not holds_on(inventory.holds, inventory.host, each.source, each.date)
    ]
    if not late:
        return []
    return [
        WorkKeptError(
            f"past their maximum: {len(late)} archives, the oldest of "
            f"{min(each.date for each in late)}",
            hint="`archiver retention ask overdue` tells what keeps each; `archiver retention "
            "expire` destroys what may go",
        )
    ]


def _problems(config: Config, each: SourceStatus) -> list[ArchiverError]:
    """What is wrong with one source, and what to do."""
    found: list[ArchiverError] = []
    if each.waiting:
        found.append(
            WorkKeptError(
                f"{each.source}: {len(each.waiting)} segments wait in the spool",
                hint="`archiver run` goes on with them, and says what is in the way",
            )
        )
    if each.live_size is None:
        found.append(
            WorkKeptError(
                f"{each.source}: {each.path} does not exist",
                hint="check `path`, or create the log and tell syslogd",
            )
        )
    if each.too_few_copies:
        found.append(
            WorkKeptError(
                f"{each.source}: {each.too_few_copies} archives have fewer than "
                f"{config.storage.required} copies",
                hint="`archiver list` shows which; `archiver repair` brings back what it can",
            )
        )
    found += [
        WorkKeptError(
            f"{each.source}: store {target!r} lacks {count} archives",
            hint="the next run brings them, oldest first; `archiver sync` does so now",
        )
        for target, count in each.lacking.items()
        if count
    ]
    found += [
        WorkKeptError(
            f"{each.source}: {path} is in the spool, but no journal entry speaks of it",
            hint="`archiver import` it, then remove it",
        )
        for path in Journal(config.host.spool_dir, each.source).orphans()
    ]
    return found


def _source(config: Config, catalog: Catalog, source: Source, today: date) -> SourceStatus:
    found = catalog.summaries(source.name)
    days = [each.date for each in found]
    there = [each for each in found if each.has_archive]
    kept = [each for each in found if each.ordered is None]
    return SourceStatus(
        source=source.name,
        path=str(source.path),
        live_size=_size(source.path),
        waiting=tuple(_waiting(Journal(config.host.spool_dir, source.name))),
        archives=sum(each.has_archive for each in found),
        empty_days=sum(each.is_empty_day for each in found),
        lines=sum(each.lines for each in there),
        raw_size=sum(each.raw_size for each in there),
        size=sum(each.size for each in there),
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        too_few_copies=sum(len(each.copies) < config.storage.required for each in kept),
        lacking={
            target.name: sum(
                target.name not in each.copies and each.date >= _since(target, today)
                for each in kept
                if each.copies
            )
            for target in config.storage.targets
        },
        destroyed=len(found) - len(kept),
    )


def _since(target: Target, today: date) -> date:
    """The first log date of which a target is to have archives."""
    keep = target.keep if isinstance(target, LocalTarget) else None
    return keep.since(today) if keep else date.min


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def _waiting(journal: Journal) -> list[Waiting]:
    stages = (("open", "open_segment"), ("closed", "segment"), ("sealed", "sealed"))
    waiting = []
    for entry in journal.entries():
        for stage, where in stages:
            try:
                size = os.stat(getattr(entry, where)).st_size
            except FileNotFoundError:
                continue  # or a run has just moved it on
            waiting.append(Waiting(entry.name, stage, size, entry.intent.written))
            break
    return waiting


def archived(
    catalog: Catalog, sources: Sequence[Source], first: date | None, last: date | None
) -> list[Summary]:
    """Return what is archived of some log dates, oldest first; None: no bound."""
    return [
        each
        for source in sources
        for each in catalog.summaries(source.name)
        if (first is None or each.date >= first) and (last is None or each.date <= last)
    ]


def nagios(found: Status) -> tuple[int, str]:
    """Return the plugin's status (0-3) and its line, as monitoring-plugins.org wants them."""
    if found.last.started is None:
        return 3, "UNKNOWN: no run has been made yet"
    text = "; ".join(each.message for each in found.problems) or "all logs archived"
    if found.stale or found.last.exit_status:
        return 2, f"CRITICAL: {text}"
    if found.problems:
        return 1, f"WARNING: {text}"
    return 0, f"OK: {text}"
