"""How far one source has come: its live log, what waits in the spool, what is archived."""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from archiver.catalog import Catalog
from archiver.config.settings import Config, Source
from archiver.config.targets import LocalTarget, Target
from archiver.rotation.spool import Journal


@dataclass(frozen=True)
class Waiting:
    """A segment in the spool. stage: open (its writer may still hold it), closed or sealed. size:
    bytes. written: the instant at which it was last written.
    """

    name: str
    stage: str
    size: int
    written: int


@dataclass(frozen=True)
class SourceStatus:
    """One source: its live log's size (None: no such file), what waits, what is archived.

    lacking: by target, how many archives it is missing that another one has. destroyed: how many
    were destroyed, or are ordered to be, since their retention is over. Sizes are bytes.
    """

    source: str
    path: str
    live_size: int | None
    waiting: tuple[Waiting, ...]
    archives: int
    empty_days: int
    lines: int
    raw_size: int
    size: int
    first_day: date | None
    last_day: date | None
    too_few_copies: int
    lacking: dict[str, int]
    destroyed: int = 0


def status_of(config: Config, catalog: Catalog, source: Source, today: date) -> SourceStatus:
    """Return how far a source has come, by the catalog, the spool and its log."""
    found = catalog.summaries(source.name)
    days = [each.date for each in found]
    present = [each for each in found if each.has_archive]
    kept = [each for each in found if each.ordered is None]
    return SourceStatus(
        source=source.name,
        path=str(source.path),
        live_size=_size(source.path),
        waiting=tuple(_waiting(Journal(config.host.spool_dir, source.name))),
        archives=sum(each.has_archive for each in found),
        empty_days=sum(each.is_empty_day for each in found),
        lines=sum(each.lines for each in present),
        raw_size=sum(each.raw_size for each in present),
        size=sum(each.size for each in present),
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        too_few_copies=sum(len(each.copies) < config.storage.required for each in kept),
        lacking={
            target.name: sum(
                target.name not in archive.copies and archive.date >= _since(target, today)
                for archive in kept
                if archive.copies
            )
            for target in config.storage.targets
        },
        destroyed=len(found) - len(kept),
    )


def _since(target: Target, today: date) -> date:
    """The first log date whose archives a target is to have."""
    keep = target.keep if isinstance(target, LocalTarget) else None
    return keep.since(today) if keep else date.min


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def _waiting(journal: Journal) -> list[Waiting]:
    stages = (("open", "open_segment"), ("closed", "segment"), ("sealed", "sealed"))
    waiting = []
    for entry in journal.entries():
        for stage, where in stages:
            try:
                size = os.stat(getattr(entry, where)).st_size
            except FileNotFoundError:
                continue  # it is at a later stage, or a run has just moved it there
            waiting.append(Waiting(entry.name, stage, size, entry.intent.written))
            break
    return waiting
