"""`archiver serve`: the process around the service.

    main thread     waits for signals, by the monotonic clock
    APScheduler     ticks, in UTC; all ticks that were missed are made up for by one, however late
    children        do the jobs

APScheduler goes by the wall clock: after that was set back, it would wait until the clock shows the
time of the next tick. So the main thread makes it tick at once when no tick has come for a while.
"""

import logging
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor as Threads
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.config.settings import Config
from archiver.errors import ArchiverError, explained, from_os_error
from archiver.service import metrics, reporting, sdnotify
from archiver.service.jobs import Job
from archiver.service.log import set_up
from archiver.service.metrics_port import MetricsPort
from archiver.service.serve import Accepted, Service
from archiver.system.files import exclusive, make_directory

log = logging.getLogger("archiver.serve")
TICK = 5.0


@click.command(short_help="Run as a service that does each night's work by itself.")
@verb
def serve(invocation: Invocation) -> Answer:
    """Do the nightly run when it is due, make up for missed nights, let archives expire, and read
    copies back, until SIGTERM comes. SIGHUP makes it read the configuration again.

    Stays in the foreground: systemd, daemon(8) or another supervisor keeps it running.
    """
    invocation.config()
    accepted = Accepted.read(invocation.config_path)
    state_dir = accepted.config.host.state_dir
    with explained("starting the service"):
        make_directory(state_dir)
        lock = exclusive(state_dir / "serve.lock")
    set_up(accepted.config.log)
    with lock:
        Attendant(Service(accepted)).serve()
    return Answer()


class Attendant:
    """Keeps a service ticking, passes signals on to it, and reports what goes wrong."""

    def __init__(self, service: Service) -> None:
        self.service = service
        watchdog = sdnotify.watchdog_seconds()
        self.seconds = min(TICK, watchdog / 3) if watchdog else TICK
        self.last_tick = service.monotonic()
        # One at a time, beside the ticks: no job waits for a mail that cannot be delivered.
        self.alarms = Threads(1, "alarms")
        service.alarm = self.alarm
        self.metrics: MetricsPort | None = None

    def alarm(self, job: Job, failures: tuple[ArchiverError, ...]) -> None:
        config = self.service.accepted.config
        self.alarms.submit(_send_alarm, config, job, failures, self.service.now())

    def listen(self) -> None:
        """Serve the metrics where the configuration says; if that fails, go on without."""
        if self.metrics:
            self.metrics.close()
            self.metrics = None
        settings = self.service.accepted.config.metrics
        if not settings.listen:
            return
        try:
            self.metrics = MetricsPort(settings.address, self.scraped).begin()
        except OSError as error:
            log.error("cannot serve metrics at %s: %s", settings.listen, error.strerror or error)
        else:
            log.info("metrics at http://%s/metrics", settings.listen)

    def scraped(self) -> str:
        return metrics.text(self.service.accepted.config, int(time.time()))

    def tick(self) -> None:
        """Start what is due, and give a sign of life: none after a bug, so systemd restarts us."""
        try:
            self.service.tick()
        except ArchiverError as failure:
            log.error("%s (try: %s)", failure.message, failure.hint)
        except OSError as error:
            log.error("%s", from_os_error(error, "finding out what is due").message)
        self.last_tick = self.service.monotonic()
        sdnotify.alive(self.service.status)

    def reload(self) -> None:
        sdnotify.reloading()
        try:
            self.service.reload()
        except ArchiverError as failure:
            log.error("not reloaded, the old configuration stays in force: %s", failure.message)
        else:
            set_up(self.service.accepted.config.log)
            self.listen()
            log.info("reloaded %s", self.service.accepted.config.path)
        sdnotify.ready(self.service.status)

    def stop(self) -> None:
        sdnotify.stopping()
        log.info("stopping")
        self.service.stop()

    def serve(self) -> None:
        """Serve until a signal has stopped the service and its last job has ended."""
        # Imported here: it takes a tenth of a second, and only a service needs it.
        from apscheduler.executors import pool  # noqa: PLC0415
        from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415

        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": pool.ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        with signals() as arrived:
            first = datetime.now(UTC)
            scheduler.add_job(
                self.tick, "interval", seconds=self.seconds, id="tick", next_run_time=first
            )
            scheduler.start()
            self.listen()
            log.info("serving %s", self.service.accepted.config.path)
            sdnotify.ready(self.service.status)
            try:
                while not self.service.finished:
                    self.handle(arrived(self.seconds))
                    if self.service.monotonic() - self.last_tick > 3 * self.seconds:
                        scheduler.modify_job("tick", next_run_time=datetime.now(UTC))
            finally:
                scheduler.shutdown()
                self.alarms.shutdown()
                if self.metrics:
                    self.metrics.close()
        log.info("stopped")

    def handle(self, arrived: bytes) -> None:
        """Do what these signals ask for."""
        for number in arrived:
            if number == signal.SIGHUP:
                self.reload()
            elif number in {signal.SIGTERM, signal.SIGINT}:
                self.stop()
        # Perhaps a child has ended: do not wait for the next tick.
        if arrived:
            self.tick()


def _send_alarm(config: Config, job: Job, failures: tuple[ArchiverError, ...], now: int) -> None:
    try:
        reporting.alarm(config, job, failures, now)
    except Exception as error:  # noqa: BLE001 (nothing catches it in a thread)
        log.error(
            "could not notify anybody about %s: %s: %s", job.value, type(error).__name__, error
        )


@contextmanager
def signals() -> Iterator[Callable[[float], bytes]]:
    """Give a function that waits for signals, at most so many seconds; it returns their numbers."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)

    def ignored(_number: int, _frame: FrameType | None) -> None:
        """Nothing here: the number reaches `arrived` through signal.set_wakeup_fd."""

    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.signal(number, ignored) for number in wanted}
    fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def arrived(seconds: float) -> bytes:
        ready, _, _ = select.select([reader], [], [], seconds)
        return reader.recv(4096) if ready else b""

    try:
        yield arrived
    finally:
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
