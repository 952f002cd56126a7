"""The catalog is derived data: whatever became of it, the answers are right, and it is made anew
from the stores with the same content; and what the stores cannot say is never made up.
"""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.archives.manifest import Frame, Head, Manifest, Segment, digest, encode
from archiver.catalog import SCHEMA, Archived, Catalog, in_memory, is_sound, opened
from archiver.errors import Problems
from archiver.stores import open_stores
from archiver.stores.catch_up import readable
from archiver.system.zone import local_date
from tests.conftest import MEMORY
from tests.world.host import MONDAY, ROME, Host, after, lines

SOURCES = ("maillog", "other")
TARGETS = ("store", "second")
SUNDAY = after(MONDAY, 6)
STATE = ["catalog.sqlite3", "last-run.json", "lock"]


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A week of a host: two logs, an import, days without lines, two stores, today's lines."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as name:
        host = Host(Path(name), sources=SOURCES, targets=TARGETS)
        for source in SOURCES:
            host.write(b"", source)
        old = host.directory / "maillog.0"
        old.write_bytes(lines(after(MONDAY, -9), "08:00:00") + lines(after(MONDAY, -8), "09:00:00"))
        os.utime(old, (host.at(after(MONDAY, -7)),) * 2)
        assert host.archiver("import", old, "--source=maillog", now=host.at(MONDAY)).status == 0
        for ahead in range(3):
            for source in SOURCES[: 1 + ahead % 2]:
                host.write(lines(after(MONDAY, ahead), "00:00:01", "23:59:59"), source)
            assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
        assert host.night(SUNDAY).exit_status == 0
        host.write(lines(SUNDAY, "08:00:00"))
        yield host.directory


@pytest.fixture
def week(template: Path, place: Path) -> Host:
    """A copy of that host."""
    shutil.copytree(template, place, dirs_exist_ok=True)
    # The copies are other files than the last run left there, which a run would tell of.
    note = place / "state/last-run.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"logs": {}}))
    return Host(place, sources=SOURCES, targets=TARGETS)


@pytest.fixture
def tiny(host: Host) -> Host:
    """A host whose catalog is as small as can be: one archive, one day without lines."""
    host.write(lines(MONDAY, "12:00:00"))
    for ahead in (1, 3):
        assert host.night(after(MONDAY, ahead)).exit_status == 0
    return host


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that is derived in a catalog: its schema, and the tables, ordered, but for receipts:
    when a copy was read back is no part of what it says.
    """
    with closing(sqlite3.connect(path)) as sql:
        schema = sql.execute("SELECT name, type, sql FROM sqlite_schema ORDER BY name").fetchall()
        tables = [name for name, kind, _ in schema if kind == "table" and name != "receipt"]
        rows = {name: sql.execute(f"SELECT * FROM {name}") for name in tables}  # noqa: S608
        return {"": schema, **{name: sorted(rows[name], key=repr) for name in tables}}


def answers(host: Host) -> list[object]:
    """What the command line answers to readers, but for when copies were read back: that is known
    to the catalog alone.
    """
    now = host.at(SUNDAY, "12:00")
    said = [host.archiver("fetch", "--from", "2026-04-01", "--source", s, now=now) for s in SOURCES]
    documents = [json.loads(host.archiver("--json", v, now=now).out) for v in ("list", "status")]
    for each in documents[0]["data"]["archives"]:
        del each["receipts"]
    # That the catalog had to be read past is a problem of its own, which `status` tells.
    del documents[1]["data"]["problems"]
    return [each.out for each in said] + [document["data"] for document in documents]


# -- ruined ------------------------------------------------------------------------------------


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.executescript(";".join(statements))


def instead(path: Path, *statements: str) -> None:
    path.unlink()
    execute(path, *statements)


def another_wal(path: Path) -> None:
    """A log of changes that is whole, and belongs to another database."""
    other = Path(shutil.copy(path, path.with_name("other")))
    with closing(sqlite3.connect(other)) as sql:
        sql.executescript("PRAGMA user_version = 77; CREATE TABLE other (text)")
        shutil.copy(f"{other}-wal", f"{path}-wal")
    other.unlink()


def beside(path: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        Path(f"{path}{suffix}").write_bytes(b"garbage" * 999)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine").write_bytes(b"mine")


VERSION = f"PRAGMA user_version = {SCHEMA}"
NOTES = "CREATE TABLE notes (text)"
OURS = ("CREATE TABLE manifest (key)", "CREATE TABLE copy (key)")
RUINS: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"?" * 9999),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a header": lambda path: os.truncate(path, 100),
    "half garbage": lambda path: path.write_bytes(path.read_bytes()[:9000] + b"?" * 9999),
    "another version": lambda path: execute(path, "PRAGMA user_version = 99"),
    "another database": lambda path: instead(path, NOTES),
    "another of our version": lambda path: instead(path, NOTES, VERSION),
    "another of our tables": lambda path: instead(path, *OURS, VERSION),
    "another's wal": another_wal,
    "garbage wal": lambda path: beside(path, "-wal"),
    "garbage shm": lambda path: beside(path, "-shm"),
    "garbage journal": lambda path: beside(path, "-journal"),
    "a killed rebuild": lambda path: beside(path, ".new", ".new-wal", ".new-journal"),
}
UNHARMED = {"deleted", "garbage wal", "garbage shm", "garbage journal", "a killed rebuild"}


@pytest.mark.parametrize("how", RUINS)
@pytest.mark.parametrize("by", ["rebuild", "run"])
def test_it_is_made_anew_with_the_same_content(week: Host, how: str, by: str) -> None:
    """By the command, or by the next run of itself; and nothing is left beside it."""
    path = week.config.host.catalog
    before = dump(path)
    RUINS[how](path)
    if by == "rebuild":
        said = week.archiver("catalog", "rebuild")
        assert (said.status, said.err) == (0, "")
    else:
        assert week.night(SUNDAY, "00:10").exit_status == 0
    assert before == dump(path)
    assert is_sound(path)
    if by == "rebuild" or how != "a killed rebuild":
        assert sorted(os.listdir(path.parent)) == STATE


@pytest.mark.parametrize("how", [*RUINS, "a directory"])
def test_readers_do_not_need_it(week: Host, how: str) -> None:
    """Without a rebuild every answer is right, with a warning if there is reason for one."""
    path = week.config.host.catalog
    expected = answers(week)
    {**RUINS, "a directory": directory}[how](path)
    assert expected == answers(week)
    for verb in (("fetch", "--date", str(MONDAY)), ("list",), ("status",)):
        said = week.archiver(*verb, now=week.at(SUNDAY, "12:00"))
        assert (how not in UNHARMED, False) == ("catalog" in said.err, "unexpected" in said.err)


@pytest.mark.parametrize("words", [("catalog", "rebuild"), ("run",)])
def test_a_directory_in_its_place(week: Host, words: tuple[str, ...]) -> None:
    """3 and a sentence; it is left alone, nothing is left beside it, and logs are rotated."""
    path = week.config.host.catalog
    directory(path)
    said = week.archiver(*words, now=week.at(after(SUNDAY)))
    assert said.status == 3
    assert ("catalog" in said.err, "unexpected" in said.err) == (True, False)
    assert (path / "mine").read_bytes() == b"mine"
    assert sorted(os.listdir(path.parent)) == STATE
    assert (week.log.read_bytes() == b"") == (words == ("run",))


def test_cut_short_at_every_byte(tiny: Host) -> None:
    """It is made anew unless nothing is missing: what SQLite fills up with zeros is not enough."""
    path = tiny.config.host.catalog
    whole = dump(path)
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        if is_sound(path):
            assert (length, whole) == (length, dump(path))


@pytest.mark.parametrize(("width", "filler"), [(64, b"\x5a"), (64, b"\0"), (16, b"1"), (1, b"")])
def test_overwritten_anywhere(tiny: Host, width: int, filler: bytes) -> None:
    """No reader is told anything wrong, and no run goes on from it. No filler: a bit flips."""
    path = tiny.config.host.catalog
    stores, whole, content = open_stores(tiny.config.storage), path.read_bytes(), dump(path)
    with opened(path, "mx1") as catalog:
        truth = told(catalog)
    wrong = []
    for at in range(0, len(whole), max(width, 59)):
        changed_to = filler * width or bytes([whole[at] ^ 1 << at % 8])
        path.write_bytes(whole[:at] + changed_to + whole[at + width :])
        problems = Problems()
        with readable(path, "mx1", stores, problems) as catalog:
            wrong += [at] * (truth != told(catalog))
        wrong += [at] * (not problems and content != dump(path))
    assert wrong == []


def told(catalog: Catalog) -> tuple[object, ...]:
    """All that a catalog tells of a source."""
    found = catalog.between("maillog", 0, 2**62), catalog.summaries("maillog")
    ends = catalog.last_watched("maillog"), catalog.last_rotation("maillog")
    return *found, *ends, catalog.head("maillog"), catalog.days("maillog", ROME)


# -- stores that are away, or lie --------------------------------------------------------------


@pytest.mark.parametrize("old", ["sound", "garbage"])
@pytest.mark.parametrize("away", TARGETS)
def test_not_from_half_the_stores(week: Host, away: str, old: str) -> None:
    """The end of the chain may be on the one that is away: 12, and the old one stays as it is."""
    path = week.config.host.catalog
    if old in RUINS:
        RUINS[old](path)
    before = path.read_bytes()
    (week.directory / away).rename(week.directory / "away")
    (week.directory / away).write_bytes(b"")
    said = week.archiver("catalog", "rebuild")
    assert (said.status, away in said.err) == (12, True)
    assert before == path.read_bytes()
    assert sorted(os.listdir(path.parent)) == STATE


def changed(path: Path, old: bytes, new: bytes) -> None:
    path.chmod(0o640)
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def halved(path: Path) -> None:
    path.chmod(0o640)
    os.truncate(path, path.stat().st_size // 2)


def archive(manifest: Path) -> Path:
    return Path(str(manifest).replace(".manifest.json", ".log.zst"))


LIES: dict[str, Callable[[Path], object]] = {
    "renamed": lambda path: path.rename(path.with_name(f"x{path.name}")),
    "cut short": halved,
    "no JSON": lambda path: changed(path, b":", b";"),
    "another number": lambda path: changed(path, b'"sequence": ', b'"sequence": 1'),
    "another host": lambda path: changed(path, b'"mx1"', b'"mx2"'),
    "the archive gone": lambda path: archive(path).unlink(),
    "the archive cut short": lambda path: halved(archive(path)),
}


@pytest.mark.parametrize("targets", [TARGETS, TARGETS[:1]])
@pytest.mark.parametrize("lie", LIES)
def test_a_store_that_lies(week: Host, lie: str, targets: tuple[str, ...]) -> None:
    """5 and the key; that copy does not count; and nothing else is missing, on either store."""
    week.configure(sources=SOURCES, targets=targets)
    assert week.archiver("catalog", "rebuild").status == 0
    before = dump(week.config.host.catalog)
    victim = next(m for m in week.manifests() if m.segment and m.segment.origin == "run")
    LIES[lie](week.store / victim.manifest_key)
    said = week.archiver("catalog", "rebuild")
    assert (said.status, Path(victim.stem).name in said.err) == (5, True)
    now = dump(week.config.host.catalog)
    copy = [row for row in before["copy"] if row[:2] == (victim.manifest_key, "store")]
    assert sorted(now["copy"] + copy) == sorted(before["copy"])
    known = targets == TARGETS or "archive" in lie
    lost = [row for row in before["manifest"] if row[0] == victim.manifest_key and not known]
    assert sorted(now["manifest"] + lost, key=repr) == before["manifest"]


def behind_a_symlink(path: Path) -> None:
    source = path.parent.parent
    source.symlink_to(source.rename(source.parent.parent.parent / "elsewhere"))


@pytest.mark.parametrize("lie", ["renamed", "cut short", "another number", "behind a symlink"])
def test_an_end_of_the_chain_that_cannot_be_known(tiny: Host, lie: str) -> None:
    """With the catalog lost nothing is chained to a guess: the log is rotated and waits."""
    newest = tiny.store / tiny.manifests()[-1].manifest_key
    {**LIES, "behind a symlink": behind_a_symlink}[lie](newest)
    before = sorted(tiny.store.rglob("*"))
    tiny.config.host.catalog.unlink()
    tiny.write(lines(after(MONDAY, 3), "12:00:00"))
    report = tiny.night(after(MONDAY, 4))
    assert (report.sources[0].rotated, report.exit_status in {5, 12}) == (True, True)
    assert before == sorted(tiny.store.rglob("*"))
    assert [name.rpartition(".")[2] for name in tiny.spooled()] == ["intent", "log"]


def test_two_stores_that_disagree_about_the_end_of_the_chain(week: Host) -> None:
    """With the catalog lost it is not known which of the two is right: nothing is chained."""
    newest = week.store / week.manifests()[-1].manifest_key
    changed(newest, b'"tool"', b'"Tool": 0, "tool"')
    week.config.host.catalog.unlink()
    source, other = week.night(after(SUNDAY)).sources
    assert ([failure.code for failure in source.failures], source.archived) == (["chain"], [])
    assert (source.rotated, [failure.code for failure in other.failures]) == (True, ["chain"])


@pytest.mark.parametrize("meanwhile", ["run", "rebuild and run"])
def test_a_reader_holds_it_while_a_run_writes(week: Host, meanwhile: str) -> None:
    """Neither waits, the reader sees one instant, and nothing of the run is lost as he goes."""
    path = week.config.host.catalog
    with opened(path, "mx1") as reader:
        reader._sql.execute("BEGIN")
        before = told(reader)
        if meanwhile != "run":
            assert week.archiver("catalog", "rebuild").status == 0
        assert week.night(after(SUNDAY)).exit_status == 0
        assert before == told(reader)
    assert is_sound(path)
    now = dump(path)
    path.unlink()
    assert week.archiver("catalog", "rebuild").status == 0
    assert now == dump(path)


# -- what it answers ---------------------------------------------------------------------------

INSTANTS = st.integers(1_770_000_000, 1_770_400_000)


@st.composite
def catalogued(draw: st.DrawFn) -> list[Archived]:
    """Manifests of two hosts and sources, in any order, with times that overlap."""
    made = []
    for sequence in draw(st.permutations(range(1, draw(st.integers(1, 10))))):
        first, *times = draw(st.tuples(INSTANTS, INSTANTS, INSTANTS))
        ends = min(times), max(times)
        origin = draw(st.sampled_from(["run", "import", None]))
        size = draw(st.integers(1, 2**40)) if origin else 0
        manifest = Manifest(
            host=draw(st.sampled_from(["mx1", "mx1", "mx1", "mx2"])),
            source=draw(st.sampled_from(SOURCES)),
            date=date(2026, 2, draw(st.integers(1, 9))),
            timezone="Europe/Rome",
            sequence=sequence,
            previous=None,
            first_line=first,
            earliest=ends[0],
            latest=ends[1],
            lines=size,
            raw_size=size * 2,
            raw_sha256="cd" * 32,
            size=size,
            sha256=f"{sequence:064x}" if origin else digest(b""),
            level=3 if origin else 0,
            frames=(Frame(0, size, size * 2, size, *ends, first, first),) if origin else (),
            segment=Segment("name", origin, "/log", draw(INSTANTS), "ef" * 32) if origin else None,
            sealed_at=first,
            tool_version="1",
        )
        copies = sorted(draw(st.sets(st.sampled_from(["a", "b-2", "C"]))))
        made.append(Archived(manifest, tuple(copies)))
    return made


@settings(deadline=None)
@given(catalogued(), st.sampled_from(SOURCES), INSTANTS, INSTANTS)
def test_it_answers_as_a_list_would(
    given: list[Archived], source: str, start: int, end: int
) -> None:
    """Every question, for one host and source, whatever the order of noting."""
    ours = [a for a in given if (a.manifest.host, a.manifest.source) == ("mx1", source)]
    ours.sort(key=lambda each: each.manifest.manifest_key)
    manifests = [each.manifest for each in ours]
    rotated = [m for m in manifests if m.segment and m.segment.origin == "run"]
    newest = max(manifests, key=lambda m: m.sequence, default=None)
    with in_memory("mx1") as catalog:
        for each in given:
            catalog.add(encode(each.manifest), each.copies)
        assert catalog.count() == len(given)
        head = Head(newest.sequence, digest(encode(newest))) if newest else Head()
        assert catalog.head(source) == head
        touched = [a for a in ours if a.manifest.earliest < end and a.manifest.latest >= start]
        found = catalog.between(source, start, end)
        assert [(each.manifest, each.copies) for each in found] == [
            (each.manifest, each.copies) for each in touched
        ]
        assert all(each.manifests == each.copies and not each.expired for each in found)
        ends = {local_date(at, ROME) for m in manifests for at in (m.earliest, m.latest)}
        assert catalog.days(source, ROME) == ends | {m.date for m in manifests}
        watched = [m.date for m in manifests if m.is_empty_day or m in rotated]
        assert catalog.last_watched(source) == max(watched, default=None)
        last = max(rotated, key=lambda m: m.sequence, default=None)
        assert catalog.last_rotation(source) == (last and last.segment and last.segment.written)
        for each, told in zip(ours, catalog.summaries(source), strict=True):
            key, empty = each.manifest.manifest_key, each.manifest.is_empty_day
            facts = {**vars(each.manifest), "key": key, "is_empty_day": empty}
            facts |= {"ordered": None, "destroyed": None, "digest": digest(encode(each.manifest))}
            assert vars(told) == {n: facts.get(n, each.copies) for n in vars(told)}
