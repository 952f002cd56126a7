"""Find what in a retention policy contradicts itself, the stores' locks, or what there is to keep.

Pure. A minimum beyond the maximum, or a lock beyond it, would one day make the law impossible to
obey, and nobody would notice before that day; a rule that never matches promises what is not done.
So periods are compared from every day that they could be counted from.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from archiver.policy.period import Period
from archiver.policy.rules import Policy, Rule, Scope, cuts
from archiver.system.zone import DAY_SECONDS

# The last day of a maximum ends first in UTC+14 (Kiribati); a lock is counted in UTC.
AHEAD_OF_UTC = 14 * 3600
WHO_LIFTS = {
    "governance": "this program lifts no lock, and must not be allowed to",
    "compliance": "nobody at all can lift it",
}


@dataclass(frozen=True)
class Lock:
    """How a target locks archives: for so many seconds after the end of their log date, in UTC."""

    target: str
    mode: str
    seconds: float


@dataclass(frozen=True)
class Conflict:
    """What is wrong with a rule. number: which, from 0. keys: what does not go together; the first
    is where to mend it.
    """

    number: int
    keys: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return self.reason


def conflicts(
    policy: Policy, *, host: str, sources: Sequence[str], locks: Sequence[Lock]
) -> tuple[Conflict, ...]:
    """Return every conflict, rule by rule. host, sources, locks: as they are configured."""
    return tuple(
        Conflict(number, keys, f"rule {rule.name!r}: {reason}")
        for number, rule in enumerate(policy.rules)
        for keys, reason in (
            *_within(rule),
            *_name(rule, policy.rules[:number]),
            *_never(rule, policy.rules[:number], host, sources),
            *_locked(rule, policy, host, sources, locks),
        )
    )


Found = Iterator[tuple[tuple[str, ...], str]]


def _within(rule: Rule) -> Found:
    """Yield what in a rule contradicts itself."""
    if rule.maximum is None:
        if rule.expire == "auto":
            yield (
                ("expire", "maximum"),
                'expire = "auto" destroys at the maximum, and there is none',
            )
        return
    for name, period in (("minimum", rule.minimum), ("immediate", rule.immediate)):
        if period is not None and (day := period.outlasts(rule.maximum)):
            yield (
                (name, "maximum"),
                f"{name} {period} is longer than maximum {rule.maximum}: counted from {day}, "
                f"it ends on {period.after(day)}, the maximum on {rule.maximum.after(day)}",
            )
    if not rule.basis:
        yield (
            ("maximum", "basis"),
            "a maximum needs a basis: what it says is printed where archives are destroyed",
        )


def _name(rule: Rule, earlier: Sequence[Rule]) -> Found:
    if any(each.name == rule.name for each in earlier):
        yield ("name",), "another rule before it has that name"


def _never(rule: Rule, earlier: Sequence[Rule], host: str, sources: Sequence[str]) -> Found:
    """Yield why a rule never matches.

    A rule of past days, one with an end, may be about hosts and sources that are no more.
    """
    match = rule.match
    if match.first and match.last and match.first > match.last:
        yield ("match",), f"no day lies between {match.first} and {match.last}"
    elif by := _takers(rule, earlier):
        names = ", ".join(repr(each.name) for each in by)
        yield (
            ("match",),
            f"it never matches: all that it could match is taken by {names} before it",
        )
    elif match.last is None and not any(match.names(host, source) for source in sources):
        yield (
            ("match",),
            f"it never matches: the host is {host!r}, its sources are "
            f"{', '.join(map(repr, sources))} (a rule about what was before needs a `to`)",
        )


def _takers(rule: Rule, earlier: Sequence[Rule]) -> list[Rule]:
    """Return the rules that take all that this one could match; none if they leave something."""
    days = [day for day in cuts([rule.match, *(e.match for e in earlier)]) if rule.match.dates(day)]
    takers = set()
    for host in rule.match.hosts:
        for source in rule.match.sources:
            for day in days:
                by = next(
                    (e for e in earlier if _takes(e.match, host, source) and e.match.dates(day)),
                    None,
                )
                if by is None:
                    return []
                takers.add(by)
    return [each for each in earlier if each in takers]


def _takes(scope: Scope, host: str, source: str) -> bool:
    """Whether a scope has all names that two patterns match."""
    return any(_contains(each, host) for each in scope.hosts) and any(
        _contains(each, source) for each in scope.sources
    )


def _contains(wide: str, narrow: str) -> bool:
    """Whether a pattern matches all that another one does: seen for names and `*`, not for `[a-c]`.

    The wildcards of `narrow` are no letters that `wide` could hold. So only a `*` matches them, and
    that matches whatever they stand for.
    """
    if wide in {"*", narrow}:
        return True
    if {"*", "?", "["}.isdisjoint(narrow):
        return fnmatchcase(narrow, wide)
    return "[" not in narrow and {"?", "["}.isdisjoint(wide) and fnmatchcase(narrow, wide)


def _locked(
    rule: Rule, policy: Policy, host: str, sources: Sequence[str], locks: Sequence[Lock]
) -> Found:
    """Yield the locks that last beyond the maximum of what is locked with them."""
    governs = any(
        stretch.rule == rule for source in sources for stretch in policy.stretches(host, source)
    )
    if rule.maximum is None or not governs:
        return
    for lock in locks:
        # The lock counts from midnight after the log date, and any part of a day is a day.
        days = math.ceil((lock.seconds + AHEAD_OF_UTC) / DAY_SECONDS)
        if day := Period(days=days).outlasts(rule.maximum):
            longest = rule.maximum.least_days - 1
            shorter = f'lock_for = "{longest}d" is not too long' if longest > 0 else "do not lock"
            yield (
                ("maximum",),
                f"maximum {rule.maximum} ends before the {lock.mode} lock of target "
                f"{lock.target!r} does, and then an archive of {day} could not be destroyed in "
                f"time: {WHO_LIFTS[lock.mode]}; {shorter}",
            )
