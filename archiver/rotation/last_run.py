"""How the last run ended: one small file in the state directory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path

from archiver.errors import ArchiverError, IntegrityError, WorkKeptError
from archiver.policy.as_json import as_json, from_json
from archiver.system import state_files

FILE = "last-run.json"


@dataclass(frozen=True)
class NotedFailure:
    """A failure, as a run noted it for `status` and whoever else asks later."""

    code: str
    exit_status: int
    message: str
    hint: str

    @classmethod
    def of(cls, failure: ArchiverError) -> "NotedFailure":
        return cls(failure.code, failure.exit_status, failure.message, failure.hint)

    @property
    def failure(self) -> ArchiverError:
        """The failure again, but as one of the past: it may have been mended since.

        So it only asks for attention, unless something that is stored has changed.
        """
        kind = IntegrityError if self.exit_status == IntegrityError.exit_status else WorkKeptError
        found = kind(f"the last run found: {self.message}", hint=self.hint)
        found.code = self.code
        return found


@dataclass(frozen=True)
class LastRun:
    """started: when the last run began. succeeded: when the last run that ended with 0 began.
    Both in seconds since 1970, None where there was none yet.

    complete: for each source the day up to which every day was archived or
    recorded as empty. Days before it are never recorded as empty again, so a day whose archive
    is taken away later does not become one without lines. logs: the device and inode of each
    log as it was left, which shows another rotator. spool: the directory that was used. passed:
    for each source, when the last run that included it and ended with 0 began. problems: what the
    last run found.
    """

    started: int | None = None
    exit_status: int | None = None
    succeeded: int | None = None
    complete: Mapping[str, date] = field(default_factory=dict)
    logs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    spool: str = ""
    passed: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[NotedFailure, ...] = ()

    def after(
        self,
        now: int,
        exit_status: int,
        *,
        complete: Mapping[str, date],
        logs: Mapping[str, tuple[int, ...]],
        spool: str,
        sources: Sequence[str] = (),
        problems: Iterable[ArchiverError] = (),
    ) -> "LastRun":
        """Return what is to be noted of a run that began at `now`; sources: those it included."""
        return replace(
            self,
            started=now,
            exit_status=exit_status,
            succeeded=now if exit_status == 0 else self.succeeded,
            complete={**self.complete, **complete},
            logs={**self.logs, **logs},
            spool=spool,
            passed={**self.passed, **(dict.fromkeys(sources, now) if exit_status == 0 else {})},
            problems=tuple(NotedFailure.of(problem) for problem in problems),
        )

    def known_complete(self, source: str, today: date) -> date | None:
        """The day up to which a source is accounted for; None if not noted, or after today."""
        day = self.complete.get(source)
        return day if day and day <= today else None


def load(state_dir: Path) -> LastRun:
    return state_files.load(state_dir / FILE, partial(from_json, LastRun)) or LastRun()


def save(state_dir: Path, last: LastRun) -> None:
    state_files.save(state_dir / FILE, as_json(last))
