"""Read frames of an archive from whichever copy gives them whole."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import zstandard

from archiver.errors import ArchiverError, IntegrityError, NotFoundError, StoreError
from archiver.manifest import Frame, Manifest
from archiver.stores import ReadableStore

DECOMPRESSORS = 2
AHEAD = 3


def frames(
    manifest: Manifest,
    wanted: Sequence[Frame],
    stores: Sequence[ReadableStore],
    problems: list[ArchiverError],
) -> Iterator[tuple[Frame, bytes]]:
    """Yield the wanted frames of an archive with their lines, in order.

    stores: those said to hold a copy, nearest first. A frame that no copy gives whole is
    left out, and told in `problems`, which grows also where another copy had to help.
    """
    ahead: deque[tuple[Frame, Future[bytes]]] = deque()
    with ThreadPoolExecutor(DECOMPRESSORS, "decompress") as pool:
        for run in _neighbours(wanted):
            for frame, stored in _stored(manifest, run, stores, problems):
                ahead.append((frame, pool.submit(_decompress, manifest, frame, stored)))
                if len(ahead) > AHEAD:
                    yield from _first(manifest, ahead, stores, problems)
        while ahead:
            yield from _first(manifest, ahead, stores, problems)


def _first(
    manifest: Manifest,
    ahead: deque[tuple[Frame, Future[bytes]]],
    stores: Sequence[ReadableStore],
    problems: list[ArchiverError],
) -> Iterator[tuple[Frame, bytes]]:
    frame, decompressing = ahead.popleft()
    try:
        yield frame, decompressing.result()
    except IntegrityError as problem:
        problems.append(problem)
        for store in stores:
            try:
                stored = b"".join(store.stream(manifest.archive_key, frame.offset, frame.size))
                data = _decompress(manifest, frame, stored)
            except ArchiverError as another:
                if another.message != problem.message:
                    problems.append(another)
            else:
                yield frame, data
                return


def _neighbours(wanted: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Group frames that lie side by side: each group is one range to read."""
    run = list(wanted[:1])
    for frame, following in pairwise(wanted):
        if frame.offset + frame.size != following.offset:
            yield run
            run = []
        run.append(following)
    if run:
        yield run


def _stored(
    manifest: Manifest,
    run: Sequence[Frame],
    stores: Sequence[ReadableStore],
    problems: list[ArchiverError],
) -> Iterator[tuple[Frame, bytes]]:
    """Yield the run's frames as stored; where one store stops short, the next goes on."""
    at = 0
    for store in stores:
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
            problems.append(problem)
        if at == len(run):
            return
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
