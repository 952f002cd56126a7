"""How things stand, as Prometheus reads it: in a file, or from the service (`listener`).

The form is Prometheus's text format 0.0.4. Times are seconds since 1970 UTC, sizes bytes. What a
log's last success was is the first thing to alarm about: a run that is MISSING fails nowhere.
"""

from collections.abc import Iterable, Mapping

from archiver import __version__, lastrun
from archiver.config import Config
from archiver.durable import write_whole
from archiver.errors import ArchiverError, NotToldError, from_os_error
from archiver.overview import Status, status
from archiver.query import catalogued
from archiver.schedule import Job
from archiver.zone import day_end

Labels = Mapping[str, str]


def text(config: Config, now: int) -> str:
    """Return all metrics. Raises: ArchiverError: the catalog or the spool cannot be read."""
    with catalogued(config, []) as catalog:
        found = status(config, catalog, now=now, max_age=None)
    jobs = lastrun.load_jobs(config.host.state_dir)
    jobs[Job.NIGHT] = found.last.night([source.name for source in config.sources])
    blocks = [
        _block("build_info", "gauge", "The version.", [({"version": __version__}, 1)]),
        _block("problems", "gauge", "What `status` complains of.", [({}, len(found.problems))]),
        _block(
            "job_last_success_timestamp_seconds",
            "gauge",
            "When a job last began that ended well; the night: for the log that waits longest.",
            [({"job": job}, done.succeeded) for job, done in jobs.items()],
        ),
        _block(
            "job_last_start_timestamp_seconds",
            "gauge",
            "When a job last began.",
            [({"job": job}, done.started) for job, done in jobs.items()],
        ),
        _block(
            "job_last_exit_status",
            "gauge",
            "How it ended: 0 is well.",
            [({"job": job}, done.exit_status) for job, done in jobs.items()],
        ),
        *_of_sources(config, found),
    ]
    return "".join(block for block in blocks if block)


def _of_sources(config: Config, found: Status) -> Iterable[str]:
    last = found.last
    yield _block(
        "last_success_timestamp_seconds",
        "gauge",
        "When the last run began that ended well for this log.",
        [({"source": each.source}, last.passed.get(each.source)) for each in found.sources],
    )
    yield _block(
        "complete_until_timestamp_seconds",
        "gauge",
        "Up to when every day of this log is archived or recorded as empty.",
        [
            ({"source": each.source}, _end(config, each.last_day) if each.last_day else None)
            for each in found.sources
        ],
    )
    counts = {
        "archives": ("archives", "Archives that are there."),
        "archived_lines": ("lines", "Lines in them."),
        "archived_bytes": ("raw_size", "Their size as text."),
        "stored_bytes": ("size", "Their size as one copy is stored."),
        "empty_days": ("empty_days", "Days recorded as without lines."),
        "destroyed_archives": ("destroyed", "Archives that were destroyed."),
        "too_few_copies": ("too_few_copies", "Archives with fewer copies than required."),
        "live_bytes": ("live_size", "The live log."),
    }
    for name, (attribute, help_) in counts.items():
        samples = [({"source": each.source}, getattr(each, attribute)) for each in found.sources]
        yield _block(name, "gauge", help_, samples)
    waiting = [({"source": each.source}, len(each.waiting)) for each in found.sources]
    yield _block("waiting_segments", "gauge", "Segments in the spool.", waiting)
    yield _block(
        "waiting_bytes",
        "gauge",
        "Their size.",
        [
            ({"source": each.source}, sum(segment.size for segment in each.waiting))
            for each in found.sources
        ],
    )
    yield _block(
        "lacking_copies",
        "gauge",
        "Archives that a store lacks and another one has.",
        [
            ({"source": each.source, "target": target}, count)
            for each in found.sources
            for target, count in each.lacking.items()
        ],
    )


def _end(config: Config, day: object) -> int:
    return day_end(day, config.host.zone)  # type: ignore[arg-type]


def _block(name: str, kind: str, help_: str, samples: Iterable[tuple[Labels, int | None]]) -> str:
    """Write one metric with its samples; what is not known has none."""
    known = [(labels, value) for labels, value in samples if value is not None]
    if not known:
        return ""
    head = f"# HELP archiver_{name} {help_}\n# TYPE archiver_{name} {kind}\n"
    return head + "".join(f"archiver_{name}{_labels(labels)} {value}\n" for labels, value in known)


def _labels(labels: Labels) -> str:
    # Names are letters, digits, '.', '_' and '-': nothing is to be escaped.
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def written(config: Config, now: int) -> list[ArchiverError]:
    """Rewrite the textfile, if there is to be one; return what went wrong."""
    path = config.metrics.textfile
    if path is None:
        return []
    hint = "see metrics.textfile in the configuration: is its directory there, and may we write?"
    try:
        # node_exporter is another user, and reads whatever ends in .prom: never half of it.
        write_whole(path, text(config, now).encode(), mode=0o644)
    except ArchiverError as failure:
        return [NotToldError(f"metrics: {failure.message}", hint=failure.hint)]
    except OSError as error:
        return [NotToldError(from_os_error(error, f"writing {path}").message, hint=hint)]
    return []
