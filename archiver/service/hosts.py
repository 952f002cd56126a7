"""Which hosts archive into a store, and how far each has come, according to its list alone.

No object is read, and no configuration but the store's is needed: keys name host, source, log date
and number, and a list gives sizes. So one machine notices that another one has fallen silent, which
that one cannot report itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Self

from archiver.archives.names import ARCHIVE_SUFFIX, MANIFEST_SUFFIX, Key, parse
from archiver.archives.receipts import Stored
from archiver.errors import ArchiverError, WorkKeptError, explained
from archiver.policy.questions.reply import count
from archiver.system.zone import DAY

# In the last zone, a day ends 12 hours after it does in UTC; its night has a day from then on.
LATEST = 48 * 3600.0
# Only the last so many days are reported missing: older ones may never have been archived.
RECENT = 31


@dataclass
class HostLog:
    """What a store has of one host's source. days: those with a manifest: archived, empty or, by
    now, destroyed. archives, size: of the archives that are still there, in bytes. numbers: of the
    manifests, in the chain.
    """

    host: str
    source: str
    archives: int = 0
    size: int = 0
    days: set[date] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)

    def add(self, key: Key, size: int) -> None:
        if key.suffix == ARCHIVE_SUFFIX:
            self.archives += 1
            self.size += size
        elif key.suffix == MANIFEST_SUFFIX and key.day and key.number is not None:
            self.days.add(key.day)
            self.numbers.add(key.number)

    @property
    def first(self) -> date | None:
        return min(self.days, default=None)

    @property
    def last(self) -> date | None:
        return max(self.days, default=None)

    @property
    def missing(self) -> list[date]:
        """The days between the first and the last that have no manifest."""
        if not self.days:
            return []
        first, last = min(self.days), max(self.days)
        every = (first + DAY * n for n in range((last - first).days))
        return [day for day in every if day not in self.days]

    @property
    def lost(self) -> int:
        """How many numbers of the chain have no manifest; 0 unless somebody removed one."""
        return max(self.numbers, default=0) - len(self.numbers)

    def silent_for(self, now: int) -> float:
        """Return the seconds since its last day ended in UTC; 0: it has not, or there is none."""
        if self.last is None:
            return 0.0
        over = datetime.combine(self.last + DAY, datetime.min.time(), tzinfo=UTC)
        return max(0.0, now - over.timestamp())


@dataclass(frozen=True)
class Hosts:
    """What one store has. problems: what is wrong with it."""

    target: str
    logs: tuple[HostLog, ...]
    problems: tuple[ArchiverError, ...]

    @classmethod
    def of(cls, target: str, listed: Iterable[Stored], *, now: int, max_age: float) -> Self:
        """Read a list. max_age: a log is silent if its last day ended in UTC more than so many
        seconds ago. Raises: StoreError: the store cannot be listed.
        """
        logs: dict[tuple[str, str], HostLog] = {}
        with explained(f"listing store {target!r}"):
            for stored in listed:
                key = parse(stored.key)
                if key.day and key.suffix in {ARCHIVE_SUFFIX, MANIFEST_SUFFIX}:
                    name = (key.host, key.source)
                    logs.setdefault(name, HostLog(*name)).add(key, stored.size)
        found = tuple(logs[name] for name in sorted(logs))
        return cls(target, found, tuple(_problems(target, found, now, max_age)))


def _problems(
    target: str, logs: Iterable[HostLog], now: int, max_age: float
) -> Iterator[ArchiverError]:
    for log in logs:
        name = f"{log.host}: {log.source}, in store {target!r}"
        if log.last is None:
            yield WorkKeptError(
                f"{name}: there are archives, but no manifest",
                hint="a run on that host may just be storing it; if not, `archiver repair` there",
            )
        elif log.silent_for(now) > max_age:
            yield WorkKeptError(
                f"{name}: nothing has arrived since {log.last}",
                hint="is the host up? `archiver status` there shows what is wrong",
            )
        if recent := [day for day in log.missing if log.last and day > log.last - RECENT * DAY]:
            yield WorkKeptError(
                f"{name}: {count(len(recent), 'day')} missing in its last {RECENT} days, "
                f"the first of them {recent[0]}",
                hint="`archiver retention ask complete` on that host explains each",
            )
        if log.lost:
            yield WorkKeptError(
                f"{name}: {count(log.lost, 'manifest')} missing from the chain",
                hint="`archiver sync` on that host copies back what another of its stores has",
            )
