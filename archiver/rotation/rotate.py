"""Stage 1: take the log away from its writer; at no moment is there no log.

    intent, fsynced → new file with its final owner and mode → link(log, NAME.open)
    → rename(new, log) → fsync both directories

The writer goes on writing into the old file, which now has only the spool's name; the
next stage makes it let go. If it is killed anywhere in between, `complete` finds in the spool
what is left to do. FreeBSD's syslogd opens without O_CREAT, and rsyslog after dropping
privileges may not create files in /var/log: hence the rename, never a missing file.
"""

import errno
import grp
import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archiver.config.settings import Source
from archiver.errors import ConfigError, LogMissingError, MovedAsideError, UnsafeLogError
from archiver.rotation.spool import Entry, Intent, Journal
from archiver.system.files import fsync_directory, remove


@dataclass(frozen=True)
class LiveLog:
    """The log as found: its path, without symbolic links in the directory, and its status."""

    path: Path
    status: os.stat_result

    @property
    def size(self) -> int:
        return self.status.st_size


def inspect(source: Source) -> LiveLog:
    """Look at a log before anything is done to it.

    Raises: LogMissingError. UnsafeLogError: it is not a plain file, or somebody else could
    put another file in its place (CVE-2011-1548, CVE-2011-1550, "logrotten").
    """
    directory = Path(os.path.realpath(source.path.parent))
    path = directory / source.path.name
    try:
        status = os.lstat(path)
    except FileNotFoundError as error:
        raise LogMissingError(
            f"{source.path} does not exist",
            hint="check `path`, or create the file: FreeBSD's syslogd does not do that itself",
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = next(
            (name for test, name in KINDS if test(status.st_mode)), "something other than a file"
        )
        raise UnsafeLogError(
            f"{source.path} is {kind}, not a plain file",
            hint="give the path of the file that syslogd writes to",
        )
    _check_directories(source.path, directory)
    return LiveLog(path, status)


def identity(source: Source) -> tuple[int, int] | None:
    """Return the device and inode of the file that is the log now; None if there is none."""
    try:
        status = os.stat(source.path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _check_directories(log: Path, directory: Path) -> None:
    """Refuse a log that anybody but root and ourselves could replace by something else."""
    for above in (directory, *directory.parents):
        status = os.stat(above)
        sticky = above != directory and status.st_mode & stat.S_ISVTX
        others = status.st_mode & stat.S_IWOTH and not sticky
        group = status.st_mode & stat.S_IWGRP and status.st_gid not in {0, os.getegid()}
        owner = status.st_uid not in {0, os.geteuid()}
        if others or owner or (group and not sticky):
            raise UnsafeLogError(
                f"{log}: others may write to the directory {above}, "
                "and could put another file in its place",
                hint=f"chown root {above}; chmod go-w {above}; or move the log to a "
                "directory that only root may write to",
            )


def rotate(source: Source, live: LiveLog, journal: Journal, *, now: int) -> Entry:
    """Take the log away into the spool, and return its entry.

    Afterwards its writer still writes into the entry's open segment.
    now: seconds since 1970. Raises: MovedAsideError: somebody else moved the log meanwhile.
    ConfigError: no such owner or group, or the spool is on another file system.
    """
    status = live.status
    uid, gid = owner(source, status)
    intent = Intent(
        origin="run",
        path=str(live.path),
        written=now,
        device=status.st_dev,
        inode=status.st_ino,
        mode=stat.S_IMODE(status.st_mode) if source.mode is None else source.mode,
        uid=uid,
        gid=gid,
    )
    entry = journal.begin(intent)
    try:
        _prepare_new_log(live.path, intent)
        _link(live.path, entry)
    except BaseException:
        remove(_new_log(live.path))
        if not entry.open_segment.exists():
            remove(entry.intent_file)
        raise
    _rename_over(live.path, entry)
    return entry


def complete(entry: Entry) -> None:
    """Finish a rotation that was interrupted, so that the log has its new file."""
    if entry.intent.origin != "run":
        return
    path = Path(entry.intent.path)
    remove(_new_log(path))
    if not entry.open_segment.exists():
        return
    segment = os.lstat(entry.open_segment)
    try:
        log = os.lstat(path)
    except FileNotFoundError:
        _prepare_new_log(path, entry.intent)
        # Not rename: a syslogd that has just made the file itself must not lose it.
        with suppress(FileExistsError):
            os.link(_new_log(path), path, follow_symlinks=False)
        remove(_new_log(path))
        fsync_directory(path.parent)
        return
    if (log.st_dev, log.st_ino) == (segment.st_dev, segment.st_ino):
        _prepare_new_log(path, entry.intent)
        _rename_over(path, entry)


def _new_log(path: Path) -> Path:
    return path.with_name(f".{path.name}.archiver-new")


def _prepare_new_log(path: Path, intent: Intent) -> None:
    """Make the empty file that will be the log, complete with its owner and mode."""
    new = _new_log(path)
    remove(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        # In this order: with CAP_CHOWN alone, the mode of somebody else's file cannot be set.
        os.fchmod(descriptor, intent.mode)
        made = os.fstat(descriptor)
        if (made.st_uid, made.st_gid) != (intent.uid, intent.gid):
            os.fchown(descriptor, intent.uid, intent.gid)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(path: Path, entry: Entry) -> None:
    """Give the log its second name, in the spool. link(2) never overwrites."""
    try:
        os.link(path, entry.open_segment, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise ConfigError(
                f"the spool {entry.directory} is not on the file system of {path}",
                hint="set host.spool_dir to a directory beside the log: only within one file "
                "system can it be moved without being copied",
            ) from error
        raise
    linked = os.lstat(entry.open_segment)
    if (linked.st_dev, linked.st_ino) != (entry.intent.device, entry.intent.inode):
        # Somebody rotated it between our lstat and our link, so we have linked the new log. It
        # keeps its own name, so ours can go.
        if os.path.samestat(os.lstat(path), linked):
            remove(entry.open_segment)
        raise MovedAsideError(
            f"{path} was replaced by somebody else while it was being rotated",
            hint="two programs rotate it: take it out of newsyslog.conf or logrotate.d, then run "
            "again",
        )
    fsync_directory(entry.directory)


def _rename_over(path: Path, entry: Entry) -> None:
    if not os.path.samestat(os.lstat(path), os.lstat(entry.open_segment)):
        remove(_new_log(path))
        raise MovedAsideError(
            f"{path} was replaced by somebody else while it was being rotated",
            hint="two programs rotate it: take it out of newsyslog.conf or logrotate.d; the old "
            f"log is kept as {entry.open_segment}, and the next run archives it",
        )
    os.rename(_new_log(path), path)
    fsync_directory(path.parent)


def owner(source: Source, status: os.stat_result) -> tuple[int, int]:
    """Return uid and gid of the new log. Raises: ConfigError: there is no such user or group."""
    try:
        uid = status.st_uid if source.owner is None else pwd.getpwnam(source.owner).pw_uid
        gid = status.st_gid if source.group is None else grp.getgrnam(source.group).gr_gid
    except KeyError as error:
        raise ConfigError(
            f"source {source.name}: {error.args[0]}", hint="check `owner` and `group`"
        ) from error
    return uid, gid
