"""A run is struck wherever it changes something; one ordinary run must mend all.

The whole sweep, every call of every scenario, takes too long for each commit:
`python -m tests.whole.crash.sweep --full`.
"""

import shutil

import pytest

from tests.whole.crash.sweep import directory_in_memory, sweep
from tests.world.system import need

pytestmark = [pytest.mark.system, pytest.mark.long]


@pytest.fixture(autouse=True)
def programs() -> None:
    need("strace")
    need("zstd")


def all_is_mended(*, with_errors: bool) -> None:
    directory = directory_in_memory()
    report = sweep(directory, with_errors=with_errors)
    assert not report.failures, report.text()
    # Threads make a k or two unreachable; that so many strikes came to nothing would mean
    # that the sweep no longer tests anything.
    struck = sum(outcome.struck for outcome in report.outcomes)
    assert struck > 0.9 * len(report.outcomes) > 0, report.text()
    shutil.rmtree(directory)


def test_killed_at_any_change_nothing_is_lost() -> None:
    """SIGKILL before each change: lost 0, duplicated 0, stuck 0, no strays after one run."""
    all_is_mended(with_errors=False)


def test_refused_any_change_nothing_is_lost() -> None:
    """ENOSPC, EIO or EACCES from each change: the same, and never a traceback."""
    all_is_mended(with_errors=True)
