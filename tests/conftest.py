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
MEMORY = "/dev/shm"  # noqa: S108 (directories of its own are made there)


def in_memory(size: int) -> str | None:
    """Return where there is so much room in memory, if there is: fsync(2) takes no time there."""
    roomy = os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > size
    return MEMORY if roomy else None


# tmp_path is there, too, where programs that a test writes may be executed.
if in_memory(2 * 2**30) and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory, in memory if possible: hundreds of nights with all their fsyncs."""
    with tempfile.TemporaryDirectory(dir=in_memory(48 * 2**20)) as directory:
        yield Path(directory)


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A directory that is in memory only if all of the machine's are.

    To a syslogd's configuration, what is below /dev is no log but a device.
    """
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The program as a whole comes first: no other worker waits for what takes long at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/whole/"))


@pytest.fixture
def host(place: Path) -> Host:
    """A host with an empty log."""
    made = Host(place)
    made.log.touch(0o640)
    return made
