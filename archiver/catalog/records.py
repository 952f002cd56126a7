"""The catalog of the ledger: its records, and what follows from them for archives and copies."""

import sqlite3
import zlib
from collections.abc import Collection

from archiver.archives.manifest import Head, digest
from archiver.archives.names import INDEX_SUFFIX, MANIFEST_SUFFIX
from archiver.catalog.copies import Copies
from archiver.catalog.tables import REBUILD_HINT, checksum, explained
from archiver.errors import IntegrityError
from archiver.policy.bodies import (
    KINDS,
    NAMES,
    ClockConfirmed,
    CopiesSeen,
    HoldAdded,
    HoldReleased,
    Order,
    PolicyNoted,
    Tombstone,
    Withdrawal,
)
from archiver.policy.ledger import Record, decode

COPIES = NAMES[CopiesSeen]
CONFIRMS = NAMES[ClockConfirmed]
RULING = tuple(NAMES[kind] for kind in (PolicyNoted, HoldAdded, HoldReleased))
ACTING = tuple(NAMES[kind] for kind in (Order, Withdrawal, Tombstone))


class Records:
    """The records of one host's ledger."""

    def __init__(self, connection: sqlite3.Connection, host: str, copies: Copies) -> None:
        self._sql = connection
        self._copies = copies
        self.host = host

    # -- questions ---------------------------------------------------------------------

    @explained()
    def head(self) -> Head:
        """Return number and digest of the newest record."""
        row = self._sql.execute(
            "SELECT sequence, digest FROM record ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        return Head(*row) if row else Head()

    @explained()
    def of_kind(self, *kinds: str) -> list[Record]:
        """Return the records of these kinds, in their order."""
        marks = ", ".join("?" * len(kinds))
        rows = self._sql.execute(
            f"SELECT document FROM record WHERE kind IN ({marks}) ORDER BY sequence",  # noqa: S608
            kinds,
        )
        try:
            return [decode(zlib.decompress(document)) for (document,) in rows]
        except (ValueError, zlib.error) as error:
            raise IntegrityError(f"the catalog is damaged: {error}", hint=REBUILD_HINT) from error

    @explained()
    def moments(self) -> list[tuple[int, bool]]:
        """Return of each record, in order, its instant and whether it confirms the clock."""
        rows = self._sql.execute("SELECT at, kind = ? FROM record ORDER BY sequence", (CONFIRMS,))
        return [(int(at), bool(confirms)) for at, confirms in rows]

    @explained()
    def document(self, number: int) -> bytes | None:
        """Return a record's bytes, as stored; None: there is no record with this number."""
        row = self._sql.execute(
            "SELECT document FROM record WHERE sequence = ?", (number,)
        ).fetchone()
        return zlib.decompress(row[0]) if row else None

    @explained()
    def copies_in(self, target: str) -> set[str]:
        """Return the keys of the records that a target holds."""
        rows = self._sql.execute(
            "SELECT key FROM copy JOIN record USING (key) WHERE target = ?", (target,)
        )
        return {str(key) for (key,) in rows}

    @explained()
    def missing(self, target: str) -> list[int]:
        """Return the numbers of the records that a target is missing, in order."""
        rows = self._sql.execute(
            "SELECT sequence FROM record WHERE NOT EXISTS (SELECT * FROM copy"
            " WHERE copy.key = record.key AND target = ?) ORDER BY sequence",
            (target,),
        )
        return [int(number) for (number,) in rows]

    @explained()
    def first_with_fewer(self, required: int) -> int | None:
        """Return the number of the first record that fewer targets hold; None: there is none."""
        row = self._sql.execute(
            "SELECT min(sequence) FROM record WHERE"
            " (SELECT count(*) FROM copy WHERE copy.key = record.key) < ?",
            (required,),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    @explained()
    def first_unchained(self) -> int | None:
        """Return the number of the first record whose `previous` is not the digest of the record
        before it; None: there is none.
        """
        row = self._sql.execute(
            "SELECT min(record.sequence) FROM record LEFT JOIN record AS before"
            " ON before.sequence = record.sequence - 1"
            " WHERE record.previous IS NOT before.digest"
        ).fetchone()
        return None if row[0] is None else int(row[0])

    @explained()
    def unknown(self) -> list[Record]:
        """Return the records of kinds that this version does not know, in their order."""
        rows = self._sql.execute("SELECT DISTINCT kind FROM record")
        return self.of_kind(*[kind for (kind,) in rows.fetchall() if kind not in KINDS])

    @explained()
    def expired(self) -> dict[str, tuple[int, int | None]]:
        """Return which archives are ordered to be destroyed, or were: by the manifest's key, the
        numbers of the order and of the certificate, if there is one.
        """
        rows = self._sql.execute("SELECT key, ordered, destroyed FROM expiry")
        return {key: (ordered, destroyed) for key, ordered, destroyed in rows}

    # -- changes, within `Catalog.changing` -----------------------------------------------

    def note(self, record: Record, document: bytes) -> bool:
        """Note a record, unless it is noted. False: another record has its number."""
        found = digest(document)
        number = record.sequence
        packed = zlib.compress(document)
        row = (number, record.key, record.kind, record.at, record.previous, found, packed)
        self._sql.execute(
            "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, checksum(row))
        )
        noted = self._sql.execute("SELECT digest FROM record WHERE sequence = ?", (number,))
        return bool(noted.fetchone()[0] == found)

    def refold(self) -> None:
        """Derive again all that follows from the records: they may have come in any order."""
        self._sql.execute("DELETE FROM expiry")
        for record in self.of_kind(*ACTING, COPIES):
            self.apply(record)

    def apply(self, record: Record) -> None:
        """Note what follows from a record. It must be newer than all that were applied before."""
        match record.body:
            case Order(_, archives):
                for ordered in archives:
                    self._note_expiry(ordered.key, record.sequence, None)
            case Withdrawal(_, archives):
                for withdrawn in archives:
                    self._sql.execute(
                        "DELETE FROM expiry WHERE key = ? AND destroyed IS NULL", (withdrawn.key,)
                    )
            case Tombstone() as stone:
                self._note_expiry(stone.manifest, stone.order, record.sequence)
                self._forget_archive(stone)
            case CopiesSeen(copies):
                for seen in copies:
                    self._copies.note_receipt(seen.receipt, recorded=True)

    def _note_expiry(self, key: str, ordered: int, destroyed: int | None) -> None:
        row = (key, ordered, destroyed)
        self._sql.execute(
            "INSERT INTO expiry VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " (ordered, destroyed, checksum) ="
            " (excluded.ordered, excluded.destroyed, excluded.checksum)"
            " WHERE expiry.destroyed IS NULL",
            (*row, checksum(row)),
        )

    def _forget_archive(self, stone: Tombstone) -> None:
        """Note that the archive is in no target any more; its manifest stays where it was."""
        index = stone.manifest.removesuffix(MANIFEST_SUFFIX) + INDEX_SUFFIX
        self._sql.execute("DELETE FROM receipt WHERE key = ?", (stone.archive,))
        self._sql.execute("DELETE FROM sidecar WHERE key = ?", (index,))
        for (target,) in self._targets(stone.manifest):
            row = (stone.manifest, target, 0)
            self._sql.execute(
                "INSERT OR REPLACE INTO copy VALUES (?, ?, ?, ?)", (*row, checksum(row))
            )

    def _targets(self, key: str) -> Collection[tuple[str]]:
        return self._sql.execute("SELECT target FROM copy WHERE key = ?", (key,)).fetchall()
