"""The demonstration: what an administrator would see in a month, in less than a minute.

Real files, a local store, no root. Every command that it shows is really run, as a process of
its own. What it claims is checked, and it ends with an error if a check does not hold.
"""

import gzip
import hashlib
import importlib.resources
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from archiver.errors import ArchiverError, UsageError
from archiver.setup.demo import s3_server, syslogd
from archiver.setup.demo.lifelike import day
from archiver.system.zone import DAY, day_end, zone_named

DAYS = 30
MESSAGES_A_DAY = 250
MARKER = ".archiver-demo"
CONFIG = """\
schema = 1
[host]
name = "mx1"
timezone = "{zone}"
state_dir = "state"
spool_dir = "spool"
[compress]
level = 3
[[source]]
name = "maillog"
path = "log/maillog"
reopen = "pidfile:syslogd.pid"
[storage]
required = 1
[storage.target.local]
type = "local"
path = "store"
"""
RULE = """
[[retention.rule]]
name = "it-garante"
maximum = "P21D"
basis = "Garante 364/2024"
"""

Say = Callable[[str], None]


class DemoError(ArchiverError):
    """Something did not turn out as the demonstration claims."""

    code = "demo"


def play(directory: Path, say: Say, *, s3: bool = False) -> None:
    """Play the demonstration in a directory of its own, and leave that to try things on.

    say: gets each line to print. s3: play the part with a bucket of a real S3 server, too.

    Raises: UsageError: the directory holds something else. DemoError: a claim did not hold.
    """
    zone = zone_named("system")
    _make_room(directory)
    config = directory / "archiver.toml"
    config.write_text(CONFIG.format(zone=zone.key), encoding="utf-8")
    archiver = _Archiver(config, say)

    say("1. A month of logs that newsyslog left, and a piece of one from 2004, are archived.\n")
    digests = _old_logs(directory / "log", zone)
    archiver("import", *sorted(map(str, (directory / "log").glob("maillog.*"))), show=3)

    say("2. A live log is rotated twice, while its writer goes on writing into it.\n")
    today = datetime.now(zone).date()
    with _writer(directory, zone) as log:
        for _ in range(2):
            _wait_for(lambda: log.stat().st_size > 10_000, "the writer to write")
            archiver("-v", "run", "--force")
    days = f"{today}..{datetime.now(zone).date()}"
    archiver("list", "--date", days)
    lines = archiver("fetch", "--date", days, show=0).splitlines()
    numbers = [int(line.rsplit(b" ", 1)[1]) for line in lines]
    _claim(numbers == list(range(1, len(numbers) + 1)), "a live line is missing or doubled")
    say(f"   {len(numbers)} lines from two archives and the live log: each once, in order.\n")

    say("3. A day comes back as it was logged. The log of 2004 finds its year in its own lines.\n")
    wanted = sorted(digests)[DAYS // 2]
    found = archiver("fetch", "--date", str(wanted), show=2)
    _claim(hashlib.sha256(found).hexdigest() == digests[wanted], f"{wanted} came back changed")
    say("   It has the SHA-256 that the log had before it was archived.\n")
    archiver("fetch", "--date", "2004-08-16", show=2)

    say("4. Only the Message-ID of a message is known, not its day: the index finds its lines.\n")
    message_id = _a_message_id(found)
    message_lines = archiver("fetch", "--message-id", message_id, "--explain", show=4)
    _claim(set(message_lines.splitlines()) <= set(found.splitlines()), "other lines were found")
    _claim(message_lines.count(message_id.encode()) > 0, f"{message_id} was not found")

    say("5. One byte of that day's archive is changed: fetch notices, and must fail.\n")
    (archive,) = directory.glob(f"store/*/*/date={wanted}/*.zst")
    _flip_a_byte(archive)
    archiver("fetch", "--date", str(wanted), show=0, expected=5)
    _flip_a_byte(archive)
    say("   With that byte put right, all is well again:\n")
    archiver("status", show=9)
    _expire(directory, archiver, say, sorted(digests))
    if s3:
        s3_server.play(directory, archiver, say, _claim, message_id)

    say("Everything is in " + str(directory) + ". Try next:")
    for words in (
        "list",
        f"fetch --date {days} | tail",
        f"fetch --user {_a_user(found)} --count",
        f"fetch --date {wanted} --raw -o {shlex.quote(str(directory))}",
    ):
        say(f"   {archiver.shown} {words}")


def _expire(directory: Path, archiver: "_Archiver", say: Say, days: list[date]) -> None:
    """Destroy what is older than three weeks, except a day that is held."""
    say("6. A rule is added: no line is kept longer than 21 days. One day is held for a case.\n")
    with open(directory / "archiver.toml", "a", encoding="utf-8") as config:
        config.write(RULE)
    held, gone = str(days[0]), str(days[1])
    case = ("2026-117", "--from", held, "--to", held, "--reason", "theft of a mailbox")
    archiver("hold", "add", *case)
    archiver("retention", "plan", show=4)
    say("   Destroying what is too old must fail for the day that is held:\n")
    report = archiver("retention", "expire", "--yes", show=2, expected=6)
    say("   A destroyed day is gone, and fetch says why. The day that is held is still there:\n")
    archiver("fetch", "--date", gone, show=0, expected=4)
    archiver("fetch", "--date", held, show=1)
    numbers = re.findall(rb"certificate (\d+)", report)
    _claim(bool(numbers), "nothing was destroyed")
    say("   Each archive destroyed has a certificate, kept in every store. The last one:\n")
    archiver("retention", "ask", "deletions", "--certificate", numbers[-1].decode(), show=32)
    left = list(directory.glob(f"store/*/*/date={gone}/*.zst"))
    _claim(not left, f"{gone} is still there")


def _a_message_id(log: bytes) -> str:
    """Return the Message-ID of some message in the middle of a log."""
    ids = re.findall(rb"message-id=<([^<>\s]+)>", log)
    _claim(bool(ids), "no message was logged that day")
    return str(ids[len(ids) // 2], "utf-8")


def _a_user(log: bytes) -> str:
    return str(re.findall(rb"LOGIN, user=([^,]+)", log)[-1], "utf-8")


def _make_room(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARKER).exists():
            raise UsageError(
                f"{directory} is not empty, and no earlier demonstration made it",
                hint="name a new directory: archiver demo NEW_DIRECTORY",
            )
        for path in directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    # `run` refuses a log in a directory that others may write to; the umask might allow it.
    (directory / "log").mkdir(parents=True)
    for made in (directory, directory / "log"):
        made.chmod(0o755)
    (directory / MARKER).touch()


def _old_logs(directory: Path, zone: ZoneInfo) -> dict[date, str]:
    """Write the logs of the last days, and return the SHA-256 of each."""
    digests = {}
    today = datetime.now(zone).date()
    for age in range(DAYS):
        log_date = today - (age + 1) * DAY
        log = b"".join(day(log_date, zone, seed=1, messages=MESSAGES_A_DAY))
        digests[log_date] = hashlib.sha256(log).hexdigest()
        path = directory / f"maillog.{age}.gz"
        path.write_bytes(gzip.compress(log, 1))
        os.utime(path, (day_end(log_date, zone),) * 2)
    seed = importlib.resources.files("archiver.setup.demo").joinpath("seed.maillog").read_bytes()
    (directory / "maillog.2004").write_bytes(seed)
    return digests


@contextmanager
def _writer(directory: Path, zone: ZoneInfo) -> Iterator[Path]:
    """Run the stand-in that writes into the live log; its name, too, passes for a syslogd's."""
    log = directory / "log" / "maillog"
    log.touch(mode=0o640)
    program = directory / "demo-syslogd"
    program.symlink_to(sys.executable)
    pidfile = directory / "syslogd.pid"
    script = syslogd.__file__
    writer = subprocess.Popen([program, script, log, pidfile], env={**os.environ, "TZ": zone.key})
    try:
        _wait_for(pidfile.exists, "the writer to start")
        yield log
    finally:
        writer.terminate()
        writer.wait()


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        _claim(time.monotonic() < deadline, f"waited in vain for {what}")
        time.sleep(0.01)


def _flip_a_byte(path: Path) -> None:
    path.chmod(0o640)
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o440)


def _claim(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoError(otherwise, hint="please report this, with the output above")


class _Archiver:
    """Runs the real command, and shows it with the first lines of its output."""

    def __init__(self, config: Path, say: Say) -> None:
        self._argv = [sys.executable, "-m", "archiver", "-c", str(config)]
        self._say = say
        program = Path(sys.executable).with_name("archiver")
        where = os.path.relpath(program) if program.exists() else "archiver"
        self.shown = f"{where} -c {shlex.quote(str(config))}"

    def __call__(self, *words: str, show: int = 20, expected: int = 0) -> bytes:
        """Run a command, show it, and return its stdout.

        show: how many lines of stdout are worth seeing. expected: its exit status.
        Raises: DemoError: it ended with another one.
        """
        shown = words
        if words[0] == "import":
            shown = (words[0], f"{os.path.dirname(words[1])}/maillog.*")
        # Quoted where a shell needs it, but the pattern must stay one.
        line = " ".join(
            shlex.quote(word) if " " in word and "*" not in word else word for word in shown
        )
        self._say(f"   $ archiver -c … {line}")
        done = subprocess.run([*self._argv, *words], capture_output=True, check=False)
        stdout = done.stdout.decode(errors="replace").splitlines()
        rows = stdout[:show] + (["…"] if 0 < show < len(stdout) else [])
        for row in rows + done.stderr.decode(errors="replace").splitlines():
            self._say(f"     {row[:120]}")
        if done.returncode:
            self._say(f"     (exit status {done.returncode})")
        self._say("")
        _claim(
            done.returncode == expected,
            f"`{line}` ended with exit status {done.returncode}, not {expected}",
        )
        return done.stdout
