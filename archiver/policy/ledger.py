"""The ledger: what was decided about archives, and done to them; one chain of records per host.

Pure. Each record is one JSON document, which is never changed or removed, and carries the SHA-256
of the one before it. What it may say is in module `bodies`.

A reader skips a kind that it does not know: a newer version wrote it. If the record says that it is
`critical`, or if its whole schema is unknown, who does not understand it must not go on: nothing is
sealed or destroyed until the program is upgraded. The fields around the body stay as they are in
every schema, so that even an old version can follow the chain.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from archiver.archives.manifest import DIGEST, TOOL
from archiver.archives.names import NAME, ledger_prefix
from archiver.errors import NewerVersionError
from archiver.policy.as_json import as_json, from_json
from archiver.policy.bodies import (
    KINDS,
    NAMES,
    Body,
    HoldAdded,
    HoldReleased,
    PolicyNoted,
    Unknown,
)
from archiver.policy.rules import DOUBTFUL, Hold, Policy
from archiver.system.zone import DAY_SECONDS, parse_rfc3339, rfc3339

# The newest schema that this version reads. All kinds that it writes are of the first.
SCHEMA = 2


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
        return self.body.kind if isinstance(self.body, Unknown) else NAMES[type(self.body)]

    @property
    def key(self) -> str:
        """Made of host and number alone: so every store refuses a second record of that number."""
        return f"{ledger_prefix(self.host)}{self.sequence:08d}.json"


def encode(record: Record) -> bytes:
    """Return the record as the JSON document that is stored."""
    document = {
        "schema": 1,
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
        return _record(json.loads(document.decode()))
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
        body=_body(fields),
    )


def _body(fields: Mapping[str, Any]) -> Body:
    schema, kind = fields["schema"], fields["kind"]
    if type(schema) is not int or schema < 1:
        raise ValueError(f"schema {schema!r} is not a number from 1 on")
    if not isinstance(kind, str):
        raise TypeError(f"{kind!r} is not a kind")
    if schema > SCHEMA:
        return Unknown(f"{kind} (schema {schema})", critical=True)
    if kind not in KINDS:
        return Unknown(kind, critical=fields.get("critical") is True)
    body: Body = from_json(KINDS[kind], fields["body"])
    return body


def newer(record: Record) -> NewerVersionError:
    """Return the error for a record of a kind that this version does not know."""
    return NewerVersionError(f"{record.key}, a record of kind {record.kind!r},")


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
