"""Find keys in bulk: in megabytes of log at once, without looking at each line.

Pure. A parse of every line costs ten times what zstd does. So the lines of a frame are sorted
by program family. The usual ones are taken whole, by one pattern. Over what is left, a few patterns
are run that begin with a literal (re searches for that at the speed of memory). They find all that
a parse would, and a little more: whoever looks a key up reads the line again, and is never misled.

Kinds are not told apart: an address and a Message-ID of the same spelling are one entry.
"""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from archiver.maillog.facts import EDGES, EMPTY_SENDER, Family, Pass, normal_ip, passes
from archiver.maillog.lines import CONTINUES, NEAR, continued, keys_of, lines_with, repeated_across
from archiver.maillog.programs import SPLOGGED, family_of
from archiver.maillog.record import BSD_STAMP, ISO_STAMP, LONGEST, PRIORITY, RFC5424, SYSLOG, record
from archiver.system.streams import cut

# What stands in any line, whoever wrote it: a search for text may rely on it too.
EVERYWHERE = passes(
    ("message_id address domain user", rb"<([^\s<>@]*@[^\s<>]*)>"),
    ("ip", rb"\[(?:::ffff:(?=[\d.]+\])|ipv6:)?([0-9a-f]*[.:][0-9a-f.:]*)\]"),
)
UNUSUAL = re.compile(rb"[ <>:]")
DOMAINS = re.compile(rb"@([^@\n]*?)[ <>]*$", re.MULTILINE)
BEFORE_HOST = re.compile(
    PRIORITY + rb"(?:" + BSD_STAMP + rb"|" + ISO_STAMP + rb")(?: <[a-z0-9.]+>)?"
)
STAMP_BEGINS = re.compile(rb"[^<\[]*: \d+")
SPLOGGER_STAMPS = re.compile(rb"(?:\d{10}\.\d{6} )*")
SECOND_HEADER = re.compile(rb":\d\d (?<=[^\n]{20})\S+ [^\s:\[\]]+(?:\[\d+\])?: ")
# How many bytes behind the host say under which tag a line was logged.
TAG_WIDTH = 12
MOST_TAGS = 10_000
# What fits into a processor's cache, with all that is made of it.
PIECE = 2**19
# In front of a host that begins so early, no other host and tag have room.
EARLY = 15
# A group of a pattern for usual lines; and what kinds it is of, if not of the one it is named for.
GROUP = re.compile(rb"\(\?P<(\w+)>")
KINDS_OF = {
    b"bracketed": EVERYWHERE[0].kinds,
    b"address": {"address", "domain"},
    b"user": {"user", "domain"},
}

Families = tuple[Family, ...]
Find = Callable[[bytes], list[bytes]]


def spelt(there: set[bytes], kinds: Collection[str]) -> set[bytes]:
    """Return the keys that these texts, lower-cased, can be meant as."""
    # All of them at once, one a line: that spares a loop.
    text = b"\n".join(there)
    keys = there - {b""}
    for key in _texts_with(UNUSUAL, text):
        keys.discard(key)
        keys |= {key.strip(EDGES), normal_ip(key) or b""}
    if "domain" in kinds:
        keys.update(DOMAINS.findall(text))
    return keys - {b""}


def finders(table: Iterable[Pass], kinds: Collection[str]) -> list[Find]:
    """Return what finds keys of any of the kinds in lower-cased text."""
    return [each.pattern.compiled.findall for each in table if not each.kinds.isdisjoint(kinds)]


@lru_cache(maxsize=256)
def searches(families: Families, kinds: frozenset[str]) -> list[Find]:
    """Return what finds all keys of these kinds in lines of these families."""
    table = [each for family in families for each in family.passes]
    return finders([*EVERYWHERE, *table], kinds)


@lru_cache(maxsize=256)
def usual(families: Families, kinds: frozenset[str], header: int) -> tuple[re.Pattern[bytes], ...]:
    """Return patterns for the usual lines of these families, each from the newline before it to the
    one behind it, with a header of at least so many bytes. Their groups are keys of these kinds.
    """

    def group(found: re.Match[bytes]) -> bytes:
        return b"(?:" if KINDS_OF.get(found[1], {found[1].decode()}).isdisjoint(kinds) else b"("

    texts = [GROUP.sub(group, each.usual) for each in families if each.usual]
    return tuple(re.compile(rb"\n.{%d}\S*: (?:%s)(?=\n)" % (header, text)) for text in texts)


def _texts_with(pattern: re.Pattern[bytes], text: bytes) -> Iterator[bytes]:
    """Yield the lines in which a pattern is found, without their newlines."""
    return (text[slice(*span)].removesuffix(b"\n") for span in lines_with(pattern, text))


def _empty_sender(text: bytes, kinds: Collection[str]) -> set[bytes]:
    return {EMPTY_SENDER} if "address" in kinds and EMPTY_SENDER in text else set()


# -- a frame --------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeyReader:
    """Reads the keys of some kinds out of frames, one after the other."""

    kinds: frozenset[str]

    def keys(self, frame: bytes, *, before: bytes = b"", after: bytes = b"") -> set[bytes]:
        """Return the frame's keys, in lower case.

        before, after: what stands around it: a line may belong to one there.
        """
        there: set[bytes] = set()
        odd = list(_incomplete(before, frame, after))
        for piece in cut(io.BytesIO(frame), PIECE):
            lines = piece.split(b"\n")
            begin, host = _shape(lines)
            low_host, twice = host.lower(), 0
            for families, header, text in self._sorted(lines, begin, host, odd):
                rest = self._take_usual(families, header, text, there)
                if len(rest) > 1:
                    there.update(*(find(rest) for find in searches(families, self.kinds)))
                    own = rest.count(b"\n") - 1 if header else 0
                    twice += max(rest.count(low_host) - own, 0)
            if host and twice:
                odd += _double(piece)
        for line in odd:
            there |= {key.lower() for kind, key in keys_of(line) if kind in self.kinds}
        return spelt(there, self.kinds) | _empty_sender(frame, self.kinds)

    def _take_usual(self, families: Families, header: int, text: bytes, there: set[bytes]) -> bytes:
        """Add the keys of the usual lines; return the others."""
        for pattern in usual(families, self.kinds, header):
            # What stands before a match, its groups, what stands before the next, its groups, …
            parts = pattern.split(text)
            text = b"".join(parts[:: pattern.groups + 1])
            del parts[:: pattern.groups + 1]
            there.update(filter(None, parts))
        return text

    def _sorted(
        self, lines: list[bytes], begin: int, host: bytes, odd: list[bytes]
    ) -> Iterator[tuple[Families, int, bytes]]:
        """Yield the lines of each family, or group of families, lower-cased, with a newline before
        and behind each; and how long a header they have at least.

        odd: gets the lines that may hold two records, of those that are not like the others.
        """
        header = begin + len(host) or 1
        behind = slice(begin, header + TAG_WIDTH)
        by_tag: dict[bytes, list[bytes]] = defaultdict(list)
        for line in lines:
            by_tag[line[behind]].append(line)
        alike = begin <= EARLY or all(
            map(BEFORE_HOST.fullmatch, set(map(itemgetter(slice(begin)), lines)) - {b""})
        )
        of_families: dict[tuple[Families, int], list[bytes]] = defaultdict(list)
        for tag, of_tag in by_tag.items():
            families = None
            if host and alike and tag.startswith(host):
                families = _families_by_tag(tag[len(host) :])
            if families is None:
                for line in of_tag:
                    families, text = _by_header(line)
                    of_families[families, 0].append(text)
                of_families[(), header] += of_tag  # for what stands in their headers
                odd += _double(b"\n".join(of_tag))
            elif STAMP_BEGINS.fullmatch(tag) and (
                texts := _texts(of_tag, begin + tag.rindex(b" ") + 1)
            ):
                of_families[families, 0] += texts
            else:
                of_families[families, header] += of_tag
        for (families, width), of_them in of_families.items():
            newline = b"\n" if width else b"\n: "
            yield families, width, newline.join([b"", *of_them, b""]).lower()


def _shape(lines: Sequence[bytes]) -> tuple[int, bytes]:
    """Where ` host ` stands in the first line that has it, and what it is: in most logs it stands
    there in all lines.
    """
    for line in lines[:100]:
        if RFC5424.match(line):
            continue
        if (header := SYSLOG.match(line)) and not re.search(rb"[<\[]", header["host"]):
            return header.start("host") - 1, b" " + header["host"] + b" "
    return 0, b""


def _texts(lines: list[bytes], at: int) -> Collection[bytes]:
    """What the lines say behind splogger's stamps, if such stand at that place in all of them:
    then many say the same, such as how many deliveries are under way.
    """
    stamps = slice(at, at + 18)
    if SPLOGGER_STAMPS.fullmatch(b"".join([line[stamps] for line in lines])):
        return {line[at + 18 :] for line in lines}
    return ()


@lru_cache(maxsize=MOST_TAGS)
def _families_by_tag(name: bytes) -> Families | None:
    """Whose lines these may be, by what stands behind ` host `; None: the header must tell.

    One family too many costs a little time; one too few would lose keys.
    """
    if name.lower().startswith(b"postfix/"):
        return family_of(name)
    found = re.match(rb"([^\s:\[\]]+)(\[|:? )(.?)", name, re.DOTALL)
    if found is None:
        return None
    # Behind a blank may follow splogger's stamp, or "message repeated … times: [ " and that.
    if found[2] != b"[" and (not found[3] or found[3] in b"0123456789m"):
        return _and_splogged(family_of(found[1]))
    return family_of(found[1])


def _by_header(line: bytes) -> tuple[Families, bytes]:
    """Whose line it may be, and what it says."""
    of = record(line)
    if of is None:
        return (), line
    families = family_of(of.program)
    if of.logged or of.stamp.startswith(b"@") or of.text.startswith(b"message repeated "):
        families = _and_splogged(families)
    return families, of.text


def _and_splogged(families: Families) -> Families:
    return (*families, *(each for each in SPLOGGED if each not in families))


# -- lines that are not alone, or not one ----------------------------------------------------


def _double(text: bytes) -> Iterator[bytes]:
    """Yield the lines that may hold two records: in their middle stands another header."""
    return (line for line in _texts_with(SECOND_HEADER, text) if len(line) <= LONGEST)


def _incomplete(before: bytes, frame: bytes, after: bytes) -> Iterator[bytes]:
    """Yield lines whose keys the frame has too, though they do not stand in it as they are: what
    splogger broke, joined; and what a first line "last message repeated" means.
    """
    if CONTINUES.search(frame) or CONTINUES.search(after):
        begin, end = len(before), len(before) + len(frame)
        for spans, line in continued(before + frame + after):
            if any(begin <= start < end for start, _ in spans):
                yield line
    text = before + frame[:NEAR]
    for _, meant in repeated_across(text, len(before), len(text)):
        yield text[slice(*meant)]
