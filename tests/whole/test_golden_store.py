"""What an older version has stored is read, continued, and made again byte for byte.

The golden host is one that commit ac9aa8a has lived four weeks on; how, tells
`tests/data/golden/make.py`; that, too, stands for the past and must not change. A test that fails
says that a store in the field is at stake: it is the program that has to change, not the store.
The catalog, the spool and the state are no part of the format (docs/format.md). If a version
changes them on purpose, what they were is to be taken over, and the test to say how. What is said
to people may be said better: `REWORDED` tells what was.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import zstandard

from archiver.catalog import is_sound
from archiver.rotation import last_run
from archiver.rotation.others import takeover
from archiver.service import last_jobs, notify
from archiver.stores import probe_report
from tests import DATA, TOP
from tests.data.golden import logged
from tests.data.golden.host import HERE, STORES, Host, pinned, rows
from tests.data.golden.host import digests as all_digests
from tests.data.golden.nights import ASKED, asked, questions, rebuilt
from tests.world.host import unpacked

GOLDEN = DATA / "golden" / "ac9aa8a.tar.xz"
MEMORY = "/dev/shm"  # noqa: S108 (a directory of its own is made there)
QUESTIONS = list(questions())
# Words of then, and what is said instead.
# Beside a cause, an older version told only that work was left.
CAUSE = {(3, 12): 12}
REWORDED: tuple[tuple[str, str], ...] = (
    (r"1 segments wait in the spool", "1 segment waiting in the spool"),
    (
        r"goes on with them, and says what is in the way",
        "continues from there, and says what is wrong",
    ),
    (r"`archiver run` goes on from there", "`archiver run` continues from there"),
    (r"on that host tells of each", "on that host explains each"),
    (
        r"of its last 31 days (\d+) are missing, as (\S+?)(?=\"|$)",
        r"\1 days missing in its last 31 days, the first of them \2",
    ),
    (r"1 archives, 3 lines", "1 archive, 3 lines"),
    (r"1 days without lines", "1 day without lines"),
    (r"shows which days there are", "shows which days are archived"),
    (r"deletions` tells by what authority", "deletions` shows on which basis"),
    (
        r"is it written as in the log\? --text finds what no program told as its own",
        "write it exactly as in the log; or use --text, which finds it anywhere in a line",
    ),
    (r"TO    SOURCE", "TO      SOURCE"),
    (r"ever  \*", "no end  *"),
    (r"(\d+) run\b(?=,|$)", r"\1 merged index"),
    (
        r"of (\S+(?: to \S+)?), (\d+ archives?) whose retention was over had to be destroyed"
        r"(?:, by an order under way)?",
        r"\2 of \1 had to be destroyed: the retention was over",
    ),
    (r"was over(?=\n)", "was over (the order is being carried out)"),
    (r"past the end: told", "past the end: an error"),
    (
        r"slower until then; `archiver catalog rebuild --index`",
        "slower until the next run, or `archiver catalog rebuild --index`, makes it",
    ),
)
# The same without patterns, for whole sentences.
SAID_NOW: tuple[tuple[str, str], ...] = (
    (
        "there is neither an archive nor a record of its emptiness",
        "no archive, and no manifest that says it was empty",
    ),
    (
        "each with a certificate; 1 are ordered to be",
        "each with a certificate; 1 more ordered, but not carried out yet",
    ),
    (
        "made by the run that found it so, and chained to the one before",
        "made by the run that found it empty, and chained to the manifest before it",
    ),
    (
        "who wrote the file, only its owner and its time tell",
        "who wrote the file is not recorded, only the file's owner and time",
    ),
    (
        "`archiver fetch` tells what must be restored first, and `--restore` asks for it",
        "`archiver fetch` says what must be restored first, and `--restore` requests it",
    ),
    (
        "of 0 it was not noted which rules were in force",
        "for 0, the rules in force were not recorded",
    ),
    (
        (
            "must give its sha256, which stands in the manifest, whose own stands in the "
            "next one (docs/format.md, Verify); `zstd"
        ),
        (
            "must print the archive's sha256, which is in its manifest; the manifest's own "
            "is in the next one (docs/format.md, Verify). `zstd"
        ),
    ),
    (
        (
            "shows the line. That proves whole archives, against a digest noted elsewhere. A "
            "proof of one line alone"
        ),
        (
            "shows the line. This proves whole archives, against a digest that was noted "
            "elsewhere. A proof of a single line"
        ),
    ),
    (
        "no store is to lock or hold anything",
        "no store is configured to lock or hold anything",
    ),
    (
        "1 archive comes to the end of their maximum, and 4 archives more of their minimum",
        "1 archive reaches the end of the maximum, and 4 more the end of the minimum",
    ),
    (
        "2 archives are past their maximum by rules that are new;",
        "by rules that are new, 2 archives are past the maximum;",
    ),
    (
        "3 archives come to the end of their maximum, and 5 archives more of their minimum",
        "3 archives reach the end of the maximum, and 5 more the end of the minimum",
    ),
)
# Of maillog one day was destroyed; of authlog all but these (of one more, it is ordered).
DESTROYED, KEPT_LOGINS = date(2026, 10, 21), (26, 28)

pytestmark = pytest.mark.skipif(not os.path.exists(HERE), reason=f"there is no {HERE}")


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A directory for all of these, in memory if possible."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def golden(scratch: Path) -> Path:
    """The golden host and what is told of it, to be looked at only."""
    # Python before 3.11.4 knows no filters, and one from 3.12 on warns if it is given none.
    how: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(scratch / "golden", **how)  # noqa: S202 (we have made it ourselves)
    return scratch / "golden"


@pytest.fixture
def host(golden: Path, scratch: Path) -> Iterator[Path]:
    """A copy of the golden host, to do with what one likes."""
    yield copied(golden, scratch / "copy")
    shutil.rmtree(scratch / "copy")


@pytest.fixture(scope="module")
def now(golden: Path) -> list[dict[str, Any]]:
    """What this version answers."""
    with pinned(golden / "host"):
        return asked(Host(), ASKED)


@pytest.fixture(scope="module")
def lived_again(scratch: Path) -> Path:
    """A host that this version has lived the same four weeks on."""
    made = told(GOLDEN, "made.json")["libzstd"]
    if made != list(zstandard.ZSTD_VERSION):
        pytest.skip(f"another libzstd than {made} may compress in another way")
    (scratch / "again").mkdir()
    live("again", scratch / "again")
    return scratch / "again"


@pytest.fixture(scope="module")
def went_on(golden: Path, scratch: Path) -> Path:
    """The golden host, after two more nights by this version."""
    directory = copied(golden, scratch / "went on")
    live("go-on", directory)
    return directory


def copied(golden: Path, directory: Path) -> Path:
    """Copy the host, and have it know its logs: it notes them by device and inode."""
    shutil.copytree(golden / "host", directory)
    note = directory / "state/last-run.json"
    document = json.loads(note.read_bytes())
    for log in document["logs"]:
        status = (directory / log).stat()
        document["logs"][log] = [status.st_dev, status.st_ino]
    note.write_text(json.dumps(document))
    return directory


def live(how: str, directory: Path) -> None:
    """Let this version live on a host, in a process that can pass for another version."""
    script = [sys.executable, "-m", "tests.data.golden.make", how, str(directory)]
    path = os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def told(where: Path, name: str) -> Any:
    """Return a document that lies beside the golden host, or still in its archive."""
    if where.is_dir():
        return json.loads((where / name).read_bytes())
    with tarfile.open(where) as archive:
        document = archive.extractfile(name)
        assert document
        return json.loads(document.read())


def digests(directory: Path) -> dict[str, str]:
    """Return the digest of all that is stored or waits; an intent names an inode, so not that."""
    with pinned(directory):
        return without_intents(all_digests())


def without_intents(files: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if not name.endswith(".intent")}


def meaning(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the time that it took."""
    if "--json" not in answer["words"]:
        return answer
    document = json.loads(answer["out"])
    document.pop("finished_at")
    return {**answer, "out": document}


def holds(before: Any, after: Any) -> Any:
    """Return `after` without the keys that it has gained: that is no change."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {key: holds(before[key], after[key]) for key in after if key in before}
    if isinstance(before, list | tuple) and isinstance(after, list) and len(before) == len(after):
        return [holds(one, other) for one, other in zip(before, after, strict=True)]
    return list(after) if isinstance(after, tuple) else after


def compare(before: dict[str, Any], after: dict[str, Any]) -> None:
    then = dict(before)
    then |= {key: reworded(then[key]) for key in ("out", "err")}
    then["status"] = CAUSE.get((then["status"], after["status"]), then["status"])
    then, found = meaning(then), meaning({**after, "words": list(after["words"])})
    assert holds(then, found) == then


def reworded(text: str) -> str:
    """Return what an older version said, in today's words."""
    for old, new in REWORDED:
        text = re.sub(old, new, text, flags=re.MULTILINE)
    for old, new in SAID_NOW:
        text = text.replace(old, new)
    return text


def chain(directory: Path, pattern: str) -> list[dict[str, Any]]:
    """Return documents in their order, after a look at how they are chained, by hand."""
    found = [(json.loads(path.read_bytes()), path) for path in directory.glob(pattern)]
    found.sort(key=lambda each: each[0]["sequence"])
    before = None
    for number, (document, path) in enumerate(found, start=1):
        assert (document["sequence"], document["previous"]) == (number, before)
        before = hashlib.sha256(path.read_bytes()).hexdigest()
    return [document for document, _ in found]


def ledger(directory: Path, store: str = "store") -> list[dict[str, Any]]:
    return chain(directory, f"{store}/host=mx1/ledger/*.json")


def manifests(directory: Path, source: str, store: str = "store") -> list[dict[str, Any]]:
    return chain(directory, f"{store}/host=mx1/source={source}/*/*.manifest.json")


# -- what it is --------------------------------------------------------------------------------


@pytest.mark.parametrize("store", STORES)
def test_the_golden_host_is_whole_and_has_it_all(golden: Path, store: str) -> None:
    """By the rules of docs/format.md alone; else the tests below would hold of too little."""
    assert told(golden, "made.json")["commit"].startswith(GOLDEN.name.partition(".")[0])
    host, root = golden / "host", golden / "host" / store / "host=mx1"
    kinds = {record["kind"] for record in ledger(host, store)}
    assert kinds == {"policy", "copies", "hold", "release", "order", "tombstone"}
    assert [len(manifests(host, source, store)) for source in ("maillog", "authlog")] == [27, 24]
    for document in root.rglob("*.manifest.json"):
        manifest, path = json.loads(document.read_bytes()), str(document)
        archive = Path(path.replace(".manifest.json", ".log.zst"))
        if archive.exists():
            stored = archive.read_bytes()
            assert manifest["archive"]["sha256"] == hashlib.sha256(stored).hexdigest()
            assert manifest["raw"]["sha256"] == hashlib.sha256(unpacked(stored)).hexdigest()
            assert archive.with_name(archive.name.replace(".log.zst", ".idx")).exists()
    merged = sorted(path.name for path in root.glob("source=*/runs/*"))
    assert merged == [
        "authlog-000021-000024.run",
        "maillog-000001-000016.run",
        "maillog-000017-000020.run",
    ]
    waiting = sorted(path.suffix for path in (host / "spool/maillog").iterdir())
    assert waiting == [".intent", ".log", ".sealed"]


# -- read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(QUESTIONS)), ids=map(" ".join, QUESTIONS))
def test_answered_as_before(golden: Path, now: list[dict[str, Any]], number: int) -> None:
    compare(told(golden, "asked.json")[number], now[number])


def answer(now: list[dict[str, Any]], *words: str) -> dict[str, Any]:
    return now[QUESTIONS.index(words)]


def test_all_that_was_logged_is_given_back(now: list[dict[str, Any]]) -> None:
    """As the recipe tells what that was, not as anybody archived it."""
    days = logged.days(logged.FIRST, date(2026, 10, 29))
    mail = {day: logged.mail(day) for day in days if day != DESTROYED}
    off = date(2026, 10, 14)
    mail[off] = logged.early(off) + mail[off]
    # Garbage has a time that nobody would guess, and what comes after it.
    garbage, midnight = ([date(2026, 10, day) for day in days] for days in ((11, 12), (22, 23)))
    for day in set(mail).difference(garbage, midnight):
        logins = logged.logins(day) if day.day in KEPT_LOGINS else b""
        assert given(now, "--date", str(day)) == mail[day] + logins
    evening, morning = (given(now, "--date", str(day)) for day in midnight)
    assert evening + morning == b"".join(mail[day] for day in midnight)
    assert morning.startswith(b"Oct 23 00:00:00 ")
    found = given(now, "--source", "maillog", "--from", "2025-01-01")
    assert found.count(logged.older()) == 1
    assert found.replace(logged.older(), b"") == b"".join(mail.values())


def given(now: list[dict[str, Any]], *words: str) -> bytes:
    text: str = answer(now, "fetch", *words)["out"]
    return text.encode("latin-1")


def test_indexes_and_merged_ones_are_believed(now: list[dict[str, Any]]) -> None:
    """Two merged ones name one archive of 26; no frame is read because an index says nothing."""
    for key in ("1.20260928@shop.example", "4.20261004@shop.example", "17.20261017@lists.example"):
        found = answer(now, "fetch", "--explain", "--message-id", key)
        assert (found["status"], found["out"].count(key)) == (0, 2)
        assert found["err"].startswith("26 archives considered, 1 opened\n")
        assert found["err"].endswith("answered by: 2 merged index, 8 index\n")


def test_the_catalog_is_taken_as_it_is(golden: Path) -> None:
    assert is_sound(golden / "host/state/catalog.sqlite3")


def test_the_state_is_taken_as_it_is(golden: Path, tmp_path: Path) -> None:
    """Whatever cannot be read counts as empty: so it is read, and written anew."""
    state = golden / "host/state"
    last_run.save(tmp_path, last_run.load(state))
    last_jobs.save(tmp_path, last_jobs.load(state))
    notify.save(tmp_path, notify.load(state))
    takeover.save(tmp_path, "authlog", takeover.load(state, "authlog"))
    for store in STORES:
        report = probe_report.load(state, store)
        assert report
        probe_report.save(tmp_path, report)
    assert holds(notes(state), notes(tmp_path)) == notes(state)


def notes(state: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_bytes()) for path in state.glob("*.json")}


def test_what_was_taken_over_is_known_without_reading_it(golden: Path) -> None:
    """By its size, time and ends; device and inode are of the machine that made it."""
    noted = takeover.load(golden / "host/state", "authlog").files
    found = {takeover.identity_of(golden / "host" / f"authlog.{number}") for number in (1, 2)}
    before, after = (sorted(map(without_inode, some)) for some in (noted, found))
    assert (before, len(before)) == (after, 2)


# -- continued ---------------------------------------------------------------------------------


def test_it_goes_on_as_the_old_one_would_have(golden: Path, went_on: Path) -> None:
    """The same archives, manifests, indexes, merged indexes and records, byte for byte."""
    libzstd = told(golden, "made.json")["libzstd"]
    files = without_intents(told(golden, "future.json")["files"])
    if libzstd == list(zstandard.ZSTD_VERSION):
        assert digests(went_on) == files
    assert digests(went_on).keys() == files.keys()


def test_it_says_and_answers_what_the_old_one_would_have(golden: Path, went_on: Path) -> None:
    for before, after in zip(
        told(golden, "said.json")["future"] + told(golden, "future.json")["asked"],
        told(went_on, "said.json") + told(went_on, "asked.json"),
        strict=True,
    ):
        compare(before, after)


@pytest.mark.parametrize("store", STORES)
def test_chains_go_on_from_their_old_heads(golden: Path, went_on: Path, store: str) -> None:
    for source, head in (("maillog", 30), ("authlog", 27)):
        before = manifests(golden / "host", source, store)
        after = manifests(went_on, source, store)
        assert (after[: len(before)], len(after)) == (before, head)
    before, after = ledger(golden / "host", store), ledger(went_on, store)
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_what_waited_is_stored_as_it_was_sealed(golden: Path, went_on: Path) -> None:
    for source in ("maillog", "authlog"):
        (sealed,) = (golden / "host/spool" / source).glob("*.sealed")
        for path in sealed.iterdir():
            for store in STORES:
                root = went_on / store / f"host=mx1/source={source}"
                (stored,) = root.glob(f"date=2026-10-28/{path.name}")
                assert stored.read_bytes() == path.read_bytes()
        assert [each.name for each in (went_on / "spool" / source).iterdir()] == []


def test_nothing_that_was_stored_is_changed_or_done_twice(golden: Path, went_on: Path) -> None:
    before, after = digests(golden / "host"), digests(went_on)
    stored = {name for name in before if not name.startswith("spool/")}
    assert [name for name in stored & after.keys() if before[name] != after[name]] == []
    bodies = [(record["kind"], record["body"]) for record in ledger(went_on)]
    ordered = [each["key"] for kind, body in bodies if kind == "order" for each in body["archives"]]
    destroyed = [body["manifest"] for kind, body in bodies if kind == "tombstone"]
    assert sorted(ordered) == sorted(set(ordered)) == sorted(destroyed)
    gone = {key.replace(".manifest.json", end) for key in destroyed for end in (".idx", ".log.zst")}
    removed = {name.partition("/")[2] for name in stored - after.keys()}
    assert {name for name in removed - gone if not name.endswith(".run")} == set()


# -- made again --------------------------------------------------------------------------------


def test_the_same_nights_make_the_same_bytes(golden: Path, lived_again: Path) -> None:
    """Archives, manifests, indexes, merged indexes, records, and what waits."""
    assert digests(lived_again) == digests(golden / "host")


def test_the_same_nights_say_the_same(golden: Path, lived_again: Path) -> None:
    before, after = told(golden, "said.json")["past"], told(lived_again, "said.json")
    for one, other in zip(before, after, strict=True):
        compare(one, other)


def test_the_same_nights_leave_the_same_catalog_and_state(golden: Path, lived_again: Path) -> None:
    found = []
    for directory in (golden / "host", lived_again):
        noted = notes(directory / "state")
        noted.pop("last-jobs.json", None)  # a service notes them, not a night
        # Devices and inodes are of the machine.
        noted["last-run.json"]["logs"] = sorted(noted["last-run.json"]["logs"])
        taken_over = noted["adopted-authlog.json"]
        taken_over["files"] = sorted(map(without_inode, taken_over["files"]))
        with pinned(directory):
            found.append((noted, rows()))
    (then, rows_then), (noted, rows_now) = found
    # A probe's evidence is told in words.
    then = json.loads(reworded(json.dumps(then)))
    statuses = (then["last-run.json"]["exit_status"], noted["last-run.json"]["exit_status"])
    then["last-run.json"]["exit_status"] = CAUSE.get(statuses, statuses[0])
    assert holds(then, noted) == then
    assert rows_now == rows_then


def without_inode(identity: str) -> str:
    """Return what tells a file that was taken over, but for device and inode."""
    return identity.split(":", 2)[2]


def test_the_catalog_is_made_again_of_the_same_rows(golden: Path, host: Path) -> None:
    """Receipts, too: those that the ledger tells of."""
    with pinned(host):
        found = json.loads(json.dumps(rebuilt(Host())))
    assert found == told(golden, "rebuilt.json")


def test_indexes_are_made_again_as_they_were(golden: Path, host: Path) -> None:
    """All of them were lost."""
    for store in STORES:
        for path in [*(host / store).rglob("*.idx"), *(host / store).rglob("*.run")]:
            path.unlink()
    with pinned(host):
        rebuilt(Host(), "--index")
    assert digests(host) == digests(golden / "host")
