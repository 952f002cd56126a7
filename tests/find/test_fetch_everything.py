"""Whatever a log holds: every byte is archived, and a fetch is what reading it all would give."""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.config.settings import Compress
from archiver.errors import Problems
from archiver.find import snapshot as query
from archiver.maillog.clock import Clock
from archiver.stores import open_stores
from tests.conftest import MEMORY
from tests.world.host import MONDAY, Host, after, line, lines

START = datetime(2026, 5, 4, 22, tzinfo=UTC)  # midnight in Rome, on Tuesday
GARBAGE = [
    b"\n",
    b"no stamp at all\n",
    b"\0\0\xff\xfe\n",
    b"May 99 12:00:00 mx1 not a day\n",
    b"  May  4 12:00:00 mx1 not at its place\n",
    b"x" * 100 + b"\r\n",
    "Möglichkeit in Latin-1\n".encode("latin-1"),
]


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """A log of several days, out of order here and there, with lines that tell no time.

    The first line tells one: for those before it, what the first frame holds matters.
    """
    now = START
    made = [line(now.astimezone(Host.ZONE), "test: first")]
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["bsd", "bsd", "bsd", "iso", "garbage"]),
                st.one_of(st.integers(-300, 300), st.integers(0, 70_000)),
                st.integers(0, 6),
            ),
            min_size=1,
            max_size=40,
        )
    )
    for kind, step, number in steps:
        now += timedelta(seconds=step)
        if kind == "bsd":
            wall = now.astimezone(Host.ZONE)
            made.append(line(wall, "test: " + "x" * number * 9))
        elif kind == "iso":
            made.append(f"{now:%Y-%m-%dT%H:%M:%S}+00:00 mx1 test: {number}\n".encode())
        else:
            made.append(GARBAGE[number])
    if draw(st.booleans()):
        made[-1] = made[-1].removesuffix(b"\n") or b"?"
    return made


def fetched(host: Host, window: query.Window, now: int) -> bytes:
    problems = Problems()
    with (
        query.catalogued(host.config, problems) as catalog,
        query.snapshot(
            host.config, catalog, host.source, window, now=now, archived=False
        ) as snapshot,
    ):
        pieces = query.lines(
            snapshot,
            window,
            zone=host.config.host.zone,
            stores=open_stores(host.config.storage),
            problems=problems,
        )
        found = b"".join(pieces)
    assert problems == []
    return found


@settings(max_examples=60, deadline=None)
@given(log=logs(), frame_size=st.integers(64, 400), windows=st.data())
def test_a_fetch_is_what_reading_line_by_line_gives(
    log: list[bytes], frame_size: int, windows: st.DataObject
) -> None:
    """For any window, from the live log as from archives cut into the smallest frames."""
    now = int(START.timestamp()) + 40 * 70_000
    reference = Clock(Host.ZONE, written=now).lines(b"".join(log))
    timed = list(reference)
    assert log == [each for each, _ in timed]
    times = sorted({time for _, time in timed})
    edge = st.sampled_from(times).flatmap(lambda time: st.integers(time - 1, time + 1))
    asked = [
        query.Window(*sorted(pair))
        for pair in windows.draw(st.lists(st.tuples(edge, edge), min_size=1, max_size=5))
    ]
    asked.append(query.Window(times[0], times[-1] + 1))
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as place:
        host = Host(Path(place))
        host.config = replace(host.config, compress=Compress(1, frame_size))
        host.write(b"".join(log))
        for where in ("live", "archived"):
            for window in asked:
                wanted = [each for each, time in timed if window.start <= time < window.end]
                assert b"".join(wanted) == fetched(host, window, now), (where, window)
            assert host.run(now, force=True).exit_status == 0
        assert log == b"".join(host.content()).splitlines(keepends=True) or log == [
            each for each, _ in Clock(Host.ZONE, written=now).lines(b"".join(host.content()))
        ]


# -- one by one -------------------------------------------------------------------------------

NOON = b"May  4 12:00:00 mx1 test: "
HOSTILE = {
    "NUL": NOON + b"\0" * 5000 + b"\n" + b"\0" * 5000 + b"\n",
    "invalid UTF-8": NOON + b"caf\xe9 \xff\xfe \xc3\n",
    "no final newline": NOON + b"one\n" + NOON + b"two",
    "only a newline": b"\n",
    "no newline at all": b"garbage",
    "carriage returns": NOON + b"one\r\n" + NOON + b"two\rthree\r\n",
    "a long line": NOON + b"y" * 200_000 + b"\n" + NOON + b"after\n",
    "a long line without end": NOON + b"y" * 200_000,
    "nothing but long": b"z" * 100_000,
    "tomorrow": NOON + b"\nMay  5 12:00:00 mx1 test: tomorrow\n" + NOON + b"\n",
    "next month": NOON + b"\nJun 30 12:00:00 mx1 test: last year's?\n" + NOON + b"\n",
    "1970": b"1970-01-01T00:00:01Z mx1 test: boot\n" + NOON + b"\n",
    "1970 without a year": b"Jan  1 01:00:01 mx1 test: boot\n" + NOON + b"\n",
    "far off": NOON + b"\n9999-12-31T23:59:59Z x: y\n0001-01-01T00:00:00Z x: z\n" + NOON + b"\n",
    "no such day": NOON + b"\nFeb 30 12:00:00 mx1 x\nMay  4 24:00:00 mx1 x\n",
    "set back": lines(MONDAY, "12:00:00", "11:00:00", "10:00:00", "11:00:00"),
    "leap second": lines(MONDAY, "23:59:59") + b"May  4 23:59:60 mx1 test: leap\n",
    "formats mixed": NOON
    + b"\n<22>1 2026-05-04T12:00:00Z a\n@400000006 b\n2026-05-04 12:00:00 c\n",
    "archive in the log": NOON + b"\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00\n\x5e\x2a\x4d\x18\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_logs(host: Host, kind: str) -> None:
    """Archived byte for byte, fetched as they were before it, and no traceback."""
    log = HOSTILE[kind]
    host.write(log)
    now = host.at(after(MONDAY), "00:05")
    everything = ("fetch", "--from", "1900-01-01", "--to", "9999-12-31")
    before = host.archiver(*everything, now=now)
    report = host.run(now, force=True)
    assert (report.exit_status, report.sources[0].rotated) == (0, True)
    assert log == b"".join(host.content())
    afterwards = host.archiver(*everything, now=now)
    assert (0, "", log) == (afterwards.status, afterwards.err, afterwards.out)
    assert before == afterwards
    a_day_each = [host.archiver("fetch", "--date", day, now=now).out for day, _ in host.dates()]
    assert sum(map(len, a_day_each)) <= len(log)
    assert host.archiver("list", now=now).status == host.archiver("status", now=now).status == 0


def test_an_empty_file_is_no_archive(host: Host) -> None:
    """Rotated or not, there is nothing to be archived, and 4 to be answered."""
    assert host.night(MONDAY, force=True).exit_status == 0
    assert host.archiver("fetch", "--date", str(MONDAY)).status == 4
    assert host.dates() == []


MEASURE = """\
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A line of 50 MB, with the frames of the default: run and fetch stay below 256 MiB."""
    host = Host(tmp_path)
    text = host.toml.read_text().replace('frame_size = "16KiB"', 'frame_size = "4MiB"')
    host.toml.write_text(text)
    size = 50 * 10**6
    pattern = b"".join(b"%07d " % number for number in range(125_000))
    log = b"2026-05-04T12:00:00Z mx1 test: " + pattern * (size // len(pattern)) + b"\n"
    assert len(log) > size
    host.write(log + b"2026-05-04T12:00:01Z mx1 test: after\n")
    for words in (
        ("run", "--force"),
        ("fetch", "--date", "2026-05-04", "-o", str(tmp_path / "out")),
        ("fetch", "--from", "2026-05-04T12:00:01Z", "-o", str(tmp_path / "after")),
    ):
        # A small process in between: what is measured must not begin as a copy of this one.
        done = subprocess.run(
            [sys.executable, "-S", "-c", MEASURE, *host.argv(*words)],
            capture_output=True,
            check=True,
        )
        peak = int(done.stdout.splitlines()[-1])
        assert 2**23 < peak <= 256 * 2**20, f"{words}: {peak}"
    assert log + b"2026-05-04T12:00:01Z mx1 test: after\n" == (tmp_path / "out").read_bytes()
    assert (tmp_path / "after").read_bytes() == b"2026-05-04T12:00:01Z mx1 test: after\n"
    (archived,) = json.loads(host.process("list", "--json").out)["data"]["archives"]
    assert (archived["lines"], archived["raw_size"]) == (2, len(log) + 37)
