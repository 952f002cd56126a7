"""An index page tells where a key may stand: all of what was written, and nothing if damaged."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.archives.names import PAGE
from archiver.index.pages import (
    BITS,
    LONGEST_LIST,
    PLACE_BITS,
    DamagedIndexError,
    check,
    entries,
    entries_of,
    hasher,
    home_of,
    homes,
    look_up,
    number,
    save,
)
from archiver.maillog.kinds import KINDS

IDENTITY = b"an archive's digest"
HASHES = st.one_of(
    st.integers(0, 2**BITS - 1),
    st.integers(0, 300),
    st.integers(2**BITS - 300, 2**BITS - 1),
)


def made(
    keys: dict[int, set[int]], *, places: int, split: int = 0, kinds: Sequence[str] = KINDS
) -> bytes:
    """Write an index of hashes and their places, given in two parts."""
    parts = [
        entries_of(
            sorted(h << PLACE_BITS | place for h, at in some.items() for place in at), places
        )
        for some in (
            {h: at for h, at in keys.items() if h < split},
            {h: at for h, at in keys.items() if h >= split},
        )
    ]
    file = io.BytesIO()
    save(file, lambda: parts, kinds=kinds, identity=IDENTITY)
    assert len(file.getvalue()) % PAGE == 0
    return file.getvalue()


def asked(data: bytes, hashed: int, identity: bytes = IDENTITY) -> tuple[int, ...] | None:
    def read(at: int, count: int) -> bytes:
        return data[at * PAGE : (at + count) * PAGE]

    return look_up(hashed, read, pages=len(data) // PAGE, identity=identity).places


def expected(at: set[int], places: int) -> set[tuple[int, ...] | None]:
    """What may be told of a key: its places; "all" only for many."""
    exact: set[tuple[int, ...] | None] = {tuple(sorted(at))}
    return exact | ({None} if len(at) * 2 > places or len(at) * 2 > LONGEST_LIST else set())


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(HASHES, st.sets(st.integers(0, 99), min_size=1, max_size=20), max_size=80),
    st.lists(HASHES, max_size=20),
    HASHES,
)
def test_all_that_was_written_is_told(
    keys: dict[int, set[int]], others: list[int], split: int
) -> None:
    """In whatever parts it came; and of other keys, that they are nowhere."""
    data = made(keys, places=100, split=split)
    for hashed, at in keys.items():
        assert asked(data, hashed) in expected(at, 100)
    for other in set(others) - set(keys):
        assert asked(data, other) == ()


@pytest.mark.parametrize("first", [0, 2**39, 2**BITS - 5_000])
def test_crowded_homes_overflow_into_the_next_pages(first: int) -> None:
    """Also at the end, where the last pages are nobody's home."""
    keys = {first + n: {n % 1000} for n in range(3_000)}
    data = made(keys, places=1000)
    assert len({home_of(hashed, len(data) // PAGE) for hashed in keys}) <= 2
    for hashed, at in list(keys.items())[::11]:
        assert asked(data, hashed) == tuple(at)
    assert asked(data, first - 1 if first else 3_000) == ()


@pytest.mark.parametrize("places", [1, 2, 3, 64, 5_000])
def test_a_key_that_is_everywhere(places: int) -> None:
    """A long list becomes "in all of them"; a short one, or a single place, stays what it is."""
    data = made({7: set(range(places)), 8: {places - 1}}, places=places)
    assert asked(data, 7) in ({(0,)} if places == 1 else {None})
    assert asked(data, 8) == (places - 1,)
    assert asked(data, 9) == ()


def test_places_that_are_far_apart() -> None:
    """One byte, two, and three of distance."""
    at = {0, 1, 127, 128, 2**14, 2**16 - 1}
    assert asked(made({5: at}, places=2**16), 5) == tuple(sorted(at))


def test_an_empty_index() -> None:
    data = made({}, places=3)
    assert [list(entries(data[at : at + PAGE])) for at in range(0, len(data), PAGE)] == [
        [] for _ in range(len(data) // PAGE)
    ]
    assert asked(data, 5) == ()


@pytest.mark.parametrize("kinds", [(), ("ip",), ("message_id", "helo"), KINDS])
def test_kinds_are_told(kinds: tuple[str, ...]) -> None:
    data = made({5: {1}}, places=3, kinds=kinds)
    assert look_up(5, lambda *_: data, pages=len(data) // PAGE, identity=IDENTITY).kinds == set(
        kinds
    )


def test_most_keys_take_one_read_of_two_pages() -> None:
    """A full index: hardly any entry is pushed further than into the next page."""
    hashes = hasher("mx1")
    keys = {
        number(each): {n % 50} for n, each in enumerate(hashes(b"%d" % n for n in range(20_000)))
    }
    data = made(keys, places=50)
    assert len(data) < 6 * len(keys)
    reads = []

    def read(at: int, count: int) -> bytes:
        reads.append(count)
        return data[at * PAGE : (at + count) * PAGE]

    for hashed in list(keys)[:2000]:
        assert look_up(hashed, read, pages=len(data) // PAGE, identity=IDENTITY).places
    assert len(reads) < 2020


# -- damage ----------------------------------------------------------------------------------------

SOUND = made({n * 2**28: {n % 9} for n in range(3_600)}, places=9)


def test_any_flipped_byte_is_seen() -> None:
    """Wherever in a page it is, and in whichever page."""
    for at in range(0, len(SOUND), 7):
        page, begin = at // PAGE, at // PAGE * PAGE
        data = bytearray(SOUND[begin : begin + PAGE])
        data[at - begin] ^= 1 << at % 8
        with pytest.raises(DamagedIndexError):
            check(bytes(data), page, len(SOUND) // PAGE, IDENTITY)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(0, 3_599))
def test_damage_gives_no_wrong_answer(data: st.DataObject, key: int) -> None:
    """The right answer or none, whatever was written over, cut off, or put in."""
    at = data.draw(st.integers(0, len(SOUND)))
    end = data.draw(st.integers(at, min(len(SOUND), at + 5_000)))
    ruined = SOUND[:at] + data.draw(st.binary(max_size=60)) + SOUND[end:]
    pages = len(SOUND) // PAGE

    def read(at: int, count: int) -> bytes:
        return ruined[at * PAGE : (at + count) * PAGE]

    try:
        told = look_up(key * 2**28, read, pages=pages, identity=IDENTITY).places
    except DamagedIndexError:
        return
    assert told in expected({key % 9}, 9)


def test_pages_of_another_index_are_refused() -> None:
    """Of another archive, of another place in this one, or of a shorter one."""
    pages = len(SOUND) // PAGE
    assert pages > 2
    page = SOUND[PAGE : 2 * PAGE]
    check(page, 1, pages, IDENTITY)
    for at, of, identity in [
        (1, pages, b"another"),
        (2, pages, IDENTITY),
        (1, pages + 1, IDENTITY),
    ]:
        with pytest.raises(DamagedIndexError):
            check(page, at, of, identity)


@pytest.mark.parametrize("length", [0, 1, PAGE - 1, PAGE + 1])
def test_a_page_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(DamagedIndexError):
        check((SOUND + SOUND)[:length], 0, len(SOUND) // PAGE, IDENTITY)


def test_homes_leave_room_at_the_end() -> None:
    """Every hash has a home, and the last one is not the last page of a larger index."""
    for pages in range(1, 200):
        assert 0 < homes(pages) <= pages
        assert home_of(2**BITS - 1, pages) == homes(pages) - 1
        assert home_of(0, pages) == 0


def test_hashes_are_the_hosts_own() -> None:
    """What is common to two hosts cannot be seen by who has but their indexes."""
    assert hasher("mx1")([b"a", b"b"]) == hasher("mx1")([b"a", b"b"])
    assert not set(hasher("mx1")([b"a"])) & set(hasher("mx2")([b"a"]))
