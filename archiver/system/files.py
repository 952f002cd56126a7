"""File operations whose result survives a crash.

POSIX promises that link(2), rename(2) and open(O_EXCL) happen wholly or not at all. It does
not promise that they survive a power cut, unless the file *and the directory that names it*
were fsynced. What writes here does both, data before name.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archiver.errors import LockHeldError

TEMPORARY = ".tmp"
# The system's own files lie below it, but for a test, which has a system of its own.
ROOT = Path("/")


def fsync_directory(path: Path) -> None:
    """Make sure that the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int = 0o750) -> None:
    """Create a directory and its missing parents, and fsync the parent of each one created."""
    if path.is_dir():
        return
    make_directory(path.parent, mode)
    try:
        path.mkdir(mode)
    except FileExistsError:
        if not path.is_dir():
            raise
    fsync_directory(path.parent)


def write_whole(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Make `path` hold `data`, replacing what was there: old or new, never half."""
    temporary = path.with_name(path.name + TEMPORARY)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    fsync_directory(path.parent)


def create_whole(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Make a new file that holds `data`, whole or not at all.

    Raises: FileExistsError: `path` exists; it is left as it is.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        write_whole(temporary, data, mode)
        os.link(temporary, path)
    finally:
        for leftover in (temporary, temporary.with_name(temporary.name + TEMPORARY)):
            remove(leftover)
    fsync_directory(path.parent)


def remove(path: Path) -> None:
    """Unlink a file if it exists. If that must survive a power cut, the caller fsyncs."""
    with suppress(FileNotFoundError):
        path.unlink()


def remove_tree(path: Path) -> None:
    """Remove a directory that only this program writes to, if it exists."""
    with suppress(FileNotFoundError):
        shutil.rmtree(path)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file while the context lasts.

    flock(2) ends with its holder, however that dies, so there is no stale lock to clear.
    The file lies in a directory of our own: elsewhere, other users could hold it for ever
    (CVE-2022-1348).

    Raises: LockHeldError: at once, without waiting, if another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            holder = re.fullmatch(rb"(\d{1,10})\n", os.pread(descriptor, 32, 0))
            raise LockHeldError(
                f"another archiver is at work (process "
                f"{holder[1].decode() if holder else 'unknown'}, lock {path})",
                hint="let it finish; if it hangs, find out what that process is waiting for",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def emptied(directory: Path) -> Iterator[None]:
    """Provide an empty directory to work in, whatever was left there, and remove it at the end."""
    remove_tree(directory)
    make_directory(directory)
    try:
        yield
    finally:
        remove_tree(directory)
