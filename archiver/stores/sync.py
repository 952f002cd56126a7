"""Bring copies to where they are missing, and put sound ones in the place of damaged ones.

    fill      what a store missed while it was away, or before it was added, oldest first
    protect   lock and hold every copy as the configuration says now; never less than before
    repair    read every copy back; replace what is damaged

A copy is made only from bytes that were just read whole, and whose SHA-256 is the manifest's: a
damaged copy is never passed on.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from archiver.archives.manifest import Manifest
from archiver.archives.receipts import UNPROTECTED, Receipt
from archiver.catalog import Archived, Catalog
from archiver.config.settings import Source
from archiver.errors import (
    ArchiverError,
    ColdError,
    IntegrityError,
    NotFoundError,
    Problems,
    explained,
)
from archiver.stores import ReadableStore, Store, copy
from archiver.system.files import emptied, remove
from archiver.system.streams import Meter, unwatched


@dataclass
class Sync:
    """Completes, protects and repairs the copies of a host's archives.

    directory: where copies pass through. now: seconds since 1970 UTC. today: in the host's zone.
    brought, verified, mended, protected: how many copies so far. cold: how many are in cold storage
    and cannot be read now.
    """

    catalog: Catalog
    stores: Sequence[Store]
    directory: Path
    now: int
    today: date
    problems: Problems = field(default_factory=Problems)
    meter: Meter = unwatched
    brought: int = 0
    verified: int = 0
    mended: int = 0
    cold: int = 0
    protected: int = 0

    def fill(self, source: Source) -> set[str]:
        """Copy to every store what it is missing, in the order of the chain.

        Returns the names of the stores that failed before they had everything: what comes later
        has to wait, so that a later archive never hides a gap in a store's chain.
        """
        return {store.name for store in self.stores if not self._fill(source, store)}

    def _fill(self, source: Source, store: Store) -> bool:
        missing = self.catalog.copies.missing(source.name, store.name, self._since(store))
        if not missing:
            return True
        with self.meter(f"copying {source.name} to {store.name}", len(missing)) as advance:
            for key in missing:
                try:
                    self._bring(self.catalog.of_key(key), store, mend=False)
                    self.brought += 1
                except IntegrityError as problem:
                    self.problems.add(problem)  # the others can be copied all the same
                except ArchiverError as problem:
                    self.problems.add(problem)
                    return False
                advance(1)
        return True

    def protect(self, source: Source) -> None:
        """Lock and hold each copy that no receipt shows to be locked and held as configured."""
        receipts = self.catalog.copies.receipts(source.name)
        for archive in self.catalog.every(source.name):
            for store in self._with_a_copy(archive):
                wanted = store.protection(archive.manifest.date, self.now)
                if wanted == UNPROTECTED:
                    continue
                for key in self._digests(archive):
                    receipt = receipts.get((key, store.name))
                    if receipt and receipt.protection.covers(wanted):
                        continue
                    try:
                        store.protect(key, wanted)
                        stored = store.find(key)
                    except ArchiverError as problem:
                        self.problems.add(problem)
                        continue
                    self.protected += 1
                    if receipt and stored:
                        self._note(replace(receipt, protection=stored.protection))

    def repair(self, source: Source, sample: float = 1.0) -> None:
        """Read copies back, and replace those that are damaged.

        sample: the share of them to read, from 0 to 1. Those that were not read for the longest
        time come first: so twenty samples of 0.05 read each copy once.
        """
        every = self.catalog.every(source.name)
        chosen = self._sample(source, every, sample)
        size = sum(archive.manifest.size for archive, _ in chosen if not archive.expired)
        away: set[str] = set()
        with self.meter(f"reading the copies of {source.name}", size) as advance:
            for archive, store in chosen:
                if store.name not in away and (failure := self._checked(archive, store, every)):
                    self.problems.add(failure)
                    if failure.retryable:
                        away.add(store.name)
                advance(0 if archive.expired else archive.manifest.size)

    def _sample(
        self, source: Source, every: Sequence[Archived], sample: float
    ) -> list[tuple[Archived, Store]]:
        copies = [(archive, store) for archive in every for store in self._with_a_copy(archive)]
        if sample >= 1:
            return copies
        receipts = self.catalog.copies.receipts(source.name)

        def read_at(candidate: tuple[Archived, Store]) -> int:
            archive, store = candidate
            found = [receipts.get((key, store.name)) for key in self._digests(archive)]
            return min((receipt.at if receipt else 0 for receipt in found), default=0)

        return sorted(copies, key=read_at)[: math.ceil(len(copies) * sample)]

    def _checked(
        self, archive: Archived, store: Store, every: Sequence[Archived]
    ) -> ArchiverError | None:
        """Verify or mend a copy. Returns why it could not be verified, if so."""
        wanted = store.protection(archive.manifest.date, self.now)
        try:
            for key, sha256 in self._digests(archive).items():
                store.protect(key, wanted)
                self._note(copy.receipt(store, key, sha256, wanted, self.now))
        except ColdError:
            self.cold += 1
        except (IntegrityError, NotFoundError) as damage:
            self._mend(archive, store, damage)
        except ArchiverError as failure:
            # A server that detects a flipped bit itself fails whenever it is asked for that object.
            if not failure.retryable or not _gives_others(store, archive, every):
                return failure
            self._mend(archive, store, failure)
        else:
            self.verified += 1
        return None

    def _mend(self, archive: Archived, store: Store, damage: ArchiverError) -> None:
        for key in self._digests(archive):
            self.catalog.copies.doubt(key, store.name)
        try:
            self._bring(archive, store, mend=True)
        except ArchiverError as problem:
            self.problems.add(problem)
            return
        self.mended += 1
        self.problems.add(
            IntegrityError(
                f"store {store.name!r}: the copy of {archive.manifest.archive_key} was damaged; "
                "it was replaced by a sound one",
                hint=f"the damage: {damage.message}. Check that store's disk and memory",
            )
        )

    def _bring(self, archive: Archived, store: Store, *, mend: bool) -> None:
        """Copy an archive, its manifest, and its index if there is one, to a store."""
        manifest = archive.manifest
        document = self.catalog.document(manifest.manifest_key)
        with explained(f"copying {manifest.stem}"), emptied(self.directory):
            path = self.directory / os.path.basename(manifest.manifest_key)
            path.write_bytes(document)
            whole = not archive.expired and manifest.date >= self._since(store)
            if whole and not manifest.is_empty_day:
                self._fetch_sound(archive, but=store)
                self._fetch_index(manifest, but=store)
            copies = copy.copy(
                self.directory, manifest, document, [store], now=self.now, mend=mend, whole=whole
            )
        if not copies.stores:
            raise copies.failures[0]
        self.problems.add(*copies.failures)
        indexes, receipts = copies.indexes, copies.receipts
        self.catalog.add(document, copies.stores, indexes, receipts, whole=whole)

    def _fetch_sound(self, archive: Archived, *, but: Store) -> None:
        """Bring an archive here, from the nearest copy that proves to be sound.

        Raises: IntegrityError: no other store has one; or the first failure, if a store that may
        have one could not be read and is worth another try.
        """
        manifest = archive.manifest
        problems = Problems()
        for store in self._with_a_copy(archive):
            if store.name == but.name:
                continue
            try:
                if self._fetch(store, manifest.archive_key) == manifest.sha256:
                    return
            except ArchiverError as problem:
                problems.add(problem)
        if any(problem.retryable for problem in problems):
            raise problems[0]
        raise IntegrityError(
            f"{manifest.archive_key}: no other store has a sound copy to make one from",
            hint="`archiver list` shows where copies should be; nothing was changed",
        )

    def _fetch_index(self, manifest: Manifest, *, but: Store) -> None:
        pages = self.catalog.copies.index_pages(manifest.index_key)
        for store in self.stores:
            if store.name in pages and store.name != but.name:
                try:
                    self._fetch(store, manifest.index_key)
                except ArchiverError:  # it is derived: the copy is complete without it
                    remove(self.directory / os.path.basename(manifest.index_key))
                else:
                    return

    def _fetch(self, store: ReadableStore, key: str) -> str:
        """Bring an object here, and return its SHA-256."""
        fetched = hashlib.sha256()
        with open(self.directory / os.path.basename(key), "wb") as file:
            for chunk in store.stream(key):
                fetched.update(chunk)
                file.write(chunk)
        return fetched.hexdigest()

    def _since(self, store: Store) -> date:
        """Return the first log date of which a store is to have archives, not manifests only."""
        return store.keep.since(self.today) if store.keep else date.min

    def _with_a_copy(self, archive: Archived) -> list[Store]:
        """Return the stores that have the archive; if it has expired, those with its manifest."""
        names = archive.manifests if archive.expired else archive.copies
        return [store for store in self.stores if store.name in names]

    def _digests(self, archive: Archived) -> dict[str, str]:
        document = self.catalog.document(archive.manifest.manifest_key)
        return copy.digests(archive.manifest, document, whole=not archive.expired)

    def _note(self, receipt: Receipt) -> None:
        with self.catalog.changing():
            self.catalog.copies.note_receipt(receipt)


def _gives_others(store: Store, but: Archived, every: Sequence[Archived]) -> bool:
    """Whether a store that fails for one archive gives back another one: then it is not away."""
    others = [each.manifest for each in every if each is not but and store.name in each.copies]
    smallest = sorted((each for each in others if each.size), key=lambda each: each.size)
    return any(copy.is_sound(store, each) for each in smallest[:2])
