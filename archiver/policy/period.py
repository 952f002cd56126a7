"""Periods of the calendar, as ISO 8601 writes them: P1Y, P12M, P2Y6M, P3W, P21D, P0D.

Pure. A period is counted from a day, and what it gives is a day: the last one of it. The day it
is counted from is no part of it, its last day is, to the end; and where the last month has no
such day, the month's last day is the last one (Regulation 1182/71, art. 3; the Italian codice
civile, art. 2963, says the same). So one year after 29 February 2024 ends with 28 February 2025.

One rule for the least and for the longest time. A minimum that contains its last day keeps the
youngest line of a log date for the whole period: until 1 March, 00:00. A maximum that is carried
out as soon as its last day begins keeps the oldest line for no longer than the period. To end on
1 March instead would be later than the law lets a period end, and so wrong for a maximum.
"""

import calendar
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta
from functools import cached_property, lru_cache

# Weeks stand alone, and there are no times of day (ISO 8601-1, 5.5.2).
WRITTEN = re.compile(r"P(?=\d)(?:(\d{1,5})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})D)?|P(\d{1,5})W", re.ASCII)
LONGEST_YEARS = 100
MONTHS_OF_A_CYCLE = 4800  # The Gregorian calendar begins anew every 400 years.


@dataclass(frozen=True)
class Period:
    """So many years, months, weeks and days. P12M and P1Y differ as they are written only."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read a period. Raises: ValueError: it is none, or longer than 100 years."""
        match = WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a period such as P21D, P3W, P12M or P2Y6M")
        years, months, days, weeks = (int(part or 0) for part in match.groups())
        period = cls(years, months, weeks, days)
        if period.all_months / 12 + period.all_days / 365.25 > LONGEST_YEARS:
            raise ValueError(f"{text!r} is longer than {LONGEST_YEARS} years")
        return period

    @cached_property
    def all_months(self) -> int:
        return 12 * self.years + self.months

    @cached_property
    def all_days(self) -> int:
        return 7 * self.weeks + self.days

    def __str__(self) -> str:
        counts = ((self.years, "Y"), (self.months, "M"), (self.weeks, "W"), (self.days, "D"))
        return "P" + ("".join(f"{count}{unit}" for count, unit in counts if count) or "0D")

    def after(self, day: date) -> date:
        """Return the last day of the period that is counted from `day`.

        The last day of the calendar, if it is later than that.
        """
        year, month = divmod(12 * day.year + day.month - 1 + self.all_months, 12)
        if year > MAXYEAR:
            return date.max
        last = calendar.monthrange(year, month + 1)[1]
        there = date(year, month + 1, min(day.day, last))
        return there + min(timedelta(self.all_days), date.max - there)

    def since(self, today: date) -> date:
        """Return the first day from which the period is not over before `today`."""
        days = range(1, today.toordinal() + 1)
        over = bisect_left(days, today, key=lambda day: self.after(date.fromordinal(day)))
        return date.fromordinal(over + 1)

    def outlasts(self, other: "Period") -> date | None:
        """Return a day from which this period is longer than the other, None if there is none."""
        return _outlasts(self, other)

    @cached_property
    def least_days(self) -> int:
        """How many days it lasts at least: P1M 28, P1Y 365."""
        return min((self.after(day) - day).days for day in _telling_days())


@lru_cache(maxsize=1024)
def _outlasts(one: Period, other: Period) -> date | None:
    if one.all_months <= other.all_months and one.all_days <= other.all_days:
        return None
    if _bounds(one)[1] <= _bounds(other)[0]:
        return None  # as the search would find, in a tenth of a second
    return next((day for day in _telling_days() if one.after(day) > other.after(day)), None)


def _bounds(period: Period) -> tuple[int, int]:
    """Return days that it lasts at least and at most: near enough for most comparisons."""
    years, months = divmod(period.all_months, 12)
    least, most = 365 * years + 28 * months, 366 * years + 31 * months
    return least + period.all_days, most + period.all_days


@lru_cache(maxsize=1)
def _telling_days() -> tuple[date, ...]:
    """The days by which two periods are told apart: the first of each month, for 400 years.

    Counted from day k of a month, a period of months ends on day min(k, L) of another one, which
    has L days. So through the days of a month, what one period is ahead of the other by stays as
    it is on the first, until the shorter of their last months is full; then it grows, or shrinks,
    until the longer one is full, too. From the next month's first day both are counted into the
    months after these, and it has grown or shrunk as far as it can. So it is greatest, and least,
    on a first.
    """
    months = [divmod(12 * 2024 + number, 12) for number in range(MONTHS_OF_A_CYCLE)]
    return tuple(date(year, month + 1, 1) for year, month in months)
