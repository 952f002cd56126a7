"""A day is sealed as empty only if no log can have come and gone unseen: it stands for ever."""

import pytest

from archiver.rotation.empty_days import is_accounted_for
from archiver.rotation.turn import Taken

LEFT, FOUND, ANOTHER = (1, 10), (1, 11), (1, 12)


@pytest.mark.parametrize(
    ("found", "rotated", "taken", "accounted"),
    [
        pytest.param(LEFT, False, Taken(), True, id="the same file"),
        pytest.param(FOUND, False, Taken(), False, id="another file, and nobody knows why"),
        pytest.param((2, 10), False, Taken(), False, id="the same inode of another file system"),
        pytest.param(FOUND, True, Taken(), True, id="rotated by us"),
        pytest.param(FOUND, False, Taken(unbroken=True), True, id="taken over without a break"),
        pytest.param(FOUND, False, Taken(inodes={LEFT, ANOTHER}), True, id="taken over, that one"),
        pytest.param(FOUND, False, Taken(inodes={ANOTHER, FOUND}), False, id="only others taken"),
    ],
)
def test_days_are_empty_only_if_every_log_between_is_accounted_for(
    found: tuple[int, int],
    rotated: bool,
    taken: Taken,
    accounted: bool,
) -> None:
    assert is_accounted_for(LEFT, found, rotated=rotated, taken=taken) == accounted
