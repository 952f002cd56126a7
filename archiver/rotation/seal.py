"""Stage 3: turn a closed segment into verified archives and their manifests.

One pass over the segment, however large:

    segment → frames → dated and cut by day → an archive per day, verified as it is written

Only when all of a segment's archives have given back the segment's own bytes are the
manifests written, and the directory renamed from NAME.sealing to NAME.sealed.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from operator import attrgetter
from zoneinfo import ZoneInfo

from archiver import __version__
from archiver.archives.manifest import EMPTY_SHA256, Head, Manifest, Segment, decode, digest, encode
from archiver.archives.names import INDEX_SUFFIX, MANIFEST_SUFFIX
from archiver.archives.writer import ArchiveWriter, Sealed, Threads
from archiver.config.settings import Compress
from archiver.errors import IntegrityError, Problems, SpoolDamagedError
from archiver.index.build import Indexing
from archiver.maillog.clock import Clock
from archiver.maillog.days import DayCutter
from archiver.rotation.spool import Entry
from archiver.system.files import fsync_directory, remove_tree
from archiver.system.streams import Readable, cut
from archiver.system.zone import day_start


@dataclass(frozen=True)
class Origin:
    """Whose log it is: host, source, and the zone of its clock."""

    host: str
    source: str
    zone: ZoneInfo


@dataclass(frozen=True)
class Recipe:
    """How archives are made: the same recipe makes the same bytes of the same log.

    now, tool_version: noted in the manifest as time of sealing and maker. keys: what they are
    indexed by; none: they get no index.
    """

    origin: Origin
    compress: Compress
    now: int
    keys: tuple[str, ...] = ()
    tool_version: str = __version__


def seal(
    entry: Entry,
    stream: Readable,
    recipe: Recipe,
    head: Head,
    *,
    size: int = 0,
    problems: Problems | None = None,
) -> tuple[Manifest, ...]:
    """Archive the segment that `stream` gives, one archive per log date, oldest first.

    Afterwards the entry's sealed directory holds them, their manifests and indexes, durably.
    size: about how many bytes there are, if known. problems: if no index can be made, the reason
    is added. Raises: IntegrityError: what was written does not give back what was read.
    """
    problems = Problems() if problems is None else problems
    with _sealing(entry), ExitStack() as stack:
        index = None
        if recipe.keys:
            host, keys = recipe.origin.host, recipe.keys
            index = stack.enter_context(Indexing(host, keys, entry.sealing, size, problems))
        return _seal(entry, stream, recipe, head, index)


def _seal(
    entry: Entry, stream: Readable, recipe: Recipe, head: Head, index: Indexing | None
) -> tuple[Manifest, ...]:
    origin, compress = recipe.origin, recipe.compress
    written = entry.last_written(recipe.now)
    cutter = DayCutter(Clock(origin.zone, written=written), written=written)
    finished: list[tuple[date, Sealed]] = []
    # The segment's digest. Most segments have only one archive, whose digest that is.
    whole: hashlib._Hash | None = None
    counted = _Counted(stream)
    frames = cut(counted, compress.frame_size)
    taken = [index.add] if index else []
    with Threads(compress.level) as workers:
        for day, stretches in groupby(cutter.cut(frames), key=attrgetter("day")):
            path = entry.sealing / f"{len(finished) + 1}.archive"
            with ArchiveWriter(path, workers, whole, *taken) as current:
                for stretch in stretches:
                    current.add(stretch)
                sealed = current.finish()
                if index:
                    index.finish(path.with_suffix(INDEX_SUFFIX), bytes.fromhex(sealed.sha256))
                finished.append((day, sealed))
            whole = whole or current.raw.copy()
    if sum(archive.raw_size for _, archive in finished) != counted.bytes:
        raise IntegrityError(
            f"the archives of {entry.name} do not hold all of its {counted.bytes} bytes",
            hint="this is a bug in archiver: the segment is kept; please report it",
        )
    segment = Segment(
        name=entry.name,
        origin=entry.intent.origin,
        path=entry.intent.path,
        written=written,
        sha256=whole.hexdigest() if whole else EMPTY_SHA256,
        parts=len(finished),
    )
    manifests = _manifests(finished, recipe, head, segment)
    for part, manifest in enumerate(manifests, start=1):
        made = entry.sealing / f"{part}.archive"
        made.rename(entry.sealing / os.path.basename(manifest.archive_key))
        with suppress(FileNotFoundError):
            index_file = made.with_suffix(INDEX_SUFFIX)
            index_file.rename(entry.sealing / os.path.basename(manifest.index_key))
    _publish(entry, manifests)
    return manifests


def seal_empty_days(
    entry: Entry, days: Sequence[date], recipe: Recipe, head: Head
) -> tuple[Manifest, ...]:
    """Seal one manifest without an archive for each of `days`, oldest first."""
    no_archive = Sealed(None, 0, EMPTY_SHA256, 0, EMPTY_SHA256, 0, ())
    finished = [(day, no_archive) for day in days]
    manifests = _manifests(finished, recipe, head, None)
    with _sealing(entry):
        _publish(entry, manifests)
    return manifests


@contextmanager
def _sealing(entry: Entry) -> Iterator[None]:
    """Make the directory to build in, and remove it after a failure: the disk may be full."""
    remove_tree(entry.sealing)
    entry.sealing.mkdir(0o700)
    try:
        yield
    except BaseException:
        remove_tree(entry.sealing)
        raise


def sealed(entry: Entry) -> list[tuple[Manifest, bytes]]:
    """Return the manifests of what has been sealed, and their bytes, in the chain's order.

    Raises: IntegrityError: one has been damaged since, or is missing.
    """
    names = [name for name in os.listdir(entry.sealed) if name.endswith(MANIFEST_SUFFIX)]
    # A name ends in "-<sequence>", of a fixed width.
    ordered = sorted(names, key=lambda name: name.removesuffix(MANIFEST_SUFFIX).rsplit("-", 1)[1])
    documents = [(entry.sealed / name).read_bytes() for name in ordered]
    try:
        found = [(decode(document), document) for document in documents]
    except ValueError as error:
        raise _damaged(entry, str(error)) from error
    of_lines = [manifest for manifest, _ in found if not manifest.is_empty_day]
    if of_lines and not is_whole(of_lines):
        raise _damaged(entry, "a part of the segment is missing")
    return found


def is_whole(manifests: Sequence[Manifest]) -> bool:
    """Whether these are the archives of one segment, all of them."""
    segments = [manifest.segment for manifest in manifests]
    if not segments or not segments[0]:
        return False
    parts = range(1, segments[0].parts + 1)
    return sorted(segment.part for segment in segments if segment) == list(parts)


def check_sealed(entry: Entry) -> list[tuple[Manifest, bytes]]:
    """Return what `sealed` does, after reading every byte of the archives.

    Raises: IntegrityError: they are not what was sealed, or do not hold all of their segment.
    """
    found = sealed(entry)
    for manifest, _ in found:
        if manifest.is_empty_day:
            continue
        path = entry.sealed / os.path.basename(manifest.archive_key)
        try:
            with open(path, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise _damaged(entry, f"{path.name} is missing") from error
        if sha256 != manifest.sha256:
            raise _damaged(entry, f"{path.name} has changed since it was sealed")
    if entry.segment.exists():
        size = entry.segment.stat().st_size
        if size != sum(manifest.raw_size for manifest, _ in found):
            raise _damaged(entry, f"its archives do not hold the {size} bytes of {entry.segment}")
    return found


def _damaged(entry: Entry, how: str) -> SpoolDamagedError:
    return SpoolDamagedError(
        f"{entry.sealed}: {how}",
        hint="suspect the disk. If the segment (.log) lies beside it, the next run makes the "
        "archives again; if not, compare them with the stores, and remove them only if all are "
        "there",
    )


class _Counted:
    """Counts the bytes that are read: none may be missing from the archives."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.bytes = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self.bytes += len(data)
        return data


def _manifests(
    finished: Sequence[tuple[date, Sealed]], recipe: Recipe, head: Head, segment: Segment | None
) -> tuple[Manifest, ...]:
    """Chain the manifests of one segment's archives, or of empty days, to the head."""
    origin, manifests = recipe.origin, []
    for part, (day, archive) in enumerate(finished, start=1):
        start = day_start(day, origin.zone)
        manifest = Manifest(
            host=origin.host,
            source=origin.source,
            date=day,
            timezone=origin.zone.key,
            sequence=head.sequence + 1,
            previous=head.digest,
            first_line=start if archive.first_line is None else archive.first_line,
            earliest=min((frame.first for frame in archive.frames), default=start),
            latest=max((frame.last for frame in archive.frames), default=start),
            lines=archive.lines,
            raw_size=archive.raw_size,
            raw_sha256=archive.raw_sha256,
            size=archive.size,
            sha256=archive.sha256,
            level=recipe.compress.level if segment else 0,
            frames=archive.frames,
            segment=replace(segment, part=part) if segment else None,
            sealed_at=recipe.now,
            tool_version=recipe.tool_version,
        )
        head = Head(manifest.sequence, digest(encode(manifest)))
        manifests.append(manifest)
    return tuple(manifests)


def _publish(entry: Entry, manifests: Sequence[Manifest]) -> None:
    """Write the manifests beside their archives; then the directory becomes NAME.sealed."""
    for manifest in manifests:
        path = entry.sealing / os.path.basename(manifest.manifest_key)
        with open(path, "xb") as file:
            file.write(encode(manifest))
            file.flush()
            os.fsync(file.fileno())
    fsync_directory(entry.sealing)
    os.rename(entry.sealing, entry.sealed)
    fsync_directory(entry.directory)
