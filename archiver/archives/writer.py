"""Write one archive in the seekable format, and read it back while it is written.

Two threads compress the frames, which are written in their order. A third thread reads them back
from the file, decompresses them, compares them with the log that went in, and hashes them. So the
digests are of what the archive gives back, and one that does not give back its log is never
finished. Memory: a handful of frames.
"""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import zstandard

from archiver.archives.manifest import Frame
from archiver.archives.seek_table import FrameSize, decode_seek_table, encode_seek_table
from archiver.errors import IntegrityError
from archiver.maillog.days import DayStretch

COMPRESSORS = 2
# Frames compressed ahead of the writer: enough to keep both compressors busy.
AHEAD = 3


@dataclass(frozen=True)
class Sealed:
    """A finished archive. first_line: the instant of its first line (None: no line). raw: of the
    log in it. Sizes are bytes, digests SHA-256 in hex.
    """

    first_line: int | None
    raw_size: int
    raw_sha256: str
    size: int
    sha256: str
    lines: int
    frames: tuple[Frame, ...]


class Threads:
    """The threads that write archives. zstd and hashlib release the interpreter's lock."""

    def __init__(self, level: int) -> None:
        self.level = level
        self._compressors = ThreadPoolExecutor(COMPRESSORS, "compress")
        self._readers = ThreadPoolExecutor(1, "verify")
        self._own = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in (self._compressors, self._readers):
            pool.shutdown(cancel_futures=error is not None)

    def compress(self, data: bytes) -> Future[bytes]:
        """Compress one frame in another thread."""
        return self._compressors.submit(self._compress, data)

    def verify(self, readback: "Readback", offset: int, size: int, data: bytes) -> Future[None]:
        """Verify one frame in another thread: a single one, which hashes in the file's order."""
        return self._readers.submit(readback.frame, offset, size, data)

    def _compress(self, data: bytes) -> bytes:
        # Two threads must not use one compressor at once, and making one is expensive.
        if not hasattr(self._own, "compressor"):
            self._own.compressor = zstandard.ZstdCompressor(
                level=self.level, write_checksum=True, write_content_size=True
            )
        frame: bytes = self._own.compressor.compress(data)
        return frame


class Readback:
    """Reads an archive back from its file, and hashes the file and the log in it.

    segment: the running digest of the segment's earlier archives; the log in this one is added.
    """

    def __init__(self, path: Path, segment: "hashlib._Hash | None") -> None:
        self.path = path
        self.stored = hashlib.sha256()
        self.raw = hashlib.sha256()
        self._segment = segment
        self._descriptor = os.open(path, os.O_RDONLY)
        self._decompressor = zstandard.ZstdDecompressor()

    def close(self) -> None:
        os.close(self._descriptor)

    def frame(self, offset: int, size: int, data: bytes) -> None:
        """Check that the frame of `size` bytes at `offset` gives back `data`, and hash both.

        Raises: IntegrityError: it does not.
        """
        frame = os.pread(self._descriptor, size, offset)
        self.stored.update(frame)
        try:
            given_back = self._decompressor.decompress(frame)
        except zstandard.ZstdError as error:
            raise _unequal(self.path) from error
        if given_back != data:
            raise _unequal(self.path)
        self.raw.update(given_back)
        if self._segment:
            self._segment.update(given_back)

    def table(self, frames: Sequence[FrameSize], offset: int, size: int) -> None:
        """Check that the seek table at `offset` lists these frames, and hash it.

        Raises: IntegrityError: it does not.
        """
        data = os.pread(self._descriptor, size, offset)
        self.stored.update(data)
        if decode_seek_table(data) != tuple(frames):
            raise _unequal(self.path)


class ArchiveWriter:
    """Writes one archive: frames are compressed ahead, and written in order.

    path: a new file. segment: see `Readback`. taken: called with each frame in order, raw and as
    stored. Raises: IntegrityError: the archive does not give back what was added.
    """

    def __init__(
        self,
        path: Path,
        workers: Threads,
        segment: "hashlib._Hash | None" = None,
        taken: Callable[[bytes, bytes], None] = lambda _frame, _stored: None,
    ) -> None:
        self._taken = taken
        self._workers = workers
        self._file = open(path, "xb")  # noqa: SIM115 (closed by __exit__)
        self._readback = Readback(path, segment)
        self._ahead: deque[tuple[DayStretch, Future[bytes]]] = deque()
        self._checks: deque[Future[None]] = deque()
        self._frames: list[Frame] = []
        self._sizes: list[FrameSize] = []
        self._offset = 0
        self._ends_with_newline = True
        self._first_line: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._readback.close()

    @property
    def raw(self) -> "hashlib._Hash":
        """The running digest of the log that the archive gives back; complete after `finish`."""
        return self._readback.raw

    def add(self, stretch: DayStretch) -> None:
        if self._first_line is None:
            self._first_line = stretch.first_line
        self._ahead.append((stretch, self._workers.compress(stretch.data)))
        while len(self._ahead) > AHEAD:
            self._write_next()

    def finish(self) -> Sealed:
        """Write the rest and the seek table, fsync, and wait until everything has been compared."""
        while self._ahead:
            self._write_next()
        table = encode_seek_table(self._sizes)
        self._file.write(table)
        self._file.flush()
        os.fsync(self._file.fileno())
        while self._checks:
            self._checks.popleft().result()
        self._readback.table(self._sizes, self._offset, len(table))
        if self._frames and not self._ends_with_newline:
            last = self._frames[-1]
            self._frames[-1] = replace(last, lines=last.lines + 1)
        return Sealed(
            first_line=self._first_line,
            raw_size=sum(frame.raw for frame in self._sizes),
            raw_sha256=self._readback.raw.hexdigest(),
            size=self._offset + len(table),
            sha256=self._readback.stored.hexdigest(),
            lines=sum(frame.lines for frame in self._frames),
            frames=tuple(self._frames),
        )

    def _write_next(self) -> None:
        stretch, compressing = self._ahead.popleft()
        data = compressing.result()
        self._file.write(data)
        self._file.flush()
        self._frames.append(
            Frame(
                offset=self._offset,
                size=len(data),
                raw_size=len(stretch.data),
                lines=stretch.span.newlines,
                first=stretch.span.first,
                last=stretch.span.last,
                before=stretch.before.now,
                newest=stretch.before.newest,
                continues=stretch.continues,
            )
        )
        self._taken(stretch.data, data)
        self._ends_with_newline = stretch.data.endswith(b"\n")
        self._sizes.append(FrameSize(len(data), len(stretch.data)))
        self._checks.append(
            self._workers.verify(self._readback, self._offset, len(data), stretch.data)
        )
        while len(self._checks) > AHEAD:
            self._checks.popleft().result()
        self._offset += len(data)


def _unequal(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} does not give back what was archived",
        hint="nothing of that log was stored or removed; check memory and disk, then run again",
    )
