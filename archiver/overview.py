"""What there is, and whether all is well: the answers of `list` and `status`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from archiver import lastrun
from archiver.catalog import Catalog, Summary
from archiver.config import Config, Source
from archiver.errors import ArchiverError
from archiver.journal import Journal
from archiver.lastrun import LastRun


@dataclass(frozen=True)
class Waiting:
    """A segment in the spool. stage: open (its writer may hold it), closed or sealed."""

    name: str
    stage: str
    size: int
    written: int


@dataclass(frozen=True)
class SourceStatus:
    """One source: its live log's size (None: no such file), what waits, what is archived."""

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


@dataclass(frozen=True)
class Status:
    sources: tuple[SourceStatus, ...]
    last: LastRun
    problems: tuple[str, ...]
    stale: bool


def status(config: Config, catalog: Catalog, *, now: int, max_age: float | None) -> Status:
    """Return how things stand. max_age: seconds since a run last succeeded, at most."""
    sources = tuple(_source(config, catalog, source) for source in config.sources)
    last = lastrun.load(config.host.state_dir)
    stale = max_age is not None and (last.succeeded is None or now - last.succeeded > max_age)
    problems = [
        f"{each.source}: {len(each.waiting)} segments wait in the spool"
        for each in sources
        if each.waiting
    ]
    problems += [
        f"{each.source}: {each.path} does not exist" for each in sources if each.live_size is None
    ]
    problems += [
        f"{each.source}: {each.too_few_copies} archives have fewer than "
        f"{config.storage.required} copies"
        for each in sources
        if each.too_few_copies
    ]
    problems += [
        f"{source.name}: {path} is in the spool, but no journal entry speaks of it"
        for source in config.sources
        for path in Journal(config.host.spool_dir, source.name).orphans()
    ]
    if last.exit_status:
        problems.append(f"the last run ended with exit status {last.exit_status}")
    if last.started is None:
        problems.append("no run has been made yet")
    if stale:
        problems.append("no run has succeeded for too long")
    return Status(sources, last, tuple(problems), stale)


def _source(config: Config, catalog: Catalog, source: Source) -> SourceStatus:
    found = catalog.summaries(source.name)
    days = [each.date for each in found]
    return SourceStatus(
        source=source.name,
        path=str(source.path),
        live_size=source.path.stat().st_size if source.path.exists() else None,
        waiting=tuple(_waiting(Journal(config.host.spool_dir, source.name))),
        archives=sum(not each.is_empty_day for each in found),
        empty_days=sum(each.is_empty_day for each in found),
        lines=sum(each.lines for each in found),
        raw_size=sum(each.raw_size for each in found),
        size=sum(each.size for each in found),
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        too_few_copies=sum(len(each.copies) < config.storage.required for each in found),
    )


def _waiting(journal: Journal) -> list[Waiting]:
    stages = (("open", "open_segment"), ("closed", "segment"), ("sealed", "sealed"))
    waiting = []
    for entry in journal.entries():
        for stage, where in stages:
            path = getattr(entry, where)
            if path.exists():
                waiting.append(
                    Waiting(entry.name, stage, path.stat().st_size, entry.intent.written)
                )
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
    text = "; ".join(found.problems) or "all logs archived"
    if found.stale or found.last.exit_status:
        return 2, f"CRITICAL: {text}"
    if found.problems:
        return 1, f"WARNING: {text}"
    return 0, f"OK: {text}"


def worst(problems: Sequence[ArchiverError]) -> int:
    """Return one exit status for what went wrong on the way: theirs if shared, else 3."""
    statuses = {problem.exit_status for problem in problems}
    return min(statuses, default=0) if len(statuses) < 2 else 3
