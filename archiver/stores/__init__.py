"""Stores: where archives are kept. One contract, one conformance suite for all of them.

    put      create once: whole or not at all, never over something else
    size     what is there, if anything
    stream   the bytes, from anywhere
    keys     what there is, in order
    remove   an index, which can be made again; nothing else
    tidy     nothing half-done stays

A store promises nothing that is not read back (stage `copy` does), and holds nothing but
what it was given: everything else this program knows can be rebuilt from it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from archiver.config import Storage, Target
from archiver.manifest import Manifest
from archiver.stores.local import LocalStore


class ReadableStore(Protocol):
    """As much of a store as it takes to read from it."""

    @property
    def name(self) -> str: ...

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` on: `length` of them, or all there are, if any.

        Raises: NotFoundError: there is no such key. IntegrityError: fewer bytes are there.
        """


class Store(ReadableStore, Protocol):
    """A place for immutable objects, named by keys such as `host=mx1/source=maillog/…`."""

    def put(self, key: str, source: Path, sha256: str) -> None:
        """Store the file's bytes, which must have this digest, under a key.

        If the key holds the same bytes already, nothing happens.
        Raises: SpoolDamagedError: the file has another digest; nothing is stored.
        IntegrityError: the key holds other bytes; they are left alone. StoreError: the
        store failed, and the key is as it was.
        """

    def size(self, key: str) -> int | None:
        """Return how many bytes a key holds, None if there is no such key."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the complete objects' keys that start with `prefix`, sorted."""

    def remove(self, key: str) -> None:
        """Remove an index; if there is none of that key, nothing happens.

        Raises: ValueError: it is not the key of an index.
        """

    def tidy(self, prefix: str) -> None:
        """Remove what was begun under keys with this prefix, and never finished.

        Nobody else may be storing there meanwhile.
        """


def open_store(target: Target) -> Store:
    """Return the store that a target of the configuration names."""
    return LocalStore(target.name, target.path)


def open_stores(storage: Storage) -> tuple[Store, ...]:
    return tuple(open_store(target) for target in storage.targets)


def holds(store: Store, manifest: Manifest) -> bool:
    """Whether a store has a manifest's archive, by its size. Reading it is another matter."""
    if manifest.is_empty_day:
        return store.size(manifest.manifest_key) is not None
    return store.size(manifest.archive_key) == manifest.size
