"""A store in a directory: keys are paths, and an object is a read-only file.

Written beside its final name, fsynced, linked (link(2) never overwrites), and the
directories fsynced. A name ending in `.partial` was never finished; the next put of its
key begins it anew.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archiver.durable import fsync_directory, make_directory, remove
from archiver.errors import (
    FULL,
    IntegrityError,
    NoSpaceError,
    NotFoundError,
    SpoolDamagedError,
    StoreError,
)

PARTIAL = ".partial"
CHUNK = 2**20


class LocalStore:
    """See the contract in `archiver.stores`. root: an absolute path, made when needed."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root

    def put(self, key: str, source: Path, sha256: str) -> None:
        final = self._path(key)
        partial = final.with_name(final.name + PARTIAL)
        with self._failing(f"storing {final}"):
            make_directory(final.parent)
            remove(partial)
            if final.exists():
                # It may be what we linked just before we were killed: then only its name
                # is not durable yet.
                fsync_directory(final.parent)
                self._compare(final, source)
                return
            try:
                self._write(partial, source, sha256)
                os.link(partial, final)
            except FileExistsError:
                self._compare(final, source)
            finally:
                remove(partial)
            fsync_directory(final.parent)

    def size(self, key: str) -> int | None:
        with self._failing(f"looking for {key}"):
            try:
                return self._path(key).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._path(key)
        with self._failing(f"reading {path}"):
            try:
                file = open(path, "rb")  # noqa: SIM115 (closed below, once it is open)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise NotFoundError(
                    f"{path} is not in the store",
                    hint="look with `archiver list`; another store may hold a copy",
                ) from error
            with file:
                file.seek(start)
                missing = length
                while missing is None or missing:
                    chunk = file.read(CHUNK if missing is None else min(CHUNK, missing))
                    if not chunk:
                        break
                    if missing is not None:
                        missing -= len(chunk)
                    yield chunk
                if missing:
                    raise IntegrityError(
                        f"{path} ends {missing} bytes too early",
                        hint="the copy is damaged: use another store's",
                    )

    def keys(self, prefix: str = "") -> Iterator[str]:
        with self._failing(f"listing {self.root}"):
            yield from self._walk("", prefix)

    def _walk(self, directory: str, prefix: str) -> Iterator[str]:
        """Descend only where the prefix leads, each directory in order of names."""
        try:
            entries = sorted(os.scandir(self.root / directory), key=_sort_key)
        except FileNotFoundError:
            return
        for entry in entries:
            key = directory + entry.name
            if entry.is_dir(follow_symlinks=False):
                key += "/"
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(key, prefix)
            elif key.startswith(prefix) and not key.endswith(PARTIAL):
                yield key

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(parts) or any(part in {".", ".."} for part in parts) or "\0" in key:
            raise ValueError(f"{key!r} is no key")
        return self.root.joinpath(*parts)

    def _write(self, partial: Path, source: Path, sha256: str) -> None:
        copied = hashlib.sha256()
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o440)
        with open(descriptor, "wb") as copy, open(source, "rb") as original:
            while chunk := original.read(CHUNK):
                copied.update(chunk)
                copy.write(chunk)
            if copied.hexdigest() != sha256:
                raise SpoolDamagedError(
                    f"{source} has changed since it was sealed",
                    hint="suspect the disk; it is made again from its segment by the next run",
                )
            copy.flush()
            os.fsync(copy.fileno())
            # So that reading it back asks the disk, not the memory it was written from.
            with suppress(OSError):
                os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _compare(self, final: Path, source: Path) -> None:
        with open(final, "rb") as stored, open(source, "rb") as original:
            while True:
                chunk = original.read(CHUNK)
                if stored.read(CHUNK) != chunk:
                    raise IntegrityError(
                        f"{final} exists and holds something else than {source}",
                        hint="it was left alone. If the catalog came from an old backup, run "
                        "`archiver catalog rebuild`, then run again",
                    )
                if not chunk:
                    return

    @contextmanager
    def _failing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise NoSpaceError(
                    f"store {self.name!r}: no space left while {doing}",
                    hint="free some space there; nothing was deleted, the next run tries again",
                ) from error
            hint = "is it mounted, and may this user write there? The next run tries again"
            if error.errno == errno.EIO:
                hint = "the disk or its connection fails; nothing was deleted here"
            raise StoreError(
                f"store {self.name!r}: {error.strerror} while {doing}", hint=hint
            ) from error


def _sort_key(entry: "os.DirEntry[str]") -> str:
    """Directories sort as their keys do, with the slash that follows."""
    return entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
