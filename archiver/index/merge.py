"""Merged indexes over many archives, so that a key of unknown date is found in a few reads.

A merged index says in which of 4, 16, 64, 256 or 1024 consecutive archives a key may stand. It is
as immutable as they are, and named by their numbers in the chain. Which ones there are follows from
the length of the chain, so nothing has to be listed, and no list of them is kept.

    head of the chain 91:   [1-64] [65-80] [81-84] [85-88]  and the indexes of 89, 90, 91

A larger one is merged from four smaller ones, which are then removed. No merged index covers an
archive that has expired: the four parts of the one that would are there instead, and so on down.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archiver.archives.names import MERGED_INDEX_SUFFIX, PAGE
from archiver.catalog import Catalog
from archiver.config.settings import Source
from archiver.errors import ArchiverError, IndexFailedError, Problems
from archiver.index.identity import identity_of
from archiver.index.pages import (
    BITS,
    PLACE_BITS,
    DamagedIndexError,
    check,
    entries,
    entries_of,
    save,
)
from archiver.index.spans import Span, covering, key_of, spans
from archiver.stores import Store
from archiver.stores.copy import put_index
from archiver.stores.session import Session
from archiver.system.files import emptied

# How many postings are sorted at once, about.
AT_ONCE = 2**19
# Greater than every posting.
END = 1 << (BITS + PLACE_BITS)


def merge(
    catalog: Catalog,
    stores: Sequence[Store],
    source: str,
    directory: Path,
    problems: Problems,
) -> None:
    """Make the missing merged indexes of a source, and remove those that larger ones replace.

    directory: to work in; it is emptied. problems: where one could not be made, the reason is added
    here. No merged index covers an archive without an index: a search reads all of that archive.
    """
    for span in spans(catalog.head(source).sequence, catalog.expired_numbers(source)):
        key = key_of(catalog.host, source, span)
        identity = identity_of(catalog, source, span)
        if identity is None or catalog.unindexed(source, span.first, span.last):
            continue
        missing = [store for store in stores if not _is_there(catalog, store, key, identity)]
        if missing:
            try:
                with emptied(directory):
                    path = _Merger(catalog, stores, source, directory).made(span)
                    for store in missing:
                        bring(catalog, store, key, path)
            except (ArchiverError, DamagedIndexError, OSError) as error:
                problems.add(_failed(key, error))
                continue
        for part in span.parts:
            try:
                drop(catalog, stores, source, part)
            except ArchiverError as error:
                problem = f"a merged index that a larger one replaces was left: {error.message}"
                problems.add(IndexFailedError(problem, hint=error.hint))


def _is_there(catalog: Catalog, store: Store, key: str, identity: bytes) -> bool:
    """Whether a store has the merged index, and of these archives: others may once have had the
    same numbers.
    """
    pages = catalog.copies.index_pages(key).get(store.name)
    if not pages:
        return False
    try:
        check(b"".join(store.stream(key, 0, PAGE)), 0, pages, identity)
    except (ArchiverError, DamagedIndexError):
        return False
    return True


def bring(catalog: Catalog, store: Store, key: str, path: Path) -> None:
    """Copy an index to a store, replacing one of the same key, and note it in the catalog."""
    pages = put_index(store, key, path)
    with catalog.changing():
        catalog.copies.note_index(key, store.name, pages)


def drop(catalog: Catalog, stores: Sequence[Store], source: str, span: Span) -> None:
    """Remove the merged index of a span from the stores that have it: a larger one replaces it, or
    it is made anew.
    """
    key = key_of(catalog.host, source, span)
    for store in stores:
        if store.name in catalog.copies.index_pages(key):
            store.remove(key)
            with catalog.changing():
                catalog.copies.forget_index(key, store.name)


def forget(catalog: Catalog, stores: Sequence[Store], source: str, number: int) -> None:
    """Destroy every merged index that covers an archive, in all these stores; also those that
    larger ones have replaced, since a bucket may keep versions of them.

    number: the archive's, in the chain.
    """
    for span in covering(number):
        key = key_of(catalog.host, source, span)
        for store in stores:
            store.destroy(key)
            with catalog.changing():
                catalog.copies.forget_index(key, store.name)


def _failed(key: str, error: Exception) -> IndexFailedError:
    return IndexFailedError(
        f"{key} was not made: {error}",
        hint="searches without a date are slower until the next run, or "
        "`archiver catalog rebuild --index`, makes it",
    )


class _Merger:
    """Makes a merged index from indexes on the stores, in a directory of its own."""

    def __init__(
        self, catalog: Catalog, stores: Sequence[Store], source: str, directory: Path
    ) -> None:
        self.catalog = catalog
        self.stores = stores
        self.source = source
        self.directory = directory

    def made(self, span: Span) -> Path:
        """Return the merged index of a span; its parts are copied here, or made here."""
        parts = [
            part
            for number, smaller in enumerate(span.parts)
            for part in self._part(smaller, smaller.first - span.first, number)
        ]
        kinds = (
            frozenset[str].intersection(*(part.kinds for part in parts)) if parts else frozenset()
        )
        size = span.size
        identity = self._identity(span)
        at_once = max(1, sum(part.pages for part in parts) * PAGE // 4 // AT_ONCE)
        path = self.directory / f"{span.first}-{span.last}{MERGED_INDEX_SUFFIX}"
        with open(path, "wb") as file:
            save(
                file,
                lambda: (entries_of(part, size) for part in _postings(parts, at_once)),
                kinds=kinds,
                identity=identity,
            )
        return path

    def _part(self, span: Span, offset: int, number: int) -> "Iterator[_Part]":
        if span.first < span.last:
            yield self._merged(span, offset)
            return
        for archive in self.catalog.numbered(self.source, [span.first]):
            if not archive.manifest.is_empty_day:
                key = archive.manifest.index_key
                path = self._copied(key, f"{number}-{Path(key).name}")
                if path is None:
                    raise IndexFailedError(
                        f"no store has {key}", hint="`archiver catalog rebuild --index` makes it"
                    )
                yield _Part(path, bytes.fromhex(archive.manifest.sha256), offset, 1)

    def _merged(self, span: Span, offset: int) -> "_Part":
        """A smaller merged index: copied from a store, if it is of these archives; or made here."""
        path = self._copied(
            key_of(self.catalog.host, self.source, span), f"{span.first}-{span.last}"
        )
        size = span.size
        if path:
            part = _Part(path, self._identity(span), offset, size)
            with suppress(DamagedIndexError):
                part.kinds  # noqa: B018 (reads and checks its first page)
                return part
        return _Part(self.made(span), self._identity(span), offset, size)

    def _identity(self, span: Span) -> bytes:
        identity = identity_of(self.catalog, self.source, span)
        if identity is None:
            raise IndexFailedError(
                f"the chain of {self.source} forks or has a gap",
                hint="`archiver catalog rebuild` reads the manifests on the stores again",
            )
        return identity

    def _copied(self, key: str, name: str) -> Path | None:
        """Copy an index here from the first store that has it."""
        pages_by_store = self.catalog.copies.index_pages(key)
        for store in self.stores:
            if store.name in pages_by_store:
                path = self.directory / name
                with open(path, "wb") as file:
                    file.writelines(store.stream(key))
                return path
        return None


@dataclass(frozen=True)
class _Part:
    """An index in a file.

    size: how many archives it covers; 1: an archive's own index, whose places are frames. offset:
    how many archives of the larger span come before its first one.
    """

    path: Path
    identity: bytes
    offset: int
    size: int

    @property
    def pages(self) -> int:
        return self.path.stat().st_size // PAGE

    @property
    def kinds(self) -> frozenset[str]:
        with open(self.path, "rb") as file:
            return check(file.read(PAGE), 0, self.pages, self.identity)[0]

    def postings(self) -> Iterator[int]:
        """Yield `hash << 24 | archive`, sorted by the hashes. archive: counted from 0 in the whole
        span.

        Raises: DamagedIndexError.
        """
        pages, last = self.pages, -1
        with open(self.path, "rb") as file:
            for at in range(pages):
                page = file.read(PAGE)
                check(page, at, pages, self.identity)
                for hashed, places in entries(page):
                    if hashed <= last:
                        raise DamagedIndexError(f"{self.path.name}: the hashes are not in order")
                    last = hashed
                    if self.size == 1:
                        yield hashed << PLACE_BITS | self.offset
                    else:
                        for place in range(self.size) if places is None else places:
                            yield hashed << PLACE_BITS | self.offset + place


def _postings(parts: Sequence[_Part], at_once: int) -> Iterator[list[int]]:
    """Yield the postings of all parts, sorted, in `at_once` pieces; no hash stands in two."""
    ahead = [part.postings() for part in parts]
    kept = [next(postings, END) for postings in ahead]
    for piece in range(1, at_once + 1):
        end = (piece << BITS) // at_once << PLACE_BITS
        found: list[int] = []
        for number, postings in enumerate(ahead):
            posting = kept[number]
            while posting < end:
                found.append(posting)
                posting = next(postings, END)
            kept[number] = posting
        yield sorted(found)


def merge_indexes(session: Session, source: Source) -> None:
    """Bring a source's merged indexes up to date with its archives. A failure becomes a problem of
    the session: without them a search only takes longer.
    """
    if not session.unchained and session.config.index.keys:
        work_dir = session.config.host.work_dir
        stores = session.stores_level_in(source.name)
        merge(session.catalog, stores, source.name, work_dir, session.problems)
