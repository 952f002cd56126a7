"""Each log date gets an archive of its own, and nothing is lost where they are cut."""

import io
import os
import resource
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.archives.manifest import Head
from archiver.config.settings import Compress
from archiver.maillog.clock import Clock
from archiver.maillog.days import DayCutter, DayStretch
from archiver.rotation import seal
from archiver.rotation.spool import Intent, Journal
from archiver.system.streams import cut
from archiver.system.zone import day_start, local_date
from tests.world.logs import ZONES, Log, logs, stamped

ROME = ZoneInfo("Europe/Rome")
HOUR = 3600


def at(text: str, zone: ZoneInfo = ROME) -> int:
    """Return the instant at which the zone's clocks show this."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def stretches(log: Log) -> Iterator[DayStretch]:
    return DayCutter(log.clock, written=log.written).cut(log.frames)


def days(log: bytes, written: str, *, frame_size: int = 2**20) -> list[tuple[str, list[bytes]]]:
    """Return the archives that a segment is cut into: their dates and their lines."""
    frames = tuple(cut(io.BytesIO(log), frame_size))
    found = stretches(Log(ROME, at(written), frames))
    return [
        (str(day), b"".join(each.data for each in group).splitlines(keepends=True))
        for day, group in groupby(found, key=lambda stretch: stretch.day)
    ]


def hourly(begin: str, hours: int) -> list[bytes]:
    """Return a line for every hour."""
    instants = (at(begin) + HOUR * n for n in range(hours))
    return [stamped(instant, ROME, "BSD") + b"\n" for instant in instants]


# -- any log -------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(logs())
def test_stretches_put_together_are_the_segment(log: Log) -> None:
    """Nothing is lost, doubled or moved; nothing is empty."""
    found = list(stretches(log))
    assert b"".join(log.frames) == b"".join(each.data for each in found)
    assert all(each.data for each in found)


@settings(max_examples=120, deadline=None)
@given(logs())
def test_days_only_go_forward(log: Log) -> None:
    """Each date has one archive, however its lines are mixed, and names sort as lines stood."""
    found = [each.day for each in stretches(log)]
    assert sorted(found) == found


@settings(max_examples=120, deadline=None)
@given(logs())
def test_a_stretch_tells_what_is_in_it(log: Log) -> None:
    """From the state noted for it, its own bytes give the times, the span and the newlines that
    its manifest will carry.
    """
    for each in stretches(log):
        clock = Clock(log.zone, written=log.written, state=each.before)
        times = [instant for _, instant in clock.lines(each.data, continues=each.continues)]
        assert (min(times), max(times)) == (each.span.first, each.span.last)
        assert each.data.count(b"\n") == each.span.newlines


@settings(max_examples=120, deadline=None)
@given(logs())
def test_only_what_begins_inside_a_line_continues_one(log: Log) -> None:
    """A stretch is cut where lines end, so only a frame's own cut can go through a line."""
    for last, each in pairwise(stretches(log)):
        assert each.continues == (not last.data.endswith(b"\n"))


# -- steady logs ---------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    st.lists(st.integers(0, 30 * HOUR), min_size=1, max_size=40),
    st.sampled_from(["BSD", "ISO", "UTC", "TAI64N"]),
    st.integers(40, 400),
)
def test_each_line_of_a_steady_log_is_in_its_days_archive(
    zone: str, first: date, steps: list[int], form: str, frame_size: int
) -> None:
    """In every zone, over every change of clocks and year, wherever the frames end."""
    place = ZoneInfo(zone)
    now = day_start(first, place)
    lines = []
    for step in steps:
        now += step
        lines.append(stamped(now, place, form) + b"\n")
    log = Log(place, now + 2 * HOUR, tuple(cut(io.BytesIO(b"".join(lines)), frame_size)))
    clock = log.clock
    begun: dict[date, int] = {}
    for each in stretches(log):
        for _, instant in clock.lines(each.data):
            assert local_date(instant, place) == each.day
            assert begun.setdefault(each.day, instant) == each.first_line


def test_a_missed_week_gives_an_archive_a_day() -> None:
    """With all its lines, and none of another day."""
    lines = hourly("2026-03-02T00:00", 7 * 24)
    found = days(b"".join(lines), "2026-03-09T01:30", frame_size=1000)
    assert [f"2026-03-0{day}" for day in range(2, 9)] == [day for day, _ in found]
    assert [lines[n : n + 24] for n in range(0, len(lines), 24)] == [part for _, part in found]


@pytest.mark.parametrize("frame_size", [60, 1000, 2**20])
def test_the_first_minutes_stay_with_the_evening(frame_size: int) -> None:
    """A run at five past midnight does not make a second, tiny archive every night."""
    lines = [*hourly("2026-03-02T00:00", 25), b"Mar  3 00:04:59 mx1 the last before the run\n"]
    expected = [("2026-03-02", lines)]
    assert expected == days(b"".join(lines), "2026-03-03T00:05", frame_size=frame_size)


@pytest.mark.parametrize(("written", "archives"), [("00:59:59", 1), ("01:00:00", 2)])
def test_the_grace_ends_after_an_hour(written: str, archives: int) -> None:
    """Then the new day's lines are an archive of their own."""
    lines = hourly("2026-03-02T00:00", 25)
    assert archives == len(days(b"".join(lines), f"2026-03-03T{written}"))


def test_a_segment_of_the_first_minutes_alone_is_of_the_new_day() -> None:
    """`--force` twice around midnight: the date is the first line's, as always."""
    log = b"Mar  3 00:01:00 mx1 x\nMar  3 00:02:00 mx1 x\n"
    expected = ["2026-03-03"]
    assert expected == [day for day, _ in days(log, "2026-03-03T00:05")]


# -- lines that stand out ------------------------------------------------------------------

STRAY = {
    "a relay's late line": b"Mar  3 12:00:00 mx1 x\n",
    "a clock of tomorrow": b"Mar  5 12:00:00 mx1 x\n",
    "the same, with its year": b"2026-03-05T12:00:00+01:00 mx1 x\n",
    "a lost battery": b"Jan  1 00:00:03 mx1 x\n",
    "a lost battery, with its year": b"1970-01-01T00:00:03Z mx1 x\n",
    "far ahead": b"2099-01-01T00:00:03Z mx1 x\n",
    "no time": b"\xff\0\n",
}


@pytest.mark.parametrize("frame_size", [100, 500, 2**20])
@pytest.mark.parametrize("kind", STRAY)
def test_a_stray_line_cuts_nothing(kind: str, frame_size: int) -> None:
    """Wherever it stands among a day's lines: there is one archive, of the day."""
    lines = hourly("2026-03-04T00:00", 24)
    for place in range(1, 25):
        mixed = [*lines[:place], STRAY[kind], *lines[place:]]
        expected = [("2026-03-04", mixed)]
        assert expected == days(b"".join(mixed), "2026-03-05T00:05", frame_size=frame_size)


@pytest.mark.parametrize("frame_size", [100, 500, 2**20])
@pytest.mark.parametrize("kind", STRAY)
def test_a_stray_line_adds_no_archive_to_a_missed_weekend(kind: str, frame_size: int) -> None:
    """Wherever it stands after the first line, also where days change: the dates are the same."""
    lines = hourly("2026-03-02T00:00", 72)
    for place in range(1, 73):
        mixed = b"".join([*lines[:place], STRAY[kind], *lines[place:]])
        found = days(mixed, "2026-03-05T00:05", frame_size=frame_size)
        assert [f"2026-03-0{day}" for day in (2, 3, 4)] == [day for day, _ in found], place


@pytest.mark.parametrize("frame_size", [100, 500, 2**20])
@pytest.mark.parametrize("kind", ["a clock of tomorrow", "far ahead"])
def test_a_stray_first_line_names_no_archive(kind: str, frame_size: int) -> None:
    """The date and the name come from the first line that the others agree with."""
    lines = [STRAY[kind], *hourly("2026-03-02T00:00", 48)]
    frames = tuple(cut(io.BytesIO(b"".join(lines)), frame_size))
    found = list(stretches(Log(ROME, at("2026-03-04T00:05"), frames)))
    named = [(day, at(f"{day}T00:00")) for day in ("2026-03-02", "2026-03-03")]
    assert named == list(dict.fromkeys((str(each.day), each.first_line) for each in found))


def test_a_log_from_the_future_is_of_the_day_it_was_rotated_on() -> None:
    """A wrong clock all day: no date lies after the segment, or nothing would ever expire it."""
    log = b"2099-01-01T00:00:03Z mx1 x\n2099-01-01T00:00:04Z mx1 x\n"
    assert [("2026-03-04", log.splitlines(keepends=True))] == days(log, "2026-03-04T12:00")


# -- years in one file ---------------------------------------------------------------------


def test_years_of_log_need_few_open_files(tmp_path: Path) -> None:
    """A log that nobody ever rotated can be imported within ordinary limits (RLIMIT_NOFILE)."""
    days_of_log = 400
    began = datetime(2024, 1, 1, 12)
    log = b"".join(
        (began + timedelta(days=n)).strftime("%Y-%m-%dT%H:%M:%SZ mx1 x\n").encode()
        for n in range(days_of_log)
    )
    journal = Journal(tmp_path, "maillog")
    journal.prepare()
    entry = journal.begin(Intent("import", "maillog", at("2026-03-20T00:00")))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 100, hard))
    try:
        manifests = seal.seal(
            entry,
            io.BytesIO(log),
            seal.Recipe(
                seal.Origin("mx1", "maillog", ROME),
                Compress(level=1, frame_size=2**14),
                at("2026-03-20T00:00"),
            ),
            Head(),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert days_of_log == len(manifests)
