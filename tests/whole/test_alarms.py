"""Whatever goes wrong, everybody says so: docs/alarms.md, row by row.

Each row is broken for real, on a host of its own; then all who are asked must say what the table
says. A row without a way to break it fails, and so does a way to break something without a row.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from archiver.config.settings import load
from archiver.service import metrics
from tests import TOP
from tests.world.host import MONDAY, Host, after, lines
from tests.world.told import Sendmail

ALARMS = TOP / "docs/alarms.md"
ROW = re.compile(r"^\| `([a-z-]+)`: ([^|]*?) \|(.*)\|$", re.MULTILINE)
TODAY = after(MONDAY, 3)
NOTIFY = """\
[notify]
mail_to = ["root"]
sendmail = "{program}"
"""
QUESTIONS = ("complete", "verified", "copies", "readable", "overdue", "deletions")


@dataclass(frozen=True)
class Row:
    """A row of the table. met: the command that meets it and its status, if there is one."""

    name: str
    met: tuple[str, int] | None
    status: int
    nagios: str
    metrics: str
    doctor: str
    mail: bool
    ask: tuple[str, ...]


def rows() -> list[Row]:
    found = []
    for name, _, cells in ROW.findall(ALARMS.read_text()):
        met, status, word, metric, doctor, mail, ask = (cell.strip() for cell in cells.split("|"))
        command = re.fullmatch(r"`(.+)` (\d+)", met)
        found.append(
            Row(
                name,
                (command[1], int(command[2])) if command else None,
                int(status),
                word,
                metric.strip("`"),
                doctor,
                mail == "yes",
                tuple(re.findall(r"`(\w+)`", ask)),
            )
        )
    return found


# -- how each is broken ------------------------------------------------------------------------
# Called after three good nights, with today's lines in the log. Returns a text that whoever tells
# of it must say.


def store_away(host: Host) -> str:
    host.take_away()
    return "store"


def log_missing(host: Host) -> str:
    host.log.unlink()
    return "does not exist"


def run_missed(_: Host) -> str:
    return "no run has succeeded"


def archive(host: Host) -> Path:
    """Return the first archive of the store."""
    return host.store / host.manifests()[0].archive_key


def manifest_gone(host: Host) -> str:
    path = archive(host)
    path.with_name(path.name.replace(".log.zst", ".manifest.json")).unlink()
    return str(MONDAY)


def record_gone(host: Host) -> str:
    min(host.store.glob("host=mx1/ledger/*")).unlink()
    return "ledger"


def catalog_damaged(host: Host) -> str:
    path = host.config.host.state_dir / "catalog.sqlite3"
    path.write_bytes(b"no catalog" * 1000)
    return "catalog"


def newer_record(host: Host) -> str:
    """A newer version has written a record that must be understood."""
    newest = max(host.store.glob("host=mx1/ledger/*"))
    document = json.loads(newest.read_bytes())
    document |= {"schema": 9, "kind": "unheard-of", "sequence": document["sequence"] + 1}
    document["previous"] = hashlib.sha256(newest.read_bytes()).hexdigest()
    number = document["sequence"]
    (newest.parent / f"{number:08d}.json").write_text(json.dumps(document))
    return "newer version"


def second_rotator(host: Host) -> str:
    for name, text in (
        ("etc/logrotate.conf", f"{host.log} {{\ndaily\n}}\n"),
        ("usr/sbin/logrotate", ""),
    ):
        path = host.root / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return "logrotate"


BROKEN: dict[str, Callable[[Host], str]] = {
    "store-away": store_away,
    "log-missing": log_missing,
    "segment-waits": store_away,
    "run-missed": run_missed,
    "manifest-gone": manifest_gone,
    "record-gone": record_gone,
    "catalog-damaged": catalog_damaged,
    "newer-record": newer_record,
    "second-rotator": second_rotator,
}


# -- the test ----------------------------------------------------------------------------------


@pytest.fixture
def good(host: Host) -> Host:
    """Three nights went well, and today something was logged."""
    day: date = MONDAY
    for _ in range(3):
        host.write(lines(day, "09:00:00", "17:00:00"))
        day = after(day)
        assert host.archiver("run", now=host.at(day)).status == 0
    host.write(lines(day, "09:00:00"))
    return host


def is_well(host: Host, question: str, now: int) -> bool:
    said = host.archiver("retention", "ask", question, "--json", now=now)
    return bool(json.loads(said.out)["data"]["well"])


def test_all_is_green_when_all_is_well(good: Host) -> None:
    """Else the test of the rows would pass for what is always red."""
    now = good.at(TODAY, "12:00")
    assert good.archiver("status", now=now).status == 0
    assert good.archiver("status", "--nagios", now=now).status == 0
    assert "\narchiver_problems 0\n" in metrics.text(load(good.toml), now)
    assert [each for each in QUESTIONS if not is_well(good, each, now)] == []


def test_every_row_is_broken_and_nothing_else() -> None:
    assert [row.name for row in rows()] == list(BROKEN)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_everybody_says_so(good: Host, row: Row) -> None:
    sendmail = Sendmail.at(good.directory)
    table = NOTIFY.format(program=sendmail.program)
    good.toml.write_text(good.toml.read_text() + table)
    told = BROKEN[row.name](good)
    now = good.at(after(TODAY), "00:05")
    age = []
    if row.met:
        command, status = row.met
        said = good.archiver(*command.split(), now=now)
        assert (said.status, told in said.err) == (status, True), said
        assert bool(sendmail.mails) == row.mail
        assert not row.mail or told in sendmail.mails[-1].get_content()
    else:
        now, age = good.at(after(TODAY, 9)), ["--max-age", "26h"]
    said = good.archiver("status", *age, now=now)
    assert (said.status, told in said.err) == (row.status, True), said
    line = good.archiver("status", "--nagios", *age, now=now)
    assert line.out.decode().startswith(f"{row.nagios}: "), line
    assert (line.status, told in line.out.decode()) == (
        {"CRITICAL": 2, "WARNING": 1}[row.nagios],
        True,
    )
    if row.metrics:
        shown = re.search(
            rf"^archiver_{row.metrics}(?:\{{.*\}})? ([0-9]+)$",
            metrics.text(load(good.toml), now),
            re.MULTILINE,
        )
        assert shown
        assert int(shown[1]) > 0
    if row.doctor:
        found = json.loads(good.archiver("doctor", "--json", now=now).out)["data"]["findings"]
        levels = {each["level"] for each in found if told in each["what"]}
        assert row.doctor in levels, found
    assert [question for question in row.ask if is_well(good, question, now)] == []
