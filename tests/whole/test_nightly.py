"""Nights: what is due, what is recorded of the days, whatever the calendar and the clock do."""

import os
from datetime import date, datetime
from pathlib import Path

import pytest

from archiver.system.zone import day_start
from tests.world.host import MONDAY, ROME, Host, after, lines

SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
CLOCKS = {
    SPRING: ("00:30:00", "01:59:59", "03:00:00", "23:59:59"),
    AUTUMN: ("00:30:00", "02:10:00", "02:50:00", "02:10:00", "02:50:00", "23:59:59"),
}
ORDINARY = ("00:30:00", "12:00:00", "23:59:59")
MIDNIGHT = ("00:00:00", "00:04:59")


@pytest.mark.parametrize("change", [SPRING, AUTUMN])
def test_one_archive_a_day_over_a_change_of_clocks(host: Host, change: date) -> None:
    """Each night makes one archive, of the evening's date, with the seconds after midnight."""
    days = [after(change, n) for n in range(-2, 3)]
    evenings = []
    for day in days:
        evening = lines(day, *CLOCKS.get(day, ORDINARY)) + lines(after(day), *MIDNIGHT)
        evenings.append(evening)
        host.write(evening)
        report = host.night(after(day))
        assert report.exit_status == 0
        assert [day] == [manifest.date for manifest in report.sources[0].archived]
    assert evenings == host.content()
    for day in days[1:]:
        wanted = lines(day, *MIDNIGHT) + lines(day, *CLOCKS.get(day, ORDINARY))
        assert wanted == host.fetch(day)


@pytest.mark.parametrize("change", [SPRING, AUTUMN])
def test_hourly_runs_rotate_once_a_day(host: Host, change: date) -> None:
    """An hourly cron job over a change of clocks, 23 or 25 hours: one rotation a day."""
    start, end = (day_start(day, ROME) for day in (after(change, -1), after(change, 2)))
    rotated = []
    for now in range(start + 300, end + 301, 3600):
        if host.run(now).sources[0].rotated:
            rotated.append(datetime.fromtimestamp(now, ROME).strftime("%d %H:%M"))
        wall = datetime.fromtimestamp(now + 60, ROME)
        host.write(lines(wall.date(), f"{wall:%H:%M:%S}"))
    assert [f"{after(change, n).day} 00:05" for n in range(3)] == rotated


def test_a_second_run_on_the_same_day_does_nothing(host: Host) -> None:
    """Not even if yesterday's lines still come in: nothing is rotated, stored or catalogued."""
    host.write(lines(MONDAY, "12:00:00"))
    host.night(after(MONDAY))
    host.write(lines(MONDAY, "23:59:59") + lines(after(MONDAY), "07:00:00"))
    before = host.tree()
    report = host.night(after(MONDAY), "08:00")
    assert (report.exit_status, report.sources[0].rotated, report.sources[0].archived) == (
        0,
        False,
        [],
    )
    assert report.sources[0].reason == "already rotated today"
    own = {"state/last-run.json", "state/catalog.sqlite3", "state/lock", "maillog"}
    unchanged = {name: what for name, what in before.items() if name not in own}
    assert unchanged == {name: what for name, what in host.tree().items() if name not in own}
    assert before["maillog"][3] == host.log.read_bytes()


def test_a_missed_week_comes_back_in_one_run(host: Host) -> None:
    """One archive per date, in order, and the days in between without a line are recorded."""
    host.write(lines(MONDAY, "12:00:00"))
    host.night(after(MONDAY))
    for ahead in (2, 3, 5, 6):
        host.write(lines(after(MONDAY, ahead), "09:00:00", "21:00:00"))
    assert host.night(after(MONDAY, 7)).exit_status == 0
    wanted = {after(MONDAY, n): 2 for n in (2, 3, 5, 6)} | {MONDAY: 1, after(MONDAY, 4): 0}
    assert sorted((str(day), count) for day, count in wanted.items()) == sorted(host.dates())
    for ahead in (2, 3, 5, 6):
        assert lines(after(MONDAY, ahead), "09:00:00", "21:00:00") == host.fetch(
            after(MONDAY, ahead)
        )


def test_the_first_run_on_an_old_log(host: Host) -> None:
    """Three weeks at once: an archive for each date with lines; the past is not called empty."""
    days = [after(MONDAY, n) for n in range(21) if n not in {5, 6, 12}]
    for day in days:
        host.write(lines(day, "01:00:00", "23:00:00"))
    assert host.night(after(MONDAY, 21)).exit_status == 0
    assert [(str(day), 2) for day in days] == host.dates()
    assert host.night(after(MONDAY, 22)).exit_status == 0
    assert [(str(day), 2) for day in days] == host.dates()


def test_empty_days_are_recorded_from_the_first_full_day_on(host: Host) -> None:
    """The day of the first run may have had lines before it; the day after was watched whole."""
    recorded = []
    for ahead in range(5):
        host.night(after(MONDAY, ahead))
        recorded.append([day for day, _ in host.dates()])
    tuesday, wednesday, thursday = (str(after(MONDAY, ahead)) for ahead in (1, 2, 3))
    assert [[], [], [tuesday], [tuesday, wednesday], [tuesday, wednesday, thursday]] == recorded


def test_a_day_whose_lines_are_still_live_is_not_empty(host: Host) -> None:
    """With min_size a small log waits: its days are recorded once they are known."""
    host.configure(more='min_size = "1KiB"')
    host.night(MONDAY)
    host.write(lines(after(MONDAY), "12:00:00"))
    for ahead in (2, 3):
        report = host.night(after(MONDAY, ahead))
        assert (report.exit_status, report.sources[0].rotated) == (0, False)
        assert "min_size" in report.sources[0].reason
    assert host.dates() == []
    many = [f"{hour:02}:{minute:02}:00" for hour in range(8, 20) for minute in (0, 30)]
    host.write(lines(after(MONDAY, 3), *many))
    assert host.night(after(MONDAY, 4)).exit_status == 0
    wanted = [(str(after(MONDAY, n)), count) for n, count in ((1, 1), (2, 0), (3, 24))]
    assert wanted == sorted(host.dates())


def test_a_day_with_imports_is_not_empty(host: Host) -> None:
    """What another rotator took, and was imported, counts as that day's lines."""
    host.night(MONDAY)
    old = host.directory / "maillog.0"
    old.write_bytes(lines(after(MONDAY), "12:00:00"))
    os.utime(old, (host.at(after(MONDAY, 2)),) * 2)
    assert host.archiver("import", old, now=host.at(after(MONDAY, 2), "00:01")).status == 0
    for ahead in (2, 3, 4):
        host.night(after(MONDAY, ahead))
    wanted = [(str(after(MONDAY, n)), count) for n, count in ((1, 1), (2, 0), (3, 0))]
    assert wanted == host.dates()


def test_max_size_rotates_between_the_nights(host: Host) -> None:
    """As often as a run comes by and finds the log too large; the night goes on as ever."""
    host.configure(more='max_size = "1KiB"')
    many = [f"10:{minute:02}:00" for minute in range(30)]
    host.write(lines(MONDAY, *many))
    for clock, rotated in (("10:30", True), ("10:31", False)):
        report = host.night(MONDAY, clock)
        assert (report.exit_status, report.sources[0].rotated) == (0, rotated)
    host.write(lines(MONDAY, *(f"11:{minute:02}:00" for minute in range(30))))
    assert host.night(MONDAY, "12:00").sources[0].rotated
    host.write(lines(MONDAY, "23:00:00"))
    assert host.night(after(MONDAY)).sources[0].rotated
    assert [(str(MONDAY), count) for count in (30, 30, 1)] == host.dates()
    assert b"".join(host.content()) == host.fetch(MONDAY)


def test_force_on_an_empty_log_does_nothing(host: Host) -> None:
    """No archive without a line, and no empty segment in the spool."""
    inode = host.log.stat().st_ino
    report = host.night(MONDAY, "12:00", force=True)
    assert (report.exit_status, report.sources[0].rotated) == (0, False)
    assert inode == host.log.stat().st_ino
    assert (host.dates(), host.spooled()) == ([], [])


def test_force_rotates_twice_on_one_day(host: Host) -> None:
    """Two segments of one day make two archives, given back in order."""
    for hour in ("10", "11"):
        host.write(lines(MONDAY, f"{hour}:00:00"))
        assert host.night(MONDAY, f"{hour}:30", force=True).exit_status == 0
    assert lines(MONDAY, "10:00:00") + lines(MONDAY, "11:00:00") == host.fetch(MONDAY)


def test_a_missing_log_keeps_no_other_from_its_turn(place: Path) -> None:
    """The run ends with 4, and the other source is archived."""
    host = Host(place, sources=("gone", "maillog"))
    host.write(lines(MONDAY, "12:00:00"))
    report = host.night(after(MONDAY))
    assert report.exit_status == 4
    assert [f.code for f in report.failures] == ["log_missing"]
    assert [(str(MONDAY), 1)] == host.dates()


def test_failures_of_several_kinds_end_with_3(place: Path) -> None:
    """A missing log (4) and one that is no file (10): partial, work kept."""
    host = Host(place, sources=("gone", "directory", "maillog"))
    (place / "directory").mkdir()
    host.write(lines(MONDAY, "12:00:00"))
    report = host.night(after(MONDAY))
    assert report.exit_status == 3
    assert [f.exit_status for f in report.failures] == [4, 10]
    assert [(str(MONDAY), 1)] == host.dates()


def test_a_clock_set_back_and_forward_again(host: Host) -> None:
    """Two days back, for two days, then right again: every line once, no run fails."""
    written = []

    def write(ahead: int, *clocks: str) -> None:
        written.append(lines(after(MONDAY, ahead), *clocks))
        host.write(written[-1])

    def night(ahead: int, clock: str = "00:05") -> None:
        assert host.night(after(MONDAY, ahead), clock).exit_status == 0

    write(0, "12:00:00")
    night(1)
    for ahead in (1, 2):
        write(ahead, "09:00:00")
        night(ahead + 1)
    write(3, "09:00:00", "11:59:59")
    write(1, "12:00:01", "12:04:00")  # set back from the third day's noon to the first one's
    night(1, "12:05")
    write(1, "18:00:00")
    night(2)
    write(2, "18:00:00")
    night(3)
    write(3, "11:00:00")
    night(3, "12:00")
    write(5, "13:00:00")  # and forward again
    night(5, "13:05")
    write(5, "14:00:00")
    night(6)
    assert host.spooled() == []
    assert b"".join(written) == b"".join(host.content()) + host.log.read_bytes()
    assert {str(after(MONDAY, ahead)) for ahead in range(6)} >= {day for day, _ in host.dates()}
    found = host.fetch(MONDAY, after(MONDAY, 6), now=host.at(after(MONDAY, 6)))
    assert sorted(b"".join(written).splitlines()) == sorted(found.splitlines())


@pytest.mark.parametrize("nights", [1, 2])
def test_a_rotation_in_the_future_does_not_stop_the_next(host: Host, nights: int) -> None:
    """The clock was two days ahead when the log was rotated; each night since has its own."""
    host.write(lines(after(MONDAY, 2), "12:00:00"))
    assert host.night(after(MONDAY, 3)).sources[0].rotated
    for ahead in range(1, nights + 1):
        host.write(lines(after(MONDAY, ahead), "18:00:00"))
        assert host.night(after(MONDAY, ahead + 1)).sources[0].rotated


@pytest.mark.parametrize(
    "stamp", ["2030-01-01T00:00:00Z", "2026-05-07T09:00:00+02:00", "@4000000070dbd88a00000000"]
)
def test_a_first_line_from_the_future_does_not_stop_rotation(host: Host, stamp: str) -> None:
    """Logged while a clock was ahead. The days after it are rotated as ever."""
    host.night(MONDAY)
    host.write(f"{stamp} mx1 test: the clock was wrong\n".encode())
    for ahead in range(2):
        host.write(lines(after(MONDAY, ahead), "12:00:00"))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    assert b"the clock was wrong" in b"".join(host.content())
    assert lines(after(MONDAY), "12:00:00") in b"".join(host.content())
