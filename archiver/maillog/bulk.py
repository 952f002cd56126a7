"""Find keys in bulk: in megabytes of log at once, without looking at each line.

Pure. Parsing every line takes ten times as long as zstd. So the lines of a frame are sorted by
program family. The usual ones are taken whole, by one pattern. The rest is searched with a few
patterns that begin with a literal (`re` finds that at the speed of memory). They find all keys that
parsing would, and a few more, which do no harm: a search looks at each line again.

Kinds are not kept apart: an address and a Message-ID of the same spelling are one entry.
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
from archiver.maillog.record import (
    COLLECTED,
    DOVECOT,
    FACILITY,
    LONGEST,
    PRIORITY,
    RFC5424,
    SPACED,
    SPACED_STAMP,
    STAMP,
    SYSLOG,
    record,
)
from archiver.system.streams import cut

# Passes for all lines, whatever their family: a search for text may rely on them too.
EVERYWHERE = passes(
    ("message_id address domain user", rb"<([^\s<>@]*@[^\s<>]*)>"),
    ("ip", rb"\[(?:::ffff:(?=[\d.]+\])|ipv6:)?([0-9a-f]*[.:][0-9a-f.:]*)\]"),
)
UNUSUAL = re.compile(rb"[ <>:]")
DOMAINS = re.compile(rb"@([^@\n]*+)$", re.MULTILINE)
BEFORE_HOST = re.compile(
    PRIORITY + rb"(?:" + STAMP + rb"|" + SPACED_STAMP + rb")(?: <[a-z0-9.]+>)?"
)
# Lines to which the columns of the others do not apply: no blank after the process, or several; or
# what a family's patterns do not expect at a line's end.
# Two patterns, for `re` looks for a literal beginning at the speed of memory.
APART = (re.compile(rb"\[\d{1,7}\]:(?:[^ \n]|  | \[ID )"), re.compile(rb" \n"))
HAS_FACILITY = re.compile(FACILITY)
STAMP_BEGINS = re.compile(rb"[^<\[]*: \d+")
SPLOGGER_STAMPS = re.compile(rb"(?:\d{10}\.\d{6} )*")
SECOND_HEADER = re.compile(rb":\d\d (?<=[^\n]{20})\S+ [^\s:\[\]]+(?:\[\d+\])?: ")
# How many bytes after the host decide which lines are put together: enough for the tag.
TAG_WIDTH = 12
MOST_TAGS = 10_000
# A piece of so many bytes, with all that is made of it, fits into a processor's cache.
PIECE = 2**19
# If the host begins before this column, no second host and tag fit in front of it.
EARLY = 15
# A group of a pattern for usual lines; and its kinds, where its name is not the kind itself.
GROUP = re.compile(rb"\(\?P<(\w+)>")
KINDS_OF = {
    b"bracketed": EVERYWHERE[0].kinds,
    b"address": {"address", "domain"},
    b"user": {"user", "domain"},
}

Families = tuple[Family, ...]
Find = Callable[[bytes], list[bytes]]


def spelt(found: set[bytes], kinds: Collection[str]) -> set[bytes]:
    """Return every key that these texts (in lower case) may be, in its normal form."""
    # All at once, one text a line: that saves a loop.
    text = b"\n".join(found)
    keys = found - {b""}
    for key in _texts_with(UNUSUAL, text):
        keys.discard(key)
        keys |= {key.strip(EDGES), normal_ip(key) or b""}
    if "domain" in kinds:
        keys.update(domain.rstrip(EDGES) for domain in DOMAINS.findall(text))
    return keys - {b""}


def finders(table: Iterable[Pass], kinds: Collection[str]) -> list[Find]:
    """Return functions that find keys of any of these kinds in lower-cased text."""
    return [each.pattern.compiled.findall for each in table if not each.kinds.isdisjoint(kinds)]


@lru_cache(maxsize=256)
def searches(families: Families, kinds: frozenset[str]) -> list[Find]:
    """Return functions that find all keys of these kinds in lines of these families."""
    table = [bulk_pass for family in families for bulk_pass in family.passes]
    return finders([*EVERYWHERE, *table], kinds)


@lru_cache(maxsize=256)
def usual(families: Families, kinds: frozenset[str], header: int) -> tuple[re.Pattern[bytes], ...]:
    """Return patterns for the usual lines of these families. Each matches from the newline before
    a line to the one after it, and its groups are the keys of these kinds.

    header: how many bytes the header of a line has at least.
    """

    def group(opening: re.Match[bytes]) -> bytes:
        name = opening[1]
        return b"(?:" if KINDS_OF.get(name, {name.decode()}).isdisjoint(kinds) else b"("

    texts = [GROUP.sub(group, each.usual) for each in families if each.usual]
    return tuple(re.compile(rb"\n.{%d}\S*: (?:%s)(?=\n)" % (header, text)) for text in texts)


def _texts_with(pattern: re.Pattern[bytes], text: bytes) -> Iterator[bytes]:
    """Yield the lines in which a pattern is found, without newlines."""
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

        before, after: the text around the frame, where a line of the frame may have its other part.
        """
        found: set[bytes] = set()
        to_parse = list(_incomplete(before, frame, after))
        for piece in cut(io.BytesIO(frame), PIECE):
            clean = _without_returns(piece)
            lines = clean.split(b"\n")
            apart = [line for pattern in APART for line in _texts_with(pattern, clean)]
            apart += lines[-1:] if clean.endswith(b" ") else []
            begin, host = _shape(lines)
            low_host, twice = host.lower(), 0
            for families, header, text in self._sorted(lines, apart, begin, host, to_parse):
                rest = self._take_usual(families, header, text, found)
                if len(rest) > 1:
                    found.update(*(find(rest) for find in searches(families, self.kinds)))
                    own = rest.count(b"\n") - 1 if header else 0
                    twice += max(rest.count(low_host) - own, 0)
            if host and twice:
                to_parse += _double(piece)
        for line in to_parse:
            found |= {key.lower() for kind, key in keys_of(line) if kind in self.kinds}
        return spelt(found, self.kinds) | _empty_sender(frame, self.kinds)

    def _take_usual(self, families: Families, header: int, text: bytes, found: set[bytes]) -> bytes:
        """Add the keys of the usual lines to `found`; return the other lines."""
        for pattern in usual(families, self.kinds, header):
            # Text before a match, the match's groups, text before the next match, its groups, …
            parts = pattern.split(text)
            text = b"".join(parts[:: pattern.groups + 1])
            del parts[:: pattern.groups + 1]
            found.update(filter(None, parts))
        return text

    def _sorted(
        self,
        lines: list[bytes],
        apart: list[bytes],
        begin: int,
        host: bytes,
        to_parse: list[bytes],
    ) -> Iterator[tuple[Families, int, bytes]]:
        """Yield for each family, or group of families: the families; how many bytes their lines'
        headers have at least; and the lines, lower-cased, with a newline before and after each.

        apart: those of the lines whose headers must be parsed. to_parse: lines without the usual
        header are added to it if they may hold two records.
        """
        header = begin + len(host) or 1
        host_and_tag = slice(begin, header + TAG_WIDTH)
        by_tag: dict[bytes, list[bytes]] = defaultdict(list)
        for line in lines:
            by_tag[line[host_and_tag]].append(line)
        alike = begin <= EARLY or all(
            map(BEFORE_HOST.fullmatch, set(map(itemgetter(slice(begin)), lines)) - {b""})
        )
        of_families: dict[tuple[Families, int], list[bytes]] = defaultdict(list)
        for line in apart:
            own, text = _by_header(line)
            of_families[own, 0].append(text.rstrip(b" "))
        for tag, of_tag in by_tag.items():
            families: Families | None = None
            if host and alike and tag.startswith(host):
                families = _families_by_tag(tag[len(host) :])
            if families is None:
                for line in of_tag:
                    own, text = _by_header(line)
                    of_families[own, 0].append(text)
                of_families[(), header] += of_tag  # for the keys in their headers
                to_parse += _double(b"\n".join(of_tag))
            elif STAMP_BEGINS.fullmatch(tag) and (
                texts := _texts(of_tag, begin + tag.rindex(b" ") + 1)
            ):
                of_families[families, 0] += texts
            else:
                of_families[families, header] += of_tag
        for (families, width), of_them in of_families.items():
            newline = b"\n" if width else b"\n: "
            yield families, width, newline.join([b"", *of_them, b""]).lower()


def _without_returns(piece: bytes) -> bytes:
    """The piece without what a copy through Windows leaves at the ends of lines, if it was one."""
    if b"\r" not in piece:
        return piece
    return b"\n".join([line.rstrip(b" \r") for line in piece.split(b"\n")])


def _shape(lines: Sequence[bytes]) -> tuple[int, bytes]:
    """The offset of ` host ` in the first line that has one, and ` host ` itself: in most logs
    both are the same in all lines.
    """
    for line in lines[:100]:
        if RFC5424.match(line) or DOVECOT.match(line):
            continue
        if (collected := COLLECTED.match(line)) and collected.end():
            continue
        if (header := SYSLOG.match(line) or SPACED.match(line)) and not re.search(
            rb"[<\[]", header["host"]
        ):
            return header.start("host") - 1, b" " + header["host"] + b" "
    return 0, b""


def _texts(lines: list[bytes], at: int) -> Collection[bytes]:
    """The lines' texts after splogger's stamps, each once, if all lines have a stamp at that place:
    many then say the same, such as how many deliveries are under way.
    """
    stamps = slice(at, at + 18)
    if SPLOGGER_STAMPS.fullmatch(b"".join([line[stamps] for line in lines])):
        return {line[at + 18 :] for line in lines}
    return ()


@lru_cache(maxsize=MOST_TAGS)
def _families_by_tag(name: bytes) -> Families | None:
    """The families that such lines may be from, by the text after ` host `; None: their headers
    must be parsed.

    One family too many costs a little time; one too few would lose keys.
    """
    if name.lower().startswith(b"postfix/"):
        return family_of(name)
    found = re.match(rb"([^\s:\[\]]+)(\[|:? )(.?)", name, re.DOTALL)
    if (
        found is None
        or (found[3] and found[2] != b"[" and found[3] in b" [")
        or HAS_FACILITY.match(name)
    ):
        return None
    # After the blank, splogger's stamp may follow, or "message repeated … times: [ " and the stamp.
    if found[2] != b"[" and (not found[3] or found[3] in b"0123456789m"):
        return _and_splogged(family_of(found[1]))
    return family_of(found[1])


def _by_header(line: bytes) -> tuple[Families, bytes]:
    """The families that a line may be from, and its text."""
    parsed = record(line)
    if parsed is None:
        return (), line
    families = family_of(parsed.program)
    is_splogged = parsed.logged or parsed.stamp.startswith(b"@")
    if is_splogged or parsed.text.startswith(b"message repeated "):
        families = _and_splogged(families)
    return families, parsed.text


def _and_splogged(families: Families) -> Families:
    return (*families, *(each for each in SPLOGGED if each not in families))


# -- records of several lines, and lines of several records ----------------------------------


def _double(text: bytes) -> Iterator[bytes]:
    """Yield the lines that may hold two records: a second header stands in their middle."""
    return (line for line in _texts_with(SECOND_HEADER, text) if len(line) <= LONGEST)


def _incomplete(before: bytes, frame: bytes, after: bytes) -> Iterator[bytes]:
    """Yield lines that do not stand in the frame as such, but whose keys it must have: records that
    splogger broke, joined; and the line before the frame that a "last message repeated" means.
    """
    if CONTINUES.search(frame) or CONTINUES.search(after):
        begin, end = len(before), len(before) + len(frame)
        for spans, line in continued(before + frame + after):
            if any(begin <= start < end for start, _ in spans):
                yield line
    text = before + frame[:NEAR]
    for _, meant in repeated_across(text, len(before), len(text)):
        yield text[slice(*meant)]
