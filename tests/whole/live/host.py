"""A small host whose mail log is archived: one syslogd, one configuration, one local store."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.world.syslogds import Syslogd

ARCHIVER = Path(sys.executable).with_name("archiver")

CONFIGURATION = """\
schema = 1
[host]
name = "mx1"
timezone = "{timezone}"
state_dir = "state"
spool_dir = "spool"
[[source]]
name = "maillog"
path = "{log}"
reopen = "{reopen}"
reopen_timeout = "{reopen_timeout}"
[storage]
required = 1
[storage.target.local]
type = "local"
path = "store"
"""


def noon() -> int:
    """Return the offset from UTC, in hours, at which it is about noon now.

    There no midnight passes during a test, and `today` keeps its meaning.
    """
    return 12 - datetime.now(UTC).hour


class Said(NamedTuple):
    """What a command said before it ended."""

    out: bytes
    err: str


def messages(log: bytes) -> list[str]:
    """Return the lines of *log* as `tag: text`, without a last one that is not whole."""
    whole = log[: log.rfind(b"\n") + 1].decode()
    # `Nov  3 12:00:00 host tag: text`: the time is 15 characters wide, then comes the host.
    return [line[16:].partition(" ")[2] for line in whole.splitlines()]


class Host:
    """The archiver's side of the host. Every command is a process of its own, as at night."""

    def __init__(self, directory: Path, syslogd: Syslogd, offset: int) -> None:
        """Archive what *syslogd* writes below *directory*, *offset* hours east of Greenwich."""
        self.directory = directory
        self.syslogd = syslogd
        # POSIX counts westwards: Etc/GMT-5 is five hours EAST of Greenwich.
        self._timezone = f"Etc/GMT{-offset:+d}"
        self.configure()

    def configure(self, *, reopen: str = "", reopen_timeout: str = "30s") -> None:
        """Write the configuration, all of whose paths are relative."""
        pidfile = self.syslogd.pidfile.relative_to(self.directory)
        text = CONFIGURATION.format(
            timezone=self._timezone,
            log=self.syslogd.log.relative_to(self.directory),
            reopen=reopen or f"pidfile:{pidfile}",
            reopen_timeout=reopen_timeout,
        )
        (self.directory / "archiver.toml").write_text(text)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs the archiver on this host."""
        return [str(ARCHIVER), "-c", str(self.directory / "archiver.toml"), *arguments]

    def archiver(self, *arguments: str, status: int = 0) -> Said:
        """Run the archiver to its end, which must come with *status*."""
        ended = subprocess.run(
            self.command(*arguments),
            check=False,
            capture_output=True,
            timeout=300,
            start_new_session=True,  # a signal sent to a whole group must not reach the tests
        )
        said = Said(ended.stdout, ended.stderr.decode())
        assert ended.returncode == status, f"{arguments} ended with {ended.returncode}: {said.err}"
        return said

    def fetch(self) -> list[str]:
        """Return today's lines, as `tag: text`."""
        out = self.archiver("fetch", "--date", "today").out
        assert out.endswith(b"\n"), "the last line is whole"
        return messages(out)

    def spooled(self) -> list[str]:
        """Return the names of all that the spool holds of this log."""
        spool = self.directory / "spool" / "maillog"
        return sorted(entry.name for entry in spool.iterdir()) if spool.exists() else []

    def archives(self) -> list[Path]:
        """Return the archives in the store."""
        return sorted((self.directory / "store").rglob("*.log.zst"))
