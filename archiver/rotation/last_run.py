"""How the last run ended, and the jobs of the service: small files in the state directory.

Nothing depends on them but what is told to people, and when the service tries again; lost or
damaged, they count as empty.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from itertools import chain
from pathlib import Path

from archiver.system.files import write_whole

FILE = "last-run.json"


@dataclass(frozen=True)
class LastRun:
    """started: the instant the last run began. succeeded: the last that ended with 0 began.
    None where there was none yet.

    complete: for each source the day (YYYY-MM-DD) up to which every day was archived or
    recorded as empty. Days before it are never called empty again, so a day whose archive
    is taken away later does not turn into one without lines. logs: the device and inode of each
    log as it was left, which shows another rotator. spool: the directory that was used. passed:
    for each source the last run that ended with 0 and was about it, too.
    """

    started: int | None = None
    exit_status: int | None = None
    succeeded: int | None = None
    complete: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, list[int]] = field(default_factory=dict)
    spool: str = ""
    passed: Mapping[str, int] = field(default_factory=dict)

    def after(
        self,
        now: int,
        exit_status: int,
        *,
        complete: Mapping[str, str],
        logs: Mapping[str, list[int]],
        spool: str,
        sources: Sequence[str] = (),
    ) -> "LastRun":
        return replace(
            self,
            started=now,
            exit_status=exit_status,
            succeeded=now if exit_status == 0 else self.succeeded,
            complete={**self.complete, **complete},
            logs={**self.logs, **logs},
            spool=spool,
            passed={**self.passed, **(dict.fromkeys(sources, now) if exit_status == 0 else {})},
        )

    def known_complete(self, source: str, today: date) -> date | None:
        """The day up to which a source is accounted for; None if that cannot be believed."""
        day = self.complete.get(source)
        known = date.fromisoformat(day) if day else None
        return known if known and known <= today else None


def load(state_dir: Path) -> LastRun:
    try:
        last = LastRun(**json.loads((state_dir / FILE).read_bytes()))
        {name: date.fromisoformat(day) for name, day in last.complete.items()}
        numbers = [last.started or 0, last.succeeded or 0, *last.passed.values()]
        numbers += chain.from_iterable(last.logs.values())
        if not all(type(number) is int for number in numbers) or type(last.spool) is not str:
            return LastRun()
    except (OSError, ValueError, TypeError, AttributeError):
        return LastRun()
    return last


def save(state_dir: Path, last: LastRun) -> None:
    write_whole(state_dir / FILE, (json.dumps(asdict(last), indent=1) + "\n").encode())
