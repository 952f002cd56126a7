"""Archives and manifests in a bucket with Object Lock: locked as configured, seen by HEAD."""

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from tests.world.asked import ONCE, refused
from tests.world.host import MONDAY, Host, after, lines
from tests.world.s3_host import PREFIX, Bucket, FarHost
from tests.world.weed import Weed

DAYS = 20_000  # until after the year 2080


def until(day: date, days: int = DAYS) -> datetime:
    """When the lock of a log date ends: so many days after that date has, in UTC."""
    return datetime.combine(day + timedelta(days + 1), time(), UTC)


def locking(
    bucket: str, server: Weed, mode: str, days: int = DAYS, *, hold: bool = False
) -> Bucket:
    more = {"object_lock": f'"{mode}"', "lock_for": f'"{days}d"', "legal_hold": str(hold).lower()}
    return Bucket(server, bucket, server, more=more)


def two_days(place: Path, far: Bucket) -> FarHost:
    """A host with a day's log, and a day without a line, in the bucket alone."""
    host = FarHost(place, targets=(), buckets={"far": far})
    host.write(lines(MONDAY, "09:00:00"))
    for ahead in (1, 3):
        assert host.night(after(MONDAY, ahead)).failures == []
    return host


def dates(host: FarHost) -> dict[str, date]:
    """What there is to lock, by key, and of which day each is."""
    host.brought("far")
    archive, empty_day = host.manifests(target="far")
    locked = {each.manifest_key: each.date for each in (archive, empty_day)}
    return locked | {archive.archive_key: archive.date}


def locks(host: FarHost) -> dict[str, tuple[str, str, datetime, bool]]:
    """The version that each object has, and how it is locked: mode, until when, held or not."""
    far = host.buckets["far"]
    admin = far.server.client()
    found = {}
    for key in dates(host):
        head = admin.head_object(Bucket=far.name, Key=PREFIX + key)
        held = head.get("ObjectLockLegalHoldStatus") == "ON"
        lock = head["ObjectLockMode"], head["ObjectLockRetainUntilDate"], held
        found[key] = (head["VersionId"], *lock)
    return found


def receipts(host: Host) -> list[tuple[str, str, datetime, bool]]:
    """The same, as `archiver list` tells it of each archive and each day without lines."""
    told = json.loads(host.archiver("--json", "list").out)
    return [
        (
            receipt["version"],
            receipt["lock"].upper(),
            datetime.fromisoformat(receipt["locked_until"]),
            receipt["legal_hold"],
        )
        for each in told["data"]["archives"]
        for receipt in each["receipts"]
        if receipt["target"] == "far"
    ]


def in_list(host: FarHost) -> list[tuple[str, str, datetime, bool]]:
    """The locks, of what `archiver list` tells the receipts of, in its order."""
    found = locks(host)
    archive, empty_day = host.manifests(target="far")
    return [found[archive.archive_key], found[empty_day.manifest_key]]


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_what_is_stored_is_locked_and_its_receipt_tells(
    place: Path, weed_server: Weed, bucket: str, mode: str
) -> None:
    """Until so long after the log date, in a version of its own."""
    host = two_days(place, locking(bucket, weed_server, mode, hold=mode == "compliance"))
    found = locks(host)
    assert all(version for version, *_ in found.values())
    expected = {
        key: (mode.upper(), until(day), mode == "compliance") for key, day in dates(host).items()
    }
    assert expected == {key: tuple(lock) for key, (_, *lock) in found.items()}
    assert in_list(host) == receipts(host)


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_what_is_locked_is_not_deleted(
    place: Path, weed_server: Weed, bucket: str, mode: str
) -> None:
    """By nobody who does not bypass the lock, which nobody does where it is for compliance."""
    host = two_days(place, locking(bucket, weed_server, mode))
    bypass = {"BypassGovernanceRetention": True} if mode == "compliance" else {}
    locked = locks(host)
    for identity in ("admin", "writer", "expirer"):
        client = weed_server.client(identity, **ONCE)
        for key, (version, *_) in locked.items():
            there = {"Bucket": bucket, "Key": PREFIX + key, "VersionId": version}
            assert refused(client.delete_object, **there, **bypass)[0] == 403


def test_a_longer_lock_extends_those_that_are_there(
    place: Path, weed_server: Weed, bucket: str
) -> None:
    """And a hold is added; the receipts tell it."""
    host = two_days(place, locking(bucket, weed_server, "governance"))
    before = locks(host)
    longer = locking(bucket, weed_server, "governance", DAYS + 1000, hold=True)
    host.configure(targets=(), buckets={"far": longer})
    assert host.archiver("sync").out == b"copies: 3 protected\n"
    assert locks(host) == {
        key: (before[key][0], "GOVERNANCE", until(day, DAYS + 1000), True)
        for key, day in dates(host).items()
    }
    assert in_list(host) == receipts(host)
    assert host.archiver("sync").out == b"copies: nothing to do\n"


@pytest.mark.parametrize(
    ("mode", "days"), [("governance", DAYS), ("compliance", 10), ("governance", 10)]
)
def test_a_shorter_or_weaker_lock_changes_nothing(
    place: Path, weed_server: Weed, bucket: str, mode: str, days: int
) -> None:
    host = two_days(place, locking(bucket, weed_server, "compliance", hold=True))
    before = locks(host)
    host.configure(targets=(), buckets={"far": locking(bucket, weed_server, mode, days)})
    for verb in ("sync", "run"):
        said = host.archiver(verb, now=host.at(after(MONDAY, 3), "12:00"))
        assert (said.status, said.err) == (0, "")
    assert locks(host) == before
    assert in_list(host) == receipts(host)


def test_what_is_mended_is_locked_too(place: Path, weed_server: Weed, bucket: str) -> None:
    """The damaged version is locked, and stays; the sound one is, too."""
    far = locking(bucket, weed_server, "governance")
    host = FarHost(place, targets=("store",), buckets={"far": far}, required=2)
    host.write(lines(MONDAY, "09:00:00"))
    for ahead in (1, 3):
        assert host.night(after(MONDAY, ahead)).failures == []
    before = locks(host)
    key = host.manifests()[0].archive_key
    weed_server.flip(bucket, PREFIX + key, at=40, silently=True)
    assert host.archiver("repair").status == 5
    now = locks(host)
    assert now[key][0] != before[key][0]
    assert now[key][1:] == before[key][1:]
    assert in_list(host) == receipts(host)
    assert host.content(target=host.brought("far")) == [lines(MONDAY, "09:00:00")]
