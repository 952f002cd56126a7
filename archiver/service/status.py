"""What is archived, and whether all is well: the answers to `list` and `status`.

From the catalog, the spool and the logs: no store is asked.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from archiver.catalog import Catalog
from archiver.config.settings import Config, Source
from archiver.config.targets import LocalTarget, Target
from archiver.errors import ArchiverError, Problems, WorkKeptError
from archiver.policy.inventory import Summary
from archiver.policy.questions.reply import count
from archiver.policy.rules import holds_on
from archiver.retention.gather import inventory_of
from archiver.rotation import last_run
from archiver.rotation.last_run import LastRun
from archiver.rotation.spool import Journal, forgotten
from archiver.system.zone import local_date, rfc3339


@dataclass(frozen=True)
class Waiting:
    """A segment in the spool. stage: open (its writer may still hold it), closed or sealed. size:
    bytes. written: the instant at which it was last written.
    """

    name: str
    stage: str
    size: int
    written: int


@dataclass(frozen=True)
class SourceStatus:
    """One source: its live log's size (None: no such file), what waits, what is archived.

    lacking: by target, how many archives it is missing that another one has. destroyed: how many
    were destroyed, or are ordered to be, since their retention is over. Sizes are bytes.
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
    """Return how things stand. max_age: a run must have succeeded within so many seconds."""
    today = local_date(now, config.host.zone)
    sources = tuple(_source(config, catalog, source, today) for source in config.sources)
    last = last_run.load(config.host.state_dir)
    missed = [] if max_age is None else _missed(config, last, now, max_age)
    problems = Problems(*forgotten(config, last.spool))
    for source in sources:
        problems.add(*_problems(config, source))
    problems.add(*_overdue(config, catalog, now))
    if last.exit_status:
        problems.add(
            WorkKeptError(
                f"the last run ended with exit status {last.exit_status}",
                hint="`archiver run` continues from there, and says what is wrong",
            )
        )
    if last.started is None:
        problems.add(WorkKeptError("no run has been made yet", hint="call `archiver run`"))
    problems.add(*missed)
    return Status(sources, last, tuple(problems), bool(missed))


def _missed(config: Config, last: LastRun, now: int, max_age: float) -> list[ArchiverError]:
    """The logs that no run has handled well for so long: nothing else reports those."""
    late = {}
    for source in config.sources:
        passed = last.passed.get(source.name)
        # A time in the future comes from a clock that was wrong, and says nothing of today.
        if passed is None:
            late[source.name] = "no run has ever succeeded"
        elif abs(now - passed) > max_age:
            late[source.name] = f"no run has succeeded since {rfc3339(passed)}"
    hint = "is the service, the timer or cron active? What does `archiver run` say?"
    # One sentence for all sources that share it: there may be many.
    return [
        WorkKeptError(
            f"{sentence}: " + ", ".join(name for name, each in late.items() if each == sentence),
            hint=hint,
        )
        for sentence in dict.fromkeys(late.values())
    ]


def _overdue(config: Config, catalog: Catalog, now: int) -> list[ArchiverError]:
    """Archives past their maximum that no case holds: those are never kept without saying so."""
    if not config.retention.rules:
        return []
    inventory = inventory_of(config, catalog, now=now)
    late = [
        archive
        for archive in inventory.archives
        if inventory.decision(archive).past_since
        and not holds_on(inventory.holds, inventory.host, archive.source, archive.date)
    ]
    if not late:
        return []
    return [
        WorkKeptError(
            f"past their maximum: {count(len(late), 'archive')}, the oldest of "
            f"{min(each.date for each in late)}",
            hint="`archiver retention ask overdue` shows what keeps each; `archiver retention "
            "expire` destroys those that may be destroyed",
        )
    ]


def _problems(config: Config, source: SourceStatus) -> list[ArchiverError]:
    """What is wrong with one source, and what to do."""
    found: list[ArchiverError] = []
    if source.waiting:
        found.append(
            WorkKeptError(
                f"{source.source}: {count(len(source.waiting), 'segment')} waiting in the spool",
                hint="`archiver run` continues from there, and says what is wrong",
            )
        )
    if source.live_size is None:
        found.append(
            WorkKeptError(
                f"{source.source}: {source.path} does not exist",
                hint="correct `path`, or create the log and have syslogd reopen it",
            )
        )
    if source.too_few_copies:
        found.append(
            WorkKeptError(
                f"{source.source}: {count(source.too_few_copies, 'archive')} with fewer than "
                f"{count(config.storage.required, 'copy', 'copies')}",
                hint="`archiver list` shows which; `archiver repair` restores what it can",
            )
        )
    found += [
        WorkKeptError(
            f"{source.source}: store {target!r} is missing {count(number, 'archive')}",
            hint="the next run copies them, oldest first; `archiver sync` does so now",
        )
        for target, number in source.lacking.items()
        if number
    ]
    found += [
        WorkKeptError(
            f"{source.source}: {path} is in the spool, but no journal entry describes it",
            hint="archive it with `archiver import`, then remove it",
        )
        for path in Journal(config.host.spool_dir, source.source).orphans()
    ]
    return found


def _source(config: Config, catalog: Catalog, source: Source, today: date) -> SourceStatus:
    found = catalog.summaries(source.name)
    days = [each.date for each in found]
    present = [each for each in found if each.has_archive]
    kept = [each for each in found if each.ordered is None]
    return SourceStatus(
        source=source.name,
        path=str(source.path),
        live_size=_size(source.path),
        waiting=tuple(_waiting(Journal(config.host.spool_dir, source.name))),
        archives=sum(each.has_archive for each in found),
        empty_days=sum(each.is_empty_day for each in found),
        lines=sum(each.lines for each in present),
        raw_size=sum(each.raw_size for each in present),
        size=sum(each.size for each in present),
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        too_few_copies=sum(len(each.copies) < config.storage.required for each in kept),
        lacking={
            target.name: sum(
                target.name not in archive.copies and archive.date >= _since(target, today)
                for archive in kept
                if archive.copies
            )
            for target in config.storage.targets
        },
        destroyed=len(found) - len(kept),
    )


def _since(target: Target, today: date) -> date:
    """The first log date whose archives a target is to have."""
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
                continue  # it is at a later stage, or a run has just moved it there
            waiting.append(Waiting(entry.name, stage, size, entry.intent.written))
            break
    return waiting


def archived(
    catalog: Catalog, sources: Sequence[Source], first: date | None, last: date | None
) -> list[Summary]:
    """Return what is archived of some log dates, source by source, the oldest first.

    first, last: None: no bound.
    """
    return [
        summary
        for source in sources
        for summary in catalog.summaries(source.name)
        if (first is None or summary.date >= first) and (last is None or summary.date <= last)
    ]


def nagios(found: Status) -> tuple[int, str]:
    """Return the plugin's exit status (0 to 3) and line, as monitoring-plugins.org wants them."""
    if found.last.started is None:
        return 3, "UNKNOWN: no run has been made yet"
    text = "; ".join(each.message for each in found.problems) or "all logs archived"
    if found.stale or found.last.exit_status:
        return 2, f"CRITICAL: {text}"
    if found.problems:
        return 1, f"WARNING: {text}"
    return 0, f"OK: {text}"
