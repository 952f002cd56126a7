"""Periods are exact by the calendar: dateutil says the same, and so does every day of 400 years."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archiver.policy.period import Period

P = Period.parse
DAY = timedelta(days=1)
LEAP_DAY = date(2024, 2, 29)

PERIODS = st.builds(
    Period,
    years=st.integers(0, 30),
    months=st.integers(0, 40),
    weeks=st.just(0),
    days=st.integers(0, 800),
) | st.builds(Period, weeks=st.integers(0, 200))
# The ends of months, and of February above all, are where calendars differ.
DAYS = st.dates() | st.builds(
    lambda year, month, back: date(year, month, 1) - back * DAY,
    st.integers(1900, 2500),
    st.integers(1, 12),
    st.integers(0, 3),
)


def judged(period: Period, day: date) -> date:
    """Return what dateutil makes of it; the last day there is, if it gets beyond that."""
    step = relativedelta(
        years=period.years, months=period.months, weeks=period.weeks, days=period.days
    )
    try:
        ends: date = day + step
    except (OverflowError, ValueError):
        return date.max
    return ends


def days_between(first: date, last: date) -> Iterator[date]:
    return map(date.fromordinal, range(first.toordinal(), last.toordinal() + 1))


@given(PERIODS, DAYS)
@example(P("P1Y"), LEAP_DAY)
@example(P("P1M"), date(9999, 12, 1))
@example(P("P1D"), date.max)
@example(P("P2Y6M"), date(2023, 8, 31))
def test_a_period_ends_where_dateutil_says(period: Period, day: date) -> None:
    assert judged(period, day) == period.after(day)


ENDS = [
    ("P0D", LEAP_DAY, LEAP_DAY),
    ("P1Y", LEAP_DAY, date(2025, 2, 28)),
    ("P4Y", LEAP_DAY, date(2028, 2, 29)),
    ("P12M", date(2023, 2, 28), date(2024, 2, 28)),
    ("P1M", date(2026, 1, 31), date(2026, 2, 28)),
    ("P1M1D", date(2026, 1, 31), date(2026, 3, 1)),
    ("P2Y6M", date(2023, 8, 31), date(2026, 2, 28)),
    ("P3W", date(2026, 5, 4), date(2026, 5, 25)),
    ("P21D", date(2026, 5, 4), date(2026, 5, 25)),
    ("P100Y", date(2000, 2, 29), date(2100, 2, 28)),
    ("P1D", date.max, date.max),
]


@pytest.mark.parametrize(("text", "day", "end"), ENDS)
def test_where_periods_end(text: str, day: date, end: date) -> None:
    """Years and months first, cut to the month's last day; then days."""
    assert end == P(text).after(day)


@given(PERIODS, DAYS, st.integers(0, 40))
def test_what_is_counted_from_later_ends_no_earlier(period: Period, day: date, more: int) -> None:
    later = day + min(more * DAY, date.max - day)
    assert day <= period.after(day) <= period.after(later)


@given(PERIODS)
def test_a_period_is_read_as_it_is_written(period: Period) -> None:
    assert period == P(str(period))


# -- which is longer -------------------------------------------------------------------------

# Of up to four years, every sequence of leap years that there is begins in one of these.
SPANS = [(date(2023, 1, 1), date(2028, 12, 31)), (date(2095, 1, 1), date(2104, 12, 31))]
TELLING = [day for first, last in SPANS for day in days_between(first, last)]
CLOSE = st.builds(
    lambda months, days: Period(months=months, days=days), st.integers(0, 30), st.integers(0, 40)
)


@st.composite
def rivals(draw: st.DrawFn) -> tuple[Period, Period]:
    """Two periods of nearly the same length."""
    one = draw(CLOSE)
    months = max(0, one.months - draw(st.integers(0, 14)))
    length = (one.after(TELLING[0]) - TELLING[0]).days
    least = Period(months=months).after(TELLING[0]) - TELLING[0]
    return one, Period(months=months, days=max(0, length - least.days + draw(st.integers(-4, 4))))


@settings(deadline=None, max_examples=60)
@given(rivals())
def test_periods_are_compared_from_every_day(pair: tuple[Period, Period]) -> None:
    """One is never longer than the other if it is not, from any day; else a day is told."""
    for one, other in (pair, pair[::-1]):
        longer = any(one.after(day) > other.after(day) for day in TELLING)
        day = one.outlasts(other)
        assert (day is not None) == longer
        assert day is None or one.after(day) > other.after(day)


CLOSEST = [
    ("P12M", "P1Y"),
    ("P365D", "P1Y"),
    ("P366D", "P1Y"),
    ("P52W", "P1Y"),
    ("P59D", "P2M"),
    ("P1M28D", "P2M"),
    ("P1M30D", "P2M"),
    ("P1460D", "P4Y"),
    ("P1461D", "P4Y"),
    ("P2921D", "P8Y"),
    ("P36524D", "P100Y"),
    ("P36525D", "P100Y"),
]


@pytest.mark.parametrize(("one", "other"), CLOSEST)
def test_all_days_of_400_years(one: str, other: str) -> None:
    """The days that are asked tell as much as all 146,097."""
    first, second = P(one), P(other)
    cycle = days_between(date(2000, 3, 1), date(2400, 2, 29))
    leads = {(first.after(day) - second.after(day)).days for day in cycle}
    assert (max(leads) <= 0, min(leads) >= 0) == (
        first.outlasts(second) is None,
        second.outlasts(first) is None,
    )


ORDER = [
    ("P12M", "P1Y", True, True),
    ("P0D", "P0Y", True, True),
    ("P365D", "P1Y", True, False),
    ("P1Y", "P366D", True, False),
    ("P3M", "P90D", False, False),
    ("P3M", "P89D", False, True),
    ("P21D", "P3W", True, True),
    ("P1461D", "P4Y", False, True),  # four years without a leap day, around 2100
]


@pytest.mark.parametrize(("one", "other", "forth", "back"), ORDER)
def test_which_periods_can_be_compared(one: str, other: str, forth: bool, back: bool) -> None:
    """Months against days: often neither is the longer one."""
    assert forth == (P(one).outlasts(P(other)) is None)
    assert back == (P(other).outlasts(P(one)) is None)


@settings(deadline=None, max_examples=30)
@given(CLOSE)
def test_the_least_days_of_a_period(period: Period) -> None:
    assert period.least_days == min((period.after(day) - day).days for day in TELLING)
