"""One source's turn in a night: what its stages are given, and what they leave for the next."""

import hashlib
from dataclasses import dataclass, field
from datetime import date

from archiver.archives.manifest import Manifest
from archiver.config.settings import Source
from archiver.errors import Problems
from archiver.maillog.clock import Clock
from archiver.rotation.last_run import LastRun
from archiver.rotation.others.rotators import Rotator, Rotators
from archiver.rotation.rotate import LiveLog
from archiver.rotation.spool import Journal
from archiver.stores.session import Session
from archiver.system.zone import local_date

# How many bytes of a live log are read to find out when it begins.
FIRST_LOOK = 64 * 1024


@dataclass
class SourceReport:
    """What a run did, or would do, for one source. pending: entries it would finish. waiting:
    files that another rotator left, and that could not be taken over yet.

    complete: the day up to which every day is archived or recorded as empty.
    """

    source: str
    complete: date
    rotated: bool = False
    reason: str = ""
    archived: list[Manifest] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failures: Problems = field(default_factory=Problems)


@dataclass
class Taken:
    """What was taken over of another rotator's files. waiting: files left for the next run, and
    why. heads: the first bytes of the files that were read; inodes: their device and inode. listed:
    device and inode of all files found. unbroken: the log that the last run left is one of those
    read, so that no file was removed in between.
    """

    manifests: list[Manifest] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failures: Problems = field(default_factory=Problems)
    heads: list[bytes] = field(default_factory=list)
    inodes: set[tuple[int, int]] = field(default_factory=set)
    unbroken: bool = False
    listed: set[tuple[int, int]] = field(default_factory=set)

    def has(self, beginning: tuple[int, str]) -> bool:
        """Whether one of the files that were read begins so. beginning: its length and SHA-256."""
        length, digest = beginning
        return bool(length) and any(
            len(head) >= length and hashlib.sha256(head[:length]).hexdigest() == digest
            for head in self.heads
        )


class Turn:
    """One source's turn in a run. last: what the previous run noted. complete: see
    `SourceReport`.
    """

    def __init__(
        self,
        session: Session,
        source: Source,
        last: LastRun,
        *,
        force: bool,
        complete: date,
        rotators: Rotators,
    ) -> None:
        self.session = session
        self.source = source
        self.last = last
        self.force = force
        self.zone = session.config.host.zone
        self.today = local_date(session.now, self.zone)
        self.journal = Journal(session.config.host.spool_dir, source.name)
        self.report = SourceReport(source.name, complete)
        self.rotators = rotators
        self.other: Rotator | None = None
        self.taken = Taken()
        self.directories: list[str] = []

    def clock(self) -> Clock:
        return Clock(self.zone, written=self.session.now)

    def first_look(self, live: LiveLog) -> bytes:
        with open(live.path, "rb") as log:
            return log.read(FIRST_LOOK)
