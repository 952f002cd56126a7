"""A store in a directory: keys are paths, and an object is a read-only plain file.

An object is written beside its final name, fsynced and linked (link(2) never overwrites); then each
directory above it is fsynced, up to the root. A name ending in `.partial` was never finished; the
next put of its key removes it. Symbolic links below the root are refused: what they lead to is not
in this store.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

from archiver.archives.names import INDEX_SUFFIXES
from archiver.archives.receipts import UNPROTECTED, Destroyed, Protection, Stored
from archiver.errors import (
    FULL,
    IntegrityError,
    NoSpaceError,
    NotFoundError,
    SpoolDamagedError,
    StoreError,
    StoreRefusedError,
)
from archiver.policy.period import Period
from archiver.stores.contract import demand_destructible
from archiver.system.files import fsync_directory, make_directory, remove

PARTIAL = ".partial"
CHUNK = 2**20
# How often another process that stores the same key may get in the way.
ATTEMPTS = 10
LINK_HINT = "put a real directory or file there; only the store's own directory may be a link"


class LocalStore:
    """See `archiver.stores.contract`. root: an absolute path, made when needed."""

    is_near = True
    can_hold = False

    def __init__(self, name: str, root: Path, keep: Period | None = None) -> None:
        self.name = name
        self.root = root
        self.keep = keep

    def put(
        self, key: str, source: Path, sha256: str, protection: Protection = UNPROTECTED
    ) -> None:
        with self._storing(key, protection) as final:
            for _ in range(ATTEMPTS):
                if _status(final):
                    _compare(final, source, sha256)
                    break
                if self._create(final, source, sha256):
                    break
            else:
                raise StoreError(
                    f"store {self.name!r}: somebody else keeps storing {final}",
                    hint="do two archivers share this store and host.name? Give each its own name",
                )

    def replace(
        self, key: str, source: Path, sha256: str, protection: Protection = UNPROTECTED
    ) -> None:
        with self._storing(key, protection) as final:
            partial = _partial(final)
            try:
                _write(partial, source, sha256)
                partial.rename(final)
            finally:
                remove(partial)

    def find(self, key: str) -> Stored | None:
        with self._failing(f"looking for {key}"):
            status = _status(self._path(key))
            plain = status and stat.S_ISREG(status.st_mode)
            return Stored(key, status.st_size) if status and plain else None

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._path(key)
        if self.find(key) is None:
            raise NotFoundError(
                f"{path} is not in the store",
                hint="`archiver list` shows the other copies; `archiver repair` restores this one",
            )
        with self._failing(f"reading {path}"), open(path, "rb", opener=_plainly) as file:
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
                    hint="this copy is damaged; `archiver repair` replaces it from another store",
                )

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        with self._failing(f"listing {self.root}"):
            yield from self._walk("", prefix)

    def protection(self, day: date, now: int) -> Protection:  # noqa: ARG002
        return UNPROTECTED

    def protect(self, key: str, protection: Protection) -> None:  # noqa: ARG002
        self._refuse(protection)

    def remove(self, key: str) -> None:
        if not key.endswith(INDEX_SUFFIXES):
            raise ValueError(f"{key!r} is not the key of an index")
        path = self._path(key)
        with self._failing(f"removing {path}"), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            fsync_directory(path.parent)

    def destroy(self, key: str) -> tuple[Destroyed, ...]:
        demand_destructible(key)
        path = self._path(key)
        with self._failing(f"destroying {path}"):
            self._refuse_links(path.parent)
            status = _status(path)
            if status is None:
                return ()
            path.unlink()
            fsync_directory(path.parent)
            if _status(path):
                raise StoreRefusedError(
                    f"store {self.name!r}: {path} was removed, but has appeared again",
                    hint="do two archivers share this store and host.name? Give each its own name",
                )
        return (Destroyed(None, marker=False, reply=f"unlinked, {status.st_size} bytes"),)

    def lift_hold(self, key: str) -> None:
        """Nothing here is ever held."""

    def tidy(self, prefix: str) -> None:
        with self._failing(f"tidying {self.root}"):
            for directory, _, names in os.walk(self.root / prefix):
                for name in names:
                    if name.endswith(PARTIAL):
                        remove(Path(directory, name))

    def restore(self, key: str, days: int) -> None:
        """Nothing here is ever cold."""

    def _refuse(self, protection: Protection) -> None:
        """Refuse any protection. A file's mode is not a lock: whoever may write may also remove."""
        if protection != UNPROTECTED:
            raise StoreRefusedError(
                f"store {self.name!r}: a directory cannot lock or hold anything",
                hint="for locks and holds, use a store of type s3 with Object Lock",
            )

    @contextmanager
    def _storing(self, key: str, protection: Protection) -> Iterator[Path]:
        """Yield the path of a key, ready to be stored at; afterwards make its name durable."""
        self._refuse(protection)
        final = self._path(key)
        with self._failing(f"storing {final}"):
            self._refuse_links(final.parent)
            make_directory(final.parent)
            # What an earlier put of this key has left.
            for name in os.listdir(final.parent):
                if name.startswith(f"{final.name}.") and name.endswith(PARTIAL):
                    remove(final.parent / name)
            yield final
            # Even those that existed before: a run may have been killed before it fsynced them.
            for directory in (final.parent, *final.parent.parents):
                fsync_directory(directory)
                if directory == self.root:
                    break

    def _walk(self, directory: str, prefix: str) -> Iterator[Stored]:
        """Yield what the prefix leads to, in order of keys; enter no other directory."""
        try:
            entries = sorted(os.scandir(self.root / directory), key=_sort_key)
        except FileNotFoundError:
            return
        for entry in entries:
            key = directory + entry.name
            below = key + "/"
            if entry.is_dir(follow_symlinks=False):
                if below.startswith(prefix) or prefix.startswith(below):
                    yield from self._walk(below, prefix)
            elif entry.is_symlink() and (key.startswith(prefix) or prefix.startswith(below)):
                raise StoreError(
                    f"store {self.name!r}: {entry.path} is a symbolic link", hint=LINK_HINT
                )
            elif key.startswith(prefix) and not key.endswith(PARTIAL) and entry.is_file():
                yield Stored(key, entry.stat().st_size)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        ill_formed = not all(parts) or any(part in {".", ".."} for part in parts)
        if ill_formed or "\0" in key or key.endswith(PARTIAL):
            raise ValueError(f"{key!r} is not a key")
        return self.root.joinpath(*parts)

    def _refuse_links(self, directory: Path) -> None:
        real = Path(os.path.realpath(self.root), directory.relative_to(self.root))
        if os.path.realpath(directory) != str(real):
            raise StoreError(
                f"store {self.name!r}: a symbolic link leads from {directory} to somewhere else",
                hint=LINK_HINT,
            )

    def _create(self, final: Path, source: Path, sha256: str) -> bool:
        """Make the object. False: another process has made it, or removed our unfinished file."""
        partial = _partial(final)
        try:
            _write(partial, source, sha256)
            os.link(partial, final)
        except FileExistsError:
            return False
        except FileNotFoundError:
            if source.exists():
                return False
            raise
        finally:
            remove(partial)
        return True

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
                hint = "the disk or its connection fails; nothing was deleted. See the system's log"
            raise StoreError(
                f"store {self.name!r}: {error.strerror} while {doing}", hint=hint
            ) from error


def _partial(final: Path) -> Path:
    return final.with_name(f"{final.name}.{secrets.token_hex(4)}{PARTIAL}")


def _status(path: Path) -> os.stat_result | None:
    """Stat what is there, not following a link; None if nothing is."""
    try:
        return os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _plainly(path: str, flags: int) -> int:
    """Open a file so that neither a FIFO makes us wait nor a link leads us elsewhere."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _write(partial: Path, source: Path, sha256: str) -> None:
    copied = hashlib.sha256()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o440)
    with open(descriptor, "wb") as copy, open(source, "rb") as original:
        while chunk := original.read(CHUNK):
            copied.update(chunk)
            copy.write(chunk)
        if copied.hexdigest() != sha256:
            raise _changed(source)
        copy.flush()
        os.fsync(copy.fileno())
        # So that reading back reads the disk, not the page cache.
        with suppress(OSError):
            os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _compare(final: Path, source: Path, sha256: str) -> None:
    """Raise unless `final` is a plain file that holds the same bytes as the source."""
    read = hashlib.sha256()
    status = os.stat(final, follow_symlinks=False)
    same = stat.S_ISREG(status.st_mode) and status.st_size == source.stat().st_size
    with open(source, "rb") as original, open(final if same else os.devnull, "rb") as stored:
        while chunk := original.read(CHUNK):
            read.update(chunk)
            same = same and stored.read(CHUNK) == chunk
    if read.hexdigest() != sha256:
        raise _changed(source)
    if not same:
        raise IntegrityError(
            f"{final} already holds something other than {source}",
            hint="it was left alone. If the catalog came from an old backup, run "
            "`archiver catalog rebuild`, then run again",
        )


def _changed(source: Path) -> SpoolDamagedError:
    return SpoolDamagedError(
        f"{source} has changed since it was sealed",
        hint="suspect the disk; the next run makes it again from its segment",
    )


def _sort_key(entry: "os.DirEntry[str]") -> str:
    """Directories sort as their keys do, with the slash that follows."""
    return entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
