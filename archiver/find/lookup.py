"""Find the frames that may hold what is wanted, and read nothing else.

    1  in which archives?   runs, all at once; only if the dates leave more than a few
    2  in which frames?     the indexes of those archives, all at once
    3  the frames           are read by whoever asked, and every line in them is looked at again

An id that tells when it was made needs neither: its day's archive is opened where that time is.
What an index cannot tell (there is none, it is damaged, it was not made for this) is answered
with "all of them": that costs time, never a line.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from archiver.archives.manifest import Frame
from archiver.archives.names import PAGE
from archiver.catalog import Archived, Catalog
from archiver.errors import ArchiverError, IndexFailedError
from archiver.index.merge import identity_of
from archiver.index.pages import DamagedIndexError, Places, hasher, look_up, number
from archiver.index.spans import Span, key_of, spans
from archiver.maillog.match import Wanted, keys_in
from archiver.stores import ReadableStore

# So many archives are asked one by one, without the runs.
FEW = 8
AT_ONCE = 16
REBUILD = "`archiver catalog rebuild --index` makes it again"


@dataclass
class Cost:
    """What a search has cost: `--explain` tells it."""

    considered: int = 0
    opened: int = 0
    reads: int = 0
    bytes: int = 0
    waves: int = 0
    answered: dict[str, int] = field(default_factory=dict)

    def answer(self, by: str, count: int = 1) -> None:
        self.answered[by] = self.answered.get(by, 0) + count


class CountedStore:
    """A store that counts what is read from it."""

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
    """An index to ask: where it is, and what its pages are sealed with."""

    key: str
    pages: Mapping[str, int]
    identity: bytes


class Lookup:
    """Looks for lines that are wanted, in one source's archives."""

    def __init__(
        self,
        host: str,
        stores: Sequence[ReadableStore],
        source: str,
        wanted: Wanted,
        *,
        cost: Cost,
        problems: list[ArchiverError],
    ) -> None:
        self.stores = stores
        self.source = source
        self.cost = cost
        self.problems = problems
        self._asked = list(_criteria(wanted, hasher(host)))

    def archives(self, catalog: Catalog, start: int, end: int) -> list[Archived]:
        """Return the archives that may hold what is wanted, of start <= time < end, in order."""
        numbers = catalog.numbers(self.source, start, end)
        self.cost.considered += len(numbers)
        if not self._asked or len(numbers) <= FEW:
            return catalog.between(self.source, start, end)
        found = self._by_runs(catalog, frozenset(numbers))
        if len(found) * 2 > len(numbers):
            return catalog.between(self.source, start, end)
        return catalog.numbered(self.source, found)

    def frames(
        self, catalog: Catalog, found: Sequence[Archived]
    ) -> list[tuple[Archived, list[Frame]]]:
        """Return the frames of these archives that may hold what is wanted, in order."""
        with_frames = [each for each in found if each.manifest.frames]
        if not self._asked:
            return [(each, list(each.manifest.frames)) for each in with_frames]
        indexes = [
            _Index(key, catalog.copies.index_pages(key), bytes.fromhex(each.manifest.sha256))
            for each in with_frames
            for key in [each.manifest.index_key]
        ]
        frames = []
        for each, places in zip(with_frames, self._ask(indexes, "index"), strict=True):
            of_it = each.manifest.frames
            listed = None if places is None else sorted(n for n in places if n < len(of_it))
            if listed is None:
                self.cost.answer("every frame of an archive")
            frames.append((each, [of_it[n] for n in listed] if listed is not None else list(of_it)))
        return frames

    def _by_runs(self, catalog: Catalog, numbers: frozenset[int]) -> set[int]:
        """Ask the runs which of these archives it may be."""
        head, expired = catalog.head(self.source).sequence, catalog.expired_numbers(self.source)
        there: list[tuple[Span, _Index]] = []
        for span in spans(head, expired):
            if any(n in numbers for n in range(span.first, span.last + 1)):
                key = key_of(catalog.host, self.source, span)
                identity = identity_of(catalog, self.source, span)
                if identity and (pages := catalog.copies.index_pages(key)):
                    there.append((span, _Index(key, pages, identity)))
        rest = set(numbers)
        found: set[int] = set()
        answers = self._ask([index for _, index in there], "run")
        for (span, _), places in zip(there, answers, strict=True):
            if places is not None:
                rest -= set(range(span.first, span.last + 1))
                found |= {span.first + place for place in places} & numbers
        return found | rest

    def _ask(self, indexes: Sequence[_Index], what: str) -> list[set[int] | None]:
        """Return in which places all criteria may be met, for each index; None: it cannot tell.

        All of them are read at once.
        """
        if not indexes:
            return []
        self.cost.waves += 1
        with ThreadPoolExecutor(min(AT_ONCE, len(indexes)), "look up") as pool:
            answers = list(pool.map(self._places, indexes))
        if told := sum(answer is not None for answer in answers):
            self.cost.answer(what, told)
        return answers

    def _places(self, index: _Index) -> set[int] | None:
        """In which places each criterion may be met; None: it cannot tell."""
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
            self.problems.append(IndexFailedError(problem, hint=REBUILD))
        return None


def _criteria(
    wanted: Wanted, hashes: Callable[[Iterable[bytes]], list[bytes]]
) -> Iterator[tuple[frozenset[str], list[int]]]:
    """What must be met, as an index can tell it: of which kinds, and one of these hashes."""
    for kind, keys in wanted.keys:
        texts = sorted(key.lower() for key in keys)
        yield frozenset({kind}), [number(hashed) for hashed in hashes(texts)]
    if wanted.pattern:
        for kinds, key in keys_in(wanted.pattern):
            yield kinds, [number(hashes([key])[0])]
