"""The nightly run: rotate, archive and copy every log, and lose nothing in between.

    lock, and the catalog level with the stores
    for each log:
        finish what the journal left → rotate → signal → prove release
        → copy to each store what it is missing
        → archive → verify → index → copy → read back → catalog → release the segment
        → take over what another rotator left → record the empty days → merge the indexes
    for the host:
        hold → expire → evict → write the ledger → note how the run ended

Each stage recognises its own finished output, so running again is the recovery. If a stage fails,
the segment stays in the spool, and the next night's rotation goes on unharmed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from archiver.config.settings import Config
from archiver.errors import ArchiverError, InterruptedRunError, Problems, explained
from archiver.index.merge import merge_indexes
from archiver.retention import evict, expire, hold
from archiver.retention.expire import Expiry
from archiver.rotation import last_run, release, rotate, segments
from archiver.rotation.empty_days import record_empty_days
from archiver.rotation.others.rotators import Rotators
from archiver.rotation.others.takeover import is_left_to_another, take_over_the_rest
from archiver.rotation.spool import forgotten
from archiver.rotation.turn import SourceReport, Turn
from archiver.rotation.when import check_clock, judge, rotate_if_due
from archiver.stores import open_stores
from archiver.stores.catch_up import readable
from archiver.stores.session import Session, started
from archiver.system.files import ROOT
from archiver.system.programs import never
from archiver.system.streams import Meter, unwatched
from archiver.system.zone import local_date

STOPPED = InterruptedRunError(
    "stopped between two steps, as requested", hint="the next run goes on from here"
)


@dataclass
class NightReport:
    """What a run did. problems: what it noticed about stores and copies. expiry: what it
    destroyed. evicted: how many copies it removed from stores that keep them for a shorter time.
    """

    sources: list[SourceReport] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    expiry: Expiry = field(default_factory=Expiry)
    evicted: int = 0

    @property
    def failures(self) -> Problems:
        """All that went wrong, each once: a store's failure may also be why a segment waits."""
        failures = Problems()
        for source in self.sources:
            failures.add(*source.failures)
        failures.add(*self.problems)
        return failures

    @property
    def exit_status(self) -> int:
        """One for all failures, as `Problems.worst` decides."""
        return self.failures.worst


# The steps for each log. A step that fails does not stop the next ones: even if a store is away,
# the writer is moved on from the old log; even if a log is missing, old segments are archived.
FOR_EACH_LOG: tuple[tuple[str, Callable[[Turn], None]], ...] = (
    ("rotating", rotate_if_due),
    ("closing", segments.release_all),
    (
        "copying what stores are missing of",
        lambda turn: segments.bring_missing(turn.session, turn.source),
    ),
    ("archiving", segments.finish_all),
    ("taking over what another program rotated of", take_over_the_rest),
    ("recording days without lines of", record_empty_days),
    ("merging the indexes of", lambda turn: merge_indexes(turn.session, turn.source)),
)


def hold_archives(session: Session, _: NightReport) -> None:
    hold.apply(session)


def expire_archives(session: Session, report: NightReport) -> None:
    report.expiry = expire.nightly(session)


def evict_copies(session: Session, report: NightReport) -> None:
    report.evicted = evict.evict(session)


# Then, once for the host, what the retention rules demand.
RETENTION: tuple[tuple[str, Callable[[Session, NightReport], None]], ...] = (
    ("holding archives", hold_archives),
    ("expiring archives", expire_archives),
    ("evicting copies", evict_copies),
)


def pass_through(turn: Turn) -> SourceReport:
    """Take the log through all the steps; what fails goes into the report, the next step follows.

    Between two steps it may be asked to stop; that, too, goes into the report.
    """
    for doing, step in FOR_EACH_LOG:
        if turn.session.asked_to_stop():
            turn.report.failures.add(STOPPED)
            break
        try:
            with explained(f"{doing} {turn.source.path}"):
                step(turn)
        except ArchiverError as failure:
            turn.report.failures.add(failure)
    return turn.report


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
) -> NightReport:
    """Take the named sources through the night, one after the other; if one fails, the others
    still get their turn.

    now: the instant, seconds since 1970 UTC. expiring: hold and destroy what the rules say, too.
    asked_to_stop: called between two steps. root: other rotators' configurations are looked for
    below it. Raises: LockHeldError: another archiver is at work.
    """
    with started(config, now=now, meter=meter) as session:
        session.asked_to_stop = asked_to_stop
        last = last_run.load(config.host.state_dir)
        rotators = Rotators(root)
        today = local_date(now, config.host.zone)
        complete: dict[str, date] = {}
        logs: dict[str, tuple[int, ...]] = {}
        report = NightReport(problems=session.problems)
        report.problems.add(*forgotten(config, last.spool))
        for source in config.sources:
            if source.name not in names:
                continue
            known = last.known_complete(source.name, today)
            # Without such a note, the catalog decides; and without that, today: the first day was
            # not watched from its beginning, so it is not recorded as empty.
            since = known or session.catalog.last_watched(source.name) or today
            turn = Turn(session, source, last, force=force, complete=since, rotators=rotators)
            report.sources.append(pass_through(turn))
            if known or not session.unchained:
                complete[source.name] = turn.report.complete
            if live := rotate.identity(source):
                logs[source.name] = live
        if expiring:
            apply_retention(session, report)
        session.note_copies()
        if session.unchained and not report.failures:
            report.problems.add(session.unchained)
        with explained("noting how the run ended"):
            after = last.after(
                now,
                report.exit_status,
                complete=complete,
                logs=logs,
                spool=str(config.host.spool_dir),
                sources=[each.source for each in report.sources],
                problems=report.failures,
            )
            last_run.save(config.host.state_dir, after)
    return report


def expiry(config: Config, *, now: int) -> NightReport:
    """Hold and destroy what the rules say, and do nothing else. Raises: LockHeldError."""
    with started(config, now=now) as session:
        report = NightReport(problems=session.problems)
        session.demand_chain()
        apply_retention(session, report)
        session.note_copies()
    return report


def apply_retention(session: Session, report: NightReport) -> None:
    """Hold, expire and evict; nothing, if what is stored is not known for certain."""
    for doing, step in RETENTION:
        if session.unchained or session.asked_to_stop():
            return
        with explained(doing):
            step(session, report)


def plan(
    config: Config, names: Sequence[str], *, now: int, force: bool, root: Path = ROOT
) -> NightReport:
    """Return what `run` would do now, and touch nothing. Parameters: see `run`."""
    report = NightReport()
    stores = open_stores(config.storage)
    last = last_run.load(config.host.state_dir)
    rotators = Rotators(root)
    with readable(config.host.catalog, config.host.name, stores, Problems()) as catalog:
        session = Session(config, catalog, stores, now)
        for source in config.sources:
            if source.name not in names:
                continue
            turn = Turn(session, source, last, force=force, complete=date.min, rotators=rotators)
            report.sources.append(turn.report)
            try:
                with explained(f"looking at {source.path}"):
                    turn.report.pending = [entry.name for entry in turn.journal.entries()]
                    live = rotate.inspect(source)
                    if is_left_to_another(turn):
                        continue
                    verdict = judge(turn, live)
                    turn.report.reason = verdict.reason
                    if verdict.rotate:
                        check_clock(turn)
                        release.check(source.reopen)
                        turn.report.rotated = True
            except ArchiverError as failure:
                turn.report.failures.add(failure)
    return report
