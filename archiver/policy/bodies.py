"""What a record of the ledger may say: one dataclass for each kind.

Pure. docs/format.md specifies every field.

    policy      the retention rules from now on, and the file they come from
    hold        these archives are kept for a case, whatever the rules say
    release     all holds of a case are over
    order       these archives are to be destroyed, and why
    withdrawal  these archives of an order are not destroyed after all, and why
    tombstone   this archive was destroyed, why, and what every store answered
    copies      these copies were read back, or are no longer what they were
    clock       a person confirms that the clock is right
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from archiver.archives.receipts import Protection, Receipt
from archiver.policy.as_json import Instant
from archiver.policy.rules import Rule, Scope


@dataclass(frozen=True)
class File:
    """The configuration file with the rules. modified, owner: from the file system."""

    path: str
    sha256: str
    modified: Instant
    owner: str


@dataclass(frozen=True)
class PolicyNoted:
    """The rules from now on. file: where they come from; None: not from a file."""

    rules: tuple[Rule, ...]
    file: File | None = None


@dataclass(frozen=True)
class HoldAdded:
    """The archives in the scope are kept until the case is released."""

    case: str
    scope: Scope
    reason: str


@dataclass(frozen=True)
class HoldReleased:
    """No hold of the case is in force any longer."""

    case: str
    reason: str


@dataclass(frozen=True)
class Evidence:
    """A copy that was read back at this instant, and was what it must be."""

    target: str
    at: Instant
    version: str | None = None


@dataclass(frozen=True)
class Ordered:
    """An archive that is to be destroyed. key: its manifest's. sha256: the archive's. reason: the
    decision's.
    """

    key: str
    manifest_sha256: str
    sha256: str
    rule: str
    basis: str
    reason: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Order:
    """why: "auto", because a rule says so; or "asked", because a person asked for it."""

    why: str
    archives: tuple[Ordered, ...]


@dataclass(frozen=True)
class Withdrawn:
    """key: the manifest's. reason: why its archive is not destroyed now."""

    key: str
    reason: str


@dataclass(frozen=True)
class Withdrawal:
    """order: the number of the withdrawn order in the ledger."""

    order: int
    archives: tuple[Withdrawn, ...]


@dataclass(frozen=True)
class Removed:
    """One version of an object that was destroyed. marker: it was a delete marker. reply: the
    store's answer.
    """

    key: str
    version: str | None
    marker: bool
    reply: str


@dataclass(frozen=True)
class StoreReply:
    """What one store destroyed. Afterwards it had nothing left under these keys.

    at: when that was checked. place: where the store is.
    """

    target: str
    place: str
    at: Instant
    removed: tuple[Removed, ...]


@dataclass(frozen=True)
class Tombstone:
    """The certificate that an archive was destroyed, in all its copies.

    order, policy: their numbers in the ledger. manifest: its key; the manifest stays in the stores,
    with all digests.
    """

    order: int
    policy: int | None
    manifest: str
    manifest_sha256: str
    archive: str
    sha256: str
    size: int
    source: str
    date: date
    lines: int
    raw_size: int
    raw_sha256: str
    earliest: Instant
    latest: Instant
    rule: str
    basis: str
    reason: str
    evidence: tuple[Evidence, ...]
    stores: tuple[StoreReply, ...]


@dataclass(frozen=True)
class Seen:
    """A copy as it was found. sound: it was read back, and was what it must be; if not, it was
    damaged or gone, or may have been replaced since.

    mode, until: the store's lock; empty mode: none. hold: the store holds it.
    """

    key: str
    target: str
    size: int
    sha256: str
    at: Instant
    version: str | None = None
    mode: str = ""
    until: Instant = 0
    hold: bool = False
    sound: bool = True

    @classmethod
    def of(cls, receipt: Receipt) -> "Seen":
        kept = receipt.protection
        return cls(
            receipt.key,
            receipt.target,
            receipt.size,
            receipt.sha256,
            receipt.at,
            receipt.version,
            kept.mode,
            kept.until,
            kept.hold,
            receipt.sound,
        )

    @property
    def receipt(self) -> Receipt:
        protection = Protection(self.mode, self.until, self.hold)
        return Receipt(
            self.key,
            self.target,
            self.size,
            self.sha256,
            self.at,
            self.version,
            protection,
            self.sound,
        )


@dataclass(frozen=True)
class CopiesSeen:
    """Copies as they were found since the previous record of this kind."""

    copies: tuple[Seen, ...]


@dataclass(frozen=True)
class ClockConfirmed:
    """A person says that the clock is right, though it is far ahead of all records."""

    reason: str


@dataclass(frozen=True)
class Unknown:
    """A record of a kind that only a newer version knows. critical: who does not understand it must
    not go on.
    """

    kind: str
    critical: bool = False


Body = (
    PolicyNoted
    | HoldAdded
    | HoldReleased
    | Order
    | Withdrawal
    | Tombstone
    | CopiesSeen
    | ClockConfirmed
    | Unknown
)
KINDS: Mapping[str, type] = {
    "policy": PolicyNoted,
    "hold": HoldAdded,
    "release": HoldReleased,
    "order": Order,
    "withdrawal": Withdrawal,
    "tombstone": Tombstone,
    "copies": CopiesSeen,
    "clock": ClockConfirmed,
}
NAMES = {kind: name for name, kind in KINDS.items()}
