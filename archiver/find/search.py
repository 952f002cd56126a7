"""Find lines: by the keys they tell, by their text, by their time, and with their neighbours."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain, pairwise

from archiver.archives.manifest import Frame
from archiver.catalog import Archived, Catalog
from archiver.config.settings import Config, Source
from archiver.errors import ArchiverError
from archiver.find.lookup import Cost, CountedStore, Lookup
from archiver.find.snapshot import Piece, Window, archived_pieces, raw_pieces, snapshot
from archiver.maillog.born import born
from archiver.maillog.lines import NEAR, Span, facts
from archiver.maillog.match import Wanted
from archiver.stores import ReadableStore
from archiver.system.streams import Meter, unwatched
from archiver.system.workers import Workers

# So much log is looked through by several processes, if a look is slow.
WORTH_PROCESSES, PROCESSES = 2**25, 2
AHEAD = 4
# How far an id's own time and the log's may be apart, in seconds.
CLOCKS_DIFFER = 60
# What could not be delivered is tried again after 300 seconds (Postfix's queue_run_delay), and then
# perhaps again. That long after an id was made, a few frames more are read before an index is.
TRIED_AGAIN, MOST_NEAR = 900, 4
ZONES_DIFFER = 86_400
EVER = Window(-(2**62), 2**62)
# Events that end a message: nothing is logged of it later.
LAST_EVENTS = {"removed", "completed"}


@dataclass(frozen=True)
class Context:
    """How many lines to give before and after each one that matches."""

    before: int = 0
    after: int = 0

    def __bool__(self) -> bool:
        return bool(self.before or self.after)


@dataclass(frozen=True)
class FoundLine:
    """A line, as logged; its instant, if asked for; whether it matches, or only stands beside."""

    data: bytes
    time: int | None
    matches: bool
    source: str
    archive: str | None


@dataclass
class Search:
    """What is looked for, where, and what that has cost so far."""

    config: Config
    stores: Sequence[ReadableStore]
    wanted: Wanted
    now: int
    archived: bool = False
    context: Context = Context()
    with_times: bool = False
    meter: Meter = unwatched
    problems: list[ArchiverError] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)

    def lines(self, catalog: Catalog, source: Source, window: Window) -> Iterator[FoundLine]:
        """Yield the lines of one source that are wanted, of the window, in order."""
        made = self._when_made()
        if made is None or not window.holds(made):
            yield from self._lines(catalog, source, window)
            return
        considered = self.cost.considered
        looked: list[tuple[Archived, list[Frame]]] = []
        for later in (CLOCKS_DIFFER, TRIED_AGAIN):
            near = Window(made - CLOCKS_DIFFER, made + later)
            # A frame may be hours long: then the second look would be the first one again.
            there = _near(catalog.between(source.name, near.start, near.end), near)
            if there == looked:
                break
            looked = there
            found = list(self._lines(catalog, source, window, near=near))
            if any(_is_last(line.data) for line in found):
                yield from found
                return
            self.cost.considered = considered  # they are considered again
        # A program in a chroot without zone files logs UTC: its hours are others.
        since = Window(max(window.start, made - ZONES_DIFFER), window.end)
        any_found = False
        for line in self._lines(catalog, source, since):
            any_found = True
            yield line
        if not any_found and since.start > window.start:
            yield from self._lines(catalog, source, Window(window.start, since.start))

    def _when_made(self) -> int | None:
        """The time that the id looked for tells by itself, if it does."""
        if len(self.wanted.keys) == 1 and not self.context:
            kind, keys = self.wanted.keys[0]
            if kind == "queue_id" and len(keys) == 1:
                return born(*keys, near=self.now)
        return None

    def _lines(
        self, catalog: Catalog, source: Source, window: Window, *, near: Window | None = None
    ) -> Iterator[FoundLine]:
        """Yield the lines that are wanted. near: only from archived frames of that time, the first
        few, without asking an index.
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
                chosen = [(each, _within(frames, window)) for each, frames in chosen]
            if self.context:
                context = self.context
                chosen = [(each, _and_neighbours(each, some, context)) for each, some in chosen]
            chosen = [(each, frames) for each, frames in chosen if frames]
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
        """Yield the lines of these pieces that match, and those around them. size: in bytes."""
        beside = _Beside(self.context)
        by_others = size >= WORTH_PROCESSES and self.wanted.is_slow
        with Workers(PROCESSES if by_others else 0, _Finder, self.wanted) as crew:
            for piece, spans in _found_ahead(crew, pieces):
                for line, time, matches in self._of_piece(beside, piece, spans, window):
                    yield FoundLine(line, time, matches, source.name, piece.archive)

    def _of_piece(
        self, beside: "_Beside", piece: Piece, spans: list[Span], window: Window
    ) -> Iterator[tuple[bytes, int | None, bool]]:
        if not beside.context and not self.with_times and piece.is_within(window):
            yield from ((piece.data[slice(*span)], None, True) for span in spans)
            return
        if not piece.follows:
            beside.forget()
        if not spans and not beside.is_open:
            beside.pass_over(piece)
            return
        starts, at = {first for first, _ in spans}, 0
        for line, time in piece.lines():
            matches = at in starts and window.holds(time)
            at += len(line)
            yield from beside.line(line, time, matches)


class _Beside:
    """Decides which lines to give with those that match, as grep does."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._before: deque[tuple[bytes, int]] = deque(maxlen=context.before)
        self._after = 0

    @property
    def is_open(self) -> bool:
        """Whether the next lines are to be given, or may have to be."""
        return self._after > 0

    def forget(self) -> None:
        """What comes next stands elsewhere."""
        self._before.clear()
        self._after = 0

    def pass_over(self, piece: Piece) -> None:
        """Nothing in this piece matches: only its end may be needed."""
        if self.context.before:
            self._before.extend(piece.lines())

    def line(self, line: bytes, time: int, matches: bool) -> Iterator[tuple[bytes, int, bool]]:
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
    """Finds the lines that are wanted, here or in another process."""

    wanted: Wanted

    def spans(self, before: bytes, data: bytes, after: bytes) -> list[Span]:
        """Return where in `data` they stand. before, after: what stands around it."""
        begin = len(before)
        found = self.wanted.lines(before + data + after, begin, begin + len(data))
        return [(first - begin, last - begin) for first, last in found]


def _found_ahead(crew: Workers, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, list[Span]]]:
    """Yield each piece with the lines in it that match; some are looked through ahead."""
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


def _near(some: Sequence[Archived], near: Window) -> list[tuple[Archived, list[Frame]]]:
    """Return the first few frames of that time, of each archive."""
    return [(each, _within(each.manifest.frames, near)[:MOST_NEAR]) for each in some]


def _within(frames: Sequence[Frame], window: Window) -> list[Frame]:
    """Return the frames that may hold lines of the window, and one right before them: a line in
    the window may belong to one there.
    """
    some = {f.offset for f in frames if window.meets(f.first, f.last)}
    return [f for f in frames if f.offset in some or f.offset + f.size in some]


def _and_neighbours(each: Archived, frames: Sequence[Frame], context: Context) -> list[Frame]:
    """Return these frames and those beside them in which their context stands."""
    every = each.manifest.frames
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
