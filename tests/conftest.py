"""Where a test's host lives."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.world.host")
pytest_plugins = ["tests.world.servers"]

from tests.world.host import Host  # noqa: E402 (its asserts are to be rewritten)

# How long an example takes tells of the machine, not of the program.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
MEMORY = "/dev/shm"  # noqa: S108 (a directory of its own is made there)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory, in memory if possible: hundreds of nights with all their fsyncs."""
    roomy = os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > 48 * 2**20
    with tempfile.TemporaryDirectory(dir=MEMORY if roomy else None) as directory:
        yield Path(directory)


@pytest.fixture
def host(place: Path) -> Host:
    """A host with an empty log."""
    made = Host(place)
    made.log.touch(0o640)
    return made
