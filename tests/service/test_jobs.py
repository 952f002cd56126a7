"""What is due: whatever zone, calendar and clock do, each night once, and none missed."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config.schedule import Every, Schedule
from archiver.service.jobs import (
    LONGEST_PAUSE,
    Done,
    Job,
    Today,
    due,
    first_of,
    latest_night,
    pause,
    start_of,
)
from archiver.system.zone import day_end, day_start

# Midnights left out (Santiago, Cairo, Havana) and repeated, half hours, both ends of the date line,
# two changes in one Ramadan (Casablanca), and none.
ZONES = [
    "Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo", "America/Havana",
    "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Pago_Pago", "Africa/Casablanca", "UTC",
]  # fmt: skip
zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(2020, 1, 1), date(2035, 12, 31))
clocks = st.times().map(lambda at: at.replace(microsecond=0))
schedules = st.builds(
    Schedule, at=clocks, jitter=st.floats(0, 12 * 3600), scrub=st.sampled_from(Every)
)
hosts = st.sampled_from(["mx1", "mx2", "a", "mail.example.org"])


def today(now: int, zone: ZoneInfo, **more: object) -> Today:
    return replace(Today("mx1", zone, now, since=0), **more)  # type: ignore[arg-type]


@given(zones, days, schedules, hosts)
def test_each_day_has_one_night(zone: ZoneInfo, day: date, schedule: Schedule, host: str) -> None:
    """It begins at or after `at`, within the jitter and an hour that is left out; in order."""
    here = today(0, zone, host=host)
    start, after = (start_of(each, schedule, here) for each in (day, day + timedelta(1)))
    wall = datetime.combine(day, schedule.at, tzinfo=zone).timestamp()
    assert 0 <= start - wall <= schedule.jitter
    assert 22 * 3600 <= after - start <= 26 * 3600
    for now, night in ((start - 1, day - timedelta(1)), (start, day), (after - 1, day)):
        assert night == latest_night(schedule, replace(here, now=now))


@pytest.mark.parametrize("zone", ZONES)
def test_a_night_begins_on_its_own_day(zone: str) -> None:
    """With the default `at`, and on every day of three years: none is before its day, or after."""
    here = today(0, ZoneInfo(zone))
    for number in range(3 * 365):
        day = date(2025, 1, 1) + timedelta(number)
        if day_start(day, here.zone) == day_end(day, here.zone):
            continue  # Apia has left out a whole day
        start = start_of(day, Schedule(), here)
        assert day_start(day, here.zone) < start < day_end(day, here.zone)


def test_the_nights_of_hosts_are_spread_by_jitter_and_never_move() -> None:
    """A part of the jitter that the name tells."""
    schedule = Schedule(jitter=3600)
    plain = start_of(date(2026, 5, 1), Schedule(), today(0, ZoneInfo("UTC")))
    late = [
        start_of(date(2026, 5, 1), schedule, today(0, ZoneInfo("UTC"), host=f"mx{n}")) - plain
        for n in range(50)
    ]
    assert 0 <= min(late) < 600
    assert 3000 < max(late) < 3600
    next_day = [
        start_of(date(2026, 5, 2), schedule, today(0, ZoneInfo("UTC"), host=f"mx{n}")) - plain
        for n in range(50)
    ]
    assert [each + 86_400 for each in late] == next_day


@given(zones, days, schedules, st.integers(0, 86_400))
def test_a_night_is_due_until_it_has_succeeded(
    zone: ZoneInfo, day: date, schedule: Schedule, later: int
) -> None:
    """And not before it begins, nor twice; a success of tomorrow, by a clock ahead, is none."""
    here = today(0, zone)
    start = start_of(day, schedule, here)
    after = start_of(day + timedelta(1), schedule, here)
    now = min(start + later, after - 1)

    def is_due(**done: int) -> bool:
        return Job.NIGHT in due(
            schedule, replace(here, now=now, done={Job.NIGHT: Done(**done)} if done else {})
        )

    assert is_due()
    assert is_due(started=now, exit_status=3)
    assert is_due(started=start - 1, exit_status=0, succeeded=start - 1)
    assert is_due(started=now, exit_status=3, succeeded=start - 1)
    assert not is_due(started=start, exit_status=0, succeeded=start)
    assert not is_due(started=now, exit_status=0, succeeded=now)
    assert not is_due(started=now, exit_status=12, succeeded=start)
    assert is_due(started=now + 1, exit_status=0, succeeded=now + 1)


@given(zones, days, clocks, st.sampled_from(Every))
def test_scrubs_come_once_in_their_period(
    zone: ZoneInfo, day: date, at: time, every: Every
) -> None:
    """Simulated: two months of nights, each job noted as done when it was due."""
    schedule = Schedule(at=at, scrub=every)
    here = today(0, zone)
    done: dict[Job, Done] = {}
    came: dict[Job, list[date]] = {job: [] for job in Job}
    for number in range(62):
        night = day + timedelta(number)
        start = start_of(night, schedule, here)
        for now in (start, start + 3600, start + 7200):
            for job in due(schedule, replace(here, now=now, done=done)):
                came[job].append(night)
                done[job] = done.get(job, Done()).after(now, 0)
    every_night = [day + timedelta(number) for number in range(62)]
    assert every_night == came[Job.NIGHT] == came[Job.EXPIRE]
    firsts = {first_of(night, every) for night in every_night}
    scrubbed = came[Job.SCRUB]
    assert len(scrubbed) == (0 if every is Every.NEVER else len(firsts))
    assert len({first_of(night, every) for night in scrubbed}) == len(scrubbed)


def test_nothing_is_destroyed_or_read_back_before_the_night_was_tried() -> None:
    """But a night that failed keeps neither from its turn."""
    here = today(int(datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()), ZoneInfo("UTC"))
    assert due(Schedule(), here) == [Job.NIGHT]
    failed = Done(started=here.now, exit_status=13)
    assert due(Schedule(), replace(here, done={Job.NIGHT: failed})) == list(Job)


def test_without_catching_up_a_missed_night_is_missed() -> None:
    """What begins after the service did is not."""
    here = today(int(datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()), ZoneInfo("UTC"))
    here = replace(here, since=here.now)
    schedule = Schedule(catch_up=False)
    assert due(schedule, here) == []
    assert due(schedule, replace(here, now=here.now + 86_400)) == [Job.NIGHT]
    assert due(Schedule(), here) == [Job.NIGHT]


def test_a_full_log_makes_a_night_due() -> None:
    """Even if it was done today; and nothing else with it."""
    here = today(int(datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()), ZoneInfo("UTC"))
    well = Done(here.now - 60, 0, here.now - 60)
    here = replace(here, done=dict.fromkeys(Job, well))
    assert due(Schedule(), here) == []
    assert due(Schedule(), replace(here, full=True)) == [Job.NIGHT]


def test_pauses_grow_to_an_hour() -> None:
    pauses = [pause(failures) for failures in range(7)]
    assert pauses == [0, 300, 600, 1200, 2400, 3600, 3600]
    assert pause(10_000) == LONGEST_PAUSE
