"""Examine a host: what would make the next nightly run fail, and what to do about it.

Each check is a small function that yields findings. If a check itself fails, that is a finding,
too, and the other checks run all the same. Nothing is changed, locked or signalled.
"""

import os
import pickle
import pwd
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from archiver.errors import ArchiverError, from_os_error
from archiver.setup.checks import (
    CRITICAL,
    OK,
    WARNING,
    Finding,
    Patient,
    places,
    stored,
    system,
    writer,
)

Check = Callable[[Patient], Iterable[Finding]]
# The checks of `archiver doctor`, in this order. A new check is a new row.
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
    ("start", system.started_by),
    ("mail", writer.sendmail),
)


def examine(patient: Patient, checks: Sequence[tuple[str, Check]] = CHECKS) -> list[Finding]:
    """Return the findings of all checks, in their order. Never raises for what it finds."""
    return [finding for name, check in checks for finding in _findings(name, check, patient)]


def _findings(name: str, check: Check, patient: Patient) -> list[Finding]:
    found: list[Finding] = []
    try:
        for finding in check(patient):
            found.append(replace(finding, check=name))  # noqa: PERF401 (a failure keeps these)
    except ArchiverError as error:
        found.append(Finding(CRITICAL, error.message, error.hint, name))
    except OSError as error:
        failure = from_os_error(error, "reading")
        found.append(Finding(CRITICAL, failure.message, failure.hint, name))
    except Exception as error:  # noqa: BLE001 (a check that fails must not hide the others)
        what = f"this check itself failed: {type(error).__name__}: {error}"
        found.append(Finding(WARNING, what, "this is a bug in archiver: please report it", name))
    return found


def examine_as(
    user: str, patient: Patient, checks: Sequence[tuple[str, Check]] = CHECKS
) -> list[Finding]:
    """Examine in a child process that becomes another user: with its groups, no capabilities."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return [
            Finding(
                CRITICAL,
                f"the service's user {user} does not exist",
                "create it: systemd-sysusers archiver.conf",
                "user",
            )
        ]
    if os.geteuid() not in {0, account.pw_uid}:
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
                os.initgroups(user, account.pw_gid)
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            findings = examine(replace(patient, away=True), checks)
            with open(writer_, "wb") as pipe:
                pickle.dump(findings, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writer_)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        what = f"the examination as {user} ended without an answer"
        return [Finding(CRITICAL, what, "run `archiver doctor` without --as-service", "user")]
    found: list[Finding] = pickle.loads(answer)  # noqa: S301 (our own child wrote it)
    what = f"examined as {user}, without the capabilities that its unit may give it"
    return [Finding(OK, what, "", "user"), *found]


def nagios(found: Sequence[Finding]) -> tuple[int, str]:
    """Return a monitoring plugin's status (0 to 2) and its line (monitoring-plugins.org)."""
    critical = [each for each in found if each.level == CRITICAL]
    warnings = [each for each in found if each.level == WARNING]
    text = "; ".join(" ".join(each.what.split()) for each in [*critical, *warnings])
    text = text.replace("|", "/")  # after a "|", a monitor expects performance data
    if critical:
        return 2, f"CRITICAL: {text}"
    if warnings:
        return 1, f"WARNING: {text}"
    return 0, f"OK: {len(found)} checks"
