"""A fetch sees one instant, however slowly it looks and whatever moves meanwhile."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole.live.host import Host, messages
from tests.world.syslogds import eventually
from tests.world.system import need

# Longer than any test: what is held up goes on when its tracer has left.
HELD = "600s"


def slow_fetch(host: Host, path: Path, meanwhile: Callable[[], None]) -> list[str]:
    """Return today's lines from a fetch that is held up at its first look into *path*.

    Until it goes on, *meanwhile* is done. What it gives must have been all, at some moment.
    """
    trace = host.directory / "trace"
    strace = [need("strace"), "-D", "-f", "-o", str(trace), "-P", str(path), "-e", "trace=openat"]
    strace += ["-e", f"inject=openat:delay_enter={HELD}:when=1"]
    command = strace + host.command("fetch", "--date", "today")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as fetch:
        eventually(lambda: trace.exists() and "openat" in trace.read_text(), f"fetch opens {path}")
        meanwhile()
        assert fetch.poll() is None, "fetch was held up for as long as that"
        os.kill(tracer(fetch.pid), signal.SIGKILL)
        out, err = fetch.communicate(timeout=60)
    assert fetch.returncode == 0, err.decode()
    lines = messages(out)
    assert lines == host.syslogd.sent[: len(lines)]
    return lines


def tracer(pid: int) -> int:
    """Return who traces this process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("TracerPid:")[2].split()[0])


def of_pending(host: Host, suffix: str) -> Path:
    """Return the path of the one pending segment's file with this *suffix*."""
    (path,) = (host.directory / "spool" / "maillog").glob(f"*{suffix}")
    return path


@pytest.mark.system
@pytest.mark.parametrize("slow", ["live log", ".open"])
def test_fetch_has_no_hole_when_syslogd_moves_on(host: Host, slow: str) -> None:
    """Syslogd leaves the old file between the looks at old and new: no line is skipped."""
    syslogd = host.syslogd
    syslogd.write(["before"])
    # Nobody tells syslogd, so it goes on writing into the segment.
    host.configure(reopen="command:true", reopen_timeout="100ms")
    host.archiver("run", "--force", status=13)
    segment = of_pending(host, ".open")

    def write_and_move_on() -> None:
        syslogd.send(["into the old file"])
        eventually(lambda: b"into the old file" in segment.read_bytes(), "the segment grows")
        os.kill(syslogd.pid, signal.SIGHUP)
        # rsyslogd answers to HUP in a thread of its own: some lines may still go the old way.
        eventually(moved_on, "syslogd writes into the new file")

    def moved_on() -> bool:
        syslogd.send([f"line {len(syslogd.sent)}"])
        return syslogd.log.stat().st_size > 0

    path = syslogd.log if slow == "live log" else segment
    assert len(slow_fetch(host, path, write_and_move_on)) >= 2


@pytest.mark.system
@pytest.mark.parametrize("slow", ["live log", ".open", ".intent"])
def test_fetch_works_when_a_run_ends_meanwhile(host: Host, slow: str) -> None:
    """What fetch is about to read goes from the spool to the store: all of it is found."""
    syslogd = host.syslogd
    syslogd.write(["before"])
    syslogd.pause()
    host.configure(reopen_timeout="100ms")
    host.archiver("run", "--force", status=13)
    host.configure()
    syslogd.resume()

    def finish() -> None:
        host.archiver("run")
        assert host.spooled() == []

    path = syslogd.log if slow == "live log" else of_pending(host, slow)
    assert slow_fetch(host, path, finish) == ["maillog: ready", "maillog: before"]
