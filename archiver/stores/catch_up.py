"""Bring the catalog level with the stores: what they hold is the truth.

On an empty catalog that is a rebuild, with the same content whatever became of the old one. A
reader who cannot use the catalog builds one in memory.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from archiver.archives.manifest import Manifest, digest
from archiver.archives.manifest import decode as decode_manifest
from archiver.archives.names import (
    ARCHIVE_SUFFIX,
    INDEX_SUFFIXES,
    MANIFEST_SUFFIX,
    PAGE,
    RECORD_SUFFIX,
    host_prefix,
    ledger_prefix,
    parse,
)
from archiver.catalog import REBUILD_HINT, Catalog, files_beside, in_memory, making, opened
from archiver.errors import (
    ArchiverError,
    ChainError,
    IntegrityError,
    NewerVersionError,
    NotFoundError,
    Problems,
    StoreAwayError,
    StoreError,
)
from archiver.policy.ledger import Record
from archiver.policy.ledger import decode as decode_record
from archiver.stores import Store
from archiver.system.files import fsync_directory, remove

# How many manifests are read at the same time from a distant store.
AT_ONCE = 16
BATCH = 128

Document = TypeVar("Document")


@dataclass(frozen=True)
class Chained(Generic[Document]):
    """A kind of chained document: the host's records, or the manifests of a source."""

    name: str
    decode: Callable[[bytes], Document]
    key_of: Callable[[Document], str]


RECORDS = Chained[Record]("record", decode_record, lambda record: record.key)
MANIFESTS = Chained[Manifest]("manifest", decode_manifest, lambda found: found.manifest_key)


def catch_up(catalog: Catalog, stores: Sequence[Store], away: set[str] | None = None) -> Problems:
    """Catalogue what the stores hold, and forget the copies that are gone.

    away: receives the names of the stores that do not answer; their copies stay catalogued.
    Returns what is wrong: documents that cannot be read, copies that are gone, stores away.
    """
    problems = Problems()
    catalog.copies.forget_other_targets([store.name for store in stores])
    listings: list[tuple[Store, dict[str, int]]] = []
    with catalog.changing():
        for store in stores:
            try:
                listings.append((store, _listed(catalog, store)))
            except ArchiverError as problem:
                problems.add(problem)
                if away is not None:
                    away.add(store.name)
        # First the ledger: it says which archives should no longer exist.
        for catch_up_with in (_catch_up_with_ledger, _catch_up_with):
            for store, sizes in listings:
                try:
                    catch_up_with(catalog, store, sizes, problems)
                except ArchiverError as problem:
                    problems.add(problem)
    if (number := catalog.records.first_unchained()) is not None:
        problems.add(unchained(catalog.host, number))
    return problems


def unchained(host: str, number: int) -> ChainError:
    """Return the error for a ledger whose record of this number breaks the chain."""
    return ChainError(
        f"{ledger_prefix(host)}: record {number} does not follow the one before it",
        hint="a record is missing or was changed: copy it back from another store. Until then "
        "nothing is destroyed",
        key=f"{ledger_prefix(host)}{number:08d}.json",
    )


def _listed(catalog: Catalog, store: Store) -> dict[str, int]:
    """Return the sizes of all objects of the host in a store, by key, in bytes.

    Raises: StoreAwayError: it has no manifest, but had some.
    """
    sizes = {stored.key: stored.size for stored in store.listed(host_prefix(catalog.host))}
    known = catalog.copies.keys_in(store.name)
    if known and not any(key.endswith(MANIFEST_SUFFIX) for key in sizes):
        raise StoreAwayError(
            f"store {store.name!r} is empty, but archives were stored there ({len(known)})",
            hint="is it mounted, and the right one? If it was replaced, `archiver sync --refill "
            f"{store.name}` fills it from another store; if there is none, `archiver catalog "
            "rebuild` starts a new chain",
            store=store.name,
        )
    return sizes


def _catch_up_with_ledger(
    catalog: Catalog, store: Store, sizes: Mapping[str, int], problems: Problems
) -> None:
    known = catalog.records.copies_in(store.name)
    stored = {key for key in sizes if parse(key).suffix == RECORD_SUFFIX}
    new = sorted(stored - known)
    for key, document in _documents(store, new):
        try:
            _take_record(catalog, store, key, document)
        except ArchiverError as problem:
            problems.add(problem)
    if new:
        catalog.records.refold()
    _forget_gone(catalog, store, known - stored, problems)


def _take_record(catalog: Catalog, store: Store, key: str, document: bytes | ArchiverError) -> None:
    document, record = _decoded(key, document, RECORDS)
    if not catalog.records.note(record, document):
        raise _differs(store, key, RECORDS)
    catalog.copies.note(key, store.name)


def _catch_up_with(
    catalog: Catalog, store: Store, sizes: Mapping[str, int], problems: Problems
) -> None:
    known = catalog.copies.keys_in(store.name)
    stored = {key for key in sizes if key.endswith(MANIFEST_SUFFIX)}
    expired = catalog.records.expired()
    for key, document in _documents(store, sorted(stored - known)):
        try:
            _take(catalog, store, key, document, sizes, expired.keys())
        except ArchiverError as problem:
            problems.add(problem)
    indexes = {key: size for key, size in sizes.items() if key.endswith(INDEX_SUFFIXES)}
    _catch_up_with_indexes(catalog, store, indexes)
    _forget_gone(catalog, store, known - stored, problems)
    problems.add(
        *[
            IntegrityError(
                f"store {store.name!r}: {archive} exists, although it was destroyed "
                f"(certificate {certificate})",
                hint="somebody put back an old copy: remove it from this store",
            )
            for key, (_, certificate) in expired.items()
            for archive in [key.removesuffix(MANIFEST_SUFFIX) + ARCHIVE_SUFFIX]
            if certificate is not None and archive in sizes
        ]
    )


def _forget_gone(catalog: Catalog, store: Store, keys: Collection[str], problems: Problems) -> None:
    gone = sorted(keys)
    for key in gone:
        catalog.copies.forget(key, store.name)
    if gone:
        others = f", and {len(gone) - 1} more, have" if len(gone) > 1 else " has"
        problems.add(
            IntegrityError(
                f"store {store.name!r}: {gone[0]}{others} disappeared",
                hint="is the right file system mounted there? If so, somebody removed them: "
                "`archiver run` copies them back from another store",
            )
        )


def _documents(store: Store, keys: Sequence[str]) -> Iterator[tuple[str, bytes | ArchiverError]]:
    """Yield each key and its document, or why it cannot be read, in the order of the keys.

    From a distant store several are read at the same time.
    """

    def read(key: str) -> bytes | ArchiverError:
        try:
            return b"".join(store.stream(key))
        except ArchiverError as problem:
            return problem

    if store.is_near:
        yield from ((key, read(key)) for key in keys)
        return
    with ThreadPoolExecutor(AT_ONCE, "read manifests") as pool:
        for at in range(0, len(keys), BATCH):
            some = keys[at : at + BATCH]
            yield from zip(some, pool.map(read, some), strict=True)


def _catch_up_with_indexes(catalog: Catalog, store: Store, sizes: Mapping[str, int]) -> None:
    """Indexes are derived: one that is gone is no problem here, only a slower search."""
    known = catalog.copies.indexes_in(store.name)
    for key in known - sizes.keys():
        catalog.copies.forget_index(key, store.name)
    for key in sizes.keys() - known:
        if sizes[key]:
            catalog.copies.note_index(key, store.name, sizes[key] // PAGE)


def _take(
    catalog: Catalog,
    store: Store,
    key: str,
    document: bytes | ArchiverError,
    sizes: Mapping[str, int],
    expired: Collection[str],
) -> None:
    """Catalogue a manifest that was read. sizes: of all objects in the store. expired: keys of
    manifests whose archives are destroyed, or ordered to be.
    """
    document, manifest = _decoded(key, document, MANIFESTS)
    if catalog.digest_of(key) not in {None, digest(document)}:
        raise _differs(store, key, MANIFESTS)
    # Even without its archive: the next manifest of the chain follows this one.
    catalog.note(manifest, document)
    whole = manifest.is_empty_day or sizes.get(manifest.archive_key) == manifest.size
    # A store that keeps archives for a shorter time may have the manifest only.
    gone = manifest.archive_key not in sizes
    if not whole and key not in expired and not (store.keep and gone):
        raise IntegrityError(
            f"store {store.name!r}: {manifest.archive_key} is gone or cut short",
            hint="copy it back from another store",
        )
    catalog.copies.note(key, store.name, whole=whole)
    if len(doubled := catalog.keys_of(manifest.source, manifest.sequence)) > 1:
        raise ChainError(
            f"{' and '.join(doubled)} have the same number: the chain forks there",
            hint="both are kept and read. It happens when an old catalog is put back while a "
            "store is away: then `archiver catalog rebuild`, once all stores are back",
            key=key,
        )


def _decoded(
    key: str, read: bytes | ArchiverError, kind: "Chained[Document]"
) -> tuple[bytes, Document]:
    """Return a document's bytes, and the document. Raises, with its key: ChainError: it is damaged,
    or lies under another one's key; NewerVersionError; ArchiverError: it could not be read.
    """
    if isinstance(read, (IntegrityError, NotFoundError)):
        raise ChainError(read.message, hint=read.hint, key=key) from read
    if isinstance(read, ArchiverError):
        read.key = key
        raise read
    try:
        found = kind.decode(read)
    except NewerVersionError as newer:
        told = NewerVersionError(f"{key}, {newer.what},")
        told.key = key
        raise told from newer
    except ValueError as error:
        raise ChainError(
            f"{key}: {error}",
            hint=f"the {kind.name} is damaged: copy it back from another store",
            key=key,
        ) from error
    if kind.key_of(found) != key:
        raise ChainError(
            f"{key} holds the {kind.name} {kind.key_of(found)}",
            hint="it was renamed or copied; put it back under its own name",
            key=key,
        )
    return read, found


def _differs(store: Store, key: str, kind: "Chained[Document]") -> ChainError:
    return ChainError(
        f"store {store.name!r}: {key} differs from the catalog's or another store's",
        hint=f"one of the two was changed: `previous` in the next {kind.name} shows which is right",
        key=key,
    )


def rebuild(
    path: Path, host: str, stores: Sequence[Store], away: set[str] | None = None
) -> Problems:
    """Make the catalog anew from the stores; return what is wrong with them. away: see `catch_up`.

    Raises: StoreError, ChainError: the end of a chain is unknown, because a store is away or empty,
    or a manifest cannot be trusted. To go on without it would fork the chain; so the old catalog
    stays.
    """
    new = path.with_name(path.name + ".new")
    for leftover in (new, *files_beside(new)):
        remove(leftover)
    try:
        with making(new, host) as catalog:
            problems = catch_up(catalog, stores, away)
            _refuse_to_guess(catalog, stores, problems)
        for old in files_beside(path):
            remove(old)
        new.rename(path)
    finally:
        remove(new)
    fsync_directory(path.parent)
    return problems


def _refuse_to_guess(catalog: Catalog, stores: Sequence[Store], problems: Problems) -> None:
    """Raise any problem that hides what the next manifests have to be chained to."""
    for problem in problems:
        if isinstance(problem, (ChainError, NewerVersionError)):
            key = parse(problem.key)
            head = catalog.head(key.source) if key.source else catalog.records.head()
            if key.number is None or key.number >= head.sequence:
                raise problem
        if isinstance(problem, StoreError) and not problem.retryable:
            raise problem
        if problem.retryable:
            raise StoreError(
                f"{problem.message}; the catalog is made from all stores, or not at all",
                hint="make that store reachable, or take it out of [storage] for good; until "
                "then `archiver fetch` reads the others",
            )
    found = {store.name: next(store.listed(host_prefix(catalog.host)), None) for store in stores}
    for name, first in found.items():
        if first is None and any(found.values()):
            raise StoreError(
                f"store {name!r} has nothing of this host, but another store has",
                hint="is it mounted, and the right one? If it is a new store, copy the other's "
                "files into it first: the catalog is made from all stores, or not at all",
            )


@contextmanager
def readable(
    path: Path | None, host: str, stores: Sequence[Store], problems: Problems
) -> Iterator[Catalog]:
    """Open the catalog to read; if it cannot be, read every manifest from the stores instead.

    Either way the answers are right; `problems` gets why the stores had to be read. path: None if
    this machine has no catalog of that host.
    """
    with ExitStack() as stack:
        try:
            if path is None:
                raise NotFoundError(f"there is no catalog of {host} here")
            catalog = stack.enter_context(opened(path, host))
            if not catalog.is_whole():
                raise IntegrityError(f"{path} is damaged", hint=REBUILD_HINT)
        except ArchiverError as problem:
            if path and path.exists():
                problems.add(problem)
            catalog = stack.enter_context(in_memory(host))
            problems.add(*catch_up(catalog, stores))
        yield catalog
