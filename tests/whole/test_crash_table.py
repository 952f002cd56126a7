"""The crash table of docs/design.md: for every instant, what is on disk, what happens next.

Each row's process is really killed, by SIGKILL, at that instant; nothing is cleaned up.
The sweep in tests/whole/crash/ does the same at every system call, without naming the instants.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archiver import nightly
from archiver.archives.names import MANIFEST_SUFFIX
from archiver.catalog import Catalog, opened
from archiver.config.settings import Config, parse
from archiver.errors import Problems
from archiver.find.snapshot import catalogued, day_window, lines, snapshot
from archiver.rotation import importing as adopt
from archiver.rotation import last_run, release, rotate, seal
from archiver.rotation import spool as journal
from archiver.stores import copy, open_stores
from archiver.stores.local import LocalStore
from archiver.stores.session import started
from archiver.system import files as durable
from archiver.system.zone import local_date, parse_rfc3339
from tests import TOP

CONFIG = """\
schema = 1
[host]
name = "mx1"
timezone = "Europe/Rome"
state_dir = "state"
spool_dir = "spool"
[compress]
level = 1
[[source]]
name = "maillog"
path = "maillog"
reopen = "none"
[storage]
required = 1
[storage.target.local]
type = "local"
path = "store"
"""
NOW = parse_rfc3339("2026-03-03T23:00:05Z")  # five seconds into the 4th of March in Rome
LOG = [b"Mar  %d 12:00:00 mx1 test: line %d\n" % (day, day) for day in (1, 3)]
MORE = b"Mar  4 00:00:10 mx1 test: line 4\n"


@dataclass(frozen=True)
class Row:
    """An instant: just before or after the nth call of a function; what the spool holds then."""

    instant: str
    owner: Any
    function: str
    after: bool
    spool: frozenset[str]
    call: int = 1
    force: bool = False


def row(instant: str, owner: object, function: str, when: str, *spool: str, call: int = 1) -> Row:
    return Row(instant, owner, function, when == "after", frozenset(spool), call)


ROWS = [
    row("before-intent", rotate, "rotate", "before"),
    row("after-intent", journal.Journal, "begin", "after", ".intent"),
    row("new-log-made", rotate, "_prepare_new_log", "after", ".intent"),
    row("linked", rotate, "_link", "after", ".intent", ".open"),
    row("renamed-over", rotate, "_rename_over", "after", ".intent", ".open"),
    row("signalled", release, "request_reopen", "after", ".intent", ".open"),
    row("released", release, "release", "after", ".intent", ".log"),
    row("archives-written", seal, "_publish", "before", ".intent", ".log", ".sealing"),
    row("sealed", seal, "_publish", "after", ".intent", ".log", ".sealed"),
    # The first one stored is the record of the retention rules.
    row("archive-copied", LocalStore, "put", "after", ".intent", ".log", ".sealed", call=2),
    row("manifest-copied", copy, "copy", "after", ".intent", ".log", ".sealed"),
    row("first-day-catalogued", Catalog, "add", "after", ".intent", ".log", ".sealed"),
    row("catalogued", Catalog, "add", "after", ".intent", ".log", ".sealed", call=2),
    row("segment-removed", journal.Journal, "unseal", "before", ".intent", ".sealed"),
    row("archives-aside", journal, "remove_tree", "before", ".intent", ".done"),
    row("archives-removed", journal.Journal, "unseal", "after", ".intent"),
    row("entry-ended", journal.Journal, "end", "after"),
    row("empty-day-sealed", seal, "seal_empty_days", "after", ".intent", ".sealed"),
    row("noting-the-run", last_run, "save", "before"),
]


@pytest.fixture
def host(tmp_path: Path) -> Config:
    tmp_path.chmod(0o755)
    (tmp_path / "maillog").write_bytes(b"".join(LOG))
    state = tmp_path / "state"
    durable.make_directory(state)
    last_run.save(state, last_run.LastRun(complete={"maillog": date(2026, 2, 28)}))
    return parse(CONFIG, tmp_path / "archiver.toml")


def run(config: Config) -> nightly.NightReport:
    return nightly.run(config, ["maillog"], now=NOW, force=False)


def killed(act: Callable[[], object], at: Row) -> None:
    """Do something in a child that is killed at the row's instant."""
    child = os.fork()
    if child == 0:
        original = getattr(at.owner, at.function)
        calls = 0

        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at.call and not at.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **named)
            if calls == at.call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(at.owner, at.function, counted)
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "the instant was never reached"


def spool_of(config: Config) -> frozenset[str]:
    directory = config.host.spool_dir / "maillog"
    return (
        frozenset(path.suffix for path in directory.iterdir())
        if directory.exists()
        else frozenset()
    )


def everything(config: Config) -> bytes:
    """All lines that fetch finds, of whatever day."""
    source = config.sources[0]
    window = day_window(
        local_date(0, config.host.zone), local_date(NOW, config.host.zone), config.host.zone
    )
    problems = Problems()
    with (
        catalogued(config, problems) as catalog,
        snapshot(config, catalog, source, window, now=NOW, archived=False) as found,
    ):
        stores = open_stores(config.storage)
        text = b"".join(
            lines(found, window, zone=config.host.zone, stores=stores, problems=problems)
        )
    assert problems == []
    return text


@pytest.mark.parametrize("at", ROWS, ids=lambda at: at.instant)
def test_killed(host: Config, at: Row) -> None:
    """Killed at that instant, nothing is lost or doubled, then or after one normal run."""
    log = host.sources[0].path
    killed(lambda: run(host), at)
    assert at.spool == spool_of(host)
    assert b"".join(LOG) == everything(host)

    with open(log, "ab") as writer:
        writer.write(MORE)
    report = run(host)
    assert report.failures == []
    assert b"".join(LOG) + MORE == everything(host)
    assert frozenset() == spool_of(host)
    strays = [
        path for path in log.parent.rglob("*") if path.name.endswith(("-new", ".partial", ".tmp"))
    ]
    assert strays == []
    with opened(host.host.catalog, "mx1") as catalog:
        days = [(str(each.date), each.is_empty_day) for each in catalog.summaries("maillog")]
        sequences = sorted(each.sequence for each in catalog.summaries("maillog"))
    assert days == [("2026-03-01", False), ("2026-03-02", True), ("2026-03-03", False)]
    assert sequences == [1, 2, 3]


@pytest.mark.parametrize(
    "at",
    [
        row("import-begun", journal.Journal, "begin", "after", ".intent"),
        row("import-sealed", seal, "_publish", "after", ".intent", ".sealed"),
        row("import-copied", copy, "copy", "after", ".intent", ".sealed"),
    ],
    ids=lambda at: at.instant,
)
@pytest.mark.parametrize("known", [False, True], ids=["new", "archived-before"])
def test_import_killed(host: Config, at: Row, *, known: bool) -> None:
    """A file imported again after a killed import, or one of known lines, is stored once."""
    old = host.path.parent / "maillog.0"
    old.write_bytes(b"Feb  1 12:00:00 mx1 test: old\n")
    os.utime(old, (NOW, NOW))

    def take(path: Path) -> None:
        with started(host, now=NOW) as under_way:
            adopt.adopt(under_way, host.sources[0], path, remove=False)

    if known:
        take(old)
        if at.instant == "import-copied":
            return  # known lines are never copied
    killed(lambda: take(old), at)
    assert at.spool == spool_of(host)
    run(host)
    take(old)
    stored = [
        key
        for key in (each.key for each in open_stores(host.storage)[0].listed("host=mx1/"))
        if key.endswith(MANIFEST_SUFFIX)
    ]
    assert sum("date=2026-02-01" in key for key in stored) == 1
    assert frozenset() == spool_of(host)


def test_every_row_is_documented() -> None:
    """The table for people and the table that is tested are the same."""
    text = (TOP / "docs" / "design.md").read_text(encoding="utf-8")
    documented = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert [at.instant for at in ROWS] == documented
