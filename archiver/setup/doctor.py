"""Examine a host: what would keep the next night from going well, and what to do about it.

Each check is a small function that yields findings. One that fails by itself is a finding, too, and
keeps no other from its turn. Nothing is changed, no lock is taken, nobody is signalled.
"""

import os
import pickle
import pwd
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from archiver.errors import ArchiverError, from_os_error
from archiver.setup.checks import (
    CRITICAL,
    WARNING,
    Finding,
    Patient,
    places,
    stored,
    system,
    writer,
)

Check = Callable[[Patient], Iterable[Finding]]
# What `archiver doctor` looks at, in this order. A new question is a new row.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("rotator", places.second_rotator),
    ("log", places.log),
    ("directories", places.directories),
    ("spool", places.one_file_system),
    ("room", places.room),
    ("syslogd", writer.routes),
    ("reopen", writer.reopen),
    ("release", writer.proof),
    ("clock", system.clock),
    ("stores", stored.stores),
    ("probes", stored.probes),
    ("secrets", stored.secrets),
    ("days", stored.due_days),
    ("last run", stored.last_run),
    ("start", system.started_by),
    ("mail", writer.sendmail),
)


def examine(patient: Patient, checks: Sequence[tuple[str, Check]] = CHECKS) -> list[Finding]:
    """Return what all checks find."""
    return [each for name, check in checks for each in _looked(name, check, patient)]


def _looked(name: str, check: Check, patient: Patient) -> list[Finding]:
    found: list[Finding] = []
    try:
        for each in check(patient):
            found.append(replace(each, check=name))  # noqa: PERF401 (what came before a failure counts)
    except ArchiverError as error:
        found.append(Finding(CRITICAL, error.message, error.hint, name))
    except OSError as error:
        failure = from_os_error(error, "looking")
        found.append(Finding(CRITICAL, failure.message, failure.hint, name))
    except Exception as error:  # noqa: BLE001 (a check that fails must not hide the others)
        what = f"could not be looked at: {type(error).__name__}: {error}"
        found.append(
            Finding(WARNING, what, "this is a mistake in archiver: please report it", name)
        )
    return found


def examine_as(
    user: str, patient: Patient, checks: Sequence[tuple[str, Check]] = CHECKS
) -> list[Finding]:
    """Examine as another user, in a child: with that one's groups, and no capabilities."""
    try:
        known = pwd.getpwnam(user)
    except KeyError:
        return [
            Finding(
                CRITICAL, f"the service's user {user} does not exist", "systemd-sysusers", "user"
            )
        ]
    if os.geteuid() not in {0, known.pw_uid}:
        return [
            Finding(WARNING, f"cannot act as {user}", "run `archiver doctor` as root", "user"),
            *examine(patient, checks),
        ]
    reader, writer_ = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            if os.geteuid() == 0:
                os.initgroups(user, known.pw_gid)
                os.setgid(known.pw_gid)
                os.setuid(known.pw_uid)
            told = examine(replace(patient, away=True), checks)
            with open(writer_, "wb") as pipe:
                pickle.dump(told, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writer_)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        return [Finding(CRITICAL, f"could not be examined as {user}", "try without", "user")]
    found: list[Finding] = pickle.loads(answer)  # noqa: S301 (our own child wrote it)
    said = f"examined as {user}, without the capabilities that its unit may give it"
    return [Finding("ok", said, "", "user"), *found]


def nagios(found: Sequence[Finding]) -> tuple[int, str]:
    """Return the plugin's status (0-3) and its line, as monitoring-plugins.org wants them."""
    critical = [each for each in found if each.level == CRITICAL]
    warnings = [each for each in found if each.level == WARNING]
    text = "; ".join(" ".join(each.what.split()) for each in [*critical, *warnings])
    text = text.replace("|", "/")  # what follows one would be performance data
    if critical:
        return 2, f"CRITICAL: {text}"
    if warnings:
        return 1, f"WARNING: {text}"
    return 0, f"OK: {len(found)} checks"
