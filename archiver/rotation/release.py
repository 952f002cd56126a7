"""Stage 2: make the log's writer let go of the old file, and prove that it has.

A sleep proves nothing (a stopped syslogd still held the file after ten seconds), nor
does a new file (rsyslog opens it with the next message). What proves it:

    Linux    a read lease (fcntl(2), F_SETLEASE): the kernel grants it only while nobody
             has the file open for writing. Where a lease cannot be had (NFS, somebody
             else's file), /proc/*/fd shows who has it open.
    FreeBSD  fstat(1) names the processes that have the file open, and how.
"""

import errno
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archiver.config.settings import Reopen
from archiver.errors import ReopenError, WriterHoldsError
from archiver.rotation.spool import Entry
from archiver.system.files import fsync_directory

FIRST_PAUSE, LONGEST_PAUSE = 0.0005, 0.1
STOP_HINT = "the log is safe: nothing was archived or deleted; the next run goes on from here"
TRY_AGAIN = "the log is safe, and the next run tries again"


@dataclass(frozen=True)
class Holder:
    """A process that has the segment open for writing."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}]"


@dataclass(frozen=True)
class Proof:
    """Whether a file is proven closed for writing. holders: who has it open, if that is known.

    unknown: why it could not be found out, if so.
    """

    proven: bool
    holders: tuple[Holder, ...] = ()
    unknown: str = ""


# -- the request --------------------------------------------------------------------------


def check(reopen: Reopen) -> None:
    """Make sure that the writer can be asked to reopen its log, before anything is touched.

    Raises: ReopenError: no pid file, a stale one, a process that is not a syslogd, or a program
    that is not there.
    """
    if reopen.kind in {"pidfile", "systemctl"}:
        _signal(reopen, 0)
    elif reopen.kind == "command":
        program = shlex.split(reopen.argument)[0]
        if shutil.which(program) is None:
            raise ReopenError(
                f"reopen: program {program!r} not found",
                hint="check `reopen` in the configuration, and whether the program is installed",
            )


def request_reopen(reopen: Reopen, *, timeout: float) -> None:
    """Ask the writer to open its log anew. timeout: seconds for a command.

    Raises: ReopenError: it could not be asked; that it need not be is never assumed.
    """
    if reopen.kind in {"pidfile", "systemctl"}:
        _signal(reopen, signal.SIGHUP)
    elif reopen.kind == "command":
        _command(shlex.split(reopen.argument), timeout)


def _signal(reopen: Reopen, number: int) -> None:
    """Send the writer a signal; 0 only checks that it could be sent (kill(2))."""
    if reopen.kind == "pidfile":
        pid = _syslogd_of(Path(reopen.argument))
    else:
        pid = _main_process_of(reopen.argument)
    try:
        os.kill(pid, number)
    except OSError as error:
        raise ReopenError(
            f"cannot send HUP to process {pid}: {error.strerror}",
            hint=f"is it still running, and may you signal it (root may)? {TRY_AGAIN}",
        ) from error


def _main_process_of(unit: str) -> int:
    """Ask systemd for a unit's main process: any user may; `systemctl kill` is for root only."""
    if shutil.which("systemctl") is None:
        raise ReopenError(
            "reopen: program 'systemctl' not found",
            hint='without systemd, set `reopen = "pidfile:…"`',
        )
    argv = ["systemctl", "show", "--property=MainPID", "--value", "--", unit]
    said = (_output(argv) or "").strip()
    if not said.isdecimal() or int(said) < 2:
        raise ReopenError(
            f"systemd reports no main process for {unit}",
            hint=f"see `systemctl status {unit}`; {TRY_AGAIN}",
        )
    return int(said)


def _command(argv: list[str], timeout: float) -> None:
    """Run a command. Its exit status counts, not the end of its output: a command that restarts
    a daemon leaves it running with that output open.
    """
    with tempfile.TemporaryFile() as output:
        try:
            status = subprocess.run(
                argv,
                timeout=timeout,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ReopenError(f"reopen: {shlex.join(argv)}: {error}", hint=STOP_HINT) from error
        if status:
            output.seek(max(output.tell() - 500, 0))
            said = output.read().decode(errors="replace").strip()
            raise ReopenError(
                f"reopen: {shlex.join(argv)} ended with status {status}: {said}",
                hint=STOP_HINT,
            )


def _syslogd_of(pidfile: Path) -> int:
    """Return the pid in the file, if that process is a syslogd now: pids are reused."""
    hint = f"is syslogd running, and is {pidfile} its pid file? {TRY_AGAIN}"
    try:
        text = pidfile.read_text(encoding="ascii", errors="replace")[:64].strip()
    except OSError as error:
        raise ReopenError(f"cannot read {pidfile}: {error.strerror}", hint=hint) from error
    if not text.isdecimal() or int(text) < 2:
        raise ReopenError(f"{pidfile} does not hold a process id: {text!r}", hint=hint)
    pid = int(text)
    names = _names_of(pid)
    if not names:
        raise ReopenError(f"{pidfile} names process {pid}, which does not exist", hint=hint)
    # Linux cuts a name to 15 characters: "inetutils-syslo".
    if not any("syslo" in name for name in names):
        raise ReopenError(f"{pidfile} names process {pid}, but that is {names[0]}", hint=hint)
    return pid


def _names_of(pid: int) -> tuple[str, ...]:
    """Return the names that the system has for a process; none if it does not exist."""
    if not sys.platform.startswith("linux"):
        return tuple((_output(["ps", "-o", "comm=", "-p", str(pid)]) or "").split())
    names = []
    try:
        names.append(
            Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        )
        names.append(os.path.basename(os.readlink(f"/proc/{pid}/exe")))
    except OSError:
        pass
    return tuple(names)


# -- the proof ----------------------------------------------------------------------------


def release(entry: Entry, *, timeout: float) -> None:
    """Wait until nobody can write into the segment any more, then rename it to NAME.log.

    timeout: seconds. Raises: WriterHoldsError: somebody still holds it, or the proof cannot be
    had; the segment stays NAME.open, and the next run signals and asks again.
    """
    path = entry.open_segment
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while not (finding := look(path)).proven:
        if time.monotonic() >= deadline:
            _raise_held(path, timeout, finding)
        time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
        pause = min(pause * 2, LONGEST_PAUSE)
    os.rename(path, entry.segment)
    fsync_directory(entry.directory)


def _raise_held(path: Path, timeout: float, finding: Proof) -> None:
    holders = finding.holders or who_writes(path).holders
    who = ", ".join(str(holder) for holder in holders)
    what = (
        f"held for writing by {who}"
        if who
        else f"not proven closed ({finding.unknown or 'lease refused'})"
    )
    raise WriterHoldsError(
        f"{path} is still {what} after {timeout:g} s",
        hint=f"check that every program that writes to the log reopens it when asked; {STOP_HINT}",
    )


def look(path: Path) -> Proof:
    """Find out whether anybody has the file open for writing."""
    if hasattr(fcntl, "F_SETLEASE"):
        finding = _by_lease(path)
        if finding is not None:
            return finding
    return who_writes(path)


def _by_lease(path: Path) -> Proof | None:
    """Ask the kernel; None where it cannot answer for this file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        # If somebody opens the file while we hold the lease, the kernel sends a signal.
        # SIGIO, the default, would kill us; SIGURG is ignored unless asked for.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        # EAGAIN: somebody writes. EACCES: we neither own the file nor have CAP_LEASE.
        return Proof(proven=False) if error.errno == errno.EAGAIN else None
    finally:
        os.close(descriptor)
    return Proof(proven=True)


def who_writes(path: Path) -> Proof:
    """Name the processes that have the file open for writing, by inspecting every process."""
    if sys.platform.startswith("linux"):
        return _by_proc(path)
    if os.geteuid() != 0:
        return Proof(proven=False, unknown="only root sees every process: run as root")
    return read_fstat(_output(["fstat", "-m", str(path)]) or "")


def _by_proc(path: Path) -> Proof:
    wanted = os.lstat(path)
    holders = []
    # Mounted with hidepid (proc(5)), /proc does not even list those that we may not inspect.
    hidden = 0 if os.path.exists("/proc/1") else 1
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            if _holds(pid, wanted):
                holders.append(Holder(pid, (_names_of(pid) or ("?",))[0]))
        except PermissionError:
            hidden += 1
        except OSError:
            continue  # it has ended
    unknown = f"processes that cannot be inspected: {hidden}; run as root" if hidden else ""
    return Proof(not holders and not hidden, tuple(holders), unknown)


def _holds(pid: int, wanted: os.stat_result) -> bool:
    """Whether a process has the file open for writing, or maps it so.

    Its first living thread answers for all of them: one that has ended shows neither files
    nor memory (proc(5), task).
    """
    for task in os.listdir(f"/proc/{pid}/task"):
        at = f"/proc/{pid}/task/{task}"
        with suppress(FileNotFoundError, ProcessLookupError):
            if maps := Path(f"{at}/maps").read_text(encoding="utf-8", errors="replace"):
                names = os.listdir(f"{at}/fd")
                return _maps(maps, wanted) or any(_writes(f"{at}/fd/{n}", wanted) for n in names)
    return False


def _writes(at: str, wanted: os.stat_result) -> bool:
    try:
        if not os.path.samestat(os.stat(at), wanted):
            return False
        fdinfo = Path(at.replace("/fd/", "/fdinfo/")).read_text(encoding="ascii")
    except OSError:
        return False  # it was closed
    flags = next(line for line in fdinfo.splitlines() if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY


def _maps(maps: str, wanted: os.stat_result) -> bool:
    """Whether it can write through memory, which needs no open file (mmap(2), MAP_SHARED)."""
    device = f"{os.major(wanted.st_dev):02x}:{os.minor(wanted.st_dev):02x}"
    rows = (line.split(maxsplit=5) for line in maps.split("\n") if line)
    return any(
        row[1][1] + row[1][3] == "ws" and row[3:5] == [device, str(wanted.st_ino)] for row in rows
    )


FSTAT_HEADER = "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W NAME"
# Names and mount points may hold blanks; the mount point may be missing, and so may R/W.
FSTAT_ROW = re.compile(
    r"\S+ +(?P<name>\S.*?) +(?P<pid>\d+) +(?:\d+|[a-z]+) (?: *(?:-|/.*?)?) +\d+"
    r" +[-a-zA-Z]{10} +\d+(?: +(?P<access>rw|r|w))? +/.*"
)


def read_fstat(output: str) -> Proof:
    """Read what FreeBSD's fstat(1) prints of one file. With a row not understood: not proven.

    USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W NAME
    root     syslogd      731   12 /var/log   8231 -rw-r-----   18273  w  /var/log/maillog
    """
    header, *rows = output.splitlines() or [""]
    if header != FSTAT_HEADER:
        return Proof(proven=False, unknown="fstat printed no table")
    holders = []
    for row in rows:
        found = FSTAT_ROW.fullmatch(row)
        if found is None:
            return Proof(proven=False, unknown=f"this row of fstat is not understood: {row[:80]}")
        if "w" in (found["access"] or ""):
            holders.append(Holder(int(found["pid"]), found["name"]))
    return Proof(not holders, tuple(holders))


def _output(argv: list[str]) -> str | None:
    """Return what a program prints; None if it cannot be run, or fails."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.decode(errors="replace")
