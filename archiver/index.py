"""Make an archive's index, frame by frame, while the archive is written.

Large segments have a process of their own for it, so that it costs the archiving little: it is
sent the frames, and writes the index when the last one is through. It lives no longer than the
run: when that ends, however it ends, its input does.

Memory: two frames, and a part of the hashes; all of them wait in a file without a name.
"""

import os
import sys
import tempfile
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from archiver.durable import remove
from archiver.elsewhere import Elsewhere
from archiver.errors import ArchiverError, IndexFailedError
from archiver.maillog.bulk import Reader
from archiver.maillog.lines import NEAR
from archiver.pages import PLACE_BITS, hasher, pages_for, write

# As many hashes are sorted at once.
AT_ONCE = 2**19
IN_MEMORY = 2**24
# Smaller logs are indexed by the run itself: to start a process would take longer.
WORTH_A_PROCESS = 2**24
# How many frames the maker may lag behind.
AHEAD = 3


class Indexing(Protocol):
    """Makes one index after the other."""

    def add(self, frame: bytes) -> None:
        """Take the next frame of the archive."""

    def finish(self, path: Path, identity: bytes) -> None:
        """Write the index of the frames so far, durably. identity: the archive's digest.

        Raises: IndexFailedError.
        """

    def close(self) -> None:
        """End it, whether or not it is finished."""


class Indexer:
    """See Indexing; by this process itself."""

    def __init__(self, host: str, kinds: Collection[str], directory: Path) -> None:
        self._kinds = frozenset(kinds)
        self._hashes_of = hasher(host)
        self._reader = Reader(self._kinds)
        self._directory = directory
        self._begin()

    def _begin(self) -> None:
        self._before, self._frame = b"", b""
        self._hashes = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self._directory))  # noqa: SIM115
        # Per frame, where in the file the hashes with each first byte begin.
        self._bounds: list[array[int]] = []

    def add(self, frame: bytes) -> None:
        if self._frame:
            # Of a line longer than a frame, each piece is a line to whoever looks for something.
            self._take(frame[:NEAR] if self._frame.endswith(b"\n") else b"")
        self._frame = frame

    def finish(self, path: Path, identity: bytes) -> None:
        try:
            if self._frame:
                self._take(b"")
            self._write(path, identity)
        except OSError as error:
            raise _failed(error.strerror) from error
        finally:
            self._hashes.close()
            self._begin()

    def close(self) -> None:
        self._hashes.close()

    def _take(self, after: bytes) -> None:
        keys = self._reader.keys(self._frame, before=self._before, after=after)
        # Sorted as the bytes they are, which is the order of the numbers.
        ordered = array("Q", b"".join(sorted(self._hashes_of(keys))))
        if sys.byteorder == "little":
            ordered.byteswap()
        begin = self._hashes.tell() // 8
        bounds = [begin + bisect_left(ordered, first << 56) for first in range(256)]
        self._bounds.append(array("Q", [*bounds, begin + len(ordered)]))
        self._hashes.write(ordered.tobytes())
        whole = self._frame.endswith(b"\n")
        self._before, self._frame = self._frame[-NEAR:] if whole else b"", b""

    def _write(self, path: Path, identity: bytes) -> None:
        frames = len(self._bounds)
        keys = listed = 0
        parts = None
        for part in self._postings():
            keys += len({posting >> PLACE_BITS for posting in part})
            listed += len(part)
            parts = [part] if parts is None else []
        pages = pages_for(keys, frames, listed)
        while True:
            with open(path, "wb") as file:
                try:
                    file.writelines(
                        write(
                            lambda: parts or self._postings(),
                            pages=pages,
                            places=frames,
                            kinds=self._kinds,
                            identity=identity,
                        )
                    )
                except OverflowError:
                    pages += pages // 16 + 1
                    continue
                file.flush()
                os.fsync(file.fileno())
            return

    def _postings(self) -> Iterator[list[int]]:
        """Yield all of `hash << 24 | frame`, sorted, in parts of a bearable size."""
        first = 0
        while first < 256:
            last, count = first, 0
            while last < 256 and (not count or count + self._count(last) <= AT_ONCE):
                count += self._count(last)
                last += 1
            yield sorted(self._part(first, last))
            first = last

    def _count(self, first: int) -> int:
        return sum(bounds[first + 1] - bounds[first] for bounds in self._bounds)

    def _part(self, first: int, last: int) -> Iterator[int]:
        """Yield the postings of the hashes whose first byte is first <= it < last."""
        low = 2**PLACE_BITS - 1
        for frame, bounds in enumerate(self._bounds):
            self._hashes.seek(bounds[first] * 8)
            hashes = array("Q", self._hashes.read((bounds[last] - bounds[first]) * 8))
            yield from [hashed & ~low | frame for hashed in hashes]


class IndexProcess:
    """See Indexing; in a process of its own."""

    def __init__(self, host: str, kinds: Collection[str], directory: Path) -> None:
        self._indexer = Elsewhere(Indexer, host, kinds, directory)

    def add(self, frame: bytes) -> None:
        self._indexer.call("add", frame)

    def finish(self, path: Path, identity: bytes) -> None:
        self._indexer.call("finish", path, identity)

    def close(self) -> None:
        self._indexer.close()


class Beside:
    """Has indexes made in a thread, beside whatever else is done with the frames.

    problems: gets the first failure of each index; the archive does not depend on it.
    """

    def __init__(self, maker: Indexing, problems: list[ArchiverError]) -> None:
        self._maker = maker
        self._problems = problems
        self._pool = ThreadPoolExecutor(1, "index")
        self._ahead: deque[Future[None]] = deque()
        self._broken: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, frame: bytes) -> None:
        self._ahead.append(self._pool.submit(self._add, frame))
        self.wait(AHEAD)

    def finish(self, path: Path, identity: bytes) -> None:
        """Have the index written. If anything went wrong with one of its frames, there is none."""
        self._ahead.append(self._pool.submit(self._finish, path, identity))

    def wait(self, ahead: int = 0) -> None:
        """Wait until no more than so many steps are still to be done."""
        while len(self._ahead) > ahead:
            self._ahead.popleft().result()

    def _add(self, frame: bytes) -> None:
        if not self._broken:
            try:
                self._maker.add(frame)
            except Exception as error:  # noqa: BLE001 (no mistake in here may stop the archiving)
                self._broken = error

    def _finish(self, path: Path, identity: bytes) -> None:
        broken, self._broken = self._broken, None
        try:
            self._maker.finish(path, identity)
        except Exception as error:  # noqa: BLE001 (likewise)
            broken = broken or error
        if broken:
            remove(path)
            self._problems.append(
                broken if isinstance(broken, ArchiverError) else _failed(repr(broken))
            )


def indexing(host: str, kinds: Collection[str], directory: Path, size: int) -> Indexing:
    """Return what makes the indexes of a segment of so many bytes. directory: for its own use."""
    kind = IndexProcess if size >= WORTH_A_PROCESS else Indexer
    return kind(host, sorted(kinds), directory)


def _failed(why: object) -> IndexFailedError:
    return IndexFailedError(
        f"the index could not be made: {why}",
        hint="the archive is complete without it; `archiver catalog rebuild --index` makes it",
    )
