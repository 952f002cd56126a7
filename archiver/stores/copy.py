"""Stage 4: bring what was sealed to the stores, and read every copy back.

A copy counts once its SHA-256, computed from bytes read back, is that of the manifest.
The manifest goes last: where it stands, its archive is complete.
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

INDEX_HINT = "the archive is there; `archiver catalog rebuild --index` makes its index again"


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
    """Bring one manifest (its stored bytes: `document`) and its archive to every store.

    directory: where both are, and perhaps an index. A store that fails does not keep the others
    from getting theirs. mend: what a store has under these keys is replaced, if it is not that.
    whole: with the archive.
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
    """Return what a copy consists of, key by key in the order of storing, and their SHA-256."""
    found = {manifest.archive_key: manifest.sha256, manifest.manifest_key: digest(document)}
    if manifest.is_empty_day or not whole:
        del found[manifest.archive_key]
    return found


def put_index(store: Store, key: str, path: Path) -> int:
    """Bring an index to a store, in place of another one if need be; return its pages."""
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
    """Read a copy back, and say what was found.

    Raises: IntegrityError: it is not there, or something else is. StoreRefusedError: it is not
    protected as it is to be.
    """
    stored = store.find(key)
    if stored is None:
        raise IntegrityError(
            f"store {store.name!r}: {key} is not there, though it was stored",
            hint="the segment is kept: suspect the store",
        )
    if not stored.protection.covers(protection):
        raise StoreRefusedError(
            f"store {store.name!r}: {key} is not locked as the configuration says",
            hint=f"`archiver store probe {store.name}` tells what this store really does",
        )
    _read_back(store, key, sha256)
    return Receipt(key, store.name, stored.size, sha256, now, stored.version, stored.protection)


def _read_back(store: Store, key: str, sha256: str) -> None:
    if _digest(store, key) != sha256:
        raise IntegrityError(
            f"store {store.name!r} gives back something else for {key} than it was given",
            hint="the segment is kept: suspect the store's disk, memory or connection",
        )
