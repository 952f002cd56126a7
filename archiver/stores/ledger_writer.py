"""Write the ledger: note a record in the catalog, copy it to every store, and read it back.

The next run copies what a store missed. A record is in force as soon as it is noted, wherever it
is stored so far; but nothing is destroyed while any record is stored on too few stores.
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
from archiver.policy.bodies import Body, CopiesSeen, File, PolicyNoted, Seen
from archiver.policy.ledger import Record, decode, encode
from archiver.stores import Store, copy
from archiver.stores.catch_up import unchained
from archiver.system.files import emptied
from archiver.system.zone import local_date

# The most copies that one record describes: some 300 kB.
MOST_COPIES = 1000


@dataclass
class LedgerWriter:
    """A host's ledger, open for writing. now: seconds since 1970 UTC. by: who runs the program.

    problems: gets what fails on the way.
    """

    config: Config
    catalog: Catalog
    stores: Sequence[Store]
    now: int
    by: str
    problems: Problems = field(default_factory=Problems)

    @property
    def directory(self) -> Path:
        """Where records pass through on their way to the stores."""
        return self.config.host.work_dir

    def append(self, body: Body) -> Record:
        """Add a record, and copy it to the stores; a store that fails becomes a problem.

        Raises: ChainError: a record is missing or was changed, so nothing may follow.
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
        """Raise the first problem unless `storage.required` stores have every record.

        Raises: IntegrityError: nothing failed, and still one is on too few.
        """
        number = self.catalog.records.first_with_fewer(self.config.storage.required)
        if number is not None:
            raise (
                self.problems[0]
                if self.problems
                else IntegrityError(
                    f"{ledger_prefix(self.catalog.host)}: record {number} is stored on fewer than "
                    f"storage.required = {self.config.storage.required} stores",
                    hint="`archiver run` copies it to the others",
                )
            )

    def fill(self) -> None:
        """Copy to every store the records that it is missing, in their order."""
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
        """Record the retention rules, if they differ from those last recorded; return whether."""
        noted = self.catalog.records.of_kind("policy")
        rules = self.config.retention.rules
        if noted and isinstance(noted[-1].body, PolicyNoted) and noted[-1].body.rules == rules:
            return False
        self.append(PolicyNoted(rules, _file(self.config.path)))
        return True

    def note_copies(self) -> None:
        """Record what reading copies back has shown, as far as no record says it yet."""
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
                    IntegrityError(
                        f"{damage.message}; it was replaced", hint="check that store's disk"
                    )
                )
        with self.catalog.changing():
            self.catalog.copies.note(record.key, store.name)

    def _document(self, number: int) -> bytes:
        document = self.catalog.records.document(number)
        if document is None:
            raise unchained(self.catalog.host, number)
        return document


def _file(path: Path) -> File | None:
    """Describe the file with the rules: its owner may have changed them, at its time. None: it
    cannot be read.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return File(str(path), found, int(status.st_mtime), _user(status.st_uid))


def who() -> str:
    """Return who runs the program, as far as the system knows; with sudo, also who called it."""
    user = _user(os.getuid())
    asked = os.environ.get("SUDO_USER", "")
    return f"{user} (sudo: {asked})" if asked and asked != user else user


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
