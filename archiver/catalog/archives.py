"""The catalog of archives: their manifests."""

import json
import os
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

from archiver.archives.manifest import Head, Manifest, decode, digest
from archiver.archives.names import INDEX_SUFFIX, MANIFEST_SUFFIX, parse
from archiver.archives.receipts import Receipt
from archiver.catalog.copies import Copies
from archiver.catalog.records import Records
from archiver.catalog.tables import DDL, REBUILD_HINT, TABLES, changing, checksum, explained
from archiver.errors import IntegrityError
from archiver.policy.inventory import Summary
from archiver.system.zone import local_date

NUMBERED = "sequence IN (SELECT value FROM json_each(?))"
# Leaves out what is ordered to be destroyed: nobody is given that any more.
NOT_EXPIRED = " AND key NOT IN (SELECT key FROM expiry)"


@dataclass(frozen=True)
class Archived:
    """A manifest as catalogued. copies: targets that hold it and its archive. manifests: targets
    that hold it. expired: its archive was destroyed, or is ordered to be.
    """

    manifest: Manifest
    copies: tuple[str, ...]
    manifests: tuple[str, ...] = ()
    expired: bool = False


class Catalog:
    """An open catalog of one host: its archives, and in `copies` and `records` all else.

    Its methods raise IntegrityError if the catalog is damaged, DiskError if it cannot be used
    now, and NoSpaceError if its disk is full.
    """

    def __init__(
        self, connection: sqlite3.Connection, host: str, file: os.stat_result | None = None
    ) -> None:
        self._sql = connection
        self.host = host
        self.copies = Copies(connection, host)
        self.records = Records(connection, host, self.copies)
        self._file = file

    def is_the_one_at(self, path: Path) -> bool:
        """Whether this is the file now at `path`: not one in memory, nor one replaced since."""
        try:
            return self._file is not None and os.path.samestat(self._file, os.stat(path))
        except OSError:
            return False

    def close(self) -> None:
        self._sql.close()

    @explained()
    def is_whole(self) -> bool:
        """Whether SQLite finds the file whole, and every row in it is as it was written."""
        if self._sql.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            return False
        schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
        with closing(sqlite3.connect(":memory:")) as empty:
            empty.executescript(DDL)
            if self._sql.execute(schema).fetchall() != empty.execute(schema).fetchall():
                return False
        rows = chain.from_iterable(self._sql.execute(f"SELECT * FROM {t}") for t in TABLES)  # noqa: S608
        return all(checksum(row[:-1]) == row[-1] for row in rows)

    # -- questions ---------------------------------------------------------------------

    @explained()
    def count(self) -> int:
        (count,) = self._sql.execute("SELECT count(*) FROM manifest").fetchone()
        return int(count)

    @explained()
    def sources(self) -> list[str]:
        """Return the names of all sources that have a manifest, sorted."""
        rows = self._sql.execute(
            "SELECT DISTINCT source FROM manifest WHERE host = ?", (self.host,)
        )
        return sorted(str(source) for (source,) in rows)

    @explained()
    def head(self, source: str) -> Head:
        """Return number and digest of the newest manifest of a source's chain."""
        row = self._sql.execute(
            "SELECT sequence, digest FROM manifest WHERE host = ? AND source = ?"
            " ORDER BY sequence DESC LIMIT 1",
            (self.host, source),
        ).fetchone()
        return Head(*row) if row else Head()

    def between(self, source: str, start: int, end: int) -> list[Archived]:
        """Return what may hold lines of start <= time < end (instants), ordered by key."""
        return self._archived("earliest < ? AND latest >= ?" + NOT_EXPIRED, source, end, start)

    def every(self, source: str) -> list[Archived]:
        """Return all manifests of a source, ordered by key; also of destroyed archives."""
        return self._archived("TRUE", source)

    def numbered(self, source: str, numbers: Collection[int]) -> list[Archived]:
        """Return what has these numbers in a source's chain, ordered by key."""
        wanted = json.dumps(sorted(numbers))
        return self._archived(NUMBERED + NOT_EXPIRED, source, wanted)

    @explained()
    def numbers(self, source: str, start: int, end: int) -> list[int]:
        """Return the numbers of the archives that may hold lines of start <= time < end."""
        rows = self._sql.execute(
            "SELECT sequence FROM manifest WHERE host = ? AND source = ? AND size > 0"  # noqa: S608
            f" AND earliest < ? AND latest >= ?{NOT_EXPIRED} ORDER BY sequence",
            (self.host, source, end, start),
        )
        return [int(number) for (number,) in rows]

    @explained()
    def unindexed(self, source: str, first: int, last: int) -> list[str]:
        """Return the keys of the manifests numbered first to last whose archives have no index."""
        rows = self._sql.execute(
            "SELECT key FROM manifest WHERE host = ? AND source = ? AND size > 0"  # noqa: S608
            f" AND sequence BETWEEN ? AND ?{NOT_EXPIRED} AND NOT EXISTS"
            " (SELECT * FROM sidecar WHERE sidecar.key = replace(manifest.key, ?, ?)) ORDER BY key",
            (self.host, source, first, last, MANIFEST_SUFFIX, INDEX_SUFFIX),
        )
        return [str(key) for (key,) in rows]

    @explained()
    def expired_numbers(self, source: str) -> frozenset[int]:
        """Return the numbers of the archives that were destroyed, or are ordered to be."""
        rows = self._sql.execute(
            "SELECT sequence FROM manifest JOIN expiry USING (key) WHERE host = ? AND source = ?",
            (self.host, source),
        )
        return frozenset(int(number) for (number,) in rows)

    @explained()
    def summaries(self, source: str) -> list[Summary]:
        """Return a source's manifests in short, ordered by key; also of destroyed archives."""
        rows = self._sql.execute(
            "SELECT key, source, date, manifest.sequence, earliest, latest, sealed, lines,"
            " raw_size, size, sha256, digest, segment IS NULL,"
            " (SELECT group_concat(target, char(10)) FROM copy"
            " WHERE copy.key = manifest.key AND whole), ordered, destroyed"
            " FROM manifest LEFT JOIN expiry USING (key) WHERE host = ? AND source = ?"
            " ORDER BY key",
            (self.host, source),
        )
        found = []
        for key, name, day, *figures, empty, copies, ordered, destroyed in rows:
            ends = (bool(empty), _targets(copies), ordered, destroyed)
            every = (key, name, date.fromisoformat(day), *figures, *ends)
            found.append(Summary(*every))
        return found

    @explained()
    def digest_of(self, key: str) -> str | None:
        """Return the digest of a manifest; None: it is not in the catalog."""
        row = self._sql.execute("SELECT digest FROM manifest WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def of_segment(self, source: str, *, sha256: str) -> list[Manifest]:
        """Return the manifests of a segment's archives, by the digest of its bytes."""
        return [each.manifest for each in self._archived("segment_sha256 = ?", source, sha256)]

    def of_segment_named(self, source: str, name: str) -> list[Manifest]:
        """Return the manifests of one segment's archives, in their order."""
        found = [each.manifest for each in self._archived("segment = ?", source, name)]
        return sorted(found, key=lambda manifest: manifest.sequence)

    @explained()
    def keys_of(self, source: str, sequence: int) -> list[str]:
        """Return the keys of the manifests with this number in a chain: one, if all is well."""
        rows = self._sql.execute(
            "SELECT key FROM manifest WHERE host = ? AND source = ? AND sequence = ?",
            (self.host, source, sequence),
        )
        return [str(key) for (key,) in rows]

    @explained()
    def is_one_chain(self, source: str, first: int, last: int) -> bool:
        """Whether each number from first to last belongs to exactly one manifest."""
        row = self._sql.execute(
            "SELECT count(*), count(DISTINCT sequence) FROM manifest"
            " WHERE host = ? AND source = ? AND sequence BETWEEN ? AND ?",
            (self.host, source, first, last),
        ).fetchone()
        return tuple(row) == (last - first + 1,) * 2

    @explained()
    def days(self, source: str, zone: ZoneInfo) -> frozenset[date]:
        """Return the days that are accounted for: the log dates of all manifests, empty days
        included, and the days of each archive's earliest and latest line.

        Those may be other days, because some lines after midnight come with a nightly rotation.
        """
        rows = self._sql.execute(
            "SELECT date, earliest, latest FROM manifest WHERE host = ? AND source = ?",
            (self.host, source),
        ).fetchall()
        found = {date.fromisoformat(day) for day, _, _ in rows}
        return frozenset(found).union(
            local_date(instant, zone) for _, *both in rows for instant in both
        )

    @explained()
    def last_watched(self, source: str) -> date | None:
        """Return the last log date that was rotated or found empty here; imports do not count."""
        (day,) = self._sql.execute(
            "SELECT max(date) FROM manifest WHERE host = ? AND source = ?"
            " AND origin IS NOT 'import'",
            (self.host, source),
        ).fetchone()
        return date.fromisoformat(day) if day else None

    @explained()
    def last_rotation(self, source: str) -> int | None:
        """Return when the newest segment was rotated (an instant), by the clock of that time."""
        row = self._sql.execute(
            "SELECT written FROM manifest WHERE host = ? AND source = ? AND origin = 'run'"
            " ORDER BY sequence DESC LIMIT 1",
            (self.host, source),
        ).fetchone()
        return int(row[0]) if row else None

    @explained()
    def _archived(self, condition: str, source: str, *values: object) -> list[Archived]:
        rows = self._sql.execute(
            "SELECT document, (SELECT group_concat(target, char(10)) FROM copy"  # noqa: S608
            " WHERE copy.key = manifest.key AND whole),"
            " (SELECT group_concat(target, char(10)) FROM copy WHERE copy.key = manifest.key),"
            " key IN (SELECT key FROM expiry) FROM manifest"
            f" WHERE host = ? AND source = ? AND {condition} ORDER BY key",
            (self.host, source, *values),
        )
        try:
            return [
                Archived(
                    decode(zlib.decompress(document)),
                    _targets(copies),
                    _targets(manifests),
                    bool(expired),
                )
                for document, copies, manifests, expired in rows
            ]
        except (ValueError, zlib.error) as error:
            raise IntegrityError(f"the catalog is damaged: {error}", hint=REBUILD_HINT) from error

    def of_key(self, key: str) -> Archived:
        """Return the manifest with this key. Raises: IntegrityError: it is not in the catalog."""
        source = parse(key).source
        for found in self._archived("key = ?", source, key):
            return found
        raise IntegrityError(f"{key} is not in the catalog", hint=REBUILD_HINT)

    @explained()
    def document(self, key: str) -> bytes:
        """Return a manifest's bytes, as stored. Raises: IntegrityError: it is not catalogued."""
        row = self._sql.execute("SELECT document FROM manifest WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise IntegrityError(f"{key} is not in the catalog", hint=REBUILD_HINT)
        return zlib.decompress(row[0])

    # -- changes -----------------------------------------------------------------------

    def changing(self) -> AbstractContextManager[None]:
        """Make everything noted inside durable together, or nothing of it."""
        return changing(self._sql)

    def add(
        self,
        document: bytes,
        targets: Sequence[str],
        indexes: Mapping[str, int] | None = None,
        receipts: Iterable[Receipt] = (),
        *,
        whole: bool = True,
    ) -> None:
        """Note a manifest (its stored bytes) and the targets that now hold a copy, durably.

        indexes: the pages of the archive's index, by target that holds it. whole: the targets hold
        the archive, too. Raises: ValueError: `document` is not a manifest.
        """
        manifest = decode(document)
        with self.changing():
            self.note(manifest, document)
            for target in targets:
                self.copies.note(manifest.manifest_key, target, whole=whole)
            for receipt in receipts:
                self.copies.note_receipt(receipt)
            for target, pages in (indexes or {}).items():
                self.copies.note_index(manifest.index_key, target, pages)

    def note(self, manifest: Manifest, document: bytes) -> None:
        segment = manifest.segment
        row = (
            manifest.manifest_key,
            manifest.host,
            manifest.source,
            manifest.date.isoformat(),
            manifest.sequence,
            digest(document),
            manifest.earliest,
            manifest.latest,
            manifest.sealed_at,
            segment and segment.name,
            segment and segment.origin,
            segment and segment.written,
            segment and segment.sha256,
            manifest.lines,
            manifest.raw_size,
            manifest.size,
            manifest.sha256,
            zlib.compress(document),
        )
        self._sql.execute(
            f"INSERT OR IGNORE INTO manifest VALUES ({', '.join('?' * (len(row) + 1))})",  # noqa: S608
            (*row, checksum(row)),
        )


def _targets(joined: str | None) -> tuple[str, ...]:
    return tuple(sorted((joined or "").split()))
