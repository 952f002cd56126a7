"""Make an archive's index, frame by frame, while the archive is written.

    frame → its keys → their hashes, sorted      by two processes, for a large log
    the hashes of all frames → entries           likewise, after the last frame
    all entries → pages

Memory: a few frames, and a part of the hashes. All hashes, and then all entries, wait in files
without a name.
"""

import os
import pickle
import sys
import tempfile
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Self

import zstandard

from archiver.errors import IndexFailedError, Problems
from archiver.index.pages import PLACE_BITS, Entries, entries_of, hasher, save
from archiver.maillog.bulk import KeyReader
from archiver.maillog.lines import NEAR
from archiver.system.workers import Workers

# How many hashes are sorted at once.
AT_ONCE = 2**17
# How many bytes of hashes or entries are kept in memory before they go into a file.
IN_MEMORY = 2**25
# Below so many bytes of log, this process reads the keys: starting others would take longer.
WORTH_PROCESSES = 2**24
PROCESSES = 2
# How many frames the readers may lag behind.
AHEAD = 4
# How many seconds to wait for a frame's keys, which usually take a tenth of one. Archiving never
# waits longer than this for an index.
PATIENCE = 120


class Hashes:
    """Turns frames into hashes, and hashes into entries; in a process of its own, if need be."""

    def __init__(self, host: str, kinds: Collection[str]) -> None:
        self._hashes_of = hasher(host)
        self._reader = KeyReader(frozenset(kinds))

    def hashes(self, before: bytes, frame: bytes, after: bytes, packed: bool = False) -> bytes:
        """Return the hashes of a frame's keys, 8 bytes each, sorted.

        before, after: the text around the frame. packed: the frame is compressed.
        """
        if packed:
            frame = zstandard.ZstdDecompressor().decompress(frame)
        keys = self._reader.keys(frame, before=before, after=after)
        return b"".join(sorted(self._hashes_of(keys)))

    def entries(self, hashes: list[bytes]) -> Entries:
        """Return the entries for these hashes: one item for each frame, 8 bytes for each hash."""
        low = 2**PLACE_BITS - 1
        postings: list[int] = []
        for frame, of_frame in enumerate(hashes):
            postings += [hashed & ~low | frame for hashed in _numbers(of_frame)]
        postings.sort()
        return entries_of(postings, len(hashes))


class Indexing:
    """Makes one index after the other.

    size: of the whole log in bytes. directory: for temporary files. problems: if an index cannot be
    made, the reason is added here: no failure of this class may stop the archiving.
    """

    def __init__(
        self,
        host: str,
        kinds: Collection[str],
        directory: Path,
        size: int,
        problems: Problems,
    ) -> None:
        self._kinds = frozenset(kinds)
        self._directory = directory
        self._problems = problems
        self._crew = Workers(
            PROCESSES if size >= WORTH_PROCESSES else 0, Hashes, host, sorted(kinds)
        )
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.__exit__()
        self._drop_hashes()

    def _begin(self) -> None:
        self._before, self._frame, self._stored = b"", b"", b""
        self._ahead: deque[Future[bytes]] = deque()
        self._broken: Exception | None = None
        self._hashes = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self._directory))  # noqa: SIM115
        # For each frame: where in the file the hashes with each first byte begin, and their end.
        self._bounds: list[array[int]] = []

    def add(self, frame: bytes, stored: bytes = b"") -> None:
        """Take the next frame of the archive. stored: the same, compressed, if it is at hand."""
        if self._frame:
            # If a line is longer than a frame, a search takes each piece of it for a line.
            self._read(frame[:NEAR] if self._frame.endswith(b"\n") else b"")
        self._frame, self._stored = frame, stored

    def finish(self, path: Path, identity: bytes) -> None:
        """Write the index of the frames added so far, and fsync it. If that fails, there is no file
        at `path`, and `problems` says why.

        identity: the archive's SHA-256, which the pages are sealed with.
        """
        if self._frame:
            self._read(b"")
        self._collect(0)
        try:
            if not self._broken:
                self._write(path, identity)
        except Exception as error:  # noqa: BLE001 (likewise)
            self._broken = error
        if self._broken:
            path.unlink(missing_ok=True)
            self._problems.add(
                IndexFailedError(
                    f"the index could not be made: {self._broken}",
                    hint="the archive is complete without it; "
                    "`archiver catalog rebuild --index` makes it",
                )
            )
        self._drop_hashes()
        self._begin()

    def _read(self, after: bytes) -> None:
        # Another process gets it compressed: that is less to send.
        frame = self._stored if self._crew.is_elsewhere and self._stored else self._frame
        packed = frame is not self._frame
        if not self._broken:
            try:
                asked = self._crew.ask("hashes", self._before, frame, after, packed)
                self._ahead.append(asked)
            except Exception as error:  # noqa: BLE001 (whatever it is, archiving goes on)
                self._give_up(error)
        self._before = self._frame[-NEAR:] if self._frame.endswith(b"\n") else b""
        self._frame = b""
        self._collect(AHEAD)

    def _collect(self, ahead: int) -> None:
        """Store the frames' hashes, in order, until at most `ahead` frames are still awaited."""
        while len(self._ahead) > ahead:
            try:
                self._keep(self._ahead.popleft().result(PATIENCE))
            except TimeoutError:
                self._give_up(TimeoutError(f"a frame took more than {PATIENCE} s"))
            except Exception as error:  # noqa: BLE001 (likewise)
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Make no index of this archive, and free the disk space that it took."""
        self._broken = self._broken or error
        self._ahead.clear()
        self._drop_hashes()

    def _drop_hashes(self) -> None:
        with suppress(OSError):  # close() writes what is buffered, and the disk may be full
            self._hashes.close()

    def _keep(self, hashes: bytes) -> None:
        ordered = _numbers(hashes)
        begin = self._hashes.tell() // 8
        bounds = [begin + bisect_left(ordered, first << 56) for first in range(256)]
        self._bounds.append(array("Q", [*bounds, begin + len(ordered)]))
        self._hashes.write(hashes)

    def _write(self, path: Path, identity: bytes) -> None:
        with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self._directory)) as kept:
            for some in self._entries():
                pickle.dump(some, kept, pickle.HIGHEST_PROTOCOL)
            size = kept.tell()

            def parts() -> Iterator[Entries]:
                kept.seek(0)
                while kept.tell() < size:
                    yield pickle.load(kept)  # noqa: S301 (nobody else can write there)

            with open(path, "wb") as file:
                save(file, parts, kinds=self._kinds, identity=identity)
                file.flush()
                os.fsync(file.fileno())

    def _entries(self) -> Iterator[Entries]:
        """Yield all entries, in order, in parts that fit into memory."""
        ahead: deque[Future[Entries]] = deque()
        for part in self._parts():
            ahead.append(self._crew.ask("entries", part))
            if len(ahead) > PROCESSES:
                yield ahead.popleft().result(PATIENCE)
        for asked in ahead:
            yield asked.result(PATIENCE)

    def _parts(self) -> Iterator[list[bytes]]:
        """Yield the hashes of each frame in parts of about AT_ONCE hashes, by their first byte, the
        lowest first.
        """
        first = 0
        while first < 256:
            last, count = first, 0
            while last < 256 and (not count or count + self._count(last) <= AT_ONCE):
                count += self._count(last)
                last += 1
            yield [self._read_back(bounds[first], bounds[last]) for bounds in self._bounds]
            first = last

    def _count(self, first: int) -> int:
        return sum(bounds[first + 1] - bounds[first] for bounds in self._bounds)

    def _read_back(self, begin: int, end: int) -> bytes:
        self._hashes.seek(begin * 8)
        return self._hashes.read((end - begin) * 8)


def _numbers(hashes: bytes) -> "array[int]":
    """The hashes as numbers: big-endian, so that bytes and numbers have the same order."""
    numbers = array("Q", hashes)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
