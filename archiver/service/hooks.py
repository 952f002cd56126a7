"""Call the administrator's own commands around a run.

A hook that fails is a warning: it never keeps a log from being rotated, or a copy from being made.
What hooks print goes to stderr: stdout is for the answer.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from archiver.config.telling import Hooks
from archiver.errors import ArchiverError, HookError
from archiver.system import programs

BEFORE, AFTER, ON_FAILURE = "before", "after", "on_failure"
# An environment holds so much of what a run has to say. Bytes; execve(2) refuses 128 KiB in one.
LONGEST = 30_000


def call(
    settings: Hooks,
    event: str,
    told: Mapping[str, str],
    asked_to_stop: Callable[[], bool] = programs.never,
) -> list[ArchiverError]:
    """Call the hook of an event, if there is one; return what went wrong with it.

    told: what it finds in its environment, as ARCHIVER_VERB, …
    """
    words: Sequence[str] = getattr(settings, event)
    if not words:
        return []
    variables = {f"ARCHIVER_{key.upper()}": _value(text) for key, text in told.items()}
    hint = "call it by hand with the same environment; see docs/operations.md, Hooks"
    try:
        status = programs.run_program(
            words,
            settings.timeout,
            says=_said(),
            environment={**variables, "ARCHIVER_EVENT": event},
            asked_to_stop=asked_to_stop,
        )
    except programs.TooLongError as error:
        message = f"hook {event}: {words[0]} took {error}"
        return [HookError(message, hint="make it quicker, or raise hooks.timeout")]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return [HookError(f"hook {event}: {words[0]} cannot be called: {why}", hint=hint)]
    if not status:
        return []
    how = f"was ended by signal {-status}" if status < 0 else f"ended with {status}"
    return [HookError(f"hook {event}: {words[0]} {how}", hint=hint)]


def _value(text: str) -> str:
    whole = text.replace("\0", "?").encode("utf-8", "replace")
    return whole[:LONGEST].decode("utf-8", "ignore")


def _said() -> IO[str] | int:
    """Our stderr, if it is a file that another program can have."""
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
    return sys.stderr
