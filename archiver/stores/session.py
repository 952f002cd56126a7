"""One run under way: the lock held, catalog and stores open; and what it does with a segment.

    closed segment → sealed → copied → read back → catalogued → released

Each step recognises its own finished output. What has been stored in part is only ever made
again exactly as it was: the stores then see the same bytes under the same keys, and missing
copies are made, instead of a second archive of the same lines.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from archiver import __version__
from archiver.archives.manifest import Head, Manifest, Segment, digest, host_prefix, place
from archiver.catalog import Catalog, is_sound, nowhere, opened
from archiver.config.settings import Config, Source
from archiver.errors import ArchiverError, ChainError, IntegrityError, StoreAwayError, explained
from archiver.index import merge as runs
from archiver.policy.ledger import newest_instant
from archiver.policy.rules import clock_doubt
from archiver.progress import Meter, Metered, unwatched
from archiver.rotation import seal as archive
from archiver.rotation.spool import Entry, Journal
from archiver.stores import Store, copy, open_stores
from archiver.stores.catch_up import catch_up, rebuild
from archiver.stores.ledger_writer import Ledger, who
from archiver.stores.probe import unproven
from archiver.stores.sync import Sync
from archiver.system.files import exclusive, make_directory, remove_tree
from archiver.system.streams import Readable
from archiver.system.zone import local_date


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass
class Run:
    """One run over a host's logs.

    problems: noticed so far. unchained: why nothing can be chained to what is stored, if so;
    logs are rotated all the same. behind: stores that lack earlier archives of a source, and must
    not get later ones before those. away: stores that did not answer at the start. doubt: why the
    clock cannot be trusted, if so. new_policy: the retention rules are others than before.
    asked_to_stop: whether to end after the step that is being made. began: by the monotonic clock.
    """

    config: Config
    catalog: Catalog
    stores: Sequence[Store]
    now: int
    problems: list[ArchiverError] = field(default_factory=list)
    unchained: ArchiverError | None = None
    meter: Meter = unwatched
    behind: dict[str, set[str]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    doubt: str = ""
    new_policy: bool = False
    asked_to_stop: Callable[[], bool] = never
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has been at work: `now` is when it began."""
        return time.monotonic() - self.began

    @property
    def ledger(self) -> Ledger:
        """To be written to only if the run is not unchained."""
        stores = [store for store in self.stores if store.name not in self.away]
        return Ledger(self.config, self.catalog, stores, self.now, who(), self.problems)

    def open_ledger(self) -> None:
        """Bring the stores what they lack of the ledger, and note the retention rules."""
        # Before this run leaves a record of itself, which would vouch for its own clock.
        self.doubt = clock_doubt(self.now, newest_instant(self.catalog.records.moments()))
        if not self.unchained:
            try:
                self.ledger.fill()
                self.new_policy = self.ledger.note_policy()
            except ArchiverError as problem:
                self.problems.append(problem)

    def note_copies(self) -> None:
        """Let the ledger tell of the copies that were made, or found to be damaged."""
        if not self.unchained:
            try:
                self.ledger.note_copies()
            except ArchiverError as problem:
                self.problems.append(problem)

    def bring_missing(self, source: Source) -> None:
        """Bring the stores what they missed; those that still fail are left alone by this run."""
        if not self.unchained:
            self.behind[source.name] = self.sync().fill(source)

    def sync(self) -> Sync:
        directory = self.config.host.work_dir
        today = local_date(self.now, self.config.host.zone)
        stores, problems = self.stores, self.problems
        return Sync(self.catalog, stores, directory, self.now, today, problems, self.meter)

    def finish(self, source: Source, journal: Journal, entry: Entry) -> list[Manifest]:
        """Bring a closed entry of the spool to its end, from wherever it is.

        Returns what was delivered: nothing, if its lines are in the stores already.
        """
        if self.unchained and entry.sealed.exists():
            raise self.unchained  # whether it still fits cannot be known
        if source.name not in self.behind:
            self.bring_missing(source)
        known = self.catalog.of_segment_named(source.name, entry.name)
        delivered: list[Manifest] = []
        if entry.sealed.exists() and (unfit := self.unfit(source, entry)):
            self.may_be_made_again(entry, known, unfit)
            journal.unseal(entry)
        if entry.segment.exists() and not entry.sealed.exists():
            with open(entry.segment, "rb") as segment:
                self.seal(source, entry, segment, segment, known)
        if entry.sealed.exists() and not self.is_archived(source, entry):
            delivered = self.deliver(entry)
        journal.end(entry)
        return delivered

    def seal(
        self,
        source: Source,
        entry: Entry,
        file: BinaryIO,
        log: Readable,
        known: Sequence[Manifest] = (),
    ) -> None:
        """Archive what `log` gives, showing how far `file`, which it comes from, was read.

        known: what the stores have of this segment already; it is made again as it was.
        """
        recipe = self.recipe(source)
        if self.unchained or not known:
            head = self.head(source)
        else:
            first = known[0]
            if not first.segment or first.segment.part != 1:
                raise IntegrityError(
                    f"{first.manifest_key} is stored, but no earlier part of its segment",
                    hint=f"bring that back from another copy; {entry.segment} is kept until then",
                )
            head = Head(first.sequence - 1, first.previous)
            recipe = replace(
                recipe,
                compress=replace(recipe.compress, level=first.level),
                now=first.sealed_at,
                tool_version=first.tool_version,
            )
        size = os.fstat(file.fileno()).st_size
        with self.meter(f"archiving {source.name}", size) as advance:
            metered = Metered(log, file, advance)
            archive.seal(entry, metered, recipe, head, size=size, problems=self.problems)

    def deliver(self, entry: Entry) -> list[Manifest]:
        """Copy what was sealed, and catalogue it once enough stores gave it back.

        Raises: the first store's failure, if too few did; everything is kept then.
        """
        delivered = []
        for manifest, document in archive.sealed(entry):
            behind = self.behind.setdefault(manifest.source, set())
            stores = [store for store in self.stores if store.name not in behind]
            copies = copy.copy(entry.sealed, manifest, document, stores, now=self.now)
            if len(copies.stores) < self.config.storage.required:
                # A store that is behind, or away, was told of already.
                first, *others = copies.failures or self.problems[:1]
                self.problems += others
                raise first
            self.problems += copies.failures
            behind |= {store.name for store in stores} - set(copies.stores)
            self.catalog.add(document, copies.stores, copies.indexes, copies.receipts)
            delivered.append(manifest)
        return delivered

    def merge_indexes(self, source: Source) -> None:
        """Bring a source's runs level with its archives; a failure costs time, when searching."""
        if not self.unchained and self.config.index.keys:
            work_dir = self.config.host.work_dir
            behind = self.behind.get(source.name, set())
            stores = [store for store in self.stores if store.name not in behind]
            runs.merge(self.catalog, stores, source.name, work_dir, self.problems)

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

    def recipe(self, source: Source) -> archive.Recipe:
        config = self.config
        origin = archive.Origin(config.host.name, source.name, config.host.zone)
        return archive.Recipe(
            origin, config.compress, self.now, config.index.keys, tool_version=__version__
        )

    def unfit(self, source: Source, entry: Entry) -> IntegrityError | None:
        """Why what was sealed cannot be delivered, if so: it is not sound, or not whole, or does
        not fit the end of the chain, because the catalog was an old one then.
        """
        try:
            sealed = archive.check_sealed(entry)
        except IntegrityError as error:
            return error
        if not sealed or any(
            self.catalog.digest_of(manifest.manifest_key) == digest(document)
            for manifest, document in sealed
        ):
            return None  # nothing, or delivered in part: it goes on as it is
        first, _ = sealed[0]
        head = self.catalog.head(source.name)
        if (first.sequence, first.previous) == (head.sequence + 1, head.digest):
            return None
        return IntegrityError(
            f"{entry.sealed} does not follow the newest manifest of {source.name}",
            hint="the catalog was an old one when it was sealed; it is made again",
        )

    def may_be_made_again(
        self, entry: Entry, known: Sequence[Manifest], unfit: IntegrityError
    ) -> None:
        """Raise `unfit` if what was sealed is all there is of its lines, or was stored in part."""
        if entry.segment.exists():
            return  # from it, and if stored in part, exactly as it was
        if known or entry.intent.origin == "run":
            raise unfit
        # An import's file is still where it was, and days without lines are found again.

    def is_archived(self, source: Source, entry: Entry) -> bool:
        """Whether the lines of what was sealed for an import are stored already, from a file of
        the same bytes, whatever its name or compression.
        """
        if entry.intent.origin != "import":
            return False
        segments = [manifest.segment for manifest, _ in archive.sealed(entry)]
        return bool(segments and segments[0] and self.parts_of(source, segments[0]))

    def parts_of(self, source: Source, segment: Segment) -> list[Manifest]:
        """Return all the archives of another segment with the same bytes; none, if not all."""
        found: dict[str, list[Manifest]] = {}
        for manifest in self.catalog.of_segment(source.name, sha256=segment.sha256):
            if manifest.segment and manifest.segment.name != segment.name:
                found.setdefault(manifest.segment.name, []).append(manifest)
        return next((parts for parts in found.values() if archive.is_whole(parts)), [])


def tidied(stores: Sequence[Store], host: str) -> list[ArchiverError]:
    """Remove from the stores what runs that were killed have left half-done; return what fails."""
    problems = []
    for store in stores:
        try:
            store.tidy(host_prefix(host))
        except ArchiverError as problem:
            problems.append(problem)
    return problems


@contextmanager
def started(
    config: Config, *, now: int, meter: Meter = unwatched, refill: Sequence[str] = ()
) -> Iterator[Run]:
    """Take the lock, open stores and catalog, and bring the catalog level with the stores.

    refill: stores that were replaced by empty ones; what they had is no longer expected of them.
    Raises: LockHeldError.
    """
    with explained("preparing the run"):
        make_directory(config.host.state_dir)
        lock = exclusive(config.host.state_dir / "lock")
    with lock, ExitStack() as stack:
        stores = open_stores(config.storage)
        with explained("removing what a run before has left"):
            remove_tree(config.host.work_dir)
        untidy = tidied(stores, config.host.name)
        path, host = config.host.catalog, config.host.name
        unchained, away = None, set[str]()
        with explained("opening the catalog"):
            try:
                sound = is_sound(path)
                problems = [] if sound else rebuild(path, host, stores, away)
                catalog = stack.enter_context(opened(path, host))
                for name in refill:
                    catalog.copies.forget_target(name)
                if sound:
                    problems = catch_up(catalog, stores, away)
            except ArchiverError as problem:
                problems, unchained = [], problem
                catalog = stack.enter_context(nowhere(host))
        problems += untidy
        # Nothing is to be called locked where no lock was seen to hold.
        unfit = {} if unchained else unproven(config, now)
        problems += unfit.values()
        # What is not there would be stored under a mount point, and be hidden tomorrow.
        unmounted = {problem.store for problem in problems if isinstance(problem, StoreAwayError)}
        there = [store for store in stores if store.name not in unmounted | unfit.keys()]
        run = Run(config, catalog, there, now, problems, unchained, meter, away=away)
        run.open_ledger()
        yield run
