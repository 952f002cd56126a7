"""The fifteen questions: each answer against what is known, by hand and by brute force."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archives.receipts import Protection, Receipt
from archiver.policy.bodies import (
    Evidence,
    HoldAdded,
    HoldReleased,
    Order,
    Ordered,
    PolicyNoted,
    StoreReply,
    Tombstone,
    Withdrawal,
    Withdrawn,
)
from archiver.policy.inventory import Inventory, Place, Summary
from archiver.policy.ledger import Record
from archiver.policy.period import Period
from archiver.policy.questions import QUESTIONS, Asked, Reply
from archiver.policy.rules import Policy, Rule, Scope
from archiver.system.zone import day_end, day_start
from tests.world.host import MONDAY, Host, Said, after, flip, lines

ROME = ZoneInfo("Europe/Rome")
HOME, FAR = Place("home", "/srv/mail"), Place("far", "s3://b/", near=False, lock="governance")
DAY = timedelta(1)
A_DAY = 86_400


def archive(day: date, number: int = 1, *, source: str = "maillog", **more: Any) -> Summary:
    start = day_start(day, ROME)
    facts: dict[str, Any] = {
        "key": f"host=mx1/source={source}/date={day}/{source}-{number:06d}.manifest.json",
        "source": source,
        "date": day,
        "sequence": number,
        "earliest": start,
        "latest": start + 60,
        "sealed_at": day_end(day, ROME),
        "lines": 7,
        "raw_size": 700,
        "size": 70,
        "sha256": f"{number:064x}",
        "digest": f"{number:063x}d",
        "is_empty_day": False,
        "copies": ("home",),
    }
    return Summary(**facts | more)


def empty_day(day: date, number: int = 1) -> Summary:
    return archive(day, number, is_empty_day=True, lines=0, size=0)


def receipt(each: Summary, target: str = "home", *, at: int = 1_777_000_000, **more: Any) -> Any:
    key = each.key if each.is_empty_day else each.archive_key
    found = Receipt(key, target, each.size, each.sha256, at, **more)
    return (key, target), found


def known(*summaries: Summary, today: date, **more: Any) -> Inventory:
    """What is known; each copy was read back, unless it is said otherwise."""
    given: dict[str, Any] = {
        "host": "mx1",
        "zone": ROME,
        "now": day_start(today, ROME) + 3600,
        "sources": tuple(sorted({each.source for each in summaries} | {"maillog"})),
        "policy": Policy(),
        "places": (HOME,),
        "required": 1,
        "summaries": tuple(sorted(summaries, key=lambda each: each.key)),
        "receipts": dict(receipt(each, target) for each in summaries for target in each.copies),
        "complete": {"maillog": today - DAY},
    }
    return Inventory(**given | more)


def ask(question: str, facts: Inventory, **asked: Any) -> Reply:
    reply = QUESTIONS[question].answer(facts, Asked(**asked))
    assert all(len(row) == len(reply.columns) for row in reply.rows)
    assert reply.said
    return reply


def column(reply: Reply, name: str) -> list[Any]:
    return [row[reply.columns.index(name)] for row in reply.rows]


def record(number: int, body: Any, at: int = 1_777_000_000) -> Record:
    previous = None if number == 1 else "0" * 64
    return Record("mx1", number, previous, at, "root (sudo: ann)", "0.1", body)


# -- completeness --------------------------------------------------------------------------------


def test_every_state_of_a_day_is_told() -> None:
    day = [after(MONDAY, ahead) for ahead in range(8)]
    long = archive(day[1], 2, latest=day_start(day[2], ROME) + 60)
    gone = archive(day[4], 4, copies=(), ordered=8, destroyed=9)
    poor = archive(day[5], 5)
    summaries = [archive(day[0], 1), long, empty_day(day[3], 3), gone, poor]
    facts = known(*summaries, today=day[7], complete={"maillog": day[6]})
    facts.receipts.pop((poor.archive_key, "home"))  # type: ignore[attr-defined]
    reply = ask("complete", facts, first=day[0], last=day[7])
    assert column(reply, "date") == [str(each) for each in day]
    states = [
        "present",
        "present",
        "present",
        "empty",
        "destroyed",
        "partial",
        "missing",
        "not yet",
    ]
    assert column(reply, "state") == states
    assert "certificate 9" in column(reply, "note")[4]
    assert (reply.well, "2 days are missing or partial" in reply.said) == (False, True)


def test_without_anything_nothing_is_said_to_be_complete() -> None:
    reply = ask("complete", known(today=MONDAY, complete={}))
    assert (reply.rows, reply.said) == ((), "nothing is known of these days")


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.sampled_from("ab")), max_size=15),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_each_day_of_each_source_is_told_once(
    made: Sequence[tuple[int, bool, str]], first: int, length: int
) -> None:
    """Against a look at each day by itself."""
    summaries = [
        archive(after(MONDAY, ahead), number, source=source, is_empty_day=empty)
        for number, (ahead, empty, source) in enumerate(made, start=1)
    ]
    days = [after(MONDAY, first + ahead) for ahead in range(length + 1)]
    facts = known(
        *summaries,
        today=after(MONDAY, 30),
        sources=("a", "b"),
        complete={"a": after(MONDAY, 29), "b": after(MONDAY, 29)},
    )
    reply = ask("complete", facts, first=days[0], last=days[-1])
    assert sorted(zip(column(reply, "date"), column(reply, "source"), strict=True)) == sorted(
        (str(day), source) for day in days for source in "ab"
    )
    for day, source, state, *_ in reply.rows:
        of_day = [each for each in summaries if (str(each.date), each.source) == (day, source)]
        kinds = {each.is_empty_day for each in of_day}
        expected = "missing" if not of_day else "empty" if kinds == {True} else "present"
        assert state == expected


def test_a_change_of_clocks_leaves_out_no_day() -> None:
    days = [date(2026, 3, 28) + n * DAY for n in range(3)] + [date(2026, 10, 25)]
    facts = known(*(archive(day, n) for n, day in enumerate(days, 1)), today=date(2026, 10, 26))
    reply = ask("complete", facts, first=days[0], last=days[2])
    assert column(reply, "state") == ["present"] * 3


def test_an_empty_day_is_told_with_its_manifest() -> None:
    one = empty_day(MONDAY, 4)
    reply = ask("empty", known(one, archive(after(MONDAY)), today=after(MONDAY, 2)))
    assert reply.rows == ((str(MONDAY), "maillog", one.key, one.digest, 4, 1),)


# -- rules ---------------------------------------------------------------------------------------

RULE = Rule("it", minimum=Period(days=2), maximum=Period(days=21), basis="Garante", expire="auto")


def test_what_expires_soon_and_what_is_overdue() -> None:
    old, soon, later = (archive(after(MONDAY, n), n + 1) for n in (0, 20, 60))
    facts = known(old, soon, later, today=after(MONDAY, 30), policy=Policy((RULE,)))
    reply = ask("expiring", facts, within=15)
    assert column(reply, "archive") == [soon.archive_key]
    assert column(reply, "must_by") == [str(after(MONDAY, 41))]
    reply = ask("overdue", facts)
    assert column(reply, "archive") == [old.archive_key]
    assert column(reply, "past_since") == [str(after(MONDAY, 22))]
    assert (reply.well, "must expire" in column(reply, "why")[0]) == (False, True)


def test_what_is_held_is_told_with_who_and_why() -> None:
    scope = Scope(first=MONDAY, last=after(MONDAY))
    one, two, out = (archive(after(MONDAY, n), n + 1, copies=("home", "far")) for n in (0, 1, 2))
    held = Protection(hold=True)
    facts = known(
        one,
        two,
        out,
        today=after(MONDAY, 9),
        places=(HOME, FAR),
        records=(
            record(1, HoldAdded("A-1", scope, "theft")),
            record(2, HoldAdded("B-2", scope, "fire")),
            record(3, HoldReleased("B-2", "settled")),
        ),
        receipts=dict([receipt(one, "far", protection=held), receipt(two, "far")]),
    )
    reply = ask("held", facts)
    assert column(reply, "case") == ["A-1"]
    assert column(reply, "archives") == [2]
    assert (column(reply, "copies_held"), column(reply, "copies_not_held")) == ([1], [1])
    assert (column(reply, "by"), column(reply, "reason")) == (["root (sudo: ann)"], ["theft"])
    reply = ask("held", facts, everything=True)
    assert column(reply, "released_for") == ["", "settled"]


def test_which_rules_were_in_force_when_a_day_was_stored() -> None:
    one, two = archive(MONDAY, 1), archive(after(MONDAY, 5), 2)
    facts = known(
        one,
        two,
        today=after(MONDAY, 9),
        policy=Policy((RULE,)),
        records=(record(3, PolicyNoted((RULE,)), at=two.sealed_at - 1),),
    )
    reply = ask("governing", facts)
    assert column(reply, "policy") == [None, 3]
    assert column(reply, "rule_then") == ["none recorded yet", str(RULE)]
    assert column(reply, "rule_now") == [str(RULE)] * 2


def test_how_the_rules_changed_is_told() -> None:
    other = Rule("it", minimum=Period(days=3), maximum=Period(days=21), basis="Garante")
    noted = (record(1, PolicyNoted(())), record(2, PolicyNoted((RULE,))))
    facts = known(today=MONDAY, records=(*noted, record(3, PolicyNoted((other,)))))
    reply = ask("policy-changes", facts)
    assert column(reply, "record") == [1, 2, 3, 3]
    assert column(reply, "difference")[2:] == [
        "~ it: minimum P2D → P3D",
        "~ it: expire auto → manual",
    ]


def stone(each: Summary, policy: int, order: int = 2) -> Tombstone:
    evidence, reply = Evidence("home", 5), StoreReply("home", "/srv/mail", 6, ())
    facts = (
        each.source,
        each.date,
        each.lines,
        each.raw_size,
        "0" * 64,
        each.earliest,
        each.latest,
    )
    begin = (order, policy, each.key, each.digest, each.archive_key, each.sha256, each.size)
    return Tombstone(*begin, *facts, "it", "Garante", "must expire: …", (evidence,), (reply,))


def test_what_was_deleted_is_told_with_its_authority() -> None:
    one = archive(MONDAY, 1, copies=(), ordered=2, destroyed=3)
    two = archive(after(MONDAY), 2, ordered=2)
    ordered = [Ordered(e.key, e.digest, e.sha256, "it", "Garante", "why", ()) for e in (one, two)]
    facts = known(
        one,
        two,
        today=after(MONDAY, 30),
        records=(
            record(1, PolicyNoted((RULE,))),
            record(2, Order("auto", tuple(ordered))),
            record(3, stone(one, 1), at=day_start(after(MONDAY, 30), ROME)),
            record(4, Withdrawal(2, (Withdrawn(two.key, "held"),))),
        ),
    )
    reply = ask("deletions", facts)
    assert column(reply, "state") == ["ordered", "destroyed", "withdrawn"]
    assert column(reply, "archive") == [None, one.archive_key, None]
    assert column(reply, "basis")[:2] == ["Garante", "Garante"]
    assert "1 archive was destroyed" in reply.said
    reply = ask("deletions", facts, first=after(MONDAY))
    assert column(reply, "state") == ["ordered", "withdrawn"]
    assert ask("below-minimum", facts).well


def test_what_is_below_its_minimum_is_told() -> None:
    """Destroyed a day too early; or within its minimum, and no copy is verified."""
    one = archive(MONDAY, 1, copies=(), ordered=2, destroyed=3)
    two = archive(after(MONDAY, 8), 2)
    facts = known(
        one,
        two,
        today=after(MONDAY, 9),
        policy=Policy((RULE,)),
        receipts={},
        records=(
            record(1, PolicyNoted((RULE,))),
            record(3, stone(one, 1), at=day_start(after(MONDAY, 2), ROME)),
        ),
    )
    reply = ask("below-minimum", facts)
    assert column(reply, "archive") == [one.archive_key, two.archive_key]
    assert column(reply, "what") == ["destroyed on 2026-05-06", "0 of 1 verified copies"]
    assert not reply.well


# -- copies --------------------------------------------------------------------------------------

LOCKING = Place("far", "s3://b/", near=False, lock="governance", lock_for=10 * A_DAY)


def locked(day: date, days: int, mode: str = "governance", *, hold: bool = False) -> Protection:
    return Protection(mode, ((day - date(1970, 1, 1)).days + 1 + days) * A_DAY, hold)


@pytest.mark.parametrize(
    ("protection", "verdict"),
    [
        (locked(MONDAY, 10), ""),
        (locked(MONDAY, 10, "compliance"), ""),
        (locked(MONDAY, 9), "the configuration asks for governance until"),
        (Protection(), "the configuration asks for governance until"),
        (locked(MONDAY, 60), "the lock ends after the maximum of rule it, on 2026-05-25"),
        (None, "it was never read back"),
    ],
)
def test_a_lock_that_is_not_the_policys_is_told(
    protection: Protection | None, verdict: str
) -> None:
    one = archive(MONDAY, copies=("far",))
    told = dict([receipt(one, "far", at=day_end(MONDAY, ROME), protection=protection)])
    facts = known(
        one,
        today=after(MONDAY, 3),
        policy=Policy((RULE,)),
        places=(LOCKING,),
        receipts=told if protection is not None else {},
    )
    reply = ask("locks", facts)
    assert reply.well == (not verdict)
    assert [verdict in each for each in column(reply, "verdict")] == ([True] if verdict else [])
    assert len(ask("locks", facts, everything=True).rows) == 1


def test_a_lock_that_ends_before_the_minimum_and_a_hold_that_is_not_there() -> None:
    one = archive(MONDAY, copies=("far",))
    year = Rule("year", minimum=Period(1))
    facts = known(
        one,
        today=after(MONDAY, 3),
        policy=Policy((year,)),
        places=(LOCKING,),
        records=(record(1, HoldAdded("A", Scope(), "theft")),),
        receipts=dict([receipt(one, "far", protection=locked(MONDAY, 10))]),
    )
    (verdict,) = column(ask("locks", facts), "verdict")
    assert "a case holds it, the store does not" in verdict
    assert "the lock ends before the minimum of rule year does, on 2027-05-04" in verdict


def test_when_each_copy_was_last_read_back() -> None:
    one, two, three = (archive(after(MONDAY, n), n + 1) for n in range(3))
    facts = known(
        one,
        two,
        three,
        today=after(MONDAY, 10),
        receipts=dict(
            [receipt(one, at=day_start(after(MONDAY, 7), ROME)), receipt(two, sound=False)]
        ),
    )
    reply = ask("verified", facts)
    assert column(reply, "state") == ["verified", "damaged or gone", "never"]
    assert column(reply, "days_ago")[0] == 3
    assert not reply.well
    assert reply.said == "1 copy is verified; the longest ago on 2026-05-11; 2 not"


def test_where_copies_are_and_how_encrypted() -> None:
    one = archive(MONDAY, copies=("home", "far"))
    far = Place("far", "s3://b/", near=False, sse="aws:kms", kms_key="alias/m")
    told = [receipt(one), receipt(one, "far", version="v7", protection=locked(MONDAY, 1))]
    facts = known(one, today=after(MONDAY), places=(HOME, far), required=2, receipts=dict(told))
    reply = ask("copies", facts)
    assert column(reply, "where") == ["s3://b/", "/srv/mail"]
    assert column(reply, "version") == ["v7", None]
    assert column(reply, "encrypted") == ["by the server: aws:kms, key alias/m", "no"]
    assert column(reply, "lock") == ["governance until 2026-05-06T00:00:00Z", None]
    assert reply.well


def test_how_soon_an_archive_is_readable() -> None:
    near, far, none = (
        archive(MONDAY),
        archive(after(MONDAY), 2, copies=("far",)),
        archive(after(MONDAY, 2), 3),
    )
    rule = Rule("pci", minimum=Period(1), immediate=Period(0, 3))
    facts = known(
        near,
        far,
        none,
        today=after(MONDAY, 9),
        policy=Policy((rule,)),
        places=(HOME, FAR),
        receipts=dict([receipt(near), receipt(far, "far")]),
    )
    reply = ask("readable", facts)
    times = column(reply, "readable")
    assert times[0] == "at once"
    assert times[1].startswith("after one request")
    assert times[2].startswith("not known")
    assert column(reply, "immediate_until")[0] == "2026-08-04"
    assert not reply.well


def test_what_cannot_be_answered_says_so() -> None:
    facts = known(archive(MONDAY), today=after(MONDAY))
    reply = ask("readers", facts)
    assert (reply.answered, "not recorded yet" in reply.said) == (False, True)
    reply = ask("proof", facts)
    assert "not there yet" in reply.said
    assert column(reply, "sha256") == [f"{1:064x}"]


# -- the commands --------------------------------------------------------------------------------


@pytest.fixture
def host(place: Path) -> Host:
    rule = """
    [[retention.rule]]
    name = "mail, and \\"more\\""
    minimum = "P1D"
    maximum = "P3D"
    basis = "Garante, \\"364/2024\\""
    """.replace('mail, and \\"more\\"', "mail")
    host = Host(place, targets=("store", "second"), tables=rule)
    host.log.touch(0o640)
    for ahead in range(3):
        if ahead != 1:
            host.write(lines(after(MONDAY, ahead), "10:00:00"))
        host.night(after(MONDAY, ahead + 1))
    return host


def asking(host: Host, *words: str, day: date | None = None) -> Said:
    return host.archiver("retention", *words, now=host.at(day or after(MONDAY, 3), "12:00"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_text_csv_and_json_tell_the_same(host: Host, question: str) -> None:
    told = json.loads(asking(host, "ask", question, "--json", "--all").out)["data"]
    rows = list(
        csv.reader(io.StringIO(asking(host, "ask", question, "--csv", "--all").out.decode()))
    )
    if told["columns"]:
        assert rows[0] == told["columns"]
        cells = [
            ["" if cell is None else str(cell) for cell in row.values()] for row in told["rows"]
        ]
        assert rows[1:] == cells
    text = asking(host, "ask", question, "--all").out.decode()
    assert text.startswith(told["said"])
    assert asking(host, "ask", question).status == 0


def test_the_questions_are_listed_and_a_wrong_one_is_told(host: Host) -> None:
    listed = json.loads(asking(host, "ask", "--json").out)["data"]["questions"]
    assert [each["question"] for each in listed] == list(QUESTIONS)
    assert len(QUESTIONS) == 15
    said = asking(host, "ask", "complet")
    assert (said.status, "did you mean complete?" in said.err) == (2, True)
    assert asking(host, "ask", "complete", "--source", "nobody").status == 2
    assert asking(host, "ask", "expiring", "--within", "soon").status == 2


def test_a_certificate_is_given_as_it_is_stored(host: Host) -> None:
    now = after(MONDAY, 5)
    asking(host, "expire", "--yes", day=now)
    rows = json.loads(asking(host, "ask", "deletions", "--json", day=now).out)["data"]["rows"]
    number = next(row["record"] for row in rows if row["state"] == "destroyed")
    stored = (host.store / f"host=mx1/ledger/{number:08d}.json").read_bytes()
    assert asking(host, "ask", "--certificate", str(number), "deletions", day=now).out == stored
    assert asking(host, "ask", "deletions", "--certificate", "1", day=now).status == 4
    assert asking(host, "ask", "deletions", "--certificate", "999", day=now).status == 4


def test_a_rebuilt_catalog_answers_all_questions_the_same(host: Host) -> None:
    """And so does a machine that has nothing but a store."""
    now = after(MONDAY, 5)
    manifest = host.manifests()[-1]
    flip(host.directory / "second" / manifest.archive_key, 3)
    host.archiver("hold", "add", "A", "--reason", "x", "--from", str(after(MONDAY, 2)))
    host.archiver("repair", now=host.at(now))
    asking(host, "expire", "--yes", day=now)

    def answers() -> Mapping[str, Any]:
        return {
            question: json.loads(asking(host, "ask", question, "--json", "--all", day=now).out)[
                "data"
            ]
            for question in QUESTIONS
        }

    before = answers()
    host.config.host.catalog.unlink()
    assert host.archiver("catalog", "rebuild", now=host.at(now, "13:00")).status == 0
    assert answers() == before


def test_what_is_shown_and_listed(host: Host) -> None:
    shown = json.loads(asking(host, "show", "--json", "--date", str(MONDAY)).out)["data"]
    assert shown["holds"] == []
    assert "at most P3D" in shown["governing"][0]
    (each,) = shown["archives"]
    assert (each["verdict"], each["expires_on"], each["must_go_by"]) == (
        "must expire",
        "2026-05-06",
        "2026-05-07",
    )
    listed = json.loads(asking(host, "list", "--json").out)["data"]["archives"]
    assert [each["verdict"] for each in listed] == ["must expire", "keep"]
    listed = json.loads(asking(host, "list", "--json", "--verdict", "keep").out)["data"]["archives"]
    assert [each["date"] for each in listed] == ["2026-05-06"]
    soon = json.loads(asking(host, "list", "--json", "--expiring", "0d").out)["data"]["archives"]
    assert [each["date"] for each in soon] == [str(MONDAY)]
