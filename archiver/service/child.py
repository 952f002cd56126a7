"""One job of the service, as a process of its own: `archiver run`, as an administrator calls it.

So a job that hangs can be killed, its memory goes back to the system each night, and an upgrade
takes effect with the next job. The child gets the configuration that the service accepted, on its
standard input: a file that somebody broke meanwhile is not used.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from archiver.config.schedule import Schedule
from archiver.errors import ArchiverError, explained, from_os_error
from archiver.service.jobs import Job

# A job that was asked to end is killed after so long. Seconds. A run may be killed at any point:
# the next one finishes it.
GRACE = 60.0
# Bytes. A longer answer of a job is cut off, and then tells no failure at all.
LONGEST_ANSWER = 64 * 2**20


def words(job: Job, schedule: Schedule) -> list[str]:
    """Return the verb and the options of a job."""
    if job is Job.NIGHT:
        return ["run", "--no-expiry"]
    if job is Job.EXPIRE:
        return ["retention", "expire", "--auto"]
    return ["repair", "--sample", f"{schedule.scrub_sample:.10%}"]


@dataclass(frozen=True)
class Ended:
    """How a job ended. failures: those it reported, worst first. killed_by: a signal; 0: none."""

    exit_status: int
    failures: tuple[ArchiverError, ...] = ()
    killed_by: int = 0


class Child:
    """A job under way. begun: the instant. since: the same by the monotonic clock, in seconds."""

    def __init__(self, job: Job, schedule: Schedule, path: str, text: str, now: int) -> None:
        """Start it. path, text: the configuration's. Raises: ArchiverError: it cannot start."""
        self.job = job
        self.begun = now
        self.since = time.monotonic()
        self.asked_to_stop_at: float | None = None
        self.grace = min(GRACE, schedule.hang_after)
        doing = f"starting the job {job.value}"
        with explained(doing):
            self._answer = tempfile.TemporaryFile()  # noqa: SIM115 (until `ended`)
            self._config = tempfile.TemporaryFile()  # noqa: SIM115 (until `ended`)
            self._config.write(text.encode())
            self._config.seek(0)
        # -P: nothing is imported from the directory in which the service was started.
        argv = [sys.executable, "-P", "-m", "archiver", "--json", "-c", path, "--config-on-stdin"]
        try:
            self.process = subprocess.Popen(
                [*argv, *words(job, schedule)],
                stdin=self._config,
                stdout=self._answer,
                # A session of its own: a signal to the service's group does not reach its job.
                start_new_session=True,
            )
        except OSError as error:
            self.close()
            raise from_os_error(error, doing) from error

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since

    def stop(self) -> None:
        """Ask it to end after its current step; called again after `grace` seconds, kill it."""
        if self.asked_to_stop_at is None:
            self.asked_to_stop_at = time.monotonic()
            # The job alone: a command that makes syslogd reopen its log belongs to its step.
            self.process.terminate()
        elif time.monotonic() - self.asked_to_stop_at > self.grace:
            with suppress(ProcessLookupError):
                # The whole session, with whatever a reopen command has left behind.
                os.killpg(self.process.pid, signal.SIGKILL)

    def ended(self) -> Ended | None:
        """Return how it ended; None while it is still at work."""
        status = self.process.poll()
        if status is None:
            return None
        self._answer.seek(0)
        answer = self._answer.read(LONGEST_ANSWER)
        self.close()
        failures = tuple(_failures(answer))
        return Ended(status if status >= 0 else 1, failures, max(-status, 0))

    def close(self) -> None:
        self._answer.close()
        self._config.close()


def _failures(answer: bytes) -> list[ArchiverError]:
    """Read the error and the warnings of a JSON document; nothing if it is not one."""
    try:
        document: dict[str, Any] = json.loads(answer)
        reported = [document["error"], *document["warnings"]]
        return [_failure(each) for each in reported if each]
    except (ValueError, KeyError, TypeError):
        return []


def _failure(reported: dict[str, Any]) -> ArchiverError:
    """Return a failure that another process reported."""
    failure = ArchiverError(str(reported["message"]), hint=str(reported["hint"]))
    failure.code = str(reported["code"])
    failure.retryable = bool(reported.get("retryable"))
    return failure
