"""Sending to a bucket: in parts, after a kill, only what was checked, at no more than a pace."""

import hashlib
import pickle
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.archives.receipts import Protection
from archiver.errors import SpoolDamagedError, StoreError
from archiver.stores.s3 import checked_file, upload
from tests.world.bucket import (
    INDEX,
    KEY,
    LARGE,
    LONG,
    MIB,
    PART,
    SMALL,
    Opening,
    got,
    made,
    parts_of,
    put,
    sent_parts,
)
from tests.world.exchange import Exchange
from tests.world.faults import Rule, answer, faults
from tests.world.weed import Weed

SUMS = ["md5", "sha256"]
pytestmark = pytest.mark.usefixtures("impatient")
SHA256 = hashlib.sha256(LONG).hexdigest()
NOW = int(datetime.now(UTC).timestamp())
HOUR = 3600


@pytest.mark.parametrize("checksum", ["md5", "sha256"])
def test_only_the_missing_parts_are_sent(
    weed_server: Weed, opening: Opening, place: Path, checksum: str
) -> None:
    """Those that a killed run has sent are found, and kept if they are the file's."""
    bucket = made(weed_server)
    parts = parts_of(LONG)
    bucket.begin({1: parts[1], 3: parts[3]})
    with faults(weed_server) as through:
        put(opening(through, bucket, checksum=checksum), place, LONG)
    assert sent_parts(through) == [2]
    assert got(opening(weed_server, bucket)) == LONG
    assert bucket.uploads() == []


@pytest.mark.parametrize("wrong", [b"?", LONG[: PART - 1], b"?" + LONG[1:PART]])
def test_a_part_that_is_another_one_is_sent_again(
    weed_server: Weed, opening: Opening, place: Path, wrong: bytes
) -> None:
    bucket = made(weed_server)
    parts = parts_of(LONG)
    bucket.begin({1: wrong, 2: parts[2], 7: b"of a longer file"})
    with faults(weed_server) as through:
        put(opening(through, bucket), place, LONG)
    assert sent_parts(through) == [1, 3]
    assert got(opening(weed_server, bucket)) == LONG


def test_the_fullest_of_several_uploads_goes_on(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """The others are aborted; those of other keys are left alone, however alike."""
    bucket = made(weed_server)
    parts = parts_of(LONG)
    for begun in ({1: parts[1]}, {1: parts[1], 2: parts[2]}, {}, {3: parts[3]}):
        bucket.begin(begun)
    others = [bucket.begin({1: parts[1]}, key) for key in (f"{KEY}.more", KEY[:-1])]
    with faults(weed_server) as through:
        put(opening(through, bucket), place, LONG)
    assert sent_parts(through) == [3]
    assert sorted(bucket.uploads()) == sorted(others)
    assert got(opening(weed_server, bucket)) == LONG


def test_nothing_is_sent_twice_where_all_parts_are_there(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """A run that was killed before it could complete."""
    bucket = made(weed_server)
    bucket.begin(parts_of(LONG))
    with faults(weed_server) as through:
        put(opening(through, bucket), place, LONG)
    assert sent_parts(through) == []
    assert got(opening(weed_server, bucket)) == LONG


def test_what_was_begun_without_a_lock_is_locked(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """The settings of the day it was begun are not those of today."""
    bucket = made(weed_server, lock=True)
    bucket.begin({1: parts_of(LONG)[1]})
    wanted = Protection("compliance", NOW + HOUR, hold=True)
    with faults(weed_server) as through:
        put(opening(through, bucket), place, LONG, wanted)
    assert sent_parts(through) == [2, 3]
    found = opening(weed_server, bucket).find(KEY)
    assert found is not None
    assert found.protection == wanted


@pytest.mark.parametrize("code", [400, 412])
def test_an_upload_that_cannot_be_completed_is_forgotten(
    weed_server: Weed, opening: Opening, place: Path, code: int
) -> None:
    """A part of it is not what it was, or something was there: it would be in the way for ever."""
    bucket = made(weed_server)
    name = {400: "InvalidPart", 412: "PreconditionFailed"}[code]
    rule = Rule("POST", "uploadId=", answer(code, name), times=None)
    with faults(weed_server, [rule]) as through:
        store = opening(through, bucket)
        with pytest.raises(StoreError):
            put(store, place, LARGE)
        assert bucket.uploads() == []
        through.rules = []
        through.requests.clear()
        put(store, place, LARGE)
        assert sent_parts(through) == [1, 2]
    assert got(opening(weed_server, bucket)) == LARGE


KILLED = """
import pickle, sys
from archiver.stores.s3.store import S3Store
target, *what = pickle.loads(bytes.fromhex(sys.argv[1]))
S3Store(target).put(*what)
"""


def test_a_run_that_is_killed_in_the_middle(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """SIGKILL while the last part is on its way: the next run sends that one alone."""
    bucket = made(weed_server)
    source = place / "source"
    source.write_bytes(LONG)
    stuck = threading.Event()

    def hang(exchange: Exchange) -> None:
        stuck.set()
        exchange.hang()

    with faults(weed_server, [Rule("PUT", "partNumber=3", hang, times=None)]) as through:
        target = opening(through, bucket).target
        asked = pickle.dumps((target, KEY, source, SHA256)).hex()
        killed = subprocess.Popen([sys.executable, "-c", KILLED, asked])
        assert stuck.wait(60)
        settled = threading.Event()
        for _ in range(1000):
            done = [each for each in through.requests if "partNumber" in each.target]
            if sum(each.status == 200 for each in done) == 2:
                break
            settled.wait(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert opening(weed_server, bucket).find(KEY) is None
    with faults(weed_server) as through:
        put(opening(through, bucket), place, LONG)
    assert sent_parts(through) == [3]
    assert got(opening(weed_server, bucket)) == LONG


def test_a_large_file_has_no_more_parts_than_there_may_be(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They grow, by whole MiB, and cover the file without a gap."""
    monkeypatch.setattr(checked_file, "MOST_PARTS", 2)
    (place / "source").write_bytes(LONG)
    with checked_file.sealed("far", place / "source", SHA256, PART, "md5") as source:
        assert [(part.number, part.offset, part.size) for part in source.parts] == [
            (1, 0, 6 * MIB),
            (2, 6 * MIB, len(LONG) - 6 * MIB),
        ]
        assert [part.digest for part in source.parts] == [
            hashlib.md5(each, usedforsecurity=False).digest()
            for each in (LONG[: 6 * MIB], LONG[6 * MIB :])
        ]


@pytest.mark.parametrize("size", [PART, 2 * PART])
def test_a_file_of_whole_parts(weed_server: Weed, opening: Opening, place: Path, size: int) -> None:
    """There is no empty part at the end."""
    bucket = made(weed_server)
    with faults(weed_server) as through:
        put(opening(through, bucket), place, LONG[:size])
    assert sent_parts(through) == ([1, 2] if size > PART else [])
    assert got(opening(weed_server, bucket)) == LONG[:size]


# -- only what was checked


@pytest.mark.parametrize(
    ("size", "checksum", "tls"),
    [
        *((size, checksum, tls) for size in (0, 100) for checksum in SUMS for tls in (False, True)),
        (len(LARGE), "md5", False),
        (len(LARGE), "sha256", True),
    ],
)
def test_every_part_is_sent_with_its_digest(
    weed_server: Weed, opening: Opening, place: Path, size: int, checksum: str, tls: bool
) -> None:
    """Of what was checked, and so the server refuses anything else."""
    bucket = made(weed_server)
    header = {"md5": "content-md5", "sha256": "x-amz-checksum-sha256"}[checksum]
    with faults(weed_server, tls=tls) as through:
        put(opening(through, bucket, checksum=checksum), place, LARGE[:size])
        sent = [each for each in through.requests if each.method == "PUT"]
    assert len(sent) == (2 if size > PART else 1)
    assert all(header in each.headers for each in sent)
    assert all("x-amz-trailer" not in each.headers for each in sent)
    assert got(opening(weed_server, bucket)) == LARGE[:size]


@pytest.mark.parametrize(
    ("later", "checksum", "fixture"),
    [
        (b"?" + LARGE[1:], "md5", "weed_server"),
        (LARGE[:-1] + b"?", "sha256", "weed_server"),
        (LARGE[:-1] + b"?", "md5", "tls_weed"),
        (LARGE[:-1], "md5", "tls_weed"),
        (b"", "md5", "weed_server"),
    ],
)
def test_a_file_that_changes_after_it_was_checked(
    request: pytest.FixtureRequest,
    opening: Opening,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    checksum: str,
    later: bytes,
    fixture: str,
) -> None:
    """Nothing of it is stored; the right file goes on with the parts that were right."""
    server: Weed = request.getfixturevalue(fixture)
    bucket = made(server)
    store = opening(server, bucket, checksum=checksum)
    source = place / "source"
    source.write_bytes(LARGE)
    send = upload.Uploader.send

    def change(*arguments: Any, **options: Any) -> Any:
        source.write_bytes(later)
        return send(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(upload.Uploader, "send", change)
        with pytest.raises(SpoolDamagedError, match="changed since it was sealed"):
            store.put(KEY, source, hashlib.sha256(LARGE).hexdigest())
    assert store.find(KEY) is None
    put(store, place, LARGE)
    assert got(store) == LARGE


def test_a_file_that_is_not_what_was_promised(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    """That is found before anything is sent, or asked."""
    (place / "source").write_bytes(LARGE)
    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        for operation in (store.put, store.replace):
            with pytest.raises(SpoolDamagedError, match="changed since it was sealed"):
                operation(KEY, place / "source", SHA256)
    assert through.requests == []


def test_a_file_that_cannot_be_read(weed_server: Weed, opening: Opening, place: Path) -> None:
    store = opening(weed_server, made(weed_server))
    with pytest.raises(StoreError, match="store 'far': No such file or directory while reading"):
        store.put(KEY, place / "missing", SHA256)


# -- at a pace


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_sent_is_paced_and_what_is_signed_is_not(
    weed_server: Weed, opening: Opening, place: Path, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP a body is read twice; what is sent again counts again."""
    waited: list[int] = []

    def drop(exchange: Exchange) -> None:
        exchange.take(10**9)
        exchange.drop()

    monkeypatch.setattr(checked_file.Pace, "wait", lambda _, size: waited.append(size))
    with faults(weed_server, tls=tls) as through:
        store = opening(through, made(weed_server))
        put(store, place, LARGE)
        assert sum(waited) == len(LARGE)
        through.rules = [Rule("PUT", "", drop)]
        put(store, place, SMALL, key=INDEX)
        assert sum(waited) == len(LARGE) + 2 * len(SMALL)


def test_all_threads_together_keep_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle time is not saved up."""
    clock = [1000.0]
    slept: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("time.sleep", slept.append)
    pace = checked_file.Pace(1000)
    for _ in range(3):
        pace.wait(100)
    clock[0] += 100
    pace.wait(500)
    assert slept == pytest.approx([0.1, 0.2, 0.3, 0.5])
    checked_file.Pace(0).wait(10**12)
    assert len(slept) == 4
