"""What is archived, and whether all is well: the answers to `list` and `status`.

From the catalog, the spool and the logs: no store is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from archiver.catalog import Catalog
from archiver.config.settings import Config, Source
from archiver.errors import ArchiverError, IntegrityError
from archiver.policy.inventory import Summary
from archiver.rotation import last_run
from archiver.rotation.last_run import LastRun
from archiver.service.findings import Standing, findings, missed
from archiver.service.source_status import SourceStatus, status_of
from archiver.system.zone import local_date


@dataclass(frozen=True)
class Status:
    sources: tuple[SourceStatus, ...]
    last: LastRun
    problems: tuple[ArchiverError, ...]
    stale: bool

    def is_critical(self, problem: ArchiverError) -> bool:
        """Whether one of the problems is more than a warning: something that is stored has changed;
        or, whatever it is, no run has gone well since, or for too long.
        """
        changed = problem.exit_status == IntegrityError.exit_status
        return changed or self.stale or bool(self.last.exit_status)


def status(config: Config, catalog: Catalog, *, now: int, max_age: float | None) -> Status:
    """Return how things stand. max_age: a run must have succeeded within so many seconds."""
    today = local_date(now, config.host.zone)
    sources = tuple(status_of(config, catalog, source, today) for source in config.sources)
    last = last_run.load(config.host.state_dir)
    standing = Standing(config, catalog, sources, last, now, max_age)
    return Status(sources, last, tuple(findings(standing)), bool(missed(standing)))


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
    if any(map(found.is_critical, found.problems)):
        return 2, f"CRITICAL: {text}"
    if found.problems:
        return 1, f"WARNING: {text}"
    return 0, f"OK: {text}"
