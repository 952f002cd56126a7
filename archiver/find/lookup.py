"""Find the frames that may hold the wanted lines, without reading other frames.

    1  in which archives?   ask the merged indexes, all at once; only if there are many archives
    2  in which frames?     ask the indexes of those archives, all at once
    3  read the frames      the caller does, and looks at every line in them again

An id that holds the time when it was made needs no index: the frames of that time are read.
Where an index cannot answer (it is missing, damaged, or was not made for this kind of key), the
answer is "everywhere": that costs time, never a line.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from archiver.archives.manifest import Frame
from archiver.archives.names import PAGE
from archiver.catalog import Archived, Catalog
from archiver.errors import ArchiverError, IndexFailedError, Problems
from archiver.index.identity import identity_of
from archiver.index.pages import DamagedIndexError, Places, hasher, look_up, number
from archiver.index.spans import Span, key_of, spans
from archiver.maillog.match import Wanted, keys_in
from archiver.stores import ReadableStore

# Up to so many archives, no merged index is asked.
FEW = 8
# How many indexes are asked at once.
AT_ONCE = 16
REBUILD = "`archiver catalog rebuild --index` makes it again"


@dataclass
class Cost:
    """What a search has cost, for `--explain`.

    considered: archives of the time asked for. opened: archives of which frames were read. reads,
    bytes: ranges read from stores, and their size. waves: round trips, each a set of reads of which
    none waits for another. answered: how many answers came from what.
    """

    considered: int = 0
    opened: int = 0
    reads: int = 0
    bytes: int = 0
    waves: int = 0
    answered: dict[str, int] = field(default_factory=dict)

    def answer(self, by: str, count: int = 1) -> None:
        """Count answers. by: what gave them."""
        self.answered[by] = self.answered.get(by, 0) + count


class CountedStore:
    """A store that adds to a cost what is read from it."""

    def __init__(self, store: ReadableStore, cost: Cost) -> None:
        self._store = store
        self._cost = cost
        self.name = store.name
        self.is_near = store.is_near

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._cost.reads += 1
        for chunk in self._store.stream(key, start, length):
            self._cost.bytes += len(chunk)
            yield chunk


@dataclass(frozen=True)
class _Index:
    """An index to ask. pages: how many each store's copy has. identity: its pages are sealed with
    it.
    """

    key: str
    pages: Mapping[str, int]
    identity: bytes


class Lookup:
    """Finds out where in the archives of one source the wanted lines may stand."""

    def __init__(
        self,
        host: str,
        stores: Sequence[ReadableStore],
        source: str,
        wanted: Wanted,
        *,
        cost: Cost,
        problems: Problems,
    ) -> None:
        self.stores = stores
        self.source = source
        self.cost = cost
        self.problems = problems
        self._asked = list(_criteria(wanted, hasher(host)))

    def archives(self, catalog: Catalog, start: int, end: int) -> list[Archived]:
        """Return the archives of start <= time < end that may hold wanted lines, in order."""
        numbers = catalog.numbers(self.source, start, end)
        self.cost.considered += len(numbers)
        if not self._asked or len(numbers) <= FEW:
            return catalog.between(self.source, start, end)
        found = self._by_merged(catalog, frozenset(numbers))
        if len(found) * 2 > len(numbers):
            return catalog.between(self.source, start, end)
        return catalog.numbered(self.source, found)

    def frames(
        self, catalog: Catalog, found: Sequence[Archived]
    ) -> list[tuple[Archived, list[Frame]]]:
        """Return the frames of these archives that may hold wanted lines, in order."""
        with_frames = [each for each in found if each.manifest.frames]
        if not self._asked:
            return [(each, list(each.manifest.frames)) for each in with_frames]
        indexes = [
            _Index(key, catalog.copies.index_pages(key), bytes.fromhex(archive.manifest.sha256))
            for archive in with_frames
            for key in [archive.manifest.index_key]
        ]
        chosen = []
        for archive, places in zip(with_frames, self._ask(indexes, "index"), strict=True):
            frames = archive.manifest.frames
            if places is None:
                self.cost.answer("every frame of an archive")
                chosen.append((archive, list(frames)))
            else:
                chosen.append((archive, [frames[n] for n in sorted(places) if n < len(frames)]))
        return chosen

    def _by_merged(self, catalog: Catalog, numbers: frozenset[int]) -> set[int]:
        """Ask the merged indexes in which of these archives wanted lines may stand."""
        head, expired = catalog.head(self.source).sequence, catalog.expired_numbers(self.source)
        merged: list[tuple[Span, _Index]] = []
        for span in spans(head, expired):
            if any(n in numbers for n in range(span.first, span.last + 1)):
                key = key_of(catalog.host, self.source, span)
                identity = identity_of(catalog, self.source, span)
                if identity and (pages := catalog.copies.index_pages(key)):
                    merged.append((span, _Index(key, pages, identity)))
        rest = set(numbers)
        found: set[int] = set()
        answers = self._ask([index for _, index in merged], "merged index")
        for (span, _), places in zip(merged, answers, strict=True):
            if places is not None:
                rest -= set(range(span.first, span.last + 1))
                found |= {span.first + place for place in places} & numbers
        return found | rest

    def _ask(self, indexes: Sequence[_Index], what: str) -> list[set[int] | None]:
        """Return for each index the places in which all criteria may be met; None: it cannot say.

        All indexes are read at once. what: the name under which their answers are counted.
        """
        if not indexes:
            return []
        self.cost.waves += 1
        with ThreadPoolExecutor(min(AT_ONCE, len(indexes)), "look up") as pool:
            answers = list(pool.map(self._places, indexes))
        if count := sum(answer is not None for answer in answers):
            self.cost.answer(what, count)
        return answers

    def _places(self, index: _Index) -> set[int] | None:
        """The places in which all criteria may be met; None: the index cannot say."""
        met: set[int] | None = None
        for kinds, hashes in self._asked:
            answers = [self._answer(index, hashed) for hashed in hashes]
            places: set[int] = set()
            for answer in answers:
                if answer is None or kinds.isdisjoint(answer.kinds) or answer.places is None:
                    break
                places.update(answer.places)
            else:
                met = places if met is None else met & places
        return met

    def _answer(self, index: _Index, hashed: int) -> Places | None:
        for store in self.stores:
            pages = index.pages.get(store.name)
            if not pages:
                continue

            def read(at: int, count: int, store: ReadableStore = store) -> bytes:
                return b"".join(store.stream(index.key, at * PAGE, count * PAGE))

            try:
                return look_up(hashed, read, pages=pages, identity=index.identity)
            except DamagedIndexError as error:
                problem = f"store {store.name!r}: {index.key}: {error}"
            except ArchiverError as error:
                problem = error.message
            self.problems.add(IndexFailedError(problem, hint=REBUILD))
        return None


def _criteria(
    wanted: Wanted, hashes: Callable[[Iterable[bytes]], list[bytes]]
) -> Iterator[tuple[frozenset[str], list[int]]]:
    """The criteria that an index can answer: each the kinds of key, of which the index must have
    been made for one, and hashes, of which a place must have one.
    """
    for kind, keys in wanted.keys:
        texts = sorted(key.lower() for key in keys)
        yield frozenset({kind}), [number(hashed) for hashed in hashes(texts)]
    if wanted.pattern:
        for kinds, key in keys_in(wanted.pattern):
            yield kinds, [number(hashes([key])[0])]
