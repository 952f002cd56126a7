"""Lines come from whichever copy there is, the near one while it is sound; so does the catalog."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path

import pytest

from tests.world.faults import ACCESS_DENIED, INTERNAL_ERROR, Faults, Rule, cut, faults, reset
from tests.world.host import MONDAY, Host, Said, after, flip, line
from tests.world.s3_host import Bucket, FarHost, incompressible
from tests.world.weed import Weed

KIB = 2**10
NEEDLE = "postfix/cleanup[7]: 4jNTfn4jHVz90K1: message-id=<a@example.org>"
CATALOG = "state/catalog.sqlite3"


@pytest.fixture
def faulty(weed_server: Weed) -> Iterator[Faults]:
    with faults(weed_server) as server:
        yield server


def stored(place: Path, server: Weed) -> FarHost:
    """A host with two days of several frames each, with a message in the second, and a day without
    a line, in a directory and in a bucket.
    """
    far = Bucket(server, server.bucket(lock=True), server)
    made = FarHost(place, targets=("store",), buckets={"far": far}, required=2)
    made.write(day(0) + day(1))
    for ahead in (2, 4):
        assert made.night(after(MONDAY, ahead)).exit_status == 0
    return made


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, weed_server: Weed) -> FarHost:
    """One whose bucket nobody changes."""
    return stored(tmp_path_factory.mktemp("kept"), weed_server)


@pytest.fixture
def host(place: Path, kept: FarHost, faulty: Faults) -> FarHost:
    """The same host in a place of its own; what it asks of the bucket can be seen, and fail."""
    shutil.copytree(kept.directory, place, dirs_exist_ok=True)
    far = replace(kept.buckets["far"], asked=faulty, more={"attempts": "1"})
    return FarHost(place, targets=("store",), buckets={"far": far}, required=2)


def day(ahead: int) -> bytes:
    return incompressible(after(MONDAY, ahead), 90 * KIB) + message(ahead)


def message(ahead: int) -> bytes:
    return line(datetime.combine(after(MONDAY, ahead), time(23)), NEEDLE) if ahead else b""


def fetch(host: Host, *words: str) -> Said:
    return host.archiver("fetch", *words, now=host.at(after(MONDAY, 4), "12:00"))


BOTH = ("--date", f"{MONDAY}..{after(MONDAY)}")


# -- fetch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [BOTH, ("--message-id", "a@example.org")])
def test_nothing_is_asked_of_the_bucket_while_the_near_copy_is_sound(
    host: FarHost, faulty: Faults, words: tuple[str, ...]
) -> None:
    said = fetch(host, *words)
    assert (said.status, said.err) == (0, "")
    assert faulty.requests == []
    assert said.out == (message(1) if words != BOTH else day(0) + day(1))


def test_a_directory_that_is_gone(host: FarHost) -> None:
    """All lines come from the bucket; that the near copies are not there is told, with 5."""
    shutil.rmtree(host.store)
    said = fetch(host, *BOTH)
    assert (said.status, said.out) == (5, day(0) + day(1))
    assert "is not in the store" in said.err
    said = fetch(host, "--message-id", "a@example.org")
    assert (said.status, said.out) == (5, message(1))


def test_a_directory_that_is_no_longer_configured(host: FarHost) -> None:
    """The bucket alone is as good: with the catalog, and with one that is made from it."""
    host.configure(targets=(), buckets=host.buckets)
    for _ in range(2):
        assert fetch(host, *BOTH) == Said(0, day(0) + day(1), "")
        assert fetch(host, "--message-id", "a@example.org") == Said(0, message(1), "")
        (host.directory / CATALOG).unlink(missing_ok=True)


def test_a_damaged_frame_alone_comes_from_the_bucket(host: FarHost, faulty: Faults) -> None:
    manifest = host.manifests()[1]
    bad = manifest.frames[2]
    flip(host.store / manifest.archive_key, bad.offset + bad.size // 2)
    said = fetch(host, *BOTH)
    assert (said.status, said.out) == (5, day(0) + day(1))
    assert f"the frame at byte {bad.offset} " in said.err
    asked = [(seen.method, seen.range) for seen in faulty.requests]
    assert asked == [("GET", f"bytes={bad.offset}-{bad.offset + bad.size - 1}")]


def test_a_near_copy_cut_short_is_read_as_far_as_it_goes(host: FarHost, faulty: Faults) -> None:
    manifest = host.manifests()[1]
    path = host.store / manifest.archive_key
    last = manifest.frames[-1]
    path.chmod(0o640)
    with path.open("r+b") as file:
        file.truncate(last.offset + 1)
    said = fetch(host, *BOTH)
    assert (said.status, said.out) == (5, day(0) + day(1))
    asked = [(seen.method, seen.range) for seen in faulty.requests]
    assert asked == [("GET", f"bytes={last.offset}-{last.offset + last.size - 1}")]


def test_a_bucket_that_fails_costs_no_line(host: FarHost, faulty: Faults) -> None:
    """The near copy of one archive is damaged; the far one of the other."""
    first, second, _ = host.manifests()
    flip(host.store / first.archive_key, first.frames[1].offset + 9)
    faulty.rules = [Rule("GET", second.archive_key.rpartition("/")[2], reset, times=None)]
    assert fetch(host, *BOTH).out == day(0) + day(1)


# -- the catalog -----------------------------------------------------------------------------


def rows(host: Host) -> dict[str, list[str]]:
    """All that is in the catalog, but for receipts, which tell when a copy was read back."""
    with closing(sqlite3.connect(host.directory / CATALOG)) as database:
        return {
            table: sorted(
                map(str, database.execute(f"SELECT * FROM {table} WHERE key LIKE '%source=%'"))  # noqa: S608
            )
            for table in ("manifest", "copy", "sidecar")
        }


@pytest.mark.parametrize("how", ["rebuild", "run"])
def test_the_catalog_is_made_from_a_bucket_alone(host: FarHost, how: str) -> None:
    """By the verb for it, and by a run that finds none: the same as it was."""
    host.configure(targets=(), buckets=host.buckets)
    assert host.archiver("sync").status == 0
    before = rows(host)
    (host.directory / CATALOG).unlink()
    words = ("catalog", "rebuild") if how == "rebuild" else ("run",)
    said = host.archiver(*words, now=host.at(after(MONDAY, 4), "12:00"))
    assert (said.status, said.err) == (0, "")
    assert rows(host) == before
    assert [len(table) for table in before.values()] == [3, 3, 2]


UNREAD = {
    "denied": (ACCESS_DENIED, 12),
    "failing": (INTERNAL_ERROR, 12),
    "short": (cut(length=False), 5),
}


@pytest.mark.parametrize("how", UNREAD)
def test_a_manifest_that_cannot_be_read_does_not_fork_the_chain(
    place: Path, weed_server: Weed, faulty: Faults, how: str
) -> None:
    """The catalog is lost, and the bucket lists its newest manifest, but does not give it."""
    host = stored(place, weed_server)
    far = replace(host.buckets["far"], asked=faulty, more={"attempts": "1"})
    host.configure(targets=(), buckets={"far": far})
    (host.directory / CATALOG).unlink()
    fault, status = UNREAD[how]
    faulty.rules = [Rule("GET", r"000003\.manifest", fault, times=None)]
    host.write(day(4))
    said = host.archiver("run", now=host.at(after(MONDAY, 5)))
    assert said.status == status
    assert [seen.target for seen in faulty.requests if seen.method == "PUT"] == []
    faulty.rules = []
    said = host.archiver("run", now=host.at(after(MONDAY, 5), "12:00"))
    assert (said.status, said.err) == (0, "")
    assert host.everywhere() == day(0) + day(1) + day(4)
