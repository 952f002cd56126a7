"""The spool of one source: the segments under way, and how far each came.

The state can be read off the directory, and restart is the normal path:

    NAME.intent     written and fsynced before anything is touched
    NAME.open       a second name of the log: it has been, or is being, rotated
    NAME.log        the same file, after its writer was proven to have let go
    NAME.sealing/   archives being made; if left over, the next run removes them
    NAME.sealed/    verified archives and manifests, ready for the stores
    NAME.done/      delivered; being removed

An entry has ended when its intent is gone. Names sort in the order in which they were made.
"""

import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from archiver.config.settings import Config
from archiver.errors import ArchiverError, IntegrityError, WorkKeptError
from archiver.system.files import (
    TEMPORARY,
    fsync_directory,
    make_directory,
    remove,
    remove_tree,
    write_whole,
)
from archiver.system.zone import compact

INTENT, OPEN, LOG = ".intent", ".open", ".log"
SEALING, SEALED, DONE = ".sealing", ".sealed", ".done"
# In the year 2199: no instant in this program is later. In seconds since 1970.
LAST_INSTANT = 7_258_118_400
NUMBERED = re.compile(r"\d{8}T\d{6}Z-\d{3}")


@dataclass(frozen=True)
class Intent:
    """What is about to be done. origin: "run", "import" or "empty-days".

    path: the log. device, inode: which file that was. mode, uid, gid: what the new log
    gets. written: the instant of rotation, or of a file's last change.
    """

    origin: str
    path: str
    written: int
    device: int = 0
    inode: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Entry:
    """One segment on its way through the spool."""

    name: str
    directory: Path
    intent: Intent

    def at(self, suffix: str) -> Path:
        return self.directory / (self.name + suffix)

    @property
    def intent_file(self) -> Path:
        return self.at(INTENT)

    @property
    def open_segment(self) -> Path:
        return self.at(OPEN)

    @property
    def segment(self) -> Path:
        return self.at(LOG)

    @property
    def sealing(self) -> Path:
        return self.at(SEALING)

    @property
    def sealed(self) -> Path:
        return self.at(SEALED)

    @property
    def done(self) -> Path:
        return self.at(DONE)

    def last_written(self, now: int) -> int:
        """When the segment was last written to: after its rotation, if its writer kept it.

        Never after `now`, whatever the file says: it may have been written while a clock
        was ahead, and lines without a year get theirs from this.
        """
        for path in (self.open_segment, self.segment):
            with suppress(FileNotFoundError):
                return max(self.intent.written, min(int(path.stat().st_mtime), now))
        return self.intent.written

    def is_live(self) -> bool:
        """Whether the segment is still the live log: its rotation stopped before the rename."""
        try:
            return os.path.samestat(os.lstat(self.open_segment), os.lstat(self.intent.path))
        except FileNotFoundError:
            return False

    def has_anything(self) -> bool:
        return any(path.exists() for path in (self.open_segment, self.segment, self.sealed))


class Journal:
    """The entries of one source, oldest first."""

    def __init__(self, spool_dir: Path, source: str) -> None:
        self.directory = spool_dir / source

    def prepare(self) -> None:
        """Make the directory, and remove what an interrupted run left unfinished."""
        make_directory(self.directory, 0o700)
        for path in sorted(self.directory.iterdir()):
            if not NUMBERED.match(path.name):
                continue  # not ours
            if path.name.endswith((SEALING, DONE)):
                remove_tree(path)
            elif path.name.endswith(TEMPORARY):
                remove(path)

    def entries(self) -> list[Entry]:
        """Return those that have not ended. Raises: IntegrityError: an intent cannot be read."""
        if not self.directory.is_dir():
            return []
        names = sorted(name for name in os.listdir(self.directory) if name.endswith(INTENT))
        found = (self._read(name.removesuffix(INTENT)) for name in names)
        return [entry for entry in found if entry]

    def orphans(self) -> list[Path]:
        """Return segments and sealed archives without an intent: somebody put them there."""
        if not self.directory.is_dir():
            return []
        known = {entry.name for entry in self.entries()}
        return [
            path
            for path in sorted(self.directory.iterdir())
            if path.suffix in {OPEN, LOG, SEALED} and path.stem not in known
        ]

    def begin(self, intent: Intent) -> Entry:
        """Write a new intent, durably, and return its entry. Raises: ValueError, TypeError."""
        _checked(intent)
        entry = Entry(self._new_name(intent.written), self.directory, intent)
        write_whole(
            entry.intent_file, (json.dumps(asdict(intent), indent=1) + "\n").encode(), 0o600
        )
        return entry

    def end(self, entry: Entry) -> None:
        """Remove an entry whose archives are safe: the segment, what was sealed, the intent.

        In this order, what is left after each step is something that the next run understands.
        """
        remove(entry.segment)
        fsync_directory(self.directory)
        self.unseal(entry)
        remove_tree(entry.sealing)
        remove(entry.intent_file)
        fsync_directory(self.directory)

    def unseal(self, entry: Entry) -> None:
        """Remove what was sealed: renamed first, so that half of it is never taken for all."""
        if entry.sealed.exists():
            os.rename(entry.sealed, entry.done)
            remove_tree(entry.done)

    def _new_name(self, written: int) -> str:
        """Return a name that sorts after all others, even if the clock was set back, and that no
        other segment ever had: 20040816T135325Z-000-1b2c3d.
        """
        found = (NUMBERED.match(name) for name in os.listdir(self.directory))
        taken = sorted(match[0] for match in found if match)
        stamp, number = compact(written), 0
        if taken and taken[-1] >= stamp:
            stamp, number = taken[-1][:-4], int(taken[-1][-3:]) + 1
        return f"{stamp}-{number:03d}-{secrets.token_hex(3)}"

    def _read(self, name: str) -> Entry | None:
        """Return an entry; None if it has ended since its name was seen (`fetch` has no lock)."""
        path = self.directory / (name + INTENT)
        try:
            return Entry(name, self.directory, _checked(Intent(**json.loads(path.read_bytes()))))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise IntegrityError(
                f"cannot understand {path}: {error}",
                hint=f"move it away; if there is a {name}.open, make syslogd reopen its log (HUP); "
                "then `archiver import` the .open or .log, and remove it",
            ) from error


def forgotten(config: Config, spool: str) -> list[ArchiverError]:
    """Return an error for each segment that no run looks at any more: its source was renamed, or
    it is in another spool, which the last run used.
    """
    here = str(config.host.spool_dir)
    names = {source.name for source in config.sources}
    found = [path for path in _waiting(here) if path.parent.name not in names]
    found += _waiting(spool) if spool != here else []
    return [
        WorkKeptError(
            f"{path} belongs to a source or a spool that is no longer configured",
            hint="change the source's name or `spool_dir` back until `archiver run` has archived "
            "it",
        )
        for path in found
    ]


def _waiting(spool: str) -> list[Path]:
    return sorted(Path(spool).glob(f"*/*{INTENT}")) if spool else []


def _checked(intent: Intent) -> Intent:
    """Return the intent. Raises: TypeError, ValueError: a field's value is impossible."""
    for name, value in asdict(intent).items():
        if type(value) is not (str if name in {"origin", "path"} else int):
            raise TypeError(f"{name} cannot be {value!r}")
    if not 0 <= intent.written < LAST_INSTANT:
        raise ValueError(f"written cannot be {intent.written}")
    return intent
