"""Which merged indexes there are: that follows from the length of the chain, and from the archives
that have expired.

Pure. Their names follow from it too, so there is no list of them that could be wrong.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from archiver.archives.names import MERGED_INDEX_SUFFIX, source_prefix

FAN = 4
SIZES = tuple(FAN**power for power in range(5, 0, -1))
LARGEST = SIZES[0]


@dataclass(frozen=True, order=True)
class Span:
    """The archives with the numbers first <= n <= last, in the chain of their source."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def parts(self) -> "list[Span]":
        """What it is merged from: the spans of four merged indexes, or four archives."""
        size = self.size // FAN
        firsts = range(self.first, self.last + 1, size)
        return [Span(first, first + size - 1) for first in firsts]


def spans(head: int, expired: Collection[int] = ()) -> list[Span]:
    """Return the spans of all merged indexes of a chain, oldest first.

    head: the number of the chain's newest archive. expired: the numbers of archives that none of
    them may cover.
    """
    found: list[Span] = []
    at, numbers = 0, sorted(expired)
    for size in SIZES:
        while at + size <= head:
            found += _unbroken(Span(at + 1, at + size), numbers)
            at += size
    return found


def _unbroken(span: Span, numbers: Sequence[int]) -> Iterator[Span]:
    """Yield a span, or its largest parts that cover none of these numbers."""
    covered = bisect_right(numbers, span.last) - bisect_left(numbers, span.first)
    if not covered:
        yield span
    elif span.size > FAN and covered < span.size:
        for part in span.parts:
            yield from _unbroken(part, numbers)


def covering(number: int) -> list[Span]:
    """Return the spans of all merged indexes that could cover an archive.

    number: the archive's, in the chain.
    """
    befores = [(number - 1) // size * size for size in SIZES]
    return [Span(at + 1, at + size) for at, size in zip(befores, SIZES, strict=True)]


def key_of(host: str, source: str, span: Span) -> str:
    """Return the key of a merged index on a store."""
    name = f"{source}-{span.first:06d}-{span.last:06d}{MERGED_INDEX_SUFFIX}"
    return f"{source_prefix(host, source)}runs/{name}"
