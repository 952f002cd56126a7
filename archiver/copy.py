"""Stage 4: bring what was sealed to the stores, and read every copy back.

A copy counts once its SHA-256, computed from bytes read back, is that of the manifest.
The manifest goes last: where it stands, its archive is complete.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.errors import ArchiverError, IndexFailedError, IntegrityError
from archiver.journal import Entry
from archiver.manifest import Manifest, digest
from archiver.pages import PAGE
from archiver.stores import Store

INDEX_HINT = "the archive is there; `archiver catalog rebuild --index` makes its index again"


@dataclass(frozen=True)
class Copies:
    """Where one manifest and its archive are now, and which stores failed, and how.

    indexes: how many pages its index has in the stores that have it.
    """

    stores: tuple[str, ...]
    indexes: dict[str, int]
    failures: tuple[ArchiverError, ...]


def copy(entry: Entry, manifest: Manifest, document: bytes, stores: Sequence[Store]) -> Copies:
    """Bring one manifest (its stored bytes: `document`) and its archive to every store.

    A store that fails does not keep the others from getting theirs.
    """
    done, failures, indexes = [], [], {}
    index = entry.sealed / os.path.basename(manifest.index_key)
    for store in stores:
        try:
            if not manifest.is_empty_day:
                archive = entry.sealed / os.path.basename(manifest.archive_key)
                _put(store, manifest.archive_key, archive, manifest.sha256)
            path = entry.sealed / os.path.basename(manifest.manifest_key)
            _put(store, manifest.manifest_key, path, digest(document))
        except ArchiverError as failure:
            failures.append(failure)
            continue
        done.append(store.name)
        try:
            if index.exists():
                indexes[store.name] = put_index(store, manifest.index_key, index)
        except ArchiverError as failure:
            failures.append(IndexFailedError(failure.message, hint=INDEX_HINT))
    return Copies(tuple(done), indexes, tuple(failures))


def put_index(store: Store, key: str, path: Path) -> int:
    """Bring an index to a store, in place of another one if need be; return its pages."""
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if store.size(key) is not None and _digest(store, key) != sha256:
        store.remove(key)
    _put(store, key, path, sha256)
    return path.stat().st_size // PAGE


def is_sound(store: Store, manifest: Manifest) -> bool:
    """Whether a store gives back an archive as its manifest describes it; it is read whole."""
    try:
        return _digest(store, manifest.archive_key) == manifest.sha256
    except ArchiverError:
        return False


def _digest(store: Store, key: str) -> str:
    found = hashlib.sha256()
    for chunk in store.stream(key):
        found.update(chunk)
    return found.hexdigest()


def _put(store: Store, key: str, path: Path, sha256: str) -> None:
    store.put(key, path, sha256)
    if _digest(store, key) != sha256:
        raise IntegrityError(
            f"store {store.name!r} gives back something else for {key} than it was given",
            hint="the segment is kept: suspect the store's disk, memory or connection",
        )
