"""What a store in a bucket does beyond what every store does; on a real server, if it can."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.archives.receipts import UNPROTECTED, Protection
from archiver.config.targets import S3Target
from archiver.errors import (
    ColdError,
    IntegrityError,
    LockedError,
    NotFoundError,
    StoreError,
    StoreRefusedError,
)
from archiver.stores.s3 import store as s3
from archiver.stores.s3.store import S3Store
from tests.world.bucket import (
    INDEX,
    KEY,
    LARGE,
    SMALL,
    Opening,
    got,
    made,
    methods,
    put,
    told,
)
from tests.world.exchange import Exchange
from tests.world.faults import ACCESS_DENIED, NOT_IMPLEMENTED, Rule, faults
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient")
LOCK = Protection("compliance", int(datetime.now(UTC).timestamp()) + 3600)
DAY = date(2026, 5, 4)
MIDNIGHT = int(datetime(2026, 5, 5, tzinfo=UTC).timestamp())


# -- once


def compete(stores: list[S3Store], place: Path, contents: list[bytes]) -> list[type | None]:
    """Put each content by a store of its own, all at once; return how each failed, if it did."""
    gate = threading.Barrier(len(contents))

    def one(store: S3Store, content: bytes) -> None:
        gate.wait()
        put(store, place, content)

    with ThreadPoolExecutor(len(contents)) as pool:
        ended = [pool.submit(one, *each) for each in zip(stores, contents, strict=True)]
    failures = [each.exception() for each in ended]
    return [None if failure is None else type(failure) for failure in failures]


def test_one_of_many_writers_wins(weed_server: Weed, opening: Opening, place: Path) -> None:
    """There is one version, and the others are told."""
    bucket = made(weed_server, lock=True)
    contents = [b"%d" % number + SMALL for number in range(4)]
    stores = [opening(weed_server, bucket) for _ in contents]
    ended = compete(stores, place, contents)
    assert sorted(map(str, ended)) == sorted(map(str, [None] + [IntegrityError] * 3))
    assert bucket.versions() == [contents[ended.index(None)]]


def test_many_writers_in_parts(weed_server: Weed, opening: Opening, place: Path) -> None:
    """What there is, is whole, and nothing half-done stays.

    More than one may win: SeaweedFS looks if something is there, and completes then. And who
    took another's upload for a killed one's may have spoilt it for both, until the next run.
    """
    bucket = made(weed_server, lock=True)
    contents = [b"%d" % number + LARGE[1:] for number in range(4)]
    stores = [opening(weed_server, bucket) for _ in contents]
    ended = compete(stores, place, contents)
    assert set(ended) <= {None, IntegrityError, StoreError}
    won = {content for content, end in zip(contents, ended, strict=True) if end is None}
    assert won <= set(bucket.versions()) <= set(contents)
    assert bucket.uploads() == []


def test_many_writers_of_the_same_in_parts(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """They may help each other's uploads on, and all are content."""
    bucket = made(weed_server)
    stores = [opening(weed_server, bucket) for _ in range(4)]
    assert compete(stores, place, [LARGE] * 4) == [None] * 4
    assert got(stores[0]) == LARGE
    assert bucket.uploads() == []


def test_a_server_without_if_none_match(weed_server: Weed, opening: Opening, place: Path) -> None:
    """Is asked once; then what was looked for and not found is stored without."""
    bucket = made(weed_server)
    with faults(weed_server, [Rule("PUT", "", NOT_IMPLEMENTED)]) as through:
        store = opening(through, bucket)
        for key in (KEY, f"{KEY}.more"):
            put(store, place, SMALL, key=key)
        asked = [each.headers.get("if-none-match") for each in through.requests]
        assert [each for each in methods(through) if each == "PUT"] == ["PUT"] * 3
        assert [each for each in asked if each] == ["*"]
        with pytest.raises(IntegrityError):
            put(store, place, SMALL + b"!")
    assert got(opening(weed_server, bucket)) == SMALL


def test_a_conflict_is_waited_out(weed_server: Weed, opening: Opening, place: Path) -> None:
    bucket = made(weed_server)

    def conflict(exchange: Exchange) -> None:
        body = b"<Error><Code>ConditionalRequestConflict</Code></Error>"
        exchange.reply(409, body, {})

    with faults(weed_server, [Rule("PUT", "", conflict, times=3)]) as through:
        put(opening(through, bucket), place, SMALL)
        assert methods(through).count("PUT") == 4
        through.rules = [Rule("PUT", "", conflict, times=None)]
        with pytest.raises(StoreError, match="somebody else keeps storing"):
            put(opening(through, bucket), place, SMALL, key=f"{KEY}.more")
    assert got(opening(weed_server, bucket)) == SMALL


# -- replaced, removed, tidied


@pytest.mark.parametrize("lock", [False, True])
def test_what_is_replaced_lies_beneath(
    weed_server: Weed, opening: Opening, place: Path, lock: bool
) -> None:
    """Where versions are kept; a lock there keeps the old one, and does not keep off the new."""
    bucket = made(weed_server, lock=lock)
    store = opening(weed_server, bucket)
    wanted = LOCK if lock else UNPROTECTED
    for content in (SMALL, LARGE, b""):
        put(store, place, content, wanted, replace=True)
        assert got(store) == content
        found = store.find(KEY)
        assert found is not None
        assert found.protection == wanted
    if lock:
        assert bucket.versions() == [b"", LARGE, SMALL]


def test_what_is_locked_in_place_is_not_replaced(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """As servers answer that lock without keeping versions."""
    bucket = made(weed_server, lock=True)
    with faults(weed_server, [Rule("PUT", "", ACCESS_DENIED, times=None, skip=1)]) as through:
        store = opening(through, bucket)
        put(store, place, SMALL, LOCK)
        with pytest.raises(LockedError) as refused:
            put(store, place, b"other", replace=True)
        assert KEY in refused.value.message
        with pytest.raises(StoreRefusedError, match="access denied") as other:
            put(store, place, b"other", key=f"{KEY}.more", replace=True)
        assert "s3:PutObject" in other.value.hint
    assert bucket.versions() == [SMALL]


def test_who_may_not_remove_is_told_what_is_missing(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    bucket = made(weed_server, lock=True)
    store = opening(weed_server, bucket, "writer")
    put(store, place, SMALL, key=INDEX)
    with pytest.raises(StoreRefusedError, match=f"while removing s3://{bucket.name}/") as refused:
        store.remove(INDEX)
    assert "s3:DeleteObject" in refused.value.hint
    put(store, place, SMALL, LOCK, key=INDEX)
    with pytest.raises(LockedError):
        store.remove(INDEX)


def test_uploads_that_nobody_resumes_are_swept_up(
    weed_server: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After seven days; the others are gone on with. Other prefixes are other people's."""
    bucket = made(weed_server)
    store = opening(weed_server, bucket)
    other = KEY.replace("mx1", "mx2")
    begun = [bucket.begin({1: b"part"}, key) for key in (KEY, other)]
    store.tidy("")
    assert sorted(bucket.uploads()) == sorted(begun)
    monkeypatch.setattr(s3, "STALE", -60)
    store.tidy("host=mx1/")
    assert bucket.uploads() == [begun[1]]
    opening(weed_server, bucket, prefix="elsewhere/").tidy("")
    assert bucket.uploads() == [begun[1]]


def test_a_server_that_lists_no_uploads(weed_server: Weed, opening: Opening, place: Path) -> None:
    """Has nothing to resume, and nothing to sweep."""
    with faults(weed_server, [Rule("GET", r"\?uploads", NOT_IMPLEMENTED, times=None)]) as through:
        store = opening(through, made(weed_server))
        store.tidy("")
        put(store, place, LARGE)
        assert got(store) == LARGE


# -- listed, and kept how


ODD = ["a/x", "a-b", "a.b", "a b", "a+b", "a%20b", "a&b", "a'b", "é", "€", "😀", "\uff41"]


def test_keys_come_sorted_and_as_they_are(weed_server: Weed, opening: Opening, place: Path) -> None:
    """SeaweedFS lists `a/x` before `a b`; over several pages, too."""
    bucket = made(weed_server)
    store = opening(weed_server, bucket)
    for key in ODD:
        put(store, place, key.encode(), key=key)
    # A "folder", as a console makes it; and what is not ours.
    for key in (f"{bucket.prefix}a/", f"{bucket.prefix}//", "elsewhere", bucket.prefix[:-1]):
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"")

    def by_twos(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 2

    store._client.meta.events.register("before-parameter-build.s3.ListObjectsV2", by_twos)
    assert [each.key for each in store.listed()] == sorted(ODD)
    assert [each.key for each in store.listed("a")] == [k for k in sorted(ODD) if k[0] == "a"]
    assert [each.size for each in store.listed("é")] == [2]
    assert [got(store, key=key) for key in ODD] == [key.encode() for key in ODD]


def test_only_archives_go_into_a_storage_class(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """Manifests and indexes are read all the time."""
    with faults(weed_server) as through:
        store = opening(through, made(weed_server), storage_class="STANDARD_IA", sse="AES256")
        for key, content in ((KEY, SMALL), (f"{KEY}.log.zst", LARGE), (INDEX, SMALL)):
            put(store, place, content, key=key)
        made_by = [
            (each.headers.get("x-amz-storage-class"), each.headers["x-amz-server-side-encryption"])
            for each in through.requests
            if (each.method == "PUT" and "partNumber" not in each.target)
            or (each.target.endswith("?uploads") and each.method == "POST")
        ]
    assert made_by == [("STANDARD_IA", "AES256")] * 2 + [(None, "AES256")]


def test_cold_objects_are_told_and_restored(
    moto_server: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On moto: no server that one can install has a cold storage."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = S3Store(S3Target("far", "cold", endpoint_url=moto_server, storage_class="GLACIER"))
    store._client.create_bucket(Bucket="cold")
    for key in (KEY, INDEX):
        put(store, place, SMALL, key=key)
    assert {each.key: each.cold for each in store.listed()} == {KEY: True, INDEX: False}
    with pytest.raises(ColdError, match="cold storage") as cold:
        got(store)
    assert cold.value.key == KEY
    store.restore(INDEX, 1)
    for _ in range(2):
        store.restore(KEY, 1)
    found = store.find(KEY)
    assert found is not None
    assert (found.cold, found.thawing, got(store)) == (False, False, SMALL)
    with pytest.raises(NotFoundError):
        store.restore("missing", 1)
    store.close()


@pytest.mark.parametrize(
    ("headers", "cold", "thawing"),
    [
        ({"x-amz-storage-class": "GLACIER"}, True, False),
        ({"x-amz-storage-class": "DEEP_ARCHIVE"}, True, False),
        ({"x-amz-storage-class": "GLACIER_IR"}, False, False),
        ({"x-amz-archive-status": "ARCHIVE_ACCESS"}, True, False),
        ({"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="true"'}, True, True),
        (
            {
                "x-amz-storage-class": "GLACIER",
                "x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00"',
            },
            False,
            False,
        ),
    ],
)
def test_what_is_cold(
    weed_server: Weed,
    opening: Opening,
    place: Path,
    headers: dict[str, str],
    cold: bool,
    thawing: bool,
) -> None:
    """And what thaws is not asked for again."""
    rule = Rule("HEAD", "", told(lambda found: {**found.headers, **headers}), times=None)
    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, SMALL)
        through.rules = [rule]
        found = store.find(KEY)
        assert found is not None
        assert (found.cold, found.thawing) == (cold, thawing)
        if thawing or not cold:
            store.restore(KEY, 1)
            assert "POST" not in methods(through)
