"""The nightly run: every log rotated, archived, copied, and nothing lost in between.

    lock → finish what the journal left → rotate → signal → prove release → archive → verify
    → copy → read back → catalog → release the segment → record the empty days

Each stage recognises its own finished output, so running again is the recovery. A failing
stage leaves the segment in the spool, and the next night's rotation unharmed.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import BinaryIO

from archiver import archive, copy, due, lastrun, rotate, syslogd
from archiver.catalog import Catalog, is_sound, nowhere, opened
from archiver.catchup import catch_up, readable, rebuild
from archiver.config import Config, Source
from archiver.durable import exclusive, make_directory
from archiver.errors import ArchiverError, ChainError, IntegrityError, WorkKeptError, explained
from archiver.frames import Readable
from archiver.journal import Entry, Intent, Journal
from archiver.maillog.clock import Clock
from archiver.manifest import Head, Manifest, digest, place
from archiver.progress import Meter, Metered, unwatched
from archiver.stores import Store, open_stores
from archiver.zone import DAY, day_end, local_date

# How much of a live log is read to tell when it begins.
FIRST_LOOK = 64 * 1024


@dataclass
class SourceReport:
    """What a run did, or would do, for one source. pending: entries it would finish.

    complete: the day up to which every day is archived or recorded as empty.
    """

    source: str
    complete: date
    rotated: bool = False
    reason: str = ""
    archived: list[Manifest] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    failures: list[ArchiverError] = field(default_factory=list)


@dataclass
class Report:
    """What a run did. problems: what it noticed about stores and copies."""

    sources: list[SourceReport] = field(default_factory=list)
    problems: list[ArchiverError] = field(default_factory=list)

    @property
    def failures(self) -> list[ArchiverError]:
        return [failure for each in self.sources for failure in each.failures] + self.problems

    @property
    def exit_status(self) -> int:
        """0, the status that all failures share, or 3: of several kinds."""
        statuses = {failure.exit_status for failure in self.failures}
        return min(statuses, default=0) if len(statuses) < 2 else WorkKeptError.exit_status


@dataclass
class Run:
    """One run over a host's logs, with catalog and stores open.

    problems: noticed so far. unchained: why nothing can be chained to what is stored, if so;
    logs are rotated all the same.
    """

    config: Config
    catalog: Catalog
    stores: Sequence[Store]
    now: int
    problems: list[ArchiverError] = field(default_factory=list)
    unchained: ArchiverError | None = None
    meter: Meter = unwatched

    def nightly(self, source: Source, *, force: bool, complete: date) -> SourceReport:
        """Take one log through all the stages; a failure ends it and is part of the report.

        complete: the day up to which all days are archived or recorded as empty.
        """
        report = SourceReport(source.name, complete)
        journal = Journal(self.config.host.spool_dir, source.name)
        # One step's failure does not keep the others from theirs: a store that is away does
        # not leave the writer on an old log, nor a missing log an old segment unarchived.
        steps: tuple[Callable[[], None], ...] = (
            lambda: self.rotate_if_due(source, journal, report, force=force),
            lambda: self.release(source, journal),
            lambda: self.finish_all(source, journal, report),
        )
        for step in steps:
            try:
                step()
            except ArchiverError as failure:
                # Several may meet the same, such as an intent that cannot be read.
                if failure.message not in [each.message for each in report.failures]:
                    report.failures.append(failure)
        return report

    def rotate_if_due(
        self, source: Source, journal: Journal, report: SourceReport, *, force: bool
    ) -> None:
        with explained(f"rotating {source.path}"):
            journal.prepare()
            for entry in journal.entries():
                rotate.complete(entry)
            live = rotate.inspect(source)
            verdict = self.judge(source, live, journal, force=force)
            report.reason = verdict.reason
            if verdict.rotate:
                syslogd.check(source.reopen)
                rotate.rotate(source, live, journal, now=self.now)
                report.rotated = True

    def release(self, source: Source, journal: Journal) -> None:
        """Make the writer let go of whatever it may still hold, and see that it does."""
        with explained(f"closing {source.path}"):
            for entry in journal.entries():
                # If it still is the log, nobody can be made to let go of it.
                if entry.open_segment.exists() and not entry.is_live():
                    syslogd.tell(source.reopen, timeout=source.reopen_timeout)
                    syslogd.release(entry, timeout=source.reopen_timeout)

    def finish_all(self, source: Source, journal: Journal, report: SourceReport) -> None:
        with explained(f"archiving {source.path}"):
            for entry in journal.entries():
                if entry.open_segment.exists():
                    break  # not closed yet, and what comes after it has to wait
                report.archived += self.finish(source, journal, entry)
            if not report.failures:
                self.record_empty_days(source, journal, report)
            self.problems += [
                WorkKeptError(
                    f"{path} is in the spool, but no journal entry speaks of it",
                    hint="somebody put it there or removed its .intent; `archiver import` "
                    "archives a segment, then remove it",
                )
                for path in journal.orphans()
            ]

    def judge(
        self, source: Source, live: rotate.LiveLog, journal: Journal, *, force: bool
    ) -> due.Verdict:
        entries = [e for e in journal.entries() if e.intent.origin == "run" and e.has_anything()]
        # The newest, not the latest: it may have been noted while the clock was ahead.
        last = entries[-1].intent.written if entries else self.catalog.last_rotation(source.name)
        return due.decide(
            now=self.now,
            zone=self.config.host.zone,
            size=0 if any(entry.is_live() for entry in entries) else live.size,
            first_line=self.begins(live),
            last_rotation=last,
            criteria=due.Criteria(source.min_size, source.max_size),
            force=force,
        )

    def begins(self, live: rotate.LiveLog) -> int | None:
        """The instant of the live log's first line that tells one.

        Not one after today: a clock that was ahead must not put off rotation till then.
        """
        zone = self.config.host.zone
        midnight = day_end(local_date(self.now, zone), zone)
        with open(live.path, "rb") as log:
            first = log.read(FIRST_LOOK)
        return Clock(zone, written=self.now).first_time(first, latest=midnight - 1)

    def finish(self, source: Source, journal: Journal, entry: Entry) -> list[Manifest]:
        """Bring a closed entry of the spool to its end, from wherever it is."""
        archived: list[Manifest] = []
        if not self.is_delivered(source, entry):
            if entry.sealed.exists() and not self.continues_chain(source, entry):
                journal.unseal(entry)
            if entry.segment.exists() and not entry.sealed.exists():
                with open(entry.segment, "rb") as segment:
                    self.seal(source, entry, segment, segment)
            if entry.sealed.exists():
                archived = self.deliver(entry)
        journal.end(entry)
        return archived

    def seal(self, source: Source, entry: Entry, file: BinaryIO, log: Readable) -> None:
        """Archive what `log` gives, showing how far `file`, which it comes from, was read."""
        with self.meter(f"archiving {source.name}", os.fstat(file.fileno()).st_size) as advance:
            archive.seal(
                entry,
                Metered(log, file, advance),
                origin=self.origin(source),
                compress=self.config.compress,
                head=self.head(source),
                now=self.now,
            )

    def deliver(self, entry: Entry) -> list[Manifest]:
        """Copy what was sealed, and catalogue it once enough stores gave it back.

        Raises: the first store's failure, if too few did; everything is kept then.
        """
        delivered = []
        for manifest, document in archive.sealed(entry):
            copies = copy.copy(entry, manifest, document, self.stores)
            if len(copies.stores) < self.config.storage.required:
                raise copies.failures[0]
            self.problems += copies.failures
            self.catalog.add(document, copies.stores)
            delivered.append(manifest)
        return delivered

    def record_empty_days(self, source: Source, journal: Journal, report: SourceReport) -> None:
        """Record the days that passed without a line, so that none of them looks forgotten."""
        live = rotate.inspect(source)
        until = local_date(self.now, self.config.host.zone)
        if live.size:
            # Days from the live log's first on are not over, or not known: min_size, --source.
            begins = self.begins(live)
            if begins is None:
                return
            until = min(until, local_date(begins, self.config.host.zone))
        covered = self.catalog.days(source.name, self.config.host.zone)
        days = due.empty_days(since=report.complete, until=until, covered=covered)
        if days:
            entry = journal.begin(Intent("empty-days", str(source.path), self.now))
            archive.seal_empty_days(
                entry, days, origin=self.origin(source), head=self.head(source), now=self.now
            )
            report.archived += self.finish(source, journal, entry)
        report.complete = max(report.complete, until - DAY)

    def head(self, source: Source) -> Head:
        """The end of the chain. Where it cannot be known, sealing would fork it: refused."""
        if self.unchained:
            raise self.unchained
        head = self.catalog.head(source.name)
        for problem in self.problems:
            if isinstance(problem, ChainError):
                of, sequence = place(problem.key)
                if of == source.name and sequence > head.sequence:
                    raise problem
        return head

    def origin(self, source: Source) -> archive.Origin:
        return archive.Origin(self.config.host.name, source.name, self.config.host.zone)

    def is_delivered(self, source: Source, entry: Entry) -> bool:
        """Whether the stores have these very bytes already, in archives other than the sealed.

        A file may be imported twice; and what was sealed may have been removed by hand.
        """
        own: set[str] = set()
        if entry.sealed.exists():
            if entry.intent.origin != "import":
                return False
            try:
                manifests = [manifest for manifest, _ in archive.sealed(entry)]
            except IntegrityError:
                return False
            if not manifests or not manifests[0].segment:
                return False
            sha256 = manifests[0].segment.sha256
            own = {manifest.manifest_key for manifest in manifests}
        elif entry.segment.exists() and self.catalog.has_segment_named(source.name, entry.name):
            with open(entry.segment, "rb") as segment:
                sha256 = hashlib.file_digest(segment, "sha256").hexdigest()
        else:
            return False
        known = [
            manifest.segment
            for manifest in self.catalog.of_segment(source.name, sha256=sha256)
            if manifest.segment and manifest.manifest_key not in own
        ]
        return bool(known) and {each.part for each in known} == set(range(1, known[0].parts + 1))

    def continues_chain(self, source: Source, entry: Entry) -> bool:
        """Whether what was sealed is sound, and still fits the end of the chain.

        The catalog may have been an old one then. What cannot be made again, because its
        segment was released, and what has been catalogued in part always counts as fitting.
        """
        if entry.intent.origin == "run" and not entry.segment.exists():
            return True
        try:
            sealed = archive.sealed(entry)
            for manifest, _ in sealed:
                archive.check_sealed(entry, manifest)
        except IntegrityError:
            return False
        head = self.catalog.head(source.name)
        if not sealed or any(
            self.catalog.digest_of(manifest.manifest_key) == digest(document)
            for manifest, document in sealed
        ):
            return True
        first, _ = sealed[0]
        return (first.sequence, first.previous) == (head.sequence + 1, head.digest)


@contextmanager
def started(config: Config, *, now: int, meter: Meter = unwatched) -> Iterator[Run]:
    """Take the lock, open stores and catalog, and bring the catalog level with the stores.

    Raises: LockHeldError.
    """
    with explained("preparing the run"):
        make_directory(config.host.state_dir)
        lock = exclusive(config.host.state_dir / "lock")
    with lock, ExitStack() as stack:
        stores = open_stores(config.storage)
        path, host = config.host.catalog, config.host.name
        unchained = None
        with explained("opening the catalog"):
            try:
                sound = is_sound(path)
                problems = [] if sound else rebuild(path, host, stores)
                catalog = stack.enter_context(opened(path, host))
                if sound:
                    problems = catch_up(catalog, stores)
            except ArchiverError as problem:
                problems, unchained = [], problem
                catalog = stack.enter_context(nowhere(host))
        yield Run(config, catalog, stores, now, problems, unchained, meter)


def run(
    config: Config, names: Sequence[str], *, now: int, force: bool, meter: Meter = unwatched
) -> Report:
    """Take the named sources through the night, one after the other; one failing does not
    keep the others from their turn.

    now: the instant, seconds since 1970 UTC. Raises: LockHeldError: another one is at work.
    """
    with started(config, now=now, meter=meter) as under_way:
        last = lastrun.load(config.host.state_dir)
        today = local_date(now, config.host.zone)
        complete: dict[str, str] = {}
        report = Report(problems=under_way.problems)
        for source in config.sources:
            if source.name not in names:
                continue
            known = last.complete.get(source.name)
            # Without a note of it: what the catalog has; and the first day of all is not
            # known whole, so it is not called empty.
            since = (
                date.fromisoformat(known)
                if known
                else under_way.catalog.last_watched(source.name) or today
            )
            report.sources.append(under_way.nightly(source, force=force, complete=since))
            complete[source.name] = report.sources[-1].complete.isoformat()
        with explained("noting how the run ended"):
            after = last.after(now, report.exit_status, complete=complete)
            lastrun.save(config.host.state_dir, after)
    return report


def plan(config: Config, names: Sequence[str], *, now: int, force: bool) -> Report:
    """Tell what `run` would do now, and touch nothing."""
    report = Report()
    stores = open_stores(config.storage)
    with readable(config.host.catalog, config.host.name, stores, []) as catalog:
        would = Run(config, catalog, stores, now)
        for source in config.sources:
            if source.name not in names:
                continue
            each = SourceReport(source.name, date.min)
            report.sources.append(each)
            journal = Journal(config.host.spool_dir, source.name)
            try:
                with explained(f"looking at {source.path}"):
                    each.pending = [entry.name for entry in journal.entries()]
                    verdict = would.judge(source, rotate.inspect(source), journal, force=force)
                    each.reason = verdict.reason
                    if verdict.rotate:
                        syslogd.check(source.reopen)
                        each.rotated = True
            except ArchiverError as failure:
                each.failures.append(failure)
    return report
