"""The machine: its clock, and what starts the archiver."""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from archiver.policy.decide import clock_doubt
from archiver.policy.ledger import newest_instant
from archiver.setup.checks.found import CRITICAL, OK, WARNING, Finding, Patient
from archiver.system.zone import rfc3339

# 2026-01-01, the year this program was written: a clock before that is wrong (an empty battery).
FIRST = 1_767_225_600
SLACK = 300  # seconds
TIME_ERROR = 5  # adjtimex(2), ntp_adjtime(2): not synchronised
UNITS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system",
         "usr/lib/systemd/system", "lib/systemd/system")  # fmt: skip
RC_CONFS = ("/etc/rc.conf", "/etc/rc.conf.local", "/etc/rc.conf.d/archiver")
ENABLED = re.compile(r"^\s*archiver_enable=[\"']?(?:yes|true|on|1)\b", re.MULTILINE | re.IGNORECASE)
RUNS = re.compile(r"(?<![\w.])archiver\b[^#\n]*\srun\b")


def clock(patient: Patient) -> Iterator[Finding]:
    """Whether the clock agrees with the past, and whether it is synchronised."""
    now, last = patient.now, patient.last
    remedy = "set the clock (ntpd, chrony) before the next run, which takes the years from it"
    if now < FIRST:
        yield Finding(CRITICAL, f"the clock says {rfc3339(now)}", remedy)
    if last.started and now < last.started - SLACK:
        yield Finding(
            CRITICAL,
            f"the clock says {rfc3339(now)}, but the last run was at {rfc3339(last.started)}",
            remedy,
        )
    for source in patient.config.sources:
        with suppress(OSError):
            written = int(os.stat(source.path).st_mtime)
            if written > now + SLACK:
                yield Finding(
                    WARNING,
                    f"{source.path} was written at {rfc3339(written)}, but now is {rfc3339(now)}",
                    remedy,
                )
    with patient.catalog() as catalog:
        newest = newest_instant(catalog.records.moments())
    if newest is not None and (doubt := clock_doubt(now, newest)):
        yield Finding(WARNING, doubt, remedy)
    state = synchronised()
    if state is None:
        yield Finding(OK, "this system does not say whether its clock is synchronised")
    elif state:
        yield Finding(OK, "the clock is synchronised")
    else:
        yield Finding(WARNING, "nothing synchronises the clock", "run ntpd, chrony or timesyncd")


def synchronised() -> bool | None:
    """Return whether the kernel's clock is synchronised; None where the kernel does not say.

    With no mode bit set, the call only reads; `modes` is the first member of every timex struct.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        state = int(libc.ntp_adjtime(ctypes.create_string_buffer(1024)))
        return None if state < 0 else state != TIME_ERROR
    return None


def started_by(patient: Patient) -> Iterator[Finding]:
    """Whether exactly one thing starts the archiver: the service, its timer, rc.d or cron."""
    ways = list(_ways(patient))
    if not ways:
        yield Finding(
            WARNING,
            "found nothing that starts the archiver",
            "enable archiver.service or archiver-run.timer (`archiver service install`), set "
            "archiver_enable in rc.conf, or call `archiver run` from cron",
        )
    elif len(ways) > 1:
        yield Finding(
            WARNING,
            f"the archiver is started in several ways: {'; '.join(ways)}",
            "keep one of them: the lock keeps them apart, but each night the later one fails on it",
        )
    else:
        yield Finding(OK, f"started by {ways[0]}")


def _ways(patient: Patient) -> Iterator[str]:
    for unit in ("archiver.service", "archiver-run.timer"):
        wanted = patient.below("/etc/systemd/system").glob(f"*.wants/{unit}")
        if next(wanted, None) is not None:
            yield unit
    for name in RC_CONFS:
        with suppress(OSError):
            if ENABLED.search(patient.below(name).read_text(errors="replace")):
                yield f"rc.d ({name})"
                break
    for file, text, _, _ in patient.rotators.cron:
        for number, row in enumerate(text.split("\n"), start=1):
            if RUNS.search(row) and not row.lstrip().startswith("#"):
                yield f"cron ({file}:{number})"
                break


def service_user(patient: Patient) -> str | None:
    """Return the user whom the installed unit names; None: no unit installed, or no user named."""
    for directory in UNITS:
        for unit in ("archiver.service", "archiver-run.service"):
            with suppress(OSError):
                text = (patient.root / directory / unit).read_text(errors="replace")
                found = re.findall(r"^User=(\S+)\s*$", text, re.MULTILINE)
                return found[-1] if found else None
    return None
