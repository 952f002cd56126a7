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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from archiver.archives.receipts import UNPROTECTED, Protection
from archiver.policy.period import Period
from archiver.system.zone import DAY, local_date, rfc3339

KEPT = "no retention rule: everything is kept"
EXPIRE = ("manual", "auto")
NOT_A_DAY = Period()
DAY_SECONDS = 86_400
# As long as the nightly run trusts a clock that is behind, or days without lines.
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


@dataclass(frozen=True)
class Copy:
    """An archive in one store. verified: it was read back, and was what it must be, and nothing
    that is known speaks against it since. protection: as the store told.
    """

    target: str
    verified: bool
    protection: Protection = UNPROTECTED


@dataclass(frozen=True)
class Archive:
    """What is known of an archive. day: its log date. known: a manifest that was read names it."""

    host: str
    source: str
    day: date
    copies: tuple[Copy, ...]
    known: bool = True


class Verdict(Enum):
    """In the order in which they follow each other as time goes by."""

    KEEP = "keep"
    MAY = "may expire"
    MUST = "must expire"


@dataclass(frozen=True)
class Decision:
    """The verdict, and the sentence that an auditor will read.

    rule: that governs, if any. expires_on: the first day on which the rule lets it be destroyed;
    None: never, or not in this calendar. must_go_by: the last day on which the rule lets it be
    there. past_since: the first day that it should not have seen, if that has come.
    """

    verdict: Verdict
    reason: str
    rule: Rule | None = None
    expires_on: date | None = None
    must_go_by: date | None = None
    past_since: date | None = None

    @property
    def by_itself(self) -> bool:
        """Whether it is to be destroyed without anybody asking."""
        return self.verdict is Verdict.MUST and self.rule is not None and self.rule.expire == "auto"


def decide(
    archive: Archive,
    policy: Policy,
    holds: Iterable[Hold],
    *,
    now: int,
    zone: ZoneInfo,
    required: int = 1,
    doubt: str = "",
) -> Decision:
    """Return the verdict about an archive.

    now: an instant; which day that is, the host's zone says. required: how many copies must have
    been read back. doubt: why the clock cannot be trusted, see `clock_doubt`.
    """
    today = local_date(now, zone)
    rule = policy.rule_for(archive.host, archive.source, archive.day)
    kept_because = "; ".join(
        _obstacles(archive, rule, holds, now=now, zone=zone, required=required, doubt=doubt)
    )
    if rule is None:
        return Decision(Verdict.KEEP, f"kept: {kept_because}")
    minimum_ends = rule.minimum.after(archive.day)
    expires_on = None if minimum_ends == date.max else minimum_ends + DAY
    must_go_by = None if rule.maximum is None else rule.maximum.after(archive.day)
    past_since = None if must_go_by is None or today <= must_go_by else must_go_by + DAY
    past = f"past its {_limit('maximum', rule)} since {past_since}" if past_since else ""
    if kept_because:
        verdict = Verdict.KEEP
        reason = f"{past}, kept because {kept_because}" if past else f"kept: {kept_because}"
    elif must_go_by is not None and today >= must_go_by:
        verdict = Verdict.MUST
        ending = f"{_limit('maximum', rule)} ends on {must_go_by}"
        reason = f"must expire: {past or ending}"
    else:
        verdict = Verdict.MAY
        least = f"{_limit('minimum', rule)} ended on {minimum_ends}"
        most = f"{_limit('maximum', rule)} ends on {must_go_by}" if must_go_by else "no maximum"
        reason = f"may expire: {least}; {most}"
    return Decision(verdict, reason, rule, expires_on, must_go_by, past_since)


def evidence_missing(
    archive: Archive,
    policy: Policy,
    holds: Iterable[Hold],
    *,
    now: int,
    zone: ZoneInfo,
    stored_reason: str,
    required: int = 1,
    doubt: str = "",
) -> tuple[str, ...]:
    """Return what lacks for an archive to be destroyed; if there is nothing, it may be.

    To be asked again at the last moment, of what is known then. stored_reason: the decision's,
    once it is stored where the archive's end will not take it along.
    """
    rule = policy.rule_for(archive.host, archive.source, archive.day)
    lacking = _obstacles(archive, rule, holds, now=now, zone=zone, required=required, doubt=doubt)
    return (*lacking, *([] if stored_reason.strip() else ["why it is destroyed was not stored"]))


def clock_doubt(now: int, newest: int | None) -> str:
    """Return why nothing may be destroyed by what the clock says now; empty: nothing speaks
    against it.

    newest: the newest instant that is known otherwise, and from before: of a run, of a line, of a
    reading back. A clock that is years ahead would end every period at once.
    """
    if newest is None:
        return "there is nothing to tell by whether the clock is right"
    if now < newest:
        return f"the clock is behind what happened at {rfc3339(newest)}"
    if now > newest + DOUBTFUL * DAY_SECONDS:
        days = (now - newest) // DAY_SECONDS
        return f"the clock is {days} days ahead of all that is known, of {rfc3339(newest)}"
    return ""


def _obstacles(
    archive: Archive,
    rule: Rule | None,
    holds: Iterable[Hold],
    *,
    now: int,
    zone: ZoneInfo,
    required: int,
    doubt: str,
) -> Iterator[str]:
    """Yield everything that forbids to destroy an archive, the strongest first."""
    for hold in holds_on(holds, archive.host, archive.source, archive.day):
        yield f"held by case {hold.case} since {local_date(hold.since, zone)} ({hold.reason})"
    yield from (f"held on {copy.target}" for copy in archive.copies if copy.protection.hold)
    if rule is None:
        yield "no retention rule governs it"
    elif (ends := rule.minimum.after(archive.day)) >= local_date(now, zone):
        yield f"{_limit('minimum', rule)} ends on {ends}"
    if not archive.known:
        yield "no manifest that is known speaks of it"
    yield from _unverified(archive.copies, max(required, 1))
    for copy in archive.copies:
        mode, until = copy.protection.mode, copy.protection.until
        if mode and until > now:
            yield f"locked on {copy.target} until {rfc3339(until)} ({mode})"
    if doubt:
        yield doubt


def _unverified(copies: Iterable[Copy], required: int) -> Iterator[str]:
    """What is destroyed must be known to be what its certificate says that it was."""
    verified = {copy.target for copy in copies if copy.verified}
    for copy in copies:
        if not copy.verified:
            yield f"its copy on {copy.target} is not verified"
    if len(verified) < required:
        yield f"{len(verified)} of {required} copies are verified"


def _limit(name: str, rule: Rule) -> str:
    basis = f" ({rule.basis})" if rule.basis else ""
    return f"{name} {getattr(rule, name)}{basis}"
