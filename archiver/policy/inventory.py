"""What is known of archives: all that decisions and questions about them are made from.

Pure. Module `retention` gathers it from the configuration and the catalog; nothing here asks a
store, so it is as old as what the catalog has of that.
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
    """What a list tells of a manifest: instants, sizes in bytes.

    copies: targets that hold it, with its archive. ordered, destroyed: the numbers in the ledger
    of the order that its archive be destroyed, and of the certificate that it was.
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
    def is_there(self) -> bool:
        """Whether there is an archive that is to stay for now."""
        return not self.is_empty_day and self.ordered is None


@dataclass(frozen=True)
class Place:
    """A target, as configured. where: a directory or an address. near: reading costs no requests.

    lock: "off", "governance" or "compliance", for so many seconds from the log date's end.
    sse, kms_key: how the server encrypts what it stores; empty: nothing is asked of it.
    keep: how long archives stay there; None: as long as anywhere.
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

    sources: those to be told of. complete: up to which day each is accounted for by the runs.
    summaries: of these sources, in the order of their names. receipts: by key and target.
    records: of the ledger, oldest first: the rules and the holds, and if it is asked for, what was
    destroyed. doubt: why the clock cannot be trusted.
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
    def there(self) -> Iterable[Summary]:
        """The archives that are there, and are to stay for now."""
        return (each for each in self.summaries if each.is_there)

    def receipt(self, each: Summary, target: str) -> Receipt | None:
        """Return the receipt of an archive's copy, or of an empty day's manifest."""
        key = each.key if each.is_empty_day else each.archive_key
        return self.receipts.get((key, target))

    def copies(self, each: Summary) -> tuple[Copy, ...]:
        """Return an archive's copies, with what the stores told of them when they were read."""
        found = [(target, self.receipt(each, target)) for target in each.copies]
        return tuple(
            Copy(target, receipt.sound, receipt.protection) if receipt else Copy(target, False)
            for target, receipt in found
        )

    @cached_property
    def _decisions(self) -> dict[str, Decision]:
        return {}

    def decision(self, each: Summary) -> Decision:
        """Return the verdict about an archive, by what is known."""
        if each.key not in self._decisions:
            self._decisions[each.key] = self._decide(each)
        return self._decisions[each.key]

    @cached_property
    def _held(self) -> dict[str, list[Hold]]:
        """The holds in force that name a source."""
        in_force = [hold for hold in self.holds if hold.released is None]
        return {
            source: [hold for hold in in_force if hold.scope.names(self.host, source)]
            for source in self.sources
        }

    def _decide(self, each: Summary) -> Decision:
        archive = Archive(self.host, each.source, each.date, self.copies(each))
        return decide(
            archive,
            self.policy,
            self._held[each.source],
            now=self.now,
            zone=self.zone,
            required=self.required,
            doubt=self.doubt,
        )
