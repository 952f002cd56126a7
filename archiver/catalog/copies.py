"""The catalog of copies and indexes: which target holds what, and what it was found to be."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import date
from typing import Any

from archiver.archives.names import ARCHIVE_SUFFIX, MANIFEST_SUFFIX, source_prefix
from archiver.archives.receipts import Receipt
from archiver.catalog.tables import changing, checksum, explained
from archiver.policy.bodies import Seen


class Copies:
    """The copies of one host's archives and records, in all targets."""

    def __init__(self, connection: sqlite3.Connection, host: str) -> None:
        self._sql = connection
        self.host = host

    # -- questions ---------------------------------------------------------------------

    def keys_in(self, target: str) -> set[str]:
        """Return the keys of the manifests that a target holds."""
        rows = self._sql.execute(
            "SELECT key FROM copy JOIN manifest USING (key) WHERE target = ?", (target,)
        )
        return {str(key) for (key,) in rows}

    @explained()
    def missing(self, source: str, target: str, since: date = date.min) -> list[str]:
        """Return the keys of the manifests that a target is missing, alone or with the archive, and
        that any target has; in the order of the chain.

        since: of earlier log dates, a target needs the manifest only.
        """
        rows = self._sql.execute(
            "SELECT key FROM manifest WHERE host = ? AND source = ?"
            " AND EXISTS (SELECT * FROM copy WHERE copy.key = manifest.key)"
            " AND NOT EXISTS (SELECT * FROM copy WHERE copy.key = manifest.key AND target = ?"
            " AND (whole OR date < ? OR key IN (SELECT key FROM expiry)))"
            " ORDER BY sequence",
            (self.host, source, target, since.isoformat()),
        )
        return [str(key) for (key,) in rows]

    def receipts(self, source: str) -> dict[tuple[str, str], Receipt]:
        """Return the receipts of a source's copies that still exist, by key and target."""
        condition = (
            "key >= ? AND key < ? || char(0x10ffff) AND EXISTS (SELECT * FROM copy"
            " WHERE copy.key = replace(receipt.key, ?, ?) AND copy.target = receipt.target"
            " AND (whole OR copy.key = receipt.key))"
        )
        prefix = source_prefix(self.host, source)
        found = self._receipts(condition, prefix, prefix, ARCHIVE_SUFFIX, MANIFEST_SUFFIX)
        return {(each.key, each.target): each for each in found}

    def unrecorded(self, most: int) -> list[Receipt]:
        """Return at most `most` receipts that are not in the ledger yet."""
        return self._receipts("NOT recorded ORDER BY key, target LIMIT ?", most)

    @explained()
    def _receipts(self, condition: str, *values: object) -> list[Receipt]:
        rows = self._sql.execute(f"SELECT * FROM receipt WHERE {condition}", values)  # noqa: S608
        return [_receipt(row) for row in rows]

    @explained()
    def indexes_in(self, target: str) -> set[str]:
        """Return the keys of the indexes that a target holds."""
        rows = self._sql.execute("SELECT key FROM sidecar WHERE target = ?", (target,))
        return {str(key) for (key,) in rows}

    @explained()
    def index_pages(self, key: str) -> dict[str, int]:
        """Return how many pages an index has, in each target that holds it."""
        rows = self._sql.execute(
            "SELECT target, pages FROM sidecar WHERE key = ? ORDER BY target", (key,)
        )
        return {str(target): int(pages) for target, pages in rows}

    # -- changes -----------------------------------------------------------------------

    def note(self, key: str, target: str, *, whole: bool = True) -> None:
        row = (key, target, int(whole))
        insert = "INSERT OR REPLACE INTO copy VALUES (?, ?, ?, ?)"
        self._sql.execute(insert, (*row, checksum(row)))

    def note_receipt(self, receipt: Receipt, *, recorded: bool = False) -> None:
        """Note what a copy was found to be. recorded: this comes from the ledger; it does not
        replace a receipt that is not in the ledger yet.
        """
        # The columns are the fields of `Seen`. SQLite has no bool, and the checksum is of the
        # values that it gives back.
        seen = astuple(Seen.of(receipt))
        row = tuple(int(each) if isinstance(each, bool) else each for each in (*seen, recorded))
        if recorded:
            place = (receipt.key, receipt.target)
            known = "SELECT * FROM receipt WHERE (key, target) = (?, ?) AND NOT recorded"
            newer = self._sql.execute(known, place).fetchone()
            if newer and _receipt(newer) != receipt:
                return
        marks = ", ".join("?" * (len(row) + 1))
        insert = f"INSERT OR REPLACE INTO receipt VALUES ({marks})"  # noqa: S608
        self._sql.execute(insert, (*row, checksum(row)))

    def doubt(self, key: str, target: str) -> None:
        """Note that something speaks against a copy: it is damaged or gone."""
        with changing(self._sql):
            self._doubt("(key, target) = (?, ?)", key, target)

    def _doubt(self, condition: str, *values: object) -> None:
        for receipt in self._receipts(f"sound AND {condition}", *values):
            self.note_receipt(replace(receipt, sound=False))

    def note_index(self, key: str, target: str, pages: int) -> None:
        row = (key, target, pages, checksum((key, target, pages)))
        self._sql.execute("INSERT OR REPLACE INTO sidecar VALUES (?, ?, ?, ?)", row)

    def forget_index(self, key: str, target: str) -> None:
        self._sql.execute("DELETE FROM sidecar WHERE (key, target) = (?, ?)", (key, target))

    def forget(self, key: str, target: str) -> None:
        """Forget a manifest's copy; its receipt and its archive's are no longer sound."""
        self._sql.execute("DELETE FROM copy WHERE (key, target) = (?, ?)", (key, target))
        for copy in (key, key.removesuffix(MANIFEST_SUFFIX) + ARCHIVE_SUFFIX):
            self._doubt("(key, target) = (?, ?)", copy, target)

    def forget_other_targets(self, targets: Sequence[str]) -> None:
        """Forget the copies in all other targets: they are no longer configured."""
        with changing(self._sql):
            rows = self._sql.execute("SELECT target FROM copy UNION SELECT target FROM sidecar")
            for (target,) in rows.fetchall():
                if target not in targets:
                    self._forget(target)

    def forget_target(self, target: str) -> None:
        """Forget everything that a target had."""
        with changing(self._sql):
            self._forget(target)

    def _forget(self, target: str) -> None:
        for table in ("copy", "sidecar"):
            self._sql.execute(f"DELETE FROM {table} WHERE target = ?", (target,))  # noqa: S608
        self._doubt("target = ?", target)


def _receipt(row: Sequence[Any]) -> Receipt:
    *others, hold, sound, _, _ = row
    fields: tuple[Any, ...] = (*others, bool(hold), bool(sound))
    return Seen(*fields).receipt
