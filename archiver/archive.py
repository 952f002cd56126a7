"""Stage 3: turn a closed segment into verified archives and their manifests.

One pass over the segment, however large:

    segment → frames → dated and cut by day → an archive per day, verified as it is written

Only when all of a segment's archives have given back the segment's own bytes are the
manifests written, and the directory renamed from NAME.sealing to NAME.sealed.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from operator import attrgetter
from zoneinfo import ZoneInfo

from archiver import __version__
from archiver.config import Compress
from archiver.durable import fsync_directory, remove_tree
from archiver.errors import IntegrityError, SpoolDamagedError
from archiver.frames import Readable, cut
from archiver.journal import Entry
from archiver.maillog.clock import Clock
from archiver.maillog.days import DayCutter
from archiver.manifest import (
    EMPTY_SHA256,
    MANIFEST_SUFFIX,
    Head,
    Manifest,
    Segment,
    decode,
    digest,
    encode,
)
from archiver.seekable import ArchiveWriter, Sealed, Workers
from archiver.zone import day_start


@dataclass(frozen=True)
class Origin:
    """Whose log it is: host, source, and the zone of its clock."""

    host: str
    source: str
    zone: ZoneInfo


def seal(
    entry: Entry, stream: Readable, *, origin: Origin, compress: Compress, head: Head, now: int
) -> tuple[Manifest, ...]:
    """Archive the segment that `stream` gives, one archive per log date, oldest first.

    Afterwards the entry's sealed directory holds them and their manifests, durably.
    now: the instant noted as time of sealing.
    Raises: IntegrityError: what was written does not give back what was read.
    """
    with _sealing(entry):
        return _seal(entry, stream, origin, compress, head, now)


def _seal(
    entry: Entry, stream: Readable, origin: Origin, compress: Compress, head: Head, now: int
) -> tuple[Manifest, ...]:
    written = entry.last_written(now)
    cutter = DayCutter(Clock(origin.zone, written=written), written=written)
    finished: list[tuple[date, Sealed]] = []
    # The segment's digest: for most it is that of their only archive.
    whole: hashlib._Hash | None = None
    frames = cut(stream, compress.frame_size)
    with Workers(compress.level) as workers:
        for day, stretches in groupby(cutter.cut(frames), key=attrgetter("day")):
            path = entry.sealing / f"{len(finished) + 1}.archive"
            with ArchiveWriter(path, workers, whole) as current:
                for stretch in stretches:
                    current.add(stretch)
                finished.append((day, current.finish()))
            whole = whole or current.raw.copy()
    segment = Segment(
        name=entry.name,
        origin=entry.intent.origin,
        path=entry.intent.path,
        written=written,
        sha256=whole.hexdigest() if whole else EMPTY_SHA256,
        parts=len(finished),
    )
    manifests = _manifests(finished, origin, compress, head, segment, now)
    for part, manifest in enumerate(manifests, start=1):
        os.rename(
            entry.sealing / f"{part}.archive",
            entry.sealing / os.path.basename(manifest.archive_key),
        )
    _publish(entry, manifests)
    return manifests


def seal_empty_days(
    entry: Entry, days: Sequence[date], *, origin: Origin, head: Head, now: int
) -> tuple[Manifest, ...]:
    """Seal one manifest without an archive for each of `days`, oldest first."""
    nothing = Sealed(None, 0, EMPTY_SHA256, 0, EMPTY_SHA256, 0, ())
    finished = [(day, nothing) for day in days]
    manifests = _manifests(finished, origin, Compress(), head, None, now)
    with _sealing(entry):
        _publish(entry, manifests)
    return manifests


@contextmanager
def _sealing(entry: Entry) -> Iterator[None]:
    """Have a directory to build in, and leave none behind on a disk that may be full."""
    remove_tree(entry.sealing)
    entry.sealing.mkdir(0o700)
    try:
        yield
    except BaseException:
        remove_tree(entry.sealing)
        raise


def sealed(entry: Entry) -> list[tuple[Manifest, bytes]]:
    """Return the manifests of what has been sealed, and their bytes, in the chain's order.

    Raises: IntegrityError: one was damaged since.
    """
    names = [name for name in os.listdir(entry.sealed) if name.endswith(MANIFEST_SUFFIX)]
    # A name ends in "-<sequence>", of a fixed width.
    ordered = sorted(names, key=lambda name: name.removesuffix(MANIFEST_SUFFIX).rsplit("-", 1)[1])
    documents = [(entry.sealed / name).read_bytes() for name in ordered]
    try:
        return [(decode(document), document) for document in documents]
    except ValueError as error:
        raise IntegrityError(
            f"{entry.sealed}: {error}",
            hint=f"remove that directory: {entry.segment} is archived again by the next run",
        ) from error


def check_sealed(entry: Entry, manifest: Manifest) -> None:
    """Raise SpoolDamagedError unless a sealed archive is still what its manifest says."""
    if manifest.is_empty_day:
        return
    path = entry.sealed / os.path.basename(manifest.archive_key)
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256:
            raise SpoolDamagedError(
                f"{path} has changed since it was sealed",
                hint="suspect the disk; it is made again from its segment by the next run",
            )


def _manifests(
    finished: Sequence[tuple[date, Sealed]],
    origin: Origin,
    compress: Compress,
    head: Head,
    segment: Segment | None,
    now: int,
) -> tuple[Manifest, ...]:
    """Chain the manifests of one segment's archives, or of empty days, to the head."""
    manifests = []
    for part, (day, sealed) in enumerate(finished, start=1):
        start = day_start(day, origin.zone)
        manifest = Manifest(
            host=origin.host,
            source=origin.source,
            date=day,
            timezone=origin.zone.key,
            sequence=head.sequence + 1,
            previous=head.digest,
            first_line=start if sealed.first_line is None else sealed.first_line,
            earliest=min((frame.first for frame in sealed.frames), default=start),
            latest=max((frame.last for frame in sealed.frames), default=start),
            lines=sealed.lines,
            raw_size=sealed.raw_size,
            raw_sha256=sealed.raw_sha256,
            size=sealed.size,
            sha256=sealed.sha256,
            level=compress.level if segment else 0,
            frames=sealed.frames,
            segment=replace(segment, part=part) if segment else None,
            sealed_at=now,
            tool_version=__version__,
        )
        head = Head(manifest.sequence, digest(encode(manifest)))
        manifests.append(manifest)
    return tuple(manifests)


def _publish(entry: Entry, manifests: Sequence[Manifest]) -> None:
    """Write the manifests beside their archives, and give the whole its name."""
    for manifest in manifests:
        path = entry.sealing / os.path.basename(manifest.manifest_key)
        with open(path, "xb") as file:
            file.write(encode(manifest))
            file.flush()
            os.fsync(file.fileno())
    fsync_directory(entry.sealing)
    os.rename(entry.sealing, entry.sealed)
    fsync_directory(entry.directory)
