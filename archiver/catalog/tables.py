"""The catalog's tables, and SQLite's errors as errors of this program."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from archiver.errors import DiskError, IntegrityError, NoSpaceError

SCHEMA = 4
REBUILD_HINT = "it is derived data: `archiver catalog rebuild` makes a new one from the stores"
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
    sealed   INTEGER NOT NULL,  -- when the manifest was made
    segment  TEXT,              -- name of the segment; NULL: a day without lines
    origin   TEXT,              -- run, import; NULL likewise
    written  INTEGER,           -- when the segment was rotated; NULL likewise
    segment_sha256 TEXT,
    lines    INTEGER NOT NULL,
    raw_size INTEGER NOT NULL,  -- bytes of log
    size     INTEGER NOT NULL,  -- bytes of archive; 0: a day without lines
    sha256   TEXT NOT NULL,     -- of the archive
    document BLOB NOT NULL,     -- the manifest, as stored, compressed with zlib
    checksum INTEGER NOT NULL   -- of all of the above: SQLite itself keeps none
) STRICT;
CREATE INDEX manifest_by_chain ON manifest (host, source, sequence);
CREATE INDEX manifest_by_time ON manifest (host, source, latest);
CREATE INDEX manifest_by_segment ON manifest (segment_sha256);
CREATE TABLE copy (
    key    TEXT NOT NULL,      -- of a manifest, or of a record of the ledger
    target TEXT NOT NULL,
    whole  INTEGER NOT NULL,   -- 0: the manifest without its archive
    checksum INTEGER NOT NULL,
    PRIMARY KEY (key, target)
) STRICT, WITHOUT ROWID;
CREATE TABLE receipt (
    key     TEXT NOT NULL,     -- of an archive or a manifest
    target  TEXT NOT NULL,
    size    INTEGER NOT NULL,
    sha256  TEXT NOT NULL,     -- of what was read back
    at      INTEGER NOT NULL,  -- when that was
    version TEXT,              -- the store's own name for these bytes
    mode    TEXT NOT NULL,     -- of the lock, as the store told; empty: none
    until   INTEGER NOT NULL,
    hold    INTEGER NOT NULL,
    sound   INTEGER NOT NULL,  -- 0: something speaks against it since
    recorded INTEGER NOT NULL, -- 0: the ledger does not tell of it yet
    checksum INTEGER NOT NULL,
    PRIMARY KEY (key, target)
) STRICT, WITHOUT ROWID;
CREATE TABLE sidecar (
    key    TEXT NOT NULL,      -- of an index, of one archive or of a run of them
    target TEXT NOT NULL,
    pages  INTEGER NOT NULL,   -- how many it has there
    checksum INTEGER NOT NULL,
    PRIMARY KEY (key, target)
) STRICT, WITHOUT ROWID;
CREATE TABLE record (
    sequence INTEGER PRIMARY KEY,  -- in the ledger of this host
    key      TEXT NOT NULL,
    kind     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    previous TEXT,                 -- digest of the record before it
    digest   TEXT NOT NULL,        -- SHA-256 of document
    document BLOB NOT NULL,        -- the record, as stored, compressed with zlib
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE expiry (
    key       TEXT PRIMARY KEY,  -- of the manifest whose archive is to be destroyed
    ordered   INTEGER NOT NULL,  -- number of the order in the ledger
    destroyed INTEGER,           -- number of the certificate; NULL: there is none yet
    checksum  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
TABLES = ("manifest", "copy", "receipt", "sidecar", "record", "expiry")

CANNOT_BE_USED = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn an error of SQLite (sqlite.org/rescode.html) into one that says what to do.

    Raises: NoSpaceError, DiskError: the catalog cannot be used now. IntegrityError: it is damaged.
    """
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise NoSpaceError(
                "no space left for the catalog",
                hint="free some space on the file system of state_dir, then run again",
            ) from error
        if code in CANNOT_BE_USED:
            raise DiskError(
                f"the catalog cannot be used: {error}",
                hint="check that this user may write state_dir, and that its disk is healthy",
            ) from error
        raise IntegrityError(f"the catalog is damaged: {error}", hint=REBUILD_HINT) from error


@contextmanager
def changing(connection: sqlite3.Connection) -> Iterator[None]:
    """Make everything noted inside durable together, or nothing of it."""
    with explained(), connection:
        yield


def checksum(row: tuple[object, ...]) -> int:
    """Return a row's CRC-32. It guards against a bad disk or a careless editor, not an enemy.

    Only the last value may be a blob.
    """
    last = row[-1]
    if isinstance(last, bytes):
        return zlib.crc32(last, zlib.crc32(repr(row[:-1]).encode()))
    return zlib.crc32(repr(row).encode())
