"""Periods of the calendar, as ISO 8601 writes them: P1Y, P12M, P2Y6M, P3W, P21D, P0D.

Pure. A period is counted from a day, and the result is a day: the period's last. The day that it is
counted from does not belong to it; its last day does, to the end. Where the last month has no such
day, the period ends with that month's last day (Regulation 1182/71, art. 3; the Italian codice
civile, art. 2963, says the same). So one year from 29 February 2024 ends with 28 February 2025.

Minimum and maximum are counted alike. A minimum lasts to the end of its last day, which keeps the
youngest line of a log date for the whole period: until 1 March, 00:00. A maximum is carried out as
soon as its last day begins, which keeps the oldest line for no longer than the period. A period
that ended on 1 March instead would be longer than the law says, and so wrong for a maximum.
"""

import calendar
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta
from functools import cached_property, lru_cache

# Weeks stand alone (ISO 8601-1, 5.5.2), and times of day are not accepted.
WRITTEN = re.compile(r"P(?=\d)(?:(\d{1,5})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})D)?|P(\d{1,5})W", re.ASCII)
LONGEST_YEARS = 100
MONTHS_OF_A_CYCLE = 4800  # The Gregorian calendar repeats every 400 years.


@dataclass(frozen=True)
class Period:
    """So many years, months, weeks and days. P12M and P1Y last equally long, but are not equal."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read a period. Raises: ValueError: it is not a period, or is longer than 100 years."""
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
        """Return the last day of the period counted from `day`, but never one after `date.max`."""
        year, month = divmod(12 * day.year + day.month - 1 + self.all_months, 12)
        if year > MAXYEAR:
            return date.max
        last = calendar.monthrange(year, month + 1)[1]
        end = date(year, month + 1, min(day.day, last))
        return end + min(timedelta(self.all_days), date.max - end)

    def since(self, today: date) -> date:
        """Return the first day for which the period counted from it is not over before `today`."""
        days = range(1, today.toordinal() + 1)
        over = bisect_left(days, today, key=lambda day: self.after(date.fromordinal(day)))
        return date.fromordinal(over + 1)

    def outlasts(self, other: "Period") -> date | None:
        """Return a day from which this period is longer than the other; None: it never is.

        Of P3M and P90D, each outlasts the other from some day; of P12M and P1Y, neither does.
        """
        return _outlasts(self, other)

    @cached_property
    def least_days(self) -> int:
        """How many days it lasts at least: 28 for P1M, 365 for P1Y."""
        return min((self.after(day) - day).days for day in _telling_days())


@lru_cache(maxsize=1024)
def _outlasts(one: Period, other: Period) -> date | None:
    if one.all_months <= other.all_months and one.all_days <= other.all_days:
        return None
    if _bounds(one)[1] <= _bounds(other)[0]:
        return None  # the search below would say the same, but take a tenth of a second
    return next((day for day in _telling_days() if one.after(day) > other.after(day)), None)


def _bounds(period: Period) -> tuple[int, int]:
    """Return a lower and an upper bound of its days: close enough for most comparisons."""
    years, months = divmod(period.all_months, 12)
    least, most = 365 * years + 28 * months, 366 * years + 31 * months
    return least + period.all_days, most + period.all_days


@lru_cache(maxsize=1)
def _telling_days() -> tuple[date, ...]:
    """Return the days that suffice to compare two periods: the first of each month, for 400 years.

    Counted from day k of a month, a period of months ends on day min(k, L) of its last month, which
    has L days. Look at one period's lead over the other, in days, while k goes through a month. It
    stays what it is on the first until k reaches the length of the shorter of the two last
    months; from there it grows (or shrinks) until k reaches the length of the longer one. On the
    next first, both periods end in the following months, and the lead has grown (or shrunk) as far
    as it can. So it is greatest, and least, on the first of a month.
    """
    months = [divmod(12 * 2024 + number, 12) for number in range(MONTHS_OF_A_CYCLE)]
    return tuple(date(year, month + 1, 1) for year, month in months)
