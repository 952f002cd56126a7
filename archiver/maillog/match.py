"""Find the lines that tell certain keys, or hold a certain text.

Pure. A key is looked for as text first, which is fast; then the line is taken apart, and only
what a program itself told counts. So a Message-ID that someone put into a reason is no match.
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
    """What lines are asked for: all of it must hold.

    keys: for each kind asked for, the keys (normal form) of which one must be told. pattern: to
    be found in the line. Nothing at all: every line.
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
        """Whether each line must be looked at: no plain text tells which ones."""
        return self.pattern is not None and self._text is None

    def lines(self, text: bytes, begin: int, end: int) -> Iterator[Span]:
        """Yield the lines that begin within begin <= at < end, in order.

        text: also what stands around them, so that lines which belong together are seen as such.
        """
        spans = set(self._alone(text, begin, end))
        if self.keys:
            spans |= set(self._together(text, begin, end, spans))
        for span in sorted(spans):
            # Line by line: a pattern is meant for one of them, and may be slow on megabytes.
            if self.pattern is None or self.pattern.search(text[slice(*span)].removesuffix(b"\n")):
                yield span

    def _alone(self, text: bytes, begin: int, end: int) -> Iterator[Span]:
        """The lines that match by themselves, as far as keys and plain text tell."""
        low = text.lower() if self.keys else text
        for span in lines_with(self._text or ANYTHING, low, begin, end):
            if span[0] >= begin and (not self.keys or self.told_by(text[slice(*span)])):
                yield span

    def told_by(self, line: bytes) -> bool:
        """Whether a line by itself tells a key of each kind asked for."""
        if len(line) > LONGEST + 1:
            return False
        told = keys_of(line)
        return all(any((kind, key) in told for key in keys) for kind, keys in self.keys)

    def _together(self, text: bytes, begin: int, end: int, spans: set[Span]) -> Iterator[Span]:
        """The lines that match with others: pieces of one record; repetitions of a line."""
        if CONTINUES.search(text):
            for pieces, line in continued(text):
                if self.told_by(line):
                    yield from (span for span in pieces if begin <= span[0] < end)
        if not REPEATED.search(text):
            return
        for span in spans:
            yield from (other for other in repeated_after(text, span) if begin <= other[0] < end)
        # Those that mean a line before all of these.
        for span, meant in repeated_across(text, begin, end):
            if self.told_by(text[slice(*meant)]):
                yield span


def _text_of(kind: str, keys: frozenset[bytes]) -> bytes:
    """A pattern for what must stand, lower-cased, in a line that tells one of these keys."""
    if kind == "ip" and any(b":" in key for key in keys):
        return rb":"  # there are many spellings
    text = b"|".join(re.escape(key.lower()) for key in sorted(keys))
    return text + MAPPED if kind == "ip" else text


def keys_in(pattern: re.Pattern[bytes]) -> set[tuple[frozenset[str], bytes]]:
    """Return keys, in lower case, that stand in every line a pattern is found in, if that can be
    told: `<…@…>` and `[192.0.2.1]` written out in it. With each, the kinds of which one must be
    indexed for it to be in the index.
    """
    return {
        (each.kinds, key)
        for text in _literals(pattern)
        for each in EVERYWHERE
        for key in each.pattern.compiled.findall(text.lower())
    }


def _literals(pattern: re.Pattern[bytes]) -> list[bytes]:
    """The stretches of plain text that must be there, one behind the other."""
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
