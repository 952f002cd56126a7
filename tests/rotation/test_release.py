"""The log's writer: only a syslogd is signalled, commands end in time, and a segment is called
closed only when nobody is left who could write into it.
"""

import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config.settings import Reopen
from archiver.errors import ReopenError, WriterHoldsError
from archiver.rotation import release as syslogd
from archiver.rotation.release import (
    Holder,
    Proof,
    check,
    look,
    read_fstat,
    release,
    request_reopen,
    who_writes,
)
from archiver.rotation.spool import Entry, Intent, Journal

ROOT = os.geteuid() == 0


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def failing(reopen: Reopen, *, timeout: float = 30) -> str:
    """Return the message if the writer cannot be asked."""
    with pytest.raises(ReopenError) as raised:
        request_reopen(reopen, timeout=timeout)
    assert (raised.value.exit_status, "the log" in raised.value.hint.lower()) == (13, True)
    return raised.value.message


# -- the request -----------------------------------------------------------------------------


@contextmanager
def running(directory: Path, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of that name, which waits to be signalled."""
    program = script(directory / name, "echo; read -r line")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def signal_of(process: "subprocess.Popen[bytes]") -> signal.Signals:
    """End a process: of two signals the lower is delivered first, so a HUP before it shows."""
    process.terminate()
    return signal.Signals(-process.wait())


@pytest.mark.parametrize("name", ["syslogd", "rsyslogd", "inetutils-syslogd", "syslog-ng"])
@pytest.mark.parametrize("told", [False, True])
def test_a_syslogd_gets_hup(tmp_path: Path, name: str, told: bool) -> None:
    """Also if its name is longer than the kernel remembers; and looking first sends nothing."""
    with running(tmp_path, name) as process:
        reopen = Reopen("pidfile", str(tmp_path / "pid"))
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        check(reopen)
        if told:
            request_reopen(reopen, timeout=5)
        assert signal_of(process) == (signal.SIGHUP if told else signal.SIGTERM)


GARBAGE = """0 1 -1 -PID +PID PIDx PID-PID PID,1 PID.0 0xPID PIDe0 ٣ ² pid PID00000000000000000000
999999999999999999999999999999 4194305 /run/PID \0PID"""


@pytest.mark.parametrize("content", ["", " \n", "PID PID", "PID\n1", "9" * 5000, *GARBAGE.split()])
def test_what_is_no_pid_signals_nobody(tmp_path: Path, content: str) -> None:
    """Neither all processes (-1), nor our own group (0), nor init (1), nor one of like number."""
    reopen = Reopen("pidfile", str(tmp_path / "pid"))
    with running(tmp_path, "syslogd") as bystander:
        (tmp_path / "pid").write_text(content.replace("PID", str(bystander.pid)))
        with pytest.raises(ReopenError):
            check(reopen)
        message = failing(reopen)
        assert signal_of(bystander) == signal.SIGTERM
    assert message.startswith(str(tmp_path / "pid"))
    assert len(message) < 300


@pytest.mark.parametrize("name", ["postfix", "sh", "logger", "sys-logd"])
def test_another_program_s_process_is_not_signalled(tmp_path: Path, name: str) -> None:
    """Syslogd has ended, and its pid was given to somebody else: named, and left alone."""
    with running(tmp_path, name) as process:
        (tmp_path / "pid").write_text(str(process.pid))
        message = failing(Reopen("pidfile", str(tmp_path / "pid")))
        assert signal_of(process) == signal.SIGTERM
    assert message.endswith(f"names process {process.pid}, but that is {name}")


@pytest.mark.parametrize("kind", ["pidfile", "command"])
@pytest.mark.parametrize("name", ["missing", "directory", "text"])
def test_what_cannot_be_used(tmp_path: Path, kind: str, name: str) -> None:
    """Known before the log is touched, too; that the writer needs no telling is never assumed."""
    (tmp_path / "text").write_text("#!/bin/sh\n")
    (tmp_path / "directory").mkdir()
    reopen = Reopen(kind, str(tmp_path / name))
    with pytest.raises(ReopenError, match=name):
        check(reopen)
    assert str(tmp_path / name) in failing(reopen)


def test_a_command_gets_its_words_from_no_shell(tmp_path: Path) -> None:
    """Split as a shell would, but nothing in them means anything; and no stdin to wait for."""
    told = tmp_path / "told"
    program = script(tmp_path / "program", f'printf "%s\\n" "$@" > {told}; cat >> {told}')
    words = ["a", "b  c", "$HOME", "*", ";", f"touch {tmp_path}/evil", "`id`", "|", "", "'"]
    reopen = Reopen("command", shlex.join([str(program), *words]))
    check(reopen)
    assert not told.exists()
    request_reopen(reopen, timeout=30)
    assert "\n".join([*words, ""]) == told.read_text()
    assert not (tmp_path / "evil").exists()


@contextmanager
def endless(directory: Path, text: str) -> Iterator[Reopen]:
    """A script that tells its pid; in it, WAIT lasts until the `with` ends."""
    fifo, nothing = directory / "fifo", directory / "nothing"
    os.mkfifo(fifo)
    nothing.touch()
    open_end = os.open(fifo, os.O_RDWR)
    text = f"echo $$ > {directory}/pid; {text.replace('WAIT', f'read -r x < {fifo}')}"
    try:
        yield Reopen("command", str(script(directory / "program", text)))
    finally:
        nothing.rename(fifo)  # for who comes to WAIT only now
        os.close(open_end)


@pytest.mark.parametrize("text", ["trap '' HUP INT TERM; WAIT", "WAIT & wait"])
def test_a_command_that_hangs_is_killed(tmp_path: Path, text: str) -> None:
    """In time, whatever it ignores and whoever else still has its output open."""
    begun = time.monotonic()
    with endless(tmp_path, text) as reopen:
        assert "timed out" in failing(reopen, timeout=0.3)
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
    assert time.monotonic() - begun < 10


def test_a_command_s_status_counts_and_nothing_else(tmp_path: Path) -> None:
    """0 means told, even if it leaves somebody running who has its output open: a restart."""
    with endless(tmp_path, "WAIT & exit 0") as reopen:
        request_reopen(reopen, timeout=3)


SAYS = {
    "echo out; printf 'bad \\377 thing\\n' >&2; exit 7": r"status 7: (out\n)?bad \ufffd thing",
    "echo only out; exit 1": "status 1: only out",
    "yes 0123456789 | head -n 99999; echo end; exit 1": r"status 1: [0-9\n]{100,900}end",
    "kill -9 $$": "status -9: ",
}


@pytest.mark.parametrize("text", SAYS)
def test_what_a_failing_command_said_is_told(tmp_path: Path, text: str) -> None:
    """Its status and the end of what it said, in whatever encoding."""
    message = failing(Reopen("command", str(script(tmp_path / "says", text))))
    assert re.fullmatch(rf"reopen: {tmp_path}/says ended with {SAYS[text]}", message)


def test_systemctl_is_asked_for_the_main_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in PATH is asked, and HUP sent by ourselves: polkit lets only root have it sent."""
    monkeypatch.setenv("PATH", str(tmp_path))
    reopen = Reopen("systemctl", "rsyslog")
    with pytest.raises(ReopenError, match="systemctl"):
        check(reopen)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    with running(tmp_path, "rsyslogd") as process:
        script(tmp_path / "systemctl", f'echo "$@" >{tmp_path}/told; echo {process.pid}')
        check(reopen)
        assert process.poll() is None
        request_reopen(reopen, timeout=30)
        assert process.wait(30) == -signal.SIGHUP
    assert (tmp_path / "told").read_text() == "show --property=MainPID --value -- rsyslog\n"


@pytest.mark.parametrize("says", ["echo 0", "echo", "echo 1", "echo x", "exit 1"])
def test_a_unit_without_a_main_process_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """Stopped, unknown, or no bus to ask: before the log is touched."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    script(tmp_path / "systemctl", says)
    with pytest.raises(ReopenError, match="no main process for rsyslog"):
        check(Reopen("systemctl", "rsyslog"))


# -- proving it ------------------------------------------------------------------------------

# A process called syslogd: it opens the file somehow, tells its pid, and ends with its stdin.
HOLD = """\
import ctypes, mmap, os, pathlib, sys, threading
ctypes.CDLL(None).prctl(15, b"syslogd", 0, 0, 0)
def open(flags): return os.open(sys.argv[1], flags)
def wait():
    os.write(1, b"%d\\n" % os.getpid())
    os.read(0, 1)
    os.closerange(3, 99)
    os._exit(0)
def wait_alone():
    while ") Z " not in pathlib.Path("/proc/self/stat").read_text(): pass
    wait()
"""
MAP = "m = mmap.mmap(open(os.{}), 0, prot={}); os.closerange(3, 99)"
WRITE_MAP = MAP.format("O_RDWR", "mmap.PROT_READ | mmap.PROT_WRITE")
ALONE = "; threading.Thread(target=wait_alone).start()\nctypes.CDLL(None).pthread_exit(None)"
WRITERS = {
    "O_WRONLY": "open(os.O_WRONLY)",
    "O_RDWR": "open(os.O_RDWR)",
    "O_APPEND": "open(os.O_WRONLY | os.O_APPEND)",
    "stopped": "open(os.O_WRONLY)",
    "mapped, and closed": WRITE_MAP,
    "inherited by a child": "open(os.O_WRONLY)\nif os.fork(): os._exit(0)",
    "its first thread has ended": "open(os.O_WRONLY)" + ALONE,
    "mapped, and that has ended": WRITE_MAP + ALONE,
}
READERS = {
    "O_RDONLY": "open(os.O_RDONLY)",
    "mapped": MAP.format("O_RDONLY", "mmap.PROT_READ"),
    "written before": "os.close(open(os.O_WRONLY))",
}
SESSIONS: set[int] = set()  # one for each holder


@contextmanager
def holding(path: Path, how: str) -> Iterator[Holder]:
    code = f"{HOLD}{(WRITERS | READERS)[how]}\nwait()"
    argv = [sys.executable, "-c", code, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        SESSIONS.add(process.pid)
        if how == "stopped":
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED)
        try:
            yield Holder(pid, "syslogd")
        finally:
            if how == "stopped":
                os.kill(pid, signal.SIGCONT)
            process.stdin.close()
            process.stdout.read()  # ends when all of them have let go
            SESSIONS.discard(process.pid)


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let /proc list this process and the holders' sessions only: even root may not look into all
    the others where it has fewer capabilities than they (ptrace(2), access mode checking).
    """
    listdir = os.listdir

    def listed(path: str) -> list[str]:
        return [name for name in listdir(path) if path != "/proc" or is_mine(name)]

    def is_mine(name: str) -> bool:
        with suppress(OSError, ValueError):
            return int(name) == os.getpid() or os.getsid(int(name)) in SESSIONS
        return False

    monkeypatch.setattr(os, "listdir", listed)


@pytest.fixture
def entry(place: Path) -> Entry:
    """A segment just rotated: nobody has it open."""
    journal = Journal(place / "spool", "maillog")
    journal.prepare()
    entry = journal.begin(Intent("run", str(place / "maillog"), 0))
    entry.open_segment.write_bytes(b"a line\n")
    return entry


@pytest.mark.parametrize("how", [*WRITERS, *READERS])
def test_who_could_write(entry: Entry, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is found, by a lease or, where there is none, among all processes; readers do not count."""
    path, proven = entry.open_segment, Proof(proven=True)
    with holding(path, how) as holder, holding(path, "O_RDONLY"):
        held = Proof(proven=False, holders=(holder,)) if how in WRITERS else proven
        assert look(path) == Proof(proven=how in READERS)
        assert held == who_writes(path)
        with monkeypatch.context() as without:
            without.delattr(fcntl, "F_SETLEASE")
            assert held == look(path)
    assert proven == look(path) == who_writes(path)


# Looks, as somebody who may do less than root, and tells what was found.
LESS = """\
import ctypes, json, os, struct, sys
from pathlib import Path
from archiver.rotation import release as syslogd
path, what, function = sys.argv[1:]
if what.isdecimal():  # a capability to be dropped: capget(2), capabilities(7)
    libc, data = ctypes.CDLL(None), ctypes.create_string_buffer(24)
    assert libc.capget(header := struct.pack("Ii", 0x20080522, 0), data) == 0
    words = [word & ~(1 << int(what)) for word in struct.unpack("6I", data.raw)]
    assert libc.capset(header, struct.pack("6I", *words)) == 0
else:
    os.geteuid() or os.setuid(54321)
found = getattr(syslogd, function)(Path(path))
print(json.dumps([found.proven, found.unknown, [holder.pid for holder in found.holders]]))
"""
CAP_SYS_PTRACE, CAP_LEASE = "19", "28"


def with_less(path: Path, what: str, function: str) -> tuple[bool, bool, list[int]]:
    argv = [sys.executable, "-c", LESS, str(path), what, function]
    proven, unknown, pids = json.loads(subprocess.check_output(argv))
    return proven, "processes that cannot be inspected" in unknown, pids


@pytest.mark.parametrize("what", ["another user"] + [CAP_SYS_PTRACE, CAP_LEASE] * ROOT)
def test_who_may_do_less_proves_no_more(place: Path, entry: Entry, what: str) -> None:
    """What cannot be inspected is named, and not a proof; without a lease, no holder."""
    for path in (place, place / "spool", entry.directory):
        path.chmod(0o755)
    owner, function = (54321, "look") if what == CAP_LEASE else (-1, "who_writes")
    os.chown(entry.open_segment, owner, -1)
    with holding(entry.open_segment, "O_WRONLY") as holder:
        proven, unknown, pids = with_less(entry.open_segment, what, function)
    assert (proven, unknown or pids == [holder.pid]) == (False, True)
    proven, unknown, pids = with_less(entry.open_segment, what, function)
    assert (proven or unknown, pids) == (True, [])


@pytest.mark.parametrize(("how", "timeout"), [("O_APPEND", 0), ("stopped", 0.05)])
def test_a_writer_that_does_not_let_go(entry: Entry, how: str, timeout: float) -> None:
    """13, with its name and the file's, in time; the segment stays open until it has."""
    path, begun = entry.open_segment, time.monotonic()
    with holding(path, how) as holder, pytest.raises(WriterHoldsError) as raised:
        release(entry, timeout=timeout)
    assert time.monotonic() - begun < 10
    assert f"{path} is still held for writing by syslogd[{holder.pid}] " in raised.value.message
    assert (raised.value.exit_status, raised.value.retryable) == (13, True)
    assert [entry.intent_file, path] == sorted(entry.directory.iterdir())
    release(entry, timeout=timeout)
    assert [entry.intent_file, entry.segment] == sorted(entry.directory.iterdir())
    assert entry.segment.read_bytes() == b"a line\n"


def test_a_writer_that_lets_go_in_time(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two looks at which it still held the file: the third is the proof."""
    looks: list[Proof] = []
    with holding(entry.open_segment, "O_APPEND") as holder:

        def sleep(_seconds: float) -> None:
            looks.append(look(entry.open_segment))
            if len(looks) == 2:
                os.kill(holder.pid, signal.SIGKILL)
                os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)

        monkeypatch.setattr(syslogd, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
        release(entry, timeout=60)
    assert looks == [Proof(proven=False)] * 2


# -- FreeBSD: answers as its fstat.c prints them; MOUNT is as libprocstat can tell it ----------

HEADER = "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W NAME"
WRITER = "root     syslogd      731   12 /var/log   8231 -rw-r-----   18273  w  /var/log/maillog"
READER = "admin    tail       12358    3 /var/log   8231 -rw-r-----   18273  r  /var/log/maillog"
MAPPED = "root     indexer      900 mmap -          8231 -rw-r-----   18273 rw  /var/log/maillog"
BLANKS = "toolongn my sys logd 99999    4 /var/my log 2418140 -rw-r--r--   1827  w  /var/my log/x"
NOWHERE = "root     nomount      731   12   8231 -rw-r-----   18273  w  /var/log/maillog"
NEITHER = "root     prog         732    5 -          8231 -rw-r-----   18273     /var/log/maillog"
SOCKET = "root     syslogd      731    5* local dgram fffff8008c7bc200 <-> fffff8008c7bc300"
PIPE = "root     cron         640    1* pipe fffff80004a30400 <-> fffff800048f4d00      0 rw"
NAMES = {WRITER: "syslogd", MAPPED: "indexer", BLANKS: "my sys logd", NOWHERE: "nomount"}
ROWS = st.lists(st.sampled_from([*NAMES, READER, NEITHER]), max_size=5)
OTHERS = ["garbage", "root w", HEADER, HEADER[:40], SOCKET, PIPE, WRITER[:60], READER[:70]]


@given(ROWS)
def test_what_fstat_answers(rows: list[str]) -> None:
    """Who may write, under what name: each row with a w for its access, and no other."""
    found = read_fstat("\n".join([HEADER, *rows, ""]))
    assert [NAMES[row] for row in rows if row in NAMES] == [holder.name for holder in found.holders]
    assert (found.proven, found.unknown) == (not found.holders, "")


@given(ROWS, st.sampled_from(OTHERS) | st.text(min_size=1).filter(str.strip), st.integers(0, 5))
def test_what_is_no_answer_of_fstat(rows: list[str], other: str, at: int) -> None:
    """A row that is not understood, wherever it stands: nothing is proven, and it says so."""
    for answer in ([HEADER, *rows[:at], other, *rows[at:]], [f"{other} ", *rows], rows):
        found = read_fstat("\n".join([*answer, ""]))
        assert (found.proven, bool(found.unknown)) == (False, True)


@pytest.mark.parametrize(("ends", "uid"), [(0, 0), (1, 0), (0, 1000), (127, 0)])
def test_fstat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: int, uid: int) -> None:
    """With -m, or it tells of no maps; if it fails, or is not asked by root, nothing is proven."""
    if ends != 127:
        script(tmp_path / "fstat", f'echo "{HEADER}"; [ "$*" = "-m {tmp_path}" ] && exit {ends}')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "freebsd14")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert who_writes(tmp_path).proven == (ends == uid == 0)
