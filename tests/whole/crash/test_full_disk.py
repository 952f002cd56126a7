"""Three nights on a full disk, then it is repaired: no line may be missing.

The disk is a tmpfs of 4 MB that holds everything: log, spool, state and store. It is
mounted where nobody else sees it: this file, run as a script under unshare(1), is the
story itself; the test starts it, and judges.
"""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import TOP
from tests.whole.crash.sandbox import Bench, Sandbox
from tests.world.system import need

pytestmark = pytest.mark.system

NIGHTS = (3, 2, 1)
# About 380 bytes each, of which zstd can spare a third: the first night's log fits on the
# disk with one archive beside it, but not with two (spool and store); the third night's
# writer comes to the disk's end itself.
LINES = (6000, 300, 2500)


def story(directory: Path) -> dict[str, Any]:
    """Live through it, and return what happened."""
    disk = directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    with closing(Bench(directory / "bench")) as bench:
        box = Sandbox(bench, disk / "host")
        nights = []
        for days_ago, lines in zip(NIGHTS, LINES, strict=True):
            written = bench.writer.put(lines, box.zone.now(days_ago=days_ago), "%")
            night = box.night()
            nights.append(
                {
                    "written": written,
                    "status": night.status,
                    "err": night.err,
                    "held": box.is_held(),
                }
            )
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        repaired = box.night()
        expected = {box.zone.now(days_ago=days_ago).date().isoformat() for days_ago in NIGHTS}
        dates = {path.parent.name.removeprefix("date=") for path in box.archives()}
        return {
            "nights": nights,
            "repaired": {"status": repaired.status, "err": repaired.err},
            "unarchived": sorted(expected - dates),
            "faults": list(box.faults()),
        }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need("mount")
    need("zstd")
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = [need("unshare"), "--mount", *as_root, sys.executable, "-m", __name__]
    directory = tmp_path_factory.mktemp("full")
    ended = subprocess.run(
        [*command, str(directory)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=TOP,
    )
    if ended.stderr.startswith(("unshare:", "mount:")) and os.environ.get("CI") != "true":
        pytest.skip(f"no mount of our own here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    facts: dict[str, Any] = json.loads(ended.stdout)
    return facts


def test_the_disk_was_full(told: dict[str, Any]) -> None:
    """Otherwise the rest of this file says nothing."""
    assert told["nights"][0]["written"] == LINES[0]
    assert told["nights"][-1]["written"] < LINES[-1]


def test_a_failed_night_leaves_what_is_free_to_the_log(told: dict[str, Any]) -> None:
    """What cannot be finished is taken away at once: syslogd needs the room more."""
    assert told["nights"][1]["written"] == LINES[1]


@pytest.mark.parametrize("night", range(len(NIGHTS)))
def test_a_night_without_space_says_so(told: dict[str, Any], night: int) -> None:
    happened = told["nights"][night]
    assert happened["status"] == 14, happened
    assert "space" in happened["err"]
    assert "Traceback" not in happened["err"]


@pytest.mark.parametrize("night", range(len(NIGHTS)))
def test_a_night_without_space_leaves_the_writer_in_the_log(
    told: dict[str, Any], night: int
) -> None:
    """What was rotated is let go of, even if what was rotated before cannot be archived."""
    assert told["nights"][night]["held"], told["nights"][night]


def test_one_run_after_the_repair_makes_all_nights_whole(told: dict[str, Any]) -> None:
    assert told["repaired"]["status"] == 0, told["repaired"]
    assert told["unarchived"] == []
    assert told["faults"] == []


if __name__ == "__main__":
    print(json.dumps(story(Path(sys.argv[1]))))
