"""One job of the service, in a process of its own: `archiver run`, as an administrator runs it.

So a job that hangs can be killed, memory goes back to the system each night, and an upgrade is in
force with the next job. The child is given the configuration as the service accepted it, on its
standard input: a file that was spoilt since is nobody's configuration.
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

# How long a job may take to end that was told to, before it is killed. Seconds; a run that is
# killed anywhere is finished by the next one.
GRACE = 60.0
# More than this of a job's answer is not read: the failures come first in nobody's answer.
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
    """How a job ended. failures: what it told, worst first. killed_by: the signal, if one did."""

    exit_status: int
    failures: tuple[ArchiverError, ...] = ()
    killed_by: int = 0


class Child:
    """A job under way. begun: the instant. since: by the monotonic clock."""

    def __init__(self, job: Job, schedule: Schedule, path: str, text: str, now: int) -> None:
        """Start it. path, text: the configuration's. Raises: ArchiverError: it cannot be."""
        self.job = job
        self.begun = now
        self.since = time.monotonic()
        self.told_to_stop: float | None = None
        self.grace = min(GRACE, schedule.hang_after)
        doing = f"starting the job {job.value}"
        with explained(doing):
            self._answer = tempfile.TemporaryFile()  # noqa: SIM115 (until `ended`)
            self._config = tempfile.TemporaryFile()  # noqa: SIM115 (until `ended`)
            self._config.write(text.encode())
            self._config.seek(0)
        # -P: what lies in the directory we were started in is none of our code.
        argv = [sys.executable, "-P", "-m", "archiver", "--json", "-c", path, "--config-on-stdin"]
        try:
            self.process = subprocess.Popen(
                [*argv, *words(job, schedule)],
                stdin=self._config,
                stdout=self._answer,
                # Of its own: a signal to the service's group is not a signal to its job.
                start_new_session=True,
            )
        except OSError as error:
            self.close()
            raise from_os_error(error, doing) from error

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since

    def stop(self) -> None:
        """Ask it to end after the step that it is making; once more, and it is killed."""
        if self.told_to_stop is None:
            self.told_to_stop = time.monotonic()
            # Itself alone: the command that tells syslogd is a part of the step to be finished.
            self.process.terminate()
        elif time.monotonic() - self.told_to_stop > self.grace:
            with suppress(ProcessLookupError):
                # The whole session: what a reopen command has left behind, too.
                os.killpg(self.process.pid, signal.SIGKILL)

    def ended(self) -> Ended | None:
        """Return how it ended; None while it goes on."""
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
    """Read the error and the warnings of a JSON document, and nothing if it is none."""
    try:
        document: dict[str, Any] = json.loads(answer)
        told = [document["error"], *document["warnings"]]
        return [_told(each) for each in told if each]
    except (ValueError, KeyError, TypeError):
        return []


def _told(each: dict[str, Any]) -> ArchiverError:
    """Return a failure as another process told of it."""
    failure = ArchiverError(str(each["message"]), hint=str(each["hint"]))
    failure.code = str(each["code"])
    failure.retryable = bool(each.get("retryable"))
    return failure
