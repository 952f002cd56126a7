"""A file that is about to be sent: read through once, and cut into parts, each with its digest.

Nothing of a file is sent before its whole SHA-256 was found to be the promised one. Each part is
sent with a digest from that same pass, which the server verifies. So what arrives is what was
checked, whatever the disk gives when it is read again.
"""

import base64
import hashlib
import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from archiver.errors import SpoolDamagedError, StoreError

CHUNK = 2**20
# S3's own limit ("Amazon S3 multipart upload limits").
MOST_PARTS = 10_000
CHANGED_HINT = "suspect the disk; the next run makes it again from its segment"


@dataclass(frozen=True)
class Part:
    """A stretch of the file. number: from 1. offset, size: bytes. digest: raw bytes, by the
    algorithm that the target's `checksum` names.
    """

    number: int
    offset: int
    size: int
    digest: bytes

    @property
    def in_base64(self) -> str:
        """The digest as Content-MD5 (RFC 1864) and x-amz-checksum-sha256 want it."""
        return base64.b64encode(self.digest).decode()


@dataclass(frozen=True)
class CheckedFile:
    """A file that holds what was promised, open for reading.

    store: its name, for messages. checksum: the algorithm of the parts' digests.
    """

    store: str
    path: Path
    file: IO[bytes]
    checksum: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        return self.parts[-1].offset + self.parts[-1].size

    def read(self, offset: int, size: int) -> bytes:
        """Return 1 to `size` bytes. Raises: SpoolDamagedError: the file ends before `offset`.
        StoreError: it cannot be read.
        """
        try:
            data = os.pread(self.file.fileno(), size, offset)
        except OSError as error:
            raise _unread(self.store, self.path, error) from error
        if not data:
            # With a body shorter than its Content-Length, the server would wait for the rest.
            raise _changed(self.path)
        return data

    def digest(self, part: Part, algorithm: str) -> bytes:
        """Return what a part's digest is now."""
        found = hashlib.new(algorithm, usedforsecurity=False)
        at, end = part.offset, part.offset + part.size
        while at < end:
            data = self.read(at, min(CHUNK, end - at))
            found.update(data)
            at += len(data)
        return found.digest()

    def demand(self, part: Part) -> None:
        """Raise SpoolDamagedError if a part is no longer what it was."""
        if self.digest(part, self.checksum) != part.digest:
            raise _changed(self.path)


@contextmanager
def sealed(
    store: str, path: Path, sha256: str, part_size: int, checksum: str
) -> Iterator[CheckedFile]:
    """Open a file, and read it through. sha256: what its digest must be, in hex. part_size: in
    bytes, more if there would be too many parts. checksum: the algorithm of the parts' digests.

    Raises: SpoolDamagedError: it has another digest. StoreError: it cannot be read.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb", buffering=0))
            least = -(-os.fstat(file.fileno()).st_size // MOST_PARTS)
            parts, found = _measured(file, max(part_size, -(-least // CHUNK) * CHUNK), checksum)
        except OSError as error:
            raise _unread(store, path, error) from error
        if found != sha256:
            raise _changed(path)
        yield CheckedFile(store, path, file, checksum, parts)


def _unread(store: str, path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"store {store!r}: {error.strerror} while reading {path}, which was to be stored",
        hint="see what the system's log says about that disk; the next run tries again",
    )


def _changed(path: Path) -> SpoolDamagedError:
    return SpoolDamagedError(f"{path} has changed since it was sealed", hint=CHANGED_HINT)


def _measured(file: IO[bytes], part_size: int, checksum: str) -> tuple[tuple[Part, ...], str]:
    """Return the parts, at least one, and the digest of the whole in hex."""
    whole = hashlib.sha256()
    parts: list[Part] = []
    offset = 0
    with ThreadPoolExecutor(1, "digest") as beside:
        while True:
            part = hashlib.new(checksum, usedforsecurity=False)
            size = 0
            while size < part_size and (chunk := file.read(min(CHUNK, part_size - size))):
                # Both digests at once: hashlib lets go of the interpreter's lock.
                digesting = beside.submit(part.update, chunk)
                whole.update(chunk)
                digesting.result()
                size += len(chunk)
            if not size and parts:
                return tuple(parts), whole.hexdigest()
            parts.append(Part(len(parts) + 1, offset, size, part.digest()))
            offset += size
            if size < part_size:
                return tuple(parts), whole.hexdigest()


class Pace:
    """Limits all threads together to `rate` bytes a second. 0: no limit."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free = 0.0

    def wait(self, size: int) -> None:
        """Return as soon as so many more bytes may be sent."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            self._free = max(self._free, now) + size / self._rate
            delay = self._free - now
        time.sleep(delay)


class Body(io.RawIOBase):
    """A part as a file of its own, which botocore can send; it holds nothing in memory.

    Over plain HTTP botocore reads it twice: to sign it, and to send it. Only sending is paced: what
    is read after `is_sending` was set. Seeking clears that.
    """

    def __init__(self, source: CheckedFile, part: Part, pace: Pace) -> None:
        self._source = source
        self._part = part
        self._pace = pace
        self._at = 0
        self.is_sending = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._part.size}[whence]
        self._at = base + offset
        self.is_sending = False
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._part.size - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        data = self._source.read(self._part.offset + self._at, wanted)
        if self.is_sending:
            self._pace.wait(len(data))
        self._at += len(data)
        return data
