"""Conflicts that are found are real, and those that are real are found: by trying every day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.policy.conflicts import Conflict, Lock, _contains, conflicts
from archiver.policy.period import Period
from archiver.policy.rules import Policy, Rule, Scope
from archiver.system.zone import day_end

P = Period.parse
DAY = timedelta(days=1)
BASIS = "the law"


def rule(minimum: str = "P0D", maximum: str = "", **more: Any) -> Rule:
    more = {"name": "a", "basis": BASIS, **more}
    return Rule(minimum=P(minimum), maximum=P(maximum) if maximum else None, **more)


def found(
    *rules: Rule, sources: Sequence[str] = ("maillog",), locks: Sequence[Lock] = ()
) -> tuple[Conflict, ...]:
    return conflicts(Policy(rules), host="mx1", sources=sources, locks=locks)


def lock(days: float, mode: str = "compliance") -> Lock:
    return Lock("offsite", mode, days * 86_400)


# -- by example ------------------------------------------------------------------------------

EVERYTHING = rule("P1Y", name="everything")
PAST = Scope(("gone",), last=date(2025, 12, 31))
CASES: dict[str, tuple[tuple[Conflict, ...], tuple[str, ...], str]] = {
    "minimum": (
        found(rule("P12M", "P365D")),
        ("minimum", "maximum"),
        "minimum P12M is longer than maximum P365D: counted from 2024-01-01, it ends on "
        "2025-01-01, the maximum on 2024-12-31",
    ),
    "immediate": (
        found(rule(maximum="P21D", immediate=P("P3M"))),
        ("immediate", "maximum"),
        "immediate P3M is longer than maximum P21D",
    ),
    "no basis": (found(rule(maximum="P21D", basis="")), ("maximum", "basis"), "needs a basis"),
    "auto": (found(rule("P1Y", expire="auto")), ("expire", "maximum"), "the rule has no maximum"),
    "names": (
        found(rule("P1Y", match=Scope(last=date(2025, 1, 1))), rule("P2Y")),
        ("name",),
        "an earlier rule has the same name",
    ),
    "no days": (
        found(rule("P1Y", match=Scope(first=date(2026, 1, 2), last=date(2026, 1, 1)))),
        ("match",),
        "no day lies between 2026-01-02 and 2026-01-01",
    ),
    "no such source": (
        found(rule("P1Y", match=Scope(("mailog",)))),
        ("match",),
        "it never matches: the host is 'mx1', its sources are 'maillog' (a rule about former "
        "hosts or sources needs a `to`)",
    ),
    "no such host": (found(rule("P1Y", match=Scope(hosts=("pay-*",)))), ("match",), "never"),
    "all is taken": (
        found(EVERYTHING, rule("P2Y", match=Scope(("maillog",)))),
        ("match",),
        "everything it could match is taken by 'everything' before it",
    ),
    "taken in parts": (
        found(
            rule("P1Y", name="old", match=Scope(last=date(2025, 12, 31))),
            rule("P1Y", name="b", match=Scope(("mail*",), first=date(2026, 1, 1))),
            rule("P1Y", name="x", match=Scope(("x",))),
            rule("P2Y", name="c", match=Scope(("maillog", "mail"))),
        )[-1:],
        ("match",),
        "everything it could match is taken by 'old', 'b' before it",
    ),
    "past, and taken": (
        found(EVERYTHING, rule("P2Y", match=PAST)),
        ("match",),
        "taken by 'everything'",
    ),
    "compliance": (
        found(rule(maximum="P21D"), locks=[lock(30)]),
        ("maximum",),
        "maximum P21D ends before the compliance lock of target 'offsite': an archive of "
        "2024-01-01, for example, could not be destroyed in time, because nobody at all can lift "
        'it; the longest lock_for that fits is "20d"',
    ),
    "a second too long": (
        found(rule(maximum="P21D"), locks=[Lock("offsite", "compliance", 20 * 86_400 + 36_001)]),
        ("maximum",),
        "lock of target 'offsite'",
    ),
    "governance": (
        found(rule(maximum="P1M"), locks=[lock(28, "governance")]),
        ("maximum",),
        "this program never lifts a lock, and must not be allowed to; "
        'the longest lock_for that fits is "27d"',
    ),
    "no lock is short enough": (
        found(rule(maximum="P1D"), locks=[lock(1)]),
        ("maximum",),
        "do not lock",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_conflict(case: str) -> None:
    """One, of the last rule, with the keys that do not go together and a reason."""
    (conflict,), keys, reason = CASES[case]
    assert keys == conflict.keys
    assert reason in str(conflict)
    assert str(conflict).startswith("rule '")


RIGHT: dict[str, tuple[Conflict, ...]] = {
    "no rules": found(),
    "a day": found(rule("P21D", "P21D")),
    "months": found(rule("P12M", "P1Y")),
    "days of a year": found(rule("P365D", "P1Y")),
    "immediate": found(rule("P12M", "P13M", immediate=P("P13M"))),
    "immediate, no maximum": found(rule("P12M", immediate=P("P2Y"))),
    "no basis, no maximum": found(rule("P12M", basis="")),
    "the rest": found(rule("P1Y", match=Scope(("maillog",))), rule("P2Y", name="b")),
    "one of two sources": found(
        rule("P1Y", match=Scope(("maillog",))),
        rule("P2Y", name="b", match=Scope(("maillog", "mail"))),
    ),
    "before and after": found(
        rule("P1Y", match=Scope(last=date(2025, 12, 31))), rule("P2Y", name="b")
    ),
    "a day between": found(
        rule("P1Y", match=Scope(last=date(2025, 12, 30))),
        rule("P1Y", name="b", match=Scope(first=date(2026, 1, 1))),
        rule("P2Y", name="c"),
    ),
    "the past": found(rule("P1Y", match=PAST)),
    "a lock": found(rule(maximum="P21D"), locks=[lock(20, "governance"), lock(20)]),
    "a lock until the last day's 24:00 in Kiribati": found(
        rule(maximum="P21D"), locks=[lock(20 + 10 / 24)]
    ),
    "a lock of February": found(rule(maximum="P1M"), locks=[lock(27)]),
    "a lock, no maximum": found(rule("P1Y"), locks=[lock(36_525)]),
    "a lock of what another rule governs": found(
        rule("P9Y", match=Scope(("maillog",))),
        rule(maximum="P21D", name="b"),
        locks=[lock(365)],
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_no_conflict(case: str) -> None:
    assert RIGHT[case] == ()


def test_every_conflict_is_told() -> None:
    """Of all rules, and of all targets."""
    rules = (rule("P2Y", "P1Y", basis=""), rule("P1Y", match=Scope(("x",)), expire="auto"))
    told = found(*rules, locks=[lock(900), Lock("far", "governance", 900 * 86_400)])
    assert [(each.number, each.keys[0]) for each in told] == [
        (0, "minimum"),
        (0, "maximum"),
        (0, "maximum"),
        (0, "maximum"),
        (1, "expire"),
        (1, "name"),
        (1, "match"),
    ]


# -- by trying everything --------------------------------------------------------------------

# All sequences of leap years that periods of up to four years can meet.
TRIED = [
    date.fromordinal(number)
    for first, last in ((2023, 2028), (2095, 2104))
    for number in range(date(first, 1, 1).toordinal(), date(last + 1, 1, 1).toordinal())
]
LENGTHS = st.builds(
    Period, st.integers(0, 1), st.integers(0, 13), st.just(0), st.integers(0, 62)
) | st.builds(lambda n: Period(days=n), st.sampled_from([27, 28, 30, 31, 59, 89, 364, 365, 366]))


@settings(max_examples=60, deadline=None)
@given(LENGTHS, LENGTHS)
def test_a_minimum_beyond_the_maximum_on_any_day(least: Period, most: Period) -> None:
    told = found(Rule("a", minimum=least, maximum=most, basis=BASIS))
    real = any(least.after(day) > most.after(day) for day in TRIED)
    assert bool(told) == real


# The first of all zones to end a day, the last, and two between; all of them over a century.
ZONES = [ZoneInfo(f"{z}") for z in ("Pacific/Kiritimati", "Etc/GMT+12", "Europe/Rome", "UTC")]
ENDS = {zone: {day: day_end(day, zone) for day in TRIED} for zone in ZONES}


def outlasts(seconds: float, maximum: Period, zone: ZoneInfo) -> bool:
    """Whether the lock of any day ends after the maximum's last day, on that zone's clocks."""
    for day in TRIED:
        ends = maximum.after(day)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY
        if midnight.timestamp() + seconds > (ENDS[zone].get(ends) or day_end(ends, zone)):
            return True
    return False


@settings(max_examples=15, deadline=None)
@given(
    LENGTHS, st.integers(-2, 0), st.integers(0, 23), st.sampled_from(["governance", "compliance"])
)
def test_a_lock_beyond_the_maximum_in_any_zone(
    most: Period, days: int, hours: int, mode: str
) -> None:
    """What passes is over in time wherever the host is; what does not would not be in the east."""
    locked_for = max(1, most.least_days + days) * 86_400 + hours * 3600
    told = found(rule(name="b", maximum=str(most)), locks=[Lock("offsite", mode, locked_for)])
    assert bool(told) == outlasts(locked_for, most, ZONES[0])
    assert told or not any(outlasts(locked_for, most, zone) for zone in ZONES[1:])
    for hint in (part for each in told for part in each.reason.split('"')[1:2]):
        assert hint == f"{most.least_days - 1}d"
        assert not outlasts((most.least_days - 1) * 86_400, most, ZONES[0])
        assert outlasts(most.least_days * 86_400, most, ZONES[0])


# All patterns of up to three pieces, all names of up to four letters.
PIECES = [each for n in range(4) for each in product(("a", "b", "]", "*", "?", "[ab]"), repeat=n)]
LETTERS = ["".join(each) for n in range(5) for each in product("ab]c", repeat=n)]
MATCHED = {
    pattern: frozenset(name for name in LETTERS if fnmatchcase(name, pattern))
    for pattern in map("".join, PIECES)
}


def test_a_pattern_within_another() -> None:
    """It is never said without being so; and where there are only letters and `*`, always."""
    for wide, narrow in product(MATCHED, repeat=2):
        if _contains(wide, narrow):
            assert MATCHED[narrow] <= MATCHED[wide], (wide, narrow)
        elif {"?", "["}.isdisjoint(wide + narrow):
            assert not MATCHED[narrow] <= MATCHED[wide], (wide, narrow)
        assert wide != narrow or _contains(wide, narrow)


PATTERNS = st.sampled_from(
    ["*", "m*", "mx*", "mail*", "*l*", "mx1", "maillog", "mx?", "mail[", "?*"]
)
NAMED = st.lists(PATTERNS, min_size=1, max_size=2).map(tuple) | st.just(("*",))
DATES = st.none() | st.integers(1, 6).map(lambda n: date(2026, 1, n))
SCOPES = st.builds(Scope, NAMED, NAMED, DATES, DATES)
ANY_DAY = [date(2026, 1, 1) + n * DAY for n in range(-1, 8)]


def first_matches(rules: Sequence[Rule], hosts: Sequence[str], sources: Sequence[str]) -> set[int]:
    """Return which rules govern anything at all."""
    reached = set()
    for host, source, day in product(hosts, sources, ANY_DAY):
        for number, each in enumerate(rules):
            of = each.match
            if (
                any(fnmatchcase(host, pattern) for pattern in of.hosts)
                and any(fnmatchcase(source, pattern) for pattern in of.sources)
                and (of.first or date.min) <= day <= (of.last or date.max)
            ):
                reached.add(number)
                break
    return reached


def ruled(scopes: Sequence[Scope]) -> tuple[Rule, ...]:
    return tuple(rule("P1Y", name=f"r{n}", match=scope) for n, scope in enumerate(scopes))


# Names enough for each of the patterns to have one that no other has, if that can be.
MANY = (
    "mx1",
    "mx2",
    "mx",
    "mxab",
    "maillog",
    "mail",
    "mailx",
    "mail[",
    "m",
    "mab",
    "l",
    "xl",
    "q",
    "qq",
)


@settings(deadline=None)
@given(st.lists(SCOPES, min_size=1, max_size=4))
def test_a_rule_that_is_said_never_to_match_does_not(scopes: list[Scope]) -> None:
    """Whatever the names are: what is refused would have governed nothing."""
    rules = ruled(scopes)
    told = found(*rules, sources=("maillog", "mail"))
    reached = first_matches(rules, MANY, MANY)
    configured = first_matches(rules, ("mx1",), ("maillog", "mail"))
    for each in told:
        assert each.number not in configured
        assert each.number not in reached or "the host is" in each.reason


PLAIN = st.lists(st.sampled_from(["*", "mx1", "maillog"]), min_size=1, max_size=2).map(tuple)


@settings(deadline=None)
@given(st.lists(st.builds(Scope, PLAIN, PLAIN, DATES, DATES), min_size=1, max_size=4))
def test_a_rule_that_never_matches_is_told(scopes: list[Scope]) -> None:
    """Where there are only names and `*`: every one that nothing is left for, or nobody is."""
    rules = ruled(scopes)
    never = {each.number for each in found(*rules, sources=("maillog",))}
    reached = first_matches(rules, ("mx1", "maillog", "another"), ("mx1", "maillog", "another"))
    for number, each in enumerate(rules):
        of_nobody = not first_matches(
            [replace(each, match=replace(each.match, first=None))], ("mx1",), ("maillog",)
        )
        past = each.match.last is not None
        assert (number in never) == (number not in reached or (of_nobody and not past))
