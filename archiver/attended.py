"""What goes on around a run: pings, hooks, metrics, and telling how it ended.

    ping start → hook before → the run → hook on_failure → hook after → metrics → mail → ping end

Nothing here changes how the run ends: what goes wrong is a warning beside it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from archiver import hooks, metrics, notify
from archiver.config import Config
from archiver.errors import ArchiverError, HookError, LockHeldError
from archiver.schedule import Job

NIGHT = Job.NIGHT.value


@dataclass
class Attended:
    """One run. warnings: what went wrong around it."""

    config: Config
    sources: Sequence[str]
    now: int
    warnings: list[ArchiverError] = field(default_factory=list)

    def begin(self) -> None:
        self.warnings += notify.ping(self.config.notify, "start")
        self.warnings += hooks.call(self.config.hooks, hooks.BEFORE, self.told())

    def end(self, exit_status: int, failures: Sequence[ArchiverError]) -> None:
        """failures: worst first; with exit status 0 they are warnings."""
        if exit_status == LockHeldError.exit_status:
            return  # whoever is at work tells how that ends
        told = {**self.told(), "exit_status": str(exit_status)}
        told["failures"] = "\n".join(" ".join(each.message.split()) for each in failures)
        if exit_status:
            self.warnings += hooks.call(self.config.hooks, hooks.ON_FAILURE, told)
        self.warnings += hooks.call(self.config.hooks, hooks.AFTER, told)
        self.warnings += metrics.written(self.config, int(time.time()))
        # A hook may make the copy that counts: if it failed, people want to know.
        news = [*(failures if exit_status else ()), *self.failed_hooks()]
        self.warnings += notify.ended(self.config, NIGHT, self.now, exit_status, news)
        self.warnings += notify.ping(self.config.notify, str(exit_status))

    def failed_hooks(self) -> list[ArchiverError]:
        return [each for each in self.warnings if isinstance(each, HookError)]

    def told(self) -> dict[str, str]:
        return {
            "host": self.config.host.name,
            "config": str(self.config.path),
            "sources": " ".join(self.sources),
        }


def alarm(config: Config, job: Job, failures: Sequence[ArchiverError], now: int) -> None:
    """Tell what a job of the service could not tell by itself; `failures`: none if it is well."""
    status = failures[0].exit_status if failures else 0
    problems = notify.ended(config, job.value, now, status, failures)
    problems += metrics.written(config, now)
    for problem in problems:
        notify.log.warning("%s (try: %s)", problem.message, problem.hint)


