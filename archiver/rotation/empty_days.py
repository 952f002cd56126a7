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

    What is recorded stands for ever; so if anything is in doubt, nothing is.
    """
    orphans = turn.journal.orphans()
    turn.report.failures.add(
        *[
            WorkKeptError(
                f"{path} is in the spool, but no journal entry speaks of it",
                hint="somebody put it there or removed its .intent; `archiver import` "
                "archives a segment, then remove it",
            )
            for path in orphans
        ]
    )
    if turn.report.failures or turn.report.waiting:
        return
    live = rotate.inspect(turn.source)
    until = turn.today
    if live.size:
        # Days from the live log's first on are not over, or not known: min_size, --source.
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
    """Raise ClockError or WorkKeptError if these may not have been empty at all."""
    if len(days) > DOUBTFUL and not turn.force:
        raise ClockError(
            f"{turn.source.path}: {len(days)} days without a line, up to {days[-1]}, were not "
            "recorded as such: the clock may be wrong",
            hint="if it is right, `archiver run --force` records them",
        )
    left = turn.last.logs.get(turn.source.name)
    found = (live.status.st_dev, live.status.st_ino)
    # Also one of a run that was killed before it noted which file it left.
    rotated_at = turn.session.catalog.last_rotation(turn.source.name) or 0
    rotated = turn.report.rotated or rotated_at > (turn.last.started or 0)
    if left and not is_accounted_for(left, found, rotated=rotated, taken=turn.taken):
        turn.report.complete = turn.today - DAY
        raise WorkKeptError(
            f"{turn.source.path} is another file than the last run left there; "
            f"{days[0]} to {days[-1]} were not recorded as days without lines",
            hint="if newsyslog or logrotate took it: remove it from their configuration, and "
            "`archiver import` what they made of it",
        )


def is_accounted_for(
    left: tuple[int, ...], found: tuple[int, ...], *, rotated: bool, taken: Taken
) -> bool:
    """Whether no log can have come and gone between the one that was left and the one found.

    left, found: device and inode. rotated: by us, since it was left. taken: what another rotator
    made of the log, and we archived. If false, days without lines must not be recorded: what is
    sealed as empty can never be taken back.
    """
    if left == found or rotated:
        return True
    # The other rotator took the very log that was left, so it took none before that one.
    return taken.unbroken or left in taken.inodes
