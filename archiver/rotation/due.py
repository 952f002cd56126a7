"""Decide whether a log is to be rotated now.

Pure: takes the time. The log itself tells what is due, not a state file: it is due
once its first line belongs to a day before today. So a missed night, a lost state or
a clock that went forward and back again neither skip a rotation nor add one.
"""

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from archiver.system.zone import local_date


@dataclass(frozen=True)
class Criteria:
    """What the configuration demands: sizes in bytes; a max_size of 0 means none."""

    min_size: int = 0
    max_size: int = 0


@dataclass(frozen=True)
class Due:
    """Whether to rotate, and the reason an operator will read."""

    rotate: bool
    reason: str


def decide(
    *,
    now: int,
    zone: ZoneInfo,
    size: int,
    first_line: int | None,
    last_rotation: int | None,
    criteria: Criteria,
    force: bool,
) -> Due:
    """Return the verdict for a live log of `size` bytes.

    now, first_line, last_rotation: seconds since 1970. first_line: the time of the log's first
    line, None where that is not known. last_rotation: the previous one, None where none is known.
    """
    today = local_date(now, zone)
    if size == 0:
        return Due(rotate=False, reason="the log is empty")
    if force:
        return Due(rotate=True, reason="asked for with --force")
    if criteria.max_size and size >= criteria.max_size:
        return Due(rotate=True, reason=f"{size} bytes reach max_size {criteria.max_size}")
    # Not "today or later": a state from the future (a clock set back) must not stop rotation.
    if last_rotation is not None and local_date(last_rotation, zone) == today:
        return Due(rotate=False, reason="already rotated today")
    since = None if first_line is None else local_date(first_line, zone)
    if since is None and last_rotation is not None:
        since = local_date(last_rotation, zone)
        # A rotation in the future was noted while a clock was ahead: no evidence.
        since = None if since > today else since
    if since is not None and since >= today:
        return Due(rotate=False, reason="the log begins today")
    if size < criteria.min_size:
        return Due(rotate=False, reason=f"{size} bytes are below min_size {criteria.min_size}")
    if since is None:
        return Due(rotate=True, reason="the day on which the log begins is not known")
    return Due(rotate=True, reason=f"the log begins on {since}")


def empty_days(*, since: date, until: date, covered: frozenset[date]) -> tuple[date, ...]:
    """Return the days after `since` and before `until` that nothing covers."""
    days = (date.fromordinal(day) for day in range(since.toordinal() + 1, until.toordinal()))
    return tuple(day for day in days if day not in covered)
