"""A syslogd that does not let go, or cannot be told to: the log is safe, and nothing lies."""

import subprocess
import time

import pytest

from tests.whole.live.host import Host
from tests.world.syslogds import eventually

WRITER_HELD_ON = 13
LOCKED = 11


@pytest.mark.system
def test_stopped_syslogd_costs_nothing(host: Host) -> None:
    """While syslogd stands, a run says who holds what, and keeps it; afterwards all is there."""
    syslogd = host.syslogd
    host.configure(reopen_timeout="1s")
    syslogd.write(["before 1", "before 2"])
    on_disk = syslogd.log.read_bytes()
    settled = list(syslogd.sent)

    syslogd.pause()
    syslogd.send(["meanwhile 1", "meanwhile 2"])  # these wait in the kernel
    said = host.archiver("run", "--force", status=WRITER_HELD_ON)

    (segment,) = (name for name in host.spooled() if name.endswith(".open"))
    assert segment in said.err
    assert str(syslogd.pid) in said.err
    assert syslogd.process_name in said.err
    spool = host.directory / "spool" / "maillog"
    assert (spool / segment).read_bytes() == on_disk
    assert host.archives() == []
    assert host.fetch() == settled

    # The next night finds it as it was: still nothing is lost, doubled or archived too early.
    host.archiver("run", "--force", status=WRITER_HELD_ON)
    assert (spool / segment).read_bytes() == on_disk
    assert host.archives() == []
    assert host.fetch() == settled

    syslogd.resume()
    host.archiver("run", "--force")
    assert host.spooled() == []
    syslogd.write(["after"])
    assert host.fetch() == syslogd.sent


def gone() -> str:
    """Return the pid of a process that has ended."""
    with subprocess.Popen(["true"]) as ended:
        pass
    return f"{ended.pid}\n"


@pytest.mark.system
@pytest.mark.parametrize("trouble", ["missing", "empty", "garbage", "zero", "gone", "another"])
def test_wrong_pid_file_touches_nothing(host: Host, trouble: str) -> None:
    """Nobody to signal, or not a syslogd: the run says so, and the log stays as it is."""
    syslogd = host.syslogd
    syslogd.write(["first"])
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            right = syslogd.pidfile.read_text()
            syslogd.pidfile.unlink()
            wrong, named = {
                "missing": (None, [syslogd.pidfile.name]),
                "empty": ("", [syslogd.pidfile.name]),
                "garbage": ("not a pid\n", [syslogd.pidfile.name, "not a pid"]),
                "zero": ("0\n", [syslogd.pidfile.name]),  # kill(2): one's own whole group
                "gone": (dead := gone(), [syslogd.pidfile.name, dead.strip()]),
                "another": (f"{other.pid}\n", [str(other.pid), "sleep"]),
            }[trouble]
            if wrong is not None:
                syslogd.pidfile.write_text(wrong)
            inode, on_disk = syslogd.log.stat().st_ino, syslogd.log.read_bytes()

            said = host.archiver("run", "--force", status=WRITER_HELD_ON)

            for word in named:
                assert word in said.err
            assert syslogd.log.stat().st_ino == inode
            assert syslogd.log.read_bytes() == on_disk
            assert host.spooled() == []
            assert host.archives() == []
            assert other.poll() is None, "the other process was not signalled"
        finally:
            other.kill()

    syslogd.pidfile.write_text(right)
    host.archiver("run", "--force")
    syslogd.write(["last"])
    assert host.fetch() == syslogd.sent


@pytest.mark.system
def test_second_run_goes_away_at_once(host: Host) -> None:
    """While one run waits for syslogd, another ends within 2 s and does the first no harm."""
    syslogd = host.syslogd
    syslogd.write(["first"])
    syslogd.pause()
    with subprocess.Popen(
        host.command("run", "--force"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as waiting:
        try:
            eventually(
                lambda: any(name.endswith(".open") for name in host.spooled()),
                "the first run has rotated",
            )
            started = time.monotonic()
            host.archiver("run", "--force", status=LOCKED)
            assert time.monotonic() - started < 2
            assert waiting.poll() is None, "the first run still waits"

            syslogd.resume()
            _, err = waiting.communicate(timeout=30)
            assert waiting.returncode == 0, err.decode()
        finally:
            waiting.kill()
    assert host.spooled() == []
    assert len(host.archives()) == 1
    syslogd.write(["last"])
    assert host.fetch() == syslogd.sent
