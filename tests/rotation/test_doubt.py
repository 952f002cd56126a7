"""What is recorded stands for ever; so where something is in doubt, it is told, not recorded."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from archiver.archives.manifest import decode
from archiver.errors import Problems, StoreError
from archiver.find import snapshot as query
from archiver.stores import open_stores
from archiver.stores.local import LocalStore
from tests.world.host import MONDAY, ROME, Host, after, lines


@pytest.fixture
def host(host: Host) -> Host:
    """A host that has watched since Sunday's midnight, and archived Monday."""
    assert host.night(MONDAY).exit_status == 0
    host.write(lines(MONDAY, "08:00:00"))
    assert host.night(after(MONDAY)).exit_status == 0
    return host


# -- clocks ------------------------------------------------------------------------------------


def test_a_clock_that_lost_its_battery_rotates_nothing(host: Host) -> None:
    """2000: the year of every line would be told by it. 3, and the log is as it was."""
    host.write(lines(after(MONDAY), "09:00:00"))
    report = host.night("2000-01-01")
    assert [failure.code for failure in report.failures] == ["clock"]
    assert (report.exit_status, report.sources[0].rotated) == (3, False)
    assert host.night(after(MONDAY, 2)).exit_status == 0
    assert host.dates() == [(str(MONDAY), 1), (str(after(MONDAY)), 1)]


def test_a_clock_that_was_ahead_and_is_right_again(host: Host) -> None:
    """It looks like one that fell back: the log waits until somebody says which is right."""
    host.write(lines(after(MONDAY), "09:00:00"))
    host.night("2026-08-01")
    host.write(lines(after(MONDAY, 2), "09:00:00"))
    assert host.night(after(MONDAY, 3)).exit_status == 3
    assert lines(after(MONDAY, 2), "09:00:00") == host.log.read_bytes()
    assert host.night(after(MONDAY, 3), "01:00", force=True).exit_status == 0
    assert lines(after(MONDAY, 2), "09:00:00") in host.content()


def test_a_clock_years_ahead_records_no_empty_years(host: Host) -> None:
    """1,460 days without a line, which could never be taken back: told instead."""
    report = host.night("2030-05-06")
    assert [failure.code for failure in report.failures] == ["clock"]
    assert host.dates() == [(str(MONDAY), 1)]
    assert host.night(after(MONDAY, 3), force=True).exit_status == 0
    assert host.dates() == [(str(MONDAY), 1)] + [(str(after(MONDAY, n)), 0) for n in (1, 2)]


def test_a_long_silence_is_recorded_when_somebody_says_so(host: Host) -> None:
    """A machine that was off for two months: `--force` believes its clock."""
    assert host.night(after(MONDAY, 60)).exit_status == 3
    assert host.night(after(MONDAY, 60), "01:00", force=True).exit_status == 0
    assert len(host.dates()) == 60


# -- days without lines ------------------------------------------------------------------------


def test_a_second_rotators_days_are_not_empty(host: Host) -> None:
    """Newsyslog took yesterday's log at midnight: told, and the day is not called empty."""
    host.write(lines(after(MONDAY), "09:00:00"))
    host.log.rename(host.directory / "maillog.0")
    host.log.touch(0o640)
    report = host.night(after(MONDAY, 2))
    assert (report.exit_status, "not the file" in report.failures[0].message) == (3, True)
    assert host.night(after(MONDAY, 3)).exit_status == 0
    assert host.dates() == [(str(MONDAY), 1), (str(after(MONDAY, 2)), 0)]


def test_a_late_lines_day_is_not_empty(host: Host) -> None:
    """It stands in a later day's archive, where `fetch` finds it."""
    late = lines(after(MONDAY), "09:00:00")
    ten = [f"09:00:{n:02}" for n in range(10)]
    host.write(lines(after(MONDAY, 2), *ten) + late + lines(after(MONDAY, 2), *ten))
    assert host.night(after(MONDAY, 3)).exit_status == 0
    assert host.dates() == [(str(MONDAY), 1), (str(after(MONDAY, 2)), 21)]
    assert host.fetch(after(MONDAY)) == late


def test_a_day_in_the_live_log_is_not_empty(host: Host) -> None:
    """Wherever it stands there: the clock was set back while syslogd wrote."""
    host.write(lines(after(MONDAY, 3), "00:00:10") + lines(after(MONDAY, 2), "12:00:00"))
    assert host.night(after(MONDAY, 3)).exit_status == 0
    assert host.dates() == [(str(MONDAY), 1), (str(after(MONDAY)), 0)]


def test_no_day_is_empty_while_an_orphan_lies_in_the_spool(host: Host) -> None:
    """Its lines may be of that day."""
    orphan = host.config.host.spool_dir / "maillog/20260505T230000Z-000-abcdef.log"
    orphan.write_bytes(lines(after(MONDAY), "09:00:00"))
    assert host.night(after(MONDAY, 2)).exit_status == 3
    assert host.dates() == [(str(MONDAY), 1)]


def test_empty_days_survive_a_night_without_catalog(place: Path) -> None:
    """State lost and a store away: that night says so, and the days are recorded later."""
    host = Host(place, targets=("store", "second"))
    host.write(lines(MONDAY, "08:00:00"))
    host.night(after(MONDAY))
    shutil.rmtree(place / "state")
    (place / "second").rename(place / "away")
    (place / "second").write_bytes(b"")
    assert host.night(after(MONDAY, 3)).exit_status == 12
    (place / "second").unlink()
    (place / "away").rename(place / "second")
    assert host.night(after(MONDAY, 4)).exit_status == 0
    wanted = [(str(MONDAY), 1)] + [(str(after(MONDAY, n)), 0) for n in (1, 2, 3)]
    assert host.dates() == wanted


@pytest.mark.parametrize("edit", [{"started": "x"}, {"logs": {"maillog": "x"}}, {"spool": 5}])
def test_an_edited_note_of_the_last_run_counts_as_none(host: Host, edit: dict[str, object]) -> None:
    """No traceback, no doubt."""
    note = host.directory / "state/last-run.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | edit))
    assert host.night(after(MONDAY, 2)).exit_status == 0


# -- stores and settings that change -----------------------------------------------------------


def test_nothing_is_stored_under_an_empty_mount_point(host: Host) -> None:
    """The disk is not mounted: the segment waits; and its copies are not forgotten."""
    host.store.rename(host.directory / "disk")
    host.store.mkdir()
    host.write(lines(after(MONDAY), "09:00:00"))
    for clock in ("00:05", "01:05"):
        report = host.night(after(MONDAY, 2), clock)
        assert [failure.code for failure in report.failures] == ["store_away"]
        assert list(host.store.rglob("*")) == []
    host.store.rmdir()
    (host.directory / "disk").rename(host.store)
    assert host.night(after(MONDAY, 3)).exit_status == 0
    wanted = [lines(MONDAY, "08:00:00"), lines(after(MONDAY), "09:00:00")]
    assert host.content() == wanted


def test_a_number_that_is_used_twice_is_told(place: Path) -> None:
    """An old catalog was put back while a store was away. Both archives are kept, read, and
    copied to the other store too.
    """
    host = Host(place, targets=("store", "second"))
    host.write(lines(MONDAY, "08:00:00"))
    host.night(after(MONDAY))
    catalog, written = host.config.host.catalog, []
    old = catalog.read_bytes()
    for ahead, away in ((1, "second"), (2, "store")):
        catalog.write_bytes(old)
        (place / away).rename(place / "away")
        (place / away).write_bytes(b"")
        written.append(lines(after(MONDAY, ahead), "09:00:00"))
        host.write(written[-1])
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 12
        (place / away).unlink()
        (place / "away").rename(place / away)
    report = host.night(after(MONDAY, 3), "01:00")
    assert "chain" in {failure.code for failure in report.failures}
    assert host.archiver("fetch", "--from", str(after(MONDAY))).out == b"".join(written)
    numbers = [decode(document).sequence for document in host.documents()]
    assert numbers == [1, 2, 2]


@pytest.fixture
def behind(place: Path) -> Host:
    """An old catalog was put back, and only the second store has the newest manifest."""
    host = Host(place, targets=("store", "second"))
    host.write(lines(MONDAY, "08:00:00"))
    host.night(after(MONDAY))
    old = host.config.host.catalog.read_bytes()
    host.take_away()
    host.write(lines(after(MONDAY), "09:00:00"))
    assert host.night(after(MONDAY, 2)).exit_status == 12
    host.bring_back()
    host.config.host.catalog.write_bytes(old)
    host.write(lines(after(MONDAY, 2), "09:00:00"))
    return host


def numbers(host: Host, target: str) -> list[int]:
    paths = (host.directory / target).glob("host=mx1/source=maillog/*/*.manifest.json")
    return sorted(int(path.name.partition(".")[0].rpartition("-")[2]) for path in paths)


def test_a_newest_manifest_that_a_store_does_not_give_is_not_passed_over(behind: Host) -> None:
    """The store lists it, and fails: whatever is sealed now would get its number."""
    newest = max((behind.directory / "second").glob("host=mx1/source=maillog/*/*.manifest.json"))
    stream = LocalStore.stream

    def failing(store: LocalStore, key: str, *where: Any) -> Iterator[bytes]:
        if store.name == "second" and key.endswith(newest.name):
            raise StoreError("store 'second': Input/output error", hint="its disk")
        return stream(store, key, *where)

    with mock.patch.object(LocalStore, "stream", failing):
        report = behind.night(after(MONDAY, 3))
    assert (report.exit_status, report.sources[0].rotated) == (12, True)
    assert (numbers(behind, "store"), numbers(behind, "second")) == ([1], [1, 2])
    assert any(name.endswith(".log") for name in behind.spooled())
    assert behind.night(after(MONDAY, 3), "01:00").exit_status == 0
    assert numbers(behind, "store") == numbers(behind, "second") == [1, 2, 3]


def test_a_newest_manifest_of_a_newer_version_is_not_passed_over(behind: Host) -> None:
    newest = max((behind.directory / "second").glob("host=mx1/source=maillog/*/*.manifest.json"))
    whole = newest.read_bytes()
    newest.chmod(0o600)
    newest.write_bytes(whole.replace(b'"schema": 1', b'"schema": 2'))
    report = behind.night(after(MONDAY, 3))
    assert (report.exit_status, report.sources[0].rotated) == (3, True)
    assert {failure.code for failure in report.failures} == {"newer_version"}
    assert (numbers(behind, "store"), numbers(behind, "second")) == ([1], [1, 2])
    newest.write_bytes(whole)
    assert behind.night(after(MONDAY, 3), "01:00").exit_status == 0
    assert numbers(behind, "store") == numbers(behind, "second") == [1, 2, 3]


def test_copies_in_stores_that_are_not_configured_do_not_count(place: Path) -> None:
    """The only copy is in a store that was taken out: `status` and `list` say so."""
    host = Host(place, targets=("store", "second"))
    host.log.touch(0o640)
    host.night(MONDAY)
    host.take_away("second")
    host.write(lines(MONDAY, "08:00:00"))
    host.night(after(MONDAY))
    host.bring_back("second")
    host.configure(targets=("second",))
    host.night(after(MONDAY), "01:00")
    said = host.archiver("status", now=host.at(after(MONDAY), "02:00"))
    assert (said.status, "fewer than 1 copy" in said.err) == (3, True)


@pytest.mark.parametrize("change", ["spool", "name"])
def test_segments_that_a_change_of_settings_leaves_behind(host: Host, change: str) -> None:
    """Another spool_dir, another source name: `run` and `status` tell of what waits in the old."""
    host.store.rename(host.directory / "away")
    host.store.write_bytes(b"")
    host.write(lines(after(MONDAY), "09:00:00"))
    host.night(after(MONDAY, 2))
    host.store.unlink()
    (host.directory / "away").rename(host.store)
    if change == "spool":
        host.configure(spool="spool2")
    else:
        host.configure(sources=("other",))
        host.log.touch(0o640)
    said = host.archiver("status", now=host.at(after(MONDAY, 2), "01:00"))
    assert (said.status, "no longer configured" in said.err) == (3, True)
    report = host.night(after(MONDAY, 2), "02:00")
    assert any("no longer configured" in failure.message for failure in report.failures)


def test_two_targets_behind_one_link_are_one(place: Path) -> None:
    """One copy would count twice."""
    host = Host(place)
    (place / "second").symlink_to("store")
    text = host.toml.read_text() + '[storage.target.second]\ntype = "local"\npath = "second"\n'
    host.toml.write_text(text)
    said = host.archiver("config", "validate")
    assert (said.status, "would hold one copy" in said.err) == (10, True)


# -- fetch while things move -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["no catalog", "rebuilt meanwhile"])
def test_a_fetch_sees_what_a_run_moves_meanwhile(host: Host, how: str) -> None:
    """Though the catalog it opened does not grow any more."""
    host.write(lines(after(MONDAY), "09:00:00"))
    window = query.day_window(MONDAY, after(MONDAY, 5), ROME)
    if how == "no catalog":
        host.config.host.catalog.unlink()
    with query.catalogued(host.config, Problems()) as catalog:
        if how != "no catalog":
            assert host.archiver("catalog", "rebuild").status == 0
        assert host.night(after(MONDAY, 2)).exit_status == 0
        now = host.at(after(MONDAY, 2))
        with query.snapshot(
            host.config, catalog, host.source, window, now=now, archived=False
        ) as found:
            pieces = query.lines(
                found,
                window,
                zone=ROME,
                stores=open_stores(host.config.storage),
                problems=Problems(),
            )
            assert b"".join(pieces) == lines(MONDAY, "08:00:00") + lines(after(MONDAY), "09:00:00")


def test_lines_are_not_written_over_a_log_or_a_store(host: Host) -> None:
    """2, and the log that syslogd has open stays the log."""
    host.write(lines(after(MONDAY), "09:00:00"))
    inode = host.log.stat().st_ino
    (host.directory / "link").symlink_to("maillog")
    for output in ("maillog", "link", "store/x", "spool/maillog/x", "state/catalog.sqlite3"):
        said = host.archiver("fetch", "--date", str(MONDAY), "-o", host.directory / output)
        assert (said.status, "somewhere else" in said.err) == (2, True)
    assert (host.log.stat().st_ino, host.archiver("fetch", "-o", "", "--date", "today").status) == (
        inode,
        2,
    )


def test_a_fifo_in_the_logs_place_is_not_waited_for(host: Host) -> None:
    """The archives are read all the same."""
    host.log.unlink()
    os.mkfifo(host.log)
    done = subprocess.run(
        host.argv("fetch", "--date", str(MONDAY)), capture_output=True, timeout=30, check=True
    )
    assert done.stdout == lines(MONDAY, "08:00:00")


@pytest.mark.parametrize("words", [("--json", "list"), ("list",), ("fetch", "--date", str(MONDAY))])
@pytest.mark.parametrize("where", [">/dev/full", ">/dev/full 2>&1", ">&-", ">&- 2>&-"])
def test_no_traceback_where_nothing_can_be_written(
    host: Host, words: tuple[str, ...], where: str
) -> None:
    """A full disk is told, if that can be written; a closed stdout is nobody's loss."""
    argv = ["sh", "-c", f'"$@" {where}', "sh", *host.argv(*words)]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == (14 if "full" in where else 0)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
