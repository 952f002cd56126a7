"""Copies that are missing are brought, those that are damaged replaced, and unsound ones never
handed on.
"""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from archiver.errors import StoreError
from archiver.stores.local import LocalStore
from tests.world.host import MONDAY, Host, after, command, flip, lines

NIGHTS = 4


def nights(host: Host, first: int = 0, count: int = NIGHTS) -> None:
    """Log a line on each of some days, and let each night come."""
    for ahead in range(first, first + count):
        host.write(lines(after(MONDAY, ahead), "10:00:00"))
        host.night(after(MONDAY, ahead + 1))


@pytest.fixture
def host(place: Path) -> Host:
    """A host with two stores, one copy of which is enough."""
    return begun(place, required=1)


def begun(place: Path, *, required: int) -> Host:
    """A host with two stores, and a catalog: the first one is made of all stores, or not at all."""
    host = Host(place, targets=("store", "second"), required=required)
    host.log.touch(0o640)
    host.night(MONDAY)
    return host


def take_away(host: Host, name: str = "second") -> None:
    host.take_away(name)


def bring_back(host: Host, name: str = "second") -> None:
    host.bring_back(name)


def same(host: Host) -> bool:
    """Whether both stores hold the same archives and manifests, which are sound."""
    both = [
        {
            path.relative_to(store): path.read_bytes()
            for path in store.rglob("*")
            if path.name.endswith((".zst", ".json"))
        }
        for store in (host.store, host.directory / "second")
    ]
    return both[0] == both[1] and host.manifests() == host.manifests(target="second") != []


# -- missing ---------------------------------------------------------------------------------


def test_a_store_that_was_away_is_brought_what_it_missed(host: Host) -> None:
    """By the next run, before that night's own; nothing is asked of anybody."""
    nights(host, count=1)
    take_away(host)
    nights(host, 1, 2)
    said = host.archiver("status", now=host.at(after(MONDAY, 3), "01:00"))
    assert (said.status, "store 'second' is missing 2 archives" in said.err) == (3, True)
    bring_back(host)
    nights(host, 3, 1)
    assert same(host)
    assert [day for day, _ in host.dates(target="second")] == [
        str(after(MONDAY, ahead)) for ahead in range(NIGHTS)
    ]
    said = host.archiver("status", now=host.at(after(MONDAY, 4), "01:00"))
    assert (said.status, said.err) == (0, "")


def test_a_store_that_is_added_later_gets_all(place: Path) -> None:
    host = Host(place)
    nights(host)
    host.configure(targets=("store", "second"))
    report = host.night(after(MONDAY, NIGHTS), "02:00")
    assert (report.exit_status, same(host)) == (0, True)


def test_nothing_is_brought_before_what_is_older(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails in the middle has what is oldest, and gets no newer archive either."""
    take_away(host)
    nights(host, count=3)
    bring_back(host)
    put, puts = LocalStore.put, []

    def failing(store: LocalStore, key: str, *given: object) -> None:
        if store.name == "second" and key.endswith(".manifest.json"):
            puts.append(key)
            if len(puts) == 2:
                raise StoreError("store 'second': it fails again", hint="")
        put(store, key, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStore, "put", failing)
    nights(host, 3, 1)
    assert [number for number, _ in enumerate(host.documents(target="second"))] == [0]
    assert len(host.documents()) == NIGHTS
    assert len(puts) == 2
    monkeypatch.undo()
    host.night(after(MONDAY, NIGHTS), "02:00")
    assert same(host)


@pytest.mark.parametrize("required", [1, 2])
def test_a_segment_waits_only_if_its_copies_are_too_few(place: Path, required: int) -> None:
    """With both required the spool keeps it, in order; with one it goes."""
    host = begun(place, required=required)
    take_away(host)
    nights(host, count=3)
    waiting = {name.split(".")[0] for name in host.spooled()}
    assert len(waiting) == (0 if required == 1 else 3)
    bring_back(host)
    host.night(after(MONDAY, 3), "02:00")
    assert (host.spooled(), same(host)) == ([], True)


def test_a_replaced_store_is_filled_when_it_is_said_to_be(host: Host) -> None:
    """An empty store is taken for one that is not mounted, until somebody says otherwise."""
    nights(host)
    shutil.rmtree(host.directory / "second")
    (host.directory / "second").mkdir()
    now = host.at(after(MONDAY, NIGHTS), "02:00")
    said = host.archiver("sync", now=now)
    assert (said.status, "second" in said.err, "--refill second" in said.err) == (12, True, True)
    assert list((host.directory / "second").iterdir()) == []
    said = host.archiver("sync", "--refill", "second", now=now)
    assert (said.status, said.out) == (0, b"copies: 4 brought\n")
    assert same(host)
    assert host.archiver("sync", "--refill", "third", now=now).status == 2


def test_a_stores_other_bytes_are_left_alone_by_a_run(host: Host) -> None:
    """Somebody put something else there under an archive's name: said, and what comes later is
    brought all the same; only `repair` replaces it.
    """
    take_away(host)
    nights(host)
    bring_back(host)
    first = host.manifests()[0]
    there = host.directory / "second" / first.archive_key
    there.parent.mkdir(parents=True)
    there.write_bytes(b"something else")
    report = host.night(after(MONDAY, NIGHTS), "02:00")
    assert (report.exit_status, there.read_bytes()) == (5, b"something else")
    assert len(host.documents(target="second")) == NIGHTS - 1


# -- damaged ---------------------------------------------------------------------------------


def repair(host: Host) -> dict[str, int]:
    """Repair; return the exit status and the counts."""
    said = host.archiver("--json", "repair", now=host.at(after(MONDAY, NIGHTS), "03:00"))
    document = json.loads(said.out)
    counts = {key: value for key, value in document["data"].items() if isinstance(value, int)}
    return {"status": said.status, **counts}


@pytest.mark.parametrize("target", ["store", "second"])
@pytest.mark.parametrize("what", ["archive_key", "manifest_key"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_copy_is_replaced_by_a_sound_one(
    host: Host, target: str, what: str, damage: str
) -> None:
    """Whichever it is, and however; and the next time all are sound."""
    nights(host)
    path = host.directory / target / getattr(host.manifests()[1], what)
    if damage == "flipped":
        flip(path, 20)
    elif damage == "cut":
        path.chmod(0o640)
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    found = repair(host)
    assert found["status"] == 5
    assert found["mended"] + found["brought"] == 1
    assert same(host)
    assert repair(host) == {
        "status": 0,
        "brought": 0,
        "verified": 8,
        "mended": 0,
        "cold": 0,
        "protected": 0,
    }


def test_what_is_damaged_everywhere_is_copied_nowhere(host: Host) -> None:
    """5, both left as they are, and the other archives are looked at all the same."""
    nights(host)
    key = host.manifests()[1].archive_key
    paths = [host.store / key, host.directory / "second" / key]
    for offset, path in enumerate(paths):
        flip(path, 20 + offset)
    before = [path.read_bytes() for path in paths]
    found = repair(host)
    assert (found["status"], found["mended"], found["verified"]) == (5, 0, 6)
    assert before == [path.read_bytes() for path in paths]


# -- a store alone ---------------------------------------------------------------------------


def test_a_store_alone_is_enough_to_read(host: Host, place: Path) -> None:
    """No configuration, no catalog: lines and list are those of the host itself."""
    nights(host)
    whole = host.archiver("fetch", "--from", str(MONDAY)).out
    listed = host.archiver("list").out.splitlines()
    shutil.copytree(host.store, place / "copy")
    for path in (host.config.host.state_dir, host.config.host.spool_dir):
        shutil.rmtree(path)
    said = command("--store", place / "copy", "fetch", "--from", str(MONDAY))
    assert (said.status, said.out, said.err) == (0, whole, "")
    said = command("--store", place / "copy", "list")
    assert [row.split()[0] for row in listed] == [row.split()[0] for row in said.out.splitlines()]
    day = after(MONDAY, 1)
    said = command("--store", place / "copy", "fetch", "--date", str(day), "--text", str(day)[-5:])
    assert said.out == b"".join(
        line for line in whole.splitlines(True) if str(day).encode() in line
    )


def test_a_store_of_several_hosts_asks_for_one(host: Host, place: Path) -> None:
    nights(host, count=1)
    shutil.copytree(host.store / "host=mx1", place / "all" / "host=mx1")
    shutil.copytree(host.store / "host=mx1", place / "all" / "host=mx2")
    said = command("--store", place / "all", "list")
    assert (said.status, "--host mx1 or mx2" in said.err) == (2, True)
    assert command("--store", place / "all", "list", "--host", "mx1").status == 0
    said = command("--store", place / "all", "fetch", "--host", "mx3", "--date", str(MONDAY))
    assert (said.status, "host mx3" in said.err) == (4, True)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("", 2),
        ("ftp://x/y", 2),
        ("s3://", 2),
        ("s3://Not_A_Bucket", 2),
        ("s3://bucket?bogus=1", 2),
        ("s3://bucket?secret_access_key=abc", 2),
        ("nowhere", 4),
    ],
)
def test_an_address_that_is_none(place: Path, address: str, status: int) -> None:
    """Said, without the secret that may stand in it."""
    address = str(place / address) if address == "nowhere" else address
    said = command("--store", address, "fetch", "--date", str(date(2026, 5, 4)))
    assert (said.status, "try:" in said.err, "abc" in said.err) == (status, True, False)


@pytest.mark.parametrize("verb", [("run",), ("status",), ("repair",), ("config", "show")])
def test_a_store_alone_is_not_written_to(place: Path, verb: tuple[str, ...]) -> None:
    said = command("--store", place, *verb)
    assert (said.status, "needs a configuration" in said.err) == (2, True)
