"""Nights on which a store, the catalog, the spool or a manifest is not as it should be."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from archiver.archives.manifest import decode, digest
from archiver.catalog import opened
from archiver.rotation import seal
from archiver.stores import copy
from tests.world.host import MONDAY, Host, after, lines

CATALOG = "state/catalog.sqlite3"


def wednesday_to_friday(host: Host) -> list[bytes]:
    """Write three days into the log, one before each of three nights, which all end with 12."""
    written = []
    for ahead in range(2, 5):
        written.append(lines(after(MONDAY, ahead), "09:00:00", "23:59:59"))
        host.write(written[-1])
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 12
    return written


@pytest.mark.parametrize("catalog", ["there", "gone too"])
def test_three_nights_without_a_store(host: Host, catalog: str) -> None:
    """All is rotated and kept; once the store is back, all is there, in order, in one chain."""
    host.write(lines(MONDAY, "12:00:00"))
    assert host.night(after(MONDAY)).exit_status == 0
    if catalog == "gone too":
        (host.directory / CATALOG).unlink()
    host.store.rename(host.directory / "away")
    host.store.write_bytes(b"a file where the store should be")
    written = wednesday_to_friday(host)
    assert len(host.journal().entries()) == 3
    assert host.log.read_bytes() == b""
    host.store.unlink()
    (host.directory / "away").rename(host.store)
    assert host.night(after(MONDAY, 6)).exit_status == 0
    assert [lines(MONDAY, "12:00:00"), *written] == host.content()
    assert host.spooled() == []
    assert lines(MONDAY, "12:00:00") + b"".join(written) == host.fetch(MONDAY, after(MONDAY, 5))


def test_without_a_store_all_lines_can_still_be_fetched(host: Host) -> None:
    """From the spool, each once, whatever became of sealing."""
    host.store.write_bytes(b"")
    written = wednesday_to_friday(host)
    now = host.at(after(MONDAY, 5), "12:00")
    said = host.archiver("fetch", "--date", f"{MONDAY}..today", now=now)
    assert b"".join(written) == said.out


def test_a_failing_store_does_not_keep_the_writer_on_the_old_log(host: Host) -> None:
    """Each night the writer is told, and the segment closed, though nothing can be stored."""
    told = host.directory / "told"
    host.configure(reopen=f"command:/bin/sh -c 'echo >> {told}'")
    host.store.write_bytes(b"")
    wednesday_to_friday(host)
    assert [name for name in host.spooled() if name.endswith(".open")] == []
    assert len(told.read_text().splitlines()) >= 3


def test_all_required_copies_or_the_segment_stays(place: Path) -> None:
    """Two copies required and one store broken: nothing is released; then both are the same."""
    host = Host(place, targets=("store", "second"), required=2)
    (place / "second").write_bytes(b"")
    written = wednesday_to_friday(host)
    assert len(host.journal().entries()) == 3
    now = host.at(after(MONDAY, 5), "12:00")
    assert b"".join(written) == host.archiver("fetch", "--date", f"{MONDAY}..today", now=now).out
    (place / "second").unlink()
    assert host.night(after(MONDAY, 6)).exit_status == 0
    assert written == host.content() == host.content(target="second")
    assert host.documents() == host.documents(target="second")


def test_one_required_copy_is_enough(place: Path) -> None:
    """The broken second store is told of, with 12; the log is stored, and its segment released."""
    host = Host(place, targets=("store", "second"), required=1)
    host.night(MONDAY)
    host.take_away("second")
    host.write(lines(MONDAY, "12:00:00"))
    report = host.night(after(MONDAY))
    assert report.exit_status == 12
    assert [str(MONDAY)] == [str(manifest.date) for manifest in report.sources[0].archived]
    assert [(str(MONDAY), 1)] == host.dates()
    assert host.spooled() == []


# -- the chain -------------------------------------------------------------------------------


def test_what_an_older_catalog_sealed_is_sealed_again(host: Host) -> None:
    """A catalog from a backup would have forked the chain; the next run sees it does not fit."""
    host.night(MONDAY)
    shutil.copy(host.directory / CATALOG, host.directory / "backup")
    host.write(lines(MONDAY, "12:00:00"))
    host.night(after(MONDAY))
    shutil.copy(host.directory / "backup", host.directory / CATALOG)
    host.store.rename(host.directory / "away")
    host.store.write_bytes(b"")
    host.write(lines(after(MONDAY), "12:00:00"))
    assert host.night(after(MONDAY, 2)).exit_status == 12
    (entry,) = host.journal().entries()
    ((manifest, _),) = seal.sealed(entry)
    assert (manifest.sequence, manifest.previous) == (1, None)
    host.store.unlink()
    (host.directory / "away").rename(host.store)
    assert host.night(after(MONDAY, 3)).exit_status == 0
    assert [(str(MONDAY), 1), (str(after(MONDAY)), 1), (str(after(MONDAY, 2)), 0)] == host.dates()


def test_a_damaged_manifest_stops_sealing_but_not_rotation(host: Host) -> None:
    """With the catalog lost too, its end of the chain is unknown: 5, and all waits in the spool."""
    for ahead in range(2):
        host.write(lines(after(MONDAY, ahead), "12:00:00"))
        host.night(after(MONDAY, ahead + 1))
    path = host.store / host.manifests()[-1].manifest_key
    sound = path.read_bytes()
    path.chmod(0o640)
    path.write_bytes(sound[:-20])
    (host.directory / CATALOG).unlink()
    for ahead in (2, 3):
        host.write(lines(after(MONDAY, ahead), "12:00:00"))
        report = host.night(after(MONDAY, ahead + 1))
        assert (report.exit_status, report.sources[0].rotated) == (5, True)
        assert {failure.code for failure in report.failures} == {"chain"}
    assert len([name for name in host.spooled() if name.endswith(".log")]) >= 1
    path.write_bytes(sound)
    assert host.night(after(MONDAY, 5)).exit_status == 0
    assert [(str(after(MONDAY, ahead)), n) for ahead, n in enumerate((1, 1, 1, 1, 0))] == (
        host.dates()
    )


def fork(host: Host) -> list[str | None]:
    """What the stored manifests are chained to: never twice the same."""
    before = [decode(document).previous for document in host.documents()]
    return sorted({each for each in before if before.count(each) > 1}, key=str)


def test_an_archive_taken_away_does_not_fork_the_chain(host: Host) -> None:
    """The newest archive is gone, its manifest is not; and the catalog is made anew."""
    for ahead in range(2):
        host.write(lines(after(MONDAY, ahead), "12:00:00"))
        host.night(after(MONDAY, ahead + 1))
    (host.store / host.manifests()[-1].archive_key).unlink()
    (host.directory / CATALOG).unlink()
    host.write(lines(after(MONDAY, 2), "12:00:00"))
    assert host.night(after(MONDAY, 3)).exit_status == 5
    assert fork(host) == []


def test_half_the_stores_do_not_fork_the_chain(place: Path) -> None:
    """The newest manifest is on the second store alone, which is away, and the catalog is lost."""
    host = Host(place, targets=("store", "second"))
    host.write(lines(MONDAY, "12:00:00"))
    host.night(after(MONDAY))
    host.store.rename(place / "away")
    host.store.write_bytes(b"")
    host.write(lines(after(MONDAY), "12:00:00"))
    host.night(after(MONDAY, 2))
    host.store.unlink()
    (place / "away").rename(host.store)
    (place / "second").rename(place / "away")
    (place / "second").write_bytes(b"")
    (host.directory / CATALOG).unlink()
    host.write(lines(after(MONDAY, 2), "12:00:00"))
    assert host.night(after(MONDAY, 3)).exit_status != 0
    newest = {decode(document).sequence for document in host.documents()}
    assert 2 not in newest, "number 2 is taken, on the store that is away"


@pytest.mark.parametrize("second", ["a file", "an empty directory"])
def test_no_store_is_taken_for_new_without_a_catalog(place: Path, second: str) -> None:
    """A disk died with catalog and store; what is configured instead cannot be known to be all."""
    host = Host(place, targets=("store", "second"))
    host.write(lines(MONDAY, "12:00:00"))
    host.night(after(MONDAY))
    host.store.rename(place / "away")
    shutil.rmtree(place / "second" if second == "a file" else place / "state")
    if second == "a file":
        (place / "away").rename(host.store)
        (place / "second").write_bytes(b"")
    (host.directory / CATALOG).unlink(missing_ok=True)
    host.write(lines(after(MONDAY), "12:00:00"))
    report = host.night(after(MONDAY, 2))
    assert (report.exit_status, report.sources[0].rotated) == (12, True)
    assert [name.rpartition(".")[2] for name in host.spooled()] == ["intent", "log"]


@pytest.mark.parametrize("how", ["deleted", "empty", "garbage", "half", "a page"])
def test_the_catalog_is_made_anew(host: Host, how: str) -> None:
    """Whatever became of it, the run goes on as if nothing had happened."""
    for ahead in range(3):
        host.write(lines(after(MONDAY, ahead), "12:00:00"))
        host.night(after(MONDAY, ahead + 1))
    ruin(host.directory / CATALOG, how)
    host.write(lines(after(MONDAY, 3), "12:00:00"))
    assert host.night(after(MONDAY, 4)).exit_status == 0
    assert [(str(after(MONDAY, ahead)), 1) for ahead in range(4)] == host.dates()
    with opened(host.directory / CATALOG, "mx1") as catalog:
        assert (catalog.count(), catalog.is_whole()) == (4, True)
        assert digest(host.documents()[-1]) == catalog.head("maillog").digest


def ruin(catalog: Path, how: str) -> None:
    whole = catalog.read_bytes()
    if how == "deleted":
        catalog.unlink()
    else:
        page = whole[:4096] + b"\x5a" * 4096 + whole[8192:]
        ruined = {"empty": b"", "garbage": b"?" * 9999, "half": whole[: len(whole) // 2]}
        catalog.write_bytes(ruined.get(how, page))


# -- the spool -------------------------------------------------------------------------------


def into_the_spool(host: Host, name: str, content: bytes) -> Path:
    spool = host.config.host.spool_dir / "maillog"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = spool / name
    path.write_bytes(content)
    return path


INTENTS = {
    "empty": "",
    "cut short": '{"origin": "run", "pa',
    "a list": "[]",
    "a number": "7",
    "lacks fields": '{"origin": "run"}',
    "unknown field": '{"origin": "run", "path": "/x", "written": 5, "more": 1}',
    "wrong types": '{"origin": "run", "path": 5, "written": "x"}',
    "binary": "\0\1\2",
}


@pytest.mark.parametrize("kind", INTENTS)
def test_an_intent_that_cannot_be_understood(place: Path, kind: str) -> None:
    """That source ends with 5, nothing of it is touched, and the other source has its turn."""
    host = Host(place, sources=("maillog", "other"))
    intent = into_the_spool(host, "20260504T000000Z-000-abcdef.intent", INTENTS[kind].encode())
    segment = into_the_spool(host, "20260504T000000Z-000-abcdef.log", lines(MONDAY, "11:00:00"))
    for source in ("maillog", "other"):
        host.write(lines(MONDAY, "12:00:00"), source)
    assert host.night(after(MONDAY)).exit_status == 5
    assert INTENTS[kind].encode() == intent.read_bytes()
    assert lines(MONDAY, "11:00:00") == segment.read_bytes()
    assert lines(MONDAY, "12:00:00") == host.log.read_bytes()
    assert [(str(MONDAY), 1)] == host.dates("other")


@pytest.mark.parametrize("suffix", [".open", ".log", ""])
def test_an_orphan_in_the_spool_is_told_of_and_left_alone(host: Host, suffix: str) -> None:
    """A segment that no intent speaks of: 3 until somebody takes care of it; rotation goes on."""
    name = f"20260504T000000Z-000-abcdef{suffix}"
    orphan = into_the_spool(host, name, lines(MONDAY, "11:00:00"))
    host.write(lines(MONDAY, "12:00:00"))
    assert host.night(after(MONDAY)).exit_status == (3 if suffix else 0)
    assert lines(MONDAY, "11:00:00") == orphan.read_bytes()
    assert [(str(MONDAY), 1)] == host.dates()
    assert [name] == host.spooled()


@pytest.mark.parametrize("name", ["README", "zzz", "lost+found/", ".nfs0001", "notes.done"])
def test_foreign_names_in_the_spool_do_no_harm(host: Host, name: str) -> None:
    """The spool may be a file system of its own, or hold an administrator's notes."""
    spool = host.config.host.spool_dir / "maillog"
    spool.mkdir(mode=0o700, parents=True)
    if name.endswith("/"):
        (spool / name).mkdir()
    else:
        (spool / name).write_bytes(b"mine")
    host.write(lines(MONDAY, "12:00:00"))
    assert host.night(after(MONDAY)).exit_status == 0
    assert [(str(MONDAY), 1)] == host.dates()


def break_log(host: Host) -> int:
    host.log.unlink()
    return 4


def break_writer(host: Host) -> int:
    host.configure(reopen="pidfile:syslogd.pid")
    host.write(lines(after(MONDAY), "12:00:00"))
    return 13


def break_directory(host: Host) -> int:
    host.directory.chmod(0o777)
    return 10


@pytest.mark.parametrize("trouble", [break_log, break_writer, break_directory])
def test_a_closed_segment_is_archived_whatever_became_of_the_log(
    host: Host, trouble: Callable[[Host], int]
) -> None:
    """What waits in the spool needs neither the log nor its writer any more."""
    host.store.write_bytes(b"")
    host.write(lines(MONDAY, "12:00:00"))
    assert host.night(after(MONDAY)).exit_status == 12
    host.store.unlink()
    assert trouble(host) == host.night(after(MONDAY, 2)).exit_status
    assert [(str(MONDAY), 1)] == host.dates()
    assert host.spooled() == []


def test_a_segment_that_still_is_the_log_is_not_closed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new log could not be renamed over it: nobody holds it now, but somebody will."""
    host.write(lines(MONDAY, "12:00:00"))
    rename = os.rename

    def refused(old: Path, new: Path) -> None:
        if new == host.log:
            raise OSError(5, "Input/output error", str(new))
        rename(old, new)

    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", refused)
        assert host.night(after(MONDAY)).exit_status == 3
    assert [name.rpartition(".")[2] for name in host.spooled()] == ["intent", "open"]
    host.write(lines(MONDAY, "23:00:00"))
    assert host.night(after(MONDAY), "01:00").exit_status == 0
    assert b"".join(host.content()) == lines(MONDAY, "12:00:00") + lines(MONDAY, "23:00:00")


def test_what_was_sealed_and_changed_is_sealed_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad disk flips a bit of a sealed archive: it is made again from its segment."""
    host.write(lines(MONDAY, "12:00:00"))
    with monkeypatch.context() as broken:
        broken.setattr(copy, "copy", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "EIO")))
        assert host.night(after(MONDAY)).exit_status == 3
    (sealed,) = host.config.host.spool_dir.rglob("*.log.zst")
    sealed.write_bytes(sealed.read_bytes()[:-1] + b"!")
    assert host.night(after(MONDAY), "01:00").exit_status == 0
    assert [lines(MONDAY, "12:00:00")] == host.content()


def test_the_last_run_is_noted_whatever_happened(host: Host) -> None:
    """Success and failure, for status and monitoring; garbage there counts as nothing known."""
    note = host.directory / "state/last-run.json"
    host.night(MONDAY)
    assert json.loads(note.read_bytes())["exit_status"] == 0
    host.log.unlink()
    host.night(after(MONDAY))
    noted = json.loads(note.read_bytes())
    assert (noted["exit_status"], noted["succeeded"]) == (4, host.at(MONDAY))
    note.write_bytes(b"garbage")
    host.log.touch()
    assert host.night(after(MONDAY, 2)).exit_status == 0
    assert json.loads(note.read_bytes())["started"] == host.at(after(MONDAY, 2))
