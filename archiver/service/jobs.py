"""Decide which job of the service is due.

    night     rotate and archive, once a day, from `at` on; and when a log reaches its max_size
    expire    hold and destroy what the rules say, once a night has been tried
    scrub     read some of the copies back: daily, weekly or monthly

Pure: takes the time. A job is due as long as it has not succeeded since its period began, so a
night that was slept through, a change of clocks that leaves out midnight, or a clock that went
forward and back again neither skip it nor do it twice. What a job does once more finds nothing
to do: the logs and the catalog decide that, never the clock (`due.decide`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from archiver.config.schedule import Every, Schedule
from archiver.rotation.last_run import LastRun
from archiver.system.zone import DAY, local_date

# After a failure a job waits: 5 minutes, then twice as long each time, up to an hour. Seconds.
FIRST_PAUSE, LONGEST_PAUSE = 300.0, 3600.0


class Job(StrEnum):
    NIGHT = "night"
    EXPIRE = "expire"
    SCRUB = "scrub"


@dataclass(frozen=True)
class Done:
    """How a job last went. started, succeeded: instants; None: never yet."""

    started: int | None = None
    exit_status: int | None = None
    succeeded: int | None = None

    def after(self, started: int, exit_status: int) -> "Done":
        return Done(started, exit_status, started if exit_status == 0 else self.succeeded)


@dataclass(frozen=True)
class Today:
    """What a verdict needs to know of the host. since: when the service started; full: a log
    has reached its max_size.
    """

    host: str
    zone: ZoneInfo
    now: int
    since: int
    full: bool = False
    done: Mapping[Job, Done] = field(default_factory=dict)


def due(schedule: Schedule, today: Today) -> list[Job]:
    """Return the jobs that are due, in the order in which they are to be done."""
    night = latest_night(schedule, today)
    begun = {Job.NIGHT: start_of(night, schedule, today)}
    begun[Job.EXPIRE] = begun[Job.NIGHT]
    if schedule.scrub is not Every.NEVER:
        begun[Job.SCRUB] = start_of(first_of(night, schedule.scrub), schedule, today)
    done = {job: today.done.get(job, Done()) for job in Job}
    # What is destroyed, and what is read back, is looked at when the night has been tried.
    tried = within(done[Job.NIGHT].started, begun[Job.NIGHT], today.now)
    return [
        job
        for job, start in begun.items()
        if (job is Job.NIGHT and today.full)
        or (
            not within(done[job].succeeded, start, today.now)
            and (schedule.catch_up or start >= today.since)
            and (job is Job.NIGHT or tried)
        )
    ]


def within(instant: int | None, start: int, now: int) -> bool:
    """Whether it lies between; what was noted while the clock was ahead does not count."""
    return instant is not None and start <= instant <= now


def latest_night(schedule: Schedule, today: Today) -> date:
    """Return the day whose night was the last to begin."""
    day = local_date(today.now, today.zone)
    while start_of(day, schedule, today) > today.now:
        day -= DAY
    return day


def start_of(day: date, schedule: Schedule, today: Today) -> int:
    """Return the instant at which a day's night begins.

    A host's part of `jitter` is always the same, so that hosts which share a bucket do not all
    come at once. Where a change of clocks leaves `at` out, it is as long after the change as `at`
    would have been after its beginning; where it comes twice, the first (PEP 495, fold=0).
    """
    share = int.from_bytes(hashlib.sha256(today.host.encode()).digest()[:4]) / 2**32
    wall = datetime.combine(day, schedule.at, tzinfo=today.zone)
    return int(wall.timestamp()) + int(schedule.jitter * share)


def first_of(night: date, every: Every) -> date:
    """Return the first day of the ISO week or the month that a night belongs to, or that day."""
    if every is Every.MONTHLY:
        return night.replace(day=1)
    return night - timedelta(night.weekday()) if every is Every.WEEKLY else night


def pause(failures: int) -> float:
    """Return how long a job waits that failed so many times running, in seconds."""
    # Not more doublings than it takes: after a month of failures, 2.0**n is no float any more.
    return min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE) if failures else 0.0


def night(last: LastRun, sources: Sequence[str]) -> Done:
    """How the last night went, for all of these sources: the one that waits longest tells."""
    passed = [last.passed.get(source) for source in sources]
    oldest = None if None in passed else min((each for each in passed if each), default=None)
    return Done(last.started, last.exit_status, oldest)
