"""The log's writer: can it be told to close the log, and can it be proven that it did?"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archiver.config.settings import Source
from archiver.errors import ArchiverError
from archiver.rotation import release
from archiver.setup.checks.found import CRITICAL, OK, WARNING, Finding, Patient, may
from archiver.setup.syslogconf import doubts, look

# The scratch directory in the spool, and the seconds after which one was left by a killed doctor.
SCRATCH, LEFT = ".doctor-", 3600


def reopen(patient: Patient) -> Iterator[Finding]:
    """Whether the program that `reopen` names is there. It is not signalled."""
    for source in patient.config.sources:
        try:
            release.check(source.reopen)
        except ArchiverError as error:
            yield Finding(CRITICAL, f"{source.name}: {error.message}", error.hint)
            continue
        if source.reopen.kind == "systemctl":
            yield _unit(source)
        elif source.reopen.kind == "none":
            yield _nobody(source)
        else:
            yield Finding(
                OK,
                f"{source.name}: its writer can be told by "
                f"{source.reopen.kind} {source.reopen.argument}",
            )


def _unit(source: Source) -> Finding:
    unit = source.reopen.argument
    try:
        done = subprocess.run(
            ["systemctl", "is-active", unit],
            capture_output=True,
            timeout=10,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(
            CRITICAL,
            f"systemctl does not answer: {error}",
            "is this machine run by systemd? If not, change `reopen`",
        )
    answer = (done.stdout or done.stderr).decode(errors="replace").strip()
    if done.returncode:
        return Finding(
            CRITICAL,
            f"{source.name}: unit {unit} is not active: {answer[:200]}",
            f"systemctl start {unit}, or name the right unit in `reopen`",
        )
    return Finding(OK, f"{source.name}: unit {unit} is active")


def _nobody(source: Source) -> Finding:
    if not source.path.exists():
        return Finding(OK, f"{source.name}: no log yet, and `reopen` names no writer")
    found = release.who_writes(source.path)
    if found.holders:
        who = ", ".join(map(str, found.holders))
        return Finding(
            CRITICAL,
            f'{source.name}: reopen = "none", but {who} has the log open',
            "set `reopen` to how that program is told to open its log anew",
        )
    return Finding(OK, f"{source.name}: no program has the log open, as `reopen` says")


def proof(patient: Patient) -> Iterator[Finding]:
    """Rotate a scratch file in the spool: is its writer noticed, and that it has let go?"""
    spool = patient.config.host.spool_dir
    if not spool.is_dir() or not may(spool, os.W_OK | os.X_OK):
        yield Finding(OK, "not tried: it needs a spool that exists and that this user may write to")
        return
    for leftover in spool.glob(f"{SCRATCH}*"):
        if abs(patient.now - leftover.lstat().st_mtime) > LEFT:
            shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=spool) as directory:
        scratch, segment = Path(directory, "log"), Path(directory, "segment")
        with open(scratch, "wb"):
            os.link(scratch, segment)
            Path(directory, "new").touch(0o600)
            os.rename(Path(directory, "new"), scratch)
            held = release.look(segment)
        free = release.look(segment)
    if not held.proven and free.proven:
        yield Finding(
            OK, "on a scratch file: a writer is noticed, and so is that it has closed the file"
        )
        return
    what = (
        "a writer was not noticed"
        if held.proven
        else "it could not be proven that a writer has closed the file"
    )
    yield Finding(
        CRITICAL,
        f"on a scratch file in {spool}: {what}",
        free.unknown or "put log and spool on a local file system, not on a network one",
    )


def routes(patient: Patient) -> Iterator[Finding]:
    """Whether syslogd's own configuration sends mail.info to what is archived, and only there."""
    signalled = [source for source in patient.config.sources if source.reopen.kind != "none"]
    reading = look(patient.root)
    if not reading.daemon and not signalled:
        yield Finding(OK, "no syslogd writes the logs")
        return
    doubtful = doubts(reading, [source.path for source in patient.config.sources])
    for doubt in doubtful:
        yield Finding(WARNING, doubt.sentence, doubt.remedy)
    if not doubtful:
        yield Finding(OK, f"{reading.daemon} writes mail.info to a log that is archived")


def sendmail(patient: Patient) -> Iterator[Finding]:
    """Whether the program that mails failures is there, if they are mailed."""
    notify = patient.config.notify
    if not notify.mail_to:
        return
    program = notify.sendmail
    if shutil.which(program):
        yield Finding(OK, f"{program} is there to mail failures")
    else:
        yield Finding(
            WARNING,
            f"failures are to be mailed, but {program} is not there",
            "install an MTA, or set `notify.sendmail` to its sendmail program",
        )
