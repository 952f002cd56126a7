"""The catalog: which archives there are, what they hold, and where their copies are.

All SQL of this program. Everything in it is derived from the manifests on the stores:
`catch_up` brings it level with them, and on an empty catalog that is a rebuild, with the
same content whatever became of the old one.
Write-ahead logging (sqlite.org/wal.html): readers go on while a run writes.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from archiver.durable import fsync_directory, remove
from archiver.errors import ArchiverError, ChainError, IntegrityError
from archiver.manifest import (
    ARCHIVE_SUFFIX,
    MANIFEST_SUFFIX,
    Head,
    Manifest,
    decode,
    digest,
    host_prefix,
)
from archiver.stores import Store, holds
from archiver.zone import local_date

SCHEMA = 1
REBUILD_HINT = "it is derived data: `archiver catalog rebuild` makes it anew from the stores"
DDL = """
CREATE TABLE manifest (
    key      TEXT PRIMARY KEY,  -- of the manifest, on every store
    host     TEXT NOT NULL,
    source   TEXT NOT NULL,
    date     TEXT NOT NULL,     -- YYYY-MM-DD, in the host's zone
    sequence INTEGER NOT NULL,  -- place in the chain of its host and source
    digest   TEXT NOT NULL,     -- SHA-256 of document
    earliest INTEGER NOT NULL,  -- seconds since 1970 UTC
    latest   INTEGER NOT NULL,
    segment  TEXT,              -- name of the segment; NULL: a day without lines
    origin   TEXT,              -- run, import; NULL likewise
    written  INTEGER,           -- when the segment was rotated; NULL likewise
    segment_sha256 TEXT,
    lines    INTEGER NOT NULL,
    raw_size INTEGER NOT NULL,  -- bytes of log
    size     INTEGER NOT NULL,  -- bytes of archive; 0: a day without lines
    sha256   TEXT NOT NULL,     -- of the archive
    document BLOB NOT NULL      -- the manifest, as stored, compressed with zlib
) STRICT;
CREATE INDEX manifest_by_chain ON manifest (host, source, sequence);
CREATE INDEX manifest_by_time ON manifest (host, source, latest);
CREATE INDEX manifest_by_segment ON manifest (segment_sha256);
CREATE TABLE copy (
    key    TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (key, target)
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Archived:
    """A manifest as catalogued, and the targets that hold a copy."""

    manifest: Manifest
    copies: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """What a list tells of a manifest: instants, sizes in bytes, targets with a copy."""

    key: str
    source: str
    date: date
    sequence: int
    earliest: int
    latest: int
    lines: int
    raw_size: int
    size: int
    sha256: str
    is_empty_day: bool
    copies: tuple[str, ...]

    @property
    def archive_key(self) -> str:
        return self.key.removesuffix(MANIFEST_SUFFIX) + ARCHIVE_SUFFIX


class Catalog:
    """An open catalog of one host's archives."""

    def __init__(self, connection: sqlite3.Connection, host: str) -> None:
        self._sql = connection
        self.host = host

    def close(self) -> None:
        self._sql.close()

    def quick_check(self) -> bool:
        """Whether SQLite finds the file whole."""
        return self._sql.execute("PRAGMA quick_check").fetchall() == [("ok",)]

    # -- questions ---------------------------------------------------------------------

    def count(self) -> int:
        (count,) = self._sql.execute("SELECT count(*) FROM manifest").fetchone()
        return int(count)

    def head(self, source: str) -> Head:
        """Return the newest manifest of a source's chain."""
        row = self._sql.execute(
            "SELECT sequence, digest FROM manifest WHERE host = ? AND source = ?"
            " ORDER BY sequence DESC LIMIT 1",
            (self.host, source),
        ).fetchone()
        return Head(*row) if row else Head()

    def between(self, source: str, start: int, end: int) -> list[Archived]:
        """Return what may hold lines of start <= time < end, in the order of their names."""
        return self._archived("earliest < ? AND latest >= ?", source, end, start)

    def summaries(self, source: str) -> list[Summary]:
        """Return what there is of a source, in the order of the names."""
        rows = self._sql.execute(
            "SELECT key, source, date, sequence, earliest, latest, lines, raw_size, size, sha256,"
            " segment IS NULL, (SELECT group_concat(target, char(10)) FROM copy"
            " WHERE copy.key = manifest.key) FROM manifest WHERE host = ? AND source = ?"
            " ORDER BY key",
            (self.host, source),
        )
        summaries = []
        for key, name, day, *figures, empty, copies in rows:
            every = (key, name, date.fromisoformat(day), *figures, bool(empty), _targets(copies))
            summaries.append(Summary(*every))
        return summaries

    def digest_of(self, key: str) -> str | None:
        """Return the digest of a catalogued manifest."""
        row = self._sql.execute("SELECT digest FROM manifest WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def of_segment(self, source: str, *, sha256: str) -> list[Manifest]:
        """Return the manifests of a segment's archives, by the digest of its bytes."""
        return [each.manifest for each in self._archived("segment_sha256 = ?", source, sha256)]

    def has_segment_named(self, source: str, name: str) -> bool:
        return bool(self._archived("segment = ?", source, name))

    def days(self, source: str, zone: ZoneInfo) -> frozenset[date]:
        """Return the log dates that have a manifest, of lines or of their absence.

        An archive's last lines may be of the day after: those that came with a nightly
        rotation. That day is not empty.
        """
        rows = self._sql.execute(
            "SELECT date, latest FROM manifest WHERE host = ? AND source = ?", (self.host, source)
        ).fetchall()
        return frozenset(date.fromisoformat(day) for day, _ in rows) | frozenset(
            local_date(latest, zone) for _, latest in rows
        )

    def last_watched(self, source: str) -> date | None:
        """Return the last day that was rotated or found empty here, imports apart."""
        (day,) = self._sql.execute(
            "SELECT max(date) FROM manifest WHERE host = ? AND source = ?"
            " AND origin IS NOT 'import'",
            (self.host, source),
        ).fetchone()
        return date.fromisoformat(day) if day else None

    def last_rotation(self, source: str) -> int | None:
        """Return when a segment was last rotated."""
        (written,) = self._sql.execute(
            "SELECT max(written) FROM manifest WHERE host = ? AND source = ? AND origin = 'run'",
            (self.host, source),
        ).fetchone()
        return written if written is None else int(written)

    def _archived(self, condition: str, source: str, *values: object) -> list[Archived]:
        rows = self._sql.execute(
            "SELECT document, (SELECT group_concat(target, char(10)) FROM copy"  # noqa: S608
            " WHERE copy.key = manifest.key) FROM manifest"
            f" WHERE host = ? AND source = ? AND {condition} ORDER BY key",
            (self.host, source, *values),
        )
        try:
            return [
                Archived(decode(zlib.decompress(document)), _targets(copies))
                for document, copies in rows
            ]
        except (ValueError, zlib.error) as error:
            raise IntegrityError(f"the catalog is damaged: {error}", hint=REBUILD_HINT) from error

    # -- changes -----------------------------------------------------------------------

    def add(self, document: bytes, targets: Sequence[str]) -> None:
        """Note a manifest (its stored bytes) and the targets that now hold a copy."""
        manifest = decode(document)
        with self._sql:
            self._add(manifest, document)
            self._sql.executemany(
                "INSERT OR IGNORE INTO copy VALUES (?, ?)",
                [(manifest.manifest_key, target) for target in targets],
            )

    def _add(self, manifest: Manifest, document: bytes) -> None:
        segment = manifest.segment
        self._sql.execute(
            f"INSERT OR IGNORE INTO manifest VALUES ({', '.join('?' * 17)})",  # noqa: S608
            (
                manifest.manifest_key,
                manifest.host,
                manifest.source,
                manifest.date.isoformat(),
                manifest.sequence,
                digest(document),
                manifest.earliest,
                manifest.latest,
                segment and segment.name,
                segment and segment.origin,
                segment and segment.written,
                segment and segment.sha256,
                manifest.lines,
                manifest.raw_size,
                manifest.size,
                manifest.sha256,
                zlib.compress(document),
            ),
        )

    def catch_up(self, stores: Sequence[Store]) -> list[ArchiverError]:
        """Bring the catalog level with the stores: what they hold is the truth.

        Returns what is wrong with them: manifests that cannot be read, copies that are
        gone, stores that do not answer (whose copies stay as they were).
        """
        problems: list[ArchiverError] = []
        with self._sql:
            for store in stores:
                try:
                    self._catch_up_with(store, problems)
                except ArchiverError as problem:
                    problems.append(problem)
        return problems

    def _catch_up_with(self, store: Store, problems: list[ArchiverError]) -> None:
        rows = self._sql.execute("SELECT key FROM copy WHERE target = ?", (store.name,))
        known = {str(key) for (key,) in rows}
        prefix = host_prefix(self.host)
        stored = {key for key in store.keys(prefix) if key.endswith(MANIFEST_SUFFIX)}
        for key in sorted(stored - known):
            try:
                document = b"".join(store.stream(key))
                manifest = _decode_as(key, document)
                if not holds(store, manifest):
                    raise IntegrityError(
                        f"store {store.name!r}: {manifest.archive_key} is gone or cut short",
                        hint="bring it back from another copy",
                    )
                if self.digest_of(key) not in {None, digest(document)}:
                    raise IntegrityError(
                        f"store {store.name!r}: {key} differs from the catalog's",
                        hint="one of the two was changed; compare it with another copy",
                    )
            except ArchiverError as problem:
                problems.append(problem)
                continue
            self._add(manifest, document)
            self._sql.execute("INSERT INTO copy VALUES (?, ?)", (key, store.name))
        for key in sorted(known - stored):
            self._sql.execute("DELETE FROM copy WHERE (key, target) = (?, ?)", (key, store.name))
            problems.append(
                IntegrityError(
                    f"store {store.name!r}: {key} has disappeared",
                    hint="somebody removed it behind our back; bring it back from another copy",
                )
            )


def _targets(joined: str | None) -> tuple[str, ...]:
    return tuple(sorted((joined or "").split()))


def _decode_as(key: str, document: bytes) -> Manifest:
    try:
        manifest = decode(document)
    except ValueError as error:
        raise ChainError(
            f"{key}: {error}",
            hint="the manifest is damaged; bring it back from another copy",
            key=key,
        ) from error
    if manifest.manifest_key != key:
        raise IntegrityError(
            f"{key} is the manifest of {manifest.manifest_key}",
            hint="it was renamed or copied; put it back under its own name",
        )
    return manifest


@contextmanager
def opened(path: Path, host: str) -> Iterator[Catalog]:
    """Open an existing catalog, read or write.

    Raises: IntegrityError: it is missing, damaged, or of another schema; make it anew.
    """
    if not path.exists():
        raise IntegrityError(f"there is no catalog at {path}", hint=REBUILD_HINT)
    try:
        connection = sqlite3.connect(path, timeout=30)
        with closing(connection):
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if schema != SCHEMA:
                raise IntegrityError(f"{path} has schema {schema}, not {SCHEMA}", hint=REBUILD_HINT)
            # FULL: what the catalog says is stored must not be forgotten by a power cut.
            connection.execute("PRAGMA synchronous = FULL")
            yield Catalog(connection, host)
    except sqlite3.DatabaseError as error:
        if any(word in str(error) for word in ("locked", "full", "readonly", "unable", "I/O")):
            raise
        raise IntegrityError(f"{path} is damaged: {error}", hint=REBUILD_HINT) from error


@contextmanager
def nowhere(host: str) -> Iterator[Catalog]:
    """Open an empty catalog that is forgotten: for a run that cannot have a real one."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(DDL)
        yield Catalog(connection, host)


def is_sound(path: Path) -> bool:
    """Whether the file is a catalog, whole, of this schema."""
    try:
        with opened(path, "") as catalog:
            return catalog.quick_check()
    except (IntegrityError, sqlite3.Error):
        return False


def rebuild(path: Path, host: str, stores: Sequence[Store]) -> list[ArchiverError]:
    """Make the catalog anew from the stores; returns what is wrong with those.

    Raises: the problem itself, if no store could be read: the old catalog then stays.
    """
    new = path.with_name(path.name + ".new")
    for leftover in _files(new):
        remove(leftover)
    with closing(sqlite3.connect(new)) as connection:
        connection.executescript(DDL)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        problems = Catalog(connection, host).catch_up(stores)
    unreachable = [problem for problem in problems if problem.retryable]
    if len(unreachable) == len(stores):
        remove(new)
        raise unreachable[0]
    with closing(sqlite3.connect(new)) as connection:
        # As the last step: it is written into the file, and makes two more beside it.
        connection.execute("PRAGMA journal_mode = WAL")
    for old in _files(path)[1:]:
        remove(old)
    new.rename(path)
    fsync_directory(path.parent)
    return problems


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]
