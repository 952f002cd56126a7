"""How what is in a bucket is locked and held; and that it was: on a real server."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.archives.receipts import UNPROTECTED, Protection
from archiver.config.targets import S3Target
from archiver.errors import NotFoundError, StoreRefusedError
from archiver.stores.s3.store import S3Store
from tests.world.bucket import (
    KEY,
    LARGE,
    SMALL,
    Opening,
    made,
    methods,
    put,
    told,
)
from tests.world.faults import Rule, faults
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient")
NOW = int(datetime.now(UTC).timestamp())
HOUR = 3600
DAY = date(2026, 5, 4)
MIDNIGHT = int(datetime(2026, 5, 5, tzinfo=UTC).timestamp())
WANTED = [
    Protection("governance", NOW + HOUR),
    Protection("compliance", NOW + HOUR),
    Protection("governance", NOW + HOUR, hold=True),
    Protection(hold=True),
    UNPROTECTED,
]


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("size", [len(SMALL), len(LARGE)])
def test_what_is_put_is_protected_from_its_first_moment(
    weed_server: Weed, opening: Opening, place: Path, wanted: Protection, size: int
) -> None:
    """By the request that makes it; and a server tells the version and the lock."""
    bucket = made(weed_server, lock=True)
    with faults(weed_server) as through:
        store = opening(through, bucket)
        put(store, place, LARGE[:size], wanted)
        assert not [each for each in through.requests if "retention" in each.target]
        found = store.find(KEY)
    assert found is not None
    assert (found.protection, found.size) == (wanted, size)
    assert found.version is not None


@pytest.mark.parametrize("first", WANTED)
@pytest.mark.parametrize("then", WANTED)
def test_protection_only_ever_grows(
    weed_server: Weed, opening: Opening, place: Path, first: Protection, then: Protection
) -> None:
    """The stronger mode, the later end, and a hold stay; whichever comes first, and how."""
    store = opening(weed_server, made(weed_server, lock=True))
    modes = [each.mode for each in (first, then)]
    if then.mode:
        then = replace(then, until=then.until + HOUR)
    put(store, place, SMALL, first)
    if modes == ["governance", "compliance"]:
        # SeaweedFS allows that to nobody; the lock that there is stays.
        with pytest.raises(StoreRefusedError, match="access denied"):
            put(store, place, SMALL, then)
        then = UNPROTECTED
    modes = [each.mode for each in (first, then)]
    for _ in range(2):
        put(store, place, SMALL, then)
        store.protect(KEY, first)
        found = store.find(KEY)
        assert found is not None
        assert found.protection == Protection(
            max(modes, key=["", "governance", "compliance"].index),
            max(first.until, then.until),
            first.hold or then.hold,
        )


def test_no_lock_is_weakened_where_a_server_would_let_us(
    moto_server: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As moto does: it shortens COMPLIANCE, if it is asked to."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = S3Store(S3Target("far", "locked", endpoint_url=moto_server))
    store._client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    put(store, place, SMALL, Protection("governance", NOW + 2 * HOUR))
    for wanted, expected in (
        (Protection("compliance", NOW + HOUR), Protection("compliance", NOW + 2 * HOUR)),
        (Protection("governance", NOW + 3 * HOUR), Protection("compliance", NOW + 3 * HOUR)),
        (Protection("compliance", NOW + HOUR), Protection("compliance", NOW + 3 * HOUR)),
        (Protection(hold=True), Protection("compliance", NOW + 3 * HOUR, hold=True)),
        (Protection("governance", NOW), Protection("compliance", NOW + 3 * HOUR, hold=True)),
    ):
        store.protect(KEY, wanted)
        found = store.find(KEY)
        assert found is not None
        assert found.protection == expected
    store.close()


def test_what_is_protected_enough_is_left_alone(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    with faults(weed_server) as through:
        store = opening(through, made(weed_server, lock=True))
        put(store, place, SMALL, Protection("compliance", NOW + 2 * HOUR, hold=True))
        through.requests.clear()
        for wanted in WANTED:
            store.protect(KEY, wanted)
        assert set(methods(through)) == {"HEAD"}


def test_what_is_not_there_cannot_be_protected(weed_server: Weed, opening: Opening) -> None:
    store = opening(weed_server, made(weed_server, lock=True))
    with pytest.raises(NotFoundError):
        store.protect(KEY, WANTED[0])


@pytest.mark.parametrize("wanted", WANTED[:-1])
@pytest.mark.parametrize("size", [len(SMALL), len(LARGE)])
def test_a_bucket_that_takes_no_locks(
    weed_server: Weed, opening: Opening, place: Path, wanted: Protection, size: int
) -> None:
    """Nothing is stored there that was to be locked, and what is there is not said to be."""
    bucket = made(weed_server)
    store = opening(weed_server, bucket)
    with pytest.raises(StoreRefusedError, match="takes no locks"):
        put(store, place, LARGE[:size], wanted)
    put(store, place, LARGE[:size])
    with pytest.raises(StoreRefusedError, match="takes no locks"):
        store.protect(KEY, wanted)


@pytest.mark.parametrize(
    ("header", "instead"),
    [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-mode", ""),
        ("x-amz-object-lock-retain-until-date", "2026-01-01T00:00:00Z"),
        ("x-amz-object-lock-legal-hold", "OFF"),
        ("x-amz-object-lock-legal-hold", ""),
        ("x-amz-version-id", ""),
    ],
)
@pytest.mark.parametrize("size", [len(SMALL), len(LARGE)])
def test_a_lock_that_is_not_as_it_was_asked_for_is_no_lock(
    weed_server: Weed, opening: Opening, place: Path, header: str, instead: str, size: int
) -> None:
    """Ceph 16 makes GOVERNANCE of an upload in parts that was to be COMPLIANCE."""

    def less(found: Any) -> dict[str, str]:
        kept = {name: value for name, value in found.headers.items() if name != header}
        return {**kept, **({header: instead} if instead and header in found.headers else {})}

    with faults(weed_server, [Rule("HEAD", "", told(less), times=None)]) as through:
        store = opening(through, made(weed_server, lock=True))
        with pytest.raises(StoreRefusedError) as refused:
            put(store, place, LARGE[:size], Protection("compliance", NOW + HOUR, hold=True))
    assert "was to be locked (compliance until " in refused.value.message
    assert "but HEAD says" in refused.value.message


@pytest.mark.parametrize(
    ("settings", "now", "expected"),
    [
        ({}, 0, UNPROTECTED),
        ({"legal_hold": True}, 0, Protection(hold=True)),
        (
            {"object_lock": "compliance", "lock_for": 90.0},
            0,
            Protection("compliance", MIDNIGHT + 90),
        ),
        (
            {"object_lock": "governance", "lock_for": 1e9, "legal_hold": True},
            MIDNIGHT + 10**9 - 61,
            Protection("governance", MIDNIGHT + 10**9, hold=True),
        ),
        (
            {"object_lock": "governance", "lock_for": 1e9, "legal_hold": True},
            MIDNIGHT + 10**9 - 60,
            Protection(hold=True),
        ),
        ({"object_lock": "governance", "lock_for": 1e9}, MIDNIGHT + 2 * 10**9, UNPROTECTED),
    ],
)
def test_a_lock_is_reckoned_from_the_log_date(
    settings: dict[str, Any], now: int, expected: Protection
) -> None:
    """Not from the day of its storing: what is brought late is not kept longer."""
    store = S3Store(S3Target("far", "bucket", **settings))
    assert store.protection(DAY, now) == expected


def test_a_lock_of_the_last_day_of_all_can_be_written() -> None:
    store = S3Store(S3Target("far", "bucket", object_lock="governance", lock_for=1e9))
    until = store.protection(date.max, 0).until
    assert datetime.fromtimestamp(until, UTC).year == 9999
