"""How things stand as Prometheus reads it: in a file, and at a loopback address of the service.

The form is Prometheus's text format 0.0.4. Times are seconds since 1970 UTC, sizes bytes. What a
log's last success was is the first thing to alarm about: a run that is MISSING fails nowhere.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Self

from archiver import __version__, lastrun
from archiver.config import Config
from archiver.durable import write_whole
from archiver.errors import ArchiverError, NotToldError, from_os_error
from archiver.overview import Status, status
from archiver.query import catalogued
from archiver.schedule import Job
from archiver.zone import day_end

log = logging.getLogger("archiver.metrics")
# How long what was told is told again: a scrape each second must not read the catalog each second.
FRESH = 15.0
# How long a client may take to ask. Seconds.
PATIENCE = 5
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


class Listener:
    """Answers `GET /metrics` at a loopback address, one client after the other."""

    def __init__(self, config: Callable[[], Config]) -> None:
        """config: what is in force. Raises: NotToldError: the address cannot be had."""
        self.config = config
        self._text, self._until = "", 0.0
        where = config().metrics.listen
        try:
            self._server = _Server(config().metrics.address, self)
        except OSError as error:
            raise NotToldError(
                f"metrics cannot be served at {where}: {error.strerror}",
                hint="is another program there? See metrics.listen in the configuration",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def text(self) -> str:
        """Raises: ArchiverError."""
        if time.monotonic() > self._until:
            self._text = text(self.config(), int(time.time()))
            self._until = time.monotonic() + FRESH
        return self._text


class _Server(HTTPServer):
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], listener: Listener) -> None:
        self.listener = listener
        import socket  # noqa: PLC0415 (with http.server it is there already)

        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks a name service who we are, and may wait for that.
        import socketserver  # noqa: PLC0415

        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or takes too long, is nothing to tell of."""


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.answer(404, "there is /metrics\n")
            return
        try:
            body = self.server.listener.text()
        except ArchiverError as failure:
            self.answer(503, f"{failure.message}\n")
        else:
            self.answer(200, body)

    def answer(self, status_: int, body: str) -> None:
        content = body.encode()
        self.send_response(status_)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """A scrape is nothing to tell of."""
