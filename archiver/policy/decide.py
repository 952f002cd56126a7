"""Decide which archives may be destroyed, and say why.

Pure: no clock, no disk, no network; `now` is handed in. A hold outranks everything.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from zoneinfo import ZoneInfo

from archiver.archives.receipts import UNPROTECTED, Protection
from archiver.policy.rules import DOUBTFUL, Hold, Policy, Rule, holds_on
from archiver.system.zone import DAY, DAY_SECONDS, local_date, rfc3339


@dataclass(frozen=True)
class Copy:
    """An archive in one store. verified: it was read back, was what it must be, and nothing known
    speaks against it since. protection: lock and hold, as the store reported them.
    """

    target: str
    verified: bool
    protection: Protection = UNPROTECTED


@dataclass(frozen=True)
class Archive:
    """What is known of an archive. day: its log date. known: a manifest describes it."""

    host: str
    source: str
    day: date
    copies: tuple[Copy, ...]
    known: bool = True


class Verdict(Enum):
    """In the order in which an archive passes through them."""

    KEEP = "keep"
    MAY = "may expire"
    MUST = "must expire"


@dataclass(frozen=True)
class Decision:
    """The verdict, and the sentence that an auditor will read.

    rule: the one that governs, if any. expires_on: the first day on which the rule lets it be
    destroyed; None: never, or beyond the calendar's end. must_go_by: the last day on which the
    rule lets it be kept. past_since: the day after that, if it has come.
    """

    verdict: Verdict
    reason: str
    rule: Rule | None = None
    expires_on: date | None = None
    must_go_by: date | None = None
    past_since: date | None = None

    @property
    def by_itself(self) -> bool:
        """Whether it is to be destroyed without being asked for."""
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

    now: an instant. zone: the host's, in which `now` falls on a day. required: how many copies must
    have been read back. doubt: why the clock cannot be trusted, see `clock_doubt`; empty: it can.
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
    """Return what is still missing before an archive may be destroyed; nothing: it may be.

    To be called again at the last moment, with what is known then. stored_reason: the decision's
    reason, as stored in a place that outlives the archive. The other arguments: see `decide`.
    """
    rule = policy.rule_for(archive.host, archive.source, archive.day)
    missing = list(
        _obstacles(archive, rule, holds, now=now, zone=zone, required=required, doubt=doubt)
    )
    if not stored_reason.strip():
        missing.append("the reason was not recorded")
    return tuple(missing)


def clock_doubt(now: int, newest: int | None) -> str:
    """Return why the clock cannot be trusted to destroy anything; empty: it can.

    newest: the newest instant that was recorded before, such as that of a run, of a line, or of a
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
    """Yield every reason not to destroy an archive, the strongest first."""
    for hold in holds_on(holds, archive.host, archive.source, archive.day):
        yield f"held by case {hold.case} since {local_date(hold.since, zone)} ({hold.reason})"
    yield from (f"held on {copy.target}" for copy in archive.copies if copy.protection.hold)
    if rule is None:
        yield "no retention rule governs it"
    elif (ends := rule.minimum.after(archive.day)) >= local_date(now, zone):
        yield f"{_limit('minimum', rule)} ends on {ends}"
    if not archive.known:
        yield "no known manifest describes it"
    yield from _unverified(archive.copies, max(required, 1))
    for copy in archive.copies:
        mode, until = copy.protection.mode, copy.protection.until
        if mode and until > now:
            yield f"locked on {copy.target} until {rfc3339(until)} ({mode})"
    if doubt:
        yield doubt


def _unverified(copies: Iterable[Copy], required: int) -> Iterator[str]:
    """Yield what is unproven about the copies: a certificate says what exactly was destroyed."""
    verified = {copy.target for copy in copies if copy.verified}
    for copy in copies:
        if not copy.verified:
            yield f"its copy on {copy.target} is not verified"
    if len(verified) < required:
        yield f"{len(verified)} of {required} copies are verified"


def _limit(name: str, rule: Rule) -> str:
    basis = f" ({rule.basis})" if rule.basis else ""
    return f"{name} {getattr(rule, name)}{basis}"
