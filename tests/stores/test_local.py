"""What a store in a directory promises beyond the contract: plain read-only files that hold after
a crash, nothing outside its directory touched, and failures of the disk told as what they are.

Root may do anything, so failures are put in where the system would refuse.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import ArchiverError, IntegrityError, NoSpaceError, NotFoundError, StoreError
from archiver.stores import local
from archiver.stores.local import PARTIAL, LocalStore
from tests.stores.test_conformance import (
    KEY,
    LARGE,
    NOTHING,
    got,
    keys_in,
    put,
    put_file,
    size_of,
    there,
    watched,
)
from tests.world.host import tree

WHOLE = ([KEY], len(LARGE), LARGE)
TROUBLES = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS, errno.ESTALE]


@pytest.fixture
def store(place: Path) -> LocalStore:
    """An empty store, not made yet."""
    return LocalStore("local", place / "store")


@pytest.fixture
def source(place: Path) -> Path:
    """A file to be stored."""
    path = place / "source"
    path.write_bytes(LARGE)
    return path


def files(store: LocalStore) -> list[str]:
    """The names of all that is no directory."""
    return [str(path.relative_to(store.root)) for path in walked(store.root) if not path.is_dir()]


def walked(root: Path) -> Iterator[Path]:
    return (Path(at, name) for at, below, here in os.walk(root) for name in below + here)


# -- what lies there -------------------------------------------------------------------------


def test_an_object_is_a_read_only_file_at_its_key(store: LocalStore, source: Path) -> None:
    """Nobody changes it by mistake, others may not read it, and nothing else lies about."""
    before = os.umask(0o022)
    try:
        put_file(store, KEY, source, LARGE)
    finally:
        os.umask(before)
    assert files(store) == [KEY]
    assert stat.S_IMODE((store.root / KEY).stat().st_mode) == 0o440
    assert {stat.S_IMODE(path.stat().st_mode) for path in walked(store.root) if path.is_dir()} == {
        0o750
    }


def test_the_same_bytes_again_touch_nothing(store: LocalStore, source: Path) -> None:
    """It is the same file, and not one like it."""
    put_file(store, KEY, source, LARGE)
    before = tree(store.root)
    put_file(store, KEY, source, LARGE)
    assert before == tree(store.root)


def test_no_store_yet(store: LocalStore) -> None:
    """There is nothing in it; nobody who reads makes it."""
    assert there(store, KEY) == NOTHING
    assert not store.root.exists()


def test_the_store_itself_may_be_behind_a_symlink(store: LocalStore, place: Path) -> None:
    """Where it is, is the administrator's to say."""
    (place / "disk").mkdir()
    store.root.symlink_to(place / "disk")
    put(store, KEY, LARGE)
    assert there(store, KEY) == WHOLE


@pytest.mark.parametrize("path", ["store", "store/host=mx1", f"store/{Path(KEY).parent}"])
def test_a_file_where_a_directory_should_be(store: LocalStore, place: Path, path: str) -> None:
    """Something else has the place, a mount point's leftover: told, and left alone."""
    (place / path).parent.mkdir(parents=True, exist_ok=True)
    (place / path).write_bytes(b"mine")
    with pytest.raises(StoreError) as failed:
        put(store, KEY, LARGE)
    assert failed.value.hint != ""
    assert (place / path).read_bytes() == b"mine"
    if path == "store":
        with pytest.raises(StoreError):
            list(keys_in(store))


def test_a_name_for_what_is_unfinished_is_no_key(store: LocalStore) -> None:
    """It would not be listed, and the next put of its neighbour would remove it."""
    with pytest.raises(ValueError):
        put(store, KEY + PARTIAL, b"content")
    assert files(store) == []


# -- what was left by a run that was killed ----------------------------------------------------


@pytest.mark.parametrize("after", [0, 2**20, len(LARGE), len(LARGE) + 1])
def test_what_a_killed_put_left_is_replaced(
    store: LocalStore, source: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Killed while writing or, in the last case, once it was linked: nothing of it stays."""

    def die(offset: int) -> None:
        if offset >= after:
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(local, "remove", lambda _path: None)
        with watched((source, die)):
            if after <= len(LARGE):
                with pytest.raises(KeyboardInterrupt):
                    put_file(store, KEY, source, LARGE)
            else:
                put_file(store, KEY, source, LARGE)
    assert [name for name in files(store) if name.endswith(PARTIAL)] != []
    assert list(keys_in(store)) == ([KEY] if after > len(LARGE) else [])
    put_file(store, KEY, source, LARGE)
    assert files(store) == [KEY]
    assert there(store, KEY) == WHOLE


def test_a_symlink_in_place_of_a_leftover(store: LocalStore, outside: Path) -> None:
    """It is not written through."""
    (store.root / (KEY + PARTIAL)).symlink_to(outside / "file")
    put(store, KEY, LARGE)
    assert (outside / "file").read_bytes() == b"precious"
    assert there(store, KEY) == WHOLE
    assert not (store.root / KEY).is_symlink()


# -- what is no plain file ---------------------------------------------------------------------


@pytest.fixture
def outside(store: LocalStore, place: Path) -> Path:
    """A directory that is not the store's, beside it, with a file in it."""
    (place / "outside").mkdir()
    (place / "outside/file").write_bytes(b"precious")
    (store.root / KEY).parent.mkdir(parents=True)
    return place / "outside"


@pytest.mark.parametrize("leads_to", ["the same", "other", "nothing"])
def test_a_symlink_in_place_of_an_object(
    store: LocalStore, outside: Path, source: Path, leads_to: str
) -> None:
    """It is no object, and no copy of ours: neither read, nor written through, nor replaced."""
    target = outside / ("nowhere" if leads_to == "nothing" else "file")
    if leads_to == "the same":
        target.write_bytes(LARGE)
    (store.root / KEY).symlink_to(target)
    before = tree(outside)
    with pytest.raises((StoreError, IntegrityError)) as refused:
        put_file(store, KEY, source, LARGE)
    assert refused.value.hint != ""
    is_no_object(store)
    assert before == tree(outside)
    assert str(target) == os.readlink(store.root / KEY)


def test_a_directory_in_place_of_an_object(store: LocalStore, outside: Path, source: Path) -> None:
    """It is no object; it and what is in it stay."""
    outside.rename(store.root / KEY)
    with pytest.raises((StoreError, IntegrityError)) as refused:
        put_file(store, KEY, source, LARGE)
    assert refused.value.hint != ""
    is_no_object(store)
    assert files(store) == [f"{KEY}/file"]


@pytest.mark.usefixtures("outside")
def test_a_fifo_in_place_of_an_object(store: LocalStore) -> None:
    """Opening it would wait for ever for somebody to write into it."""
    os.mkfifo(store.root / KEY)
    writer = os.open(store.root / KEY, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(writer, b"so that this test ends")
        is_no_object(store)
    finally:
        os.close(writer)


def is_no_object(store: LocalStore) -> None:
    """Nobody can be made to believe that the store has something under the key."""
    assert size_of(store, KEY) is None
    with pytest.raises(NotFoundError):
        got(store, KEY, 0, 1)
    try:
        listed = list(keys_in(store))
    except StoreError:
        listed = []
    assert KEY not in listed


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_directory_behind_a_symlink_is_not_followed(
    store: LocalStore, outside: Path, source: Path, depth: int
) -> None:
    """Nothing is written there; and since what lies there is not listed, nobody is told that
    the store was read whole: the chain would be forked where the missing part ends.
    """
    below = Path(*Path(KEY).parts[:depth])
    for parent in [p for p in Path(KEY).parents if p.is_relative_to(below)]:
        (store.root / parent).rmdir()
    (store.root / below).symlink_to(outside)
    before = tree(outside)
    with pytest.raises(StoreError) as refused:
        put_file(store, KEY, source, LARGE)
    assert refused.value.hint != ""
    assert before == tree(outside)
    with pytest.raises(StoreError):
        list(keys_in(store, "host=mx1/"))
    assert list(keys_in(store, "host=mx2/")) == []


# -- failures of the disk ----------------------------------------------------------------------


def failing(
    patch: pytest.MonkeyPatch, call: str, number: int, at: int, below: Path | None = None
) -> list[object]:
    """Have a call of the os module fail: the first `at` of them pass. Returns those that failed.

    below: counting only those that name a path there.
    """
    real = getattr(os, call)
    passed: list[object] = []
    failed: list[object] = []

    def fail(*arguments: Any, **options: Any) -> Any:
        if below and not str(arguments[0]).startswith(str(below)):
            return real(*arguments, **options)
        if len(passed) < at or failed:
            passed.append(arguments)
            return real(*arguments, **options)
        failed.append(arguments)
        raise OSError(number, os.strerror(number))

    patch.setattr(os, call, fail)
    return failed


def attempt(store: LocalStore, source: Path) -> ArchiverError | None:
    try:
        put_file(store, KEY, source, LARGE)
    except ArchiverError as failure:
        return failure
    return None


def explained(failure: ArchiverError, number: int) -> bool:
    """Whether it is of its kind, and says which store, and what to try."""
    full = number in {errno.ENOSPC, errno.EDQUOT}
    kind = NoSpaceError if full else StoreError
    return type(failure) is kind and "'local'" in failure.message and failure.hint != ""


@pytest.mark.parametrize("number", TROUBLES, ids=os.strerror)
@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "link", "unlink", "stat"])
def test_a_put_that_fails_leaves_nothing_or_a_whole_object(
    place: Path, source: Path, call: str, number: int
) -> None:
    """Whichever call fails, each in turn, it is told; and the next put works."""
    for at in range(40):
        store = LocalStore("local", place / f"store-{at}")
        with pytest.MonkeyPatch.context() as patch:
            failed = failing(patch, call, number, at, store.root if call == "stat" else None)
            failure = attempt(store, source)
        assert bool(failed) == bool(failure and explained(failure, number)) or call == "stat"
        assert there(store, KEY) in (NOTHING, WHOLE)
        put_file(store, KEY, source, LARGE)
        assert files(store) == [KEY]
        assert there(store, KEY) == WHOLE
        if not failed:
            break
    assert 1 <= at < 39


def test_a_full_disk(store: LocalStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own "no space left" while the bytes are written: nothing is left behind."""
    real = os.open

    def opening(path: Any, flags: int, *more: Any, **options: Any) -> int:
        writes = flags & os.O_CREAT
        return real("/dev/full", os.O_WRONLY) if writes else real(path, flags, *more, **options)

    with monkeypatch.context() as full:
        full.setattr(os, "open", opening)
        with pytest.raises(NoSpaceError) as failed:
            put_file(store, KEY, source, LARGE)
    assert explained(failed.value, errno.ENOSPC)
    assert files(store) == []
    put_file(store, KEY, source, LARGE)
    assert there(store, KEY) == WHOLE


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE], ids=os.strerror)
def test_a_store_that_cannot_be_read(store: LocalStore, number: int) -> None:
    """It is not taken for one that has nothing: neither listed, nor measured, nor read."""
    put(store, KEY, LARGE)

    def fail(offset: int) -> None:
        if offset:
            raise OSError(number, os.strerror(number))

    questions: dict[str, Callable[[], object]] = {
        "scandir": lambda: list(keys_in(store)),
        "stat": lambda: size_of(store, KEY),
        "read": lambda: got(store, KEY),
    }
    for call, ask in questions.items():
        with pytest.MonkeyPatch.context() as patch, watched((store.root / KEY, fail)):
            if call != "read":
                failing(patch, call, number, 0, store.root)
            with pytest.raises(StoreError) as failed:
                ask()
        assert explained(failed.value, number)
    assert there(store, KEY) == WHOLE


def test_a_file_cut_short_behind_our_back(store: LocalStore) -> None:
    """The range that is missing is damage; what is still there is given, and its size told."""
    put(store, KEY, LARGE)
    (store.root / KEY).chmod(0o640)
    os.truncate(store.root / KEY, 2**20)
    with pytest.raises(IntegrityError):
        got(store, KEY, 0, len(LARGE))
    with pytest.raises(IntegrityError):
        got(store, KEY, 2**20, 1)
    assert LARGE[5 : 2**20] == got(store, KEY, 5, 2**20 - 5)
    assert size_of(store, KEY) == 2**20
    with pytest.raises(IntegrityError):
        put(store, KEY, LARGE)


# -- a power cut -------------------------------------------------------------------------------


def synced(patch: pytest.MonkeyPatch) -> list[int]:
    """Watch fsync(2) and link(2). Returns the inodes synced, and 0 for each link."""
    done: list[int] = []
    sync, link = os.fsync, os.link

    def syncing(descriptor: int) -> None:
        sync(descriptor)
        done.append(os.fstat(descriptor).st_ino)

    def linking(*names: Any, **options: Any) -> None:
        link(*names, **options)
        done.append(0)

    patch.setattr(os, "fsync", syncing)
    patch.setattr(os, "link", linking)
    return done


@pytest.mark.parametrize("left", ["nothing", "directories", "the object"])
def test_every_name_on_the_way_is_durable(
    store: LocalStore, source: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """Also those that a killed run made, and did not come to fsync: a put that returns is a
    licence to delete.
    """
    if left == "directories":
        (store.root / KEY).parent.mkdir(parents=True)
    if left == "the object":
        with monkeypatch.context() as killed:
            killed.setattr(os, "fsync", lambda _file: None)
            put_file(store, KEY, source, LARGE)
    done = synced(monkeypatch)
    put_file(store, KEY, source, LARGE)
    inodes = {str(path): (store.root / path).stat().st_ino for path in Path(KEY).parents}
    assert [path for path, inode in inodes.items() if inode not in done] == []


def test_bytes_are_durable_before_their_name(
    store: LocalStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves no name of a file that is empty; and then the name is made durable."""
    done = synced(monkeypatch)
    put_file(store, KEY, source, LARGE)
    linked = done.index(0)
    assert (store.root / KEY).stat().st_ino in done[:linked]
    assert (store.root / KEY).parent.stat().st_ino in done[linked:]


def test_what_was_never_finished_is_tidied_up(store: LocalStore, source: Path) -> None:
    """A host's own, wherever it lies; another host's may be under way."""
    put_file(store, KEY, source, LARGE)
    other = KEY.replace("host=mx1", "host=mx2")
    for key in (KEY, other, "host=mx1/source=maillog/runs/maillog-000001-000004.run"):
        partial = store.root / f"{key}.0123abcd{PARTIAL}"
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(b"half")
    store.tidy("host=mx1/")
    assert [name for name in files(store) if name.endswith(PARTIAL)] == [
        f"{other}.0123abcd{PARTIAL}"
    ]
    assert list(keys_in(store)) == [KEY]
