"""A log, its writer and its archiver in a directory of their own, and what must hold there.

`Bench` is what one worker needs all the time: a writer, and an archiver with everything
loaded, from which each run is forked off. `Sandbox` is one place on such a bench.
"""

import hashlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests import TOP
from tests.whole.crash.writer import Writer, numbers, writer

MARK = "/archiver-crash-marker"
DRIVER = str(Path(__file__).with_name("driver.py"))
LIMIT = 60
LOG_MODE = 0o640

CONFIGURATION = """\
schema = 1
[host]
name = "mx1"
timezone = "{zone}"
state_dir = "state"
spool_dir = "spool"
[compress]
level = 3
frame_size = "16KiB"
[[source]]
name = "maillog"
path = "maillog"
reopen = "{reopen}"
reopen_timeout = "2s"
[storage]
required = 1
[storage.target.local]
type = "local"
path = "store"
"""
RULE = """\
[[retention.rule]]
name = "short"
maximum = "P2D"
basis = "a test"
expire = "auto"
"""
BY_PIDFILE = "pidfile:syslogd.pid"
BY_COMMAND = "command:/bin/sh -c 'read pid <{directory}/syslogd.pid; /bin/kill -HUP $pid'"


class Zone:
    """A zone where it is about noon, so that no midnight passes while we look."""

    def __init__(self) -> None:
        self.offset = 12 - datetime.now(UTC).hour
        self.zone = timezone(timedelta(hours=self.offset))
        # POSIX counts westwards: Etc/GMT-5 is five hours EAST of Greenwich.
        self.name = f"Etc/GMT{-self.offset:+d}"

    def now(self, *, days_ago: int = 0) -> datetime:
        return datetime.now(self.zone).replace(microsecond=0) - timedelta(days=days_ago)


@dataclass(frozen=True)
class Ended:
    """How a command ended: as subprocess tells it (negative: by that signal)."""

    status: int
    out: bytes
    err: str


class Runs:
    """The archiver with everything loaded; each run is a child forked off then."""

    def __init__(self, process: "subprocess.Popen[bytes]", scratch: Path) -> None:
        self.process = process
        self.out = scratch / "stdout"
        self.err = scratch / "stderr"

    def start(self, argv: list[str], *, wait: bool) -> int:
        """Fork off a run. If it is to wait, it begins at SIGUSR1. Returns its pid."""
        request = {"argv": argv, "stdout": str(self.out), "stderr": str(self.err), "wait": wait}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return int(self._answer()["pid"])

    def ended(self) -> Ended:
        """Wait for the run to end."""
        status = os.waitstatus_to_exitcode(int(self._answer()["status"]))
        return Ended(status, self.out.read_bytes(), self.err.read_text(errors="replace"))

    def run(self, argv: list[str]) -> Ended:
        """Run to the end, which has to come within `LIMIT` seconds."""
        with ends(self.start(argv, wait=False)):
            return self.ended()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the driver has died")
        answer: dict[str, Any] = json.loads(line)
        return answer


def end_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@contextmanager
def ends(pid: int) -> Iterator[None]:
    """Kill it, and all that it has started, should it still run after `LIMIT` seconds."""
    alarm = threading.Timer(LIMIT, end_group, [pid])
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


@contextmanager
def runs(scratch: Path) -> Iterator[Runs]:
    with subprocess.Popen(
        [sys.executable, DRIVER, MARK, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=TOP,
    ) as process:
        try:
            yield Runs(process, scratch)
        finally:
            process.kill()


class Bench:
    """One worker's writer and archiver, and a directory for its sandboxes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True)
        self.directory = directory
        self.stack = ExitStack()
        self.writer: Writer = self.stack.enter_context(writer())
        self.runs: Runs = self.stack.enter_context(runs(directory))
        self.count = 0

    def sandbox(self, *, reopen: str = BY_PIDFILE) -> "Sandbox":
        self.count += 1
        return Sandbox(self, self.directory / f"{self.count:05}", reopen)

    def close(self) -> None:
        self.stack.close()


class Sandbox:
    """One log with its writer and its archiver."""

    def __init__(self, bench: Bench, directory: Path, reopen: str = BY_PIDFILE) -> None:
        directory.mkdir(mode=0o700)
        self.directory = directory
        self.bench = bench
        self.writer = bench.writer
        self.zone = Zone()
        self.log = directory / "maillog"
        self.store = directory / "store"
        self.config = directory / "archiver.toml"
        reopen = reopen.format(directory=directory)
        self.config.write_text(CONFIGURATION.format(zone=self.zone.name, reopen=reopen))
        # The lines up to this one are to be destroyed.
        self.expired = 0
        self.log.touch()
        self.log.chmod(LOG_MODE)
        (directory / "syslogd.pid").write_text(f"{self.writer.pid}\n")
        self.writer.open(self.log)

    def argv(self, *rest: str) -> list[str]:
        return ["-c", str(self.config), *rest]

    def write(self, count: int, *, days_ago: int = 0) -> None:
        written = self.writer.put(count, self.zone.now(days_ago=days_ago), "%")
        if written != count:
            raise RuntimeError(f"the writer wrote {written} of {count}: {self.writer.error}")

    def night(self) -> Ended:
        """One ordinary run."""
        return self.archiver("run", "--force")

    def adopt(self) -> None:
        """From now on what another rotator leaves is to be archived, too."""
        text = self.config.read_text()
        self.config.write_text(text.replace("[[source]]\n", '[[source]]\ncoexist = "adopt"\n'))

    def rotated_by_another(self, name: str, *, days_ago: int) -> Path:
        """Let another one rotate the log, properly, and return what it leaves."""
        left = self.directory / name
        self.log.rename(left)
        self.log.touch()
        self.log.chmod(LOG_MODE)
        last = self.writer.tell()
        os.kill(self.writer.pid, signal.SIGHUP)
        while self.writer.tell() == last:  # it writes one more line, and opens the log anew
            pass
        os.utime(left, (self.zone.now(days_ago=days_ago).timestamp(),) * 2)
        return left

    def rule(self) -> None:
        """From now on what is older than two days is to be destroyed."""
        with open(self.config, "a") as file:
            file.write(RULE)

    def archiver(self, *rest: str) -> Ended:
        return self.bench.runs.run(self.argv(*rest))

    def between(self) -> list[str]:
        """What is wrong while a run lies dead: the log must be there, as it was."""
        try:
            status = self.log.lstat()
        except FileNotFoundError:
            return ["gone: the log's path has no file"]
        if stat.S_IMODE(status.st_mode) != LOG_MODE:
            return [f"mode: the log has {stat.S_IMODE(status.st_mode):o}, not {LOG_MODE:o}"]
        return []

    def faults(self) -> list[str]:
        """Everything that is not as it must be after an undisturbed run."""
        return [
            *self.stuck(),
            *self.lines(),
            *self.strays(),
            *self.damaged(),
            *self.broken_chain(),
            *self.expiry(),
            *self.forgotten(),
        ]

    def stuck(self) -> Iterator[str]:
        """The writer must write into the log, and into nothing else."""
        if self.writer.put(1, self.zone.now(), "%") != 1 or not self.writer.is_open:
            yield f"stuck: the writer has no log: {self.writer.error}"
        elif numbers(self.log.read_bytes())[-1:] != [self.writer.last]:
            yield "stuck: the writer's last line is not in the log"
        yield from self.between()

    def is_held(self) -> bool:
        """Whether the writer has the log open, and not some other file.

        It answers when it has done what it was told before, so not between two files.
        """
        self.writer.tell()
        descriptors = Path(f"/proc/{self.writer.pid}/fd")
        log = self.log.stat()
        return any(os.path.samestat(one.stat(), log) for one in descriptors.iterdir())

    def lines(self) -> Iterator[str]:
        """Every line once, in its order."""
        first = self.zone.now(days_ago=5).date()
        dates = f"{first}..{self.zone.now().date()}"
        fetched = self.archiver("fetch", "--date", dates)
        if fetched.status:
            yield f"fetch: exit {fetched.status}: {fetched.err.strip()}"
        found = numbers(fetched.out)
        expected = list(range(self.expired + 1, self.writer.tell() + 1))
        if lost := sorted(set(expected) - set(found)):
            yield f"lost {len(lost)} of {len(expected)}: {lost[0]}..{lost[-1]}"
        if len(found) > len(set(found)):
            yield f"duplicated {len(found) - len(set(found))}"
        if not lost and len(found) == len(set(found)) and found != expected:
            yield "order: the lines are not in their order"

    def strays(self) -> Iterator[str]:
        """Nothing unfinished may lie about."""
        for path in sorted(self.directory.rglob("*")):
            name = path.relative_to(self.directory)
            in_spool = name.parts[:2] == ("spool", "maillog") and len(name.parts) > 2
            leftover = path.name.endswith((".partial", ".tmp", ".new", ".sealing", "-new"))
            if in_spool or leftover:
                yield f"stray: {name}"

    def archives(self) -> list[Path]:
        return sorted(self.store.rglob("*.log.zst"))

    def damaged(self) -> Iterator[str]:
        """Every archive must be one for zstd(1), and have its manifest."""
        archives = self.archives()
        if archives:
            tested = subprocess.run(
                ["zstd", "-t", "-q", *archives], check=False, capture_output=True, timeout=LIMIT
            )
            if tested.returncode:
                yield f"damaged: {tested.stderr.decode(errors='replace').strip()}"
        for archive in archives:
            if not archive.with_name(archive.name.replace(".log.zst", ".manifest.json")).exists():
                yield f"stray: {archive.relative_to(self.directory)} has no manifest"

    def broken_chain(self) -> Iterator[str]:
        """Each manifest must carry the digest of the one before; every archive its own."""
        documents = [path.read_bytes() for path in self.store.rglob("*.manifest.json")]
        chain = sorted((json.loads(document)["sequence"], document) for document in documents)
        previous = None
        for place, (sequence, document) in enumerate(chain, start=1):
            if sequence != place:
                yield f"chain: manifest {place} has the sequence {sequence}"
            if json.loads(document)["previous"] != previous:
                yield f"chain: manifest {sequence} does not follow the one before"
            previous = hashlib.sha256(document).hexdigest()
        if not chain:
            yield "chain: the store holds no manifest"

    def expiry(self) -> Iterator[str]:
        """The ledger is one chain; and what was to be destroyed is, with one certificate."""
        previous, stones = None, []
        for place, path in enumerate(sorted(self.store.glob("host=*/ledger/*")), start=1):
            document = path.read_bytes()
            record = json.loads(document)
            if (record["sequence"], record["previous"]) != (place, previous):
                yield f"ledger: record {place} does not follow the one before"
            if record["kind"] == "tombstone":
                stones.append(record["body"]["archive"])
            previous = hashlib.sha256(document).hexdigest()
        if len(stones) != len(set(stones)) or bool(stones) != bool(self.expired):
            yield f"certificates: {stones}"
        for stone in stones:
            for left in self.store.glob(f"{stone.removesuffix('.log.zst')}*"):
                if not left.name.endswith(".manifest.json"):
                    yield f"destroyed, but there: {left.relative_to(self.directory)}"

    def forgotten(self) -> Iterator[str]:
        """The catalog must say what the store says."""
        before = self.catalog()
        rebuilt = self.archiver("catalog", "rebuild")
        if rebuilt.status:
            yield f"rebuild: exit {rebuilt.status}: {rebuilt.err.strip()}"
        after = self.catalog()
        for table in sorted(before.keys() | after.keys()):
            old, new = before.get(table, []), after.get(table, [])
            if old != new:
                gone = [row for row in old if row not in new]
                come = [row for row in new if row not in old]
                yield f"catalog: rebuilding changes {table}: - {gone[:2]} + {come[:2]}"

    def catalog(self) -> dict[str, list[str]]:
        """All rows of all tables that are derived: receipts tell when something was read."""
        path = self.directory / "state" / "catalog.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: sorted(map(str, database.execute(f'SELECT * FROM "{name}"')))  # noqa: S608
                for (name,) in tables.fetchall()
                if name != "receipt"
            }
