"""The index format: pages that a key's hash picks directly, so that one read finds it.

Pure. An index tells in which places a key may stand: in which frames of an archive, or in
which archives of a run. docs/format.md specifies it for readers to come.

    hash      the first 40 bits of BLAKE2b of the key, keyed with the host's name
    page      4096 bytes: header, entries in the order of their hashes, zeros
    header    CRC-32, version, flags, kinds, length of the entries
    entry     hash (the first of a page whole, the others as the distance to the one
              before), then the places: numbers as distances, too

Page `hash * homes >> 40` is where an entry is at home. An entry that finds no room there goes
into the next one; so the last pages are nobody's home. Whatever is found is to be verified:
another key may have the same hash.
"""

import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO

from archiver.maillog.facts import KINDS

PAGE = 4096
VERSION = 1
GOES_ON = 1  # flag: the next page begins with what found no room here
HEADER = struct.Struct(">IBBHH")
ROOM = PAGE - HEADER.size
BITS = 40
PLACE_BITS = 24
# A key in more than half of all places, or one whose list would be longer: "in every place".
LONGEST_LIST = 1024
EVERY = b"\0"
# How full pages are on average. Fuller ones would push many entries out of their homes.
FILL = 0.94


class DamagedIndexError(ValueError):
    """A page is not what its writer made it; or it is another index's."""


@dataclass(frozen=True)
class Answer:
    """What an index says of a key. kinds: that it was made for; places: None means all."""

    kinds: frozenset[str]
    places: tuple[int, ...] | None


def hasher(host: str) -> Callable[[Iterable[bytes]], list[bytes]]:
    """Return what hashes a host's keys, in lower case, to 8 bytes each, of which 5 count."""
    keyed = blake2b(digest_size=8, key=host.encode()).copy

    def hashes(texts: Iterable[bytes]) -> list[bytes]:
        hashed = []
        for text in texts:
            each = keyed()
            each.update(text)
            hashed.append(each.digest())
        return hashed

    return hashes


def number(hashed: bytes) -> int:
    """Return the 40 bits of a hash that count."""
    return int.from_bytes(hashed[:5], "big")


def homes(pages: int) -> int:
    """Return how many of an index's pages are at home to somebody."""
    return pages - pages // 48


# -- writing ----------------------------------------------------------------------------------


def save(
    file: BinaryIO,
    entries: Callable[[], Iterable["Entry"]],
    *,
    kinds: Collection[str],
    identity: bytes,
) -> None:
    """Write an index. entries: gives them in order, each time it is asked.

    kinds: of the keys that were looked for. identity: of what it is the index of.
    """
    pages = pages_for(entries())
    while True:
        try:
            file.writelines(write(entries(), pages=pages, kinds=kinds, identity=identity))
        except OverflowError:
            file.seek(0)
            pages += pages // 16 + 1
        else:
            return


Entry = tuple[int, bytes]  # a hash, and its places, encoded


def encoded(parts: Iterable[Sequence[int]], places: int) -> Iterator[Entry]:
    """Yield the entries of an index.

    parts: all of `hash << 24 | place`, sorted, in parts; no hash stands in two of them. places:
    how many there are.
    """
    below = 2**PLACE_BITS - 1
    for part in parts:
        last, listed = -1, [0]
        for posting in part:
            hashed = posting >> PLACE_BITS
            if hashed != last:
                if last >= 0:
                    yield last, _encoded(listed, places)
                last, listed = hashed, [posting & below]
            elif posting & below != listed[-1]:
                listed.append(posting & below)
        if last >= 0:
            yield last, _encoded(listed, places)


def pages_for(entries: Iterable[Entry]) -> int:
    """Return how many pages to try first."""
    size = last = 0
    for hashed, places in entries:
        size += len(places) + (hashed - last).bit_length() // 7 + 1
        last = hashed
    return max(1, int(size / (ROOM * FILL)) * 49 // 48 + 1)


def write(
    entries: Iterable[Entry], *, pages: int, kinds: Collection[str], identity: bytes
) -> Iterator[bytes]:
    """Yield the pages of an index. pages: how many there are to be.

    Raises: OverflowError: they do not suffice.
    """
    header = HEADER.pack(0, VERSION, 0, mask(kinds), 0)
    of, at, last = homes(pages), 0, -1
    room = bytearray(header)
    for hashed, places in entries:
        home = hashed * of >> BITS
        gap = _varint(hashed - last) if last >= 0 else hashed.to_bytes(5, "big")
        if home > at or len(room) + len(gap) + len(places) > PAGE:
            yield _sealed(room, at, pages, identity, goes_on=home <= at)
            for empty in range(at + 1, home):
                yield _sealed(bytearray(header), empty, pages, identity, goes_on=False)
            at = max(home, at + 1)
            if at >= pages:
                raise OverflowError(pages)
            room = bytearray(header)
            gap = hashed.to_bytes(5, "big")
        room += gap
        room += places
        last = hashed
    for rest in range(at, pages):
        yield _sealed(room, rest, pages, identity, goes_on=False)
        room = bytearray(header)


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


def _sealed(page: bytearray, at: int, pages: int, identity: bytes, *, goes_on: bool) -> bytes:
    used = len(page) - HEADER.size
    page += bytes(PAGE - len(page))
    _, version, _, kinds, _ = HEADER.unpack_from(page)
    HEADER.pack_into(page, 0, 0, version, GOES_ON if goes_on else 0, kinds, used)
    page[:4] = _checksum(page, at, pages, identity).to_bytes(4, "big")
    return bytes(page)


def _checksum(page: bytes | bytearray, at: int, pages: int, identity: bytes) -> int:
    return zlib.crc32(page[4:], zlib.crc32(identity + struct.pack(">II", at, pages)))


def mask(kinds: Collection[str]) -> int:
    return sum(1 << bit for bit, kind in enumerate(KINDS) if kind in kinds)


# -- reading ----------------------------------------------------------------------------------


def home_of(hashed: int, pages: int) -> int:
    """Return the page to read first. What was pushed out stands in the next, or further on."""
    return hashed * homes(pages) >> BITS


def look_up(
    hashed: int, read: Callable[[int, int], bytes], *, pages: int, identity: bytes
) -> Answer:
    """Return where a key may stand. read: gives so many pages, from that one on, as bytes.

    Raises: DamagedIndexError.
    """
    at = home_of(hashed, pages)
    count = 2
    while True:
        count = min(count, pages - at)
        data = read(at, count)
        for each in range(count):
            page = data[each * PAGE : (each + 1) * PAGE]
            kinds, goes_on = check(page, at + each, pages, identity)
            for found, places in entries(page):
                if found == hashed:
                    return Answer(kinds, places)
                if found > hashed:
                    return Answer(kinds, ())
            if not goes_on:
                return Answer(kinds, ())
        at, count = at + count, 8
        if at >= pages:
            raise DamagedIndexError("the last page says that another one follows")


def check(page: bytes, at: int, pages: int, identity: bytes) -> tuple[frozenset[str], bool]:
    """Return the kinds of key that a page was made for, and whether the next one goes on.

    Raises: DamagedIndexError.
    """
    if len(page) != PAGE or int.from_bytes(page[:4], "big") != _checksum(page, at, pages, identity):
        raise DamagedIndexError(f"page {at} of {pages} is damaged")
    _, version, flags, bits, used = HEADER.unpack_from(page)
    if version != VERSION or used > ROOM:
        raise DamagedIndexError(f"page {at} is of version {version}, not {VERSION}")
    kinds = frozenset(kind for bit, kind in enumerate(KINDS) if bits >> bit & 1)
    return kinds, bool(flags & GOES_ON)


def entries(page: bytes) -> Iterator[tuple[int, tuple[int, ...] | None]]:
    """Yield a page's hashes and their places (None: all), in order."""
    at, end = HEADER.size, HEADER.size + HEADER.unpack_from(page)[4]
    hashed = -1
    while at < end:
        if hashed < 0:
            hashed, at = int.from_bytes(page[at : at + 5], "big"), at + 5
        else:
            gap, at = _read_varint(page, at)
            hashed += gap
        places, place, more = [], -1, 1
        value = 0
        while more:
            value, at = _read_varint(page, at)
            place, more = place + (value >> 1), value & 1
            places.append(place)
        yield hashed, tuple(places) if value else None


def _read_varint(page: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = page[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
