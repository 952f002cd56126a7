"""What is known of archives: the base of all decisions and questions about them.

Pure. archiver/retention/gather.py makes it from the configuration and the catalog. No store is
asked, so it is as old as what the catalog knows of the stores.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from zoneinfo import ZoneInfo

from archiver.archives.names import ARCHIVE_SUFFIX, MANIFEST_SUFFIX
from archiver.archives.receipts import Receipt
from archiver.policy.decide import Archive, Copy, Decision, decide
from archiver.policy.ledger import Record, holds
from archiver.policy.period import Period
from archiver.policy.rules import Hold, Policy
from archiver.system.zone import local_date


@dataclass(frozen=True)
class Summary:
    """A manifest in short. earliest, latest, sealed_at: instants. raw_size, size: bytes of log, and
    of the archive. sha256: of the archive. digest: of the manifest.

    copies: targets that hold it, with its archive. ordered, destroyed: the ledger's numbers of the
    order to destroy its archive, and of the certificate that this was done.
    """

    key: str
    source: str
    date: date
    sequence: int
    earliest: int
    latest: int
    sealed_at: int
    lines: int
    raw_size: int
    size: int
    sha256: str
    digest: str
    is_empty_day: bool
    copies: tuple[str, ...]
    ordered: int | None = None
    destroyed: int | None = None

    @property
    def archive_key(self) -> str:
        return self.key.removesuffix(MANIFEST_SUFFIX) + ARCHIVE_SUFFIX

    @property
    def has_archive(self) -> bool:
        """Whether it has an archive that is not ordered to be destroyed."""
        return not self.is_empty_day and self.ordered is None


@dataclass(frozen=True)
class Place:
    """A target, as configured. where: a directory or an address. near: reading costs no requests.

    lock: "off", "governance" or "compliance". lock_for: seconds after the log date's end.
    sse, kms_key: how the server is asked to encrypt what it stores; empty: it is not asked.
    keep: how long archives stay in this target; None: as long as in any.
    """

    name: str
    where: str
    near: bool = True
    lock: str = "off"
    lock_for: float = 0
    legal_hold: bool = False
    sse: str = ""
    kms_key: str = ""
    keep: Period | None = None


@dataclass(frozen=True)
class Inventory:
    """All that is known of one host's archives.

    sources: those that were asked for. complete: the last day that the runs accounted for, by
    source. summaries: of these sources, by source, in the order of their keys. receipts: by key and
    target. required: how many verified copies an archive must have. records: of the ledger, oldest
    first: rules and holds, and on request orders and certificates. doubt: why the clock cannot be
    trusted; empty: it can.
    """

    host: str
    zone: ZoneInfo
    now: int
    sources: tuple[str, ...]
    policy: Policy
    places: tuple[Place, ...]
    required: int
    summaries: tuple[Summary, ...]
    receipts: Mapping[tuple[str, str], Receipt] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    complete: Mapping[str, date] = field(default_factory=dict)
    doubt: str = ""

    @property
    def today(self) -> date:
        return local_date(self.now, self.zone)

    @cached_property
    def holds(self) -> tuple[Hold, ...]:
        return holds(self.records)

    @property
    def archives(self) -> Iterable[Summary]:
        """The archives that are not destroyed, nor ordered to be."""
        return (each for each in self.summaries if each.has_archive)

    def receipt(self, summary: Summary, target: str) -> Receipt | None:
        """Return the receipt of an archive's copy, or of an empty day's manifest."""
        key = summary.key if summary.is_empty_day else summary.archive_key
        return self.receipts.get((key, target))

    def copies(self, summary: Summary) -> tuple[Copy, ...]:
        """Return an archive's copies, with the protection that the stores last reported."""
        found = [(target, self.receipt(summary, target)) for target in summary.copies]
        return tuple(
            Copy(target, receipt.sound, receipt.protection) if receipt else Copy(target, False)
            for target, receipt in found
        )

    @cached_property
    def _decisions(self) -> dict[str, Decision]:
        return {}

    def decision(self, summary: Summary) -> Decision:
        """Return the verdict about an archive, from what is known."""
        if summary.key not in self._decisions:
            self._decisions[summary.key] = self._decide(summary)
        return self._decisions[summary.key]

    @cached_property
    def _held(self) -> dict[str, list[Hold]]:
        """For each source, the holds in force that name it."""
        in_force = [hold for hold in self.holds if hold.released is None]
        return {
            source: [hold for hold in in_force if hold.scope.names(self.host, source)]
            for source in self.sources
        }

    def _decide(self, summary: Summary) -> Decision:
        archive = Archive(self.host, summary.source, summary.date, self.copies(summary))
        return decide(
            archive,
            self.policy,
            self._held[summary.source],
            now=self.now,
            zone=self.zone,
            required=self.required,
            doubt=self.doubt,
        )
