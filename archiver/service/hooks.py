"""Call the administrator's own commands before and after a run.

A hook that fails is only a warning: the log is rotated and the copies are made all the same. What
hooks print goes to stderr: stdout is for the answer.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from archiver.config.telling import Hooks
from archiver.errors import ArchiverError, HookError
from archiver.system import programs

BEFORE, AFTER, ON_FAILURE = "before", "after", "on_failure"
# Longer values are cut off. Bytes; execve(2) refuses a variable of 128 KiB.
LONGEST = 30_000


def call(
    settings: Hooks,
    event: str,
    variables: Mapping[str, str],
    asked_to_stop: Callable[[], bool] = programs.never,
) -> list[ArchiverError]:
    """Call the hook of an event, if there is one; return what went wrong with it.

    variables: the hook finds `verb` in its environment as ARCHIVER_VERB, and so on.
    """
    words: Sequence[str] = getattr(settings, event)
    if not words:
        return []
    environment = {f"ARCHIVER_{key.upper()}": _value(text) for key, text in variables.items()}
    hint = "call it by hand with the same variables: docs/operations.md, Hooks, lists them"
    try:
        status = programs.run_program(
            words,
            settings.timeout,
            says=_stderr(),
            environment={**environment, "ARCHIVER_EVENT": event},
            asked_to_stop=asked_to_stop,
        )
    except programs.TooLongError as error:
        message = f"hook {event}: {words[0]} took {error}"
        return [HookError(message, hint="make it faster, or raise hooks.timeout")]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return [HookError(f"hook {event}: {words[0]} cannot be started: {why}", hint=hint)]
    if not status:
        return []
    how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
    return [HookError(f"hook {event}: {words[0]} {how}", hint=hint)]


def _value(text: str) -> str:
    whole = text.replace("\0", "?").encode("utf-8", "replace")
    return whole[:LONGEST].decode("utf-8", "ignore")


def _stderr() -> IO[str] | int:
    """Return our stderr if it is a file that another program can write to, else DEVNULL."""
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
    return sys.stderr
