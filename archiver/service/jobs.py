"""Decide which job of the service is due.

    night     rotate and archive, once a day, from `at` on; and when a log reaches its max_size
    expire    hold and destroy what the rules say, once a night has been tried
    scrub     read some of the copies back: daily, weekly or monthly

A job is due until it has succeeded since its period began. So a machine that was off at midnight, a
change of clocks that leaves midnight out, or a clock that went forward and back again neither skips
a job nor does it twice. A job that is started once too often finds nothing to do: the logs and the
catalog decide that, never the clock (`rotation.due`). Pure: it is given the time.
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

# A job that failed waits 5 minutes, then twice as long each time, up to an hour. Seconds.
FIRST_PAUSE, LONGEST_PAUSE = 300.0, 3600.0


class Job(StrEnum):
    NIGHT = "night"
    EXPIRE = "expire"
    SCRUB = "scrub"


@dataclass(frozen=True)
class Done:
    """How a job went last. started, succeeded: the last such instants; None: never yet."""

    started: int | None = None
    exit_status: int | None = None
    succeeded: int | None = None

    def after(self, started: int, exit_status: int) -> "Done":
        return Done(started, exit_status, started if exit_status == 0 else self.succeeded)


@dataclass(frozen=True)
class Today:
    """What `due` has to know of the host. now, since: instants; the latter is when the service
    started. full: a log has reached its max_size. done: how each job went last.
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
    # Expiry and scrub wait until the night has been tried.
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
    """Whether an instant lies between; one noted while the clock was ahead does not count."""
    return instant is not None and start <= instant <= now


def latest_night(schedule: Schedule, today: Today) -> date:
    """Return the day whose night was the last to begin."""
    day = local_date(today.now, today.zone)
    while start_of(day, schedule, today) > today.now:
        day -= DAY
    return day


def start_of(day: date, schedule: Schedule, today: Today) -> int:
    """Return the instant at which a day's night begins.

    A host's share of `jitter` is always the same: so hosts that share a bucket do not all begin
    at once. Where a change of clocks leaves `at` out, the night begins as long after the change as
    `at` is after the beginning of the gap; where `at` comes twice, at the first (PEP 495, fold=0).
    """
    share = int.from_bytes(hashlib.sha256(today.host.encode()).digest()[:4]) / 2**32
    wall = datetime.combine(day, schedule.at, tzinfo=today.zone)
    return int(wall.timestamp()) + int(schedule.jitter * share)


def first_of(night: date, every: Every) -> date:
    """Return the first day of the night's month or ISO week; that day itself, if it is daily."""
    if every is Every.MONTHLY:
        return night.replace(day=1)
    return night - timedelta(night.weekday()) if every is Every.WEEKLY else night


def pause(failures: int) -> float:
    """Return for how many seconds a job waits after so many failures in a row."""
    # At most 10 doublings: after a month of failures, 2**n would not fit into a float.
    return min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE) if failures else 0.0


def night(last: LastRun, sources: Sequence[str]) -> Done:
    """Return how the last night went; the source that has waited longest for a success counts."""
    passed = [last.passed.get(source) for source in sources]
    oldest = None if None in passed else min((each for each in passed if each), default=None)
    return Done(last.started, last.exit_status, oldest)
