"""The archiver or the server dies in the middle of an upload; one ordinary run must mend all.

Each request of a run at each of its moments takes too long for each commit:
`python -m tests.whole.s3.killed --full`.
"""

import shutil

import pytest

from tests.whole.crash.sweep import directory_in_memory
from tests.whole.s3.killed import REDUCED, sweep
from tests.world.system import need

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def programs() -> None:
    need("sha256sum")
    need("zstd")


@pytest.mark.parametrize("size", REDUCED)
def test_killed_while_it_uploads_nothing_is_lost_or_doubled(size: str) -> None:
    """In one request and in two parts: equal in both stores, once, and nothing half-done."""
    directory = directory_in_memory()
    report = sweep(directory, size=size)
    assert not report.failures, report.text()
    assert report.struck == len(report.outcomes) > 1, report.text()
    shutil.rmtree(directory)
