"""Find the lines that have certain keys, or hold a certain text.

Pure. A key is looked for as text first, which is fast; then the line is taken apart, and only a
field of a program's event counts. So a Message-ID that somebody put into a reason does not match.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from archiver.maillog.bulk import EVERYWHERE
from archiver.maillog.lines import (
    CONTINUES,
    REPEATED,
    Span,
    continued,
    keys_of,
    lines_with,
    repeated_across,
    repeated_after,
)
from archiver.maillog.record import LONGEST

ANYTHING = re.compile(rb".", re.DOTALL)
# An IPv4 address may also be written as an IPv6 one, in hexadecimal.
MAPPED = rb"|:ffff:[0-9a-f]{1,4}:[0-9a-f]{1,4}"


@dataclass(frozen=True)
class Wanted:
    """Which lines are asked for: those that meet all conditions; every line, if there are none.

    keys: for each kind, keys in normal form, of which the line must have one. pattern: to be found
    in the line.
    """

    keys: tuple[tuple[str, frozenset[bytes]], ...] = ()
    pattern: re.Pattern[bytes] | None = None
    _text: re.Pattern[bytes] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        texts = [_text_of(kind, keys) for kind, keys in self.keys]
        if not texts and self.pattern:
            texts = [re.escape(text) for text in _literals(self.pattern)]
        # The longest is the rarest, most likely.
        if best := max(texts, key=len, default=b""):
            object.__setattr__(self, "_text", re.compile(best))

    def __bool__(self) -> bool:
        """Whether anything in particular is wanted."""
        return bool(self.keys or self.pattern)

    @property
    def is_slow(self) -> bool:
        """Whether every line must be looked at, because there is no plain text to search for."""
        return self.pattern is not None and self._text is None

    def lines(self, text: bytes, begin: int, end: int) -> Iterator[Span]:
        """Yield the wanted lines that begin within begin <= at < end, in order.

        text: may reach further on both sides, so that lines that belong together are recognised.
        """
        spans = set(self._alone(text, begin, end))
        if self.keys:
            spans |= set(self._together(text, begin, end, spans))
        for span in sorted(spans):
            # Line by line: a pattern is meant for single lines, and may be slow on megabytes.
            if self.pattern is None or self.pattern.search(text[slice(*span)].removesuffix(b"\n")):
                yield span

    def _alone(self, text: bytes, begin: int, end: int) -> Iterator[Span]:
        """The lines that match by themselves, as far as keys and plain text tell."""
        low = text.lower() if self.keys else text
        for span in lines_with(self._text or ANYTHING, low, begin, end):
            if span[0] >= begin and (not self.keys or self._has_keys(text[slice(*span)])):
                yield span

    def _has_keys(self, line: bytes) -> bool:
        """Whether a line by itself has one of the keys of each kind asked for."""
        if len(line) > LONGEST + 1:
            return False
        of_line = keys_of(line)
        return all(any((kind, key) in of_line for key in keys) for kind, keys in self.keys)

    def _together(self, text: bytes, begin: int, end: int, spans: set[Span]) -> Iterator[Span]:
        """The lines that match with others: pieces of one record; repetitions of a line."""
        if CONTINUES.search(text):
            for pieces, line in continued(text):
                if self._has_keys(line):
                    yield from (span for span in pieces if begin <= span[0] < end)
        if not REPEATED.search(text):
            return
        for span in spans:
            yield from (other for other in repeated_after(text, span) if begin <= other[0] < end)
        # Repetitions of a line that stands before `begin`.
        for span, meant in repeated_across(text, begin, end):
            if self._has_keys(text[slice(*meant)]):
                yield span


def _text_of(kind: str, keys: frozenset[bytes]) -> bytes:
    """A pattern that is found in the lower-cased text of every line with one of these keys."""
    if kind == "ip" and any(b":" in key for key in keys):
        return rb":"  # an IPv6 address has many spellings
    text = b"|".join(re.escape(key.lower()) for key in sorted(keys))
    return text + MAPPED if kind == "ip" else text


def keys_in(pattern: re.Pattern[bytes]) -> set[tuple[frozenset[str], bytes]]:
    """Return the keys, in lower case, that every line in which a pattern is found must have:
    `<…@…>` and `[192.0.2.1]` where they are written out in it. With each key, the kinds of which
    one must be indexed for the key to be in the index.
    """
    return {
        (bulk_pass.kinds, key)
        for text in _literals(pattern)
        for bulk_pass in EVERYWHERE
        for key in bulk_pass.pattern.compiled.findall(text.lower())
    }


def _literals(pattern: re.Pattern[bytes]) -> list[bytes]:
    """The stretches of plain text that a match must hold, in order."""
    if pattern.flags & re.IGNORECASE:
        return [b""]
    parser = re._parser  # type: ignore[attr-defined]  # noqa: SLF001 (the only parser of patterns there is)
    texts, text = [], bytearray()
    for operation, argument in parser.parse(pattern.pattern, pattern.flags):
        if str(operation) == "LITERAL":
            text.append(argument)
        else:
            texts.append(bytes(text))
            text.clear()
    return [*texts, bytes(text)]
