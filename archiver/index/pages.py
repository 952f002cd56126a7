"""The index format: a key's page is computed from its hash, so one read finds it.

Pure. An index says in which places a key may stand: in which frames of an archive or, merged,
in which of several archives. docs/format.md specifies the format for future readers.

    hash      the first 40 bits of BLAKE2b of the key, keyed with the host's name
    page      4096 bytes: header; the hashes of its entries, in order, each as the distance to
              the one before, in columns of bytes; their places; zeros
    header    CRC-32, version, flags, kinds, number of entries, columns, the first hash
    places    numbers, each as the distance to the one before

The home of an entry is page `hash * homes >> 40`. An entry for which there is no room at home goes
into the next page; so the last pages are no entry's home. The lines found must be looked at again:
another key may have the same hash.
"""

import math
import operator
import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, chain, islice
from typing import BinaryIO

from archiver.archives.names import PAGE
from archiver.maillog.kinds import KINDS

VERSION = 1
GOES_ON = 1  # flag: the next page begins with entries for which there was no room here
HEADER = struct.Struct(">IBBHHB5s")
FLAGS = 5
ROOM = PAGE - HEADER.size
BITS = 40
PLACE_BITS = 24
# Bytes. A key with a longer list, or one in more than half of all places, gets "in every place".
LONGEST_LIST = 1024
EVERY = b"\0"
# Not a key, but a step towards a hash whose distance does not fit into the columns.
NOWHERE = b"\1"
# How full pages are on average. Fuller ones would push many entries out of their homes.
FILL = 0.94


class DamagedIndexError(ValueError):
    """A page is not as it was written, or belongs to another index."""


class TooFewPagesError(Exception):
    """The entries need more pages than they were given."""


@dataclass(frozen=True)
class Places:
    """What an index says about a key.

    kinds: the kinds of key that the index was made for. places: where the key may stand; None:
    everywhere.
    """

    kinds: frozenset[str]
    places: tuple[int, ...] | None


def hasher(host: str) -> Callable[[Iterable[bytes]], list[bytes]]:
    """Return a function that hashes a host's keys, in lower case, to 8 bytes each, of which the
    first 5 count: BLAKE2b (RFC 7693), keyed with the host's name.
    """
    keyed = blake2b(digest_size=8, key=host.encode()).copy

    def hashes(texts: Iterable[bytes]) -> list[bytes]:
        hashed = []
        for text in texts:
            state = keyed()
            state.update(text)
            hashed.append(state.digest())
        return hashed

    return hashes


def number(hashed: bytes) -> int:
    """Return the 40 bits of a hash that count."""
    return int.from_bytes(hashed[:5], "big")


def homes(pages: int) -> int:
    """Return how many of an index's pages are the home of entries."""
    return pages - pages // 48


# -- writing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entries:
    """Some entries of an index, in order: hashes, and the places of each, encoded."""

    hashes: list[int]
    places: list[bytes]


def entries_of(postings: Iterable[int], places: int) -> Entries:
    """Return the entries for postings, which are `hash << 24 | place`, sorted by hash.

    places: how many there are.
    """
    below = 2**PLACE_BITS - 1
    single = [_varint((place + 1) * 2) for place in range(places)]
    hashes: list[int] = []
    encoded: list[bytes] = []
    last, listed = -1, [0]
    for posting in postings:
        hashed, place = posting >> PLACE_BITS, posting & below
        if hashed == last:
            listed.append(place)
            continue
        if len(listed) > 1:
            encoded[-1] = _encoded(list(dict.fromkeys(listed)), places)
        last, listed = hashed, [place]
        hashes.append(hashed)
        encoded.append(single[place])
    if len(listed) > 1:
        encoded[-1] = _encoded(list(dict.fromkeys(listed)), places)
    return Entries(hashes, encoded)


def save(
    file: BinaryIO,
    parts: Callable[[], Iterable[Entries]],
    *,
    kinds: Collection[str],
    identity: bytes,
) -> None:
    """Write an index.

    parts: returns all entries in order, each time it is called. kinds: of the keys that were looked
    for. identity: of the archive, or archives, that it is the index of; the checksums cover it.
    """
    count = size = 0
    for part in parts():
        count += len(part.hashes)
        size += sum(map(len, part.places))
    width = columns_for(count)
    entry_size = width * (1 + _steps(count, width)) + 1.0 * size / max(count, 1)
    pages = max(1, int(count * entry_size / (ROOM * FILL)) * 49 // 48 + 1)
    while True:
        try:
            file.writelines(_pages(parts(), pages, width, kinds, identity))
        except TooFewPagesError:
            file.seek(0)
            pages += pages // 16 + 1
        else:
            return


def columns_for(count: int) -> int:
    """Return the number of bytes for the distance between two hashes that makes an index of `count`
    entries smallest.
    """
    return min(range(2, 6), key=lambda width: width * (1 + _steps(count, width)))


def _steps(count: int, width: int) -> float:
    """How many steps there are for each entry, on average: the distances between hashes have an
    exponential distribution.
    """
    mean = 2**BITS / max(count, 1)
    return 1 / math.expm1(min(2 ** (8 * width) / mean, 700))


def _pages(
    parts: Iterable[Entries], pages: int, width: int, kinds: Collection[str], identity: bytes
) -> Iterator[bytes]:
    """Yield the pages. Raises: TooFewPagesError."""
    of, at, last = homes(pages), 0, 0
    hashes: list[int] = []
    places: list[bytes] = []
    for part in chain(parts, [None]):
        if part:
            more = _with_steps(part, last, width)
            last = part.hashes[-1] if part.hashes else last
            hashes, places = hashes + more.hashes, places + more.places
        ends = list(accumulate(map(len, places), initial=0))
        begin = 0
        while at < pages:
            # Entries that are at home here or were pushed out of their home, as many as fit.
            end = bisect_left(hashes, -(-((at + 1) << BITS) // of)) if at + 1 < of else len(hashes)
            if end == len(hashes) and part:
                break  # there may be more
            fit = end
            while ends[fit] - ends[begin] + (fit - begin) * width > ROOM:
                over = ends[fit] - ends[begin] + (fit - begin) * width - ROOM
                fit -= max(1, over // (width + LONGEST_LIST))
            page = _page(hashes[begin:fit], places[begin:fit], width, kinds)
            yield _sealed(page, at, pages, identity, goes_on=fit < end)
            begin, at = fit, at + 1
        hashes, places = hashes[begin:], places[begin:]
    if hashes:
        raise TooFewPagesError(pages)


def _with_steps(part: Entries, last: int, width: int) -> Entries:
    """Insert steps where the distance to the next hash does not fit into the columns."""
    furthest = 256**width - 1
    gaps = map(operator.sub, part.hashes, chain([last], part.hashes))
    far = [n for n, gap in enumerate(gaps) if gap > furthest]
    hashes, places, done = [], [], 0
    for n in far:
        hashes += part.hashes[done:n]
        places += part.places[done:n]
        before = part.hashes[n - 1] if n else last
        steps = range(before + furthest, part.hashes[n], furthest)
        hashes += steps
        places += [NOWHERE] * len(steps)
        done = n
    return Entries(hashes + part.hashes[done:], places + part.places[done:])


def _page(hashes: list[int], places: list[bytes], width: int, kinds: Collection[str]) -> bytes:
    first = hashes[0] if hashes else 0
    header = HEADER.pack(0, VERSION, 0, mask(kinds), len(hashes), width, first.to_bytes(5, "big"))
    gaps = array("Q", map(operator.sub, hashes, chain([first], hashes)))
    if sys.byteorder == "little":
        gaps.byteswap()
    data = gaps.tobytes()
    columns = [data[column::8] for column in range(8 - width, 8)]
    page = b"".join([header, *columns, *places])
    return page + bytes(PAGE - len(page))


def _encoded(listed: list[int], places: int) -> bytes:
    """The list: each number as its distance from the one before, doubled, odd if more follow."""
    if len(listed) == 1:
        return _varint((listed[0] + 1) * 2)
    if len(listed) * 2 > places:
        return EVERY
    encoded, before = bytearray(), -1
    for place in listed[:-1]:
        encoded += _varint((place - before) * 2 + 1)
        before = place
    encoded += _varint((listed[-1] - before) * 2)
    return bytes(encoded) if len(encoded) <= LONGEST_LIST else EVERY


def _varint(value: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first; the high bit says that more follow."""
    if value < 0x80:
        return SMALL[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x200000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


SMALL = [bytes((value,)) for value in range(0x80)]


def _sealed(page: bytes, at: int, pages: int, identity: bytes, *, goes_on: bool) -> bytes:
    sealed = bytearray(page)
    sealed[FLAGS] = GOES_ON if goes_on else 0
    sealed[:4] = _checksum(sealed, at, pages, identity).to_bytes(4, "big")
    return bytes(sealed)


def _checksum(page: bytes | bytearray, at: int, pages: int, identity: bytes) -> int:
    return zlib.crc32(page[4:], zlib.crc32(identity + struct.pack(">II", at, pages)))


def mask(kinds: Collection[str]) -> int:
    return sum(1 << bit for bit, kind in enumerate(KINDS) if kind in kinds)


# -- reading ----------------------------------------------------------------------------------


def home_of(hashed: int, pages: int) -> int:
    """Return the page to read first. An entry that found no room there is in the next, or later."""
    return hashed * homes(pages) >> BITS


def look_up(
    hashed: int, read: Callable[[int, int], bytes], *, pages: int, identity: bytes
) -> Places:
    """Return where a key may stand.

    hashed: the 40 bits of its hash. read: takes the number of a page, and how many pages to read
    from there on; returns their bytes. pages: how many the index has. identity: see `save`.
    Raises: DamagedIndexError.
    """
    at = home_of(hashed, pages)
    count = 2
    while True:
        count = min(count, pages - at)
        data = read(at, count)
        for offset in range(count):
            page = data[offset * PAGE : (offset + 1) * PAGE]
            kinds, goes_on = check(page, at + offset, pages, identity)
            hashes = hashes_of(page)
            place = bisect_left(hashes, hashed)
            if place < len(hashes):
                found = hashes[place] == hashed
                places = list(islice(places_of(page), place + 1))[-1] if found else ()
                return Places(kinds, places)
            if not goes_on:
                return Places(kinds, ())
        at, count = at + count, 8
        if at >= pages:
            raise DamagedIndexError("the last page says that another page follows")


def check(page: bytes, at: int, pages: int, identity: bytes) -> tuple[frozenset[str], bool]:
    """Return the kinds of key that a page was made for, and whether the next page goes on with
    entries for which there was no room here.

    at, pages: the page's number, from 0, and how many there are. Raises: DamagedIndexError.
    """
    if len(page) != PAGE or int.from_bytes(page[:4], "big") != _checksum(page, at, pages, identity):
        raise DamagedIndexError(f"page {at} of {pages} is damaged")
    _, version, flags, bits, count, width, _ = HEADER.unpack_from(page)
    if version != VERSION or count * (width + 1) > ROOM:
        raise DamagedIndexError(f"page {at} has version {version}, not {VERSION}, or is malformed")
    kinds = frozenset(kind for bit, kind in enumerate(KINDS) if bits >> bit & 1)
    return kinds, bool(flags & GOES_ON)


def entries(page: bytes) -> Iterator[tuple[int, tuple[int, ...] | None]]:
    """Yield a page's hashes and their places (None: everywhere), in order, without the steps."""
    for hashed, places in zip(hashes_of(page), places_of(page), strict=True):
        if places != ():
            yield hashed, places


def hashes_of(page: bytes) -> list[int]:
    """Return a page's hashes, steps included, in order."""
    _, _, _, _, count, width, first = HEADER.unpack_from(page)
    columns = [page[HEADER.size + n * count : HEADER.size + (n + 1) * count] for n in range(width)]
    gaps = (int.from_bytes(bytes(gap), "big") for gap in zip(*columns, strict=True))
    return list(accumulate(gaps, initial=int.from_bytes(first, "big")))[1:]


def places_of(page: bytes) -> Iterator[tuple[int, ...] | None]:
    """Yield the places of each of a page's hashes. None: everywhere; (): it is a step.

    Raises: DamagedIndexError.
    """
    _, _, _, _, count, width, _ = HEADER.unpack_from(page)
    at = HEADER.size + count * width
    for _ in range(count):
        places, place, more = [], -1, 1
        while more:
            value, at = _read_varint(page, at)
            if value < 2:
                break
            place, more = place + (value >> 1), value & 1
            places.append(place)
        yield tuple(places) if value else None


def _read_varint(page: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at == len(page):
            raise DamagedIndexError("a list of places runs past the end of its page")
        byte = page[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
