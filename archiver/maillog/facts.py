"""What a line says: an event of a program, its fields, and the keys that lines are found by.

Pure. A program family is a table of patterns (see `archiver.maillog.programs`): each matches a
whole text or nothing, so that text from a stranger, in a Message-ID, a subject or a reason,
cannot pass for an event. The names of a pattern's groups are the names of the fields.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from archiver.maillog.kinds import KIND_OF

# The sender of bounces (RFC 5321, 4.5.5), in the form in which it is a key.
EMPTY_SENDER = b"<>"
EDGES = b" <>"
IPV4 = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}")


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, as one record says. fields: pairs of name and value, as written."""

    name: str
    fields: tuple[tuple[str, bytes], ...] = ()

    def get(self, field: str) -> bytes | None:
        """Return the first value of a field; None: the event does not have it."""
        return next((value for name, value in self.fields if name == field), None)


@dataclass(frozen=True)
class Late:
    """A pattern that is compiled when it is first needed: of hundreds, most runs need few."""

    text: bytes
    flags: int = 0

    @cached_property
    def compiled(self) -> re.Pattern[bytes]:
        return re.compile(self.text, self.flags)


@dataclass(frozen=True)
class Pass:
    """A pattern that finds keys in bulk, in the lower-cased text of many lines at once.

    kinds: of the keys that it finds. pattern: begins with a literal, so that `re` searches for it
    at the speed of memory; its only group is the key. It may find too much: that only costs a
    little room in the index.
    """

    kinds: frozenset[str]
    pattern: Late


@dataclass(frozen=True, eq=False)
class Family:
    """Programs that log alike. tags: their names in syslog, in lower case.

    events: names and patterns, tried in order; a pattern must match a whole text.
    passes: they find every key that the events can have, and perhaps more.
    usual: a pattern for the texts, in lower case, that most of a log consists of. Its groups are
    named after kinds of key (a name may occur several times) and hold all keys of the text; what
    stands in brackets, `<…>`, is `bracketed`. It matches no text that may hold a second record.
    """

    name: str
    tags: frozenset[bytes]
    events: tuple[tuple[str, Late], ...]
    passes: tuple[Pass, ...]
    usual: bytes = b""

    def parse(self, text: bytes) -> Event | None:
        """Return the event that a text is, or None if no event of this family matches it."""
        for name, pattern in self.events:
            if found := pattern.compiled.fullmatch(text):
                fields = tuple(
                    (field, value)
                    for field, value in found.groupdict().items()
                    if value is not None
                )
                return Event(name, fields)
        return None


def events(*table: tuple[str, bytes]) -> tuple[tuple[str, Late], ...]:
    """Return a family's events from a table of names and patterns."""
    return tuple((name, Late(pattern)) for name, pattern in table)


def passes(*table: tuple[str, bytes]) -> tuple[Pass, ...]:
    """Return a family's passes from a table of kinds, separated by blanks, and patterns."""
    return tuple(
        Pass(frozenset(kinds.split()), Late(pattern, re.MULTILINE)) for kinds, pattern in table
    )


# -- keys -----------------------------------------------------------------------------------


def normal(kind: str, value: bytes) -> bytes | None:
    """Return the normal form in which keys are compared, or None if the value is not a key.

    Case counts in ids, but not in addresses, domains, users and HELO names: the case of a local
    part is the receiver's business (RFC 5321, 2.4), but whoever searches seldom knows it.
    """
    if kind == "address" and value in {b"", EMPTY_SENDER}:
        return EMPTY_SENDER
    value = value.strip(EDGES)
    if kind == "ip":
        return normal_ip(value)
    if kind in {"address", "domain", "user", "helo"}:
        value = value.lower()
    return value or None


def normal_ip(value: bytes) -> bytes | None:
    """Return an IP address in its usual spelling: ::ffff:192.0.2.1 is 192.0.2.1 (RFC 4291).

    None: not an address.
    """
    if value[:7].lower() == b"::ffff:" and IPV4.fullmatch(value, 7):
        value = value[7:]
    if IPV4.fullmatch(value):
        return value
    if b":" not in value:
        return None
    try:
        address = ipaddress.IPv6Address(value.lower().removeprefix(b"ipv6:").decode())
    except ValueError:
        return None
    return str(address.ipv4_mapped or address).encode()


def keys(event: Event) -> Iterator[tuple[str, bytes]]:
    """Yield the kind and normal form of each key in an event, with the domains of addresses."""
    for field, written in event.fields:
        kind = KIND_OF.get(field)
        if kind is None:
            continue
        values = addresses(written) if field == "recipients" else (written,)
        for value in values:
            key = normal(kind, value)
            if key is not None:
                yield kind, key
                if kind in {"address", "user"} and (domain := domain_of(key)):
                    yield "domain", domain


def addresses(written: bytes) -> list[bytes]:
    """Split a list of addresses such as `<a@b>,<c@d>` or `a,b`."""
    return re.findall(rb"[^\s,<>]+", written)


def domain_of(address: bytes) -> bytes:
    """Return the part after an address's last @, or nothing if it has no @."""
    return address.rpartition(b"@")[2] if b"@" in address else b""
