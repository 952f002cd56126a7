"""The service's own log: one line each, wherever it goes, whatever is in it."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config.telling import FACILITIES, Log
from archiver.service import log

messages = st.text(st.characters(codec=None))


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("archiver.serve", level, __file__, 1, "%s", (message,), None)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for each in [each for each in root.handlers if each not in handlers]:
        root.removeHandler(each)
        each.close()
    root.setLevel(level)


@given(messages, st.sampled_from(["plain", "logfmt", "json"]))
def test_a_record_is_one_line_that_can_be_read(message: str, form: str) -> None:
    line = log.Lines(form).format(record(message))
    assert len(line.splitlines()) <= 1
    assert "\0" not in line
    assert "\x1b" not in line
    if form == "json":
        assert json.loads(line)["message"] == message
    if form == "logfmt":
        assert re.match(r"time=\S+ level=info logger=archiver.serve message=", line)


@given(messages)
def test_a_datagram_is_what_every_syslogd_takes(tmp_path_factory: object, message: str) -> None:
    """RFC 3164: priority, time stamp and tag; and no longer than any of them takes."""
    assert tmp_path_factory
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        handler = log.Syslog("local3", ())
        handler.setFormatter(log.Lines("plain"))
        handler.socket = ours
        handler.emit(record(message, logging.ERROR))
        line = theirs.recv(65536)
        handler.socket = None
    assert len(line) <= log.LONGEST
    head = re.match(rb"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d archiver\[\d+\]: ", line)
    assert head
    assert int(head[1]) == 19 * 8 + 3, "local3.err"
    assert b"\n" not in line


def test_no_facility_is_mail() -> None:
    assert set(log.FACILITIES) == set(FACILITIES)
    assert 2 not in log.FACILITIES.values()


def test_a_syslogd_that_is_started_anew_and_one_that_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is connected to again; without one, lines go to stderr, and nothing fails."""
    path = str(tmp_path / "log")
    handler = log.Syslog("daemon", (str(tmp_path / "none"), path))
    handler.setFormatter(log.Lines("plain"))
    for text in ("first", "second"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslogd:
            syslogd.bind(path)
            handler.emit(record(text))
            assert syslogd.recv(2000).endswith(f": {text}".encode())
        os.unlink(path)
    handler.emit(record("third\n"))
    assert capsys.readouterr().err == "third\\n\n"
    handler.close()


def test_under_systemd_lines_have_priorities(tmp_path: Path) -> None:
    """Only where stderr is the journal's stream (systemd.exec(5)), and not a child's own file."""
    script = (
        "import logging, os, sys\n"
        "status = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = sys.argv[1] or f'{status.st_dev}:{status.st_ino}'\n"
        "from archiver.service import log as ownlog\n"
        "from archiver.config.telling import Log\n"
        "ownlog.set_up(Log())\n"
        "logging.getLogger('archiver').warning('look\\nhere')\n"
    )
    for stream, line in (("", b"<4>look\\nhere\n"), ("1:2", b"look\\nhere\n")):
        with open(tmp_path / "stderr", "w+b") as file:
            subprocess.run([sys.executable, "-c", script, stream], stderr=file, check=True)
            file.seek(0)
            assert file.read() == line


def test_set_up_again_nothing_is_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("plain", "json", "logfmt"):
        log.set_up(Log(format=form))
        logging.getLogger("archiver.serve").info("once")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert told[0] == "once"
