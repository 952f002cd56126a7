"""A year of the service, simulated: in each zone, each day has exactly one archive per source.

The service, the schedule, the nights, stores and catalog are the real ones. The clock is not, and
jobs are done here instead of in a child: but for those that are killed, which are real processes.
Meanwhile the machine is off for a day, two or a week, nights are killed half done, the service is
started anew, and the clock is put two days ahead or back, and mended hours later.
"""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import pytest

from archiver import nightly
from archiver.service.child import Ended
from archiver.service.jobs import Job
from archiver.service.serve import Accepted, Running, Service
from archiver.system.zone import DAY, local_date
from tests.world.host import Host, line

ZONES = ["Europe/Rome", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe"]
SOURCES = ("maillog", "authlog")
HOUR = 3600
FIRST, LAST = date(2026, 1, 10), date(2027, 1, 10)
# What a night does on its way to being whole; killed at any of them.
CALLS = ("fsync", "rename", "link", "unlink")


@dataclass
class Work:
    """A job that was done when it was started."""

    job: Job
    begun: int
    end: Ended
    seconds: float = 0.0

    def stop(self) -> None:
        raise AssertionError("nothing hangs")

    def ended(self) -> Ended:
        return self.end


@dataclass
class Year:
    """truth: the real time, of which the machine's clock is `wrong` seconds off.

    kill_at: the next night dies at so many calls. wrong_days: log dates that a wrong clock, or
    its mending, fell on. late: days whose log was rotated by day, since the machine had been off:
    what was logged before that is in another archive than what was logged after it. written: the
    lines logged, by source and log date.
    """

    host: Host
    truth: int
    wrong: int = 0
    kill_at: int = 0
    killed: int = 0
    wrong_days: set[date] = field(default_factory=set)
    late: set[date] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    written: dict[str, Counter[date]] = field(
        default_factory=lambda: {source: Counter() for source in SOURCES}
    )

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """The machine starts, and the service with it."""
        self.service = Service(
            Accepted.read(self.host.toml),
            start=self.start,
            now=lambda: self.truth + self.wrong,
            monotonic=lambda: float(self.truth),
        )

    def start(self, job: Job, accepted: Accepted, now: int) -> Running:
        dies, self.kill_at = (self.kill_at, 0) if job is Job.NIGHT else (0, self.kill_at)
        if dies and not self.survives(dies, lambda: self.do(job, accepted, now)):
            self.killed += 1
            return Work(job, now, Ended(1, killed_by=signal.SIGKILL))
        return Work(job, now, self.do(job, accepted, now))

    def do(self, job: Job, accepted: Accepted, now: int) -> Ended:
        if job is Job.SCRUB:
            return Ended(0)
        if job is Job.EXPIRE:
            report = nightly.expiry(accepted.config, now=now)
        else:
            report = nightly.run(accepted.config, SOURCES, now=now, expiring=False)
            today = local_date(now, accepted.config.host.zone)
            if any(each.rotated for each in report.sources) and now > self.host.at(today, "01:00"):
                self.late.add(today)
        self.problems += [failure.message for failure in report.failures]
        return Ended(report.exit_status)

    def survives(self, calls: int, work: Callable[[], object]) -> bool:
        """Do it in a process that is killed at its n-th call; return whether it came so far."""
        child = os.fork()
        if not child:
            left = iter(range(calls))

            def deadly(call: Callable[..., object]) -> Callable[..., object]:
                def made(*words: object, **more: object) -> object:
                    if next(left, None) is None:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return call(*words, **more)

                return made

            for name in CALLS:
                setattr(os, name, deadly(getattr(os, name)))
            work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        return status == 0

    def log(self) -> None:
        """A line in each log, as syslogd stamps it: by the machine's clock."""
        wall = datetime.fromtimestamp(self.truth + self.wrong, self.host.config.host.zone)
        for source in SOURCES:
            self.host.write(line(wall, f"imapd: {source} {self.truth}"), source)
            self.written[source][wall.date()] += 1

    def hour(self) -> None:
        """Pass, looking now and then; soon, if something failed."""
        before = self.truth
        self.log()
        while self.truth < before + HOUR:
            waits = any(each.failures for each in self.service.patience.values())
            self.service.tick()
            while self.service.running:
                self.service.tick()
            self.truth += HOUR // 12 if waits or self.truth > before else HOUR // 2

    def step(self, seconds: int) -> None:
        """Put the clock wrong, or right again: what lies between is nobody's ordinary day."""
        zone = self.host.config.host.zone
        for at in (self.truth + self.wrong, self.truth + seconds):
            self.wrong_days |= {local_date(at, zone) + n * DAY for n in (-1, 0, 1)}
        self.wrong = seconds


def years() -> list[tuple[str, bool]]:
    """Two, for `make test-long`; `make test-year` passes all of them."""
    everything = [(zone, steps) for zone in ZONES for steps in (False, True)]
    return everything if os.environ.get("ARCHIVER_YEARS") == "all" else everything[1:3]


def passed(host: Host, chance: random.Random, *, steps: bool) -> Year:
    """Let a year pass, with what chance brings."""
    for source in SOURCES:
        (host.directory / source).touch(0o640)
    year = Year(host, host.at(FIRST, "12:00"))
    end, mend = host.at(LAST, "12:00"), 0
    while year.truth < end:
        year.hour()
        if chance.random() < 1 / (24 * 9):
            year.kill_at = chance.randrange(1, 60)
        if chance.random() < 1 / (24 * 9):
            year.begin()
        if chance.random() < 1 / (24 * 40):
            year.truth += chance.choice([1, 2, 7]) * 24 * HOUR
            year.begin()
        if steps and year.wrong and year.truth >= mend:
            year.step(0)
        elif steps and not year.wrong and chance.random() < 1 / (24 * 30):
            year.step(chance.choice([-2, 2]) * 24 * HOUR)
            mend = year.truth + chance.randrange(1, 50) * HOUR
    year.step(0)
    for _ in range(30):
        year.hour()
    return year


@pytest.mark.long
@pytest.mark.parametrize(("zone", "steps"), years())
def test_a_year_of_the_service(place: Path, zone: str, steps: bool) -> None:
    """Each day with lines has one archive of each source, with all its lines."""
    year = passed(Host(place, zone=zone, sources=SOURCES), random.Random(zone), steps=steps)
    host = year.host
    today = local_date(year.truth, host.config.host.zone)
    assert year.killed >= 10
    assert year.problems == []
    for source in SOURCES:
        stored = [m for m in host.manifests(source) if not m.is_empty_day]
        lines = Counter[date]()
        for manifest in stored:
            lines[manifest.date] += manifest.lines
        live = len((place / source).read_bytes().splitlines())
        assert sum(year.written[source].values()) == sum(lines.values()) + live
        days = Counter(manifest.date for manifest in stored)
        # A handful of lines, before the machine went off, stays with the evening before.
        ordinary = {day for day, count in year.written[source].items() if count > 6 and day < today}
        ordinary -= year.wrong_days | year.late
        assert len(ordinary) > (200 if steps else 250)
        assert dict.fromkeys(ordinary, 1) == {day: days[day] for day in ordinary}
