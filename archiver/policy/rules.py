"""Retention rules and holds: what decides whether an archive is kept, may or must be destroyed.

Pure: no clock, no disk, no network. Module `decide` applies this table, from the top:

    held        kept, whatever the rules say              by a case, or by a hold on a store
    no rule     kept                                      and the reason says so
    in doubt    kept                                      unknown, unverified, locked, a wrong clock
    minimum     kept to the end of its last day           counted from the log date
    between     may expire                                only if somebody asks for it
    maximum     must expire from its last day on          by itself, if the rule says "auto"

An archive kept beyond its maximum is always reported as such, with what keeps it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from archiver.policy.as_json import as_json
from archiver.policy.period import Period
from archiver.system.zone import DAY

KEPT = "no retention rule: everything is kept"
EXPIRE = ("manual", "auto")
NOT_A_DAY = Period()
# Days. A clock that has jumped further than this, forward or back, is not believed; and a longer
# stretch of days without a line may mean that the clock is ahead. What was destroyed by a wrong
# clock, or sealed by one, can never be taken back.
DOUBTFUL = 31


@dataclass(frozen=True)
class Scope:
    """Which archives a rule or hold covers. sources, hosts: patterns of names (fnmatch(3)).
    first, last: log dates, both included; None: no limit.
    """

    sources: tuple[str, ...] = ("*",)
    hosts: tuple[str, ...] = ("*",)
    first: date | None = None
    last: date | None = None

    def names(self, host: str, source: str) -> bool:
        return _any(self.hosts, host) and _any(self.sources, source)

    def dates(self, day: date) -> bool:
        return (self.first or date.min) <= day <= (self.last or date.max)

    def covers(self, host: str, source: str, day: date) -> bool:
        return self.dates(day) and self.names(host, source)


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Rule:
    """How long archives are kept, counted from the log date. None: the rule sets no such limit.

    minimum: not destroyed before its last day is over. maximum: not kept beyond its last day.
    immediate: how long a copy has to be readable at once. basis: the law or contract that asks for
    it. expire: "auto" destroys at the maximum, "manual" waits until somebody asks.
    """

    name: str
    match: Scope = Scope()
    minimum: Period = NOT_A_DAY
    maximum: Period | None = None
    immediate: Period | None = None
    basis: str = ""
    expire: str = EXPIRE[0]

    def __str__(self) -> str:
        """The rule in words."""
        most = f"at most {self.maximum}" if self.maximum else "without a maximum"
        least = f"at least {self.minimum}" if self.minimum != NOT_A_DAY else "without a minimum"
        at_once = f", {self.immediate} of it readable at once" if self.immediate else ""
        basis = f"; {self.basis}" if self.basis else ""
        return f"{least}, {most}{at_once} (rule {self.name}{basis}; expires: {self.expire})"


@dataclass(frozen=True)
class Stretch:
    """A span of log dates that one rule governs, or none. first, last: None: no limit."""

    first: date | None
    last: date | None
    rule: Rule | None


@dataclass(frozen=True)
class Policy:
    """The rules, in the order of the configuration: the first one that matches governs."""

    rules: tuple[Rule, ...] = ()

    def rule_for(self, host: str, source: str, day: date) -> Rule | None:
        return next((rule for rule in self.rules if rule.match.covers(host, source, day)), None)

    def stretches(self, host: str, source: str) -> tuple[Stretch, ...]:
        """Return which rule governs which log dates of a source, without a gap, oldest first."""
        begins = sorted(cuts([rule.match for rule in self.rules if rule.match.names(host, source)]))
        rules = [self.rule_for(host, source, day) for day in begins]
        new = [n for n in range(len(begins)) if n == 0 or rules[n] != rules[n - 1]]
        return tuple(
            Stretch(
                first=begins[n] if n else None,
                last=begins[after] - DAY if after is not None else None,
                rule=rules[n],
            )
            for n, after in zip(new, [*new[1:], None], strict=True)
        )

    def in_words(self, host: str, sources: Sequence[str]) -> tuple[str, ...]:
        """Return in words what governs each source, one line for each stretch of its log dates."""
        if not self.rules:
            return (KEPT,)
        return tuple(
            f"{source}{_span(stretch)}: {stretch.rule or KEPT}"
            for source in sources
            for stretch in self.stretches(host, source)
        )


def cuts(scopes: Iterable[Scope]) -> set[date]:
    """Return `date.min` and every day that may lie in other scopes than the day before it."""
    begins = {date.min} | {scope.first for scope in scopes if scope.first}
    return begins | {
        scope.last + DAY for scope in scopes if scope.last is not None and scope.last < date.max
    }


def _span(stretch: Stretch) -> str:
    since = f" from {stretch.first}" if stretch.first else ""
    return since + (f" to {stretch.last}" if stretch.last else "")


def changes(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[str, ...]:
    """Return how rules differ, one line for each difference; nothing if they do not."""
    before, after = {rule.name: rule for rule in old}, {rule.name: rule for rule in new}
    lines = [f"- {before[name]}" for name in before if name not in after]
    for name, rule in after.items():
        if name not in before:
            lines.append(f"+ {rule}{_matching(rule)}")
        elif rule != before[name]:
            lines += [f"~ {rule.name}: {each}" for each in _differences(before[name], rule)]
    if not lines and list(before) != list(after):
        lines.append(f"~ order: {', '.join(before)} → {', '.join(after)}")
    return tuple(lines)


def _matching(rule: Rule) -> str:
    match = as_json(rule.match)
    default = {"sources": ["*"], "hosts": ["*"], "first": None, "last": None}
    named = [f"{key} {match[key]}" for key in match if match[key] != default[key]]
    return f" for {', '.join(named)}" if named else ""


def _differences(old: Rule, new: Rule) -> list[str]:
    before, after = as_json(old), as_json(new)
    return [f"{key} {before[key]} → {after[key]}" for key in before if before[key] != after[key]]


# -- holds -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hold:
    """Archives are kept for a case, whatever the rules say, until the hold is released.

    since, released: instants. by, reason: who added it, and why. released_by, released_for: who
    released it, and why.
    Raises: ValueError: it would hold nothing, or a case, name or reason is missing.
    """

    case: str
    scope: Scope
    reason: str
    by: str
    since: int
    released: int | None = None
    released_by: str = ""
    released_for: str = ""

    def __post_init__(self) -> None:
        for name in ("case", "reason", "by"):
            if not getattr(self, name).strip():
                raise ValueError(f"the hold's {name} is empty")
        first, last = self.scope.first, self.scope.last
        if first and last and first > last:
            raise ValueError(f"no day lies between {first} and {last}: nothing would be held")
        if self.released is not None and not (self.released_by and self.released_for):
            raise ValueError(f"hold {self.case}: released without saying by whom, or why")


def holds_on(holds: Iterable[Hold], host: str, source: str, day: date) -> tuple[Hold, ...]:
    """Return the holds in force on an archive.

    A hold's instants are ignored: the clock that wrote them may have been wrong.
    """
    return tuple(
        hold for hold in holds if hold.released is None and hold.scope.covers(host, source, day)
    )
