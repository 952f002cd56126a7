"""`archiver status`: whether all is well, and since when."""

from collections.abc import Sequence
from typing import Any

import click

from archiver.cli.all_hosts import of_all_hosts
from archiver.cli.answer import Answer, Invocation, human_size, verb
from archiver.config.toml_tables import duration_in_seconds
from archiver.errors import ArchiverError, UsageError, worst
from archiver.find.snapshot import catalogued
from archiver.service.status import Status, nagios
from archiver.service.status import status as status_
from archiver.system.zone import rfc3339


@click.command(short_help="Whether all is well, for people and monitoring.")
@click.option("--max-age", metavar="AGE", help="Complain if no run succeeded for this long: 26h.")
@click.option("--nagios", "as_nagios", is_flag=True, help="One line, and exit status 0 to 3.")
@click.option("--all-hosts", is_flag=True, help="Of each host that archives into the stores.")
@verb
def status(invocation: Invocation, max_age: str | None, as_nagios: bool, all_hosts: bool) -> Answer:
    """Tell what waits, what is archived and how the last run ended. Exit status 3: look at it.

    With --all-hosts: how far each host in the stores has come, by their lists alone.
    """
    try:
        age = duration_in_seconds(max_age) if max_age else None
    except ValueError as error:
        raise UsageError(f"--max-age: {error}", hint="--max-age 26h") from error
    if all_hosts:
        return of_all_hosts(invocation, age, as_nagios=as_nagios)
    problems: list[ArchiverError] = []
    try:
        config = invocation.config()
        with catalogued(config, problems) as catalog:
            found = status_(config, catalog, now=invocation.now, max_age=age)
    except ArchiverError as error:
        if not as_nagios:
            raise
        return Answer(text=f"UNKNOWN: {error.message}", exit_status=3)
    retention = config.retention.in_words(
        config.host.name, [source.name for source in config.sources]
    )
    if as_nagios:
        code, line = nagios(found)
        return Answer(data=_status_data(found, retention), text=line, exit_status=code)
    failures = [*problems, *found.problems]
    return Answer(
        data=_status_data(found, retention),
        text=_status_text(found, retention),
        failures=failures,
        exit_status=worst(failures),
    )


def _status_data(found: Status, retention: Sequence[str]) -> dict[str, Any]:
    last = found.last
    return {
        "problems": [problem.message for problem in found.problems],
        "retention": "; ".join(retention),
        "last_run": {
            "started_at": rfc3339(last.started) if last.started else None,
            "exit_code": last.exit_status,
            "succeeded_at": rfc3339(last.succeeded) if last.succeeded else None,
        },
        "sources": [
            {
                "source": each.source,
                "path": each.path,
                "live_size": each.live_size,
                "waiting": [
                    {
                        "name": waiting.name,
                        "stage": waiting.stage,
                        "size": waiting.size,
                        "written": rfc3339(waiting.written),
                    }
                    for waiting in each.waiting
                ],
                "archives": each.archives,
                "empty_days": each.empty_days,
                "lines": each.lines,
                "raw_size": each.raw_size,
                "size": each.size,
                "first_day": each.first_day and each.first_day.isoformat(),
                "last_day": each.last_day and each.last_day.isoformat(),
                "lacking": each.lacking,
                "destroyed": each.destroyed,
            }
            for each in found.sources
        ],
    }


def _status_text(found: Status, retention: Sequence[str]) -> str:
    lines = []
    for each in found.sources:
        live = "missing" if each.live_size is None else human_size(each.live_size)
        lines.append(f"{each.source}  {each.path} ({live})")
        span = f"{each.first_day} to {each.last_day}" if each.first_day else "nothing yet"
        lines.append(
            f"  archived: {span}: {each.archives} archives, {each.lines} lines, "
            f"{human_size(each.raw_size)} in {human_size(each.size)}, "
            f"{each.empty_days} days without lines"
            + (f", {each.destroyed} destroyed" if each.destroyed else "")
        )
        lines += [
            f"  waiting:  {waiting.name} ({waiting.stage}, {human_size(waiting.size)})"
            for waiting in each.waiting
        ]
    last = found.last
    if last.started:
        lines.append(f"last run: {rfc3339(last.started)}, exit status {last.exit_status}")
    return "\n".join([*lines, *retention])
