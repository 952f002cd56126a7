"""The stores: whether they answer and enforce; secrets; which days are missing."""

import os
import stat
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

from archiver.archives.names import host_prefix
from archiver.config.secret_refs import REFERENCE, remedy, resolved
from archiver.config.targets import S3Target
from archiver.errors import ArchiverError
from archiver.rotation.due import empty_days
from archiver.setup.checks.found import CRITICAL, OK, WARNING, Finding, Patient
from archiver.stores import open_store, probe_report
from archiver.system.zone import DAY, DAY_SECONDS, local_date

KINDS = ("cred:", "file:", "env:")
# A probe older than this says little about today. Seconds.
STALE = 180 * DAY_SECONDS


def stores(patient: Patient) -> Iterator[Finding]:
    """Whether each store answers and is not suddenly empty. Asks for one name; writes nothing."""
    for target in patient.config.storage.targets:
        # Somebody is waiting for the answer: do not try for long.
        asked = (
            replace(target, attempts=1, connect_timeout=5.0, read_timeout=15.0)
            if isinstance(target, S3Target)
            else target
        )
        try:
            first = next(open_store(asked).listed(host_prefix(patient.config.host.name)), None)
        except ArchiverError as error:
            yield Finding(CRITICAL, error.message, error.hint)
            continue
        with patient.catalog() as catalog:
            known = len(catalog.copies.keys_in(target.name))
        if first is None and known:
            yield Finding(
                CRITICAL,
                f"store {target.name!r} is empty, but had {known} archives",
                "mount it; or if it was replaced, fill the new one: `archiver sync --refill "
                f"{target.name}`",
            )
        else:
            yield Finding(OK, f"store {target.name!r} answers")


def probes(patient: Patient) -> Iterator[Finding]:
    """Whether each store was probed with its present settings, and passed."""
    for target in patient.config.storage.targets:
        hint = f"archiver store probe {target.name}"
        report = probe_report.load(patient.config.host.state_dir, target.name)
        if refusal := probe_report.refusal(patient.config, target):
            yield Finding(CRITICAL, refusal.message, refusal.hint)
        elif report is None or report.fingerprint != probe_report.fingerprint(target):
            level = WARNING if isinstance(target, S3Target) else OK
            yield Finding(level, f"store {target.name!r} was not probed", hint)
        elif refused := probe_report.refused(target, report):
            yield Finding(CRITICAL, refused.message, refused.hint)
        elif patient.now - report.at > STALE:
            yield Finding(
                WARNING,
                f"store {target.name!r} was last probed more than {STALE // DAY_SECONDS} days ago",
                hint,
            )
        else:
            yield Finding(OK, f"store {target.name!r} was probed: it enforces what is relied upon")


def secrets(patient: Patient) -> Iterator[Finding]:
    """Whether each reference leads to a secret that nobody else may read."""
    tables = [*patient.config.storage.targets, getattr(patient.config, "notify", None)]
    for table in tables:
        for field in fields(table) if table is not None else ():
            value = getattr(table, field.name)
            if isinstance(value, str) and value.startswith(KINDS) and REFERENCE.fullmatch(value):
                where = getattr(table, "name", "notify")
                yield _secret(patient, f"{where}.{field.name} ({value})", value)


def _secret(patient: Patient, what: str, reference: str) -> Finding:
    elsewhere = reference.startswith("cred:") and "CREDENTIALS_DIRECTORY" not in os.environ
    if elsewhere or (reference.startswith("env:") and patient.away):
        return Finding(
            WARNING,
            f"{what}: only the service itself can read it, so it cannot be tried here",
            "start the service, and see in its log whether the first run reaches the store",
        )
    try:
        resolved(reference)
    except ValueError as error:
        return Finding(CRITICAL, f"{what}: {error}", remedy(reference))
    if reference.startswith("file:"):
        path = Path(reference.removeprefix("file:"))
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o007 or mode & 0o020:
            return Finding(
                CRITICAL, f"{what}: others may read it ({mode:04o})", f"chmod 600 {path}"
            )
    return Finding(OK, f"{what} can be read")


def due_days(patient: Patient) -> Iterator[Finding]:
    """Whether every day up to yesterday is archived, or recorded as empty."""
    config = patient.config
    today = local_date(patient.now, config.host.zone)
    with patient.catalog() as catalog:
        for source in config.sources:
            covered = catalog.days(source.name, config.host.zone)
            if not covered:
                yield Finding(WARNING, f"{source.name}: nothing is archived yet", "archiver -v run")
                continue
            days = empty_days(since=min(covered), until=today, covered=covered)
            yield _due(source.name, days, today)


def _due(source: str, days: tuple[date, ...], today: date) -> Finding:
    if not days:
        return Finding(
            OK, f"{source}: every day up to {today - DAY} is archived, or recorded as empty"
        )
    recent = [day for day in days if day >= today - 3 * DAY]
    some = ", ".join(map(str, days[-3:]))
    more = f", and {len(days) - 3} more" if len(days) > 3 else ""
    return Finding(
        CRITICAL if len(recent) > 1 else WARNING,
        f"{source}: neither archived nor recorded as empty: {some}{more}",
        "`archiver -v run` archives what waits in log and spool, or says what is in the way; "
        "`archiver import` archives files that another rotator left",
    )
