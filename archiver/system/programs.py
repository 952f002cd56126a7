"""Call another program with a limit of time; past it, all that it started is killed with it.

Without a shell, and in a session of its own, so that there is a group to kill. What is given to
it and what it says go by files: a pipe stays open as long as anything that it left behind does.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

# How long a program still has once this one was asked to stop. Seconds; `child.GRACE` is longer.
STOPPING = 30.0
LOOK = 0.25


class TooLongError(Exception):
    """It was killed. seconds: what it had had."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"longer than {seconds:g} s: killed")


def never() -> bool:
    """Nobody asks to stop."""
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
    """Return its exit status; less than 0: the signal that ended it.

    given: its standard input. says: where both its outputs go. environment: besides ours.
    Raises: TooLongError. OSError, ValueError: it cannot be called.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given)
        stdin.seek(0)
        called = subprocess.Popen(
            words,
            env={**os.environ, **(environment or {})},
            stdin=stdin,
            stdout=says,
            stderr=says,
            start_new_session=True,
        )
    try:
        return _waited(called, timeout, asked_to_stop)
    except BaseException:
        # Interrupted ourselves, too.
        with suppress(ProcessLookupError):
            os.killpg(called.pid, signal.SIGKILL)
        called.wait()
        raise


def _waited(called: "subprocess.Popen[bytes]", timeout: float, stop: Callable[[], bool]) -> int:
    since = time.monotonic()
    until, stopping = since + timeout, False
    while (now := time.monotonic()) < until:
        if not stopping and stop():
            stopping = True
            until = min(until, now + STOPPING)
        with suppress(subprocess.TimeoutExpired):
            return called.wait(max(min(LOOK, until - now), 0))
    raise TooLongError(until - since)
