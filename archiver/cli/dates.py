"""Dates and times as people type them, in the host's zone."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from archiver.errors import UsageError
from archiver.find.snapshot import Window, day_window
from archiver.system.zone import DAY, day_end, day_start, local_date

HINT = "2026-11-23, today, yesterday, or a range such as 2026-11-01..2026-11-07"
TIME_HINT = "2026-11-23, 2026-11-23T08:30, or '2026-11-23 08:30:00+01:00'"


def days(text: str, zone: ZoneInfo, now: int) -> tuple[date, date]:
    """Read `--date`: one day or a range, both ends included. Raises: UsageError."""
    first_text, dots, last_text = text.partition("..")
    first = _day(first_text, zone, now)
    last = _day(last_text, zone, now) if dots else first
    if last < first:
        raise UsageError(f"{text} ends before it begins", hint=HINT)
    return first, last


def days_or_all(
    text: str | None, zone: ZoneInfo, now: int
) -> tuple[date, date] | tuple[None, None]:
    """Read `--date` where it may be left out: None, which gives (None, None).

    Raises: UsageError: also for an empty text, so that no empty variable destroys everything.
    """
    return (None, None) if text is None else days(text, zone, now)


def _day(text: str, zone: ZoneInfo, now: int) -> date:
    today = local_date(now, zone)
    words = {"today": today, "yesterday": today - DAY}
    try:
        return words.get(text) or date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a date", hint=HINT) from error


def window(start: str | None, end: str | None, zone: ZoneInfo, now: int) -> Window:
    """Read `--from` and `--to`, either of which may be left out. Raises: UsageError.

    A day as the end is included whole; a time as the end is not included.
    """
    first = -(2**62) if start is None else _instant(start, zone, now, whole_day=False)
    last = 2**62 if end is None else _instant(end, zone, now, whole_day=True)
    # Equal is right for one instant, or for a day that the zone left out. If the texts differ, the
    # end is a day too early.
    if last < first or (last == first and start != end):
        raise UsageError("--to is before --from", hint=TIME_HINT)
    return Window(first, last)


def _instant(text: str, zone: ZoneInfo, now: int, *, whole_day: bool) -> int:
    if "T" not in text and ":" not in text:
        day = _day(text, zone, now)
        return day_end(day, zone) if whole_day else day_start(day, zone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time", hint=TIME_HINT) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())


__all__ = ["day_window", "days", "days_or_all", "window"]
