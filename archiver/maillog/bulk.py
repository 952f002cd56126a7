"""Find keys in bulk: in megabytes of log at once, without looking at each line.

Pure. A parse of every line costs ten times what zstd does. So the lines of a frame are sorted
by program family, and a few patterns that begin with a literal are run over the whole of each
(re searches for a literal at the speed of memory). They find all that a parse would, and a
little more: whoever looks a key up reads the line again, and is never misled.

Kinds are not told apart: an address and a Message-ID of the same spelling are one entry.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from archiver.maillog.facts import EMPTY_SENDER, Family, Pass, domain_of, normal_ip, passes

# What stands in any line, whoever wrote it: `grep` may rely on it too.
EVERYWHERE = passes(
    ("message_id address domain user", rb"<([^\s<>]*@[^\s<>]*)>"),
    ("ip", rb"\[((?:::ffff:|ipv6:)?[0-9a-f.:]{2,45})\]"),
)
EMPTY = re.compile(rb"<>")


def tokens(text: bytes, family: Family | None, kinds: Collection[str]) -> set[bytes]:
    """Return the keys of these kinds in the lower-cased lines of one family, in lower case."""
    table = EVERYWHERE + (family.passes if family else ())
    return spelt(found(text, table, kinds), kinds) | empty_sender(text, kinds)


def found(text: bytes, table: Iterable[Pass], kinds: Collection[str]) -> set[bytes]:
    """Return what the passes for any of the kinds find, as it stands there."""
    there: set[bytes] = set()
    for each in table:
        if not each.kinds.isdisjoint(kinds):
            there.update(each.pattern.findall(text))
    return there


def empty_sender(text: bytes, kinds: Collection[str]) -> set[bytes]:
    return {EMPTY_SENDER} if "address" in kinds and b"<>" in text else set()


def spelt(there: Iterable[bytes], kinds: Collection[str]) -> set[bytes]:
    """Return the keys that these texts can be meant as."""
    return set(_spelt(there, with_domains="domain" in kinds))


def _spelt(there: Iterable[bytes], *, with_domains: bool) -> Iterator[bytes]:
    for written in there:
        token = written.strip(b" <>")
        if with_domains and b"@" in token:
            yield domain_of(token)
        if b":" in token and (ip := normal_ip(token)):
            yield ip
        if token:
            yield token
