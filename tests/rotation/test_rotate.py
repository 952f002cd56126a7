"""Rotation: hostile places and other rotators, and never a moment without a log."""

import os
import pwd
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import (
    ArchiverError,
    ConfigError,
    LogMissingError,
    MovedAsideError,
    UnsafeLogError,
)
from archiver.rotation import rotate
from archiver.rotation.spool import Entry
from archiver.system.zone import compact
from tests.world.host import MONDAY, Host, after, lines, tree

ROOT = os.geteuid() == 0
LOG = lines(MONDAY, "12:00:00", "13:00:00")
THEIRS = lines(MONDAY, "14:00:00")
STRANGER = 54321


def once(host: Host) -> Entry:
    """Rotate as the nightly run does, and stop there."""
    journal = host.journal()
    journal.prepare()
    live = rotate.inspect(host.source)
    return rotate.rotate(host.source, live, journal, now=host.at(after(MONDAY)))


# -- logs that are none, and places that are not safe -----------------------------------------


def symlink(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(LOG)
    path.symlink_to("elsewhere")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.mkdir()
    (path / "file").write_bytes(LOG)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize("kind", [symlink, fifo, directory, unix_socket])
def test_what_is_no_plain_file_is_refused(host: Host, kind: Callable[[Path], None]) -> None:
    """A symbolic link, a FIFO, a directory, a socket: 10, and nothing of it is touched."""
    host.log.unlink()
    kind(host.log)
    before = host.tree()
    for force in (False, True):
        report = host.night(after(MONDAY), force=force)
        assert report.exit_status == 10
        assert isinstance(report.failures[0], UnsafeLogError)
        assert report.failures[0].hint
    now = host.tree()
    assert before == {name: now[name] for name in before}
    assert (host.spooled(), host.dates()) == ([], [])


def world_writable(host: Host) -> None:
    host.directory.chmod(0o777)


def world_writable_and_sticky(host: Host) -> None:
    host.directory.chmod(0o1777)


def strange_group(host: Host) -> None:
    os.chown(host.directory, -1, STRANGER)
    host.directory.chmod(0o775)


def strange_owner(host: Host) -> None:
    os.chown(host.directory, STRANGER, -1)


UNSAFE = [world_writable, world_writable_and_sticky]


@pytest.mark.parametrize("place_it", UNSAFE + [strange_group, strange_owner] * ROOT)
def test_a_directory_that_others_may_write_to_is_refused(
    host: Host, place_it: Callable[[Host], None]
) -> None:
    """Somebody could swap the log for a link to another file between two of our steps."""
    host.write(LOG)
    place_it(host)
    report = host.night(after(MONDAY))
    assert report.exit_status == 10
    assert isinstance(report.failures[0], UnsafeLogError)
    assert str(host.directory) in report.failures[0].message
    assert host.log.read_bytes() == LOG
    assert host.spooled() == []


@pytest.mark.parametrize(("mode", "safe"), [(0o777, False), (0o1777, True), (0o755, True)])
def test_directories_further_up_count_too(place: Path, mode: int, safe: bool) -> None:
    """Who may rename the log's directory may swap it; a sticky one like /tmp is safe."""
    inner = place / "inner"
    inner.mkdir(0o755)
    host = Host(inner)
    host.write(LOG)
    place.chmod(mode)
    assert host.night(after(MONDAY)).exit_status == (0 if safe else 10)


def test_the_log_is_refused_if_its_directory_is_a_link_to_an_unsafe_one(place: Path) -> None:
    """The directory is looked at where it really is."""
    for name, mode in (("real", 0o777), ("seen", 0o755)):
        (place / name).mkdir()
        (place / name).chmod(mode)
    (place / "seen/log").symlink_to(place / "real")
    host = Host(place / "seen/log")
    host.write(LOG)
    assert host.night(after(MONDAY)).exit_status == 10


# -- the new log ------------------------------------------------------------------------------


def test_owner_and_mode_are_kept(host: Host) -> None:
    """The new log is what the old one was to its writer and readers."""
    host.write(LOG)
    host.log.chmod(0o624)
    if ROOT:
        os.chown(host.log, STRANGER, STRANGER + 1)
    before = host.log.stat()
    assert host.night(after(MONDAY)).exit_status == 0
    new = host.log.stat()
    assert before.st_ino != new.st_ino
    kept = [(s.st_mode, s.st_uid, s.st_gid, s.st_nlink) for s in (before, new)]
    assert kept[0] == kept[1]
    assert new.st_size == 0


def test_owner_and_mode_as_configured(host: Host) -> None:
    """They are the new log's, whatever the old one had; and the old one's stay."""
    user = pwd.getpwuid(1 if ROOT else os.getuid())
    host.configure(more=f'mode = 0o606\nowner = "{user.pw_name}"')
    host.write(LOG)
    mode = host.log.stat().st_mode
    entry = once(host)
    new = host.log.stat()
    assert (0o606, user.pw_uid) == (stat.S_IMODE(new.st_mode), new.st_uid)
    assert mode == entry.open_segment.stat().st_mode


@pytest.mark.parametrize("key", ["owner", "group"])
def test_an_unknown_owner_changes_nothing(host: Host, key: str) -> None:
    """Nobody of that name: 10, before anything is touched."""
    host.configure(more=f'{key} = "nobody-of-this-name"')
    host.write(LOG)
    report = host.night(after(MONDAY))
    assert report.exit_status == 10
    assert "nobody-of-this-name" in report.failures[0].message
    assert (host.log.read_bytes(), host.spooled()) == (LOG, [])


def test_the_path_is_never_missing(host: Host) -> None:
    """FreeBSD's syslogd opens without O_CREAT: at no instant of 200 rotations is there no log."""
    host.log.chmod(0o640)
    stop = threading.Event()
    seen: list[str] = []
    looks = 0

    def look() -> None:
        nonlocal looks
        while not stop.is_set():
            looks += 1
            try:
                status = os.stat(host.log)
            except FileNotFoundError:
                seen.append("nothing")
            else:
                if status.st_mode != stat.S_IFREG | 0o640:
                    seen.append(oct(status.st_mode))

    looker = threading.Thread(target=look)
    looker.start()
    journal = host.journal()
    journal.prepare()
    for number in range(200):
        host.write(b"%d\n" % number)
        rotate.rotate(host.source, rotate.inspect(host.source), journal, now=number)
    stop.set()
    looker.join()
    assert seen == []
    assert looks > 200
    kept = [entry.open_segment.read_bytes() for entry in journal.entries()]
    assert [b"%d\n" % number for number in range(200)] == kept


# -- the spool --------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["another", "said to be another"])
def test_a_spool_on_another_file_system(
    place: Path, on_disk: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """A log cannot be moved there in one step: 10, the log is as it was, no stray is left."""
    if device == "another" and place.stat().st_dev != on_disk.stat().st_dev:
        host = Host(place, spool=str(on_disk / "spool"))
    else:
        host = Host(place)
        really = os.link

        def link(source: Any, *names: Any, **more: Any) -> None:
            if Path(source).name == host.log.name:
                raise OSError(18, "Invalid cross-device link")
            really(source, *names, **more)

        monkeypatch.setattr(os, "link", link)
    host.write(LOG)
    before = tree(place)["maillog"]
    with pytest.raises(ConfigError, match="not on the file system of"):
        once(host)
    assert host.night(after(MONDAY)).exit_status == 10
    assert before == (*before[:2], host.log.stat().st_mtime_ns, host.log.read_bytes())
    assert before[1] == host.log.stat().st_ino
    assert host.spooled() == []
    assert list(place.glob(".*")) == []


def test_a_hard_link_outside_is_not_touched(host: Host) -> None:
    """A log with another name: that name keeps its file, unchanged."""
    host.write(LOG)
    outside = host.directory / "outside"
    os.link(host.log, outside)
    before = outside.stat()
    assert host.night(after(MONDAY)).exit_status == 0
    now = outside.stat()
    assert (before.st_ino, before.st_mode, before.st_mtime_ns, 1) == (
        now.st_ino,
        now.st_mode,
        now.st_mtime_ns,
        now.st_nlink,
    )
    assert outside.read_bytes() == LOG
    assert host.content() == [LOG]


def test_foreign_files_in_the_spool_stay_as_they_are(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even under the very names that the next segment would have had."""
    host.write(LOG)
    monkeypatch.setattr("secrets.token_hex", lambda _: "abcdef")
    name = f"{compact(host.at(after(MONDAY)))}-000-abcdef"
    spool = host.config.host.spool_dir / "maillog"
    spool.mkdir(mode=0o700, parents=True)
    for suffix in (".open", ".log", ".sealed", ""):
        (spool / f"{name}{suffix}").write_bytes(b"mine" + suffix.encode())
    before = tree(spool)
    assert host.night(after(MONDAY)).exit_status == 3
    assert before == tree(spool)
    assert host.content() == [LOG]


@pytest.mark.parametrize(("suffix", "sealed"), [(".log.zst", True), (".manifest.json", False)])
def test_foreign_files_in_the_store_stay_as_they_are(host: Host, suffix: str, sealed: bool) -> None:
    """5, and the segment waits; once the stranger is gone, it is stored."""
    host.write(LOG)
    stem = f"maillog-{compact(host.at(MONDAY, '12:00'))}-000001"
    foreign = host.store / f"host=mx1/source=maillog/date={MONDAY}" / (stem + suffix)
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"mine")
    before = foreign.stat()
    for clock in ("00:05", "00:06"):
        assert host.night(after(MONDAY), clock).exit_status == 5
        now = foreign.stat()
        assert foreign.read_bytes() == b"mine"
        assert (before.st_ino, before.st_mtime_ns) == (now.st_ino, now.st_mtime_ns)
    assert sealed == any(name.endswith(".sealed") for name in host.spooled())
    foreign.unlink()
    assert host.night(after(MONDAY), "00:07").exit_status == 0
    assert host.content() == [LOG]


# -- other rotators ---------------------------------------------------------------------------


def rotate_as_others_do(host: Host) -> None:
    """What newsyslog does: rename, then a new file, into which a line comes."""
    host.log.rename(host.directory / "maillog.0")
    host.write(THEIRS)


@pytest.fixture
def interrupted(host: Host, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Do something just before or after our link of the log."""

    def arrange(*, before: Any = None, then: Any = None) -> None:
        link = os.link
        host.write(LOG)

        def with_others(*names: Any, **options: Any) -> None:
            monkeypatch.setattr(os, "link", link)
            if before:
                before(host)
            link(*names, **options)
            if then:
                then(host)

        monkeypatch.setattr(os, "link", with_others)

    return arrange


def test_another_rotator_between_look_and_link(
    host: Host, interrupted: Callable[..., None]
) -> None:
    """We hold a name of their new log: it is given back, and nothing is lost."""
    interrupted(before=rotate_as_others_do)
    with pytest.raises(MovedAsideError) as raised:
        once(host)
    assert (raised.value.exit_status, raised.value.retryable) == (3, True)
    assert ((host.directory / "maillog.0").read_bytes(), host.log.read_bytes()) == (LOG, THEIRS)
    assert host.log.stat().st_nlink == 1
    assert host.spooled() == []
    assert list(host.directory.glob(".*")) == []
    assert host.night(after(MONDAY)).exit_status == 0
    assert host.content() == [THEIRS]


def test_another_rotator_twice_between_look_and_link(
    host: Host, interrupted: Callable[..., None]
) -> None:
    """What we hold a name of has no other name any more: it is kept, and archived."""

    def again(host: Host) -> None:
        host.log.unlink()
        host.write(lines(MONDAY, "15:00:00"))

    interrupted(before=rotate_as_others_do, then=again)
    with pytest.raises(MovedAsideError):
        once(host)
    assert host.night(after(MONDAY), "01:00", force=True).exit_status == 0
    assert [THEIRS, lines(MONDAY, "15:00:00")] == host.content()


def test_another_rotator_between_link_and_rename(
    host: Host, interrupted: Callable[..., None]
) -> None:
    """Their new log is not overwritten; what we hold a name of is archived."""
    interrupted(then=rotate_as_others_do)
    with pytest.raises(MovedAsideError):
        once(host)
    assert host.log.read_bytes() == THEIRS
    assert list(host.directory.glob(".*")) == []
    report = host.night(after(MONDAY), "01:00", force=True)
    assert report.exit_status == 0
    assert host.content() == [LOG, THEIRS]
    assert (host.directory / "maillog.0").read_bytes() == LOG


@pytest.mark.parametrize("when", ["before", "then"])
def test_the_log_removed_during_rotation(
    host: Host, interrupted: Callable[..., None], when: str
) -> None:
    """The next run makes it anew, clears up, and archives what we hold a name of."""
    interrupted(**{when: lambda host: host.log.unlink()})
    with pytest.raises((ArchiverError, FileNotFoundError)):
        once(host)
    if when == "before":
        assert host.spooled() == []
        host.log.touch()
    assert host.night(after(MONDAY), "01:00").exit_status == 0
    assert host.log.read_bytes() == b""
    assert list(host.directory.glob(".*")) == []
    assert ([] if when == "before" else [LOG]) == host.content()


def test_a_log_that_is_not_there(host: Host) -> None:
    """4, and none is made: syslogd would not know of it."""
    host.log.unlink()
    report = host.night(after(MONDAY))
    assert report.exit_status == 4
    assert isinstance(report.failures[0], LogMissingError)
    assert not host.log.exists()
