"""A session: the lock, the stores and the catalog, held together and level with each other."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from archiver.archives.names import host_prefix
from archiver.catalog import Catalog, in_memory, is_sound, opened
from archiver.config.settings import Config
from archiver.errors import (
    ArchiverError,
    NewerVersionError,
    Problems,
    StoreAwayError,
    explained,
)
from archiver.policy.bodies import Unknown
from archiver.policy.decide import clock_doubt
from archiver.policy.ledger import newer, newest_instant
from archiver.stores import Store, open_stores
from archiver.stores.catch_up import catch_up, rebuild
from archiver.stores.ledger_writer import LedgerWriter, who
from archiver.stores.probe import unproven
from archiver.stores.sync import Sync
from archiver.system.files import exclusive, make_directory, remove_tree
from archiver.system.programs import never
from archiver.system.streams import Meter, unwatched
from archiver.system.zone import local_date


@dataclass
class Session:
    """What every command that writes begins with: the lock, the stores and the catalog.

    now: when it began, in seconds since 1970 UTC. problems: noticed so far. unchained: why nothing
    can be chained to what is stored, if so; logs are rotated all the same. away: names of the
    stores that did not answer at the start. doubt: why the clock cannot be trusted, if so.
    new_policy: the retention rules differ from those last recorded. asked_to_stop: whether to end
    after the present step. began: `now`, but by the monotonic clock.
    """

    config: Config
    catalog: Catalog
    stores: Sequence[Store]
    now: int
    problems: Problems = field(default_factory=Problems)
    unchained: ArchiverError | None = None
    meter: Meter = unwatched
    away: set[str] = field(default_factory=set)
    doubt: str = ""
    new_policy: bool = False
    asked_to_stop: Callable[[], bool] = never
    began: float = field(default_factory=time.monotonic)
    _behind: dict[str, set[str]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Seconds since the session began: `now` stays what it was then."""
        return time.monotonic() - self.began

    @property
    def ledger(self) -> LedgerWriter:
        """The ledger, on the stores that answered. Write only if the session is not `unchained`."""
        stores = [store for store in self.stores if store.name not in self.away]
        return LedgerWriter(self.config, self.catalog, stores, self.now, who(), self.problems)

    def open_ledger(self) -> None:
        """Copy to the stores the records they are missing, and record the retention rules."""
        # Before this session writes a record, which would vouch for its own clock.
        self.doubt = clock_doubt(self.now, newest_instant(self.catalog.records.moments()))
        if not self.unchained:
            try:
                self.ledger.fill()
                self.new_policy = self.ledger.note_policy()
            except ArchiverError as problem:
                self.problems.add(problem)

    def note_copies(self) -> None:
        """Record in the ledger which copies were made, or found to be damaged."""
        if not self.unchained:
            try:
                self.ledger.note_copies()
            except ArchiverError as problem:
                self.problems.add(problem)

    def sync(self) -> Sync:
        directory = self.config.host.work_dir
        today = local_date(self.now, self.config.host.zone)
        stores, problems = self.stores, self.problems
        return Sync(self.catalog, stores, directory, self.now, today, problems, self.meter)

    def demand_chain(self) -> None:
        """Raise the reason if nothing can be chained to what is stored: sealing would fork the
        chain, and destroying could hit what the catalog does not know.
        """
        if self.unchained:
            raise self.unchained

    def stores_level_in(self, source: str) -> list[Store]:
        """Return the stores that have every earlier archive of a source, and so may get more."""
        behind = self._behind.get(source, set())
        return [store for store in self.stores if store.name not in behind]

    def leave_behind(self, source: str, names: Collection[str]) -> None:
        """Give these stores no more of a source in this session: a later archive would hide the
        gap in their chain. The next session first copies what they missed.
        """
        self._behind.setdefault(source, set()).update(names)

    def knows_who_is_behind(self, source: str) -> bool:
        """Whether this session has copied to the stores what they missed of that source."""
        return source in self._behind


def not_understood(catalog: Catalog) -> NewerVersionError | None:
    """Return the error for a record that this version must understand, and does not."""
    for record in catalog.records.unknown():
        if isinstance(record.body, Unknown) and record.body.critical:
            return newer(record)
    return None


def tidied(stores: Sequence[Store], host: str) -> Problems:
    """Remove from the stores what killed runs left half-done; return what failed."""
    problems = Problems()
    for store in stores:
        try:
            store.tidy(host_prefix(host))
        except ArchiverError as problem:
            problems.add(problem)
    return problems


@contextmanager
def started(
    config: Config, *, now: int, meter: Meter = unwatched, refill: Sequence[str] = ()
) -> Iterator[Session]:
    """Take the lock, open stores and catalog, and bring the catalog level with the stores.

    refill: names of stores that were replaced by empty ones: what they had is no longer expected
    there. Raises: LockHeldError: another archiver is at work.
    """
    with explained("preparing the run"):
        make_directory(config.host.state_dir)
        lock = exclusive(config.host.state_dir / "lock")
    with lock, ExitStack() as stack:
        stores = open_stores(config.storage)
        with explained("removing what an earlier run left"):
            remove_tree(config.host.work_dir)
        untidy = tidied(stores, config.host.name)
        path, host = config.host.catalog, config.host.name
        unchained, away = None, set[str]()
        with explained("opening the catalog"):
            try:
                sound = is_sound(path)
                problems = Problems() if sound else rebuild(path, host, stores, away)
                catalog = stack.enter_context(opened(path, host))
                for name in refill:
                    catalog.copies.forget_target(name)
                if sound:
                    problems = catch_up(catalog, stores, away)
            except ArchiverError as problem:
                problems, unchained = Problems(), problem
                catalog = stack.enter_context(in_memory(host))
        problems.add(*untidy)
        unchained = unchained or not_understood(catalog)
        # Nothing may be called locked on a store that was not seen to enforce its locks.
        unfit = {} if unchained else unproven(config, now)
        problems.add(*unfit.values())
        # Where nothing is mounted, archives would land under the mount point, hidden tomorrow.
        unmounted = {problem.store for problem in problems if isinstance(problem, StoreAwayError)}
        usable = [store for store in stores if store.name not in unmounted | unfit.keys()]
        session = Session(config, catalog, usable, now, problems, unchained, meter, away=away)
        session.open_ledger()
        yield session
