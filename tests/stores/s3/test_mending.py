"""Copies that were deleted behind the store's back, or changed: found, and made anew from a sound
one; never from one that is not.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.archives.manifest import Manifest
from tests.world.faults import INTERNAL_ERROR, Faults, Rule, faults, other_bytes
from tests.world.host import MONDAY, Host, Said, after, flip, lines
from tests.world.s3_host import PREFIX, Bucket, FarHost, assert_once
from tests.world.weed import Weed

NOON = after(MONDAY, 5)


@pytest.fixture
def faulty(weed_server: Weed) -> Iterator[Faults]:
    with faults(weed_server) as server:
        yield server


@pytest.fixture
def host(place: Path, weed_server: Weed, faulty: Faults) -> FarHost:
    """Three days and one without a line, in a directory and in the bucket `far`."""
    far = Bucket(weed_server, weed_server.bucket(lock=True), faulty, more={"attempts": "1"})
    made = FarHost(place, targets=("store",), buckets={"far": far}, required=2)
    for days, night in (((0, 1), 2), ((4,), 5)):
        made.write(b"".join(map(day, days)))
        assert made.night(after(MONDAY, night)).exit_status == 0
    return made


def day(ahead: int) -> bytes:
    return lines(after(MONDAY, ahead), "09:00:00", "23:59:59")


ALL = day(0) + day(1) + day(4)


def said(host: Host, *words: str) -> Said:
    told = host.archiver(*words, now=host.at(NOON, "12:00"))
    assert "Traceback" not in told.err
    return told


def counts(host: Host, verb: str) -> tuple[int, dict[str, int]]:
    """How a verb ends, and what it says that it has done."""
    told = json.loads(said(host, "--json", verb).out)
    del told["data"]["problems"]
    return told["exit_code"], {what: count for what, count in told["data"].items() if count}


def archives(host: Host) -> list[Manifest]:
    return [each for each in host.manifests() if not each.is_empty_day]


def far_of(host: FarHost) -> Bucket:
    return host.buckets["far"]


def destroy(host: FarHost, *keys: str) -> None:
    for key in keys:
        far_of(host).server.destroy(far_of(host).name, PREFIX + key)


def spoil(host: FarHost, key: str) -> None:
    far_of(host).server.flip(far_of(host).name, PREFIX + key, at=40, silently=True)


# -- deleted ---------------------------------------------------------------------------------


def test_a_copy_that_was_deleted_is_brought_back_by_a_run(host: FarHost) -> None:
    """Manifest and archive: told once, with 5; then all is well."""
    first = archives(host)[0]
    destroy(host, first.archive_key, first.manifest_key)
    told = said(host, "sync")
    assert (told.status, told.out) == (5, b"copies: 1 brought\n")
    assert f"store 'far': {first.manifest_key} has disappeared" in told.err
    assert host.everywhere() == ALL
    assert counts(host, "sync") == (0, {})


def test_an_archive_alone_that_was_deleted_is_found_by_repair(host: FarHost) -> None:
    first, _second, _ = archives(host)
    destroy(host, first.archive_key)
    assert counts(host, "repair") == (5, {"verified": 7, "mended": 1})
    assert host.everywhere() == ALL
    assert counts(host, "repair") == (0, {"verified": 8})


def test_a_bucket_that_was_emptied_is_refilled_when_told_so(host: FarHost, faulty: Faults) -> None:
    """Else it is taken for one that is away, and nothing is stored there."""
    destroy(host, "host=mx1")
    faulty.requests.clear()
    told = said(host, "sync")
    assert told.status == 12
    assert "store 'far' is empty, but archives were stored there (4)" in told.err
    assert [seen.method for seen in faulty.requests if seen.method == "PUT"] == []
    told = said(host, "sync", "--refill", "far")
    assert (told.status, told.out, told.err) == (0, b"copies: 4 brought\n", "")
    assert host.everywhere() == ALL


def test_a_target_that_is_new_is_filled(host: FarHost, weed_server: Weed) -> None:
    buckets = {"far": far_of(host), "new": Bucket(weed_server, weed_server.bucket(), weed_server)}
    host.configure(targets=("store",), buckets=buckets, required=3)
    assert counts(host, "sync") == (0, {"brought": 4})
    assert host.everywhere() == ALL


# -- changed ---------------------------------------------------------------------------------


def test_a_flipped_bit_in_the_bucket_is_mended(host: FarHost) -> None:
    spoil(host, archives(host)[1].archive_key)
    assert counts(host, "repair") == (5, {"verified": 7, "mended": 1})
    assert far_of(host).objects() == sound(host)
    assert counts(host, "repair") == (0, {"verified": 8})


def test_a_manifest_that_comes_back_changed_is_mended(host: FarHost, faulty: Faults) -> None:
    """Which the server keeps compressed: its own disk cannot change a bit of it unseen."""
    name = archives(host)[1].manifest_key.rpartition("/")[2]
    faulty.rules = [Rule("GET", name, other_bytes, times=2)]
    assert counts(host, "repair") == (5, {"verified": 7, "mended": 1})
    assert far_of(host).objects() == sound(host)
    assert counts(host, "repair") == (0, {"verified": 8})


def sound(host: FarHost) -> dict[str, bytes]:
    """What the directory has, by key."""
    paths = [path for path in host.store.glob("host=*/source=*/**/*") if path.is_file()]
    return {str(path.relative_to(host.store)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("what", ["archive_key", "manifest_key"])
def test_a_flipped_bit_in_the_directory_is_mended(host: FarHost, what: str) -> None:
    flip(host.store / getattr(archives(host)[1], what), 40)
    assert counts(host, "repair") == (5, {"verified": 7, "mended": 1})
    assert host.everywhere() == ALL
    assert counts(host, "repair") == (0, {"verified": 8})


def test_what_a_server_cannot_give_any_more_is_mended(host: FarHost, faulty: Faults) -> None:
    """Its disk has lost a sector: it fails for that archive, each time, and gives the others."""
    second = archives(host)[1]
    faulty.rules = [Rule("GET", second.archive_key.rpartition("/")[2], INTERNAL_ERROR, times=2)]
    assert counts(host, "repair") == (5, {"verified": 7, "mended": 1})
    assert counts(host, "repair") == (0, {"verified": 8})


def test_two_damaged_copies_are_left_alone(host: FarHost) -> None:
    """No sound one is there to copy: told, with 5; the others are verified all the same."""
    second = archives(host)[1]
    flip(host.store / second.archive_key, 40)
    spoil(host, second.archive_key)
    before = sound(host), far_of(host).objects()
    told = said(host, "repair")
    assert told.status == 5
    assert f"{second.archive_key}: no other store has a sound copy" in told.err
    assert (sound(host), far_of(host).objects()) == before
    assert_once(far_of(host))
    assert counts(host, "repair") == (5, {"verified": 6})


def test_a_damaged_copy_is_not_handed_on(host: FarHost, weed_server: Weed) -> None:
    """A new target is given what is sound, and not the rest."""
    second = archives(host)[1]
    flip(host.store / second.archive_key, 40)
    spoil(host, second.archive_key)
    new = Bucket(weed_server, weed_server.bucket(), weed_server)
    host.configure(targets=("store",), buckets={"far": far_of(host), "new": new}, required=1)
    assert counts(host, "sync") == (5, {"brought": 3})
    assert second.archive_key not in new.objects()
    assert second.manifest_key not in new.objects()


def test_a_bucket_is_mended_from_another_server(
    place: Path, weed_server: Weed, second_weed: Weed
) -> None:
    """No directory has a copy: what one server has lost is brought back from the other."""
    one, other = (Bucket(each, each.bucket(lock=True), each) for each in (weed_server, second_weed))
    host = FarHost(place, targets=(), buckets={"one": one, "other": other}, required=2)
    host.write(day(0))
    assert host.night(after(MONDAY)).exit_status == 0
    before = other.objects()
    (key,) = (key for key in before if key.endswith(".log.zst"))
    second_weed.destroy(other.name, PREFIX + key)
    assert counts(host, "repair") == (5, {"verified": 1, "mended": 1})
    assert other.objects() == before == one.objects()
    assert_once(other)
