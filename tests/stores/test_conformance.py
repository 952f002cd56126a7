"""What every store promises, whatever it keeps its objects in: the contract in `archiver.stores`.

A new kind of store passes by adding one line to STORES. Nothing here knows of directories.
"""

import builtins
import hashlib
import io
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.archives.names import ARCHIVE_SUFFIX, MANIFEST_SUFFIX, date_prefix, source_prefix
from archiver.config.targets import LocalTarget, Target
from archiver.errors import IntegrityError, NotFoundError, SpoolDamagedError, StoreError
from archiver.stores import Store, open_store
from archiver.stores.s3.store import S3Store
from tests.conftest import MEMORY
from tests.world.bucket import made, target
from tests.world.weed import Weed

KEY = "host=mx1/source=maillog/date=2026-05-04/maillog-20260504T100000Z-000001.log.zst"
MIB = 2**20
LARGE = random.Random(1).randbytes(3 * MIB + 7)
ILL_FORMED = ["", "/", "/x", "x/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\0b", "a/\0"]
Place = Callable[[Path], Target]


def in_a_directory(_request: pytest.FixtureRequest) -> Place:
    return lambda place: LocalTarget("local", place / "store")


def in_a_bucket(request: pytest.FixtureRequest) -> Place:
    """On a real server, each place below a prefix of its own."""
    server: Weed = request.getfixturevalue("weed_server")
    secrets = request.getfixturevalue("tmp_path_factory").mktemp("secrets")
    bucket = target(secrets, server, made(server).name)
    return lambda place: replace(bucket, prefix=f"{hashlib.sha256(bytes(place)).hexdigest()[:16]}/")


# Asked twice for the same place, each tells the same one.
STORES: dict[str, Callable[[pytest.FixtureRequest], Place]] = {
    "local": in_a_directory,
    "s3": in_a_bucket,
}


@contextmanager
def opening(request: pytest.FixtureRequest, place: Path) -> Iterator[Callable[[], Store]]:
    """Give what opens a store, each time anew, in the same place; all are closed at the end."""
    where = STORES[request.param](request)(place)
    with ExitStack() as stack:

        def open_() -> Store:
            store = open_store(where)
            if isinstance(store, S3Store):
                stack.callback(store.close)
            return store

        yield open_


@pytest.fixture(params=STORES)
def again(request: pytest.FixtureRequest, place: Path) -> Iterator[Callable[[], Store]]:
    """What opens a store, each time anew, in the same place."""
    with opening(request, place) as open_:
        yield open_


@pytest.fixture
def store(again: Callable[[], Store]) -> Store:
    """An empty store."""
    return again()


@pytest.fixture(scope="module", params=STORES)
def filled(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store that examples of properties fill up, each below names of its own."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as directory,
        opening(request, Path(directory)) as open_,
    ):
        yield open_()


def put(store: Store, key: str, content: bytes, promised: bytes | None = None) -> None:
    """Put bytes under a key; promised: of which the digest is told instead of their own."""
    with tempfile.NamedTemporaryFile() as source:
        source.write(content)
        source.flush()
        put_file(store, key, Path(source.name), content if promised is None else promised)


def put_file(store: Store, key: str, source: Path, promised: bytes) -> None:
    store.put(key, source, hashlib.sha256(promised).hexdigest())


def got(store: Store, key: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join(store.stream(key, start, length))


def keys_in(store: Store, prefix: str = "") -> Iterator[str]:
    return (each.key for each in store.listed(prefix))


def size_of(store: Store, key: str) -> int | None:
    found = store.find(key)
    return None if found is None else found.size


def there(store: Store, key: str) -> tuple[list[str], int | None, bytes | None]:
    """All that can be learnt of a key: what is listed, its size, its content."""
    try:
        content = got(store, key)
    except NotFoundError:
        content = None
    return list(keys_in(store)), size_of(store, key), content


NOTHING: tuple[list[str], None, None] = ([], None, None)


@contextmanager
def watched(*sources: tuple[Path, Callable[[int], None]]) -> Iterator[None]:
    """Have something done before each chunk is read from a file; it is told where that begins."""
    steps = dict(sources)
    real = builtins.open

    class Watched(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            steps[Path(os.fsdecode(self.name))](self.tell())
            return super().read(-1 if size is None else min(size, MIB)) or b""

        def readinto(self, buffer: Any, /) -> int:
            steps[Path(os.fsdecode(self.name))](self.tell())
            return super().readinto(memoryview(buffer)[:MIB]) or 0

    def opening(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        if isinstance(file, Path) and file in steps:
            return Watched(file, "r")
        return real(file, mode, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", opening)
        yield


# -- put, size, stream -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4096, MIB - 1, MIB, MIB + 1, len(LARGE)])
def test_what_was_put_is_given_back(again: Callable[[], Store], size: int) -> None:
    """Byte for byte, listed, with its size; also by another store on the same place."""
    put(again(), KEY, LARGE[:size])
    assert ([KEY], size, LARGE[:size]) == there(again(), KEY)


def test_the_same_bytes_again(store: Store) -> None:
    """Nothing happens, however often: a run that was killed puts what it had put."""
    for content in (b"", LARGE):
        for _ in range(3):
            put(store, f"{len(content)}", content)
        assert content == got(store, f"{len(content)}")
    assert ["0", str(len(LARGE))] == list(keys_in(store))


@pytest.mark.parametrize("old", [b"", b"old", LARGE])
@pytest.mark.parametrize("new", [b"", b"new", b"old and longer", LARGE[:-1], LARGE[:-1] + b"?"])
def test_other_bytes_are_refused(store: Store, old: bytes, new: bytes) -> None:
    """What is there stays, whichever of the two is longer."""
    if old == new:
        new += b"!"
    put(store, KEY, old)
    with pytest.raises(IntegrityError) as refused:
        put(store, KEY, new)
    assert refused.value.hint != ""
    assert ([KEY], len(old), old) == there(store, KEY)


@pytest.mark.parametrize("changed", [b"", LARGE[:-1], LARGE + b"!", b"?" + LARGE[1:]])
def test_a_file_that_is_not_what_was_promised(store: Store, changed: bytes) -> None:
    """Nothing is stored, under no name; and the right one can be put afterwards."""
    with pytest.raises(SpoolDamagedError):
        put(store, KEY, changed, promised=LARGE)
    assert there(store, KEY) == NOTHING
    put(store, KEY, LARGE)
    assert ([KEY], len(LARGE), LARGE) == there(store, KEY)


@pytest.mark.parametrize(
    ("stored", "changed"),
    [(b"sealed", b""), (b"sealed", b"sealed!"), (b"sealed", b"sealeD"), (b"wrong", b"wrong")],
)
def test_a_changed_file_of_what_is_there_already(
    store: Store, stored: bytes, changed: bytes
) -> None:
    """It is the file that is damaged, also if the store agrees with it; what is there stays."""
    put(store, KEY, stored)
    with pytest.raises(SpoolDamagedError):
        put(store, KEY, changed, promised=b"sealed")
    assert there(store, KEY) == ([KEY], len(stored), stored)


@pytest.mark.parametrize("key", ["b", "a/b/c/d", "a/b/c.log", KEY])
def test_a_missing_key(store: Store, key: str) -> None:
    """There is no size and nothing to read, not even no byte; neighbours do not count."""
    for neighbour in ("a/b/c", "a/bb", "a.b", f"{KEY}.sig"):
        put(store, neighbour, b"something")
    assert size_of(store, key) is None
    for length in (None, 0, 1):
        with pytest.raises(NotFoundError) as missing:
            got(store, key, 0, length)
        assert missing.value.hint != ""


@pytest.mark.parametrize("key", ["a", "a/b"])
def test_the_beginning_of_a_key_is_no_key(store: Store, key: str) -> None:
    """What a store may have to make of it on the way is nothing that was put there."""
    put(store, "a/b/c", b"something")
    assert size_of(store, key) is None
    with pytest.raises(NotFoundError):
        got(store, key)


@pytest.mark.parametrize("key", ILL_FORMED)
def test_ill_formed_keys_are_refused(store: Store, place: Path, key: str) -> None:
    """By everything that takes a key; nothing is stored, or made, anywhere."""
    (place / "source").write_bytes(b"content")
    before = sorted(place.rglob("*"))
    with pytest.raises(ValueError):
        put_file(store, key, place / "source", b"content")
    with pytest.raises(ValueError):
        size_of(store, key)
    with pytest.raises(ValueError):
        got(store, key)
    assert before == sorted(place.rglob("*"))
    assert list(keys_in(store)) == []


# -- ranges ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 11), (3, 8), (10, 1), (10, 2), (11, 1), (12, 1), (0, 10**12), (10**12, 1), (11, 0)],
)
def test_a_range_is_given_whole_or_complained_of(store: Store, start: int, length: int) -> None:
    """What is missing at the end is damage: it does not pass for a short answer."""
    put(store, KEY, b"hello world")
    if start + length <= 11:
        assert b"hello world"[start : start + length] == got(store, KEY, start, length)
    else:
        with pytest.raises(IntegrityError) as short:
            got(store, KEY, start, length)
        assert short.value.hint != ""


@settings(deadline=None)
@given(content=st.binary(max_size=60), ends=st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_ranges_are_slices(filled: Store, content: bytes, ends: tuple[int, int]) -> None:
    """With a length or without, empty ones too."""
    key = f"ranges/{hashlib.sha256(content).hexdigest()}"
    put(filled, key, content)
    start, end = sorted(min(each, len(content)) for each in ends)
    assert content[start:end] == got(filled, key, start, end - start)
    assert content[start:] == got(filled, key, start)


def test_ranges_of_large_objects_are_slices(store: Store) -> None:
    """Also across the pieces in which a store may read."""
    put(store, KEY, LARGE)
    for start in (0, 1, MIB - 1, MIB, 2 * MIB + 1, len(LARGE) - 1):
        for length in (1, MIB - 1, MIB, MIB + 1, 2 * MIB, len(LARGE) - start):
            if start + length <= len(LARGE):
                assert LARGE[start : start + length] == got(store, KEY, start, length)
        assert LARGE[start:] == got(store, KEY, start)


def descriptors() -> list[str]:
    return sorted(os.listdir("/dev/fd"))


def test_streams_that_are_not_read_to_their_end_hold_nothing(store: Store) -> None:
    """Neither a file nor a connection, whether closed or forgotten; nor do those that failed."""
    put(store, KEY, LARGE)
    before = descriptors()
    for length in (None, len(LARGE), 10 * MIB):
        stream = store.stream(KEY, 0, length)
        assert LARGE.startswith(next(iter(stream)))
        del stream
        store.stream(KEY, 0, length)
    with pytest.raises(IntegrityError):
        got(store, KEY, len(LARGE), 1)
    next(iter(keys_in(store)))
    assert len(before) == len(descriptors())
    if store.is_near:  # a far one connects anew, perhaps by another number
        assert before == descriptors()


# -- keys ------------------------------------------------------------------------------------

# What sorts before the slash, after it, and by more than one byte.
NAMES = st.text("ab0-+. =_é€😀", min_size=1, max_size=3).filter(lambda name: name.strip("."))
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@settings(deadline=None)
@given(keys=st.sets(KEYS, max_size=12), data=st.data())
def test_keys_are_sorted_and_begin_with_the_prefix(
    filled: Store, keys: set[str], data: st.DataObject
) -> None:
    """The prefix may end anywhere: in the middle of a name, on a slash, or be a whole key."""
    # A store may be unable to hold both a key and another one below it.
    apart = {key for key in keys if not any(other.startswith(f"{key}/") for other in keys)}
    below = f"keys-{os.urandom(8).hex()}/"
    for key in apart:
        put(filled, below + key, b"")
    whole = st.sampled_from(sorted(keys)) if keys else st.just("")
    beginning = st.tuples(whole, st.integers(0, 12)).map(lambda each: each[0][: each[1]])
    for prefix in ("", data.draw(beginning), data.draw(whole) + "/", data.draw(KEYS)):
        expected = sorted(key for key in apart if key.startswith(prefix))
        assert [below + key for key in expected] == list(keys_in(filled, below + prefix))


def test_keys_such_as_ours(store: Store) -> None:
    """In the order of days for each source; one whose name begins as another's is apart."""
    ours = []
    for host in ("mx1", "mx1-old", "mx1.example.org", "mx10"):
        for source in ("maillog", "maillog-smtp", "maillog.2", "maillog2"):
            for day in (date(2026, 5, 4), date(2026, 5, 5), date(2026, 10, 1)):
                stem = f"{date_prefix(host, source, day)}{source}-20260504T100000Z-000001"
                ours += [stem + ARCHIVE_SUFFIX, stem + MANIFEST_SUFFIX]
    for key in reversed(ours):
        put(store, key, key.encode())
    assert sorted(ours) == list(keys_in(store))
    assert sorted(ours[:6]) == list(keys_in(store, source_prefix("mx1", "maillog")))
    assert [key.encode() for key in sorted(ours)] == [got(store, key) for key in sorted(ours)]


# -- interrupted, and at once ----------------------------------------------------------------


@pytest.mark.parametrize("trouble", [OSError(5, "EIO"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("after", [0, MIB, len(LARGE)])
def test_an_interrupted_put_leaves_no_key(
    store: Store, place: Path, trouble: BaseException, after: int
) -> None:
    """Whatever stopped it, and wherever; the next one begins anew."""
    source = place / "source"
    source.write_bytes(LARGE)

    def stop(offset: int) -> None:
        if offset >= after:
            raise trouble

    expected = StoreError if isinstance(trouble, OSError) else type(trouble)
    before = descriptors()
    with watched((source, stop)), pytest.raises(expected):
        put_file(store, KEY, source, LARGE)
    assert before == descriptors()
    assert there(store, KEY) == NOTHING
    put_file(store, KEY, source, LARGE)
    assert ([KEY], len(LARGE), LARGE) == there(store, KEY)


def test_what_is_unfinished_is_not_there(again: Callable[[], Store], place: Path) -> None:
    """Not for those who list, measure or read while it is being put."""
    store = again()
    source = place / "source"
    source.write_bytes(LARGE)
    seen = []
    with watched((source, lambda _offset: seen.append(there(again(), KEY)))):
        put_file(store, KEY, source, LARGE)
    assert len(seen) >= 3
    assert [NOTHING] * len(seen) == seen


def test_no_put_publishes_what_another_has_half_written(
    again: Callable[[], Store], place: Path
) -> None:
    """One has all but finished when another comes, and finishes while that is in the middle."""
    first, second = place / "first", place / "second"
    at_the_end, in_the_middle, finished = (threading.Event() for _ in range(3))
    seen = []

    def wait_at_the_end(offset: int) -> None:
        if offset == len(LARGE):
            at_the_end.set()
            in_the_middle.wait(2)

    def wait_in_the_middle(offset: int) -> None:
        if offset >= MIB:
            in_the_middle.set()
            finished.wait(2)
        seen.append(there(again(), KEY))

    for source in (first, second):
        source.write_bytes(LARGE)
    with (
        watched((first, wait_at_the_end), (second, wait_in_the_middle)),
        ThreadPoolExecutor(2) as pool,
    ):
        one = pool.submit(put_file, again(), KEY, first, LARGE)
        at_the_end.wait(2)
        another = pool.submit(put_file, again(), KEY, second, LARGE)
        failures = [one.exception()]
        finished.set()
        failures.append(another.exception())
    whole = ([KEY], len(LARGE), LARGE)
    assert [each for each in seen if each not in (NOTHING, whole)] == []
    assert failures == [None, None]
    assert whole == there(again(), KEY)


@pytest.mark.parametrize("same", [True, False])
def test_many_puts_at_once(again: Callable[[], Store], same: bool) -> None:
    """One wins, and all see its bytes; to bring the same is fine, others are refused."""
    for turn in range(15):
        contents = [LARGE[: 2 * MIB] + (b"" if same else b"%d" % number) for number in range(4)]
        gate = threading.Barrier(4)

        def compete(content: bytes, key: str = f"{turn}", gate: Any = gate) -> bytes:
            mine = again()
            gate.wait()
            put(mine, key, content)
            return got(mine, key)

        with ThreadPoolExecutor(4) as pool:
            ended = [pool.submit(compete, content) for content in contents]
        won = [each.result() for each in ended if not each.exception()]
        assert len(won) >= 1
        assert {got(again(), f"{turn}")} == set(won)
        assert set(won) <= set(contents)
        kinds = {type(each.exception()) for each in ended if each.exception()}
        assert kinds <= (set() if same else {IntegrityError})
    assert sorted(map(str, range(15))) == list(keys_in(again()))


INDEX = KEY.replace(".log.zst", ".idx")


@pytest.mark.parametrize("key", [INDEX, "host=mx1/source=maillog/runs/maillog-000001-000004.run"])
def test_an_index_can_be_removed_and_made_again(store: Store, key: str) -> None:
    """Other bytes may take its place; to remove what is not there is no failure."""
    put(store, key, b"one")
    store.remove(key)
    assert there(store, key) == ([], None, None)
    store.remove(key)
    put(store, key, b"another")
    assert got(store, key) == b"another"


@pytest.mark.parametrize("suffix", [ARCHIVE_SUFFIX, MANIFEST_SUFFIX, MANIFEST_SUFFIX + ".sig", ""])
def test_nothing_else_can_be_removed(store: Store, suffix: str) -> None:
    """An archive, its manifest and its signature are there to stay."""
    key = KEY.removesuffix(ARCHIVE_SUFFIX) + suffix
    put(store, key, b"content")
    with pytest.raises(ValueError, match="not the key of an index"):
        store.remove(key)
    assert got(store, key) == b"content"


@pytest.mark.parametrize("key", [KEY, INDEX])
def test_what_was_destroyed_is_gone(again: Callable[[], Store], key: str) -> None:
    """And nothing else; once more, there is nothing to destroy."""
    others = [KEY.replace("000001", "000002"), KEY + ".idx", INDEX.replace("2026", "2025")]
    for each in (key, *others):
        put(again(), each, b"content")
    (gone,) = again().destroy(key)
    assert gone.reply
    assert there(again(), key) == (sorted(others), None, None)
    assert again().destroy(key) == ()
    assert list(keys_in(again())) == sorted(others)
    put(again(), key, b"another")
    assert got(again(), key) == b"another"


@pytest.mark.parametrize(
    "key",
    [
        KEY.removesuffix(ARCHIVE_SUFFIX) + MANIFEST_SUFFIX,
        KEY.removesuffix(ARCHIVE_SUFFIX) + MANIFEST_SUFFIX + ".sig",
        "host=mx1/ledger/00000001.json",
        "host=mx1/source=maillog/date=2026-05-04/",
        "",
    ],
)
def test_manifests_and_the_ledger_are_never_destroyed(store: Store, key: str) -> None:
    """By whatever mistake it is asked for."""
    if key and not key.endswith("/"):
        put(store, key, b"content")
    with pytest.raises(ValueError, match="neither an archive nor an index"):
        store.destroy(key)
    if key and not key.endswith("/"):
        assert got(store, key) == b"content"


def test_what_is_not_held_needs_no_lifting(store: Store) -> None:
    put(store, KEY, b"content")
    store.lift_hold(KEY)
    assert got(store, KEY) == b"content"
    assert not store.can_hold


def test_tidying_leaves_what_is_complete(store: Store) -> None:
    keys = [KEY, INDEX, KEY.replace("host=mx1", "host=mx2")]
    for key in keys:
        put(store, key, b"content")
    store.tidy("host=mx1/")
    store.tidy("host=nobody/")
    assert list(keys_in(store)) == sorted(keys)
