"""The ledger's records: what is written is read, nothing else is, and what follows from them."""

import itertools
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archives.names import Key, parse
from archiver.policy.bodies import KINDS, File, HoldAdded, HoldReleased, PolicyNoted, Unknown
from archiver.policy.ledger import (
    Record,
    decode,
    encode,
    governed_at,
    holds,
    newer,
    newest_instant,
)
from archiver.policy.period import Period
from archiver.policy.rules import Rule, Scope, changes
from archiver.system.zone import DAY_SECONDS

texts = st.text(max_size=20)
instants = st.integers(0, 4_000_000_000)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
periods = st.builds(Period, st.integers(0, 9), st.integers(0, 9), st.just(0), st.integers(0, 99))
dates = st.dates(date(1970, 1, 1), date(2100, 1, 1))
scopes = st.builds(
    Scope,
    st.lists(names, min_size=1, max_size=3).map(tuple),
    st.lists(names, min_size=1, max_size=3).map(tuple),
    st.none() | dates,
    st.none() | dates,
)
rules = st.builds(Rule, names, scopes, periods, st.none() | periods, st.none() | periods, texts)
st.register_type_strategy(Period, periods)
st.register_type_strategy(Scope, scopes)
st.register_type_strategy(Rule, rules)
st.register_type_strategy(date, dates)
st.register_type_strategy(int, instants)
st.register_type_strategy(str, texts)
bodies = st.one_of([st.from_type(kind) for kind in KINDS.values()])


@st.composite
def records(draw: st.DrawFn) -> Record:
    sequence = draw(st.integers(1, 9999))
    previous = None if sequence == 1 else "0" * 64
    return Record(draw(names), sequence, previous, draw(instants), draw(texts), "0.1", draw(bodies))


@given(records())
def test_what_is_written_is_read(record: Record) -> None:
    document = encode(record)
    assert decode(document) == record
    assert encode(decode(document)) == document
    assert parse(record.key) == Key(record.host, number=record.sequence, suffix=".json")


@given(records(), st.data())
def test_a_field_that_is_missing_or_of_another_type_is_told(
    record: Record, data: st.DataObject
) -> None:
    document = json.loads(encode(record))
    field = data.draw(st.sampled_from([key for key in document if key != "by"]))
    document[field] = [[]]
    with pytest.raises(ValueError):
        decode(json.dumps(document).encode())
    del document[field]
    with pytest.raises(ValueError):
        decode(json.dumps(document).encode())


@given(st.binary(max_size=100))
def test_garbage_is_no_record(garbage: bytes) -> None:
    with pytest.raises(ValueError):
        decode(garbage)


def test_fields_of_later_versions_are_passed_over() -> None:
    document = json.loads(encode(chain(HoldReleased("A", "over"))[0]))
    document["body"]["new"] = document["newer"] = 1
    assert decode(json.dumps(document).encode()).body == HoldReleased("A", "over")


@pytest.mark.parametrize(
    ("fields", "kind", "critical"),
    [
        ({"kind": "seal"}, "seal", False),
        ({"kind": "seal", "schema": 2}, "seal", False),
        ({"kind": "seal", "schema": 2, "critical": True}, "seal", True),
        ({"kind": "seal", "critical": "yes"}, "seal", False),
        # Under a later schema, even a name that is known may mean something else.
        ({"schema": 3}, "release (schema 3)", True),
    ],
)
def test_what_a_newer_version_wrote_is_no_damage(
    fields: dict[str, Any], kind: str, critical: bool
) -> None:
    """It keeps its place in the chain, whatever its body is."""
    document = json.loads(encode(chain(HoldReleased("A", "over"))[0]))
    record = decode(json.dumps({**document, "body": ["?"], **fields}).encode())
    assert (record.body, record.sequence) == (Unknown(kind, critical), 1)
    assert newer(record).message.endswith("was written by a newer version of archiver")


def test_a_kind_that_is_known_counts_whatever_it_says_of_itself() -> None:
    document = json.loads(encode(chain(HoldReleased("A", "over"))[0]))
    for more in ({"critical": True}, {"schema": 2}):
        assert decode(json.dumps({**document, **more}).encode()).body == HoldReleased("A", "over")


def chain(*bodies: Any, at: tuple[int, ...] = ()) -> list[Record]:
    times = at or tuple(range(1000, 1000 + len(bodies)))
    return [
        Record("mx1", n, None if n == 1 else "0" * 64, instant, "root", "0.1", body)
        for n, (instant, body) in enumerate(zip(times, bodies, strict=True), start=1)
    ]


def test_a_release_ends_all_holds_of_its_case_and_no_other() -> None:
    scope = Scope(first=date(2026, 1, 1))
    found = holds(
        chain(
            HoldAdded("A", scope, "theft"),
            HoldAdded("A", Scope(), "more"),
            HoldAdded("B", scope, "fire"),
            HoldReleased("A", "settled"),
            HoldAdded("A", scope, "again"),
        )
    )
    assert [(each.case, each.released, each.released_for) for each in found] == [
        ("A", 1003, "settled"),
        ("A", 1003, "settled"),
        ("B", None, ""),
        ("A", None, ""),
    ]


def moments(*times: int, confirmed: int | None = None) -> list[tuple[int, bool]]:
    return [(at, at == confirmed) for at in times]


def test_a_clock_that_jumped_does_not_vouch_for_itself() -> None:
    day = DAY_SECONDS
    jumped = (0, day, 4000 * day, 4001 * day)
    assert newest_instant(moments(*jumped)) == day
    assert newest_instant([]) is None
    # Nor does one that went back take anything away.
    assert newest_instant(moments(5 * day, day)) == 5 * day
    # Until a person says so; and then, from there on.
    assert newest_instant(moments(*jumped, 4002 * day, confirmed=4000 * day)) == 4002 * day


@given(st.lists(instants, min_size=1, max_size=30))
def test_no_step_of_the_clock_is_believed_that_is_longer_than_a_month(times: list[int]) -> None:
    found = newest_instant(moments(*times))
    believed = sorted({each for each in times if times[0] <= each <= found}) if found else []
    assert found in times
    assert all(b - a <= 31 * DAY_SECONDS for a, b in itertools.pairwise(believed))


def test_which_policy_was_in_force_when() -> None:
    first, second = PolicyNoted((Rule("a", minimum=Period(1)),)), PolicyNoted(())
    noted = chain(first, HoldReleased("A", "x"), second, at=(10, 20, 30))
    assert governed_at(noted, 9) is None
    assert [governed_at(noted, at) for at in (10, 29, 30, 99)] == [
        noted[0],
        noted[0],
        noted[2],
        noted[2],
    ]


def test_how_rules_differ_is_told() -> None:
    old = Rule("a", minimum=Period(1), basis="law")
    new = Rule("a", minimum=Period(days=1), basis="law")
    other = Rule("b", Scope(("qmail",)), maximum=Period(days=21), basis="Garante")
    assert changes([old], [old]) == ()
    assert changes([old], [new]) == ("~ a: minimum P1Y → P1D",)
    assert changes([old, other], [other, old]) == ("~ order: a, b → b, a",)
    added, removed = changes([old], [other])
    assert removed.startswith("+ ")
    assert "rule b; Garante" in removed
    assert "qmail" in removed
    assert added.startswith("- at least P1Y")


def test_a_file_is_told_with_its_digest() -> None:
    body = PolicyNoted((), File("/etc/archiver.toml", "0" * 64, 1_700_000_000, "root"))
    document = json.loads(encode(chain(body)[0]))
    assert document["body"]["file"]["modified"] == "2023-11-14T22:13:20Z"
