"""Call the administrator's own commands around a run.

Without a shell, in a session of their own, with a limit of time; what they print goes to stderr.
A hook that fails is a warning: it never keeps a log from being rotated, or a copy from being made.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from archiver.errors import ArchiverError, HookError
from archiver.notices import Hooks

BEFORE, AFTER, ON_FAILURE = "before", "after", "on_failure"
# An environment holds so much of what a run has to say. Bytes; execve(2) refuses 128 KiB in one.
LONGEST = 60_000


def call(settings: Hooks, event: str, told: Mapping[str, str]) -> list[ArchiverError]:
    """Call the hook of an event, if there is one; return what went wrong with it.

    told: what it finds in its environment, as ARCHIVER_EVENT, …
    """
    words: Sequence[str] = getattr(settings, event)
    if not words:
        return []
    variables = {f"ARCHIVER_{key.upper()}": _value(text) for key, text in told.items()}
    hint = "call it by hand with the same environment; see docs/operations.md, Hooks"
    try:
        hook = subprocess.Popen(
            words,
            env={**os.environ, **variables, "ARCHIVER_EVENT": event},
            stdin=subprocess.DEVNULL,
            # stdout is one JSON document, or a person's answer.
            stdout=sys.stderr if _is_file(sys.stderr) else subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return [HookError(f"hook {event}: {words[0]} cannot be called: {why}", hint=hint)]
    try:
        status = hook.wait(settings.timeout)
    except BaseException as error:
        # The whole session: what it has started would go on. So, too, if we are interrupted.
        with suppress(ProcessLookupError):
            os.killpg(hook.pid, signal.SIGKILL)
        hook.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        message = f"hook {event}: {words[0]} took longer than {settings.timeout:g} s: killed"
        return [HookError(message, hint="make it quicker, or raise hooks.timeout")]
    if not status:
        return []
    how = f"was ended by signal {-status}" if status < 0 else f"ended with {status}"
    return [HookError(f"hook {event}: {words[0]} {how}", hint=hint)]


def _value(text: str) -> str:
    return text.replace("\0", "?").encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")


def _is_file(stream: object) -> bool:
    try:
        stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
    return True
