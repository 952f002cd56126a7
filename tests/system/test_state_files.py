"""What a state file says counts if it is whole and known; anything else as if it were not there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from archiver.policy.as_json import as_json, from_json
from archiver.system import state_files


@dataclass(frozen=True)
class Note:
    """One field of each form that state files have."""

    at: int | None = None
    how: Literal["well", "badly"] = "well"
    days: Mapping[str, date] = field(default_factory=dict)
    files: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


NOTE = Note(7, "badly", {"maillog": date(2026, 11, 30)}, {"maillog": (1, 2)})
READ = partial(from_json, Note)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state_files.save(tmp_path / "note.json", as_json(NOTE))
    assert state_files.load(tmp_path / "note.json", READ) == NOTE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '{"at": "7"}',
        '{"at": true}',
        '{"at": 1e3}',
        '{"how": "so-so"}',
        '{"days": {"maillog": "2026-02-30"}}',
        '{"days": ["2026-02-28"]}',
        '{"files": {"maillog": [1, "2"]}}',
        '{"files": {"maillog": 7}}',
        "\udcff",
        "[" * 100_000,
    ],
)
def test_anything_else_counts_as_never_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "note.json"
    path.write_text(text, errors="surrogateescape")
    assert state_files.load(path, READ) is None
    assert state_files.load(tmp_path / "missing.json", READ) is None


def test_what_a_newer_version_notes_besides_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    state_files.save(path, {**as_json(NOTE), "weather": "fine"})
    assert state_files.load(path, READ) == NOTE
    path.write_text("{}")
    assert state_files.load(path, READ) == Note()
