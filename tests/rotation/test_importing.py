"""Adopting what newsyslog and logrotate left: whole, once, or not at all."""

import bz2
import gzip
import lzma
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from archiver.rotation import importing as adopt
from archiver.rotation import seal as archive
from archiver.rotation import segments
from archiver.rotation.spool import Intent, Journal
from archiver.stores import copy
from archiver.stores.session import started
from tests.world.host import MONDAY, Host, Said, after, flip, lines
from tests.world.system import need

LOG = b"".join(lines(after(MONDAY, ahead), "08:00:00", "20:00:00") for ahead in range(3))
PROGRAMS = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd"}
LIBRARIES: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def left(host: Host, name: str, content: bytes = LOG) -> Path:
    """A file that another rotator left on Thursday."""
    path = host.directory / name
    path.write_bytes(content)
    os.utime(path, (host.at(after(MONDAY, 3)),) * 2)
    return path


def adopted(host: Host, *words: str | Path) -> Said:
    return host.archiver("import", *words, now=host.at(after(MONDAY, 3), "12:00"))


def nothing_is_stored(host: Host) -> bool:
    return (host.dates(), host.spooled(), list(host.store.rglob("*.log*"))) == ([], [], [])


# -- what can be read -------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_the_real_programs_wrote(host: Host, kind: str) -> None:
    """By content, whatever the name: an archive for each date, the lines as they were."""
    plain = left(host, "maillog.0")
    packed = subprocess.run([need(PROGRAMS[kind]), "-c", plain], capture_output=True, check=True)
    path = left(host, "maillog.old", packed.stdout)
    before = path.stat()
    assert adopted(host, path).status == 0
    assert [(str(after(MONDAY, ahead)), 2) for ahead in range(3)] == host.dates()
    assert LOG == b"".join(host.content()) == host.fetch(MONDAY, after(MONDAY, 2))
    assert host.spooled() == []
    now = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (now.st_ino, now.st_mtime_ns)
    assert packed.stdout == path.read_bytes()


@pytest.mark.parametrize("kind", ["", *LIBRARIES])
def test_files_in_several_pieces(host: Host, kind: str) -> None:
    """`cat a.gz b.gz` is a file as good as any; so is a plain one."""
    half = LOG.index(b"May  6")
    pack = LIBRARIES.get(kind, bytes)
    assert adopted(host, left(host, "maillog.0", pack(LOG[:half]) + pack(LOG[half:]))).status == 0
    assert b"".join(host.content()) == LOG


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_files_padded_with_zeros(host: Host, kind: str) -> None:
    """As tapes and `dd` leave them; gzip(1) and xz(1) allow it."""
    assert adopted(host, left(host, "maillog.0", LIBRARIES[kind](LOG) + b"\0" * 512)).status == 0
    assert b"".join(host.content()) == LOG


def test_many_files_are_taken_oldest_first(host: Host) -> None:
    """So that the chain follows time, however a shell sorts their names."""
    paths = []
    for age, ahead in ((10, 0), (9, 1), (0, 2)):
        paths.append(left(host, f"maillog.{age}", lines(after(MONDAY, ahead), "12:00:00")))
        os.utime(paths[-1], (host.at(after(MONDAY, ahead + 1)),) * 2)
    assert adopted(host, *sorted(paths)).status == 0
    assert [(str(after(MONDAY, ahead)), 1) for ahead in range(3)] == host.dates()


@pytest.mark.parametrize("kind", ["", *LIBRARIES])
def test_an_empty_file(host: Host, kind: str) -> None:
    """0, and nothing is stored; nor is it in the way of the next one."""
    said = adopted(host, left(host, "maillog.0", LIBRARIES.get(kind, bytes)(b"")))
    assert (said.status, said.err) == (0, "")
    assert nothing_is_stored(host)


@pytest.mark.system
def test_a_name_that_is_no_text(host: Host) -> None:
    """Names are bytes; one in Latin-1 is imported as any other, also for a reader of JSON."""
    name = os.fsdecode(b"maillog-caf\xe9")
    left(host, name)
    for words in (("import", host.directory / name), ("--json", "import", host.directory / name)):
        said = host.process(*words)
        assert (said.status, said.err) == (0, "")
    assert b"".join(host.content()) == LOG


# -- once -------------------------------------------------------------------------------------


def test_the_same_again(host: Host) -> None:
    """Under the same name, another, or another compression: stored once."""
    first = left(host, "maillog.0")
    assert adopted(host, first).status == 0
    stored = host.documents()
    again = [first, left(host, "copy"), *(left(host, k, LIBRARIES[k](LOG)) for k in LIBRARIES)]
    for path in again:
        said = adopted(host, path)
        assert (said.status, said.err) == (0, "")
        assert b"archived before" in said.out
    assert adopted(host, *again).status == 0
    assert stored == host.documents()
    assert host.spooled() == []
    assert host.fetch(MONDAY, after(MONDAY, 2)) == LOG


def test_a_longer_file_is_another_one(host: Host) -> None:
    """Only whole files are known again: what was said of no other is not promised."""
    more = LOG + lines(after(MONDAY, 2), "21:00:00")
    assert adopted(host, left(host, "maillog.0"), left(host, "maillog.1", more)).status == 0
    assert LOG + more == b"".join(host.content())


# -- what cannot be read ----------------------------------------------------------------------


def cut_short(data: bytes) -> bytes:
    return data[:-9]


def one_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def second_piece(data: bytes) -> bytes:
    return data + one_bit(data)


def second_start(data: bytes) -> bytes:
    return data + data[:2] + b"\0\0\0" + data[5:]


@pytest.mark.parametrize("damage", [cut_short, one_bit, second_piece, second_start])
@pytest.mark.parametrize("kind", LIBRARIES)
def test_damaged_files(host: Host, kind: str, damage: Callable[[bytes], bytes]) -> None:
    """5, nothing of them is stored, not even with --remove are they gone."""
    path = left(host, f"maillog.0.{kind}", damage(LIBRARIES[kind](LOG)))
    said = adopted(host, "--remove", path)
    assert said.status == 5
    assert str(path) in said.err
    assert nothing_is_stored(host)
    assert path.exists()


@pytest.mark.parametrize("change", ["grown", "rewritten", "replaced"])
def test_a_file_that_changes_meanwhile(
    host: Host, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Something still writes to it: 3, and nothing of it is stored."""
    path = left(host, "maillog.0")
    seal = archive.seal

    def meanwhile(*given: Any, **named: Any) -> Any:
        sealed = seal(*given, **named)
        if change == "grown":
            path.write_bytes(LOG + lines(after(MONDAY, 2), "21:00:00"))
        elif change == "rewritten":
            path.write_bytes(LOG)
        else:
            path.rename(host.directory / "maillog.1")
            left(host, "maillog.0")
        return sealed

    monkeypatch.setattr(archive, "seal", meanwhile)
    said = adopted(host, "--remove", path)
    assert said.status == 3
    assert path.exists()
    assert nothing_is_stored(host)


def test_what_is_no_file_to_import(host: Host) -> None:
    """The live log, under any name, a directory and a FIFO: 2; a missing file: 4."""
    host.write(LOG)
    os.link(host.log, host.directory / "hard")
    (host.directory / "soft").symlink_to("maillog")
    (host.directory / "directory").mkdir()
    os.mkfifo(host.directory / "fifo")
    names = ("maillog", "hard", "soft", "directory", "fifo", "missing")
    said = {name: adopted(host, "--remove", host.directory / name) for name in names}
    assert {name: 4 if name == "missing" else 2 for name in names} == {
        name: each.status for name, each in said.items()
    }
    assert all("  try: " in each.err for each in said.values())
    assert nothing_is_stored(host)
    assert host.log.read_bytes() == LOG


def test_one_bad_file_among_others(host: Host) -> None:
    """The others are imported; the status is that of the failure."""
    bad = left(host, "bad", cut_short(gzip.compress(LOG)))
    said = adopted(host, host.directory / "missing", left(host, "good"))
    assert said.status == 4
    assert b"".join(host.content()) == LOG
    assert adopted(host, bad, host.directory / "missing").status == 5


def test_several_sources_need_a_name(place: Path) -> None:
    """2 without --source, and with one there is not; the named one gets the lines."""
    host = Host(place, sources=("maillog", "other"))
    path = left(host, "maillog.0")
    for words in ([path], ["--source", "nosuch", path]):
        assert adopted(host, *words).status == 2
    assert adopted(host, "--source", "other", path).status == 0
    assert (host.content(), b"".join(host.content("other"))) == ([], LOG)


# -- removing ---------------------------------------------------------------------------------


def test_remove(host: Host) -> None:
    """Afterwards the file is gone and its lines are stored; known ones are removed as well."""
    for name in ("maillog.0", "maillog.1"):
        path = left(host, name)
        assert adopted(host, "--remove", path).status == 0
        assert not path.exists()
        assert b"".join(host.content()) == LOG


@pytest.mark.parametrize("earlier", ["", "imported before"])
def test_nothing_is_removed_while_a_store_fails(place: Path, earlier: str) -> None:
    """Two copies are required: with one, the file stays; with both, it goes."""
    host = Host(place, targets=("store", "second"))
    host.log.touch(0o640)
    assert host.night(MONDAY).exit_status == 0
    path = left(host, "maillog.0")
    host.take_away("second")
    if earlier:
        assert adopted(host, path).status == 12
        assert b"".join(host.content()) == LOG
    host.configure(targets=("store", "second"), required=2)
    assert adopted(host, "--remove", path).status != 0
    assert path.exists()
    host.bring_back("second")
    said = adopted(host, "--remove", path)
    assert path.exists() or b"".join(host.content(target="second")) == LOG, said


def intact(host: Host) -> bool:
    try:
        return b"".join(host.content()) == LOG
    except (AssertionError, FileNotFoundError):
        return False


@pytest.mark.parametrize("lost", ["everything", "the archives", "a bit"])
def test_nothing_is_removed_whose_copies_are_gone(host: Host, lost: str) -> None:
    """It was imported once, but the store has lost or damaged it: this file is the last copy."""
    path = left(host, "maillog.0")
    assert adopted(host, path).status == 0
    for stored in [each for each in host.store.rglob("*") if each.is_file()]:
        if lost == "a bit" and stored.suffix == ".zst":
            flip(stored, 30)
        elif lost == "everything" or (lost == "the archives" and stored.suffix == ".zst"):
            stored.unlink()
    for _ in range(2):
        said = adopted(host, "--remove", path)
        assert path.exists() or intact(host), said


# -- interrupted ------------------------------------------------------------------------------


def interrupted(host: Host, path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Import until a stage, and be killed there: nothing after it is done, not even cleaning."""

    class Killed(BaseException):
        pass

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if where == "before sealing":
            patch.setattr(segments, "seal_segment", kill)
            patch.setattr(Journal, "end", kill)
        elif where == "before delivery":
            patch.setattr(segments, "finish", kill)
        elif where == "in the midst of delivery":
            deliver = copy.copy
            calls = []

            def once(*given: Any, **named: Any) -> Any:
                calls.append(given)
                return deliver(*given, **named) if len(calls) < 2 else kill()

            patch.setattr(copy, "copy", once)
        else:
            patch.setattr(Journal, "end", kill)
        with started(host.config, now=host.at(after(MONDAY, 3))) as run, pytest.raises(Killed):
            adopt.adopt(run, host.source, path, remove=True)
    assert path.exists()


WHERE = ["before sealing", "before delivery", "in the midst of delivery", "before the end"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("then", ["run", "import"])
def test_killed(host: Host, monkeypatch: pytest.MonkeyPatch, where: str, then: str) -> None:
    """A run or the same import again afterwards: stored once, and no stray."""
    path = left(host, "maillog.0")
    interrupted(host, path, monkeypatch, where)
    if then == "run":
        assert host.night(after(MONDAY, 3)).exit_status == 0
        assert (b"" if where == "before sealing" else LOG) == b"".join(host.content())
        assert host.spooled() == []
    assert adopted(host, path).status == 0
    assert LOG == b"".join(host.content()) == host.fetch(MONDAY, after(MONDAY, 2))
    assert host.spooled() == []


def test_a_rotated_segment_waits_meanwhile(host: Host) -> None:
    """An import is no run: what a run left unsealed is left to the next one."""
    host.write(lines(after(MONDAY, 3), "08:00:00"))
    journal = host.journal()
    journal.prepare()
    log = host.log.stat()
    entry = journal.begin(Intent("run", str(host.log), host.at(after(MONDAY, 3), "09:00")))
    os.rename(host.log, entry.segment)
    host.log.touch(log.st_mode)
    assert adopted(host, left(host, "maillog.0")).status == 0
    assert b"".join(host.content()) == LOG
    assert entry.segment.exists()
    assert host.night(after(MONDAY, 4)).exit_status == 0
    assert LOG + lines(after(MONDAY, 3), "08:00:00") == b"".join(host.content())
