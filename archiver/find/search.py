"""Find lines by their keys, their text and their time, and give their neighbours with them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain, pairwise

from archiver.archives.manifest import Frame
from archiver.catalog import Archived, Catalog
from archiver.config.settings import Config, Source
from archiver.errors import Problems
from archiver.find.lookup import Cost, CountedStore, Lookup
from archiver.find.snapshot import Piece, Window, archived_pieces, raw_pieces, snapshot
from archiver.maillog.born import born
from archiver.maillog.lines import NEAR, Span, facts
from archiver.maillog.match import Wanted
from archiver.stores import ReadableStore
from archiver.system.streams import Meter, unwatched
from archiver.system.workers import Workers

# From so many bytes of log on, several processes do a search that must look at every line.
WORTH_PROCESSES, PROCESSES = 2**25, 2
# How many pieces of log are searched ahead.
AHEAD = 4
# How many seconds the time in an id and the time of its lines may differ.
CLOCKS_DIFFER = 60
# A delivery that failed is tried again after 300 seconds (Postfix's queue_run_delay), and perhaps
# once more. Up to TRIED_AGAIN seconds after an id was made, MOST_NEAR frames of each archive are
# read before an index is asked.
TRIED_AGAIN, MOST_NEAR = 900, 4
# How many seconds a program that uses another zone may log too early.
ZONES_DIFFER = 86_400
EVER = Window(-(2**62), 2**62)
# Events that end a message: no later line is about it.
LAST_EVENTS = {"removed", "completed"}


@dataclass(frozen=True)
class Context:
    """How many lines to give before and after each matching line."""

    before: int = 0
    after: int = 0

    def __bool__(self) -> bool:
        return bool(self.before or self.after)


@dataclass(frozen=True)
class FoundLine:
    """A line, as logged.

    time: its instant in seconds since 1970 UTC, if asked for. matches: False: it only stands
    beside a matching line. archive: the key of its archive; None: from the spool or the live log.
    """

    data: bytes
    time: int | None
    matches: bool
    source: str
    archive: str | None


@dataclass
class Search:
    """What is looked for, where, and what the search has cost so far.

    archived: look into archives only. with_times: give each line's time. problems: damaged or
    unreadable files and indexes are added to it.
    """

    config: Config
    stores: Sequence[ReadableStore]
    wanted: Wanted
    now: int
    archived: bool = False
    context: Context = Context()
    with_times: bool = False
    meter: Meter = unwatched
    problems: Problems = field(default_factory=Problems)
    cost: Cost = field(default_factory=Cost)

    def lines(self, catalog: Catalog, source: Source, window: Window) -> Iterator[FoundLine]:
        """Yield the wanted lines of one source within the window, in order."""
        made = self._when_made()
        if made is None or not window.holds(made):
            yield from self._lines(catalog, source, window)
            return
        considered = self.cost.considered
        looked_at: list[tuple[Archived, list[Frame]]] = []
        for later in (CLOCKS_DIFFER, TRIED_AGAIN):
            near = Window(made - CLOCKS_DIFFER, made + later)
            # A frame may be hours long: then the second look would read the same frames again.
            chosen = _near(catalog.between(source.name, near.start, near.end), near)
            if chosen == looked_at:
                break
            looked_at = chosen
            found = list(self._lines(catalog, source, window, near=near))
            if any(_is_last(line.data) for line in found):
                yield from found
                return
            self.cost.considered = considered  # the next look counts them again
        # A program in a chroot without zone files logs UTC instead of the host's zone.
        since = Window(max(window.start, made - ZONES_DIFFER), window.end)
        any_found = False
        for line in self._lines(catalog, source, since):
            any_found = True
            yield line
        if not any_found and since.start > window.start:
            yield from self._lines(catalog, source, Window(window.start, since.start))

    def _when_made(self) -> int | None:
        """The instant that the wanted id holds, if a single id is wanted and it holds one."""
        if len(self.wanted.keys) == 1 and not self.context:
            kind, keys = self.wanted.keys[0]
            if kind == "queue_id" and len(keys) == 1:
                return born(*keys, near=self.now)
        return None

    def _lines(
        self, catalog: Catalog, source: Source, window: Window, *, near: Window | None = None
    ) -> Iterator[FoundLine]:
        """Yield the wanted lines. near: read only the first few archived frames of that time, and
        ask no index.
        """
        host, stores = self.config.host, [CountedStore(each, self.cost) for each in self.stores]
        lookup = Lookup(
            host.name, stores, source.name, self.wanted, cost=self.cost, problems=self.problems
        )

        def choose(some: Catalog) -> list[Archived]:
            if near:
                return some.between(source.name, near.start, near.end)
            return lookup.archives(some, window.start, window.end)

        taken = snapshot(
            self.config,
            catalog,
            source,
            window,
            now=self.now,
            archived=self.archived,
            choose=choose,
        )
        with taken as found:
            raw = found.raw
            if near:
                chosen = _near(found.archived, near)
                raw = ()
                self.cost.considered += len(chosen)
                self.cost.answer("the id itself")
            else:
                chosen = lookup.frames(catalog, found.archived)
                chosen = [(archive, _within(frames, window)) for archive, frames in chosen]
            if self.context:
                chosen = [
                    (archive, _and_neighbours(archive, frames, self.context))
                    for archive, frames in chosen
                ]
            chosen = [(archive, frames) for archive, frames in chosen if frames]
            self.cost.opened += len(chosen)
            self.cost.waves += bool(chosen)
            size = sum(f.raw_size for _, frames in chosen for f in frames)
            size += sum(log.size for log in raw)
            with self.meter(source.name, size) as advance:
                pieces = chain(
                    archived_pieces(chosen, EVER, stores, self.problems, advance),
                    raw_pieces(raw, window, host.zone, advance),
                )
                yield from self._matching(source, pieces, window, size)

    def _matching(
        self, source: Source, pieces: Iterable[Piece], window: Window, size: int
    ) -> Iterator[FoundLine]:
        """Yield the matching lines of these pieces, and their neighbours. size: of all pieces, in
        bytes.
        """
        neighbours = _Neighbours(self.context)
        in_processes = size >= WORTH_PROCESSES and self.wanted.is_slow
        with Workers(PROCESSES if in_processes else 0, _Finder, self.wanted) as crew:
            for piece, spans in _found_ahead(crew, pieces):
                for line, time, matches in self._of_piece(neighbours, piece, spans, window):
                    yield FoundLine(line, time, matches, source.name, piece.archive)

    def _of_piece(
        self, neighbours: "_Neighbours", piece: Piece, spans: list[Span], window: Window
    ) -> Iterator[tuple[bytes, int | None, bool]]:
        if not neighbours.context and not self.with_times and piece.is_within(window):
            yield from ((piece.data[slice(*span)], None, True) for span in spans)
            return
        if not piece.follows:
            neighbours.forget()
        if not spans and not neighbours.is_open:
            neighbours.pass_over(piece)
            return
        starts, at = {first for first, _ in spans}, 0
        for line, time in piece.lines():
            matches = at in starts and window.holds(time)
            at += len(line)
            yield from neighbours.line(line, time, matches)


class _Neighbours:
    """Decides which lines to give with the matching ones, as grep does."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._before: deque[tuple[bytes, int]] = deque(maxlen=context.before)
        self._after = 0

    @property
    def is_open(self) -> bool:
        """Whether the next line belongs to the context of an earlier match."""
        return self._after > 0

    def forget(self) -> None:
        """Forget the lines so far: the next one does not follow them."""
        self._before.clear()
        self._after = 0

    def pass_over(self, piece: Piece) -> None:
        """Take a piece without a match: only its end may be needed."""
        if self.context.before:
            self._before.extend(piece.lines())

    def line(self, line: bytes, time: int, matches: bool) -> Iterator[tuple[bytes, int, bool]]:
        """Take the next line; yield the lines to give, their times, and whether each matches."""
        if matches:
            yield from ((earlier, when, False) for earlier, when in self._before)
            self._before.clear()
            self._after = self.context.after
            yield line, time, True
        elif self._after:
            self._after -= 1
            yield line, time, False
        elif self.context.before:
            self._before.append((line, time))


@dataclass(frozen=True)
class _Finder:
    """Finds the wanted lines, in this process or in another."""

    wanted: Wanted

    def spans(self, before: bytes, data: bytes, after: bytes) -> list[Span]:
        """Return where in `data` the wanted lines stand. before, after: the text around it."""
        begin = len(before)
        found = self.wanted.lines(before + data + after, begin, begin + len(data))
        return [(first - begin, last - begin) for first, last in found]


def _found_ahead(crew: Workers, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, list[Span]]]:
    """Yield each piece with its matching lines; the next few pieces are searched meanwhile."""
    ahead: deque[tuple[Piece, Future[list[Span]]]] = deque()
    end = b""
    for piece, following in pairwise(chain(pieces, [None])):
        if piece is None:
            return
        before = end if piece.follows and not piece.continues else b""
        goes_on = following and following.follows and piece.data.endswith(b"\n")
        after = following.data[:NEAR] if following and goes_on else b""
        end = piece.data[-NEAR:]
        ahead.append((piece, crew.ask("spans", before, piece.data, after)))
        while len(ahead) > (AHEAD if following else 0):
            first, finding = ahead.popleft()
            yield first, finding.result()


def _near(archives: Sequence[Archived], near: Window) -> list[tuple[Archived, list[Frame]]]:
    """Return the first few frames of that time, of each archive."""
    return [(each, _within(each.manifest.frames, near)[:MOST_NEAR]) for each in archives]


def _within(frames: Sequence[Frame], window: Window) -> list[Frame]:
    """Return the frames that may hold lines of the window, and the frame right before each: the
    other part of a line may stand there.
    """
    offsets = {f.offset for f in frames if window.meets(f.first, f.last)}
    return [f for f in frames if f.offset in offsets or f.offset + f.size in offsets]


def _and_neighbours(archive: Archived, frames: Sequence[Frame], context: Context) -> list[Frame]:
    """Return these frames and the ones beside them that hold their context."""
    every = archive.manifest.frames
    chosen = {frame.offset for frame in frames}
    near = {n for n, frame in enumerate(every) if frame.offset in chosen}
    for n in sorted(near):
        for step, wanted in ((-1, context.before), (1, context.after)):
            at, lines = n + step, 0
            while lines < wanted and 0 <= at < len(every):
                near.add(at)
                lines += every[at].lines
                at += step
    return [frame for n, frame in enumerate(every) if n in near]


def _is_last(line: bytes) -> bool:
    return any(fact.event.name in LAST_EVENTS for fact in facts(line))
