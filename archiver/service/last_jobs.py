"""How the service's jobs went last: a small file, so that a restart does not do them all again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archiver.policy.as_json import as_json, from_json
from archiver.service.jobs import Done, Job
from archiver.system import state_files

FILE = "last-jobs.json"


def load(state_dir: Path) -> dict[Job, Done]:
    """Return how each job went last; nothing if that cannot be read.

    Without the night: any `archiver run` is one, and notes that itself (`rotation.last_run`).
    """
    return state_files.load(state_dir / FILE, _read) or {}


def save(state_dir: Path, done: Mapping[Job, Done]) -> None:
    state_files.save(state_dir / FILE, {job.value: as_json(how) for job, how in done.items()})


def _read(document: Any) -> dict[Job, Done]:  # noqa: ANN401 (JSON, not checked yet)
    return {Job(name): from_json(Done, how) for name, how in document.items()}
