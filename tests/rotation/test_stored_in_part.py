"""A segment that is stored in part stays one: made again only exactly as it was, never released
before all of it is safe, never doubled, whatever became of the spool meanwhile.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from archiver.archives.manifest import decode
from archiver.archives.writer import Threads
from archiver.catalog import Catalog
from archiver.config.settings import load
from archiver.errors import DiskError, IntegrityError
from archiver.maillog.days import DayCutter
from archiver.rotation import seal, segments
from archiver.rotation.spool import Entry, Journal
from archiver.stores import session
from tests.world.host import MONDAY, Host, after, flip, lines

TARGETS = ("store", "second")
TWO_DAYS = lines(MONDAY, "09:00:00", "10:00:00") + lines(after(MONDAY), "09:00:00", "10:00:00")


@pytest.fixture
def host(place: Path) -> Host:
    """Two days in one segment; each needs two copies; of the second day, one store refuses."""
    host = Host(place, targets=TARGETS, required=2)
    host.log.touch(0o640)
    assert host.night(MONDAY).exit_status == 0
    host.write(TWO_DAYS)
    obstacle(host).parent.mkdir(parents=True)
    obstacle(host).write_bytes(b"")
    assert host.night(after(MONDAY, 2)).exit_status == 12
    assert [(str(MONDAY), 2)] == host.dates(target="second")
    return host


def obstacle(host: Host) -> Path:
    return host.directory / f"second/host=mx1/source=maillog/date={after(MONDAY)}"


def sealed(host: Host) -> Path:
    (found,) = (host.config.host.spool_dir / "maillog").glob("*.sealed")
    return found


def all_is_stored_once(host: Host) -> None:
    """In both stores, under the numbers 1 and 2, and nothing waits."""
    for target in TARGETS:
        found = [decode(document) for document in host.documents(target=target)]
        dates = [(m.sequence, str(m.date), m.lines) for m in found if not m.is_empty_day]
        assert dates == [(1, str(MONDAY), 2), (2, str(after(MONDAY)), 2)]
        assert b"".join(host.content(target=target)) == TWO_DAYS
    assert host.spooled() == []
    assert host.fetch(MONDAY, after(MONDAY)) == TWO_DAYS


def first_of(pattern: str, damage: Callable[[Path], object]) -> Callable[[Host], object]:
    return lambda host: damage(min(sealed(host).glob(pattern)))


def emptied(directory: Path) -> None:
    for path in list(directory.iterdir()):
        path.unlink()


DAMAGE: dict[str, Callable[[Host], object]] = {
    "nothing": lambda _host: None,
    "a bit of an archive": first_of("*.zst", lambda path: flip(path, 20)),
    "an archive gone": first_of("*.zst", Path.unlink),
    "a manifest gone": first_of("*.json", Path.unlink),
    "a manifest cut short": first_of("*.json", lambda path: os.truncate(path, 50)),
    "all gone": lambda host: emptied(sealed(host)),
    "removed by hand": lambda host: shutil.rmtree(sealed(host)),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("catalog", ["sound", "lost"])
def test_what_was_sealed_is_damaged_meanwhile(host: Host, how: str, catalog: str) -> None:
    """Made again with the same numbers and bytes, so that what is stored counts."""
    DAMAGE[how](host)
    if catalog == "lost":
        host.config.host.catalog.unlink()
    obstacle(host).unlink()
    assert host.night(after(MONDAY, 3)).exit_status == 0
    all_is_stored_once(host)


@pytest.mark.parametrize("how", DAMAGE)
def test_no_segment_goes_while_a_copy_is_missing(host: Host, how: str) -> None:
    """The store refuses still: the segment stays, whatever the catalog knows of the other one."""
    DAMAGE[how](host)
    assert host.night(after(MONDAY, 3)).exit_status != 0
    assert [name for name in host.spooled() if name.endswith(".log")] != []
    obstacle(host).unlink()
    assert host.night(after(MONDAY, 4)).exit_status == 0
    all_is_stored_once(host)


def test_a_night_without_a_catalog_throws_nothing_away(host: Host) -> None:
    """The catalog is ruined and a store away; once both are back, all goes on."""
    host.config.host.catalog.write_bytes(b"garbage")
    (host.directory / "second").rename(host.directory / "away")
    (host.directory / "second").write_bytes(b"")
    assert host.night(after(MONDAY, 3)).exit_status == 12
    (host.directory / "second").unlink()
    (host.directory / "away").rename(host.directory / "second")
    obstacle(host).unlink()
    assert host.night(after(MONDAY, 4)).exit_status == 0
    all_is_stored_once(host)


def test_a_catalog_that_cannot_be_used_for_a_night(host: Host) -> None:
    """A disk error, a lock: what was sealed waits."""
    obstacle(host).unlink()
    with mock.patch.object(
        session, "is_sound", side_effect=DiskError("the catalog cannot be used")
    ):
        assert host.night(after(MONDAY, 3)).exit_status == 3
    assert host.night(after(MONDAY, 4)).exit_status == 0
    all_is_stored_once(host)


def test_another_version_and_level_meanwhile(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade, and another level in the configuration: made again as it was all the same."""
    shutil.rmtree(sealed(host))
    obstacle(host).unlink()
    monkeypatch.setattr(segments, "__version__", "99")
    host.toml.write_text(host.toml.read_text().replace("level = 3", "level = 9"))
    host.config = load(host.toml)
    assert host.night(after(MONDAY, 3)).exit_status == 0
    all_is_stored_once(host)


def test_a_first_part_that_is_missing_is_not_made_under_another_number(host: Host) -> None:
    """Its manifest has gone from both stores: told, and the segment is kept."""
    obstacle(host).unlink()
    with mock.patch.object(Journal, "end", side_effect=DiskError("killed here")):
        host.night(after(MONDAY, 3))
    shutil.rmtree(sealed(host))
    for target in TARGETS:
        host.directory.joinpath(
            target, decode(host.documents(target=target)[0]).manifest_key
        ).unlink()
    host.config.host.catalog.unlink()
    assert host.night(after(MONDAY, 4)).exit_status == 5
    assert [name for name in host.spooled() if name.endswith(".log")] != []


def test_a_segment_that_grew_after_it_was_sealed(host: Host) -> None:
    """Somebody wrote into a closed segment: it does not go as long as its archives lack a byte."""
    (segment,) = (host.config.host.spool_dir / "maillog").glob("*.log")
    with open(segment, "ab") as late:
        late.write(lines(after(MONDAY), "23:00:00"))
    obstacle(host).unlink()
    assert host.night(after(MONDAY, 3)).exit_status == 5
    assert segment.exists()


# -- not stored at all -------------------------------------------------------------------------


def test_what_was_sealed_and_never_stored_is_made_again(place: Path) -> None:
    """Its manifest is lost: no day of it is, and none is recorded as empty instead."""
    host = Host(place)
    host.log.touch(0o640)
    host.night(MONDAY)
    host.write(TWO_DAYS)
    host.take_away()
    host.night(after(MONDAY, 2))
    host.bring_back()
    sorted(sealed(host).glob("*.json"))[1].unlink()
    assert host.night(after(MONDAY, 3)).exit_status == 0
    assert host.content() == [lines(MONDAY, "09:00:00", "10:00:00"), TWO_DAYS[len(TWO_DAYS) // 2 :]]


def test_archives_that_lack_a_stretch_are_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should cutting ever lose something: it is noticed before anything is published."""
    cut = DayCutter.cut
    monkeypatch.setattr(DayCutter, "cut", lambda self, frames: list(cut(self, frames))[:-1])
    host = Host(place)
    host.write(TWO_DAYS)
    (failure,) = host.night(after(MONDAY, 2)).failures
    assert "do not hold all of its" in failure.message
    assert [name.rpartition(".")[2] for name in host.spooled()] == ["intent", "log"]


def test_an_archive_that_gives_back_other_bytes_is_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit, of the same length, that no checksum of zstd's knows of: nothing is published."""
    compress = Threads._compress

    def wrong(self: Threads, data: bytes) -> bytes:
        return compress(self, data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])

    monkeypatch.setattr(Threads, "_compress", wrong)
    host = Host(place)
    host.write(TWO_DAYS)
    (failure,) = host.night(after(MONDAY, 2)).failures
    assert (failure.exit_status, "does not give back" in failure.message) == (5, True)
    assert [name.rpartition(".")[2] for name in host.spooled()] == ["intent", "log"]
    assert host.dates() == []


# -- imports -----------------------------------------------------------------------------------


@pytest.fixture
def old(place: Path) -> Path:
    path = place / "maillog.0"
    path.write_bytes(TWO_DAYS)
    return path


@pytest.fixture
def plain(place: Path, old: Path) -> Host:
    host = Host(place)
    host.log.touch(0o640)
    assert host.night(after(MONDAY, 2)).exit_status == 0
    os.utime(old, (host.at(after(MONDAY, 2)),) * 2)
    return host


def test_an_import_damaged_before_it_is_stored_keeps_the_file(plain: Host, old: Path) -> None:
    """Nothing was stored, so nothing is removed, and it does not say that it was known."""
    check = seal.check_sealed

    def damaged(entry: Entry) -> object:
        flip(next(entry.sealed.glob("*.zst")), 20)
        return check(entry)

    now = plain.at(after(MONDAY, 2), "12:00")
    with mock.patch.object(seal, "check_sealed", damaged):
        said = plain.archiver("import", "--remove", old, now=now)
    assert (said.status, old.exists(), plain.content()) == (5, True, [])
    assert plain.archiver("import", "--remove", old, now=now).status == 0
    assert (old.exists(), b"".join(plain.content())) == (False, TWO_DAYS)


def test_an_import_stored_in_part_is_not_forgotten(plain: Host, old: Path) -> None:
    """Its second day was refused, then damaged in the spool: kept and told, and not doubled."""
    refused = refuse_the_second_day(plain)
    now = plain.at(after(MONDAY, 2), "12:00")
    assert plain.archiver("import", old, now=now).status == 12
    refused.unlink()
    flip(sorted(sealed(plain).glob("*.zst"))[1], 20)
    for _ in range(2):
        assert plain.archiver("import", old, now=now).status == 5
    assert plain.content() == [lines(MONDAY, "09:00:00", "10:00:00")]


def refuse_the_second_day(plain: Host) -> Path:
    refused = plain.store / f"host=mx1/source=maillog/date={after(MONDAY)}"
    refused.parent.mkdir(parents=True, exist_ok=True)
    refused.write_bytes(b"")
    return refused


def test_an_import_stored_in_part_outlives_a_night_without_a_catalog(
    plain: Host, old: Path
) -> None:
    """That night knows nothing of the first day, and must not forget the second."""
    plain.write(lines(after(MONDAY, -1), "12:00:00"))
    assert plain.night(after(MONDAY, 2), "01:00", force=True).exit_status == 0
    refused = refuse_the_second_day(plain)
    now = plain.at(after(MONDAY, 2), "12:00")
    assert plain.archiver("import", old, now=now).status == 12
    refused.unlink()
    with mock.patch.object(
        session, "is_sound", side_effect=DiskError("the catalog cannot be used")
    ):
        assert plain.night(after(MONDAY, 3)).exit_status == 3
    assert plain.archiver("import", old, now=plain.at(after(MONDAY, 3), "12:00")).status == 0
    assert b"".join(plain.content()[1:]) == TWO_DAYS


def test_an_import_that_lacks_a_day_is_not_delivered(plain: Host, old: Path) -> None:
    """The spool lost one of its manifests: imported again, each line is stored once."""
    plain.take_away()
    now = plain.at(after(MONDAY, 2), "12:00")
    assert plain.archiver("import", old, now=now).status == 12
    plain.bring_back()
    max(sealed(plain).glob("*.json")).unlink()
    plain.night(after(MONDAY, 3))
    assert plain.archiver("import", old, now=plain.at(after(MONDAY, 3), "12:00")).status == 0
    assert b"".join(plain.content()) == TWO_DAYS


@pytest.mark.parametrize("mtime", [-5, 2**33])
def test_an_import_with_an_impossible_time(plain: Host, old: Path, mtime: int) -> None:
    """It blocks nothing, not even if it is interrupted."""
    os.utime(old, (mtime, mtime))
    with mock.patch.object(Catalog, "add", side_effect=IntegrityError("no")):
        plain.archiver("import", old, now=plain.at(after(MONDAY, 2), "12:00"))
    assert plain.night(after(MONDAY, 3)).exit_status == 0
    assert b"".join(plain.content()) == TWO_DAYS
