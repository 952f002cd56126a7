"""Where SeaweedFS keeps an object's bytes on its disk, so that one of them can be changed.

A volume NAME.dat is a list of needles. A needle is: 4 bytes cookie, 8 number, 4 size (of
what comes next), then 4 size of the data, the data, some fields; then the CRC32C of the
data. Its NAME.idx is a list of: 8 bytes number, 5 place in the volume in units of 8 bytes
(the low four of them first), 4 size. The last entry for a number holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ENTRY = 8 + 5 + 4
SIZE, DATA_SIZE, DATA = 12, 16, 20


@dataclass(frozen=True)
class Needle:
    """A piece of an object, of 4 MB at most, in its volume."""

    volume: Path
    start: int

    def flip(self, at: int, *, silently: bool) -> None:
        """Flip the lowest bit of the byte *at*; silently: change the CRC32C to match."""
        with self.volume.open("r+b") as disk:
            _exclusive_or(disk, self.start + DATA + at, b"\x01")
            if silently:
                disk.seek(self.start + SIZE)
                size, data_size = int.from_bytes(disk.read(4)), int.from_bytes(disk.read(4))
                difference = _crc32c_of_one_bit(data_size - at - 1).to_bytes(4)
                _exclusive_or(disk, self.start + DATA_SIZE + size, difference)


def find(directory: Path, collection: str, piece: Mapping[str, int]) -> Needle:
    """Return the needle that the filer calls by this volume_id and file_key."""
    volume = directory / f"{collection}_{piece['volume_id']}.dat"
    index = volume.with_suffix(".idx").read_bytes()
    entries = [index[start : start + ENTRY] for start in range(0, len(index), ENTRY)]
    number = piece["file_key"].to_bytes(8)
    last = [entry for entry in entries if entry.startswith(number)][-1]
    return Needle(volume, int.from_bytes(last[12:13] + last[8:12]) * 8)


def _exclusive_or(disk: BinaryIO, at: int, change: bytes) -> None:
    disk.seek(at)
    changed = [one ^ other for one, other in zip(disk.read(len(change)), change, strict=True)]
    disk.seek(at)
    disk.write(bytes(changed))


def _crc32c_of_one_bit(zeros: int) -> int:
    """What flipping the lowest bit of a byte, with *zeros* bytes after it, does to a CRC32C."""
    register = 1
    for _ in range(8 * (zeros + 1)):
        register = (register >> 1) ^ (0x82F63B78 * (register & 1))
    return register
