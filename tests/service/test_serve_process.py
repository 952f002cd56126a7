"""The service as a process: what systemd hears, and what signals, hangs and wrong clocks do."""

import os
import signal
import stat
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from tests.world.host import MONDAY, Host, lines
from tests.world.served import Served
from tests.world.syslogds import eventually
from tests.world.system import need

LONG_AGO = lines(MONDAY, "01:00", "02:00", "03:00")


def reopening(host: Host, script: str, tables: str = "") -> None:
    """Let the writer be told to reopen by a shell script."""
    path = host.directory / "reopen.sh"
    path.write_text(f"#!/bin/sh\ncd {host.directory}\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    host.configure(reopen=f"command:{path}", tables=tables)


def everything(host: Host) -> bytes:
    """All that is archived, and what is in the log."""
    return b"".join(host.content()) + host.log.read_bytes()


def test_a_service_manager_is_told_how_it_goes(host: Host) -> None:
    """Ready, alive by the watchdog's measure, reloading and ready again, stopping; and 0."""
    host.write(LONG_AGO)
    with Served(host.toml, environment={"WATCHDOG_USEC": "900000"}) as served:
        for _ in range(5):
            told = served.hears("WATCHDOG=1")
        assert "STATUS" in told
        served.logs("scrub: done")
        served.signal(signal.SIGHUP)
        assert served.hears("RELOADING=1")["MONOTONIC_USEC"].isdecimal()
        assert served.hears("READY=1")["STATUS"].startswith("the next night begins at ")
        served.signal(signal.SIGTERM)
        served.hears("STOPPING=1")
        assert served.ended() == 0
    assert host.content() == [LONG_AGO]
    assert host.spooled() == []


def test_without_a_watchdog_it_is_told_of_as_well(host: Host) -> None:
    """`systemctl status` never shows what was hours ago; another's watchdog is not ours."""
    ours = {"WATCHDOG_USEC": "90000", "WATCHDOG_PID": "1"}
    with Served(host.toml, environment=ours) as served:
        assert "STATUS" in served.hears("WATCHDOG=1")
        served.signal(signal.SIGINT)
        assert served.ended() == 0


def test_a_second_service_ends_at_once(host: Host) -> None:
    with Served(host.toml) as served:
        second = host.process("serve")
        assert (second.status, second.out) == (11, b"")
        assert "another archiver" in second.err
        served.signal(signal.SIGTERM)
        assert served.ended() == 0
    with Served(host.toml) as again:
        again.signal(signal.SIGTERM)
        assert again.ended() == 0


def test_a_bad_configuration_is_refused_and_the_jobs_have_the_old_one(host: Host) -> None:
    """Even those that begin while the file is bad; and once it is good again, it counts."""
    host.configure(more='max_size = "300B"')
    good = host.toml.read_text()
    with Served(host.toml, hasty=True) as served:
        served.logs("scrub: done")
        for number, broken in enumerate(("", "[", good.replace("store", "\0"), "x = 1"), start=1):
            host.toml.write_text(broken)
            served.signal(signal.SIGHUP)
            served.logs("not reloaded", number)
        host.write(LONG_AGO * 3)
        eventually(lambda: len(host.documents()) >= 1, "it is archived all the same", within=60)
        host.toml.write_text(good.replace('"300B"', '"100KiB"'))
        served.signal(signal.SIGHUP)
        served.logs("reloaded /")
        served.signal(signal.SIGTERM)
        assert served.ended() == 0
    assert everything(host) == LONG_AGO * 3


def test_a_job_that_stands_still_is_killed_told_of_and_made_good(host: Host) -> None:
    """Stopped, as a hanging disk would, in the middle of a rotation: even SIGTERM does nothing."""
    reopening(
        host,
        "test -e once || { : >once; kill -STOP $PPID; }",
        tables='[schedule]\nhang_after = "2s"\n',
    )
    host.write(LONG_AGO)
    with Served(host.toml, hasty=True) as served:
        served.logs("(schedule.hang_after) and is being stopped")
        served.logs("night: failed; tried again in")
        assert "signal 9" in served.log
        served.logs("night: done")
        served.signal(signal.SIGTERM)
        assert served.ended() == 0
    assert host.content() == [LONG_AGO]
    assert host.spooled() == []


def test_told_to_stop_it_ends_after_the_step_and_the_next_one_goes_on(host: Host) -> None:
    """SIGTERM comes while the writer is being told: the segment stays, closed, in the spool."""
    reopening(host, "echo told >told; read go <go")
    for name in ("told", "go"):
        os.mkfifo(host.directory / name)
    host.write(LONG_AGO)
    with Served(host.toml) as served:
        assert (host.directory / "told").read_text() == "told\n"
        served.signal(signal.SIGTERM)
        served.logs("stopping")
        # Signals are heeded one by one: when this one is, the job has been told.
        served.signal(signal.SIGHUP)
        served.logs("reloaded")
        (host.directory / "go").write_text("go\n")
        assert served.ended() == 0
        assert "night: stopped after a step, as asked" in served.log
    assert host.spooled() != []
    reopening(host, "true")
    with Served(host.toml) as served:
        served.logs("night: done")
        served.signal(signal.SIGTERM)
        assert served.ended() == 0
    assert host.content() == [LONG_AGO]
    assert host.spooled() == []


def test_killed_itself_its_job_goes_on_and_the_next_service_waits_for_it(host: Host) -> None:
    """SIGKILL hits the service alone; its child still holds the lock of a run."""
    reopening(host, "read service <pid; kill -KILL $service; read go <go")
    os.mkfifo(host.directory / "pid")
    os.mkfifo(host.directory / "go")
    host.write(LONG_AGO)
    with Served(host.toml) as served:
        (host.directory / "pid").write_text(f"{served.pid}\n")
        assert served.ended() == -signal.SIGKILL
    with Served(host.toml, hasty=True) as again:
        again.logs("night: another archiver is at work; tried again later")
        (host.directory / "go").write_text("go\n")
        again.logs("night: done")
        again.signal(signal.SIGTERM)
        assert again.ended() == 0
    assert host.content() == [LONG_AGO]
    assert host.spooled() == []


@pytest.mark.system
def test_a_clock_that_is_set_does_not_stop_it(host: Host) -> None:
    """Two days back, where APScheduler would wait for the hour it had reckoned with; and on."""
    library = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1"
    assert need("faketime")
    offset = host.directory / "offset"
    offset.write_text("+0d\n")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "WATCHDOG_USEC": "600000",
    }
    with Served(host.toml, environment=environment) as served:
        served.logs("scrub: done")
        for step, days in (("-2d", -2), ("+0d", 0), ("+2d", 2), ("+0d", 0)):
            offset.write_text(f"{step}\n")
            for _ in range(5):
                served.hears("WATCHDOG=1")
            assert abs(_wall(environment) - datetime.now().timestamp() - days * 86400) < 30
        served.signal(signal.SIGTERM)
        assert served.ended() == 0


def _wall(environment: dict[str, str]) -> int:
    """What `date` says to those who live by that clock."""
    date = subprocess.run(
        ["date", "+%s"], env={**os.environ, **environment}, capture_output=True, check=True
    )
    return int(date.stdout)
