"""How the last run ended, for `status` and monitoring: one small file in the state directory.

Nothing depends on it but what is told to people; lost or damaged, it counts as empty.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

from archiver.durable import write_whole

FILE = "last-run.json"


@dataclass(frozen=True)
class LastRun:
    """started: the instant the last run began. succeeded: the last that ended with 0 began.
    None where there was none yet.

    complete: for each source the day (YYYY-MM-DD) up to which every day was archived or
    recorded as empty. Days before it are never called empty again, so a day whose archive
    is taken away later does not turn into one without lines.
    """

    started: int | None = None
    exit_status: int | None = None
    succeeded: int | None = None
    complete: Mapping[str, str] = field(default_factory=dict)

    def after(self, now: int, exit_status: int, *, complete: Mapping[str, str]) -> "LastRun":
        return replace(
            self,
            started=now,
            exit_status=exit_status,
            succeeded=now if exit_status == 0 else self.succeeded,
            complete={**self.complete, **complete},
        )


def load(state_dir: Path) -> LastRun:
    try:
        last = LastRun(**json.loads((state_dir / FILE).read_bytes()))
        {name: date.fromisoformat(day) for name, day in last.complete.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return LastRun()
    return last


def save(state_dir: Path, last: LastRun) -> None:
    write_whole(state_dir / FILE, (json.dumps(asdict(last), indent=1) + "\n").encode())
