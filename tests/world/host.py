"""A small host in a directory: its logs, its configuration, its nights, and what is stored of it.

Nights are simulated: each takes the instant it runs at. The command line is the real one, in this
process, so that it too can be told what time it is; where a process of its own matters (signals,
pipes, terminals, memory), `Host.process` starts one.
"""

import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
import zstandard

from archiver import nightly
from archiver.archives.manifest import Manifest, decode, digest
from archiver.archives.names import MANIFEST_SUFFIX
from archiver.cli import main
from archiver.cli.answer import Invocation
from archiver.config.settings import Config, Source, load
from archiver.rotation.spool import Journal
from archiver.system.files import ROOT

ARCHIVER = str(Path(sys.executable).with_name("archiver"))
ROME = ZoneInfo("Europe/Rome")
# A Monday in the middle of nowhere: no change of clocks, no change of year.
MONDAY = date(2026, 5, 4)
TOP = """\
schema = 1
[host]
name = "mx1"
timezone = "{zone}"
state_dir = "state"
spool_dir = "{spool}"
[compress]
level = 3
frame_size = "16KiB"
[storage]
required = {required}
"""
SOURCE = """\
[[source]]
name = "{name}"
path = "{name}"
reopen = "{reopen}"
{more}
"""
TARGET = """\
[storage.target.{name}]
type = "local"
path = "{name}"
"""


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    status: int
    out: bytes
    err: str


class Host:
    """One host. Its logs bear their sources' names, its stores their targets'."""

    ZONE = ROME

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.toml = directory / "archiver.toml"
        # What this machine rotates is nobody's business.
        self.root = directory / "root"
        self.configure(**settings)

    def configure(
        self,
        *,
        zone: str = "Europe/Rome",
        sources: tuple[str, ...] = ("maillog",),
        targets: tuple[str, ...] = ("store",),
        required: int = 1,
        reopen: str = "none",
        spool: str = "spool",
        more: str = "",
        tables: str = "",
    ) -> None:
        """Write the configuration. more: TOML, for every source. tables: TOML, besides."""
        text = TOP.format(zone=zone, required=required, spool=spool)
        text += "".join(TARGET.format(name=name) for name in targets)
        text += "".join(SOURCE.format(name=n, reopen=reopen, more=more) for n in sources)
        self.toml.write_text(text + tables)
        self.config: Config = load(self.toml)

    @property
    def source(self) -> Source:
        return self.config.sources[0]

    @property
    def log(self) -> Path:
        return self.source.path

    def write(self, data: bytes, source: str = "maillog") -> None:
        """Append to a log, as its syslogd would, and long ago: before any simulated night."""
        with open(self.directory / source, "ab") as log:
            log.write(data)
        os.utime(self.directory / source, (0, 0))

    def at(self, day: date | str, clock: str = "00:05") -> int:
        """The instant of a wall clock of this host. Of two (clocks set back), the first."""
        wall = datetime.fromisoformat(f"{day}T{clock}")
        return int(wall.replace(tzinfo=self.config.host.zone).timestamp())

    def night(
        self, day: date | str, clock: str = "00:05", *, force: bool = False
    ) -> nightly.NightReport:
        """Run at that wall clock, for all sources."""
        return self.run(self.at(day, clock), force=force)

    def run(self, now: int, *, force: bool = False) -> nightly.NightReport:
        names = [source.name for source in self.config.sources]
        return nightly.run(self.config, names, now=now, force=force, root=self.root)

    def plan(self, now: int, *, force: bool = False) -> nightly.NightReport:
        names = [source.name for source in self.config.sources]
        return nightly.plan(self.config, names, now=now, force=force, root=self.root)

    def take_away(self, target: str = "store") -> None:
        """A store can no longer be read, nor written."""
        path = self.directory / target
        if path.exists():
            path.rename(self.directory / f"{target}.away")
        path.write_bytes(b"not a directory")

    def bring_back(self, target: str = "store") -> None:
        (self.directory / target).unlink()
        away = self.directory / f"{target}.away"
        if away.exists():
            away.rename(self.directory / target)

    # -- the command line ------------------------------------------------------------------

    def archiver(self, *words: str | Path, now: int | None = None) -> Said:
        """Give the command line these words, at that instant."""
        return command("-c", self.toml, *words, now=now, root=self.root)

    def fetch(self, first: date | str, last: date | str = "", *, now: int | None = None) -> bytes:
        """Return some days' lines, which must all be there."""
        said = self.archiver("fetch", "--date", f"{first}..{last or first}", now=now)
        assert (said.status, said.err) == (0, "")
        return said.out

    def argv(self, *words: str | Path) -> list[str]:
        return [ARCHIVER, "-c", str(self.toml), *map(str, words)]

    def process(self, *words: str | Path) -> Said:
        """Run the real command in a process of its own."""
        ended = subprocess.run(self.argv(*words), capture_output=True, timeout=120, check=False)
        return Said(ended.returncode, ended.stdout, ended.stderr.decode())

    # -- what there is ---------------------------------------------------------------------

    def documents(self, source: str = "maillog", target: str = "store") -> list[bytes]:
        """Return the stored manifests of a source, as they are, in the order of the chain."""
        paths = (self.directory / target).glob(f"host=mx1/source={source}/*/*{MANIFEST_SUFFIX}")
        documents = [path.read_bytes() for path in paths]
        return sorted(documents, key=lambda document: decode(document).sequence)

    def manifests(self, source: str = "maillog", target: str = "store") -> list[Manifest]:
        """Return what is stored of a source, after a look at the chain and every digest."""
        before = None
        found = []
        for number, document in enumerate(self.documents(source, target), start=1):
            manifest = decode(document)
            assert (number, before) == (manifest.sequence, manifest.previous), "the chain is whole"
            before = digest(document)
            found.append(manifest)
            if not manifest.is_empty_day:
                stored = (self.directory / target / manifest.archive_key).read_bytes()
                assert manifest.sha256 == hashlib.sha256(stored).hexdigest()
        return found

    def dates(self, source: str = "maillog", target: str = "store") -> list[tuple[str, int]]:
        """Return each stored date with its number of lines, in the order of the chain."""
        return [(m.date.isoformat(), m.lines) for m in self.manifests(source, target)]

    def content(self, source: str = "maillog", target: str = "store") -> list[bytes]:
        """Return what each archive gives back, in the order of the chain."""
        return [
            unpacked((self.directory / target / manifest.archive_key).read_bytes())
            for manifest in self.manifests(source, target)
            if not manifest.is_empty_day
        ]

    def spooled(self, source: str = "maillog") -> list[str]:
        """Return the names of all that the spool holds of a source."""
        spool = self.config.host.spool_dir / source
        return sorted(os.listdir(spool)) if spool.exists() else []

    def journal(self, source: str = "maillog") -> Journal:
        return Journal(self.config.host.spool_dir, source)

    def tree(self) -> dict[str, tuple[object, ...]]:
        """Return all there is below the directory: kind and mode, inode, times, content."""
        return tree(self.directory)


def command(*words: str | Path, now: int | None = None, root: Path = ROOT) -> Said:
    """Give the real command line these words, in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    known: dict[str, Any] = {"root": root} if now is None else {"root": root, "now": now}
    invocation = partial(Invocation, **known)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with (
            mock.patch.object(sys, "argv", ["archiver", *map(str, words)]),
            mock.patch.object(main, "Invocation", invocation),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main.main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    assert isinstance(ended.value.code, int)
    return Said(ended.value.code, out.buffer.getvalue(), err.getvalue())


def tree(directory: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        # A directory's time tells of a file that came and went: what nobody can see afterwards.
        changed = 0 if path.is_dir() else status.st_mtime_ns
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_ino, changed, content)
    return found


def unpacked(archive: bytes) -> bytes:
    """Return what `zstd -dc` gives of an archive."""
    with zstandard.ZstdDecompressor().stream_reader(archive, read_across_frames=True) as reader:
        return bytes(reader.read())


def line(moment: datetime, text: str = "qmail: status: local 0/10 remote 0/20") -> bytes:
    """One line as syslogd writes it: a wall clock without year or zone."""
    return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S} mx1 {text}\n".encode()


def lines(day: date | str, *clocks: str) -> bytes:
    """Lines of one day, at these wall clocks, each different from all others."""
    return b"".join(
        line(datetime.fromisoformat(f"{day}T{clock}"), f"imapd: {day} {clock} {number}")
        for number, clock in enumerate(clocks)
    )


def after(day: date, days: int = 1) -> date:
    return day + timedelta(days)


def flip(path: Path, offset: int) -> None:
    """Change one bit of a file, as a bad disk would."""
    path.chmod(0o640)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 4]))
