"""Reading from a bucket, over connections that break; on a real server."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from archiver.errors import IntegrityError, StoreError
from archiver.stores.s3.store import S3Store
from tests.world.bucket import (
    KEY,
    LARGE,
    MIB,
    SMALL,
    Opening,
    got,
    made,
    methods,
    put,
)
from tests.world.exchange import Exchange
from tests.world.faults import Action, Rule, cut, empty_200, faults
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize(("start", "count"), [(0, None), (7, None), (7, 2 * MIB), (MIB, MIB)])
def test_a_reading_that_is_cut_goes_on(
    weed_server: Weed,
    opening: Opening,
    place: Path,
    length: bool,
    start: int,
    count: int | None,
) -> None:
    """From the next byte, of the same object; told or not how long it is."""
    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, LARGE)
        through.requests.clear()
        through.rules = [Rule("GET", "", cut(to=100_000, length=length), times=5)]
        expected = LARGE[start:] if count is None else LARGE[start : start + count]
        assert got(store, start, count) == expected
        asked = [each for each in through.requests if each.method == "GET" and each.status]
        for turn, each in enumerate(asked[1:], 1):
            begins = start + 100_000 * turn
            assert str(each.range).startswith(f"bytes={begins}-")
            assert each.headers["if-match"] == asked[0].headers.get("if-match", etag(store))
        assert len(asked) == 6


def etag(store: S3Store) -> str:
    answer = store._client.head_object(Bucket=store.target.bucket, Key=store.target.prefix + KEY)
    return str(answer["ETag"])


def test_two_halves_are_of_one_object(weed_server: Weed, opening: Opening, place: Path) -> None:
    """What was replaced meanwhile is not gone on with."""
    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, SMALL)
        through.rules = [Rule("GET", "", cut(to=100))]
        chunks = store.stream(KEY)
        assert next(iter(chunks)) == SMALL[:100]
        put(store, place, SMALL[::-1], replace=True)
        with pytest.raises(StoreError, match="was replaced while it was read"):
            list(chunks)


def test_two_halves_are_of_one_object_for_whoever_does_not_know_if_match(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    def another(exchange: Exchange) -> None:
        told = {"ETag": '"another"', "Content-Range": "bytes 100-199/200"}
        exchange.reply(206, bytes(100), told)

    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, SMALL)
        through.rules = [Rule("GET", "", cut(to=100)), Rule("GET", "", another)]
        with pytest.raises(StoreError, match="was replaced while it was read"):
            got(store)


@pytest.mark.parametrize(
    ("action", "kind", "words"),
    [
        (cut(to=0, length=False), IntegrityError, "holds 100000 bytes, but gives 0"),
        (cut(to=0), StoreError, "broke off"),
        (empty_200, StoreError, "does not say what it holds"),
    ],
)
def test_who_never_gives_more_is_given_up(
    weed_server: Weed,
    opening: Opening,
    place: Path,
    action: Action,
    kind: type[Exception],
    words: str,
) -> None:
    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, SMALL)
        through.rules = [Rule("GET", "", action, times=None)]
        through.requests.clear()
        with pytest.raises(kind, match=words):
            got(store)
        assert methods(through).count("GET") <= store.target.attempts


@pytest.mark.parametrize(("start", "count"), [(0, 10), (7, None), (7, 10), (99_990, 10)])
def test_the_whole_is_not_taken_for_the_part(
    weed_server: Weed, opening: Opening, place: Path, start: int, count: int | None
) -> None:
    """A server, or a cache before it, may answer 200 to a request for a range."""

    def whole(exchange: Exchange) -> None:
        exchange.reply(200, SMALL, {"ETag": '"e"'})

    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, SMALL)
        through.rules = [Rule("GET", "", whole, times=None)]
        end = len(SMALL) if count is None else start + count
        assert got(store, start, count) == SMALL[start:end]
        with pytest.raises(IntegrityError, match="ends 1 bytes too early"):
            got(store, 99_990, 11)


def test_a_range_that_is_another_one(weed_server: Weed, opening: Opening, place: Path) -> None:
    def later(exchange: Exchange) -> None:
        told = {"ETag": '"e"', "Content-Range": "bytes 8-9/100000"}
        exchange.reply(206, b"89", told)

    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, SMALL)
        through.rules = [Rule("GET", "", later, times=None)]
        with pytest.raises(StoreError, match="does not say what it holds"):
            got(store, 7, 3)


def test_sixteen_readers_share_a_store(weed_server: Weed, opening: Opening, place: Path) -> None:
    """Each gets its own range, at the same time."""
    with faults(weed_server) as through:
        store = opening(through, made(weed_server))
        put(store, place, LARGE)
        gate = threading.Barrier(16)

        def read(number: int) -> bool:
            chunks = iter(store.stream(KEY, number * 1000, 3 * MIB))
            first = next(chunks)
            gate.wait(20)
            return first + b"".join(chunks) == LARGE[number * 1000 :][: 3 * MIB]

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(read, range(16))) == [True] * 16


def test_a_chunk_is_no_larger_than_a_mebibyte(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    store = opening(weed_server, made(weed_server))
    put(store, place, LARGE)
    assert max(map(len, store.stream(KEY))) <= MIB


def test_streams_that_are_not_read_to_their_end_hold_no_connection(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    store = opening(weed_server, made(weed_server))
    put(store, place, LARGE)
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        chunks = store.stream(KEY)
        next(iter(chunks))
        del chunks
    assert len(os.listdir("/dev/fd")) <= before
    store.close()
    assert len(os.listdir("/dev/fd")) < before
    assert got(store) == LARGE
