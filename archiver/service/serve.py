"""The service: every few seconds it looks which job is due, and starts a child for it.

    tick ─▸ has the job ended? note how ─▸ does it hang? end it ─▸ is one due? start it
    HUP  ─▸ read the configuration again; a bad one is refused, and the old one stays in force
    TERM ─▸ no new job; the one under way ends after its current step

A tick is short, and nothing else is driven by time. Notes of past jobs decide what is due
(`jobs.due`), and the logs and the catalog decide what there is to do then: a tick that comes late,
twice or on another day does no harm.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol, Self

from archiver.config.settings import Config, parse, text_of
from archiver.errors import ArchiverError, ConfigError, InterruptedRunError, JobError, LockHeldError
from archiver.rotation import last_run
from archiver.service import last_jobs
from archiver.service.child import Child, Ended
from archiver.service.jobs import (
    Done,
    Job,
    Today,
    due,
    latest_night,
    night,
    pause,
    start_of,
)
from archiver.service.reporting import VERBS
from archiver.system.zone import rfc3339

log = logging.getLogger("archiver.serve")
# The signals by which `Child.stop` ends a job.
ENDING = {signal.SIGTERM, signal.SIGKILL}
# How long a job waits for another archiver, and before the same job begins again. Seconds.
SOON = 60.0


@dataclass(frozen=True)
class Accepted:
    """A configuration that was found to be good, and its text."""

    config: Config
    text: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file. Raises: ConfigError: it cannot be used."""
        text = text_of(path)
        return cls(parse(text, path), text)


class Running(Protocol):
    """A job under way: a `child.Child`. begun: the instant. seconds: since then."""

    job: Job
    begun: int

    @property
    def seconds(self) -> float: ...
    def stop(self) -> None: ...
    def ended(self) -> Ended | None: ...


def start_child(job: Job, accepted: Accepted, now: int) -> Running:
    config = accepted.config
    return Child(job, config.schedule, str(config.path), accepted.text, now)


def no_alarm(job: Job, failures: tuple[ArchiverError, ...]) -> None:
    """Report to nobody."""


@dataclass
class Patience:
    """How often a job has failed in a row, and when (monotonic) it may be tried again."""

    failures: int = 0
    until: float = 0.0


@dataclass
class Service:
    """What is under way, and what waits. now, monotonic: the clocks.

    alarm: gets the failures of a job that could not report them itself; none of them, when it
    succeeds again. hung: the job under way took too long, and is being ended.
    """

    accepted: Accepted
    start: Callable[[Job, Accepted, int], Running] = start_child
    alarm: Callable[[Job, tuple[ArchiverError, ...]], None] = no_alarm
    now: Callable[[], int] = lambda: int(time.time())
    monotonic: Callable[[], float] = time.monotonic
    running: Running | None = None
    stopping: bool = False
    hung: bool = False
    patience: dict[Job, Patience] = field(default_factory=lambda: {job: Patience() for job in Job})

    def __post_init__(self) -> None:
        self.since = self.now()
        self.lock = threading.Lock()

    @property
    def finished(self) -> bool:
        return self.stopping and self.running is None

    @property
    def status(self) -> str:
        """One line for `systemctl status`."""
        if running := self.running:
            return f"{running.job.value}, since {rfc3339(running.begun)}"
        today, schedule = self.today(), self.accepted.config.schedule
        tomorrow = latest_night(schedule, today) + timedelta(1)
        waits = [job.value for job, each in self.patience.items() if each.failures]
        failed = f"; failed, to be tried again soon: {', '.join(waits)}" if waits else ""
        return f"the next night begins at {rfc3339(start_of(tomorrow, schedule, today))}{failed}"

    def tick(self) -> None:
        """Look once. Raises: ArchiverError: the state directory cannot be written."""
        with self.lock:
            if self.running:
                self._mind(self.running)
            if not self.running and not self.stopping:
                self._start_what_is_due()

    def stop(self) -> None:
        """Start nothing more, and ask the job under way to end after its step."""
        with self.lock:
            self.stopping = True
            if self.running:
                self.running.stop()

    def reload(self) -> None:
        """Read the configuration again. Raises: ConfigError: the old one stays in force."""
        accepted = Accepted.read(self.accepted.config.path)
        old, new = self.accepted.config.host, accepted.config.host
        if (old.name, old.state_dir) != (new.name, new.state_dir):
            raise ConfigError(
                f"{accepted.config.path}: a change of host.name or host.state_dir needs a restart",
                hint="restart the service; until then it keeps the old configuration",
            )
        with self.lock:
            self.accepted = accepted
            # The change may have mended what failed: nothing waits any longer.
            self.patience = {job: Patience() for job in Job}

    # -- one look --------------------------------------------------------------------------

    def today(self) -> Today:
        config = self.accepted.config
        now = self.now()
        # If the clock was ahead when the service started, that was no later than now.
        self.since = min(self.since, now)
        names = [source.name for source in config.sources]
        done_night = night(last_run.load(config.host.state_dir), names)
        done = {**last_jobs.load(config.host.state_dir), Job.NIGHT: done_night}
        return Today(config.host.name, config.host.zone, now, self.since, self._full(), done)

    def _full(self) -> bool:
        """Whether a log has reached its max_size."""
        for source in self.accepted.config.sources:
            # A log that another rotator rotates gets no smaller by a night of ours.
            if source.max_size and source.coexist != "adopt":
                with suppress(OSError):
                    if os.stat(source.path).st_size >= source.max_size:
                        return True
        return False

    def _start_what_is_due(self) -> None:
        today = self.today()
        for job in due(self.accepted.config.schedule, today):
            if self.monotonic() < self.patience[job].until:
                continue
            self.hung = False
            try:
                self.running = self.start(job, self.accepted, today.now)
            except ArchiverError as failure:
                self._failed(job, (failure,), reported=False)
            else:
                log.info("%s: begun", job.value)
            return

    def _mind(self, running: Running) -> None:
        if ended := running.ended():
            self.running = None
            self._note(running, ended)
        elif self.stopping or self.hung:
            running.stop()
        elif running.seconds > (limit := self.accepted.config.schedule.hang_after):
            self.hung = True
            failure = JobError(
                f"{running.job.value} took longer than {limit:g} s (schedule.hang_after) and is "
                "being stopped",
                hint="find out what it waited for: a store, a disk, a hook? It is tried again",
            )
            log.error("%s", failure.message)
            self.alarm(running.job, (failure,))
            running.stop()

    def _note(self, running: Running, ended: Ended) -> None:
        job, status = running.job, ended.exit_status
        took = f"{running.seconds:.1f} s"
        # By a signal: it had only just begun and did not catch signals yet, or was too slow to end.
        asked = status == InterruptedRunError.exit_status or ended.killed_by in ENDING
        if self.stopping and asked:
            log.info("%s: stopped after a step, as asked; %s", job.value, took)
            return
        if status == LockHeldError.exit_status:
            log.info("%s: another archiver is at work; tried again later", job.value)
            self.patience[job].until = self.monotonic() + SOON
            return
        # Even if the end cannot be noted: else the job would begin again at the next tick.
        self.patience[job].until = self.monotonic() + SOON
        if job is not Job.NIGHT:
            state = self.accepted.config.host.state_dir
            done = last_jobs.load(state)
            after = done.get(job, Done()).after(running.begun, status)
            last_jobs.save(state, {**done, job: after})
        if status == 0:
            log.info("%s: done in %s", job.value, took)
            for warning in ended.failures:
                log.warning("%s: %s (try: %s)", job.value, warning.message, warning.hint)
            if self.patience[job].failures:
                self.alarm(job, ())
            self.patience[job] = Patience(until=self.monotonic() + SOON)
            return
        failures = ended.failures
        if ended.killed_by:
            died = JobError(
                f"{job.value} was killed by signal {ended.killed_by}, after {took}",
                hint="if nobody sent it, did memory run out? The next one continues from there",
            )
            failures = (died, *failures)
        silent = not failures
        if silent:
            unexplained = JobError(
                f"{job.value} ended with exit status {status}, and gave no reason",
                hint=f"see the service's log above, or call `archiver {VERBS[job]}` by hand",
            )
            failures = (unexplained,)
        # A night that came to its end has reported its failures itself; a killed one has not.
        by_itself = job is Job.NIGHT and not ended.killed_by and not silent
        self._failed(job, failures, reported=self.hung or by_itself)

    def _failed(self, job: Job, failures: tuple[ArchiverError, ...], *, reported: bool) -> None:
        patience = self.patience[job]
        patience.failures += 1
        wait = pause(patience.failures)
        patience.until = self.monotonic() + wait
        for failure in failures:
            log.error("%s: %s (try: %s)", job.value, failure.message, failure.hint)
        log.warning("%s: failed; tried again in %.0f s", job.value, wait)
        if not reported:
            self.alarm(job, failures)
