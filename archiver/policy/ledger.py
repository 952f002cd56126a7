"""The ledger: what was decided about archives, and done to them; one chain of records per host.

Pure. Each record is one JSON document, which is never changed or removed, and carries the SHA-256
of the one before it; docs/format.md specifies every field.

    policy      the retention rules from now on, and the file they come from
    hold        these archives are kept for a case, whatever the rules say
    release     all holds of a case are over
    order       these archives are to be destroyed, and why
    withdrawal  these archives of an order are not destroyed after all, and why
    tombstone   this archive was destroyed, why, and what every store answered
    copies      these copies were read back, or are no longer what they were
    clock       a person confirms that the clock is right
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from archiver.archives.manifest import DIGEST, TOOL
from archiver.archives.names import NAME, ledger_prefix
from archiver.archives.receipts import Protection, Receipt
from archiver.policy.as_json import Instant, as_json, from_json
from archiver.policy.rules import DOUBTFUL, Hold, Policy, Rule, Scope
from archiver.system.zone import DAY_SECONDS, parse_rfc3339, rfc3339

SCHEMA = 1


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


Body = (
    PolicyNoted
    | HoldAdded
    | HoldReleased
    | Order
    | Withdrawal
    | Tombstone
    | CopiesSeen
    | ClockConfirmed
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


@dataclass(frozen=True)
class Record:
    """One record. previous: SHA-256 of the record before it; None: it is the first. at: by the
    clock of that time. by: who ran the program.
    """

    host: str
    sequence: int
    previous: str | None
    at: int
    by: str
    tool_version: str
    body: Body

    @property
    def kind(self) -> str:
        return NAMES[type(self.body)]

    @property
    def key(self) -> str:
        """Made of host and number alone: so every store refuses a second record of that number."""
        return f"{ledger_prefix(self.host)}{self.sequence:08d}.json"


def encode(record: Record) -> bytes:
    """Return the record as the JSON document that is stored."""
    document = {
        "schema": SCHEMA,
        "kind": record.kind,
        "host": record.host,
        "sequence": record.sequence,
        "previous": record.previous,
        "at": rfc3339(record.at),
        "by": record.by,
        "tool": {"name": TOOL, "version": record.tool_version},
        "body": as_json(record.body),
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def decode(document: bytes) -> Record:
    """Read what `encode` wrote. Raises: ValueError: it is not a record."""
    try:
        fields = json.loads(document.decode())
        if fields["schema"] is not SCHEMA:
            raise ValueError(f"schema {fields['schema']!r} is not {SCHEMA}")
        return _record(fields)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a record of the ledger: {error!r}") from error


def _record(fields: Mapping[str, Any]) -> Record:
    sequence, previous = fields["sequence"], fields["previous"]
    if type(sequence) is not int or not 1 <= sequence < 10**8:
        raise ValueError(f"{sequence!r} is not a record's number")
    if (previous is None) != (sequence == 1):
        raise ValueError("`previous` must be null in the first record, and only there")
    if previous is not None and not re.fullmatch(DIGEST, previous):
        raise ValueError(f"{previous!r} is not a SHA-256 digest")
    if not re.fullmatch(NAME, fields["host"]):
        raise ValueError(f"{fields['host']!r} is not a host's name")
    return Record(
        host=fields["host"],
        sequence=sequence,
        previous=previous,
        at=parse_rfc3339(fields["at"]),
        by=str(fields["by"]),
        tool_version=str(fields["tool"]["version"]),
        body=from_json(KINDS[fields["kind"]], fields["body"]),
    )


# -- what follows from records ---------------------------------------------------------------


def holds(records: Iterable[Record]) -> tuple[Hold, ...]:
    """Return all holds, released or not, in the order in which they were added."""
    found: list[Hold] = []
    for record in records:
        match record.body:
            case HoldAdded(case, scope, reason):
                found.append(Hold(case, scope, reason, record.by, record.at))
            case HoldReleased(case, reason):
                found = [
                    _released(hold, record, reason)
                    if hold.case == case and hold.released is None
                    else hold
                    for hold in found
                ]
    return tuple(found)


def _released(hold: Hold, record: Record, reason: str) -> Hold:
    return Hold(
        hold.case, hold.scope, hold.reason, hold.by, hold.since, record.at, record.by, reason
    )


def newest_instant(moments: Iterable[tuple[int, bool]]) -> int | None:
    """Return the newest instant that the records make credible; None: there are no records.

    moments: of each record its instant, and whether it confirms the clock. A record that is far
    ahead of those before it does not count, nor do those after it, until a person confirms the
    clock. Otherwise a clock that has jumped would vouch for itself one night later.
    """
    newest: int | None = None
    for at, confirmed in moments:
        if newest is None or confirmed or newest < at <= newest + DOUBTFUL * DAY_SECONDS:
            newest = at
    return newest


def governed_at(records: Iterable[Record], instant: int) -> Record | None:
    """Return the record of the policy in force at an instant; None: none was recorded by then."""
    in_force = None
    for record in records:
        if isinstance(record.body, PolicyNoted) and record.at <= instant:
            in_force = record
    return in_force


def policy_of(record: Record | None) -> Policy:
    """Return the rules that a record of kind `policy` holds; no rules without one."""
    return Policy(record.body.rules if record and isinstance(record.body, PolicyNoted) else ())
