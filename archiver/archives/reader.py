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
from archiver.errors import ArchiverError, ColdError, IntegrityError, NotFoundError, StoreError


class ReadableStore(Protocol):
    """As much of a store as it takes to read from it. is_near: reading costs no requests."""

    @property
    def name(self) -> str: ...

    @property
    def is_near(self) -> bool: ...

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` on: `length` of them, or all there are, if any.

        Raises: NotFoundError: there is no such key. IntegrityError: fewer bytes are there.
        ColdError: it must be restored first.
        """


DECOMPRESSORS = 2
AHEAD = 3
# From far stores: so many ranges are read at once, but for long ones, which keep a line busy
# alone; bytes as stored.
AT_ONCE, LONG = 8, 4 * 2**20


@dataclass(frozen=True)
class WantedFrames:
    """What is wanted of one archive. stores: said to hold a copy, nearest first."""

    manifest: Manifest
    frames: Sequence[Frame]
    stores: Sequence[ReadableStore]

    @property
    def is_worth_a_thread(self) -> bool:
        far = bool(self.stores) and not self.stores[0].is_near
        return far and sum(frame.size for frame in self.frames) <= LONG


def frames(
    parts: Iterable[WantedFrames], problems: list[ArchiverError]
) -> Iterator[tuple[Manifest, Frame, bytes]]:
    """Yield the wanted frames of each archive with their lines, in order.

    A frame that no copy gives whole is left out, and told in `problems`, which grows also where
    another copy had to help.
    """
    ahead: deque[tuple[WantedFrames, Frame, Future[bytes]]] = deque()
    with ThreadPoolExecutor(DECOMPRESSORS, "decompress") as pool:
        for each, frame, stored in _read_ahead(_ranges(parts), problems):
            ahead.append((each, frame, pool.submit(_decompress, each.manifest, frame, stored)))
            if len(ahead) > AHEAD:
                yield from _first(ahead, problems)
        while ahead:
            yield from _first(ahead, problems)


def _first(
    ahead: deque[tuple[WantedFrames, Frame, Future[bytes]]], problems: list[ArchiverError]
) -> Iterator[tuple[Manifest, Frame, bytes]]:
    each, frame, decompressing = ahead.popleft()
    manifest = each.manifest
    try:
        yield manifest, frame, decompressing.result()
    except IntegrityError as problem:
        problems.append(problem)
        for store in each.stores:
            try:
                stored = b"".join(store.stream(manifest.archive_key, frame.offset, frame.size))
                data = _decompress(manifest, frame, stored)
            except ArchiverError as another:
                if another.message != problem.message:
                    problems.append(another)
            else:
                yield manifest, frame, data
                return


def _ranges(parts: Iterable[WantedFrames]) -> Iterator[WantedFrames]:
    """Yield them in pieces whose frames lie side by side: each is one range to read."""
    for part in parts:
        for run in _neighbours(part.frames):
            yield replace(part, frames=run)


def _read_ahead(
    ranges: Iterable[WantedFrames], problems: list[ArchiverError]
) -> Iterator[tuple[WantedFrames, Frame, bytes]]:
    """Yield the frames of the ranges, as stored, in order; several ranges are read at once."""
    ahead: deque[tuple[WantedFrames, Future[_Read] | None]] = deque()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE, "read"))
        stack.callback(lambda: [reading.cancel() for _, reading in ahead if reading])
        for each in chain(ranges, [None]):
            if each:
                ahead.append((each, pool.submit(_whole, each) if each.is_worth_a_thread else None))
            while ahead and (each is None or len(ahead) > AT_ONCE or not ahead[0][1]):
                first, reading = ahead.popleft()
                if reading:
                    found, wrong = reading.result()
                    problems += wrong
                else:
                    found = _stored(first, problems)
                yield from ((first, frame, stored) for frame, stored in found)


_Read = tuple[Iterable[tuple[Frame, bytes]], list[ArchiverError]]


def _whole(each: WantedFrames) -> _Read:
    problems: list[ArchiverError] = []
    return list(_stored(each, problems)), problems


def _neighbours(wanted: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Group frames that lie side by side."""
    run = list(wanted[:1])
    for frame, following in pairwise(wanted):
        if frame.offset + frame.size != following.offset:
            yield run
            run = []
        run.append(following)
    if run:
        yield run


def _stored(each: WantedFrames, problems: list[ArchiverError]) -> Iterator[tuple[Frame, bytes]]:
    """Yield the range's frames as stored; where one store stops short, the next goes on."""
    manifest, run = each.manifest, each.frames
    at = 0
    for store in each.stores:
        start = run[at].offset
        chunks = store.stream(manifest.archive_key, start, run[-1].offset + run[-1].size - start)
        rest = bytearray()
        try:
            for chunk in chunks:
                rest += chunk
                while at < len(run) and len(rest) >= run[at].size:
                    frame = run[at]
                    at += 1
                    yield frame, bytes(rest[: frame.size])
                    del rest[: frame.size]
        except NotFoundError as problem:
            problems.append(IntegrityError(problem.message, hint=problem.hint))
        except (StoreError, IntegrityError) as problem:
            if problem.message not in [each.message for each in problems]:
                problems.append(problem)
        if at == len(run):
            return
    cold = {problem.key for problem in problems if isinstance(problem, ColdError)}
    if manifest.archive_key in cold:
        return  # they can be read, later
    problems.append(
        IntegrityError(
            f"{manifest.archive_key}: {len(run) - at} frames could be read from no store",
            hint="see `archiver status`; is the store there that `archiver list` names?",
        )
    )


def _decompress(manifest: Manifest, frame: Frame, stored: bytes) -> bytes:
    try:
        # The frame's own header is asked first: a damaged one must not ask for memory.
        if zstandard.frame_content_size(stored) == frame.raw_size:
            data: bytes = zstandard.ZstdDecompressor().decompress(stored)
            if len(data) == frame.raw_size:
                return data
    except zstandard.ZstdError:
        pass
    raise IntegrityError(
        f"{manifest.archive_key} is damaged: the frame at byte {frame.offset} "
        f"({frame.size} bytes) does not give back its {frame.lines} lines",
        hint="its other frames are sound; bring the archive back from another copy",
    )
