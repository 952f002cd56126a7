"""Read frames of an archive from whichever copy gives them whole."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Protocol

import zstandard

from archiver.archives.manifest import Frame, Manifest
from archiver.errors import (
    ArchiverError,
    ColdError,
    IntegrityError,
    NotFoundError,
    Problems,
    StoreError,
)


class ReadableStore(Protocol):
    """The part of a store that it takes to read from it. is_near: reading costs no requests."""

    @property
    def name(self) -> str: ...

    @property
    def is_near(self) -> bool: ...

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from offset `start` on: `length` of them; without a length, all that
        there are, if any.

        Raises: NotFoundError: there is no such key. IntegrityError: it has fewer bytes. ColdError:
        it must be restored first. StoreError: the store could not be reached, or refused.
        """


DECOMPRESSORS = 2
# How many frames are decompressed ahead of whoever takes them.
AHEAD = 3
# How many ranges are read at once from far stores. A range of more than LONG bytes, as stored, is
# read alone: it keeps the line busy by itself.
AT_ONCE, LONG = 8, 4 * 2**20


@dataclass(frozen=True)
class WantedFrames:
    """The wanted frames of one archive. stores: those that should hold a copy, nearest first."""

    manifest: Manifest
    frames: Sequence[Frame]
    stores: Sequence[ReadableStore]

    @property
    def is_worth_a_thread(self) -> bool:
        far = bool(self.stores) and not self.stores[0].is_near
        return far and sum(frame.size for frame in self.frames) <= LONG


def frames(
    parts: Iterable[WantedFrames], problems: Problems
) -> Iterator[tuple[Manifest, Frame, bytes]]:
    """Yield the wanted frames of each archive with their log, decompressed, in order.

    A frame that no copy gives whole is left out. Each damaged or unreadable copy is added to
    `problems`, also where another copy replaced it.
    """
    ahead: deque[tuple[WantedFrames, Frame, Future[bytes]]] = deque()
    with ThreadPoolExecutor(DECOMPRESSORS, "decompress") as pool:
        for wanted, frame, stored in _read_ahead(_ranges(parts), problems):
            ahead.append((wanted, frame, pool.submit(_decompress, wanted.manifest, frame, stored)))
            if len(ahead) > AHEAD:
                yield from _first(ahead, problems)
        while ahead:
            yield from _first(ahead, problems)


def _first(
    ahead: deque[tuple[WantedFrames, Frame, Future[bytes]]], problems: Problems
) -> Iterator[tuple[Manifest, Frame, bytes]]:
    wanted, frame, decompressing = ahead.popleft()
    manifest = wanted.manifest
    try:
        yield manifest, frame, decompressing.result()
    except IntegrityError as problem:
        problems.add(problem)
        for store in wanted.stores:
            try:
                stored = b"".join(store.stream(manifest.archive_key, frame.offset, frame.size))
                data = _decompress(manifest, frame, stored)
            except ArchiverError as another:
                if another.message != problem.message:
                    problems.add(another)
            else:
                yield manifest, frame, data
                return


def _ranges(parts: Iterable[WantedFrames]) -> Iterator[WantedFrames]:
    """Split the parts so that the frames of each lie side by side: one range of bytes to read."""
    for part in parts:
        for adjacent in _neighbours(part.frames):
            yield replace(part, frames=adjacent)


def _read_ahead(
    ranges: Iterable[WantedFrames], problems: Problems
) -> Iterator[tuple[WantedFrames, Frame, bytes]]:
    """Yield the frames of the ranges, still compressed, in order; several are read at once."""
    ahead: deque[tuple[WantedFrames, Future[_Read] | None]] = deque()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE, "read"))
        stack.callback(lambda: [reading.cancel() for _, reading in ahead if reading])
        for part in chain(ranges, [None]):
            if part:
                reading = pool.submit(_whole, part) if part.is_worth_a_thread else None
                ahead.append((part, reading))
            while ahead and (part is None or len(ahead) > AT_ONCE or not ahead[0][1]):
                first, reading = ahead.popleft()
                if reading:
                    found, its_problems = reading.result()
                    problems.add(*its_problems)
                else:
                    found = _stored(first, problems)
                yield from ((first, frame, stored) for frame, stored in found)


_Read = tuple[Iterable[tuple[Frame, bytes]], Problems]


def _whole(part: WantedFrames) -> _Read:
    problems = Problems()
    return list(_stored(part, problems)), problems


def _neighbours(wanted: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Group frames that lie side by side."""
    adjacent = list(wanted[:1])
    for frame, following in pairwise(wanted):
        if frame.offset + frame.size != following.offset:
            yield adjacent
            adjacent = []
        adjacent.append(following)
    if adjacent:
        yield adjacent


def _stored(part: WantedFrames, problems: Problems) -> Iterator[tuple[Frame, bytes]]:
    """Yield the range's frames, still compressed; where one store stops short, the next goes on."""
    manifest, wanted = part.manifest, part.frames
    end = wanted[-1].offset + wanted[-1].size
    at = 0
    for store in part.stores:
        start = wanted[at].offset
        chunks = store.stream(manifest.archive_key, start, end - start)
        rest = bytearray()
        try:
            for chunk in chunks:
                rest += chunk
                while at < len(wanted) and len(rest) >= wanted[at].size:
                    frame = wanted[at]
                    at += 1
                    yield frame, bytes(rest[: frame.size])
                    del rest[: frame.size]
        except NotFoundError as problem:
            problems.add(IntegrityError(problem.message, hint=problem.hint))
        except (StoreError, IntegrityError) as problem:
            problems.add(problem)
        if at == len(wanted):
            return
    cold = {problem.key for problem in problems if isinstance(problem, ColdError)}
    if manifest.archive_key in cold:
        return  # once restored, the frames can be read
    count = f"{len(wanted) - at} frame{'s' if len(wanted) - at > 1 else ''}"
    problems.add(
        IntegrityError(
            f"{manifest.archive_key}: {count} could not be read from any store",
            hint="`archiver list` names the stores that should hold it: are they mounted, and do "
            "they answer?",
        )
    )


def _decompress(manifest: Manifest, frame: Frame, stored: bytes) -> bytes:
    try:
        # The frame's header is checked first: a damaged one might claim any amount of memory.
        if zstandard.frame_content_size(stored) == frame.raw_size:
            data: bytes = zstandard.ZstdDecompressor().decompress(stored)
            if len(data) == frame.raw_size:
                return data
    except zstandard.ZstdError:
        pass
    raise IntegrityError(
        f"{manifest.archive_key} is damaged: the frame at byte {frame.offset} "
        f"({frame.size} bytes) does not give back its {frame.lines} lines",
        hint="`archiver repair` replaces this copy, if another store has a sound one",
    )
