"""What is destroyed in a bucket is gone in every version, whatever the server says of it."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archiver.archives.receipts import Protection
from archiver.errors import ArchiverError, LockedError, StoreError, StoreRefusedError
from tests.world.bucket import INDEX, KEY, SMALL, Bucket, Opening, made, put
from tests.world.exchange import Exchange
from tests.world.faults import Rule, answer, faults, reset
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient")
HOUR = int(datetime.now(UTC).timestamp()) + 3600
LOCKS = [
    Protection("governance", HOUR),
    Protection("compliance", HOUR),
    Protection(hold=True),
]


def left(bucket: Bucket, key: str = KEY) -> int:
    """How many versions and delete markers of an object a plain client sees."""
    told = bucket.client.list_object_versions(Bucket=bucket.name, Prefix=bucket.prefix + key)
    return len(told.get("Versions", ())) + len(told.get("DeleteMarkers", ()))


def delete(bucket: Bucket, key: str = KEY) -> None:
    """Put a delete marker in front, as a plain DELETE does."""
    bucket.client.delete_object(Bucket=bucket.name, Key=bucket.prefix + key)


def test_all_versions_and_markers_go(weed_server: Weed, opening: Opening, place: Path) -> None:
    """Three versions and two markers; what begins with the same name stays."""
    bucket = made(weed_server, lock=True)
    store = opening(weed_server, bucket)
    for content in (SMALL, SMALL[:9], SMALL[:99]):
        put(store, place, content, replace=True)
        if content != SMALL[:9]:
            delete(bucket)
    put(store, place, SMALL, key=KEY + ".idx")
    assert left(bucket, KEY) == 5 + 1
    gone = store.destroy(KEY)
    assert sorted(each.marker for each in gone) == [False] * 3 + [True] * 2
    assert len({each.version for each in gone}) == 5
    assert all(each.reply.startswith("204") for each in gone)
    assert (left(bucket), left(bucket, KEY + ".idx")) == (1, 1)
    assert store.find(KEY) is None
    assert store.destroy(KEY) == ()


def test_a_bucket_without_versions(weed_server: Weed, opening: Opening, place: Path) -> None:
    bucket = made(weed_server)
    store = opening(weed_server, bucket)
    put(store, place, SMALL)
    (gone,) = store.destroy(KEY)
    assert (gone.version, gone.marker) == (None, False)
    assert (left(bucket), store.find(KEY)) == (0, None)


def test_a_bucket_whose_versions_were_suspended(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """There are versions with names, and one without."""
    name = weed_server.bucket(versioning=True)
    client = weed_server.client()
    bucket = Bucket(client, name, "mail/")
    store = opening(weed_server, bucket)
    put(store, place, SMALL)
    suspended = {"Status": "Suspended"}
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration=suspended)
    put(store, place, SMALL[:9], replace=True)
    before = left(bucket)
    assert len(store.destroy(KEY)) == before >= 1
    assert left(bucket) == 0


def test_what_was_begun_in_parts_goes_too(weed_server: Weed, opening: Opening, place: Path) -> None:
    bucket = made(weed_server)
    store = opening(weed_server, bucket)
    put(store, place, SMALL)
    bucket.begin({}, KEY)
    other = bucket.begin({}, INDEX)
    store.destroy(KEY)
    assert bucket.uploads() == [other]


@pytest.mark.parametrize("wanted", LOCKS)
def test_a_version_that_is_locked_keeps_all(
    weed_server: Weed, opening: Opening, place: Path, wanted: Protection
) -> None:
    """Also if it is an old one, and there is a newer one that could go."""
    bucket = made(weed_server, lock=True)
    store = opening(weed_server, bucket)
    put(store, place, SMALL, wanted)
    put(store, place, SMALL[:9], replace=True)
    delete(bucket)
    with pytest.raises(LockedError) as refused:
        store.destroy(KEY)
    assert refused.value.exit_status == 6
    assert left(bucket) == 3
    assert bucket.versions() == [SMALL[:9], SMALL]


def test_a_hold_that_was_lifted_is_no_obstacle(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    bucket = made(weed_server, lock=True)
    store = opening(weed_server, bucket)
    assert not store.can_hold
    assert opening(weed_server, bucket, legal_hold=True).can_hold
    put(store, place, SMALL, Protection(hold=True))
    store.lift_hold(KEY)
    found = store.find(KEY)
    assert found is not None
    assert found.protection == Protection()
    store.lift_hold(KEY)
    assert len(store.destroy(KEY)) == 1
    with pytest.raises(ArchiverError, match="is not there"):
        store.lift_hold(KEY)


def test_a_hold_that_is_not_lifted_though_the_server_says_so(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    bucket = made(weed_server, lock=True)
    with faults(weed_server, [Rule("PUT", "legal-hold", agree)]) as through:
        store = opening(through, bucket)
        put(store, place, SMALL, Protection(hold=True))
        with pytest.raises(StoreRefusedError, match="still held"):
            store.lift_hold(KEY)


def agree(exchange: Exchange) -> None:
    """Say yes, and do nothing."""
    exchange.reply(204 if exchange.method == "DELETE" else 200, b"", {})


def test_a_server_that_says_yes_and_does_nothing(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """204 to each DELETE, and all versions still listed: that is no deletion."""
    bucket = made(weed_server)
    with faults(weed_server, [Rule("DELETE", "versionId", agree, times=None)]) as through:
        store = opening(through, bucket)
        put(store, place, SMALL)
        with pytest.raises(StoreRefusedError, match="still has 1 of its versions"):
            store.destroy(KEY)
    assert bucket.versions() == [SMALL]


def test_a_lock_that_comes_between(weed_server: Weed, opening: Opening, place: Path) -> None:
    """After the look, before the DELETE: the server refuses, and it is called locked."""
    bucket = made(weed_server, lock=True)

    def hold_first(exchange: Exchange) -> None:
        bucket.client.put_object_legal_hold(
            Bucket=bucket.name, Key=bucket.prefix + KEY, LegalHold={"Status": "ON"}
        )
        exchange.pass_on()

    with faults(weed_server, [Rule("DELETE", "versionId", hold_first)]) as through:
        store = opening(through, bucket)
        put(store, place, SMALL)
        with pytest.raises(LockedError):
            store.destroy(KEY)
    assert bucket.versions() == [SMALL]


def test_a_server_that_dies_halfway_is_asked_again(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    bucket = made(weed_server, lock=True)
    rule = Rule("DELETE", "versionId", reset, skip=1, times=None)
    with faults(weed_server, [rule]) as through:
        store = opening(through, bucket)
        put(store, place, SMALL)
        put(store, place, SMALL[:9], replace=True)
        with pytest.raises(StoreError):
            store.destroy(KEY)
        assert left(bucket) == 1
    assert len(opening(weed_server, bucket).destroy(KEY)) == 1
    assert left(bucket) == 0


def test_a_server_that_does_not_list_versions(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """Nothing is destroyed that cannot be proven."""
    bucket = made(weed_server)

    with faults(
        weed_server, [Rule("GET", "versions", answer(501, "NotImplemented"), times=None)]
    ) as through:
        store = opening(through, bucket)
        put(store, place, SMALL)
        with pytest.raises(StoreRefusedError, match="does not list the versions"):
            store.destroy(KEY)
    assert bucket.versions() == [SMALL]


def test_the_everyday_credentials_cannot_and_the_expirers_can(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """With a second pair, each is used for what it is for."""
    name = weed_server.bucket(lock=True)
    bucket = Bucket(weed_server.client(), name, f"mail-{secrets.token_hex(4)}/")
    writer = opening(weed_server, bucket, "writer")
    put(writer, place, SMALL)
    with pytest.raises(StoreRefusedError) as refused:
        writer.destroy(KEY)
    assert "s3:DeleteObjectVersion" in refused.value.hint
    assert bucket.versions() == [SMALL]
    key_id, secret = weed_server.credentials("expirer")
    (place / "expirer.id").write_text(key_id)
    (place / "expirer.secret").write_text(secret)
    both = opening(
        weed_server,
        bucket,
        "writer",
        expirer_access_key_id=f"file:{place}/expirer.id",
        expirer_secret_access_key=f"file:{place}/expirer.secret",
    )
    assert len(both.destroy(KEY)) == 1
    assert left(bucket) == 0


def test_a_bucket_that_is_not_there_is_not_an_empty_one(
    weed_server: Weed, opening: Opening
) -> None:
    with pytest.raises(StoreRefusedError):
        opening(weed_server, "no-such-bucket-here").destroy(KEY)
