"""`archiver status`: whether all is well, and since when."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from archiver.cli.all_hosts import status_of_all_hosts
from archiver.cli.answer import Answer, Invocation, count, human_size, verb
from archiver.config.toml_tables import duration_in_seconds
from archiver.errors import ArchiverError, Problems, UsageError
from archiver.find.snapshot import catalogued
from archiver.service.status import Status, nagios
from archiver.service.status import status as status_
from archiver.system.zone import rfc3339


@click.command(short_help="Show whether all is well, for people and monitoring.")
@click.option(
    "--max-age", metavar="AGE", help="Report if no run succeeded for this long, such as 26h."
)
@click.option("--nagios", "as_nagios", is_flag=True, help="One line, and exit status 0 to 3.")
@click.option("--all-hosts", is_flag=True, help="Show every host that archives into these stores.")
@verb
def status(invocation: Invocation, max_age: str | None, as_nagios: bool, all_hosts: bool) -> Answer:
    """Show what waits, what is archived and how the last run ended. Exit status 3: something needs
    attention.

    With --all-hosts: how far each host has come, by what the stores list.
    """
    try:
        age = duration_in_seconds(max_age) if max_age else None
    except ValueError as error:
        raise UsageError(f"--max-age: {error}", hint="such as --max-age 26h") from error
    if all_hosts:
        return status_of_all_hosts(invocation, age, as_nagios=as_nagios)
    problems = Problems()
    try:
        config = invocation.config()
        with catalogued(config, problems) as catalog:
            found = status_(config, catalog, now=invocation.now, max_age=age)
        # Why the catalog could not be used, and what is wrong with the stores read instead.
        found = replace(found, problems=tuple(Problems(*problems, *found.problems)))
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
    failures = Problems(*found.problems)
    return Answer(
        data=_status_data(found, retention),
        text=_status_text(found, retention),
        failures=failures,
        exit_status=failures.worst,
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
                "source": source.source,
                "path": source.path,
                "live_size": source.live_size,
                "waiting": [
                    {
                        "name": waiting.name,
                        "stage": waiting.stage,
                        "size": waiting.size,
                        "written": rfc3339(waiting.written),
                    }
                    for waiting in source.waiting
                ],
                "archives": source.archives,
                "empty_days": source.empty_days,
                "lines": source.lines,
                "raw_size": source.raw_size,
                "size": source.size,
                "first_day": source.first_day and source.first_day.isoformat(),
                "last_day": source.last_day and source.last_day.isoformat(),
                "lacking": source.lacking,
                "destroyed": source.destroyed,
            }
            for source in found.sources
        ],
    }


def _status_text(found: Status, retention: Sequence[str]) -> str:
    lines = []
    for source in found.sources:
        live = "missing" if source.live_size is None else human_size(source.live_size)
        lines.append(f"{source.source}  {source.path} ({live})")
        span = f"{source.first_day} to {source.last_day}" if source.first_day else "nothing yet"
        lines.append(
            f"  archived: {span}: {count(source.archives, 'archive')}, "
            f"{count(source.lines, 'line')}, "
            f"{human_size(source.raw_size)} in {human_size(source.size)}, "
            f"{count(source.empty_days, 'day')} without lines"
            + (f", {source.destroyed} destroyed" if source.destroyed else "")
        )
        lines += [
            f"  waiting:  {waiting.name} ({waiting.stage}, {human_size(waiting.size)})"
            for waiting in source.waiting
        ]
    last = found.last
    if last.started:
        lines.append(f"last run: {rfc3339(last.started)}, exit status {last.exit_status}")
    return "\n".join([*lines, *retention])
