"""Rotate a log in its turn, if it is due, if nobody else does, and if the clock is plausible."""

from archiver.errors import ClockError
from archiver.policy.rules import DOUBTFUL
from archiver.rotation import due, release, rotate
from archiver.rotation.others.takeover import is_left_to_another
from archiver.rotation.turn import Turn
from archiver.system.zone import DAY_SECONDS, day_end, rfc3339


def rotate_if_due(turn: Turn) -> None:
    turn.journal.prepare()
    for entry in turn.journal.entries():
        rotate.complete(entry)
    live = rotate.inspect(turn.source)
    if is_left_to_another(turn):
        return
    verdict = judge(turn, live)
    turn.report.reason = verdict.reason
    if verdict.rotate:
        check_clock(turn)
        release.check(turn.source.reopen)
        rotate.rotate(turn.source, live, turn.journal, now=turn.session.now)
        turn.report.rotated = True


def judge(turn: Turn, live: rotate.LiveLog) -> due.Due:
    """Return whether the log is due, by its first lines, the journal and the catalog."""
    entries = turn.journal.entries()
    rotated = [e for e in entries if e.intent.origin == "run" and e.has_anything()]
    # The one made last, whatever its time: an earlier one may bear the time of a clock ahead.
    last = (
        rotated[-1].intent.written
        if rotated
        else turn.session.catalog.last_rotation(turn.source.name)
    )
    # A line after today does not count: a clock that was ahead must not put off rotation.
    latest = day_end(turn.today, turn.zone) - 1
    return due.decide(
        now=turn.session.now,
        zone=turn.zone,
        size=0 if any(entry.is_live() for entry in rotated) else live.size,
        first_line=turn.clock().first_time(turn.first_look(live), latest=latest),
        last_rotation=last,
        criteria=due.Criteria(turn.source.min_size, turn.source.max_size),
        force=turn.force,
    )


def check_clock(turn: Turn) -> None:
    """Raise ClockError if the clock must be wrong: lines without a year get theirs from it."""
    started = turn.last.started
    if started and turn.session.now < started - DOUBTFUL * DAY_SECONDS and not turn.force:
        raise ClockError(
            f"the clock says {rfc3339(turn.session.now)}, but the last run was at "
            f"{rfc3339(started)}; {turn.source.path} was left as it is",
            hint="set the clock; if it is right, `archiver run --force` accepts it",
        )
