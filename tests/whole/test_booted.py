"""The units under a real systemd, process 1 of namespaces of its own: a night in their sandbox.

booted.sh makes the machine and booted_night.sh is what happens on it: install as docs/service.md
says, then nights with one capability less than the unit's, one with all, and the service.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import TOP
from tests.world.system import need

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def machine() -> Iterator[Path]:
    """What is left of it: statuses, logs, and what was fetched."""
    need("rsyslogd")
    # Not in memory: a machine that boots has a /dev/shm of its own.
    with tempfile.TemporaryDirectory() as directory:
        boot(Path(directory))
        yield Path(directory)


def boot(out: Path) -> None:
    """Boot it, and let it go through its nights."""
    # The system's own Python: what lies in somebody's home the sandbox rightly hides.
    words = [need("unshare"), "-mpCui", "--fork", "--kill-child", "sh", str(HERE / "booted.sh")]
    words += [str(TOP), str(out), "/usr/bin/python3", str(HERE / "booted_night.sh")]
    with open(out / "systemd", "wb") as said:
        subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=240, check=False
        )
    if not (out / "statuses").exists():
        pytest.fail((out / "systemd").read_text(errors="replace")[-3000:])


def statuses(machine: Path) -> dict[str, int]:
    rows = (machine / "statuses").read_text().splitlines()
    return {name: int(status) for name, status in (row.split() for row in rows)}


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="a machine of its own takes root")
def test_with_its_capabilities_the_night_is_made_and_with_one_less_it_is_not(machine: Path) -> None:
    """3: no new log, or not with its owner; 13: syslogd not told, or not proven to let go."""
    found = statuses(machine)
    nights = {name: found[name] for name in ("no-dac", "no-chown", "no-kill", "no-lease", "all")}
    assert nights == {"no-dac": 3, "no-chown": 3, "no-kill": 13, "no-lease": 13, "all": 0}
    assert (machine / "before").read_bytes() == (machine / "after").read_bytes(), "owner and mode"


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="a machine of its own takes root")
def test_each_line_is_there_once_whatever_failed_before(machine: Path) -> None:
    nights = {"first", "no-dac", "no-chown", "no-kill", "no-lease", "all", "last"}
    rows = (machine / "fetched").read_text().split("\n")
    assert sorted(row.strip() for row in rows if row) == sorted(f"1 {name}" for name in nights)


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="a machine of its own takes root")
def test_the_service_is_started_reloaded_and_stopped(machine: Path) -> None:
    """Type=notify: `systemctl start` comes back when it says that it is ready."""
    found = statuses(machine)
    assert {name: found[name] for name in ("start", "reload", "stop")} == {
        "start": 0,
        "reload": 0,
        "stop": 0,
    }
    status = (machine / "service.status").read_text()
    users = re.findall(r"(?m)^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$", status)
    assert "0" not in users[0], "it is nobody's root"
    # CAP_CHOWN 0, CAP_DAC_OVERRIDE 1, CAP_KILL 5, CAP_LEASE 28: capabilities(7).
    wanted = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 28
    assert {int(each, 16) for each in re.findall(r"Cap\w+:\t(\w+)", status)} == {wanted}
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
