"""Give logs back: from the archives, the spool and the live log, each line once.

A nightly run may move lines from one to the next meanwhile. So all three are looked at, everything
is opened, and all three are looked at again: if nothing moved in between, the open files are
consistent, and stay so (archives do not change, open files do not go away).
"""

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import BinaryIO
from zoneinfo import ZoneInfo

from archiver.archives.manifest import Frame, Manifest
from archiver.archives.reader import WantedFrames, frames
from archiver.catalog import Archived, Catalog
from archiver.config.settings import Config, Source
from archiver.errors import IntegrityError, Problems, WorkKeptError, explained
from archiver.maillog.clock import Clock, State
from archiver.rotation.spool import Journal
from archiver.stores import ReadableStore, Store, open_stores
from archiver.stores.catch_up import readable
from archiver.stores.copy import is_sound
from archiver.system.streams import Advance, cut
from archiver.system.zone import day_end, day_start, zone_named

FRAME_SIZE = 2**20
Choose = Callable[[Catalog], list[Archived]]
TRIES = 100


@dataclass(frozen=True)
class Window:
    """The instants start <= time < end, in seconds since 1970 UTC."""

    start: int
    end: int

    def holds(self, time: int) -> bool:
        return self.start <= time < self.end

    def meets(self, first: int, last: int) -> bool:
        """Whether the time from first to last, both included, overlaps the window."""
        return first < self.end and last >= self.start


@dataclass(frozen=True)
class RawLog:
    """An open log that is not archived yet. size: its bytes when it was opened. written: the
    instant at which it was last written, or somewhat later.
    """

    file: BinaryIO
    size: int
    written: int


@dataclass(frozen=True)
class Snapshot:
    """The archives and other logs of one source at one moment, in the order of logging."""

    archived: tuple[Archived, ...]
    raw: tuple[RawLog, ...]


def catalogued(
    config: Config, problems: Problems, *, of_host: str | None = None
) -> AbstractContextManager[Catalog]:
    """Open a host's catalog, for reading; see `stores.catch_up.readable`.

    of_host: another host than this one, of which there is no catalog on this machine.
    """
    host, stores = config.host, open_stores(config.storage)
    if of_host and of_host != host.name:
        return readable(None, of_host, stores, problems)
    return readable(host.catalog, host.name, stores, problems)


def day_window(first: date, last: date, zone: ZoneInfo) -> Window:
    """Return the window from the first to the last of these days, both included."""
    return Window(day_start(first, zone), day_end(last, zone))


@contextmanager
def snapshot(
    config: Config,
    catalog: Catalog,
    source: Source,
    window: Window,
    *,
    now: int,
    archived: bool,
    choose: Choose | None = None,
) -> Iterator[Snapshot]:
    """Open everything that may hold lines of the window, as it is at one moment.

    archived: archives only. choose: takes a catalog and returns the archives to read; without it:
    all archives of the window. Raises: WorkKeptError: a run moved logs at each of 100 looks.
    """
    choose = choose or (lambda fresh: fresh.between(source.name, window.start, window.end))
    if archived:
        found = choose(catalog)
        yield Snapshot(tuple(each for each in found if each.manifest.segment), ())
        return
    for _ in range(TRIES):
        with ExitStack() as stack:
            with explained(f"reading the log of {source.name}"):
                before = _look(config, source)
                fresh = stack.enter_context(_fresh(config, catalog))
                raw, names = _open_raw(stack, config, source, now)
                # A segment still in the spool is read there; its archives may not all be ready.
                found = [
                    archive
                    for archive in choose(fresh)
                    if archive.manifest.segment and archive.manifest.segment.name not in names
                ]
                moved = _look(config, source) != before
            if not moved:
                yield Snapshot(tuple(found), tuple(raw))
                return
    raise WorkKeptError(
        f"the logs of {source.name} kept being moved while they were opened ({TRIES} attempts)",
        hint="try again when `archiver run` has ended, or read only archives with --archived",
    )


@contextmanager
def _fresh(config: Config, catalog: Catalog) -> Iterator[Catalog]:
    """Give this catalog; or a new one, if runs do not change this one any more, because it is in
    memory or its file was replaced.
    """
    if catalog.is_the_one_at(config.host.catalog):
        yield catalog
        return
    with catalogued(config, Problems()) as another:
        yield another


def _look(config: Config, source: Source) -> object:
    """Return a value that changes when a run moves anything."""
    try:
        log = os.stat(source.path).st_ino
    except FileNotFoundError:
        log = None
    spool = config.host.spool_dir / source.name
    return log, sorted(os.listdir(spool)) if spool.is_dir() else []


def _open_raw(
    stack: ExitStack, config: Config, source: Source, now: int
) -> tuple[list[RawLog], set[str]]:
    """Open the spool's segments and the live log, as long as they are at one instant."""
    opened: dict[tuple[int, int], tuple[BinaryIO, int]] = {}
    names: set[str] = set()
    candidates = [
        (path, entry.last_written(now), entry.name)
        for entry in Journal(config.host.spool_dir, source.name).entries()
        for path in (entry.open_segment, entry.segment)
    ]
    for path, written, name in [*candidates, (source.path, now, "")]:
        try:
            file = stack.enter_context(open(path, "rb", opener=_at_once))  # noqa: SIM115
        except FileNotFoundError:
            continue
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            continue
        # Between link and rename the log has two names.
        opened.setdefault((status.st_dev, status.st_ino), (file, written))
        names |= {name} - {""}
    # The newest is measured first: then an older one holds all that was written to it before.
    measured = [
        RawLog(file, os.fstat(file.fileno()).st_size, written)
        for file, written in reversed(opened.values())
    ]
    return measured[::-1], names


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: if the log is a FIFO, there may be nobody at its other end."""
    return os.open(path, flags | os.O_NONBLOCK)


@dataclass(frozen=True)
class Piece:
    """A frame of log with what is needed to date its lines.

    span: the earliest and latest instant in it. clock: as it stands before the piece. continues: it
    begins inside a line. follows: it goes on where the piece before it ended. archive: the key of
    the archive; None: from the spool or the live log.
    """

    data: bytes
    span: tuple[int, int]
    clock: Clock
    continues: bool
    follows: bool
    archive: str | None = None

    def lines(self) -> Iterator[tuple[bytes, int]]:
        """Yield each line with the instant it belongs to."""
        return self.clock.lines(self.data, continues=self.continues)

    def is_within(self, window: Window) -> bool:
        return window.start <= self.span[0] and self.span[1] < window.end


def lines(
    snapshot: Snapshot,
    window: Window,
    *,
    zone: ZoneInfo,
    stores: Sequence[ReadableStore],
    problems: Problems,
    advance: Advance = lambda _bytes: None,
) -> Iterator[bytes]:
    """Yield the window's lines, as logged, in large pieces that end where lines end.

    advance: called with the number of bytes looked through. problems: what was damaged is added.
    """
    frames = [(each, each.manifest.frames) for each in snapshot.archived]
    pieces = chain(
        archived_pieces(frames, window, stores, problems, advance),
        raw_pieces(snapshot.raw, window, zone, advance),
    )
    for piece in pieces:
        if piece.is_within(window):
            yield piece.data
        else:
            inside = (line for line, time in piece.lines() if window.holds(time))
            yield b"".join(inside)


def looked_through(snapshot: Snapshot, window: Window) -> int:
    """Return how many bytes of log `lines` will look through."""
    return sum(log.size for log in snapshot.raw) + sum(
        frame.raw_size
        for archive in snapshot.archived
        for frame in archive.manifest.frames
        if window.meets(frame.first, frame.last)
    )


def nearest(archive: Archived, stores: Sequence[ReadableStore]) -> list[ReadableStore]:
    """Return the stores that have a copy of an archive, in the order of `stores`."""
    return [store for store in stores if store.name in archive.copies]


def archived_pieces(
    chosen: Iterable[tuple[Archived, Sequence[Frame]]],
    window: Window,
    stores: Sequence[ReadableStore],
    problems: Problems,
    advance: Advance,
) -> Iterator[Piece]:
    """Yield those of the chosen frames that may hold lines of the window.

    Raises: IntegrityError: a manifest names a zone that this machine does not know.
    """
    parts = (
        WantedFrames(
            archive.manifest,
            [frame for frame in its_frames if window.meets(frame.first, frame.last)],
            nearest(archive, stores),
        )
        for archive, its_frames in chosen
    )
    end = None
    for manifest, frame, data in frames(parts, problems):
        advance(len(data))
        state = State(frame.before, frame.newest)
        clock = Clock(_zone_of(manifest), written=_written(manifest), state=state)
        yield Piece(
            data,
            (frame.first, frame.last),
            clock,
            frame.continues,
            follows=(manifest.archive_key, frame.offset) == end,
            archive=manifest.archive_key,
        )
        end = manifest.archive_key, frame.offset + frame.size


def _zone_of(manifest: Manifest) -> ZoneInfo:
    try:
        return zone_named(manifest.timezone)
    except ValueError as error:
        raise IntegrityError(
            f"{manifest.manifest_key}: {error}",
            hint="update this machine's tzdata: its zone files do not have that zone",
        ) from error


def _written(manifest: Manifest) -> int:
    return manifest.segment.written if manifest.segment else manifest.latest


def raw_pieces(
    logs: Iterable[RawLog], window: Window, zone: ZoneInfo, advance: Advance
) -> Iterator[Piece]:
    """Yield the pieces of these logs that may hold lines of the window."""
    for log in logs:
        clock = Clock(zone, written=log.written)
        continues = follows = False
        for frame in cut(_Limited(log.file, log.size), FRAME_SIZE):
            advance(len(frame))
            before = clock.enter(frame, continues=continues)
            span = clock.survey(frame, continues=continues)
            if is_wanted := window.meets(span.first, span.last):
                first_last, own = (span.first, span.last), clock.again(before)
                yield Piece(frame, first_last, own, continues, follows=follows)
            continues, follows = not frame.endswith(b"\n"), is_wanted


class _Limited(io.RawIOBase):
    """The first `size` bytes of a file that may still grow."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(data)
        return data


def sound_copy(archive: Archived, stores: Sequence[Store]) -> Store:
    """Return a store whose copy of an archive has the manifest's digest.

    Raises: IntegrityError: there is none.
    """
    for store in (store for store in stores if store.name in archive.copies):
        if is_sound(store, archive.manifest):
            return store
    raise IntegrityError(
        f"no store has a sound copy of {archive.manifest.archive_key}",
        hint="`archiver list` names the stores that should have one: are they mounted, and do they "
        "answer?",
    )
