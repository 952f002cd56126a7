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

# This program was written in 2026: a clock before that is one that lost its battery.
FIRST = 1_767_225_600
SLACK = 300
TIME_ERROR = 5  # adjtimex(2), ntp_adjtime(2): not synchronised
UNITS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system",
         "usr/lib/systemd/system", "lib/systemd/system")  # fmt: skip
RC_CONFS = ("/etc/rc.conf", "/etc/rc.conf.local", "/etc/rc.conf.d/archiver")
ENABLED = re.compile(r"^\s*archiver_enable=[\"']?(?:yes|true|on|1)\b", re.MULTILINE | re.IGNORECASE)
RUNS = re.compile(r"(?<![\w.])archiver\b[^#\n]*\srun\b")


def clock(patient: Patient) -> Iterator[Finding]:
    now, last = patient.now, patient.last
    remedy = "set the clock (ntpd, chrony), before the next run: years are told by it"
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
                    WARNING, f"{source.path} was last written at {rfc3339(written)}", remedy
                )
    with patient.catalog() as catalog:
        newest = newest_instant(catalog.records.moments())
    if newest is not None and (doubt := clock_doubt(now, newest)):
        yield Finding(WARNING, doubt, remedy)
    state = synchronised()
    if state is None:
        yield Finding(OK, "whether the clock is synchronised is not known here")
    elif state:
        yield Finding(OK, "the clock is synchronised")
    else:
        yield Finding(WARNING, "nothing synchronises the clock", "run ntpd, chrony or timesyncd")


def synchronised() -> bool | None:
    """Ask the kernel whether anybody steers its clock; None where it does not tell.

    With no modes set, the call only reads, and whatever the struct is, its modes come first.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        state = int(libc.ntp_adjtime(ctypes.create_string_buffer(1024)))
        return None if state < 0 else state != TIME_ERROR
    return None


def started_by(patient: Patient) -> Iterator[Finding]:
    """Either the service, or its timer, or cron: one of them, and not two."""
    ways = list(_ways(patient))
    if not ways:
        yield Finding(
            WARNING,
            "nothing is found that starts the archiver",
            "enable archiver.service or archiver-run.timer, archiver_enable in rc.conf, or a line "
            "in cron",
        )
    elif len(ways) > 1:
        yield Finding(
            WARNING,
            f"the archiver is started in several ways: {'; '.join(ways)}",
            "leave one; the lock keeps them apart, but one of them meets it each night",
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
    """Return the user whom the installed unit names; None: none is installed, or it names none."""
    for directory in UNITS:
        for unit in ("archiver.service", "archiver-run.service"):
            with suppress(OSError):
                text = (patient.root / directory / unit).read_text(errors="replace")
                found = re.findall(r"^User=(\S+)\s*$", text, re.MULTILINE)
                return found[-1] if found else None
    return None
