"""Runs tell in which archives a key stands: of any number of archives, with and without gaps."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.index.spans import FAN, LARGEST, Span, covering, spans
from tests.world.host import MONDAY, Host, after


@pytest.mark.parametrize("head", [0, 1, 3, 4, 5, 91, 255, 256, 1024, 1025, 2555, 5000])
def test_runs_cover_all_but_the_last_few(head: int) -> None:
    """Side by side, each of a power of four, and no more than a handful of each size."""
    found = spans(head)
    numbers = [n for span in found for n in range(span.first, span.last + 1)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert head - FAN < len(numbers) <= head
    sizes = [span.last - span.first + 1 for span in found]
    assert set(sizes) <= {4, 16, 64, 256, LARGEST}
    assert sorted(sizes, reverse=True) == sizes
    assert all(sizes.count(size) < FAN for size in set(sizes) - {LARGEST})


@given(st.integers(0, 3000), st.sets(st.integers(1, 3000), max_size=60))
def test_no_run_covers_what_has_expired(head: int, expired: set[int]) -> None:
    """All else that a merged index would cover is covered once, by the largest that can be."""
    found = spans(head, expired)
    covered = [n for span in found for n in range(span.first, span.last + 1)]
    assert len(covered) == len(set(covered))
    assert expired.isdisjoint(covered)
    blocks = [Span(n + 1, n + FAN) for n in range(0, head - FAN + 1, FAN)]
    whole = [b for b in blocks if expired.isdisjoint(range(b.first, b.last + 1))]
    assert sorted(covered) == [n for b in whole for n in range(b.first, b.last + 1)]
    for span in found:
        wider = [each for each in covering(span.first) if each.size > span.size]
        assert span in covering(span.last)
        for each in wider:
            broken = not expired.isdisjoint(range(each.first, each.last + 1))
            assert broken or each.last > head


def test_a_run_is_made_of_the_runs_before_it() -> None:
    assert Span(1, 16).parts == [Span(1, 4), Span(5, 8), Span(9, 12), Span(13, 16)]
    assert Span(5, 8).parts == [Span(n, n) for n in range(5, 9)]


def login(ahead: int, user: str) -> bytes:
    day = after(MONDAY, ahead)
    return f"{day:%b} {day.day:2} 09:00:00 mx1 imapd: LOGIN, user={user}, ip=[192.0.2.1]\n".encode()


def nights(host: Host, days: int, *, gaps: tuple[int, ...] = (), first: int = 0) -> None:
    for ahead in range(first, days):
        if ahead not in gaps:
            host.write(login(ahead, f"u{ahead}") + login(ahead, "all"))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0


def merged(host: Host) -> list[str]:
    return sorted(path.name for path in host.store.rglob("*.run"))


def assert_found(host: Host, days: int, gaps: tuple[int, ...] = ()) -> None:
    there = [ahead for ahead in range(days) if ahead not in gaps]
    for ahead in there:
        said = host.archiver("fetch", "--user", f"u{ahead}", "--archived")
        assert (said.status, said.out) == (0, login(ahead, f"u{ahead}"))
    said = host.archiver("fetch", "--user", "all", "--archived")
    assert said.out == b"".join(login(ahead, "all") for ahead in there)
    assert host.archiver("fetch", "--user", "nobody", "--archived").status == 4


@pytest.mark.parametrize("gaps", [(), (2, 3), (4, 5, 6, 7), (0,)])
def test_every_night_merges_what_is_due(host: Host, gaps: tuple[int, ...]) -> None:
    """Larger merged indexes replace smaller ones; days without lines are in none."""
    nights(host, 21, gaps=gaps)
    numbers = len(host.documents())
    assert [name[-17:-4] for name in merged(host)] == [
        f"{span.first:06d}-{span.last:06d}" for span in spans(numbers)
    ]
    assert_found(host, 21, gaps)


@pytest.mark.parametrize("how", ["deleted", "ruined", "another", "cut"])
def test_a_ruined_run_changes_no_answer(host: Host, how: str) -> None:
    """Its archives are asked one by one; where it was there, the damage is told."""
    nights(host, 21)
    paths = sorted(host.store.rglob("*.run"))
    whole = [path.read_bytes() for path in paths]
    for number, path in enumerate(paths):
        path.chmod(0o640)
        if how == "deleted":
            path.unlink()
        else:
            other = whole[number - 1]
            cut = whole[number][:4000]
            path.write_bytes({"ruined": whole[number][::-1], "another": other, "cut": cut}[how])
    assert_found(host, 21)
    said = host.archiver("fetch", "--user", "u3", "--archived")
    assert (said.status, said.out) == (0, login(3, "u3"))
    assert ".run" in said.err


def test_a_missing_index_keeps_its_archives_out_of_runs_only(host: Host) -> None:
    """They are searched whole, and the merged index is made when the index is there again."""
    nights(host, 3)
    for path in host.store.rglob("*.idx"):
        path.unlink()
    assert host.archiver("catalog", "rebuild").status == 0
    nights(host, 12, first=3)
    assert_found(host, 12)
    now = host.at(after(MONDAY, 12))
    assert host.archiver("catalog", "rebuild", "--index", now=now).status == 0
    assert [name[-17:-4] for name in merged(host)] == [
        f"{span.first:06d}-{span.last:06d}" for span in spans(12)
    ]
    assert_found(host, 12)


def test_two_stores_have_the_same_runs(place: Path) -> None:
    host = Host(place, targets=("store", "second"))
    host.log.touch()
    nights(host, 9)
    first, second = (
        {path.name: path.read_bytes() for path in (place / target).rglob("*.run")}
        for target in ("store", "second")
    )
    assert len(first) == 2
    assert first == second


def test_a_merged_index_is_of_the_archives_that_had_its_numbers(host: Host) -> None:
    """Archives that were lost, and others with their numbers: the merged index is made anew."""
    nights(host, 12)
    for number in (11, 12):
        for path in host.store.rglob(f"*-{number:06d}.*"):
            if not path.name.endswith(".run"):
                path.unlink()
    assert host.archiver("catalog", "rebuild").status == 0
    before = (host.store / "host=mx1/source=maillog/runs/maillog-000009-000012.run").read_bytes()
    nights(host, 15, first=12)
    after_it = (host.store / "host=mx1/source=maillog/runs/maillog-000009-000012.run").read_bytes()
    assert before != after_it
    assert_found(host, 15, gaps=(10, 11))


def test_no_run_goes_over_a_fork(host: Host) -> None:
    """Two archives have one number: each is asked by itself."""
    nights(host, 10)
    for path in (host.config.host.catalog, *host.store.rglob("*-000010.*")):
        path.rename(host.directory / path.name)
    assert host.archiver("catalog", "rebuild").status == 0
    host.write(login(10, "u10") + login(10, "all"))
    assert host.night(after(MONDAY, 11)).exit_status == 0
    day = host.store / f"host=mx1/source=maillog/date={after(MONDAY, 9)}"
    for path in host.directory.glob("*-000010.*"):
        path.rename(day / path.name)
    for ahead in (11, 12):
        host.write(login(ahead, f"u{ahead}") + login(ahead, "all"))
        host.night(after(MONDAY, ahead + 1))
    assert not any(name.endswith("-000009-000012.run") for name in merged(host))
    for ahead in range(13):
        said = host.archiver("fetch", "--user", f"u{ahead}", "--archived")
        assert said.out == login(ahead, f"u{ahead}")
