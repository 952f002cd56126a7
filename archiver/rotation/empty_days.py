"""Record the days that passed without a line, so that none of them looks forgotten."""

from collections.abc import Sequence
from datetime import date

from archiver.errors import ClockError, WorkKeptError
from archiver.policy.rules import DOUBTFUL
from archiver.rotation import due, rotate, seal, segments
from archiver.rotation.others import takeover
from archiver.rotation.spool import Intent
from archiver.rotation.turn import Taken, Turn
from archiver.system.zone import DAY, local_date


def record_empty_days(turn: Turn) -> None:
    """Record the days that passed without a line, so that none of them looks forgotten.

    A day recorded as empty can never be taken back: if anything is in doubt, none is recorded.
    """
    orphans = turn.journal.orphans()
    turn.report.failures.add(
        *[
            WorkKeptError(
                f"{path} is in the spool, but no journal entry describes it",
                hint="somebody put it there or removed its .intent; if it is a segment, "
                "`archiver import` it, then remove it",
            )
            for path in orphans
        ]
    )
    if turn.report.failures or turn.report.waiting:
        return
    live = rotate.inspect(turn.source)
    until = turn.today
    if live.size:
        # The live log may hold lines of every day from its first on, if it was not rotated for
        # its min_size or a --source.
        times = [time for _, time in turn.clock().lines(turn.first_look(live))]
        until = min([until, *(local_date(time, turn.zone) for time in times)])
    if turn.source.coexist == "adopt" and turn.taken.listed != takeover.listed(
        turn.session, turn.source, turn.directories
    ):
        turn.report.waiting.append(f"{turn.source.path} was rotated just now")
        return
    covered = turn.session.catalog.days(turn.source.name, turn.zone)
    days = due.empty_days(since=turn.report.complete, until=until, covered=covered)
    if days:
        check_empty_days(turn, live, days)
        intent = Intent("empty-days", str(turn.source.path), turn.session.now)
        entry = turn.journal.begin(intent)
        recipe, head = (
            segments.recipe_of(turn.session, turn.source),
            segments.chain_head(turn.session, turn.source),
        )
        seal.seal_empty_days(entry, days, recipe, head)
        turn.report.archived += segments.finish(turn.session, turn.source, turn.journal, entry)
    turn.report.complete = max(turn.report.complete, until - DAY)


def check_empty_days(turn: Turn, live: rotate.LiveLog, days: Sequence[date]) -> None:
    """Raise ClockError or WorkKeptError if there may have been lines in these days."""
    if len(days) > DOUBTFUL and not turn.force:
        raise ClockError(
            f"{turn.source.path}: {len(days)} days without a line, up to {days[-1]}, were not "
            "recorded as such: the clock may be wrong",
            hint="if it is right, `archiver run --force` records them",
        )
    left = turn.last.logs.get(turn.source.name)
    found = (live.status.st_dev, live.status.st_ino)
    # The catalog also has the rotation of a run that was killed before it noted its end.
    rotated_at = turn.session.catalog.last_rotation(turn.source.name) or 0
    rotated = turn.report.rotated or rotated_at > (turn.last.started or 0)
    if left and not is_accounted_for(left, found, rotated=rotated, taken=turn.taken):
        turn.report.complete = turn.today - DAY
        raise WorkKeptError(
            f"{turn.source.path} is not the file that the last run left there; "
            f"{days[0]} to {days[-1]} were not recorded as days without lines",
            hint="if newsyslog or logrotate rotates it, take the log out of their configuration, "
            "and `archiver import` the files that they made",
        )


def is_accounted_for(
    left: tuple[int, ...], found: tuple[int, ...], *, rotated: bool, taken: Taken
) -> bool:
    """Whether no log can have come and gone between the one that was left and the one found.

    left, found: device and inode. rotated: by us, since it was left. taken: what another rotator
    made of the log, and we archived. If false, days must not be recorded as empty: that can never
    be taken back.
    """
    if left == found or rotated:
        return True
    # The other rotator took the very log that was left, so it took none before that one.
    return taken.unbroken or left in taken.inodes
