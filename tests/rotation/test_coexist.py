"""Another rotator on the same log: refused, or what it leaves is taken over, each line once."""

import gzip
import os
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from archiver.rotation.others import takeover
from archiver.rotation.turn import Taken
from archiver.stores.session import Session
from tests.world.host import MONDAY, Host, after, lines
from tests.world.system import need

TUESDAY, WEDNESDAY = after(MONDAY), after(MONDAY, 2)


def owned(host: Host, *, installed: bool = True, options: str = "daily") -> None:
    """Configure logrotate for the log, below the host's own root."""
    (host.root / "etc").mkdir(parents=True, exist_ok=True)
    conf = f"# the host's\n{host.log} {{\n{options}\n}}\n"
    (host.root / "etc/logrotate.conf").write_text(conf)
    if installed:
        (host.root / "usr/sbin").mkdir(parents=True, exist_ok=True)
        (host.root / "usr/sbin/logrotate").touch()


def left(host: Host, name: str, content: bytes, day: object = TUESDAY) -> Path:
    path = host.directory / name
    path.write_bytes(content)
    os.utime(path, (host.at(str(day)),) * 2)
    return path


def test_a_run_refuses_while_another_one_owns_the_log(host: Host) -> None:
    """By file and line, with what to do; the log stays as it is, and the dry run says the same."""
    owned(host)
    host.write(lines(MONDAY, "08:00:00"))
    before = host.log.stat()
    for words in (("run", "--dry-run"), ("run",)):
        said = host.archiver(*words, now=host.at(TUESDAY))
        assert said.status == 10
        assert "logrotate (/etc/logrotate.conf:2) rotates it, too" in said.err
        assert 'coexist = "adopt"' in said.err
    assert (host.log.stat().st_ino, host.dates()) == (before.st_ino, [])
    (host.root / "etc/logrotate.conf").unlink()
    assert host.night(TUESDAY).exit_status == 0
    assert host.dates() == [(str(MONDAY), 1)]


def test_the_other_sources_and_the_spool_go_on(place: Path) -> None:
    """Refused is only the rotating of that one log."""
    host = Host(place, sources=("maillog", "authlog"))
    for name in ("maillog", "authlog"):
        host.write(lines(MONDAY, "08:00:00"), name)
    host.take_away()
    assert host.night(TUESDAY).exit_status
    host.bring_back()
    owned(host)
    host.write(lines(TUESDAY, "08:00:00"), "authlog")
    host.write(lines(TUESDAY, "08:00:00"), "maillog")
    report = host.night(WEDNESDAY)
    assert [failure.code for failure in report.failures] == ["second_rotator"]
    assert host.dates("maillog") == [(str(MONDAY), 1)]
    assert host.dates("authlog") == [(str(MONDAY), 1), (str(TUESDAY), 1)]


def test_a_program_that_is_not_installed_rotates_nothing(host: Host) -> None:
    """Debian's rsyslog brings a file for logrotate along, whether that is there or not."""
    owned(host, installed=False)
    host.write(lines(MONDAY, "08:00:00"))
    assert host.night(TUESDAY).exit_status == 0
    assert host.dates() == [(str(MONDAY), 1)]


def test_what_the_other_one_left_is_taken_over_once(host: Host) -> None:
    """Under whatever names it comes by later; nothing is removed, and the log is not rotated."""
    host.configure(more='coexist = "adopt"')
    owned(host)
    host.write(lines(TUESDAY, "20:00:00"))
    left(host, "maillog.1", lines(MONDAY, "08:00:00", "09:00:00"))
    left(host, "maillog-20260504.gz", gzip.compress(lines(after(MONDAY, -1), "08:00:00")), MONDAY)
    left(host, "maillog.1.old", b"not a rotated file\n")
    inode = host.log.stat().st_ino
    report = host.night(WEDNESDAY)
    assert (report.exit_status, report.sources[0].rotated) == (0, False)
    assert "left to logrotate" in report.sources[0].reason
    once = [(str(after(MONDAY, -1)), 1), (str(MONDAY), 2)]
    assert host.dates() == once
    assert host.log.stat().st_ino == inode
    plain = host.directory / "maillog.1"
    packed = left(host, "maillog.2.gz", gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert host.night(WEDNESDAY, "03:00").exit_status == 0
    (host.directory / "state/adopted-maillog.json").write_text("no JSON")
    assert host.night(WEDNESDAY, "04:00").exit_status == 0
    assert (host.dates(), packed.exists()) == (once, True)


def test_what_is_being_written_waits(host: Host) -> None:
    """Told with who holds it; and the days are not called empty meanwhile."""
    host.configure(more='coexist = "adopt"')
    owned(host)
    path = left(host, "maillog.1", lines(MONDAY, "08:00:00"))
    with open(path, "ab"):
        report = host.night(WEDNESDAY)
        assert [failure.code for failure in report.failures] == ["writer_holds"]
        assert host.dates() == []
    assert host.night(WEDNESDAY, "01:00").exit_status == 0
    assert host.dates() == [(str(MONDAY), 1)]


def test_what_was_made_just_now_waits(host: Host) -> None:
    """Between its renaming and its compression nobody may hold it."""
    host.configure(more='coexist = "adopt"')
    owned(host)
    now = int(time.time())
    assert host.run(now - 4 * 86_400).exit_status == 0
    left(host, "maillog.1", lines(MONDAY, "08:00:00"))
    report = host.run(now)
    assert (report.exit_status, report.sources[0].archived) == (0, [])
    assert report.sources[0].waiting == [f"{host.directory}/maillog.1 was made just now"]
    with mock.patch.object(Session, "seconds", 3600):  # that run began long before
        assert host.run(now - 3600).sources[0].waiting == report.sources[0].waiting
    assert host.run(now + 600).exit_status == 0
    assert host.dates()[0] == (str(MONDAY), 1)


def test_what_was_rotated_before_comes_first(host: Host) -> None:
    """The chain follows time: while our own segment is held, no later file is taken over."""
    host.configure(more='coexist = "adopt"\nreopen_timeout = "1ms"')
    host.write(lines(MONDAY, "08:00:00"))
    with open(host.log, "ab"):
        assert host.night(TUESDAY).exit_status == 13
        owned(host)
        left(host, "maillog.1", lines(TUESDAY, "08:00:00"), WEDNESDAY)
        assert host.night(WEDNESDAY).exit_status == 13
    assert host.dates() == []
    assert host.night(WEDNESDAY, "01:00").exit_status == 0
    assert host.dates() == [(str(MONDAY), 1), (str(TUESDAY), 1)]


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_and_its_compressed_copy_in_the_making(host: Host, *, whole: bool) -> None:
    """A compressor that was killed leaves both: the plain one counts, and nothing fails."""
    host.configure(more='coexist = "adopt"')
    owned(host)
    content = lines(MONDAY, *(f"08:{minute:02}:00" for minute in range(60)))
    packed = gzip.compress(content)
    left(host, "maillog.1", content)
    left(host, "maillog.1.gz", packed if whole else packed[:-20])
    assert host.night(WEDNESDAY).exit_status == 0
    assert host.dates() == [(str(MONDAY), 60)]


@pytest.mark.parametrize("name", ["maillog-20260504", "maillog-2026-05-04", "maillog.0"])
def test_whatever_a_plain_one_is_called(host: Host, name: str) -> None:
    """Dateext without compress, too: no part of its name is a compression."""
    host.configure(more='coexist = "adopt"')
    owned(host)
    left(host, name, lines(MONDAY, "08:00:00"))
    host.run(host.at(WEDNESDAY))
    assert host.content() == [lines(MONDAY, "08:00:00")]


def test_a_compressed_one_whose_plain_one_was_never_archived(host: Host) -> None:
    """The plain one was held open, and is gone by the next night: the other has its lines."""
    host.configure(more='coexist = "adopt"')
    owned(host)
    plain = left(host, "maillog.0", lines(MONDAY, "08:00:00"))
    left(host, "maillog.0.gz", gzip.compress(lines(MONDAY, "08:00:00")))
    with open(plain, "ab"):
        report = host.run(host.at(TUESDAY))
    assert [failure.code for failure in report.failures] == ["writer_holds"]
    assert host.content() == []
    plain.unlink()
    assert host.run(host.at(WEDNESDAY)).failures == []
    assert host.content() == [lines(MONDAY, "08:00:00")]


@pytest.mark.parametrize("copied", [False, True], ids=["renamed", "copytruncate"])
def test_what_is_rotated_while_the_run_looks_makes_no_day_empty(
    host: Host, monkeypatch: pytest.MonkeyPatch, *, copied: bool
) -> None:
    """Between the list of what was left, and the look into the live log."""
    host.configure(more='coexist = "adopt"')
    owned(host)
    left(host, "maillog.1", lines(MONDAY, "08:00:00"))
    host.run(host.at(TUESDAY))
    content = lines(WEDNESDAY, "08:00:00")
    host.write(content)
    take_over = takeover.take_over

    def and_then_rotated(*words: Any) -> Taken:
        taken = take_over(*words)
        if copied:
            left(host, "maillog.0", content, after(MONDAY, 3))
            os.truncate(host.log, 0)
        else:
            # The year is told by the time that the file was last written at.
            os.utime(host.log, (host.at(after(MONDAY, 3)),) * 2)
            host.log.rename(host.directory / "maillog.0")
            host.log.touch(0o640)
        return taken

    monkeypatch.setattr(takeover, "take_over", and_then_rotated)
    host.run(host.at(after(MONDAY, 3)))
    monkeypatch.undo()
    host.run(host.at(after(MONDAY, 4)))
    assert host.content() == [lines(MONDAY, "08:00:00"), content]
    empty = [manifest.date for manifest in host.manifests() if manifest.is_empty_day]
    assert WEDNESDAY not in empty
    assert dict(host.dates())[str(WEDNESDAY)] == 1


def test_a_damaged_one_keeps_nobody_else_waiting(host: Host) -> None:
    host.configure(more='coexist = "adopt"')
    owned(host)
    left(host, "maillog.2.gz", gzip.compress(lines(MONDAY, "08:00:00"))[:-5], MONDAY)
    left(host, "maillog.1", lines(TUESDAY, "08:00:00"), WEDNESDAY)
    report = host.night(WEDNESDAY)
    assert [failure.code for failure in report.failures] == ["damaged_input"]
    assert host.dates() == [(str(TUESDAY), 1)]


@pytest.mark.parametrize("seen", [True, False])
def test_days_without_lines(host: Host, *, seen: bool) -> None:
    """Recorded where the log of the last look is among what was taken over, though packed by now;
    where it is not, somebody may have removed it, and nothing is called empty.
    """
    host.configure(more='coexist = "adopt"')
    owned(host)
    left(host, "maillog.1", lines(MONDAY, "08:00:00"))
    host.write(lines(TUESDAY, "08:00:00"))
    assert host.night(WEDNESDAY).exit_status == 0
    content = host.log.read_bytes()
    (host.directory / "new").touch()
    (host.directory / "new").rename(host.log)
    if seen:
        left(host, "maillog.1.gz", gzip.compress(content), TUESDAY)
    (host.directory / "maillog.1").unlink()
    host.write(lines(after(MONDAY, 4), "08:00:00"))
    report = host.night(after(MONDAY, 5))
    days = [(str(MONDAY), 1), (str(TUESDAY), 1)]
    if seen:
        assert report.exit_status == 0
        # Not Wednesday: the day of the first run is not known whole.
        assert host.dates() == [*days, (str(after(MONDAY, 3)), 0)]
    else:
        assert [failure.code for failure in report.failures] == ["work_kept"]
        assert host.dates() == days[:1]


@pytest.mark.system
@pytest.mark.parametrize(
    "options",
    [
        "",
        "compress",
        "compress\ndelaycompress",
        "dateext\ncompress",
        "dateext",
        "copytruncate\ncompress",
    ],
)
def test_no_line_is_lost_across_real_rotations(host: Host, options: str) -> None:
    """Six forced rotations by the real logrotate, a run between, sometimes two rotations."""
    logrotate = need("logrotate")
    host.configure(more='coexist = "adopt"')
    form = "\ndateformat -%Y%m%d-%s" if "dateext" in options else ""
    owned(host, options=f"rotate 9\ncreate\n{options}{form}")
    conf, state = host.root / "etc/logrotate.conf", host.directory / "logrotate.state"
    conf.chmod(0o644)
    host.directory.chmod(0o755)
    written = b""
    for turn in range(6):
        some = lines(after(MONDAY, turn), "08:00:00", "20:00:00")
        host.write(some)
        written += some
        os.utime(host.log, (host.at(after(MONDAY, turn + 1)),) * 2)
        subprocess.run([logrotate, "-f", "-s", state, conf], check=True, capture_output=True)
        if form:  # its names count seconds
            for path in host.directory.glob("maillog-*"):
                path.rename(path.with_name(path.name.replace("-2026", f"-202{turn}", 1)))
        if turn != 2:
            assert host.night(after(MONDAY, turn + 1)).exit_status == 0
    assert sorted(b"".join(host.content()).splitlines()) == sorted(written.splitlines())
    assert [count for _, count in host.dates()] == [2] * 6
