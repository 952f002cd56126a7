"""What every store promises. One conformance suite holds all of them to it.

    put      create once: whole or not at all, never over something else
    replace  put something else in the place of a copy that was found damaged, or of an index
    find     what is there, if anything, and how it is protected
    stream   the bytes, from anywhere
    listed   what there is, in order
    protect  keep it longer, or hold it; never less
    remove   an index, which can be made again; nothing else
    destroy  an archive or an index, in all its versions, and prove that none is left
    tidy     nothing half-done stays

A store promises nothing that is not read back (stage `copy` does), and holds nothing but
what it was given: everything else this program knows can be rebuilt from it.
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
        """Store the file's bytes, which must have this digest, under a key.

        If the key holds the same bytes already, they are protected, and nothing else happens.
        Raises: SpoolDamagedError: the file has another digest; nothing is stored.
        IntegrityError: the key holds other bytes; they are left alone. StoreError: the
        store failed, and the key is as it was.
        """

    def replace(
        self, key: str, source: Path, sha256: str, protection: Protection = UNPROTECTED
    ) -> None:
        """Store the file's bytes in the place of whatever the key holds, if anything.

        A reader meanwhile sees the one or the other, whole. Raises: as `put`. LockedError.
        """

    def find(self, key: str) -> Stored | None:
        """Return what a key holds, None if there is no such key."""

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """Yield the complete objects whose keys start with `prefix`, sorted by key.

        Of each is told what a list tells: its size, and if it is cold.
        """

    def protection(self, day: date, now: int) -> Protection:
        """Return what an archive of a log date is to be protected by here, from now on."""

    def protect(self, key: str, protection: Protection) -> None:
        """Protect an object at least so; what protects it already is never lessened.

        Raises: StoreError: the store cannot.
        """

    def remove(self, key: str) -> None:
        """Remove an index; if there is none of that key, nothing happens.

        Raises: ValueError: it is not the key of an index.
        """

    def destroy(self, key: str) -> tuple[Destroyed, ...]:
        """Destroy all versions of an archive, or of an index; return what there was.

        Afterwards the store was asked again, and has none. Done again, it destroys what is left.
        Raises: ValueError: it is the key of neither. LockedError: a version is locked or held; as
        far as the store tells beforehand, nothing was destroyed then. StoreError: the store failed.
        StoreRefusedError: it will not, or does not say what is left.
        """

    @property
    def keep(self) -> Period | None:
        """How long archives stay here, if other stores have them; None: as long as anywhere."""

    @property
    def can_hold(self) -> bool:
        """Whether `protect` can hold an object here, and `lift_hold` can lift that."""

    def lift_hold(self, key: str) -> None:
        """Lift the hold on an object, if there is one; its lock stays as it is."""

    def tidy(self, prefix: str) -> None:
        """Remove what was begun under keys with this prefix, and never finished.

        Nobody else may be storing there meanwhile.
        """

    def restore(self, key: str, days: int) -> None:
        """Ask for a cold object to be made readable, for so many days; once is enough."""


def demand_destructible(key: str) -> None:
    """Raise ValueError unless it is the key of an archive or an index: manifests and the ledger
    are never destroyed, by whatever mistake it is asked for.
    """
    if not key.endswith((ARCHIVE_SUFFIX, *INDEX_SUFFIXES)):
        raise ValueError(f"{key!r} is neither an archive nor an index")
