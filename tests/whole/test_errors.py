"""Of several failures, which exit status tells what has to be known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import (
    ArchiverError,
    ConfigError,
    IntegrityError,
    InterruptedRunError,
    LogMissingError,
    Problems,
    StoreError,
    WorkKeptError,
)

KINDS = (
    ConfigError,
    IntegrityError,
    InterruptedRunError,
    LogMissingError,
    StoreError,
    WorkKeptError,
)


def problems(kinds: list[type[ArchiverError]]) -> Problems:
    return Problems(*[kind(str(number)) for number, kind in enumerate(kinds)])


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([], 0),
        ([WorkKeptError], 3),
        ([StoreError, StoreError], 12),
        ([WorkKeptError, StoreError, WorkKeptError], 12),
        ([StoreError, LogMissingError], 3),
        ([StoreError, LogMissingError, IntegrityError], 5),
        ([InterruptedRunError], 130),
        # No news by itself, and so nobody would be told of the rest.
        ([InterruptedRunError, WorkKeptError], 3),
        ([InterruptedRunError, StoreError], 3),
    ],
)
def test_one_status_for_all(kinds: list[type[ArchiverError]], status: int) -> None:
    assert problems(kinds).worst == status


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
def test_damage_is_never_hidden_and_the_order_does_not_count(
    kinds: list[type[ArchiverError]],
) -> None:
    worst = problems(kinds).worst
    assert worst
    assert (worst == 5) == (IntegrityError in kinds)
    assert problems(kinds[::-1]).worst == worst
