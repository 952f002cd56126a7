"""`archiver doctor`."""

from collections.abc import Iterator

import click

from archiver.cli.answer import Answer, Invocation, count, verb
from archiver.errors import ArchiverError, Problems, WorkKeptError
from archiver.service.status import status
from archiver.setup.checks import CRITICAL, OK, WARNING, Finding, Patient
from archiver.setup.checks.system import service_user
from archiver.setup.doctor import CHECKS, examine, examine_as
from archiver.setup.doctor import nagios as nagios_


@click.command(short_help="Check what would go wrong tonight, and what to do about it.")
@click.option(
    "--as-service", is_flag=True, help="Look as the user of the service would; only root can."
)
@click.option("--nagios", "as_nagios", is_flag=True, help="One line, and exit status 0 to 3.")
@verb
def doctor(invocation: Invocation, as_service: bool, as_nagios: bool) -> Answer:
    """Examine this host: other rotators, paths and modes, room, the log's writer, the clock,
    stores, secrets, missing days, and what starts the archiver. Changes nothing.

    Exit status 3: something is critical. With -v, what is well is listed, too.
    """
    try:
        config = invocation.config()
    except ArchiverError as error:
        if not as_nagios:
            raise
        return Answer(text=f"UNKNOWN: {' '.join(error.message.split())}", exit_status=3)
    patient = Patient(config, invocation.now, invocation.root)
    user = service_user(patient) if as_service else None
    checks = [*CHECKS, ("state", state)]
    found = examine_as(user, patient, checks) if user else examine(patient, checks)
    data = {
        "as_user": user,
        "findings": [
            {
                "check": finding.check,
                "level": finding.level,
                "what": finding.what,
                "remedy": finding.remedy or None,
            }
            for finding in found
        ],
    }
    if as_nagios:
        code, line = nagios_(found)
        return Answer(data=data, text=line, exit_status=code)
    rows = []
    for finding in found:
        if finding.level != OK or invocation.verbose:
            rows.append(f"{finding.level:8}  {finding.check}: {finding.what}")
            rows += [f"          try: {finding.remedy}"] if finding.remedy else []
    well, warnings, critical = (
        sum(finding.level == level for finding in found) for level in (OK, WARNING, CRITICAL)
    )
    rows.append(f"{well} well, {count(warnings, 'warning')}, {critical} critical")
    failures = Problems()
    if critical:
        hint = "the remedy that stands under each"
        failures.add(WorkKeptError(count(critical, "critical finding"), hint=hint))
    return Answer(data=data, text="\n".join(rows), failures=failures)


def state(patient: Patient) -> Iterator[Finding]:
    """All that `archiver status` reports. It is not in `setup`, which knows no service."""
    with patient.catalog() as catalog:
        found = status(patient.config, catalog, now=patient.now, max_age=None)
    for problem in found.problems:
        level = CRITICAL if found.is_critical(problem) else WARNING
        yield Finding(level, problem.message, problem.hint)
    if found.last.started and not found.last.exit_status:
        yield Finding(OK, "the last run succeeded")
