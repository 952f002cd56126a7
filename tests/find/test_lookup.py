"""Look-ups read what may hold a key and no more; where an index cannot tell, all is read."""

import random
import re
from pathlib import Path

import pytest

from archiver.errors import Problems
from archiver.find.lookup import Cost, Lookup
from archiver.find.snapshot import catalogued
from archiver.maillog.match import Wanted
from archiver.stores import open_stores
from tests.find.test_search import EVER, Searched, archived, indexed_by, scanned, some_of, wanting
from tests.world.host import Host


def test_absent_keys_read_no_frame(host: Host) -> None:
    """In 999 of 1000 look-ups, at least."""
    archived(host, 2)
    problems = Problems()
    stores = open_stores(host.config.storage)
    chosen = 0
    with catalogued(host.config, problems) as catalog:
        for number in range(1000):
            wanted = wanting("message_id", b"absent.%d@nowhere.example" % number)
            lookup = Lookup("mx1", stores, "maillog", wanted, cost=Cost(), problems=problems)
            found = lookup.archives(catalog, EVER.start, EVER.end)
            chosen += any(frames for _, frames in lookup.frames(catalog, found))
    assert problems == []
    assert chosen <= 1


def test_frames_come_in_their_order(host: Host) -> None:
    """However many there are of them: what is found is given in the order of the log."""
    lines = archived(host, 1)
    problems = Problems()
    stores = open_stores(host.config.storage)
    with catalogued(host.config, problems) as catalog:
        for kind, key in some_of(scanned(lines), 30):
            wanted = wanting(kind, key)
            lookup = Lookup("mx1", stores, "maillog", wanted, cost=Cost(), problems=problems)
            found = lookup.archives(catalog, EVER.start, EVER.end)
            ((_, frames),) = lookup.frames(catalog, found)
            offsets = [frame.offset for frame in frames]
            assert offsets == sorted(offsets), key


def test_a_present_key_reads_few_frames(host: Host) -> None:
    """One wave for the indexes, one for the frames, and only those that hold it."""
    lines = archived(host, 2)
    searched = Searched(host)
    every = scanned(lines)
    key = next(key for key in sorted(every) if key[0] == "message_id" and len(every[key]) == 2)
    assert searched.key(*key)
    cost = searched.cost
    assert (cost.considered, cost.opened, cost.waves) == (2, 1, 2)
    assert cost.reads <= 2 + 2
    assert cost.answered == {"index": 2}


# -- what an index cannot tell ---------------------------------------------------------------------


def indexes(host: Host) -> list[Path]:
    return sorted(path for path in host.store.rglob("*") if path.suffix in {".idx", ".run"})


@pytest.mark.parametrize("how", ["deleted", "empty", "half", "grown", "another", "flipped"])
def test_ruined_indexes_change_no_answer(host: Host, how: str) -> None:
    """They are told, and the archives are read instead."""
    searched = Searched(host)
    lines = archived(host, 2)
    every = scanned(lines)
    keys = some_of(every, 2)
    paths = indexes(host)
    whole = [path.read_bytes() for path in paths]
    for number, path in enumerate(paths):
        path.chmod(0o640)
        data = whole[number]
        if how == "deleted":
            path.unlink()
        elif how == "flipped":
            path.write_bytes(bytes(byte ^ 1 for byte in data))
        else:
            other = whole[number - 1]
            size = len(data) // 2 // 4096 * 4096
            path.write_bytes(
                {"empty": b"", "half": data[:size], "grown": data + data, "another": other}[how]
            )
    for kind, key in keys:
        assert searched.key(kind, key) == [lines[number] for number in every[kind, key]]
        if kind not in {"session", "helo", "queue_id"} and how != "grown":
            assert searched.problems


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_bit_changes_no_answer(host: Host, seed: int) -> None:
    """Wherever it is: in the page that is asked, or in another one."""
    searched = Searched(host)
    lines = archived(host, 1)
    rng = random.Random(seed)
    (path,) = indexes(host)
    path.chmod(0o640)
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 4096):
        data[at + rng.choice([rng.randrange(8), rng.randrange(4096)])] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    every = scanned(lines)
    for kind, key in some_of(every, 3):
        assert searched.key(kind, key) == [lines[number] for number in every[kind, key]]


@pytest.mark.parametrize("kinds", [(), ("ip",), ("queue_id",), ("domain",), ("address",)])
def test_an_index_of_other_kinds_changes_no_answer(host: Host, kinds: tuple[str]) -> None:
    """Not for keys, nor for a text that holds some."""
    searched = Searched(host)
    indexed_by(host, *kinds)
    lines = archived(host, 2)
    every = scanned(lines)
    for kind, key in some_of(every, 3):
        assert searched.key(kind, key) == [lines[number] for number in every[kind, key]]
    for text in (b"<%s>" % key[1] for key in some_of(every, 5) if b"@" in key[1]):
        expected = [line for line in lines if text in line]
        assert searched.lines(Wanted((), re.compile(re.escape(text)))) == expected
