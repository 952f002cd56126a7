"""Adopt logs that newsyslog or logrotate left: plain, gzip, bzip2, xz or zstd.

A file is archived like a rotated segment, but read where it lies instead of in the spool, and
never changed. Adopting the same lines twice stores them once: a segment is recognised by the
SHA-256 of its bytes.
"""

import bz2
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from archiver.archives.manifest import Manifest
from archiver.config.settings import Source
from archiver.errors import (
    DamagedInputError,
    IntegrityError,
    NotFoundError,
    SpoolDamagedError,
    UsageError,
    WorkKeptError,
    explained,
)
from archiver.rotation import segments
from archiver.rotation.seal import sealed
from archiver.rotation.spool import Intent, Journal
from archiver.stores.copy import is_sound
from archiver.stores.session import Session
from archiver.system.streams import Readable

MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, gzip.BadGzipFile)


@dataclass(frozen=True)
class Adopted:
    """What became of one file. known: its lines had been archived before. removed: it is gone."""

    path: Path
    manifests: tuple[Manifest, ...]
    known: bool = False
    removed: bool = False


def oldest_first(paths: Sequence[Path]) -> list[Path]:
    """Sort files by when they were last written, so that the chain follows time."""
    return sorted(paths, key=lambda path: (path.stat().st_mtime if path.exists() else 0.0, path))


def adopt(session: Session, source: Source, path: Path, *, remove: bool) -> Adopted:
    """Archive one file's lines as this source's.

    remove: delete the file afterwards, once the required copies of its lines were read back.
    Raises: NotFoundError. UsageError: not a plain file, or a live log. DamagedInputError: it
    cannot be read to its end; nothing of it is stored then. WorkKeptError: it changed meanwhile.
    IntegrityError: with `remove`, too few sound copies are left of what was archived before.
    SpoolDamagedError: its archives changed in the spool.
    """
    with explained(f"importing {path}"), _opened(session, path) as file:
        before = os.fstat(file.fileno())
        journal = Journal(session.config.host.spool_dir, source.name)
        journal.prepare()
        for left in journal.entries():
            if left.sealed.exists() or left.intent.origin != "run":
                segments.finish(session, source, journal, left)
        written = min(max(int(before.st_mtime), 0), session.now)
        entry = journal.begin(Intent("import", str(path.absolute()), written))
        try:
            with _decompressed(path, file) as log:
                segments.seal_segment(session, source, entry, file, log)
            _check_unchanged(path, before)
        except BaseException:
            journal.end(entry)
            raise
        manifests = tuple(manifest for manifest, _ in sealed(entry))
        known = segments.is_archived(session, source, entry)
        delivered = segments.finish(session, source, journal, entry)
        if not known and len(delivered) != len(manifests):
            raise SpoolDamagedError(
                f"the archives of {path} changed before they were stored; the file is kept",
                hint="suspect memory or disk, then import it again",
            )
        if remove:
            if known:
                _check_copies(session, source, path, manifests)
            _check_unchanged(path, before)
            path.unlink()
        return Adopted(path, manifests, known=known, removed=remove)


@contextmanager
def lines_of(session: Session | None, path: Path) -> Iterator[Readable]:
    """Open what a file holds, decompressed. session: the file must not be a live log of it."""
    with _opened(session, path) as file, _decompressed(path, file) as log:
        yield log


@contextmanager
def _opened(session: Session | None, path: Path) -> Iterator[BinaryIO]:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist", hint="check the name") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise UsageError(
            f"{path} is not a plain file", hint="give plain files, not directories or devices"
        )
    with open(descriptor, "rb") as file:
        for source in session.config.sources if session else ():
            if source.path.exists() and os.path.samestat(status, source.path.stat()):
                raise UsageError(
                    f"{path} is the live log of source {source.name!r}",
                    hint=f"use `archiver run --force --source {source.name}`",
                )
        yield file


def _check_copies(
    session: Session, source: Source, path: Path, manifests: Sequence[Manifest]
) -> None:
    """Read back the earlier archives of the same lines: they may be gone or damaged by now."""
    segment = manifests[0].segment
    for manifest in segments.parts_of(session, source, segment) if segment else ():
        sound = sum(is_sound(store, manifest) for store in session.stores)
        if sound < session.config.storage.required:
            raise IntegrityError(
                f"{path} was archived before, but of the {session.config.storage.required} copies "
                f"required of {manifest.archive_key}, {sound} can be read back; the file was not "
                "removed",
                hint="restore that archive from another copy; keep the file until then",
            )


def _check_unchanged(path: Path, before: os.stat_result) -> None:
    after = path.stat()
    same = os.path.samestat(before, after)
    if not same or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise WorkKeptError(
            f"{path} changed while it was being imported",
            hint="something still writes to it: import it again when that has ended",
        )


@contextmanager
def _decompressed(path: Path, file: BinaryIO) -> Iterator[Readable]:
    start = file.read(8)
    file.seek(0)
    kind = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "plain")
    try:
        yield OPENERS[kind](file)
    except (*DAMAGE, OSError) as error:
        # bz2 reports damaged input as an OSError, too, but without an errno.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedInputError(
            f"{path} is damaged: {error} ({kind}); nothing of it was stored",
            hint="look for another copy of the file; what can still be read of this one, save with "
            "the compressor's own tools, and import that",
        ) from error


class _Piece(Protocol):
    """One compressed stream; the decompressors of bz2, lzma and zstandard are alike."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class _Pieces:
    """The content of any number of compressed streams in a row, as `cat a.xz b.xz` makes them.

    EOFError if the last one is cut short: zstandard's stream reader would take that for the end.
    An error if something else follows: bz2 and lzma would take that for the end. Zeros may
    follow, as tapes leave them.
    """

    # One byte of zstd gives at most 32,768 bytes of content: this bounds memory.
    CHUNK = 4096

    def __init__(self, file: BinaryIO, start: Callable[[], _Piece]) -> None:
        self._file = file
        self._start = start
        self._piece: _Piece | None = None
        self._input = b""
        self._ready = bytearray()

    def read(self, size: int, /) -> bytes:
        while len(self._ready) < size:
            self._input = self._input or self._file.read(self.CHUNK)
            if not self._input:
                if self._piece:
                    raise EOFError("it is cut short")
                break
            if self._piece is None:
                self._input = self._input.lstrip(b"\0")
                if not self._input:
                    continue
                self._piece = self._start()
            self._ready += self._piece.decompress(self._input)
            self._input = b""
            if self._piece.eof:
                self._input = self._piece.unused_data
                self._piece = None
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data


OPENERS: dict[str, Callable[[BinaryIO], Readable]] = {
    "plain": lambda file: file,
    "gzip": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    "bzip2": lambda file: _Pieces(file, bz2.BZ2Decompressor),
    "xz": lambda file: _Pieces(file, lzma.LZMADecompressor),
    "zstd": lambda file: _Pieces(file, zstandard.ZstdDecompressor().decompressobj),
}
