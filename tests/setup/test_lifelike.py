"""The generated log is a log: ordered, dated, mixed, as dense as real ones, the same for a seed."""

import datetime as dt
import hashlib
import itertools
import os
import re
import subprocess
import sys
from zoneinfo import ZoneInfo

import pytest
import zstandard

from archiver.setup.demo import lifelike

ROME = ZoneInfo("Europe/Rome")
ORDINARY = dt.date(2026, 3, 5)
SPRING = dt.date(2026, 3, 29)  # 23 hours: no 02:00 to 02:59
AUTUMN = dt.date(2026, 10, 25)  # 25 hours: 02:00 to 02:59 twice
HEADER = re.compile(rb"([A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d) mx1 ")
STAMP = re.compile(rb".{16}mx1 (?:qmail|splogger): (\d{10}\.\d{6}) ")


def day(date: dt.date = ORDINARY, *, seed: int = 1, messages: int = 2000) -> list[bytes]:
    return list(lifelike.day(date, ROME, seed=seed, messages=messages))


def digest(lines: list[bytes]) -> str:
    return hashlib.sha256(b"".join(lines)).hexdigest()


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return day()


@pytest.fixture(scope="module")
def qmail(lines: list[bytes]) -> list[str]:
    """What qmail-send said, without header, tag and stamp."""
    return [line[16:].decode().split(" ", 3)[3][:-1] for line in lines if b" qmail: " in line]


def test_same_arguments_give_the_same_bytes(lines: list[bytes]) -> None:
    assert digest(lines) == digest(day())


@pytest.mark.parametrize("change", [{"seed": 2}, {"date": SPRING}, {"messages": 2001}])
def test_another_argument_gives_another_log(lines: list[bytes], change: dict[str, int]) -> None:
    other = day(**{"date": ORDINARY, **change})  # type: ignore[arg-type]
    assert len(set(lines) & set(other)) < len(lines) / 10


def test_no_process_sees_another_log(lines: list[bytes]) -> None:
    """Nothing hangs on the order of a set or on `hash`, which differ from process to process."""
    code = (
        "import datetime, hashlib, zoneinfo; from archiver.setup.demo import lifelike;"
        "zone = zoneinfo.ZoneInfo('Europe/Rome'); date = datetime.date(2026, 3, 5);"
        "lines = lifelike.day(date, zone, seed=1, messages=2000);"
        "print(hashlib.sha256(b''.join(lines)).hexdigest())"
    )
    for salt in ("1", "2"):
        command = [sys.executable, "-c", code]
        env = {**os.environ, "PYTHONHASHSEED": salt}
        assert digest(lines) == subprocess.check_output(command, env=env, text=True).strip()


def test_the_same_people_appear_every_day(lines: list[bytes]) -> None:
    users = [
        {line.split(b"user=")[1].split(b",")[0] for line in log if b" imapd: LOGIN, " in line}
        for log in (lines, day(SPRING), day(seed=2))
    ]
    assert len(users[0] & users[1]) > len(users[0]) / 10
    assert len(users[0] & users[2]) < len(users[0]) / 50


@pytest.mark.parametrize("date", [ORDINARY, SPRING, AUTUMN, dt.date(2024, 2, 29)])
def test_every_line_is_one_line_of_that_day(date: dt.date) -> None:
    for line in day(date, messages=500):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        header = HEADER.match(line)
        assert header, line
        assert header[1].startswith(f"{date:%b} {date.day:2} ".encode())


@pytest.mark.parametrize("date", [ORDINARY, SPRING, AUTUMN])
def test_lines_stand_in_order(date: dt.date) -> None:
    """By true time always; by the wall clock too, but for the hour that comes twice."""
    log = day(date)
    stamps = [float(found[1]) for line in log if (found := STAMP.match(line))]
    assert stamps == sorted(stamps)
    clocks = [line[7:15] for line in log]
    backwards = [(a, b) for a, b in itertools.pairwise(clocks) if b < a]
    assert [(b"02", b"02")] * (date == AUTUMN) == [(a[:2], b[:2]) for a, b in backwards]


@pytest.mark.parametrize("date", [ORDINARY, SPRING, AUTUMN])
def test_header_shows_the_stamps_wall_clock(date: dt.date) -> None:
    stamped = [(line, found) for line in day(date) if (found := STAMP.match(line))]
    assert len(stamped) > 1000
    for line, found in stamped:
        wall = dt.datetime.fromtimestamp(int(found[1][:10]), ROME)
        assert f"{wall:%H:%M:%S}".encode() == line[7:15]


def test_more_messages_make_more_lines(lines: list[bytes]) -> None:
    assert 1.7 < len(day(messages=4000)) / len(lines) < 2.3
    assert day(messages=0) == []


def test_days_are_busier_than_nights(lines: list[bytes]) -> None:
    night, morning = (
        sum(line[7:9] in hours for line in lines)
        for hours in ([b"01", b"02", b"03"], [b"09", b"10", b"11"])
    )
    assert morning > 8 * night > 0


def test_every_program_appears(lines: list[bytes]) -> None:
    """Daemons' pids put aside, and what syslogd itself says counted as a program."""
    tags = {re.split(r"[\[: ]", line[20:].decode())[0] for line in lines}
    postfix = {"smtpd", "cleanup", "qmgr", "lmtp", "smtp", "bounce"}
    others = {"qmail", "splogger", "imapd", "pop3d", "dovecot", "last"}
    assert tags == others | {f"postfix/{program}" for program in postfix}


def test_repeats_count_the_line_before(lines: list[bytes]) -> None:
    """Somebody's wrong password, and never a line with a stamp: no two of those are equal."""
    before = [a for a, b in itertools.pairwise(lines) if b" last message repeated " in b]
    assert before
    assert any(b" repeated 8 times" in line for line in lines)
    assert all(b": LOGIN FAILED, " in line for line in before)
    assert not any(a == b for a, b in itertools.pairwise(lines))


def test_a_message_number_is_used_again_but_never_twice_at_once(qmail: list[str]) -> None:
    under_way: set[str] = set()
    begun = []
    for text in qmail:
        if text.startswith("new msg "):
            assert text[8:] not in under_way
            under_way.add(text[8:])
            begun.append(text[8:])
        elif text.startswith("end msg "):
            under_way.remove(text[8:])
    assert len(set(begun)) < len(begun) / 10


def test_deliveries_count_up_and_end_once(qmail: list[str]) -> None:
    started = [int(text.split()[2][:-1]) for text in qmail if text.startswith("starting")]
    ended = [int(text.split()[1][:-1]) for text in qmail if text.startswith("delivery")]
    assert started == list(range(1, len(started) + 1))
    assert len(set(ended)) == len(ended)
    assert set(ended) <= set(started)
    verdicts = {text.split()[2] for text in qmail if text.startswith("delivery")}
    assert verdicts == {"success:", "failure:", "deferral:"}


def test_status_agrees_with_the_deliveries_under_way(qmail: list[str]) -> None:
    """Another session's start may stand between a start and its status, so count what may be."""
    remote = {text.split()[2]: " remote " in text for text in qmail if text.startswith("starting")}
    busy = 0
    for text in qmail:
        if text.startswith("starting"):
            busy += 1
        elif text.startswith("delivery"):
            assert text.split()[1] in remote
            busy -= 1
        elif text.startswith("status"):
            local, far = (int(part.split("/")[0]) for part in text.split()[2::2])
            assert 0 <= local <= 10
            assert 0 <= far <= 20
            assert abs(local + far - busy) <= 3
    assert 0 < sum(remote.values()) < len(remote)


def test_a_bounce_comes_back_under_the_qp_that_was_announced(qmail: list[str]) -> None:
    announced = [text.split()[4] for text in qmail if text.startswith("bounce msg ")]
    arrived = [text.split(" qp ")[1].split()[0] for text in qmail if " from <> qp " in text]
    assert len(announced) > 10
    assert len(set(announced) & set(arrived)) > 0.8 * len(announced)


def test_postfix_queue_ids_tell_the_time(lines: list[bytes]) -> None:
    letters = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
    ids = [line.decode().split(": ")[1] for line in lines if b": client=" in line]
    walls = [line[7:15].decode() for line in lines if b": client=" in line]
    assert len(set(ids)) == len(ids) > 100
    for queue_id, wall in zip(ids, walls, strict=True):
        assert re.fullmatch(r"[0-9B-Zb-z]{10}z[0-9B-Zb-y]+", queue_id)
        seconds = sum(letters.index(c) * 52**n for n, c in enumerate(reversed(queue_id[:6])))
        assert f"{dt.datetime.fromtimestamp(seconds, ROME):%H:%M:%S}" == wall


def test_it_compresses_as_real_logs_do() -> None:
    """Real mail logs shrink 5 to 8 times; one that shrinks 20 times has nothing in it."""
    log = b"".join(day(messages=6000))
    assert 5 < len(log) / len(zstandard.ZstdCompressor(level=3).compress(log)) < 8
