"""The log's writer: whether it could be told to let go, and whether that could be proven."""

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

# Where a file is rotated to see whether that can be proven; and for how many seconds at most.
SCRATCH, LEFT = ".doctor-", 3600


def reopen(patient: Patient) -> Iterator[Finding]:
    """Nothing is signalled: only whom, and whether somebody is there."""
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
                OK, f"{source.name}: can be told by {source.reopen.kind} {source.reopen.argument}"
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
        return Finding(CRITICAL, f"systemctl does not answer: {error}", "check `reopen`")
    said = (done.stdout or done.stderr).decode(errors="replace").strip()
    if done.returncode:
        return Finding(
            CRITICAL,
            f"{source.name}: unit {unit} is not active: {said[:200]}",
            f"systemctl start {unit}, or name the right one in `reopen`",
        )
    return Finding(OK, f"{source.name}: unit {unit} is active")


def _nobody(source: Source) -> Finding:
    if not source.path.exists():
        return Finding(OK, f"{source.name}: nobody is to be told")
    found = release.who_writes(source.path)
    if found.holders:
        who = ", ".join(map(str, found.holders))
        return Finding(
            CRITICAL,
            f'{source.name}: reopen = "none", but {who} has the log open',
            "say in `reopen` how it is told to open its log anew",
        )
    return Finding(OK, f"{source.name}: nobody holds the log open, as `reopen` says")


def proof(patient: Patient) -> Iterator[Finding]:
    """Rotate a scratch file in the spool: is its writer seen, and that it has let go?"""
    spool = patient.config.host.spool_dir
    if not spool.is_dir() or not may(spool, os.W_OK | os.X_OK):
        yield Finding(
            OK, "a scratch file is rotated once the spool is there, and may be written to"
        )
        return
    for begun in spool.glob(f"{SCRATCH}*"):  # by a doctor that was killed
        if abs(patient.now - begun.lstat().st_mtime) > LEFT:
            shutil.rmtree(begun, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=spool) as directory:
        scratch, segment = Path(directory, "log"), Path(directory, "segment")
        with open(scratch, "wb"):
            os.link(scratch, segment)
            Path(directory, "new").touch(0o600)
            os.rename(Path(directory, "new"), scratch)
            held = release.look(segment)
        free = release.look(segment)
    if not held.proven and free.proven:
        yield Finding(OK, "on a scratch file: a writer is seen, and that it has let go, too")
        return
    what = "a writer is not seen" if held.proven else "that a writer has let go cannot be proven"
    yield Finding(
        CRITICAL,
        f"on a scratch file in {spool}: {what}",
        free.unknown or "is the spool on a network file system? Put log and spool on a local one",
    )


def routes(patient: Patient) -> Iterator[Finding]:
    """Whether syslogd's own configuration sends mail.info where it is archived, and only there."""
    told = [each for each in patient.config.sources if each.reopen.kind != "none"]
    reading = look(patient.root)
    if not reading.daemon and not told:
        yield Finding(OK, "no syslogd writes the logs")
        return
    doubtful = doubts(reading, [source.path for source in patient.config.sources])
    for each in doubtful:
        yield Finding(WARNING, each.sentence, each.remedy)
    if not doubtful:
        yield Finding(OK, f"{reading.daemon} writes mail.info into what is archived")


def sendmail(patient: Patient) -> Iterator[Finding]:
    """What failures are mailed by, if they are."""
    notify = patient.config.notify
    if not notify.mail_to:
        return
    program = notify.sendmail
    if shutil.which(program):
        yield Finding(OK, f"{program} is there, to mail failures with")
    else:
        yield Finding(
            WARNING, f"failures are to be mailed, but {program} is not there", "install an MTA"
        )
