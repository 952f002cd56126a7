"""Decide whether an archive is kept, may be destroyed, or must be.

Pure: no clock, no disk, no network. It removes nothing; it says what may be, and why not.

    held        kept, whatever else holds                 a case, or a hold on a store
    no rule     kept                                      and it says so
    in doubt    kept                                      unknown, unverified, locked, a wrong clock
    minimum     kept to the end of its last day           counted from the log date
    between     may expire                                only if somebody asks for it
    maximum     must expire from its last day on          at once, if the rule says "auto"

What is kept beyond its maximum is never told without that, and without what keeps it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

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
    """Which archives are meant: patterns of names (fnmatch(3)), and log dates, ends included."""

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
    """How long archives are kept, counted from the log date. None: it says nothing of that.

    minimum, maximum: not destroyed before, and not kept beyond, the last day of these. immediate:
    how long a copy has to be readable at once. basis: the law or the contract that asks for it.
    expire: "auto" destroys at its maximum, "manual" waits for somebody to ask.
    """

    name: str
    match: Scope = Scope()
    minimum: Period = NOT_A_DAY
    maximum: Period | None = None
    immediate: Period | None = None
    basis: str = ""
    expire: str = EXPIRE[0]

    def __str__(self) -> str:
        """What it says, for people."""
        most = f"at most {self.maximum}" if self.maximum else "without a maximum"
        least = f"at least {self.minimum}" if self.minimum != NOT_A_DAY else "without a minimum"
        at_once = f", {self.immediate} of it readable at once" if self.immediate else ""
        basis = f"; {self.basis}" if self.basis else ""
        return f"{least}, {most}{at_once} (rule {self.name}{basis}; expires: {self.expire})"


@dataclass(frozen=True)
class Stretch:
    """Log dates that one rule governs, or none; None: from ever, for ever."""

    first: date | None
    last: date | None
    rule: Rule | None


@dataclass(frozen=True)
class Policy:
    """The rules, in the order of the configuration: the first that matches governs."""

    rules: tuple[Rule, ...] = ()

    def rule_for(self, host: str, source: str, day: date) -> Rule | None:
        return next((rule for rule in self.rules if rule.match.covers(host, source, day)), None)

    def stretches(self, host: str, source: str) -> tuple[Stretch, ...]:
        """Return what governs which log dates of a source, without a gap, oldest first."""
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

    def told(self, host: str, sources: Sequence[str]) -> tuple[str, ...]:
        """Return what governs each source, in a line for each stretch of its log dates."""
        if not self.rules:
            return (KEPT,)
        return tuple(
            f"{source}{_span(stretch)}: {stretch.rule or KEPT}"
            for source in sources
            for stretch in self.stretches(host, source)
        )


def cuts(scopes: Iterable[Scope]) -> set[date]:
    """Return the days on which it changes which of the scopes a day is in, and the first ever."""
    begins = {date.min} | {scope.first for scope in scopes if scope.first}
    return begins | {
        scope.last + DAY for scope in scopes if scope.last is not None and scope.last < date.max
    }


def _span(stretch: Stretch) -> str:
    since = f" from {stretch.first}" if stretch.first else ""
    return since + (f" to {stretch.last}" if stretch.last else "")


# -- holds -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hold:
    """That archives are kept for a case, whatever the rules say, until it is released.

    since, released: instants. by, released_by: who said so; reason, released_for: and why.
    Raises: ValueError: it would hold nothing, or nobody answers for it.
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
                raise ValueError(f"a hold without its {name}")
        first, last = self.scope.first, self.scope.last
        if first and last and first > last:
            raise ValueError(f"no day lies between {first} and {last}: nothing would be held")
        if self.released is not None and not (self.released_by and self.released_for):
            raise ValueError(f"hold {self.case}: released, but by nobody, or for no reason")


def holds_on(holds: Iterable[Hold], host: str, source: str, day: date) -> tuple[Hold, ...]:
    """Return the holds in force on an archive.

    The clock is not asked, whatever they say of their times: it may be wrong.
    """
    return tuple(
        hold for hold in holds if hold.released is None and hold.scope.covers(host, source, day)
    )


# -- one archive -----------------------------------------------------------------------------
