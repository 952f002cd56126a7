"""Find who else rotates a log: newsyslog, logrotate, or a line of a crontab.

Their configurations are read, below a root. No program is run, and a file that cannot be read is
passed over. A finding is certain if the configuration names the log and its program is installed;
else it carries the doubt.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from archiver.rotation.others import rotator_files
from archiver.rotation.others.cron_lines import claims, configurations
from archiver.rotation.others.rotator_files import GLOB, Named, Read
from archiver.system.files import ROOT

PROGRAMS = ("usr/sbin", "usr/bin", "usr/local/sbin", "usr/local/bin", "sbin", "bin")
READERS: dict[str, Callable[[str], Read]] = {
    "newsyslog": rotator_files.newsyslog,
    "logrotate": rotator_files.logrotate,
}
STARTS = (
    ("newsyslog", "/etc/newsyslog.conf"),
    ("logrotate", "/etc/logrotate.conf"),
    ("logrotate", "/usr/local/etc/logrotate.conf"),
    ("logrotate", "/usr/etc/logrotate.conf"),
)
# Where more of their files lie, whether or not those above include them.
BESIDE = (
    ("newsyslog", "/etc/newsyslog.conf.d/*"),
    ("newsyslog", "/usr/local/etc/newsyslog.conf.d/*"),
    ("logrotate", "/etc/logrotate.d"),
    ("logrotate", "/usr/local/etc/logrotate.d"),
)
# Files of cron; whether their lines begin with times; whether a user's name comes next.
CRON = (
    ("/etc/crontab", True, True),
    ("/etc/cron.d/*", True, True),
    ("/usr/local/etc/cron.d/*", True, True),
    ("/var/spool/cron/*", True, False),
    ("/var/spool/cron/crontabs/*", True, False),
    ("/var/cron/tabs/*", True, False),
    ("/etc/cron.hourly/*", False, False),
    ("/etc/cron.daily/*", False, False),
    ("/etc/cron.weekly/*", False, False),
    ("/etc/cron.monthly/*", False, False),
    ("/etc/periodic/*/*", False, False),
    ("/usr/local/etc/periodic/*/*", False, False),
)
# At most so many bytes of a file are read, and at most so many files.
LARGEST, MOST = 2**20, 2000


@dataclass(frozen=True)
class Rotator:
    """Somebody else who rotates a log. file: as the system names it; line: from 1.

    doubt: why that is not certain; "" if it is. directory: where rotated files go, absolute; ""
    if beside the log.
    """

    program: str
    file: str
    line: int
    doubt: str = ""
    directory: str = ""

    @property
    def certain(self) -> bool:
        return not self.doubt

    def __str__(self) -> str:
        return f"{self.program} ({self.file}:{self.line})"


@dataclass(frozen=True)
class NamedLog:
    """A log named in a configuration of one program. file, doubt: see `Rotator`."""

    program: str
    file: str
    named: Named
    doubt: str = ""


@dataclass
class Rotators:
    """The other rotators that the configurations below a root name. Those are read once."""

    root: Path = field(default_factory=lambda: ROOT)

    def of(self, log: Path) -> tuple[Rotator, ...]:
        """Return who else rotates a log, the certain ones first."""
        names = self._names(str(log))
        found = []
        for entry in self.entries:
            named = entry.named
            if any(named.is_for(name) for name in names) or (
                not named.pattern and self._real(named.name) in names
            ):
                directory = named.directory and os.path.join(log.parent, named.directory)
                found.append(Rotator(entry.program, entry.file, named.line, entry.doubt, directory))
        for file, text, table, user in self.cron:
            for claim in claims(text, names, table=table, user=user):
                doubt = "" if claim.certain else "a guess: the line names the log and a command"
                program = f"cron: {claim.program}"
                found.append(Rotator(program, file, claim.line, doubt))
        return tuple(sorted(found, key=lambda rotator: not rotator.certain))

    @cached_property
    def entries(self) -> list[NamedLog]:
        """All logs that newsyslog and logrotate are configured to rotate."""
        seen: dict[tuple[str, str], str] = {}
        found = [each for start in STARTS for each in self._read(*start, "", seen)]
        for file, text, table, user in self.cron:
            for program, name, line in configurations(text, table=table, user=user):
                if self._text(name) is not None or self._inside(name).is_dir():
                    found += self._read(program, name, f"cron runs it so: {file}:{line}", seen)
        for program, pattern in BESIDE:
            doubt = f"no configuration of {program} includes it"
            found += self._read(program, pattern, doubt, seen)
        missing = {program for program in READERS if not self._is_installed(program)}
        return [
            replace(entry, doubt=f"{entry.program} is not installed")
            if entry.program in missing
            else entry
            for entry in found
        ]

    @cached_property
    def cron(self) -> list[tuple[str, str, bool, bool]]:
        """The files that cron reads, or runs: name, text, and what kind of table they are."""
        found = []
        for pattern, table, user in CRON:
            for name in self._files(pattern):
                text = self._text(name)
                if text is not None:
                    found.append((name, text, table, user))
        return found

    def _read(
        self, program: str, pattern: str, doubt: str, seen: dict[tuple[str, str], str]
    ) -> Iterator[NamedLog]:
        """Yield the logs that a configuration, and those that it includes, name. seen: files read
        so far, with their doubt.
        """
        if doubt.startswith("cron runs"):
            doubt = ""
        waiting = [(pattern, rotator_files.TABOO)]
        while waiting and len(seen) < MOST:
            pattern, taboo = waiting.pop(0)
            for name in self._files(pattern, taboo):
                if (program, name) in seen:
                    continue
                seen[program, name] = doubt
                text = self._text(name)
                if text is None:
                    continue
                read = READERS[program](text)
                yield from (NamedLog(program, name, named, doubt) for named in read.named)
                here = os.path.dirname(name)
                waiting += [
                    (os.path.join(here, included), read.taboo) for included, _ in read.includes
                ]

    def _files(self, pattern: str, taboo: Sequence[str] = ()) -> list[str]:
        """Return the files of a name, a pattern or a directory, as the system names them."""
        if "\0" in pattern:
            return []
        if not GLOB.search(pattern) or self._inside(pattern).exists():
            if not self._inside(pattern).is_dir():
                return [pattern]
            names = self._listed(pattern)
            return [
                os.path.join(pattern, name)
                for name in names
                if not name.startswith(".")
                and not any(rotator_files.matches(name, wild) for wild in taboo)
            ]
        found = ["/"]
        for part in pattern.strip("/").split("/"):
            found = [
                os.path.join(above, name)
                for above in found
                for name in (self._listed(above) if GLOB.search(part) else [part])
                if name == part or rotator_files.matches(name, part)
            ][:MOST]
        return found

    def _listed(self, directory: str) -> list[str]:
        try:
            return sorted(os.listdir(self._inside(directory)))
        except OSError:
            return []

    def _text(self, name: str) -> str | None:
        """Return a file's text, whatever bytes it holds; None if not a file, or not readable."""
        try:
            # O_NONBLOCK: opening a FIFO must not wait for somebody to write into it.
            descriptor = os.open(self._inside(name), os.O_RDONLY | os.O_NONBLOCK)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        with open(descriptor, "rb") as file:
            try:
                return os.fsdecode(file.read(LARGEST))
            except OSError:
                return None

    def _inside(self, name: str) -> Path:
        return self.root / os.path.normpath(name).lstrip("/")

    def _names(self, log: str) -> frozenset[str]:
        """Return the paths of a log: its directories may be symbolic links."""
        return frozenset({os.path.normpath(log), self._real(log)})

    def _real(self, name: str) -> str:
        try:
            above = os.path.realpath(os.path.dirname(name))
        except (OSError, ValueError):
            return name
        return os.path.join(above, os.path.basename(name))

    def _is_installed(self, program: str) -> bool:
        return any((self.root / directory / program).exists() for directory in PROGRAMS)
