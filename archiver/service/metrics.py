"""How things stand, in the text format of Prometheus (version 0.0.4), for a file and for a port.

Only from this host's own state: no store is asked. If the catalog cannot be read, its metrics are
left out. Times are seconds since 1970 UTC, sizes bytes.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date

from archiver import __version__
from archiver.catalog import opened
from archiver.config.settings import Config
from archiver.errors import ArchiverError, NotToldError
from archiver.rotation import last_run
from archiver.service import last_jobs, notify
from archiver.service.source_status import SourceStatus
from archiver.service.status import Status, status
from archiver.system.files import write_whole
from archiver.system.zone import DAY, day_start

log = logging.getLogger("archiver.metrics")
Sample = tuple[dict[str, str], float | None]
# The collector runs as another user, and must be able to read the file.
MODE = 0o644


def text(config: Config, now: int) -> str:
    """Return all metrics. now: the instant."""
    return "".join(_family(*each) for each in _families(config, now))


def written(config: Config, now: int) -> list[ArchiverError]:
    """Rewrite the textfile, if one is configured; return what went wrong."""
    path = config.metrics.textfile
    if path is None:
        return []
    try:
        # Written beside it, under a name that the collector ignores, then renamed into its place.
        write_whole(path, text(config, now).encode(), MODE)
        os.chmod(path, MODE)  # whatever the umask is
    except (ArchiverError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        hint = "make its directory, writable for the user who runs the archiver"
        return [NotToldError(f"metrics: {path} was not written: {why}", hint=hint)]
    return []


def _families(config: Config, now: int) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    state = config.host.state_dir
    names = [source.name for source in config.sources]
    last = last_run.load(state)
    yield "build_info", "The program's version.", [({"version": __version__}, 1)]
    yield (
        "last_run_timestamp_seconds",
        "Start of the last run, however it ended.",
        [({}, last.started)],
    )
    yield (
        "last_run_exit_status",
        "Exit status of the last run; 0: it went well.",
        [({}, last.exit_status)],
    )
    yield (
        "last_success_timestamp_seconds",
        "Start of the last run that included this log and went well.",
        [({"source": name}, last.passed.get(name)) for name in names],
    )
    yield (
        "incomplete_since_timestamp_seconds",
        "Start of the oldest log date not known to be archived or empty.",
        [({"source": name}, _incomplete(config, last.complete.get(name))) for name in names],
    )
    jobs = last_jobs.load(state).items()
    yield (
        "job_last_run_timestamp_seconds",
        "When the service last started this job.",
        [({"job": job.value}, done.started) for job, done in jobs],
    )
    yield (
        "job_last_success_timestamp_seconds",
        "When the service last started this job and it went well.",
        [({"job": job.value}, done.succeeded) for job, done in jobs],
    )
    yield (
        "job_last_exit_status",
        "Last exit status of this job of the service; 0: it went well.",
        [({"job": job.value}, done.exit_status) for job, done in jobs],
    )
    yield (
        "failing_since_timestamp_seconds",
        "When a command began to fail that people were notified of.",
        [({"command": name}, noted.since) for name, noted in notify.load(state).items()],
    )
    found = _status(config, now)
    if found is None:
        return
    yield "problems", "How many problems `archiver status` reports.", [({}, len(found.problems))]
    for name, help_, value in PER_SOURCE:
        yield name, help_, [({"source": each.source}, value(each)) for each in found.sources]
    yield (
        "copies_missing",
        "Archives that another store has and this one is missing.",
        [
            ({"source": source.source, "target": target}, count)
            for source in found.sources
            for target, count in source.lacking.items()
        ],
    )


PER_SOURCE: tuple[tuple[str, str, Callable[[SourceStatus], float | None]], ...] = (
    ("live_bytes", "The log's size.", lambda source: source.live_size),
    ("spool_segments", "Segments that wait in the spool.", lambda source: len(source.waiting)),
    (
        "spool_bytes",
        "Size of what waits in the spool.",
        lambda source: sum(waiting.size for waiting in source.waiting),
    ),
    ("archives", "Archives that are kept.", lambda source: source.archives),
    ("empty_days", "Days recorded as without lines.", lambda source: source.empty_days),
    ("archived_lines", "Lines in all archives.", lambda source: source.lines),
    ("archived_raw_bytes", "Size of those lines, uncompressed.", lambda source: source.raw_size),
    (
        "archived_bytes",
        "Size of all archives, compressed, one copy of each.",
        lambda source: source.size,
    ),
    (
        "destroyed",
        "Archives destroyed, or ordered to be: their retention is over.",
        lambda source: source.destroyed,
    ),
    (
        "too_few_copies",
        "Archives with fewer copies than are required.",
        lambda source: source.too_few_copies,
    ),
)


def _status(config: Config, now: int) -> Status | None:
    try:
        with opened(config.host.catalog, config.host.name) as catalog:
            return status(config, catalog, now=now, max_age=None)
    except ArchiverError as failure:
        log.debug("the metrics from the catalog are left out: %s", failure.message)
        return None


def _incomplete(config: Config, complete: date | None) -> int | None:
    if complete is not None:
        with suppress(OverflowError):
            return day_start(complete + DAY, config.host.zone)
    return None


def _family(name: str, help_: str, samples: Iterable[Sample]) -> str:
    """Write the samples that have a value; nothing at all if none has."""
    rows = [
        f"archiver_{name}{_labels(labels)} {value}\n"
        for labels, value in samples
        if value is not None
    ]
    head = f"# HELP archiver_{name} {help_}\n# TYPE archiver_{name} gauge\n"
    return head + "".join(rows) if rows else ""


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
