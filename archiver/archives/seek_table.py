"""The seekable zstd format: independent frames, then a table of their sizes.

Pure. The format is "Zstandard Seekable Format" 0.1.0 (facebook/zstd,
contrib/seekable_format); docs/format.md repeats its specification for future readers.
An ordinary decoder skips the table, so `zstd -dc` gives the segment byte for byte.

    skippable header  magic 0x184D2A5E, length
    per frame         compressed size, raw size        (no checksum: the frames carry their own)
    footer            number of frames, descriptor 0, magic 0x8F92EAB1
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

SKIPPABLE_MAGIC = 0x184D2A5E
SEEKABLE_MAGIC = 0x8F92EAB1
HEADER = struct.Struct("<II")
ENTRY = struct.Struct("<II")
FOOTER = struct.Struct("<IBI")


@dataclass(frozen=True)
class FrameSize:
    """The length in bytes of one frame, as stored and decompressed."""

    compressed: int
    raw: int


def encode_seek_table(frames: Sequence[FrameSize]) -> bytes:
    """Return the seek table, a skippable frame, that ends an archive of these frames."""
    entries = b"".join(ENTRY.pack(frame.compressed, frame.raw) for frame in frames)
    footer = FOOTER.pack(len(frames), 0, SEEKABLE_MAGIC)
    return HEADER.pack(SKIPPABLE_MAGIC, len(entries) + len(footer)) + entries + footer


def seek_table_size(frames: int) -> int:
    """Return the length in bytes of the table of an archive of that many frames."""
    return HEADER.size + frames * ENTRY.size + FOOTER.size


def decode_seek_table(tail: bytes) -> tuple[FrameSize, ...]:
    """Return the frames in the seek table at the very end of `tail`.

    tail: the last bytes of an archive, at least the whole table.
    Raises: ValueError: there is no table, or it contradicts itself.
    """
    if len(tail) < HEADER.size + FOOTER.size:
        raise ValueError("too short to hold a seek table")
    count, descriptor, magic = FOOTER.unpack_from(tail, len(tail) - FOOTER.size)
    if magic != SEEKABLE_MAGIC:
        raise ValueError("no seek table: the last four bytes are not its magic number")
    # Bit 7 promises a checksum per entry, which this writer never sets; bits 2-6 are reserved.
    if descriptor & 0b1111_1100:
        raise ValueError(f"seek table of an unknown kind: descriptor {descriptor:#04x}")
    size = seek_table_size(count)
    if size > len(tail):
        raise ValueError(f"seek table of {count} frames does not fit into {len(tail)} bytes")
    table = tail[len(tail) - size :]
    if HEADER.unpack_from(table) != (SKIPPABLE_MAGIC, size - HEADER.size):
        raise ValueError("the seek table's header does not match its footer")
    entries = table[HEADER.size : -FOOTER.size]
    return tuple(FrameSize(*entry) for entry in ENTRY.iter_unpack(entries))
