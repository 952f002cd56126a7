"""Write the ledger: a record is noted in the catalog, then brought to every store, and read back.

What a store missed, the next run brings. A record that was noted is in force at once, wherever it
stands so far; but nothing is destroyed as long as one of them stands on too few stores.
"""

import hashlib
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from archiver import __version__
from archiver.archives.manifest import digest
from archiver.archives.names import ledger_prefix
from archiver.catalog import Catalog
from archiver.config.settings import Config
from archiver.errors import ArchiverError, IntegrityError, NotFoundError, Problems, explained
from archiver.policy.ledger import (
    Body,
    CopiesSeen,
    File,
    PolicyNoted,
    Record,
    Seen,
    decode,
    encode,
)
from archiver.stores import Store, copy
from archiver.stores.catch_up import unchained
from archiver.system.files import emptied
from archiver.system.zone import local_date

# So many copies are told of by one record at most: some 300 kB.
MOST_COPIES = 1000


@dataclass
class LedgerWriter:
    """A host's ledger, open for writing. directory: to work in. by: who runs the program.

    required: on so many stores a record has to stand. problems: gets what fails on the way.
    """

    config: Config
    catalog: Catalog
    stores: Sequence[Store]
    now: int
    by: str
    problems: Problems = field(default_factory=Problems)

    @property
    def directory(self) -> Path:
        return self.config.host.work_dir

    def append(self, body: Body) -> Record:
        """Add a record, and bring it to the stores; those that fail become problems.

        Raises: ChainError: the ledger is not whole, and nothing may follow.
        """
        records = self.catalog.records
        if (number := records.first_unchained()) is not None:
            raise unchained(self.catalog.host, number)
        head = records.head()
        record = Record(
            host=self.catalog.host,
            sequence=head.sequence + 1,
            previous=head.digest,
            at=self.now,
            by=self.by,
            tool_version=__version__,
            body=body,
        )
        with self.catalog.changing():
            records.note(record, encode(record))
            records.apply(record)
        self.fill()
        return record

    def demand(self) -> None:
        """Raise the first failure unless every record stands on as many stores as are required."""
        number = self.catalog.records.first_with_fewer(self.config.storage.required)
        if number is not None:
            raise (
                self.problems[0]
                if self.problems
                else IntegrityError(
                    f"{ledger_prefix(self.catalog.host)}: record {number} stands on fewer than "
                    f"{self.config.storage.required} stores",
                    hint="`archiver run` brings it to those that lack it",
                )
            )

    def fill(self) -> None:
        """Bring each store the records that it lacks, in their order."""
        for store in self.stores:
            for number in self.catalog.records.missing(store.name):
                try:
                    self._bring(number, store, mend=False)
                except ArchiverError as problem:
                    self.problems.add(problem)
                    break

    def repair(self) -> None:
        """Read every copy of every record back, and replace those that are damaged."""
        self.fill()
        for number in range(1, self.catalog.records.head().sequence + 1):
            for store in self.stores:
                try:
                    self._bring(number, store, mend=True)
                except ArchiverError as problem:
                    self.problems.add(problem)

    def protect(self) -> None:
        """Lock and hold every record as the configuration says now; never less than before."""
        zone = self.config.host.zone
        for store in self.stores:
            for number in range(1, self.catalog.records.head().sequence + 1):
                try:
                    record = decode(self._document(number))
                    store.protect(
                        record.key, store.protection(local_date(record.at, zone), self.now)
                    )
                except ArchiverError as problem:
                    self.problems.add(problem)
                    break

    def note_policy(self) -> bool:
        """Note the rules as they are now, if they are other ones. Returns whether they are."""
        noted = self.catalog.records.of_kind("policy")
        rules = self.config.retention.rules
        if noted and isinstance(noted[-1].body, PolicyNoted) and noted[-1].body.rules == rules:
            return False
        self.append(PolicyNoted(rules, _file(self.config.path)))
        return True

    def note_copies(self) -> None:
        """Note what copies were found to be, since this was last done."""
        while seen := self.catalog.copies.unrecorded(MOST_COPIES):
            self.append(CopiesSeen(tuple(Seen.of(receipt) for receipt in seen)))

    def _bring(self, number: int, store: Store, *, mend: bool) -> None:
        document = self._document(number)
        record, sha256 = decode(document), digest(document)
        protection = store.protection(local_date(record.at, self.config.host.zone), self.now)
        with explained(f"recording {record.key}"), emptied(self.directory):
            path = self.directory / os.path.basename(record.key)
            path.write_bytes(document)
            try:
                if mend:
                    store.protect(record.key, protection)
                else:
                    store.put(record.key, path, sha256, protection)
                copy.receipt(store, record.key, sha256, protection, self.now)
            except (IntegrityError, NotFoundError) as damage:
                if not mend:
                    raise
                store.replace(record.key, path, sha256, protection)
                copy.receipt(store, record.key, sha256, protection, self.now)
                self.problems.add(
                    IntegrityError(f"{damage.message}; it was replaced", hint="suspect that store")
                )
        with self.catalog.changing():
            self.catalog.copies.note(record.key, store.name)

    def _document(self, number: int) -> bytes:
        document = self.catalog.records.document(number)
        if document is None:
            raise unchained(self.catalog.host, number)
        return document


def _file(path: Path) -> File | None:
    """Tell of the file in which the rules stand: who may have changed them, and when."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return File(str(path), found, int(status.st_mtime), _user(status.st_uid))


def who() -> str:
    """Say who runs the program, as far as the system tells: with sudo, who asked for it."""
    user = _user(os.getuid())
    asked = os.environ.get("SUDO_USER", "")
    return f"{user} (sudo: {asked})" if asked and asked != user else user


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
