"""What is not as it should be, as far as this host knows it: one list, which all alarms tell.

`status`, its line for monitoring, the metrics and `doctor` read it. From the catalog, the spool,
the logs and the notes of earlier runs: no store is asked. What only a run can see (a store that
lists less than it should, a log that somebody replaced) comes from the note of the last run.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from archiver.catalog import Catalog
from archiver.config.settings import Config
from archiver.errors import ArchiverError, Problems, WorkKeptError
from archiver.policy.inventory import Inventory
from archiver.policy.ledger import newer
from archiver.policy.questions.reply import count
from archiver.policy.rules import holds_on
from archiver.retention.gather import inventory_of
from archiver.rotation.last_run import LastRun
from archiver.rotation.spool import Journal, forgotten
from archiver.service.source_status import SourceStatus
from archiver.system.zone import rfc3339


@dataclass(frozen=True)
class Standing:
    """What the findings rest on. now: the instant. max_age: a run must have succeeded within so
    many seconds; None: nobody asks.
    """

    config: Config
    catalog: Catalog
    sources: tuple[SourceStatus, ...]
    last: LastRun
    now: int
    max_age: float | None = None

    @cached_property
    def inventory(self) -> Inventory:
        return inventory_of(self.config, self.catalog, now=self.now)


Finds = Callable[[Standing], Iterable[ArchiverError]]


def findings(standing: Standing) -> Problems:
    """Return everything that is not as it should be, each once."""
    return Problems(*[found for look in FINDINGS for found in look(standing)])


def another_spool(standing: Standing) -> Iterable[ArchiverError]:
    """Segments in the directory that was the spool before the configuration named another."""
    return forgotten(standing.config, standing.last.spool)


def sources(standing: Standing) -> Iterator[ArchiverError]:
    """What is wrong with each source by itself."""
    for source in standing.sources:
        yield from _source(standing.config, source)


def _source(config: Config, source: SourceStatus) -> list[ArchiverError]:
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


def overdue(standing: Standing) -> list[ArchiverError]:
    """Archives past their maximum that no case holds: those are never kept without saying so."""
    if not standing.config.retention.rules:
        return []
    inventory = standing.inventory
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


def last_run(standing: Standing) -> Iterator[ArchiverError]:
    """How the last run ended, and what it found."""
    last = standing.last
    if last.started is None:
        yield WorkKeptError("no run has been made yet", hint="call `archiver run`")
    elif last.exit_status and last.problems:
        yield from (noted.failure for noted in last.problems)
    elif last.exit_status:
        yield WorkKeptError(
            f"the last run ended with exit status {last.exit_status}",
            hint="`archiver run` continues from there, and says what is wrong",
        )


def newer_versions(standing: Standing) -> Iterable[ArchiverError]:
    """Records that this version does not know, and skips."""
    return map(newer, standing.catalog.records.unknown())


def missed(standing: Standing) -> list[ArchiverError]:
    """The logs that no run has handled well for so long: nothing else reports those."""
    if standing.max_age is None:
        return []
    late = {}
    for source in standing.config.sources:
        passed = standing.last.passed.get(source.name)
        # A time in the future comes from a clock that was wrong, and says nothing of today.
        if passed is None:
            late[source.name] = "no run has ever succeeded"
        elif abs(standing.now - passed) > standing.max_age:
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


# Each look is a row, and each row is told by every alarm.
FINDINGS: tuple[Finds, ...] = (
    another_spool,
    sources,
    overdue,
    last_run,
    newer_versions,
    missed,
)
