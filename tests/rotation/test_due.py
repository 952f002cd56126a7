"""A log is rotated once for each day that has lines, whatever zone, clock or cron do; and dates
as people type them mean what those people mean.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archiver.cli.dates import days, window
from archiver.errors import UsageError
from archiver.find.snapshot import day_window
from archiver.rotation.due import Criteria, Due, decide, empty_days
from archiver.system.zone import day_end, day_start, local_date

ROME = ZoneInfo("Europe/Rome")
HOUR = 3600
# Years in which something happened to these zones' days.
ZONES = {
    "UTC": 2026,
    "Europe/Rome": 2026,
    "America/New_York": 2026,
    "Australia/Lord_Howe": 2026,  # half an hour
    "Antarctica/Troll": 2026,  # two hours
    "Asia/Kathmandu": 2026,  # a quarter of an hour off
    "Pacific/Kiritimati": 2026,  # +14
    "Etc/GMT+12": 2026,  # -12
    "Africa/Casablanca": 2026,  # back and forth for Ramadan
    "Africa/Cairo": 2026,  # no midnight in spring
    "America/Sao_Paulo": 2018,  # no midnight in spring, 23:00 twice in autumn
    "America/Havana": 2026,  # midnight twice in autumn
    "America/Nuuk": 2026,  # the change lies before midnight
    "Pacific/Apia": 2011,  # no 30 December
    "America/Caracas": 2016,  # another offset for ever
}


def at(text: str, zone: ZoneInfo = ROME) -> int:
    """Return the instant at which the zone's clocks show this; of two, the first."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def verdict(
    now: int | str,
    *,
    zone: ZoneInfo = ROME,
    first: int | str | None = None,
    last: int | str | None = None,
    size: int = 1000,
    sizes: tuple[int, int] = (0, 0),
    force: bool = False,
) -> Due:
    """Decide: now, the log's first line and the last rotation are instants or wall clocks."""
    return decide(
        now=at(now, zone) if isinstance(now, str) else now,
        zone=zone,
        size=size,
        first_line=at(first, zone) if isinstance(first, str) else first,
        last_rotation=at(last, zone) if isinstance(last, str) else last,
        criteria=Criteria(*sizes),
        force=force,
    )


# -- whether to rotate -----------------------------------------------------------------------

NIGHT = "2026-05-05 00:01"
CASES = {
    "of yesterday": (verdict(NIGHT, first="2026-05-04 00:02"), True, "begins on 2026-05-04"),
    "of a week ago": (verdict(NIGHT, first="2026-04-28 09:00"), True, "begins on 2026-04-28"),
    "of a year ago": (verdict(NIGHT, first="2025-05-04 09:00"), True, "begins on 2025-05-04"),
    "a second before": (verdict(NIGHT, first="2026-05-04 23:59:59"), True, "begins on 2026-05-04"),
    "of midnight": (verdict(NIGHT, first="2026-05-05 00:00"), False, "begins today"),
    "of tomorrow": (verdict(NIGHT, first="2026-05-06 00:00"), False, "begins today"),
    "of next year": (verdict(NIGHT, first="2027-05-06 00:00"), False, "begins today"),
    "empty": (verdict(NIGHT, first="2026-05-04 09:00", size=0), False, "empty"),
    "empty, forced": (verdict(NIGHT, first="2026-05-04 09:00", size=0, force=True), False, "empty"),
    "empty, a size": (verdict(NIGHT, size=0, sizes=(0, 1)), False, "empty"),
    "forced": (verdict(NIGHT, first=NIGHT, last=NIGHT, force=True), True, "--force"),
    "forced, small": (verdict(NIGHT, sizes=(5000, 0), force=True), True, "--force"),
    "rotated today": (
        verdict("2026-05-05 23:59", first="2026-05-04 23:59", last=NIGHT),
        False,
        "already rotated today",
    ),
    "rotated yesterday evening": (
        verdict(NIGHT, first="2026-05-04 23:59:30", last="2026-05-04 23:59"),
        True,
        "begins on 2026-05-04",
    ),
    "rotated in the future": (
        verdict(NIGHT, first="2026-05-04 09:00", last="2027-01-01 00:01"),
        True,
        "begins on 2026-05-04",
    ),
    "rotated tomorrow": (
        verdict(NIGHT, first="2026-05-04 09:00", last="2026-05-06 00:01"),
        True,
        "begins on 2026-05-04",
    ),
    "no dates, rotated yesterday": (verdict(NIGHT, last="2026-05-04 00:01"), True, "2026-05-04"),
    "no dates, rotated today": (verdict(NIGHT, last=NIGHT), False, "already rotated today"),
    "no dates, never rotated": (verdict(NIGHT), True, "begins is not known"),
    "no dates, rotated in the future": (
        verdict(NIGHT, last="2027-01-01 00:01"),
        True,
        "begins is not known",
    ),
    "below min_size": (
        verdict(NIGHT, first="2026-05-04 09:00", sizes=(1001, 0)),
        False,
        "1000 bytes are below min_size 1001",
    ),
    "just min_size": (verdict(NIGHT, first="2026-05-04 09:00", sizes=(1000, 0)), True, "begins"),
    "below max_size": (verdict(NIGHT, first=NIGHT, sizes=(0, 1001)), False, "begins today"),
    "just max_size": (
        verdict(NIGHT, first=NIGHT, sizes=(0, 1000)),
        True,
        "1000 bytes reach max_size 1000",
    ),
    "max_size, rotated today": (
        verdict(NIGHT, first=NIGHT, last=NIGHT, sizes=(0, 1000)),
        True,
        "reach max_size",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_log(case: str) -> None:
    """Each with the reason that an operator reads."""
    found, rotate, reason = CASES[case]
    assert rotate == found.rotate, found.reason
    assert reason in found.reason


INSTANT = st.integers(0, 4 * 10**9)
SIZE = st.integers(0, 10**12)


@given(
    now=INSTANT,
    zone=st.sampled_from(sorted(ZONES)).map(ZoneInfo),
    first=st.none() | INSTANT,
    last=st.none() | INSTANT,
    size=SIZE,
    sizes=st.tuples(SIZE, SIZE),
    force=st.booleans(),
)
def test_any_log(
    now: int,
    zone: ZoneInfo,
    first: int | None,
    last: int | None,
    size: int,
    sizes: tuple[int, int],
    force: bool,
) -> None:
    """Never an empty one, always with a reason; lines of a day before today wait for nothing
    but min_size and a rotation of today.
    """
    found = verdict(now, zone=zone, first=first, last=last, size=size, sizes=sizes, force=force)
    assert found.reason
    today = local_date(now, zone)
    if size == 0:
        assert not found.rotate
    elif force or 0 < sizes[1] <= size:
        assert found.rotate
    elif first is not None:
        due = local_date(first, zone) < today and size >= sizes[0]
        again = last is not None and local_date(last, zone) == today
        assert found.rotate == (due and not again)


@pytest.mark.parametrize("minute", [0, 1, 59])
@pytest.mark.parametrize("name", ZONES)
def test_hourly_runs_rotate_once_for_each_day(name: str, minute: int) -> None:
    """Over a year with its changes of clocks: each day's lines are taken on the next day, in one
    rotation, and a day without lines brings none.
    """
    zone, year = ZoneInfo(name), ZONES[name]
    start, end = day_start(date(year, 1, 1), zone), day_start(date(year + 1, 1, 1), zone)
    quiet = {date(year, 7, day) for day in (4, 5, 14)}
    first: int | None = None
    last: int | None = None
    rotated: list[date] = []
    # A dict keeps its order: days that had a run, days that had lines.
    days_of_runs, days_of_lines = dict.fromkeys([date.min]), dict.fromkeys([date.min])
    for now in range(start - start % HOUR + minute * 60, end, HOUR):
        today = local_date(now, zone)
        days_of_runs[today] = None
        size = 0 if first is None else 100
        if verdict(now, zone=zone, first=first, last=last, size=size).rotate:
            rotated.append(today)
            first, last = None, now
        assert first is None or local_date(first, zone) == today, "nothing stays behind"
        day = local_date(now + 1, zone)
        if day not in quiet:
            first = first or now + 1
            days_of_lines[day] = None
    expected = [day for before, day in pairwise(days_of_runs) if before in days_of_lines]
    assert expected[1:] == rotated
    assert len(rotated) > 355


def test_a_clock_that_went_ahead_and_came_back() -> None:
    """A run while it was 2027 rotates; once it is 2026 again, each night does so as ever."""
    assert verdict("2027-05-05 00:01", first="2026-05-04 09:00").rotate
    last = "2027-05-05 00:01"
    for day in range(5, 9):
        night = f"2026-05-0{day + 1} 00:01"
        assert verdict(night, first=f"2026-05-0{day} 00:02", last=last).rotate
        assert not verdict(f"2026-05-0{day + 1} 01:01", first=night, last=night).rotate
        last = night


# -- days without lines ----------------------------------------------------------------------

DATES = st.dates(date(2004, 1, 1), date(2004, 12, 31))


@given(since=DATES, until=DATES, covered=st.frozensets(DATES, max_size=40))
def test_empty_days_are_those_between_that_nothing_covers(
    since: date, until: date, covered: frozenset[date]
) -> None:
    """In order, each once; neither the first nor today: those are not over, or not known whole."""
    found = empty_days(since=since, until=until, covered=covered)
    assert sorted(set(found)) == list(found)
    between = {since + timedelta(n) for n in range(1, (until - since).days)}
    assert between - covered == set(found)


def test_no_empty_days() -> None:
    """On the same day, on the next, and if the clock was set back."""
    day = date(2026, 5, 4)
    for until in (day, day + timedelta(1), day - timedelta(9), date.min):
        assert empty_days(since=day, until=until, covered=frozenset()) == ()
    assert empty_days(since=date.max, until=date.max, covered=frozenset()) == ()


# -- dates as people type them ---------------------------------------------------------------

MONDAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-23", MONDAY, MONDAY),
        ("2026-11-01..2026-11-23", date(2026, 11, 1), MONDAY),
        ("2026-11-23..2026-11-23", MONDAY, MONDAY),
        ("2024-02-29", date(2024, 2, 29), date(2024, 2, 29)),
        ("today", MONDAY, MONDAY),
        ("yesterday", date(2026, 11, 22), date(2026, 11, 22)),
        ("yesterday..today", date(2026, 11, 22), MONDAY),
        ("2026-11-01..yesterday", date(2026, 11, 1), date(2026, 11, 22)),
        ("0001-01-01..9999-12-31", date.min, date.max),
    ],
)
def test_days(text: str, first: date, last: date) -> None:
    """One, or a range with both ends; and the words of the host's today."""
    assert days(text, ROME, at("2026-11-23 08:30")) == (first, last)


@pytest.mark.parametrize(
    ("now", "name", "today"),
    [
        ("2026-11-23T22:59:59+00:00", "Europe/Rome", "2026-11-23"),
        ("2026-11-23T23:00:00+00:00", "Europe/Rome", "2026-11-24"),
        ("2026-10-25T22:59:59+00:00", "Europe/Rome", "2026-10-25"),  # a day of 25 hours
        ("2026-10-24T22:00:00+00:00", "Europe/Rome", "2026-10-25"),
        ("2026-03-29T21:59:59+00:00", "Europe/Rome", "2026-03-29"),  # of 23
        ("2026-03-29T22:00:00+00:00", "Europe/Rome", "2026-03-30"),
        ("2018-11-04T02:59:59+00:00", "America/Sao_Paulo", "2018-11-03"),
        ("2018-11-04T03:00:00+00:00", "America/Sao_Paulo", "2018-11-04"),  # it is 01:00
        ("2011-12-30T10:00:00+00:00", "Pacific/Apia", "2011-12-31"),
    ],
)
def test_today_is_the_host_s(now: str, name: str, today: str) -> None:
    """Over midnight and changes of clocks; and yesterday is the day before in the calendar."""
    zone, instant = ZoneInfo(name), int(datetime.fromisoformat(now).timestamp())
    day = date.fromisoformat(today)
    assert days("today", zone, instant) == (day, day)
    assert days("yesterday", zone, instant) == (day - timedelta(1),) * 2
    found = day_window(day, day, zone)
    assert found.start <= instant < found.end


@settings(max_examples=300)
@given(st.sampled_from(sorted(ZONES)).map(ZoneInfo), st.dates(date(1971, 1, 1), date(2100, 1, 1)))
@example(ZoneInfo("Pacific/Apia"), date(2011, 12, 30))  # there was none
def test_windows_of_days_join_without_gap_or_overlap(zone: ZoneInfo, day: date) -> None:
    """Each instant belongs to the window of one day, in a zone with changes of clocks too."""
    here, after = (day_window(each, each, zone) for each in (day, day + timedelta(1)))
    assert here.start <= here.end == after.start
    if here.start < here.end:
        assert local_date(here.start, zone) == day
        assert local_date(here.end - 1, zone) == day
    both = day_window(day, day + timedelta(1), zone)
    assert (both.start, both.end) == (here.start, after.end)
    text = day.isoformat()
    assert window(text, text, zone, now=0) == here, "--to a day includes it whole"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T08:30", "2026-11-23T07:30:00+00:00"),
        ("2026-11-23 08:30:15", "2026-11-23T07:30:15+00:00"),
        ("2026-11-23T08:30:00+01:00", "2026-11-23T07:30:00+00:00"),
        ("2026-11-23 08:30:00-05:00", "2026-11-23T13:30:00+00:00"),
        ("2026-11-23T08:30Z", "2026-11-23T08:30:00+00:00"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00+00:00"),  # the first of two
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30:00+00:00"),  # the second
        ("2026-03-29T02:30", "2026-03-29T01:30:00+00:00"),  # there is none: as before the change
        ("2026-11-23", "2026-11-22T23:00:00+00:00"),
        ("today", "2026-11-22T23:00:00+00:00"),
    ],
)
def test_times(text: str, instant: str) -> None:
    """In the host's zone, unless one is named; a window begins with it."""
    expected = int(datetime.fromisoformat(instant).timestamp())
    found = window(text, None, ROME, at("2026-11-23 08:30"))
    assert expected == found.start
    assert found.end > at("2199-12-31 23:59")
    if "T" in text or ":" in text:
        assert window(None, text, ROME, 0).end == expected, "a time ends before itself"
    assert window(None, None, ROME, 0).start < 0


NO_DAYS = ["", "..", "2026-02-30", "2025-02-29", "20261323", "2026-11-23..", "..2026-11-23", "now"]
NO_DAYS += ["2026-11-23..2026-11-24..2026-11-25", "2026-11-23...2026-11-24", " today", "TODAY\0"]
NO_DAYS += [
    "2026-11-23..2026-11-22",
    "today..yesterday",
    "23.11.2026",
    "11/23/2026",
    "-1",
    "\ud800",
]
NO_TIMES = ["08:30", "T", "2026-11-23T25:00", "2026-11-23T08:30:60", "2026-11-23T08:30+25:00"]
NO_TIMES += ["2026-11-23T", "Tuesday", ":", "2026-11-23 08:30 CET", "\ud800:"]


@pytest.mark.parametrize("text", NO_DAYS, ids=ascii)
def test_what_is_no_day(text: str) -> None:
    """Exit status 2, what was typed in the message, and a hint how to write it."""
    with pytest.raises(UsageError) as raised:
        days(text, ROME, at("2026-11-23 08:30"))
    assert (raised.value.exit_status, "2026-11-23" in raised.value.hint) == (2, True)
    assert raised.value.message


@pytest.mark.parametrize("text", NO_DAYS + NO_TIMES, ids=ascii)
def test_what_is_no_time(text: str) -> None:
    """Neither before nor behind `--from` and `--to`."""
    for start, end in ((text, None), (None, text)):
        with pytest.raises(UsageError) as raised:
            window(start, end, ROME, at("2026-11-23 08:30"))
        assert "2026-11-23" in raised.value.hint


BACKWARDS = [("2026-11-23", "2026-11-21"), ("2026-11-23", "2026-11-22"), ("today", "yesterday")]
BACKWARDS += [("2026-11-23T08:30", "2026-11-23T08:29:59"), ("2026-11-24T00:00", "2026-11-23")]


@pytest.mark.parametrize(("start", "end"), BACKWARDS)
def test_a_window_that_ends_before_it_begins(start: str, end: str) -> None:
    """Is a mistake, also if it lacks only a day: nothing can ever be found in it."""
    with pytest.raises(UsageError, match="--to"):
        window(start, end, ROME, at("2026-11-23 08:30"))


@settings(max_examples=300)
@given(
    st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d)?")
)
def test_any_words_at_all(text: str) -> None:
    """Days and a window, or UsageError, and nothing else."""
    now = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    for read in (
        lambda: days(text, ROME, now),
        lambda: window(text, None, ROME, now),
        lambda: window(None, text, ROME, now),
    ):
        with suppress(UsageError):
            read()


@pytest.mark.parametrize("name", ZONES)
def test_the_ends_of_the_calendar(name: str) -> None:
    """The first and last day that can be written are days like any other."""
    zone = ZoneInfo(name)
    found = window("0001-01-01", "9999-12-31", zone, now=0)
    assert found.start < 0 < day_start(date.max, zone) < found.end == day_end(date.max, zone)
