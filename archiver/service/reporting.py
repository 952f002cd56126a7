"""What surrounds a run: pings, hooks, metrics, and notifications of how it ended.

    ping start → hook before → the run → hook on_failure → hook after → metrics → mail → ping end

Nothing here changes how the run ends: what goes wrong here is only a warning.
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

log = logging.getLogger("archiver.reporting")
# The verb that each job of the service is, as people know it.
VERBS = {Job.NIGHT: "run", Job.EXPIRE: "retention expire", Job.SCRUB: "repair"}
# No news: the archiver that is at work reports its own end, and whoever interrupts a run knows it.
NO_NEWS = {LockHeldError.exit_status, InterruptedRunError.exit_status}


@dataclass
class Attended:
    """One verb at work, and what surrounds it. now: the instant at which it began.

    whole: it is about all sources. Only such a `run` pings: only its success says that all is well.
    archives: the keys of those that it made. warnings: what went wrong around it.
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
        self._call(hooks.BEFORE, self.variables())

    def end(self, exit_status: int, failures: Sequence[ArchiverError]) -> None:
        """Report the end. failures: worst first; with exit status 0 they are warnings."""
        variables = {**self.variables(), "exit_status": str(exit_status)}
        variables["failures"] = "\n".join(" ".join(each.message.split()) for each in failures)
        variables["archives"] = "\n".join(self.archives)
        if exit_status and exit_status not in NO_NEWS:
            self._call(hooks.ON_FAILURE, variables)
        self._call(hooks.AFTER, variables)
        self.warnings += metrics.written(self.config, int(time.time()))
        if exit_status in NO_NEWS:
            return
        # A hook may make the copy that counts: if it failed, people want to know.
        failed_hooks = [each for each in self.warnings if isinstance(each, HookError)]
        news = [*(failures if exit_status else ()), *failed_hooks]
        self.warnings += notify.ended(self.config, self.job, self.now, exit_status, news)
        if self.pings:
            self.warnings += notify.ping(self.config.notify, str(exit_status))

    def variables(self) -> dict[str, str]:
        """Return what every hook finds in its environment."""
        return {
            "verb": self.verb,
            "host": self.config.host.name,
            # For -c: a hook may call `archiver status`.
            "config": str(self.config.path),
            "sources": " ".join(self.sources),
        }

    def _call(self, event: str, variables: dict[str, str]) -> None:
        self.warnings += hooks.call(self.config.hooks, event, variables, self.asked_to_stop)


def alarm(config: Config, job: Job, failures: Sequence[ArchiverError], now: int) -> None:
    """Report what a job of the service could not report itself. failures: none if it succeeded."""
    status = failures[0].exit_status if failures else 0
    problems = notify.ended(config, VERBS[job], now, status, failures)
    problems += metrics.written(config, now)
    if job is Job.NIGHT and failures:
        problems += notify.ping(config.notify, str(status))
    for problem in problems:
        log.warning("%s (try: %s)", problem.message, problem.hint)
