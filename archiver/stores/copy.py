"""Stage 4: copy what was sealed to the stores, and read every copy back.

A copy counts once its SHA-256, computed from bytes read back, is that of the manifest.
The manifest goes last: where there is one, its archive is complete.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.archives.manifest import Manifest, digest
from archiver.archives.names import PAGE
from archiver.archives.receipts import Protection, Receipt
from archiver.errors import ArchiverError, IndexFailedError, IntegrityError, StoreRefusedError
from archiver.stores import Store

INDEX_HINT = "the archive is stored; `archiver catalog rebuild --index` makes its index again"


@dataclass(frozen=True)
class Copied:
    """Where one manifest and its archive are now, and which stores failed, and how.

    indexes: how many pages its index has in the stores that have it.
    """

    stores: tuple[str, ...]
    receipts: tuple[Receipt, ...]
    indexes: dict[str, int]
    failures: tuple[ArchiverError, ...]


def copy(
    directory: Path,
    manifest: Manifest,
    document: bytes,
    stores: Sequence[Store],
    *,
    now: int,
    mend: bool = False,
    whole: bool = True,
) -> Copied:
    """Copy one manifest (its stored bytes: `document`) and its archive to every store.

    directory: where both are, and perhaps an index. now: seconds since 1970 UTC. mend: replace what
    a store has under these keys, if it differs. whole: with the archive. Raises nothing for a
    store that fails: the others get their copies, and the failure is returned.
    """
    done, receipts, failures, indexes = [], [], [], {}
    index = directory / os.path.basename(manifest.index_key)
    for store in stores:
        try:
            protection = store.protection(manifest.date, now)
            given = []
            for key, sha256 in digests(manifest, document, whole=whole).items():
                if mend and store.find(key) and not _gives(store, key, sha256):
                    put = store.replace
                else:
                    put = store.put
                put(key, directory / os.path.basename(key), sha256, protection)
                given.append(receipt(store, key, sha256, protection, now))
        except ArchiverError as failure:
            failures.append(failure)
            continue
        done.append(store.name)
        receipts += given
        try:
            if index.exists():
                indexes[store.name] = put_index(store, manifest.index_key, index)
        except ArchiverError as failure:
            failures.append(IndexFailedError(failure.message, hint=INDEX_HINT))
    return Copied(tuple(done), tuple(receipts), indexes, tuple(failures))


def digests(manifest: Manifest, document: bytes, *, whole: bool = True) -> dict[str, str]:
    """Return the SHA-256 of each object of a copy, by key, in the order of storing."""
    found = {manifest.archive_key: manifest.sha256, manifest.manifest_key: digest(document)}
    if manifest.is_empty_day or not whole:
        del found[manifest.archive_key]
    return found


def put_index(store: Store, key: str, path: Path) -> int:
    """Copy an index to a store, replacing one that differs; return how many pages it has.

    Raises: IntegrityError: the store gives back something else. StoreError.
    """
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if store.find(key) is None:
        store.put(key, path, sha256)
    elif _digest(store, key) != sha256:
        store.replace(key, path, sha256)
    _read_back(store, key, sha256)
    return path.stat().st_size // PAGE


def is_sound(store: Store, manifest: Manifest) -> bool:
    """Whether a store gives back an archive as its manifest describes it; it is read whole."""
    return _gives(store, manifest.archive_key, manifest.sha256)


def _gives(store: Store, key: str, sha256: str) -> bool:
    try:
        return _digest(store, key) == sha256
    except ArchiverError:
        return False


def _digest(store: Store, key: str) -> str:
    found = hashlib.sha256()
    for chunk in store.stream(key):
        found.update(chunk)
    return found.hexdigest()


def receipt(store: Store, key: str, sha256: str, protection: Protection, now: int) -> Receipt:
    """Read a copy back; return what was found. now: seconds since 1970 UTC.

    Raises: IntegrityError: it is missing, or its bytes are not those of `sha256`.
    StoreRefusedError: it is protected less than `protection` demands.
    """
    stored = store.find(key)
    if stored is None:
        raise IntegrityError(
            f"store {store.name!r}: {key} was stored, but is missing now",
            hint="this copy does not count: check that store, and who else removes things there",
        )
    if not stored.protection.covers(protection):
        raise StoreRefusedError(
            f"store {store.name!r}: {key} is not locked as the configuration says",
            hint=f"`archiver store probe {store.name}` shows what this store really enforces",
        )
    _read_back(store, key, sha256)
    return Receipt(key, store.name, stored.size, sha256, now, stored.version, stored.protection)


def _read_back(store: Store, key: str, sha256: str) -> None:
    if _digest(store, key) != sha256:
        raise IntegrityError(
            f"store {store.name!r} gives back something else for {key} than it was given",
            hint="this copy does not count: check the store's disk, memory and connection",
        )
