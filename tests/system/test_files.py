"""Files that are wholly the old or wholly the new, directories that are durably named, and one
lock that ends with its holder, however that dies.
"""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import LockHeldError
from archiver.system.files import exclusive, make_directory, remove, remove_tree, write_whole

OLD, NEW = b"old\n" * 3000, b"new, and of another length\n" * 2000


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


# -- write_whole -----------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, OLD], ids=["nothing", "something"])
@pytest.mark.parametrize("new", [b"", NEW], ids=["empty", "long"])
def test_what_was_written_is_there(place: Path, old: bytes | None, new: bytes) -> None:
    """Alone, with the mode asked for, whether something was there before or not."""
    path = place / "file"
    if old is not None:
        path.write_bytes(old)
    write_whole(path, new, 0o600)
    assert new == path.read_bytes()
    assert path.stat().st_mode == stat.S_IFREG | 0o600
    assert names(place) == ["file"]


CALLS = ("open", "fsync", "rename", "fsync of the directory")


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, call: str) -> Iterator[None]:
    """Let one of write_whole's system calls fail as a bad disk makes it fail."""
    name = call.split(maxsplit=1)[0]
    real = getattr(os, name)

    def fail(first: Any, *more: Any, **named: Any) -> Any:
        of_directory = name == "fsync" and stat.S_ISDIR(os.fstat(first).st_mode)
        if of_directory == ("directory" in call):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(first))
        return real(first, *more, **named)

    with monkeypatch.context() as broken:
        broken.setattr(os, name, fail)
        yield


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("old", [None, OLD], ids=["nothing", "something"])
def test_a_failing_step_leaves_the_old_or_the_new(
    place: Path, monkeypatch: pytest.MonkeyPatch, call: str, old: bytes | None
) -> None:
    """And nothing else that a reader takes for the file; the next attempt just succeeds."""
    path = place / "file"
    if old is not None:
        path.write_bytes(old)
    with failing(monkeypatch, call), pytest.raises(OSError, match="Input/output error"):
        write_whole(path, NEW)
    expected = NEW if call == CALLS[-1] else old
    assert expected == (path.read_bytes() if path.exists() else None)
    assert set(names(place)) <= {"file", "file.tmp"}
    write_whole(path, OLD)
    assert path.read_bytes() == OLD
    assert names(place) == ["file"]


def test_a_disk_that_takes_only_half(place: Path) -> None:
    """A limit in the middle of the new content (setrlimit(2)): the old one stays."""
    path = place / "file"
    path.write_bytes(OLD)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(NEW) // 2, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_whole(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == OLD
    write_whole(path, NEW)
    assert path.read_bytes() == NEW


def test_a_reader_never_sees_half(place: Path) -> None:
    """Whoever opens the file while it is replaced 500 times reads one of the two, whole."""
    path = place / "file"
    write_whole(path, OLD)
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(500):
            write_whole(path, OLD if number % 2 else NEW)
    finally:
        stop.set()
        reader.join()
    assert seen <= {OLD, NEW}
    assert seen


def test_data_is_durable_before_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First fsync of the file, then rename, then fsync of the directory (POSIX, fsync(3p))."""
    calls: list[str] = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def record(*given: Any, name: str = name, real: Callable[..., Any] = real) -> None:
            is_directory = name == "fsync" and stat.S_ISDIR(os.fstat(given[0]).st_mode)
            calls.append("fsync of the directory" if is_directory else name)
            real(*given)

        monkeypatch.setattr(os, name, record)
    write_whole(place / "file", NEW)
    assert list(CALLS[1:]) == calls


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_in_the_temporary_s_place_is_not_followed(place: Path, target: str) -> None:
    """Whoever put it there gets nothing written through it; the old file stays."""
    (place / "elsewhere").write_bytes(b"mine")
    (place / "file").write_bytes(OLD)
    (place / "file.tmp").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        write_whole(place / "file", NEW)
    assert (place / "elsewhere").read_bytes() == b"mine"
    assert (place / "file").read_bytes() == OLD
    assert not (place / "nowhere").exists()


def test_a_longer_temporary_from_before_leaves_nothing_behind(place: Path) -> None:
    """A run was killed while it wrote: none of its bytes come back with the next."""
    (place / "file.tmp").write_bytes(OLD * 10)
    write_whole(place / "file", NEW)
    assert (place / "file").read_bytes() == NEW
    assert names(place) == ["file"]


def test_a_link_in_the_file_s_place_is_replaced(place: Path) -> None:
    """rename(2) replaces the link, and what it leads to stays as it was."""
    (place / "elsewhere").write_bytes(b"mine")
    (place / "file").symlink_to("elsewhere")
    write_whole(place / "file", NEW)
    assert not (place / "file").is_symlink()
    assert (place / "elsewhere").read_bytes() == b"mine"


# -- directories -----------------------------------------------------------------------------


def test_missing_parents_are_made_and_named_durably(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new name is made durable in the directory that holds it, the outermost first."""
    synced: list[int] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    make_directory(place / "a/b/c", 0o700)
    expected = [(place / path).stat().st_ino for path in (".", "a", "a/b")]
    assert expected == synced
    assert {0o700} == {stat.S_IMODE((place / path).stat().st_mode) for path in ("a", "a/b/c")}


def test_a_directory_that_is_there_is_left_as_it_is(place: Path) -> None:
    """Its mode and content stay; also if it is a link to a directory."""
    (place / "real").mkdir(0o711)
    (place / "real/file").touch()
    (place / "link").symlink_to("real")
    for name in ("real", "link"):
        make_directory(place / name, 0o700)
    assert stat.S_IMODE((place / "real").stat().st_mode) == 0o711
    assert names(place / "real") == ["file"]


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_no_directory_is_not_taken_for_one(place: Path, kind: str) -> None:
    """The caller is told at once: what he writes next would fail, or go somewhere else."""
    if kind == "file":
        (place / "there").write_bytes(b"mine")
    else:
        (place / "there").symlink_to("nowhere")
    for path in ("there", "there/inner"):
        with pytest.raises(OSError, match=r"exists|directory"):
            make_directory(place / path)
    assert names(place) == ["there"]


def test_two_that_make_the_same_directory(place: Path) -> None:
    """Whoever comes second finds it made, and that is no failure."""
    together = threading.Barrier(8)
    failures: list[OSError] = []

    def make(number: int) -> None:
        together.wait()
        try:
            for depth in range(30):
                make_directory(place / f"{depth}/a/b/{number % 2}")
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(place.glob("*/a/b/*"))) == 60


def test_removing_what_is_not_there(place: Path) -> None:
    """Is done already; and a link to a directory is not gone through."""
    remove(place / "file")
    remove_tree(place / "tree")
    (place / "tree/inner").mkdir(parents=True)
    (place / "outside").mkdir()
    (place / "outside/file").touch()
    (place / "tree/inner/link").symlink_to(place / "outside")
    remove_tree(place / "tree")
    assert names(place) == ["outside"]
    assert names(place / "outside") == ["file"]


# -- the lock --------------------------------------------------------------------------------

HOLD = """\
import os, subprocess, sys
from pathlib import Path
from archiver.system.files import exclusive
with exclusive(Path(sys.argv[1])):
    if len(sys.argv) > 2:
        # A child that inherits all it can, and ends with our stdin, not with us.
        child = subprocess.Popen(["cat"], stdout=subprocess.DEVNULL, close_fds=False)
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(lock: Path, *more: str) -> "Iterator[subprocess.Popen[str]]":
    """Another process, which holds the lock until its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{process.pid}\n"
        yield process


def refused(lock: AbstractContextManager[None]) -> LockHeldError:
    with pytest.raises(LockHeldError) as raised, lock:
        raise AssertionError("both hold it")
    return raised.value


def test_a_second_process_is_refused_and_told_who_holds_it(place: Path) -> None:
    """At once, with exit status 11 and the holder's pid; and when that has ended, it may."""
    lock = place / "lock"
    with holder(lock) as process:
        error = refused(exclusive(lock))
        assert f"process {process.pid}," in error.message
        assert str(lock) in error.message
        assert (error.exit_status, error.retryable, bool(error.hint)) == (11, True, True)
        assert lock.read_text() == f"{process.pid}\n"
        process.communicate()
    with exclusive(lock):
        assert lock.read_text() == f"{os.getpid()}\n"
        assert f"process {os.getpid()}," in refused(exclusive(lock)).message
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


@pytest.mark.parametrize("more", [(), ("child",)], ids=["alone", "with a child"])
def test_the_lock_ends_with_its_holder(place: Path, more: tuple[str, ...]) -> None:
    """Killed by SIGKILL, with a command of its own still running: the next one has it at once."""
    lock = place / "lock"
    with holder(lock, *more) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert lock.read_text() == f"{process.pid}\n"
        with exclusive(lock):
            assert lock.read_text() == f"{os.getpid()}\n"


def test_a_failure_inside_lets_the_lock_go(place: Path) -> None:
    """An exception goes through, and what comes after it may take the lock."""
    with pytest.raises(KeyError), exclusive(place / "lock"):
        raise KeyError
    with exclusive(place / "lock"):
        assert names(place) == ["lock"]


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_is_no_lock(place: Path, target: str) -> None:
    """It is refused: whoever put it there would have us truncate another file."""
    (place / "elsewhere").write_bytes(b"mine")
    (place / "lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"), exclusive(place / "lock"):
        raise AssertionError("through a link")
    assert (place / "elsewhere").read_bytes() == b"mine"
    assert not (place / "nowhere").exists()


GARBAGE = [b"", b"not a pid", b"1\n2\n", b"\x1b[31m\xff\xfe\0\r\n" * 1000, b"7" * 100_000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=["empty", "text", "lines", "binary", "long"])
def test_garbage_in_the_lock_file_does_no_harm(place: Path, garbage: bytes) -> None:
    """It neither keeps anybody from the lock, nor reaches a terminal through the message."""
    lock = place / "lock"
    lock.write_bytes(garbage)
    with exclusive(lock):
        assert lock.read_text() == f"{os.getpid()}\n"
        lock.write_bytes(garbage)
        message = refused(exclusive(lock)).message
    assert message.isprintable()
    assert "process unknown," in message or garbage[:1] == b"7"
    assert len(message) < 200 + len(str(lock))
