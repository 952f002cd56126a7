"""The nightly run: every log rotated, archived, copied, and nothing lost in between.

    lock → finish what the journal left → rotate → signal → prove release → archive → verify
    → index → copy → read back → catalog → release the segment → record the empty days
    → merge the indexes

Between release and archiving, stores get what they missed: what comes later has to wait for it.

Each stage recognises its own finished output, so running again is the recovery. A failing
stage leaves the segment in the spool, and the next night's rotation unharmed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from archiver.archives.manifest import Manifest
from archiver.config.settings import Config, Source
from archiver.errors import ArchiverError, ClockError, InterruptedRunError, WorkKeptError, explained
from archiver.maillog.clock import Clock
from archiver.progress import Meter, unwatched
from archiver.retention import evict as thin
from archiver.retention import expire
from archiver.retention import hold as holding
from archiver.retention.expire import Expiry
from archiver.rotation import due, rotate
from archiver.rotation import last_run as lastrun
from archiver.rotation import release as syslogd
from archiver.rotation import seal as archive
from archiver.rotation.last_run import LastRun
from archiver.rotation.others import takeover
from archiver.rotation.others.rotators import ROOT, Rotator, Rotators
from archiver.rotation.spool import Intent, Journal, forgotten
from archiver.stores import open_stores
from archiver.stores.catch_up import readable
from archiver.stores.session import Run, never, started
from archiver.system.zone import DAY, day_end, local_date, rfc3339

# How much of a live log is read to tell when it begins.
FIRST_LOOK = 64 * 1024
# A clock that jumps this far back is not believed; and so many days without a line may be one
# that is ahead. Days; what was sealed by a wrong clock can never be taken back.
DOUBTFUL = 31
STOPPED = InterruptedRunError(
    "stopped between two steps, as it was asked to", hint="the next run goes on from here"
)


@dataclass
class SourceReport:
    """What a run did, or would do, for one source. pending: entries it would finish. waiting:
    files that another rotator left, and that could not be taken over yet.

    complete: the day up to which every day is archived or recorded as empty.
    """

    source: str
    complete: date
    rotated: bool = False
    reason: str = ""
    archived: list[Manifest] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    failures: list[ArchiverError] = field(default_factory=list)


@dataclass
class Report:
    """What a run did. problems: what it noticed about stores and copies. expiry: what it
    destroyed. thinned: how many copies it removed where they are kept for a shorter time.
    """

    sources: list[SourceReport] = field(default_factory=list)
    problems: list[ArchiverError] = field(default_factory=list)
    expiry: Expiry = field(default_factory=Expiry)
    thinned: int = 0

    @property
    def failures(self) -> list[ArchiverError]:
        """What went wrong, each once: a store's failure may also be why a segment waits."""
        every = [failure for each in self.sources for failure in each.failures] + self.problems
        return list({failure.message: failure for failure in every}.values())

    @property
    def exit_status(self) -> int:
        """0, the status that all failures share, or 3: of several kinds."""
        statuses = {failure.exit_status for failure in self.failures}
        return min(statuses, default=0) if len(statuses) < 2 else WorkKeptError.exit_status


class Night:
    """One source's turn in a run. last: what the run before noted."""

    def __init__(
        self,
        under_way: Run,
        source: Source,
        last: LastRun,
        *,
        force: bool,
        complete: date,
        rotators: Rotators,
    ) -> None:
        self.run = under_way
        self.source = source
        self.last = last
        self.force = force
        self.zone = under_way.config.host.zone
        self.today = local_date(under_way.now, self.zone)
        self.journal = Journal(under_way.config.host.spool_dir, source.name)
        self.report = SourceReport(source.name, complete)
        self.rotators = rotators
        self.other: Rotator | None = None
        self.taken = takeover.Taken()
        self.directories: list[str] = []

    def pass_through(self) -> SourceReport:
        """Take the log through all the stages; a failure ends it and is part of the report."""
        # One step's failure does not keep the others from theirs: a store that is away does
        # not leave the writer on an old log, nor a missing log an old segment unarchived.
        steps: dict[str, Callable[[], None]] = {
            "rotating": self.rotate_if_due,
            "closing": self.release,
            "bringing missing copies of": lambda: self.run.bring_missing(self.source),
            "archiving": self.finish_all,
            "taking over what was rotated of": self.take_over,
            "recording days without lines of": self.record_empty_days,
            "merging the indexes of": lambda: self.run.merge_indexes(self.source),
        }
        for doing, step in steps.items():
            if self.run.asked_to_stop():
                self.report.failures.append(STOPPED)
                break
            try:
                with explained(f"{doing} {self.source.path}"):
                    step()
            except ArchiverError as failure:
                # Several may meet the same, such as an intent that cannot be read.
                if failure.message not in [each.message for each in self.report.failures]:
                    self.report.failures.append(failure)
        return self.report

    def rotate_if_due(self) -> None:
        self.journal.prepare()
        for entry in self.journal.entries():
            rotate.complete(entry)
        live = rotate.inspect(self.source)
        if self.is_left_to_another():
            return
        verdict = self.judge(live)
        self.report.reason = verdict.reason
        if verdict.rotate:
            self.check_clock()
            syslogd.check(self.source.reopen)
            rotate.rotate(self.source, live, self.journal, now=self.run.now)
            self.report.rotated = True

    def is_left_to_another(self) -> bool:
        """Whether somebody else is to rotate the log, and we only to take over what that leaves.

        Raises: SecondRotatorError: somebody else rotates it, and nobody said that it is to be so.
        """
        certain = (each for each in self.rotators.of(self.source.path) if each.certain)
        self.other = next(certain, None)
        if self.other is None:
            return False
        if self.source.coexist == "refuse":
            raise takeover.refusal(self.source, self.other)
        self.report.reason = f"left to {self.other}"
        return True

    def take_over(self) -> None:
        """Archive what another rotator left of the log, once nothing of ours waits before it."""
        if self.source.coexist != "adopt" or self.journal.entries():
            return
        # Also where nobody else rotates it any more: the last ones are still there.
        found = {each.directory for each in self.rotators.of(self.source.path)} - {""}
        self.directories = sorted(found)
        self.taken = takeover.take_over(self.run, self.source, self.directories)
        self.report.archived += self.taken.manifests
        self.report.waiting += self.taken.waiting
        self.report.failures += self.taken.failures

    def release(self) -> None:
        """Make the writer let go of whatever it may still hold, and see that it does."""
        for entry in self.journal.entries():
            # If it still is the log, nobody can be made to let go of it.
            if entry.open_segment.exists() and not entry.is_live():
                syslogd.tell(self.source.reopen, timeout=self.source.reopen_timeout)
                syslogd.release(entry, timeout=self.source.reopen_timeout)

    def finish_all(self) -> None:
        for entry in self.journal.entries():
            if entry.open_segment.exists() or self.run.asked_to_stop():
                break  # not closed yet, and what comes after it has to wait
            self.report.archived += self.run.finish(self.source, self.journal, entry)

    def record_empty_days(self) -> None:
        """Record the days that passed without a line, so that none of them looks forgotten.

        What is recorded stands for ever; so if anything is in doubt, nothing is.
        """
        orphans = self.journal.orphans()
        self.report.failures += [
            WorkKeptError(
                f"{path} is in the spool, but no journal entry speaks of it",
                hint="somebody put it there or removed its .intent; `archiver import` "
                "archives a segment, then remove it",
            )
            for path in orphans
        ]
        if self.report.failures or self.report.waiting:
            return
        live = rotate.inspect(self.source)
        until = self.today
        if live.size:
            # Days from the live log's first on are not over, or not known: min_size, --source.
            times = [time for _, time in self.clock().lines(self.first_look(live))]
            until = min([until, *(local_date(time, self.zone) for time in times)])
        if self.source.coexist == "adopt" and self.taken.listed != takeover.listed(
            self.run, self.source, self.directories
        ):
            self.report.waiting.append(f"{self.source.path} was rotated just now")
            return
        covered = self.run.catalog.days(self.source.name, self.zone)
        days = due.empty_days(since=self.report.complete, until=until, covered=covered)
        if days:
            self.check_empty_days(live, days)
            intent = Intent("empty-days", str(self.source.path), self.run.now)
            entry = self.journal.begin(intent)
            recipe, head = self.run.recipe(self.source), self.run.head(self.source)
            archive.seal_empty_days(entry, days, recipe, head)
            self.report.archived += self.run.finish(self.source, self.journal, entry)
        self.report.complete = max(self.report.complete, until - DAY)

    def check_empty_days(self, live: rotate.LiveLog, days: Sequence[date]) -> None:
        """Raise ClockError or WorkKeptError if these may not have been empty at all."""
        if len(days) > DOUBTFUL and not self.force:
            raise ClockError(
                f"{self.source.path}: {len(days)} days without a line, up to {days[-1]}, were not "
                "recorded as such: the clock may be wrong",
                hint="if it is right, `archiver run --force` records them",
            )
        known = self.last.logs.get(self.source.name)
        # A run of ours that was killed before its note had put another file there, too.
        rotated = self.run.catalog.last_rotation(self.source.name) or 0
        ours = self.report.rotated or rotated > (self.last.started or 0)
        # What another one rotated was taken over, the log of that time among it: nothing between.
        ours = (
            ours or self.taken.unbroken or (bool(known) and tuple(known or ()) in self.taken.inodes)
        )
        if known and known != [live.status.st_dev, live.status.st_ino] and not ours:
            self.report.complete = self.today - DAY
            raise WorkKeptError(
                f"{self.source.path} is another file than the last run left there; "
                f"{days[0]} to {days[-1]} were not recorded as days without lines",
                hint="if newsyslog or logrotate took it: remove it from their configuration, and "
                "`archiver import` what they made of it",
            )

    def check_clock(self) -> None:
        """Raise ClockError if the clock must be wrong: years are told by it."""
        started = self.last.started
        if started and self.run.now < started - DOUBTFUL * 86_400 and not self.force:
            raise ClockError(
                f"the clock says {rfc3339(self.run.now)}, but the last run was at "
                f"{rfc3339(started)}; {self.source.path} was left as it is",
                hint="set the clock; if it is right, `archiver run --force` believes it",
            )

    def judge(self, live: rotate.LiveLog) -> due.Verdict:
        entries = self.journal.entries()
        rotated = [e for e in entries if e.intent.origin == "run" and e.has_anything()]
        # The newest, not the latest: it may have been noted while the clock was ahead.
        last = (
            rotated[-1].intent.written
            if rotated
            else self.run.catalog.last_rotation(self.source.name)
        )
        # Not a line after today: a clock that was ahead must not put off rotation till then.
        latest = day_end(self.today, self.zone) - 1
        return due.decide(
            now=self.run.now,
            zone=self.zone,
            size=0 if any(entry.is_live() for entry in rotated) else live.size,
            first_line=self.clock().first_time(self.first_look(live), latest=latest),
            last_rotation=last,
            criteria=due.Criteria(self.source.min_size, self.source.max_size),
            force=self.force,
        )

    def clock(self) -> Clock:
        return Clock(self.zone, written=self.run.now)

    def first_look(self, live: rotate.LiveLog) -> bytes:
        with open(live.path, "rb") as log:
            return log.read(FIRST_LOOK)


def run(
    config: Config,
    names: Sequence[str],
    *,
    now: int,
    force: bool = False,
    expiring: bool = True,
    meter: Meter = unwatched,
    asked_to_stop: Callable[[], bool] = never,
    root: Path = ROOT,
) -> Report:
    """Take the named sources through the night, one after the other; one failing does not
    keep the others from their turn.

    now: the instant, seconds since 1970 UTC. expiring: hold and destroy what the rules say, too.
    asked_to_stop: looked at between two steps. root: below it, other rotators' configurations are
    looked for. Raises: LockHeldError: another one is at work.
    """
    with started(config, now=now, meter=meter) as under_way:
        under_way.asked_to_stop = asked_to_stop
        last = lastrun.load(config.host.state_dir)
        rotators = Rotators(root)
        today = local_date(now, config.host.zone)
        complete: dict[str, str] = {}
        logs: dict[str, list[int]] = {}
        report = Report(problems=under_way.problems)
        report.problems += forgotten(config, last.spool)
        for source in config.sources:
            if source.name not in names:
                continue
            known = last.known_complete(source.name, today)
            # Without a note of it: what the catalog has; and the first day of all is not
            # known whole, so it is not called empty.
            since = known or under_way.catalog.last_watched(source.name) or today
            night = Night(under_way, source, last, force=force, complete=since, rotators=rotators)
            report.sources.append(night.pass_through())
            if known or not under_way.unchained:
                complete[source.name] = night.report.complete.isoformat()
            if live := rotate.identity(source):
                logs[source.name] = live
        if expiring:
            let_expire(under_way, report)
        under_way.note_copies()
        if under_way.unchained and not report.failures:
            report.problems.append(under_way.unchained)
        with explained("noting how the run ended"):
            after = last.after(
                now,
                report.exit_status,
                complete=complete,
                logs=logs,
                spool=str(config.host.spool_dir),
                sources=[each.source for each in report.sources],
            )
            lastrun.save(config.host.state_dir, after)
    return report


def expiry(config: Config, *, now: int) -> Report:
    """Hold and destroy what the rules say, and nothing else. Raises: LockHeldError."""
    with started(config, now=now) as under_way:
        report = Report(problems=under_way.problems)
        if under_way.unchained:
            raise under_way.unchained
        let_expire(under_way, report)
        under_way.note_copies()
    return report


def let_expire(under_way: Run, report: Report) -> None:
    """Hold what cases hold, destroy what may go, thin out what is kept elsewhere for longer."""
    if under_way.unchained or under_way.asked_to_stop():
        return
    with explained("expiring archives"):
        holding.apply(under_way)
        report.expiry = expire.nightly(under_way)
        report.thinned = thin.thin(under_way)


def plan(
    config: Config, names: Sequence[str], *, now: int, force: bool, root: Path = ROOT
) -> Report:
    """Tell what `run` would do now, and touch nothing."""
    report = Report()
    stores = open_stores(config.storage)
    last = lastrun.load(config.host.state_dir)
    rotators = Rotators(root)
    with readable(config.host.catalog, config.host.name, stores, []) as catalog:
        would = Run(config, catalog, stores, now)
        for source in config.sources:
            if source.name not in names:
                continue
            night = Night(would, source, last, force=force, complete=date.min, rotators=rotators)
            each = night.report
            report.sources.append(each)
            try:
                with explained(f"looking at {source.path}"):
                    each.pending = [entry.name for entry in night.journal.entries()]
                    live = rotate.inspect(source)
                    if night.is_left_to_another():
                        continue
                    verdict = night.judge(live)
                    each.reason = verdict.reason
                    if verdict.rotate:
                        night.check_clock()
                        syslogd.check(source.reopen)
                        each.rotated = True
            except ArchiverError as failure:
                each.failures.append(failure)
    return report
