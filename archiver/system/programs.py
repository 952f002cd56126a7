"""Call another program with a time limit; past it, the program and all that it started are killed.

There is no shell, and the program gets a session of its own, so that there is a process group to
kill. Its input and output are files: a pipe would stay open as long as any process it left behind.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

# Seconds that a program still has once this one was asked to stop; `child.GRACE` is longer.
STOPPING = 30.0
LOOK = 0.25  # seconds between two questions whether this one was asked to stop


class TooLongError(Exception):
    """The program was killed. seconds: how long it had been given."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"longer than {seconds:g} s: killed")


def never() -> bool:
    """Say that nobody asks to stop."""
    return False


def run_program(
    words: Sequence[str],
    timeout: float,
    *,
    given: bytes = b"",
    says: IO[bytes] | IO[str] | int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    asked_to_stop: Callable[[], bool] = never,
) -> int:
    """Run a program to its end. Return its exit status; below 0: minus the signal that ended it.

    words: the program and its arguments. timeout: seconds. given: its standard input.
    says: where its standard output and error go. environment: added to that of this process.
    asked_to_stop: once it is true, the program has STOPPING seconds more, at most.
    Raises: TooLongError: it was killed. OSError, ValueError: it could not be started.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given)
        stdin.seek(0)
        process = subprocess.Popen(
            words,
            env={**os.environ, **(environment or {})},
            stdin=stdin,
            stdout=says,
            stderr=says,
            start_new_session=True,
        )
    try:
        return _wait(process, timeout, asked_to_stop)
    except BaseException:  # also if this process itself is interrupted
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _wait(process: "subprocess.Popen[bytes]", timeout: float, stop: Callable[[], bool]) -> int:
    since = time.monotonic()
    until, stopping = since + timeout, False
    while (now := time.monotonic()) < until:
        if not stopping and stop():
            stopping = True
            until = min(until, now + STOPPING)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(max(min(LOOK, until - now), 0))
    raise TooLongError(until - since)
