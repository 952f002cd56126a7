"""Indexes are made beside the archives, anew to the same bytes, and no archive depends on them."""

import io
import os
import signal
from pathlib import Path

import pytest

from archiver.archives.names import PAGE
from archiver.errors import IndexFailedError, Problems
from archiver.index import build as index
from archiver.index.build import Indexing
from archiver.index.pages import hasher, look_up, number
from archiver.maillog.kinds import KINDS
from archiver.maillog.lines import keys_of
from archiver.setup.demo import lifelike
from archiver.system.streams import cut
from tests.world.host import MONDAY, ROME, Host, after, tree, unpacked

IDENTITY = b"digest"


def frames(messages: int = 60) -> list[bytes]:
    day = b"".join(lifelike.day(MONDAY, ROME, seed=5, messages=messages))
    return list(cut(io.BytesIO(day), 2**14))


def made(directory: Path, of: list[bytes], size: int = 0) -> bytes:
    problems = Problems()
    with Indexing("mx1", KINDS, directory, size, problems) as making:
        for frame in of:
            making.add(frame)
        making.finish(directory / "index", IDENTITY)
    assert problems == []
    return (directory / "index").read_bytes()


def test_each_key_leads_to_its_frames(place: Path) -> None:
    """To all of them; and to few others."""
    of = frames()
    data = made(place, of)
    hashes = hasher("mx1")
    expected: dict[bytes, set[int]] = {}
    for number_of, frame in enumerate(of):
        for line in frame.splitlines(keepends=True):
            for _, key in keys_of(line):
                expected.setdefault(key.lower(), set()).add(number_of)
    exact = 0
    for key, at in expected.items():
        (hashed,) = hashes([key])
        answer = look_up(
            number(hashed),
            lambda first, count: data[first * PAGE : (first + count) * PAGE],
            pages=len(data) // PAGE,
            identity=IDENTITY,
        )
        assert answer.places is None or at <= set(answer.places), key
        exact += answer.places is None or at == set(answer.places)
    assert exact > 0.95 * len(expected)


def test_the_same_bytes_whoever_makes_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process or several, at once or in parts; one index after another or by itself."""
    of = frames()
    alone = made(place, of)
    assert made(place, of, size=2**40) == alone
    monkeypatch.setattr(index, "AT_ONCE", 100)
    assert made(place, of) == alone
    with Indexing("mx1", KINDS, place, 0, Problems()) as making:
        for name in ("first", "second"):
            for frame in of:
                making.add(frame)
            making.finish(place / name, IDENTITY)
    assert (place / "first").read_bytes() == (place / "second").read_bytes() == alone


def test_nothing_is_left_beside_it(place: Path) -> None:
    made(place, frames())
    assert list(tree(place)) == ["index"]


@pytest.mark.parametrize("size", [0, 2**40])
def test_a_failure_is_told_and_leaves_no_index(
    place: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Whatever it is; the next index is made."""
    problems = Problems()
    of = frames(20)
    alone = made(place, of)

    def full(*_: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    with Indexing("mx1", KINDS, place, size, problems) as making:
        for frame in of:
            making.add(frame)
        with monkeypatch.context() as patched:
            patched.setattr(index, "save", full)
            making.finish(place / "broken", IDENTITY)
        for frame in of:
            making.add(frame)
        making.finish(place / "sound", IDENTITY)
    assert len(problems) == 1
    assert "No space left" in problems[0].message
    assert not (place / "broken").exists()
    assert (place / "sound").read_bytes() == alone


# -- on the stores -----------------------------------------------------------------------------


def sidecars(host: Host) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(host.store.rglob("*"))
        if path.suffix in {".idx", ".run"}
    }


def months(host: Host, days: int = 9) -> bytes:
    every = b""
    for ahead in range(days):
        day = b"".join(lifelike.day(after(MONDAY, ahead), ROME, seed=1, messages=12))
        every += day
        host.write(day)
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    return every


def test_made_anew_to_the_same_bytes(host: Host) -> None:
    """After they were deleted, ruined, or simply again; merged indexes, too."""
    months(host)
    before = sidecars(host)
    assert {name.rpartition(".")[2] for name in before} == {"idx", "run"}
    for how in ("again", "ruined", "deleted"):
        for path in host.store.rglob("*"):
            if path.suffix in {".idx", ".run"} and how != "again":
                path.chmod(0o640)
                path.write_bytes(b"x" * 5000)
                if how == "deleted":
                    path.unlink()
        said = host.archiver("catalog", "rebuild", "--index", now=host.at(after(MONDAY, 9)))
        assert (said.status, said.err) == (0, "")
        assert sidecars(host) == before


def test_archives_do_not_need_them(host: Host) -> None:
    """With all of them deleted, `zstd -dc` and every answer are the same."""
    every = months(host)
    words = ("fetch", "--text", "imapd: LOGIN", "--archived")
    answer = host.archiver(*words).out
    user = answer.split(b"user=")[1].split(b",")[0].decode()
    logins = host.archiver("fetch", "--user", user, "--archived").out
    assert logins
    for path in host.store.rglob("*"):
        if path.suffix in {".idx", ".run"}:
            path.unlink()
    assert b"".join(unpacked(path.read_bytes()) for path in archives(host)) == every
    assert host.archiver(*words).out == answer
    said = host.archiver("fetch", "--user", user, "--archived")
    assert (said.status, said.out) == (0, logins)
    assert host.archiver("catalog", "rebuild").status == 0
    said = host.archiver("fetch", "--user", user, "--archived")
    assert (said.status, said.out) == (0, logins)


def archives(host: Host) -> list[Path]:
    return [host.store / manifest.archive_key for manifest in host.manifests()]


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """The index under way is lost, and told; the next one is made."""
    problems = Problems()
    frame = b"Nov 23 08:41:25 mx1 qmail: 1795423285.939816 new msg 2360559\n"
    with Indexing("mx1", ["queue_id"], tmp_path, 2**30, problems) as making:
        for worker in making._crew._processes:
            worker._process.kill()
            worker._process.wait()
        making.add(frame)
        making.finish(tmp_path / "1.idx", b"one")
        making.add(frame)
        making.finish(tmp_path / "2.idx", b"two")
        making.add(frame)
        making.finish(tmp_path / "3.idx", b"three")
    assert [type(problem) for problem in problems] == [IndexFailedError] * len(problems)
    assert 1 <= len(problems) <= 2
    assert not (tmp_path / "1.idx").exists()
    assert (tmp_path / "3.idx").exists()


def test_a_worker_that_is_stopped_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for longer than patience lasts, and ended."""
    monkeypatch.setattr(index, "PATIENCE", 0.2)
    problems = Problems()
    with Indexing("mx1", ["queue_id"], tmp_path, 2**30, problems) as making:
        for worker in making._crew._processes:
            os.kill(worker._process.pid, signal.SIGSTOP)
        making.add(b"Nov 23 08:41:25 mx1 qmail: 1795423285.939816 new msg 2360559\n")
        making.finish(tmp_path / "1.idx", b"one")
        workers = [worker._process for worker in making._crew._processes]
    assert [type(problem) for problem in problems] == [IndexFailedError]
    assert all(worker.poll() is not None for worker in workers)
