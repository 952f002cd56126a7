"""What goes on around a run: pings, hooks, metrics, and telling how it ended.

    ping start → hook before → the run → hook on_failure → hook after → metrics → mail → ping end

Nothing here changes how the run ends: what goes wrong is a warning beside it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archiver.config.settings import Config
from archiver.errors import ArchiverError, HookError, InterruptedRunError, LockHeldError
from archiver.service import hooks, metrics, notify
from archiver.service.jobs import Job
from archiver.system.programs import never

log = logging.getLogger("archiver.attended")
# What a job of the service does, as people know it.
VERBS = {Job.NIGHT: "run", Job.EXPIRE: "retention expire", Job.SCRUB: "repair"}
# Whoever is at work tells how that ends; and whoever interrupts a run knows that.
NO_NEWS = {LockHeldError.exit_status, InterruptedRunError.exit_status}


@dataclass
class Attended:
    """One verb at work. archives: the keys of what it made. warnings: what went wrong around it.

    whole: about all sources. Only such a `run` pings, for it alone says that all is well.
    """

    config: Config
    verb: str
    sources: Sequence[str]
    now: int
    whole: bool = True
    asked_to_stop: Callable[[], bool] = never
    archives: Sequence[str] = ()
    warnings: list[ArchiverError] = field(default_factory=list)

    @property
    def job(self) -> str:
        return self.verb if self.whole else f"{self.verb} {' '.join(self.sources)}"

    @property
    def pings(self) -> bool:
        return self.whole and self.verb == VERBS[Job.NIGHT]

    def begin(self) -> None:
        if self.pings:
            self.warnings += notify.ping(self.config.notify, "start")
        self._call(hooks.BEFORE, self.told())

    def end(self, exit_status: int, failures: Sequence[ArchiverError]) -> None:
        """failures: worst first; with exit status 0 they are warnings."""
        told = {**self.told(), "exit_status": str(exit_status)}
        told["failures"] = "\n".join(" ".join(each.message.split()) for each in failures)
        told["archives"] = "\n".join(self.archives)
        if exit_status and exit_status not in NO_NEWS:
            self._call(hooks.ON_FAILURE, told)
        self._call(hooks.AFTER, told)
        self.warnings += metrics.written(self.config, int(time.time()))
        if exit_status in NO_NEWS:
            return
        # A hook may make the copy that counts: if it failed, people want to know.
        failed_hooks = [each for each in self.warnings if isinstance(each, HookError)]
        news = [*(failures if exit_status else ()), *failed_hooks]
        self.warnings += notify.ended(self.config, self.job, self.now, exit_status, news)
        if self.pings:
            self.warnings += notify.ping(self.config.notify, str(exit_status))

    def told(self) -> dict[str, str]:
        return {
            "verb": self.verb,
            "host": self.config.host.name,
            # The same as -c: a hook may call `archiver status`.
            "config": str(self.config.path),
            "sources": " ".join(self.sources),
        }

    def _call(self, event: str, told: dict[str, str]) -> None:
        self.warnings += hooks.call(self.config.hooks, event, told, self.asked_to_stop)


def alarm(config: Config, job: Job, failures: Sequence[ArchiverError], now: int) -> None:
    """Tell what a job of the service could not tell by itself; `failures`: none if it is well."""
    status = failures[0].exit_status if failures else 0
    problems = notify.ended(config, VERBS[job], now, status, failures)
    problems += metrics.written(config, now)
    if job is Job.NIGHT and failures:
        problems += notify.ping(config.notify, str(status))
    for problem in problems:
        log.warning("%s (try: %s)", problem.message, problem.hint)
