"""Nothing expires that is held, below its minimum, unverified, locked or unknown, whatever the
rules and the clock say; nothing stays beyond its maximum without being told; and each verdict has
a sentence that an auditor can read.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import example, given
from hypothesis import strategies as st

from archiver.archives.receipts import Protection
from archiver.policy.decide import (
    Archive,
    Copy,
    Decision,
    Verdict,
    clock_doubt,
    decide,
    evidence_missing,
)
from archiver.policy.period import Period
from archiver.policy.rules import KEPT, Hold, Policy, Rule, Scope, holds_on
from archiver.system.zone import day_start

P = Period.parse
ROME = ZoneInfo("Europe/Rome")
# The last four: no midnight in spring, midnight twice in autumn, a day that was left out, far east.
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Rome",
        "America/New_York",
        "America/Sao_Paulo",
        "America/Havana",
        "Pacific/Apia",
        "Pacific/Kiritimati",
    )
]
DAY = timedelta(days=1)
MAY_4 = date(2026, 5, 4)
WHOLE = (Copy("local", verified=True), Copy("offsite", verified=True))


def at(text: str, zone: ZoneInfo = ROME) -> int:
    """Return the instant at which the zone's clocks show this."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def rule(minimum: str = "P0D", maximum: str = "", **more: Any) -> Rule:
    more = {"name": "a", "basis": "the law", **more}
    return Rule(minimum=P(minimum), maximum=P(maximum) if maximum else None, **more)


def hold(case: str = "2026-17", **scope: Any) -> Hold:
    return Hold(case, Scope(**scope), "a complaint", "anna", at("2026-06-01 10:00"))


def archive(day: date = MAY_4, copies: tuple[Copy, ...] = WHOLE, **more: Any) -> Archive:
    return Archive("mx1", "maillog", day, copies, **more)


# -- by example ------------------------------------------------------------------------------


def verdict(clock: str, *rules: Rule, of: Archive | None = None, **more: Any) -> Decision:
    """Decide about an archive of 4 May 2026, at midnight of a day unless an hour is given."""
    holds = more.pop("holds", ())
    return decide(
        of or archive(), Policy(rules), holds, now=at(clock), zone=ROME, required=2, **more
    )


PCI = rule("P12M", "P13M", basis="PCI DSS 10.5.1")
GARANTE = rule(maximum="P21D", basis="Garante 364/2024", expire="auto")
LOCK = Protection("compliance", at("2027-05-05 02:00"))
LOCKED = Copy("offsite", verified=True, protection=LOCK)
HELD = Copy("third", verified=True, protection=Protection(hold=True))
SENTENCES = {
    "no rule": (verdict("2050-01-01"), "kept: no retention rule governs it"),
    "below the minimum": (
        verdict("2026-05-05", PCI),
        "kept: minimum P12M (PCI DSS 10.5.1) ends on 2027-05-04",
    ),
    "the minimum's last second": (
        verdict("2027-05-04 23:59:59", PCI),
        "kept: minimum P12M (PCI DSS 10.5.1) ends on 2027-05-04",
    ),
    "the minimum is over": (
        verdict("2027-05-05", PCI),
        "may expire: minimum P12M (PCI DSS 10.5.1) ended on 2027-05-04; "
        "maximum P13M (PCI DSS 10.5.1) ends on 2027-06-04",
    ),
    "the maximum's last day": (
        verdict("2027-06-04", PCI),
        "must expire: maximum P13M (PCI DSS 10.5.1) ends on 2027-06-04",
    ),
    "past the maximum": (
        verdict("2027-06-05", PCI),
        "must expire: past its maximum P13M (PCI DSS 10.5.1) since 2027-06-05",
    ),
    "no maximum": (
        verdict("2050-01-01", rule("P1Y", basis="")),
        "may expire: minimum P1Y ended on 2027-05-04; no maximum",
    ),
    "minimum and maximum on one day": (
        verdict("2026-05-25", rule("P21D", "P3W")),
        "kept: minimum P21D (the law) ends on 2026-05-25",
    ),
    "the day after": (
        verdict("2026-05-26", rule("P21D", "P3W")),
        "must expire: past its maximum P3W (the law) since 2026-05-26",
    ),
    "held": (
        verdict("2026-05-20", GARANTE, holds=[hold()]),
        "kept: held by case 2026-17 since 2026-06-01 (a complaint)",
    ),
    "held, without a rule": (
        verdict("2026-05-20", holds=[hold()]),
        "kept: held by case 2026-17 since 2026-06-01 (a complaint); no retention rule governs it",
    ),
    "held past the maximum": (
        verdict("2026-06-30", GARANTE, holds=[hold(), hold("2026-18")]),
        "past its maximum P21D (Garante 364/2024) since 2026-05-26, kept because "
        "held by case 2026-17 since 2026-06-01 (a complaint); "
        "held by case 2026-18 since 2026-06-01 (a complaint)",
    ),
    "held by another day's case": (
        verdict("2026-05-20", GARANTE, holds=[hold(first=date(2026, 5, 5))]),
        "may expire: minimum P0D (Garante 364/2024) ended on 2026-05-04; "
        "maximum P21D (Garante 364/2024) ends on 2026-05-25",
    ),
    "held on a store": (
        verdict(
            "2026-06-30",
            GARANTE,
            of=archive(copies=(*WHOLE, HELD)),
        ),
        "past its maximum P21D (Garante 364/2024) since 2026-05-26, kept because held on third",
    ),
    "locked": (
        verdict("2027-05-05 01:59:59", PCI, of=archive(copies=(WHOLE[0], LOCKED))),
        "kept: locked on offsite until 2027-05-05T00:00:00Z (compliance)",
    ),
    "the lock is over": (
        verdict("2027-05-05 02:00", PCI, of=archive(copies=(WHOLE[0], LOCKED))),
        "may expire: minimum P12M (PCI DSS 10.5.1) ended on 2027-05-04; "
        "maximum P13M (PCI DSS 10.5.1) ends on 2027-06-04",
    ),
    "no lock, whatever its end": (
        verdict(
            "2027-06-04",
            PCI,
            of=archive(copies=(WHOLE[0], replace(WHOLE[1], protection=Protection("", 2**40)))),
        ),
        "must expire: maximum P13M (PCI DSS 10.5.1) ends on 2027-06-04",
    ),
    "a copy was not read back": (
        verdict("2026-06-30", GARANTE, of=archive(copies=(*WHOLE, Copy("usb", verified=False)))),
        "past its maximum P21D (Garante 364/2024) since 2026-05-26, "
        "kept because its copy on usb is not verified",
    ),
    "no copy, and none required": (
        decide(
            archive(copies=()), Policy((GARANTE,)), (), now=at("2026-05-20"), zone=ROME, required=0
        ),
        "kept: 0 of 1 copies are verified",
    ),
    "a copy is damaged": (
        verdict("2026-05-20", GARANTE, of=archive(copies=(WHOLE[0], Copy("usb", verified=False)))),
        "kept: its copy on usb is not verified; 1 of 2 copies are verified",
    ),
    "too few copies": (
        verdict("2026-05-20", GARANTE, of=archive(copies=(WHOLE[0], WHOLE[0]))),
        "kept: 1 of 2 copies are verified",
    ),
    "unknown": (
        verdict("2026-05-20", GARANTE, of=archive(known=False)),
        "kept: no known manifest describes it",
    ),
    "a clock in doubt": (
        verdict("2050-01-01", GARANTE, doubt=clock_doubt(at("2050-01-01"), at("2026-05-05"))),
        "past its maximum P21D (Garante 364/2024) since 2026-05-26, kept because the clock is "
        "8642 days ahead of all that is known, of 2026-05-04T22:00:00Z",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_the_sentence_of_a_verdict(case: str) -> None:
    """As an auditor reads it, and as a program does."""
    found, sentence = SENTENCES[case]
    assert sentence == found.reason
    kept = sentence.startswith("kept: ") or ", kept because " in sentence
    assert kept == (found.verdict is Verdict.KEEP)
    assert ("past its" in sentence) == (found.past_since is not None)
    assert kept or sentence.startswith(found.verdict.value)


def test_the_days_of_a_verdict() -> None:
    """When it may first be destroyed, and when it may last be there."""
    found = verdict("2026-05-05", PCI)
    assert (date(2027, 5, 5), date(2027, 6, 4)) == (found.expires_on, found.must_go_by)
    assert (found.rule, found.past_since) == (PCI, None)
    assert verdict("2026-05-05").expires_on is None


@pytest.mark.parametrize("expire", ["auto", "manual"])
def test_only_what_must_expire_does_so_by_itself(expire: str) -> None:
    """And only if the rule says so."""
    limits = rule("P12M", "P13M", expire=expire)
    days = ("2027-05-04", "2027-05-05", "2027-06-03", "2027-06-04", "2027-06-05")
    found = [verdict(day, limits).by_itself for day in days]
    assert [False, False, False, expire == "auto", expire == "auto"] == found
    assert not verdict("2027-06-05", limits, holds=[hold()]).by_itself


def test_the_end_of_the_calendar() -> None:
    """What ends beyond it never does."""
    found = decide(
        archive(date(9999, 12, 31)), Policy((rule(),)), (), now=at("9999-12-31 12:00"), zone=ROME
    )
    assert (found.verdict, found.expires_on) == (Verdict.KEEP, None)


# -- holds -----------------------------------------------------------------------------------


def test_a_hold_is_over_when_it_was_released_and_not_before() -> None:
    """Whatever the clock shows."""
    held = hold()
    released = replace(held, released=at("2099-01-01"), released_by="bo", released_for="settled")
    assert (held,) == holds_on([held, released], "mx1", "maillog", MAY_4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"case": " "},
        {"reason": ""},
        {"by": "\n"},
        {"scope": Scope(first=MAY_4, last=MAY_4 - DAY)},
        {"released": 1},
        {"released": 0, "released_by": "bo"},
    ],
    ids=str,
)
def test_a_hold_that_holds_nothing_is_none(wrong: dict[str, Any]) -> None:
    """Nor is one that nobody answers for."""
    with pytest.raises(ValueError):
        replace(hold(), **wrong)


# -- any policy, any clock -------------------------------------------------------------------

NAMES = ("mx1", "mx2", "maillog", "mail", "x")
PATTERNS = st.sampled_from(["*", "mx1", "mx*", "mail*", "maillog", "mx[!1]", "?", "X"])
BASE = date(2024, 2, 29)
DATES = st.integers(-800, 800).map(lambda n: BASE + n * DAY)
SCOPES = st.builds(
    Scope,
    sources=st.lists(PATTERNS, min_size=1, max_size=2).map(tuple),
    hosts=st.lists(PATTERNS, min_size=1, max_size=2).map(tuple),
    first=st.none() | DATES,
    last=st.none() | DATES,
)
EASY_SCOPES = st.builds(Scope, first=st.none() | DATES, last=st.none() | DATES) | st.just(Scope())
LENGTHS = st.builds(
    Period, st.integers(0, 2), st.integers(0, 14), st.just(0), st.integers(0, 60)
) | st.just(Period())
NUMBERS = st.integers(0, 999).map(lambda n: f"r{n}")


@st.composite
def rules(draw: st.DrawFn, match: Scope | None = None) -> Rule:
    """A rule, and mostly one with a maximum after its minimum."""
    least, more = draw(LENGTHS), draw(st.none() | LENGTHS)
    longer = more and replace(least, months=least.months + more.months, days=least.days + more.days)
    return Rule(
        name=draw(NUMBERS),
        match=match or draw(EASY_SCOPES | SCOPES),
        minimum=least,
        maximum=longer,
        basis="the law",
        expire=draw(st.sampled_from(["auto", "manual"])),
    )


POLICIES = st.lists(rules(), max_size=3).map(tuple).map(Policy)
# Around the days that are archived, and years ahead and back.
INSTANTS = st.integers(at("1990-01-01"), at("2090-01-01")) | st.integers(
    at("2023-01-01"), at("2030-01-01")
)
PROTECTIONS = st.builds(
    Protection,
    st.sampled_from(["", "", "governance", "compliance"]),
    INSTANTS,
    st.sampled_from([False, False, False, True]),
)
COPIES = st.lists(
    st.builds(
        Copy,
        st.sampled_from(["local", "offsite", "usb"]),
        st.sampled_from([True, True, True, False]),
        PROTECTIONS,
    ),
    max_size=3,
    unique_by=lambda copy: copy.target,
).map(tuple)
HOLDS = st.builds(
    lambda scope, released: replace(
        hold(),
        scope=scope,
        released=1 if released else None,
        released_by="bo" if released else "",
        released_for="settled" if released else "",
    ),
    SCOPES.filter(lambda scope: (scope.first or date.min) <= (scope.last or date.max)),
    st.booleans(),
)
SPOILERS = ["rules", "known", "copies", "required", "holds", "doubt"]


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """An archive, rules and holds; mostly little speaks against destroying it once it is time."""
    spoiled = draw(st.just(set()) | st.sets(st.sampled_from(SPOILERS), max_size=2))
    policy = Policy(
        (*draw(POLICIES).rules, draw(rules())) if "rules" in spoiled else (draw(rules(Scope())),)
    )
    return {
        "of": Archive(
            draw(st.sampled_from(NAMES)),
            draw(st.sampled_from(NAMES)),
            draw(DATES | st.just(BASE)),
            draw(COPIES) if "copies" in spoiled else WHOLE,
            known="known" not in spoiled,
        ),
        "policy": policy,
        "holds": draw(st.lists(HOLDS, max_size=2)) if "holds" in spoiled else [],
        "zone": draw(st.sampled_from(ZONES)),
        "required": draw(st.integers(0, 3)) if "required" in spoiled else 0,
        "doubt": "the clock stands" if "doubt" in spoiled else "",
    }


SITUATIONS = situations()


def decided(case: dict[str, Any], now: int) -> Decision:
    rest = {name: case[name] for name in ("zone", "required", "doubt")}
    return decide(case["of"], case["policy"], case["holds"], now=now, **rest)


def matches(pattern: str, name: str) -> bool:
    """What the patterns above mean, said once more."""
    found = {
        "*": True,
        "mx*": name.startswith("mx"),
        "mail*": name.startswith("mail"),
        "mx[!1]": name == "mx2",
        "?": name == "x",
    }
    return found.get(pattern, pattern == name)


def within(scope: Scope, of: Archive) -> bool:
    return (
        any(matches(pattern, of.host) for pattern in scope.hosts)
        and any(matches(pattern, of.source) for pattern in scope.sources)
        and (scope.first is None or scope.first <= of.day)
        and (scope.last is None or of.day <= scope.last)
    )


def end(period: Period, day: date) -> date:
    """Return the last day of a period, as dateutil has it."""
    ends: date = day + relativedelta(
        years=period.years, months=period.months, weeks=period.weeks, days=period.days
    )
    return ends


def today(now: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(now, UTC).astimezone(zone).date()


def governing(case: dict[str, Any]) -> Rule | None:
    """The first rule that matches."""
    every = [each for each in case["policy"].rules if within(each.match, case["of"])]
    return every[0] if every else None


def forbidden(case: dict[str, Any], now: int) -> bool:
    """Whether anything at all speaks against destroying, said once more."""
    of, governs = case["of"], governing(case)
    return (
        any(each.released is None and within(each.scope, of) for each in case["holds"])
        or any(copy.protection.hold for copy in of.copies)
        or governs is None
        or today(now, case["zone"]) <= end(governs.minimum, of.day)
        or not of.known
        or not of.copies
        or not all(copy.verified for copy in of.copies)
        or len(of.copies) < case["required"]
        or any(copy.protection.mode and copy.protection.until > now for copy in of.copies)
        or bool(case["doubt"])
    )


@given(SITUATIONS, INSTANTS)
def test_what_is_forbidden_is_kept_and_nothing_else(case: dict[str, Any], now: int) -> None:
    """Held, below its minimum, unverified, locked, unknown, without a rule, or by a clock in doubt:
    never expired. All else is: it may, and from the maximum's last day on it must.
    """
    found, governs = decided(case, now), governing(case)
    assert (found.verdict is Verdict.KEEP) == forbidden(case, now)
    assert governs == found.rule
    if found.verdict is not Verdict.KEEP:
        assert governs is not None
        maximum = governs.maximum
        last = maximum and today(now, case["zone"]) >= end(maximum, case["of"].day)
        assert (found.verdict is Verdict.MUST) == bool(last)


@given(SITUATIONS, INSTANTS)
def test_nothing_stays_beyond_its_maximum_silently(case: dict[str, Any], now: int) -> None:
    """It is told since when, by which law, and what keeps it, all of it."""
    found, governs = decided(case, now), governing(case)
    if governs is None or governs.maximum is None:
        assert found.past_since is None
        return
    last = end(governs.maximum, case["of"].day)
    beyond = today(now, case["zone"]) > last
    assert (last, last + DAY if beyond else None) == (found.must_go_by, found.past_since)
    sentence = f"past its maximum {governs.maximum} (the law) since {last + DAY}"
    assert (sentence in found.reason) == beyond
    if beyond and found.verdict is Verdict.KEEP:
        because = found.reason.removeprefix(f"{sentence}, kept because ")
        rest = {name: case[name] for name in ("zone", "required", "doubt")}
        lacking = evidence_missing(
            case["of"], case["policy"], case["holds"], now=now, stored_reason="x", **rest
        )
        assert because == "; ".join(lacking)
        assert because


@given(SITUATIONS, INSTANTS, INSTANTS)
def test_deciding_never_goes_back(case: dict[str, Any], one: int, other: int) -> None:
    """Of the same archive, as time goes by: kept, then it may expire, then it must."""
    order = list(Verdict)
    earlier, later = (decided(case, now) for now in sorted((one, other)))
    assert order.index(earlier.verdict) <= order.index(later.verdict)
    assert earlier.past_since in {None, later.past_since}


@given(SITUATIONS, INSTANTS, st.sampled_from(["reason", " ", ""]))
def test_evidence(case: dict[str, Any], now: int, reason: str) -> None:
    """Nothing lacks where the verdict lets it expire and says so where it outlives the archive."""
    rest = {name: case[name] for name in ("zone", "required", "doubt")}
    lacking = evidence_missing(
        case["of"], case["policy"], case["holds"], now=now, stored_reason=reason, **rest
    )
    kept = decided(case, now).verdict is Verdict.KEEP
    assert (not lacking) == (not kept and bool(reason.strip()))


@given(SITUATIONS, st.lists(rules(), max_size=2), INSTANTS)
def test_later_rules_change_nothing(case: dict[str, Any], more: list[Rule], now: int) -> None:
    """Where one before them matches."""
    policy = Policy((*case["policy"].rules, *more))
    if governing(case) is not None:
        assert decided(case, now) == decided({**case, "policy": policy}, now)


@given(POLICIES, st.sampled_from(NAMES), st.sampled_from(NAMES), st.lists(DATES, max_size=20))
def test_stretches_are_what_governs_each_day(
    policy: Policy, host: str, source: str, days: list[date]
) -> None:
    """Without a gap, from ever, for ever; and no two neighbours are governed alike."""
    found = policy.stretches(host, source)
    assert (found[0].first, found[-1].last) == (None, None)
    for before, after in pairwise(found):
        assert before.last is not None
        assert before.last + DAY == after.first
        assert before.rule != after.rule
    for day in [*days, date.min, date.max, *(s.first for s in found if s.first)]:
        (stretch,) = [
            each for each in found if (each.first or date.min) <= day <= (each.last or date.max)
        ]
        assert policy.rule_for(host, source, day) == stretch.rule


@given(st.sampled_from(ZONES), DATES, st.integers(0, 500), st.integers(1, 60))
@example(ZoneInfo("Pacific/Apia"), date(2011, 12, 29), 0, 1)
@example(ROME, date(2026, 3, 8), 20, 1)
@example(ROME, date(2026, 10, 4), 20, 1)
def test_verdicts_change_at_the_hosts_midnight(
    zone: ZoneInfo, day: date, least: int, more: int
) -> None:
    """Whether the clocks changed that night, or the day is one that the zone left out."""
    limits = Rule("a", Scope(), Period(days=least), Period(days=least + more), None, "the law")
    for ends, verdicts in (
        (day + least * DAY + DAY, (Verdict.KEEP, Verdict.MAY if more > 1 else Verdict.MUST)),
        (day + (least + more) * DAY, (Verdict.MAY if more > 1 else Verdict.KEEP, Verdict.MUST)),
    ):
        begins = day_start(ends, zone)
        found = tuple(
            decide(archive(day), Policy((limits,)), (), now=now, zone=zone).verdict
            for now in (begins - 1, begins)
        )
        assert verdicts == found or (zone.key, ends) == ("Pacific/Apia", date(2011, 12, 30))


# -- a wrong clock ---------------------------------------------------------------------------


@given(SITUATIONS, INSTANTS, st.integers(32, 20_000), st.booleans())
def test_a_clock_that_is_years_wrong_expires_nothing(
    case: dict[str, Any], truly: int, days: int, ahead: bool
) -> None:
    """Ahead by more than a month, or behind: what is known of the last run, or of a line, tells."""
    now = truly + (days if ahead else -days) * 86_400
    found = decided({**case, "doubt": clock_doubt(now, truly)}, now)
    assert found.verdict is Verdict.KEEP
    assert "the clock is" in found.reason


@pytest.mark.parametrize("now", [0, 1, 86_400, 31 * 86_400])
def test_a_clock_that_may_be_right_is_not_doubted(now: int) -> None:
    """A host may have been off for a month."""
    assert clock_doubt(at("2026-05-04") + now, at("2026-05-04")) == ""


@pytest.mark.parametrize("now", [-1, 31 * 86_400 + 1])
def test_a_clock_in_doubt(now: int) -> None:
    assert clock_doubt(at("2026-05-04") + now, at("2026-05-04"))


def test_a_clock_that_nothing_speaks_for_is_doubted() -> None:
    """As with a catalog and a note of the last run that are lost."""
    assert clock_doubt(at("2026-05-04"), None)


# -- what governs ----------------------------------------------------------------------------


def test_what_governs_is_told_source_by_source() -> None:
    """With the days it is so, and where nothing governs."""
    policy = Policy(
        (
            rule("P12M", name="cards", basis="PCI DSS 10.5.1", immediate=P("P3M"),
                 match=Scope(("maillog",), ("mx1",), last=date(2026, 12, 31))),
            rule("P0D", "P21D", name="staff", basis="Garante 364/2024", expire="auto",
                 match=Scope(("maillog",))),
            rule("P1Y", name="plain", basis="", match=Scope(first=date(2027, 1, 1))),
        )
    )  # fmt: skip
    assert policy.in_words("mx1", ["maillog", "authlog"]) == (
        "maillog to 2026-12-31: at least P12M, without a maximum, P3M of it readable at once "
        "(rule cards; PCI DSS 10.5.1; expires: manual)",
        "maillog from 2027-01-01: without a minimum, at most P21D "
        "(rule staff; Garante 364/2024; expires: auto)",
        f"authlog to 2026-12-31: {KEPT}",
        "authlog from 2027-01-01: at least P1Y, without a maximum (rule plain; expires: manual)",
    )


def test_without_a_rule_everything_is_kept_and_it_says_so() -> None:
    assert Policy().in_words("mx1", ["maillog", "authlog"]) == (KEPT,)
