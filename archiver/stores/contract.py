"""What every store promises. One conformance suite holds all of them to it.

    put      create once: whole or not at all, never over something else
    replace  put something else in the place of a copy that was found damaged, or of an index
    find     what a key holds, if anything, and how it is protected
    stream   the bytes, from any offset
    listed   all that the store holds, in order
    protect  keep it longer, or hold it; never less
    remove   an index, which can be made again; nothing else
    destroy  an archive or an index, in all its versions, and prove that none is left
    tidy     remove what was begun and never finished

What a store promises is not believed until it was read back (`copy` does that). A store holds only
what it was given: everything else that this program knows can be rebuilt from that.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Protocol

from archiver.archives.names import ARCHIVE_SUFFIX, INDEX_SUFFIXES
from archiver.archives.reader import ReadableStore
from archiver.archives.receipts import UNPROTECTED, Destroyed, Protection, Stored
from archiver.policy.period import Period


class Store(ReadableStore, Protocol):
    """A place for immutable objects, named by keys such as `host=mx1/source=maillog/…`."""

    def put(
        self, key: str, source: Path, sha256: str, protection: Protection = UNPROTECTED
    ) -> None:
        """Store the file's bytes, which must have this digest (in hex), under a key.

        If the key holds the same bytes already, they are protected, and nothing else happens.
        Raises: SpoolDamagedError: the file has another digest; nothing is stored.
        IntegrityError: the key holds other bytes; they are left alone. StoreError: the
        store failed, and the key is as it was.
        """

    def replace(
        self, key: str, source: Path, sha256: str, protection: Protection = UNPROTECTED
    ) -> None:
        """Store the file's bytes in the place of whatever the key holds, if anything.

        Meanwhile a reader sees either the old bytes or the new ones, whole. Raises: as `put`;
        LockedError: the server refuses it.
        """

    def find(self, key: str) -> Stored | None:
        """Return what a key holds; None if there is no such key."""

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """Yield the complete objects whose keys start with `prefix`, sorted by key.

        They carry only what a list tells: the size in bytes, and whether the object is cold.
        """

    def protection(self, day: date, now: int) -> Protection:
        """Return how an archive of a log date is to be protected here. now: an instant."""

    def protect(self, key: str, protection: Protection) -> None:
        """Protect an object at least like this; protection that it has is never weakened.

        Raises: StoreError: the store cannot do that.
        """

    def remove(self, key: str) -> None:
        """Remove an index; if there is none under that key, nothing happens.

        Raises: ValueError: the key is not that of an index.
        """

    def destroy(self, key: str) -> tuple[Destroyed, ...]:
        """Destroy all versions of an archive, or of an index; return what there was.

        On return, the store was asked again and has none. Called again, it destroys what is left.
        Raises: ValueError: the key is neither's. LockedError: a version is locked or held; as far
        as the store says so beforehand, nothing was destroyed then. StoreError: the store failed.
        StoreRefusedError: it refuses, or does not say what is left.
        """

    @property
    def keep(self) -> Period | None:
        """How long archives stay here if other stores have them; None: as long as anywhere."""

    @property
    def can_hold(self) -> bool:
        """Whether `protect` can hold an object here, and `lift_hold` can release it."""

    def lift_hold(self, key: str) -> None:
        """Lift the hold on an object, if there is one; its lock stays as it is."""

    def tidy(self, prefix: str) -> None:
        """Remove what was begun under keys with this prefix, and never finished.

        Nobody else may store there meanwhile.
        """

    def restore(self, key: str, days: int) -> None:
        """Ask for a cold object to be made readable for so many days; asking again is harmless."""


def demand_destructible(key: str) -> None:
    """Raise ValueError unless it is the key of an archive or an index: manifests and the ledger
    are never destroyed, not even by mistake.
    """
    if not key.endswith((ARCHIVE_SUFFIX, *INDEX_SUFFIXES)):
        raise ValueError(f"{key!r} is neither an archive nor an index")
