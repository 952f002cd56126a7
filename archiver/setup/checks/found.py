"""What a check is given, and what it gives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from archiver.catalog import Catalog
from archiver.config.settings import Config
from archiver.errors import ArchiverError
from archiver.rotation.last_run import LastRun
from archiver.rotation.last_run import load as load_last
from archiver.rotation.others.rotators import ROOT, Rotators
from archiver.stores import open_stores
from archiver.stores.catch_up import readable

OK, WARNING, CRITICAL = "ok", "warning", "critical"


@dataclass(frozen=True)
class Finding:
    """level: "ok", "warning" or "critical". remedy: what to do; "" where all is well.

    check: the name of the check that found it.
    """

    level: str
    what: str
    remedy: str = ""
    check: str = ""


@dataclass
class Patient:
    """What is examined. now: the instant. root: below it lie the system's own files.

    away: the service is somebody else, and what only its surroundings hold cannot be tried.
    """

    config: Config
    now: int
    root: Path = ROOT
    away: bool = False
    problems: list[ArchiverError] = field(default_factory=list)

    @cached_property
    def rotators(self) -> Rotators:
        return Rotators(self.root)

    @cached_property
    def last(self) -> LastRun:
        return load_last(self.config.host.state_dir)

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """Open the catalog; where there is none, what the stores tell."""
        host = self.config.host
        with readable(
            host.catalog, host.name, open_stores(self.config.storage), self.problems
        ) as one:
            yield one

    def below(self, name: str) -> Path:
        return self.root / name.lstrip("/")


def nearest(path: Path) -> Path:
    """Return the path, or the nearest directory above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def may(path: Path, mode: int) -> bool:
    """Whether we, as whom we now act, may do that."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
