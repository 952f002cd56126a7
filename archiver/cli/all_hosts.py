"""`archiver status --all-hosts`: how far each host has come that archives into the stores."""

from typing import Any

from archiver.cli.answer import Answer, Invocation, count, human_size, table
from archiver.errors import ArchiverError, Problems
from archiver.find.address import target_of
from archiver.service.hosts import LATEST, HostLog, Hosts
from archiver.stores import open_store

HEADER = ("STORE", "HOST", "SOURCE", "FIRST", "LAST", "MISSING", "ARCHIVES", "STORED")


def status_of_all_hosts(
    invocation: Invocation, max_age: float | None, *, as_nagios: bool
) -> Answer:
    """List every store of the configuration, or the one of --store. A store that fails is
    reported, and the others are listed all the same.
    """
    found, failures = [], Problems()
    try:
        address = invocation.store
        targets = (target_of(address),) if address else invocation.config().storage.targets
    except ArchiverError as error:
        if not as_nagios:
            raise
        return Answer(text=f"UNKNOWN: {error.message}", exit_status=3)
    for target in targets:
        try:
            listed = open_store(target).listed("host=")
            age = LATEST if max_age is None else max_age
            found.append(Hosts.of(target.name, listed, now=invocation.now, max_age=age))
        except ArchiverError as failure:
            failures.add(failure)
    failures.add(*[problem for hosts in found for problem in hosts.problems])
    data = {"hosts": [_data(hosts.target, log) for hosts in found for log in hosts.logs]}
    if as_nagios:
        messages = "; ".join(failure.message for failure in failures)
        ok = f"OK: {count(len(data['hosts']), 'log is', 'logs are')} archived"
        line = f"CRITICAL: {messages}" if failures else ok
        return Answer(data=data, text=line, exit_status=2 if failures else 0)
    rows = [_row(hosts.target, log) for hosts in found for log in hosts.logs]
    return Answer(
        data=data,
        text=table(HEADER, rows) if rows else "these stores have no archive of any host",
        failures=failures,
        exit_status=failures.worst,
    )


def _row(target: str, log: HostLog) -> tuple[str, ...]:
    return (
        target,
        log.host,
        log.source,
        str(log.first or ""),
        str(log.last or ""),
        str(len(log.missing)),
        str(log.archives),
        human_size(log.size),
    )


def _data(target: str, log: HostLog) -> dict[str, Any]:
    return {
        "target": target,
        "host": log.host,
        "source": log.source,
        "first_day": log.first and log.first.isoformat(),
        "last_day": log.last and log.last.isoformat(),
        "missing_days": [day.isoformat() for day in log.missing],
        "missing_manifests": log.lost,
        "archives": log.archives,
        "size": log.size,
    }
