"""What a check is given, and what it gives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from archiver.catalog import Catalog
from archiver.config.settings import Config
from archiver.errors import Problems
from archiver.rotation.last_run import LastRun
from archiver.rotation.last_run import load as load_last
from archiver.rotation.others.rotators import Rotators
from archiver.stores import open_stores
from archiver.stores.catch_up import readable
from archiver.system.files import ROOT

OK, WARNING, CRITICAL = "ok", "warning", "critical"


@dataclass(frozen=True)
class Finding:
    """level: OK, WARNING or CRITICAL. what: was found. remedy: what to do; "" where all is well.

    check: the name of the check that found it.
    """

    level: str
    what: str
    remedy: str = ""
    check: str = ""


@dataclass
class Patient:
    """The host that is examined. now: the instant. root: the system's own files lie below it.

    away: this process only acts as the service's user, without the service's environment.
    problems: gets what went wrong while reading the stores.
    """

    config: Config
    now: int
    root: Path = ROOT
    away: bool = False
    problems: Problems = field(default_factory=Problems)

    @cached_property
    def rotators(self) -> Rotators:
        return Rotators(self.root)

    @cached_property
    def last(self) -> LastRun:
        return load_last(self.config.host.state_dir)

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """Open the catalog, or where there is none, one made of what the stores hold."""
        host = self.config.host
        with readable(
            host.catalog, host.name, open_stores(self.config.storage), self.problems
        ) as catalog:
            yield catalog

    def below(self, name: str) -> Path:
        """Return an absolute path of the system as a path below `root`."""
        return self.root / name.lstrip("/")


def nearest(path: Path) -> Path:
    """Return the path, or the nearest directory above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def may(path: Path, mode: int) -> bool:
    """Whether the user as whom this process now acts may do that. mode: as of access(2)."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
