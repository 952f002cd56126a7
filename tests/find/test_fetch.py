"""What was logged comes back: by date and by time, from wherever it is, each line once."""

import hashlib
import json
import os
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from archiver import nightly
from archiver.archives.manifest import decode
from archiver.archives.names import ARCHIVE_SUFFIX
from tests.world.host import MONDAY, Host, after, flip, lines, unpacked
from tests.world.system import need

CLOCKS = ("00:00:00", "08:30:00", "23:59:59")


@pytest.fixture
def week(host: Host) -> Host:
    """Monday and Tuesday are archived, Wednesday waits in the spool, Thursday's log is live."""
    for ahead in range(2):
        host.write(lines(after(MONDAY, ahead), *CLOCKS))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    host.write(lines(after(MONDAY, 2), *CLOCKS))
    host.store.rename(host.directory / "away")
    host.store.write_bytes(b"")
    assert host.night(after(MONDAY, 3)).exit_status == 12
    host.store.unlink()
    (host.directory / "away").rename(host.store)
    host.write(lines(after(MONDAY, 3), *CLOCKS))
    return host


def days(first: int, last: int) -> bytes:
    return b"".join(lines(after(MONDAY, ahead), *CLOCKS) for ahead in range(first, last + 1))


def thursday(host: Host) -> int:
    return host.at(after(MONDAY, 3), "23:59:59")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--date", "2026-05-04"), (0, 0)),
        (("--date", "2026-05-04..2026-05-05"), (0, 1)),
        (("--date", "2026-05-05..yesterday"), (1, 2)),
        (("--date", "2026-05-01..2026-06-30"), (0, 3)),
        (("--date", "yesterday"), (2, 2)),
        (("--date", "today"), (3, 3)),
        (("--date", "yesterday..today"), (2, 3)),
        (("--from", "2026-05-05"), (1, 3)),
        (("--to", "2026-05-05"), (0, 1)),
        (("--from", "2026-05-05", "--to", "2026-05-06"), (1, 2)),
        (("--from", "yesterday", "--to", "yesterday"), (2, 2)),
        (("--archived", "--date", "2026-05-04..2026-05-07"), (0, 1)),
        (("--archived", "--from", "2026-05-04"), (0, 1)),
    ],
)
def test_dates(week: Host, words: tuple[str, ...], wanted: tuple[int, int]) -> None:
    """Days are the host's, and ranges include both ends; archives, spool and live log are one."""
    said = week.archiver("fetch", *words, now=thursday(week))
    assert (0, "", days(*wanted)) == (said.status, said.err, said.out)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-05-05T08:30", "2026-05-05T08:31"),
        ("2026-05-05 08:30:00", "2026-05-05 08:30:01"),
        ("2026-05-05T08:30:00+02:00", "2026-05-05T08:30:01+02:00"),
        ("2026-05-05T06:30:00Z", "2026-05-05T06:30:01Z"),
        ("2026-05-05T06:30Z", "2026-05-05T08:30:01"),
        ("2026-05-05T00:30:00-06:00", "2026-05-05T12:00"),
    ],
)
def test_times(week: Host, start: str, end: str) -> None:
    """From a time on and before another, in the host's zone unless they name an offset."""
    said = week.archiver("fetch", "--from", start, "--to", end)
    assert (said.status, said.err) == (0, "")
    assert [lines(after(MONDAY), *CLOCKS).splitlines()[1]] == said.out.splitlines()


def test_the_end_of_a_time_is_left_out_and_its_start_is_not(week: Host) -> None:
    """Two adjoining stretches of time share no line and miss none."""
    noon = "2026-05-05T08:30:00"
    before = week.archiver("fetch", "--to", noon).out
    rest = week.archiver("fetch", "--from", noon, now=thursday(week)).out
    assert days(0, 3) == before + rest
    assert rest.startswith(b"May  5 08:30:00")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--date", "2026-02-30"),
        ("--date", "tomorrow"),
        ("--date", ".."),
        ("--date", "2026-05-05..2026-05-04"),
        ("--date", "2026-05-04", "--from", "2026-05-04"),
        ("--from", "08:30"),
        ("--from", "2026-05-05", "--to", "2026-05-03"),
        ("--date", "today", "--source", "nosuch"),
        ("--date", "today", "--json"),
    ],
)
def test_what_cannot_be_asked(week: Host, words: tuple[str, ...]) -> None:
    """A usage error: 2, and no line."""
    said = week.archiver("fetch", *words)
    assert said.status == 2
    assert b"imapd" not in said.out
    assert said.err or json.loads(said.out)["error"]["code"] == "usage"


def test_nothing_found(week: Host) -> None:
    """4, and where it was looked for."""
    said = week.archiver("fetch", "--date", "2020-01-01")
    assert (said.status, said.out) == (4, b"")
    assert "2020-01-01" in said.err or "no line of that time" in said.err
    assert "Traceback" not in said.err


def test_a_day_recorded_as_empty(host: Host) -> None:
    """0 and nothing: it is known that there was no line; also where hours of it are asked for."""
    host.write(lines(MONDAY, *CLOCKS))
    for ahead in (1, 3):
        host.night(after(MONDAY, ahead))
    empty = after(MONDAY, 2)
    said = host.archiver("fetch", "--date", str(empty))
    assert (said.status, said.out, said.err) == (0, b"", "")
    said = host.archiver("fetch", "--from", f"{empty}T08:00", "--to", f"{empty}T09:00")
    assert (said.status, said.out, said.err) == (0, b"", "")
    said = host.archiver("fetch", "--date", str(after(MONDAY, 9)))
    assert said.status == 4


def test_sources(place: Path) -> None:
    """All of them, one after the other, or the one that is named."""
    host = Host(place, sources=("maillog", "other"))
    host.write(days(0, 0))
    host.write(lines(MONDAY, "12:00:00"), "other")
    assert host.night(after(MONDAY)).exit_status == 0
    assert days(0, 0) + lines(MONDAY, "12:00:00") == host.fetch(MONDAY)
    said = host.archiver("fetch", "--date", str(MONDAY), "--source", "other")
    assert lines(MONDAY, "12:00:00") == said.out


# -- where to ---------------------------------------------------------------------------------


def test_into_a_file(week: Host) -> None:
    """Whole: the old content until then, the new one afterwards; and nothing else beside it."""
    target = week.directory / "out"
    target.write_bytes(b"before")
    said = week.archiver("fetch", "--date", "2020-01-01", "-o", target)
    assert (said.status, target.read_bytes()) == (4, b"before")
    said = week.archiver("fetch", "--date", "2026-05-04..2026-05-05", "-o", target)
    assert (0, b"", days(0, 1)) == (said.status, said.out, target.read_bytes())
    assert [target] == list(week.directory.glob("out*"))


def test_into_a_file_not_at_all(week: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure on the way leaves neither half a file nor a partial one."""
    target = week.directory / "out"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    said = week.archiver("fetch", "--date", "2026-05-04", "-o", target)
    assert said.status == 14
    assert list(week.directory.glob("out*")) == []


@pytest.mark.parametrize("kind", ["itself", "behind a link"])
def test_what_is_not_a_plain_file_is_not_replaced(week: Host, kind: str) -> None:
    """`-o /dev/null` or `-o /dev/stdout`, as root, must not make a file of the device."""
    fifo = week.directory / "fifo"
    os.mkfifo(fifo)
    target = fifo if kind == "itself" else week.directory / "link"
    if kind != "itself":
        target.symlink_to("fifo")
    before = target.lstat()
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    said = week.archiver("fetch", "--date", "2026-05-04", "-o", target)
    given = os.read(reader, 10_000)
    os.close(reader)
    now = target.lstat()
    assert (before.st_ino, before.st_mode) == (now.st_ino, now.st_mode)
    assert (said.status, given) in {(0, days(0, 0)), (2, b"")}


def test_into_a_directory(week: Host) -> None:
    """A file for each source and date that has lines; of a stretch of time, one for the source."""
    target = week.directory / "out"
    target.mkdir()
    words = ("fetch", "--date", "2026-05-03..2026-05-05", "-o", target)
    assert week.archiver(*words).status == 0
    wanted = {f"maillog-{after(MONDAY, n)}.log": days(n, n) for n in range(2)}
    assert wanted == {path.name: path.read_bytes() for path in target.iterdir()}
    week.archiver("fetch", "--from", "2026-05-04T08:00", "--to", "2026-05-05", "-o", target)
    assert days(0, 1).split(b"\n", 1)[1] == (target / "maillog-part.log").read_bytes()


def test_a_directory_to_be_made(week: Host) -> None:
    """A slash at its end says so; without one it would be a file."""
    new = week.directory / "new/er"
    said = week.archiver("fetch", "--date", str(MONDAY), "-o", f"{new}/")
    assert (said.status, said.err) == (0, "")
    assert os.listdir(new) == [f"maillog-{MONDAY}.log"]


def test_raw_into_a_directory(week: Host) -> None:
    """Archives as `zstd -t` likes them and the manifests say, each with its manifest beside it."""
    target = week.directory / "out"
    target.mkdir()
    said = week.archiver("fetch", "--raw", "--date", "2026-05-04..2026-05-05", "-o", target)
    assert (said.status, said.out) == (0, b"")
    archives = sorted(target.glob("*" + ARCHIVE_SUFFIX))
    assert [manifest.archive_key.rsplit("/", 1)[1] for manifest in week.manifests()] == [
        path.name for path in archives
    ]
    for path in archives:
        subprocess.run([need("zstd"), "-qt", path], check=True)
        manifest = decode(Path(str(path).replace(ARCHIVE_SUFFIX, ".manifest.json")).read_bytes())
        assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    every = subprocess.run([need("zstd"), "-qdc", *archives], check=True, capture_output=True)
    assert days(0, 1) == every.stdout


def test_raw_into_a_file_and_to_stdout(week: Host) -> None:
    """Archives one after the other are one that zstd reads: none is left out."""
    target = week.directory / "out.zst"
    words = ("fetch", "--raw", "--date", "2026-05-04..2026-05-05")
    assert days(0, 1) == unpacked(week.archiver(*words).out)
    assert week.archiver(*words, "-o", target).status == 0
    assert days(0, 1) == unpacked(target.read_bytes())


def test_a_reader_who_has_seen_enough(host: Host) -> None:
    """`| head -1` ends quietly, from the live log and from archives, as SIGPIPE would."""
    many = b"".join(b"2026-05-04T12:00:00 mx1 test: %d\n" % number for number in range(40_000))
    host.write(many)
    for _ in ("live", "archived"):
        with subprocess.Popen(
            host.argv("fetch", "--date", str(MONDAY)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as fetch:
            assert fetch.stdout
            assert fetch.stderr
            assert fetch.stdout.readline() == many[: many.index(b"\n") + 1]
            fetch.stdout.close()
            assert fetch.stderr.read() == b""
            assert fetch.wait() == 141
        assert host.night(after(MONDAY)).exit_status == 0


# -- while things move ------------------------------------------------------------------------


def test_during_a_run_every_line_once(host: Host) -> None:
    """Whatever is under way, a fetch gives all that was there before it, in order, none twice."""
    written = 0
    failed: list[int] = []

    def rotate_and_rotate() -> None:
        nonlocal written
        for turn in range(15):
            for number in range(written, written + 40):
                stamp = f"2026-05-04T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
                host.write(f"{stamp} mx1 test: {number}\n".encode())
                written = number + 1
            report = nightly.run(
                host.config, ["maillog"], now=host.at(MONDAY, "12:00") + turn, force=True
            )
            failed.extend([report.exit_status] * bool(report.failures))

    runs = threading.Thread(target=rotate_and_rotate)
    runs.start()
    looks = 0
    while runs.is_alive():
        least = written
        said = host.archiver("fetch", "--date", str(MONDAY))
        numbers = [int(each.rsplit(b" ", 1)[1]) for each in said.out.splitlines()]
        assert list(range(len(numbers))) == numbers
        assert len(numbers) >= least
        looks += 1
    runs.join()
    assert failed == []
    assert looks > 3
    assert len(host.fetch(MONDAY).splitlines()) == written == 600


# -- damage -----------------------------------------------------------------------------------


def damaged(host: Host, target: str = "store") -> tuple[Path, bytes]:
    """Archive a day of several frames, flip a bit in one; return where, and the other lines."""
    clocks = [str(timedelta(seconds=n * 5 + 8 * 3600)).zfill(8) for n in range(1500)]
    host.write(lines(MONDAY, *clocks))
    assert host.night(after(MONDAY)).exit_status == 0
    (manifest,) = host.manifests(target=target)
    frame = manifest.frames[1]
    before = manifest.frames[0].raw_size
    path = host.directory / target / manifest.archive_key
    flip(path, frame.offset + frame.size // 2)
    whole = lines(MONDAY, *clocks)
    return path, whole[:before] + whole[before + frame.raw_size :]


def test_a_flipped_bit(host: Host) -> None:
    """5, the archive is named, and all the other frames are given."""
    path, others = damaged(host)
    said = host.archiver("fetch", "--date", str(MONDAY))
    assert said.status == 5
    assert path.name in said.err
    assert others == said.out
    said = host.archiver("fetch", "--raw", "--date", str(MONDAY))
    assert (said.status, said.out) == (5, b"")


@pytest.mark.parametrize("kind", ["a bit", "cut short", "gone"])
def test_another_copy_helps(place: Path, kind: str) -> None:
    """Every line is given, and what is wrong with the first copy is told."""
    host = Host(place, targets=("store", "second"))
    path, _ = damaged(host)
    if kind == "cut short":
        os.truncate(path, path.stat().st_size // 2)
    if kind == "gone":
        path.unlink()
    said = host.archiver("fetch", "--date", str(MONDAY))
    assert b"".join(host.content(target="second")) == said.out
    assert path.name in said.err
    assert said.status in {0, 5}
    said = host.archiver("fetch", "--raw", "--date", str(MONDAY))
    assert host.content(target="second") == [unpacked(said.out)]


@pytest.mark.parametrize("how", ["deleted", "empty", "garbage", "half", "a page"])
def test_a_ruined_catalog_changes_no_answer(week: Host, how: str) -> None:
    """The manifests on the store tell the same; unless it is only missing, that is told."""
    path = week.config.host.catalog
    whole = path.read_bytes()
    if how == "deleted":
        path.unlink()
    else:
        page = whole[:4096] + b"\x5a" * 4096 + whole[8192:]
        path.write_bytes(
            {"empty": b"", "garbage": b"?" * 9999, "half": whole[:9000]}.get(how, page)
        )
    said = week.archiver("fetch", "--date", "2026-05-04..today", now=thursday(week))
    assert days(0, 3) == said.out
    assert (how == "deleted") == (said.err == "")
    listed = json.loads(week.archiver("list", "--json").out)["data"]["archives"]
    assert [str(after(MONDAY, n)) for n in range(2)] == [each["date"] for each in listed]
