"""Find the rules of a retention policy that contradict themselves, a lock, or the configuration.

Pure. A minimum or a lock that lasts beyond the maximum would one day make the law impossible to
obey, and nobody would notice before that day; so periods are compared from every day that they
could be counted from. A rule that never matches promises what nobody does.
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
    "governance": "this program never lifts a lock, and must not be allowed to",
    "compliance": "nobody at all can lift it",
}


@dataclass(frozen=True)
class Lock:
    """A target's lock on archives. seconds: how long after the end of their log date, in UTC."""

    target: str
    mode: str
    seconds: float


@dataclass(frozen=True)
class Conflict:
    """What is wrong with a rule. number: the rule's, from 0. keys: those of the rule that do not go
    together; the first is the one to change.
    """

    number: int
    keys: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return self.reason


def conflicts(
    policy: Policy, *, host: str, sources: Sequence[str], locks: Sequence[Lock]
) -> tuple[Conflict, ...]:
    """Return every conflict, rule by rule. host, sources, locks: as configured."""
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
    """Yield what a rule contradicts in itself."""
    if rule.maximum is None:
        if rule.expire == "auto":
            yield (
                ("expire", "maximum"),
                'expire = "auto" destroys at the maximum, but the rule has no maximum',
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
            "a maximum needs a basis: it is quoted in the certificate of every destroyed archive",
        )


def _name(rule: Rule, earlier: Sequence[Rule]) -> Found:
    if any(each.name == rule.name for each in earlier):
        yield ("name",), "an earlier rule has the same name"


def _never(rule: Rule, earlier: Sequence[Rule], host: str, sources: Sequence[str]) -> Found:
    """Yield why a rule never matches, if so.

    A rule of past days (one with a `to`) may name hosts and sources that no longer exist.
    """
    match = rule.match
    if match.first and match.last and match.first > match.last:
        yield ("match",), f"no day lies between {match.first} and {match.last}"
    elif takers := _takers(rule, earlier):
        names = ", ".join(repr(taker.name) for taker in takers)
        yield (
            ("match",),
            f"it never matches: everything it could match is taken by {names} before it",
        )
    elif match.last is None and not any(match.names(host, source) for source in sources):
        yield (
            ("match",),
            f"it never matches: the host is {host!r}, its sources are "
            f"{', '.join(map(repr, sources))} (a rule about former hosts or sources needs a `to`)",
        )


def _takers(rule: Rule, earlier: Sequence[Rule]) -> list[Rule]:
    """Return the rules that take everything this one could match; none if they leave anything."""
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
    """Whether a scope covers every name that the patterns `host` and `source` match."""
    return any(_contains(each, host) for each in scope.hosts) and any(
        _contains(each, source) for each in scope.sources
    )


def _contains(wide: str, narrow: str) -> bool:
    """Whether `wide` matches every name that `narrow` matches. False if it cannot be told, as with
    `[a-c]`; between names and `*` it always can.

    `narrow` is matched as if it were a name: no letter of `wide` is a wildcard, so only a `*` in it
    matches the wildcards of `narrow`, and a `*` matches whatever they stand for.
    """
    if wide in {"*", narrow}:
        return True
    if {"*", "?", "["}.isdisjoint(narrow):
        return fnmatchcase(narrow, wide)
    return "[" not in narrow and {"?", "["}.isdisjoint(wide) and fnmatchcase(narrow, wide)


def _locked(
    rule: Rule, policy: Policy, host: str, sources: Sequence[str], locks: Sequence[Lock]
) -> Found:
    """Yield the locks that last beyond the maximum of the archives they are set on."""
    governs = any(
        stretch.rule == rule for source in sources for stretch in policy.stretches(host, source)
    )
    if rule.maximum is None or not governs:
        return
    for lock in locks:
        # The lock counts from the midnight after the log date; a part of a day counts as a day.
        days = math.ceil((lock.seconds + AHEAD_OF_UTC) / DAY_SECONDS)
        if day := Period(days=days).outlasts(rule.maximum):
            longest = rule.maximum.least_days - 1
            remedy = (
                f'the longest lock_for that fits is "{longest}d"' if longest > 0 else "do not lock"
            )
            yield (
                ("maximum",),
                f"maximum {rule.maximum} ends before the {lock.mode} lock of target "
                f"{lock.target!r}: an archive of {day}, for example, could not be destroyed in "
                f"time, because {WHO_LIFTS[lock.mode]}; {remedy}",
            )
