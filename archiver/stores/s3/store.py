"""A store in a bucket, on any server that speaks S3.

    put        HEAD ── nothing ──▸ PUT, If-None-Match ──▸ HEAD proves size and lock
                 └─ something ──▸ read back and compared ──▸ locked, if it is not yet

Every change is asked for by one request that the server takes wholly or not at all, may be
asked for again, and counts once a HEAD has shown it. A bucket that is not there is never taken
for an empty one.
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from archiver.archives.names import INDEX_SUFFIXES
from archiver.archives.receipts import UNPROTECTED, Destroyed, Protection, Stored
from archiver.config.targets import S3Target
from archiver.errors import IntegrityError, StoreError, StoreRefusedError
from archiver.stores.contract import demand_destructible
from archiver.stores.s3.checked_file import sealed
from archiver.stores.s3.client import connect
from archiver.stores.s3.destroying import destroy
from archiver.stores.s3.faults import (
    BETWEEN,
    DENIED,
    FAULTS,
    code_of,
    explained,
    locked,
    missing,
    place,
    status_of,
)
from archiver.stores.s3.reading import ObjectReading
from archiver.stores.s3.upload import Sent, Uploader, protection_of, version_of
from archiver.system.zone import DAY_SECONDS, rfc3339

COLD = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# How often somebody else may come between, who is storing the same key.
ATTEMPTS = 5
# Another request about the same key was under way, or took our upload for its own.
CROSSED = frozenset({"ConditionalRequestConflict", "OperationAborted", "NoSuchUpload", "409"})
# Before the same is asked again, in seconds; doubled each time.
PAUSE = 0.1
# Left by runs that were killed; the next put of the key goes on with a younger one.
STALE = 7 * DAY_SECONDS
# A lock that ends sooner is refused by the server once it gets there.
SOONEST = 60
LATEST = 253_402_300_799  # the last second of the year 9999
EPOCH = date(1970, 1, 1)
SENT = Sent()


class S3Store:
    """See `archiver.stores.contract`. Nothing is asked of the server before it is needed."""

    is_near = False
    keep = None

    def __init__(self, target: S3Target) -> None:
        self.name = target.name
        self.target = target
        self._connecting = threading.Lock()
        self._connected: tuple[BaseClient, Uploader] | None = None
        self._destroying: BaseClient | None = None

    def put(
        self, key: str, source: Path, sha256: str, protection: Protection = UNPROTECTED
    ) -> None:
        self._store(key, source, sha256, protection, once=True)

    def replace(
        self, key: str, source: Path, sha256: str, protection: Protection = UNPROTECTED
    ) -> None:
        self._store(key, source, sha256, protection, once=False)

    def find(self, key: str) -> Stored | None:
        name = self._full(key)
        with self._failing("looking for", key):
            found = self._head(key)
            if found is None:
                # HEAD says 404 as well if it is the bucket that is missing.
                self._demand_bucket(name)
            return found

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._full(key)
        with self._failing("reading", key):
            client = self._client
        yield from ObjectReading(client, self.target, self.find, key, start, length).chunks()

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        found = []
        with self._failing("listing", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.target.bucket, Prefix=self.target.prefix + prefix
            )
            for page in pages:
                if "IsTruncated" not in page:
                    raise self._untold("listed", prefix)
                for each in page.get("Contents", ()):
                    key = each["Key"].removeprefix(self.target.prefix)
                    # What is no key of ours, such as the "folders" that consoles make.
                    if _is_key(key):
                        found.append((key, each["Size"], each.get("StorageClass") in COLD))
        # Not every server sorts as AWS does: SeaweedFS lists `a/b` before `a-b`.
        for key, size, cold in sorted(found):
            yield Stored(key, size, cold=cold)

    def protection(self, day: date, now: int) -> Protection:
        end = ((day - EPOCH).days + 1) * DAY_SECONDS
        until = min(end + int(self.target.lock_for), LATEST)
        if self.target.object_lock == "off" or until <= now + SOONEST:
            return Protection(hold=self.target.legal_hold)
        return Protection(self.target.object_lock, until, self.target.legal_hold)

    def protect(self, key: str, protection: Protection) -> None:
        self._full(key)
        if protection == UNPROTECTED:
            return
        with self._failing("protecting", key, protection):
            found = self.find(key)
            if found is None:
                raise missing(self.target, key)
            if not found.protection.covers(protection):
                self._strengthen(found, protection)
                self._prove(key, found.size, protection)

    def remove(self, key: str) -> None:
        if not key.endswith(INDEX_SUFFIXES):
            raise ValueError(f"{key!r} is no index")
        name = self._full(key)
        with self._failing("removing", key):
            try:
                self._client.delete_object(Bucket=self.target.bucket, Key=name)
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    self._raise_if_locked(error, "removing", key)
                    raise

    def destroy(self, key: str) -> tuple[Destroyed, ...]:
        demand_destructible(key)
        name = self._full(key)
        with self._failing("destroying", key):
            for upload in self._uploader.begun(name):
                if upload["Key"] == name:
                    self._uploader.abort(name, upload["UploadId"])
            # HEAD says 404 as well, and a list nothing, if it is the bucket that is missing.
            self._demand_bucket(name)
            return destroy(self._expirer, self.target, key)

    @property
    def can_hold(self) -> bool:
        return self.target.object_lock != "off" or self.target.legal_hold

    def lift_hold(self, key: str) -> None:
        name = self._full(key)
        with self._failing("lifting the hold of", key):
            found = self._head(key)
            if found is None:
                raise missing(self.target, key)
            if not found.protection.hold:
                return
            at = {"Bucket": self.target.bucket, "Key": name}
            if found.version:
                at["VersionId"] = found.version
            self._expirer.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
            left = self._head(key)
        if left is None or left.protection.hold:
            raise StoreRefusedError(
                f"store {self.name!r}: {self._place(key)} is still held, though the server said "
                "that it is not",
                hint="it is kept. Do not trust this server with a legal hold",
            )

    def tidy(self, prefix: str) -> None:
        with self._failing("tidying", prefix):
            uploader = self._uploader
            for upload in uploader.begun(self.target.prefix + prefix):
                if upload["Initiated"].timestamp() <= time.time() - STALE:
                    uploader.abort(upload["Key"], upload["UploadId"])

    def restore(self, key: str, days: int) -> None:
        name = self._full(key)
        with self._failing("restoring", key):
            found = self.find(key)
            if found is None:
                raise missing(self.target, key)
            if found.cold and not found.thawing:
                request = {"Days": days, "GlacierJobParameters": {"Tier": "Standard"}}
                try:
                    self._client.restore_object(
                        Bucket=self.target.bucket, Key=name, RestoreRequest=request
                    )
                except ClientError as error:
                    if code_of(error) != "RestoreAlreadyInProgress":
                        raise

    def close(self) -> None:
        """Give back the connections; they are made anew when needed."""
        with self._connecting:
            if self._connected:
                self._connected[0].close()
            if self._destroying:
                self._destroying.close()
            self._connected = self._destroying = None

    # -- storing -----------------------------------------------------------------------------

    def _store(
        self, key: str, source: Path, sha256: str, protection: Protection, *, once: bool
    ) -> None:
        name = self._full(key)
        size, checksum = self.target.part_size, self.target.checksum
        with (
            sealed(self.name, source, sha256, size, checksum) as file,
            self._failing("storing", key, protection),
        ):
            for turn in range(ATTEMPTS):
                found = self._head(key) if once else None
                if found:
                    self._compare(found, file.size, sha256, source)
                    self.protect(key, protection)
                    return
                try:
                    sent = self._uploader.send(name, file, protection, once=once)
                except ClientError as error:
                    if status_of(error) != 412 and code_of(error) not in CROSSED:
                        self._raise_if_locked(error, "storing", key)
                        raise
                    time.sleep(PAUSE * 2**turn if status_of(error) != 412 else 0)
                else:
                    self._prove(key, file.size, protection, sent)
                    if sent.in_parts:
                        self._uploader.sweep(name)
                    return
        raise StoreError(
            f"store {self.name!r}: somebody else is storing {self._place(key)} all the time",
            hint="two archivers with one host name share this bucket: give each its own",
        )

    def _compare(self, found: Stored, size: int, sha256: str, source: Path) -> None:
        """Raise unless what is there is what the source holds."""
        read = hashlib.sha256()
        if found.size == size:
            for chunk in self.stream(found.key):
                read.update(chunk)
        if found.size != size or read.hexdigest() != sha256:
            raise IntegrityError(
                f"store {self.name!r}: {self._place(found.key)} exists and holds something else "
                f"than {source}",
                hint="it was left alone. If the catalog came from an old backup, run "
                "`archiver catalog rebuild`, then run again",
            )

    def _prove(self, key: str, size: int, protection: Protection, sent: Sent = SENT) -> None:
        """Raise unless the server has what it said it took, protected as it was told to."""
        found = self._head(key)
        if found is None or found.size != size:
            has = "nothing" if found is None else f"{found.size} bytes"
            raise StoreError(
                f"store {self.name!r}: says that it stored {self._place(key)} ({size} bytes), "
                f"but does not have it: it has {has}",
                hint=BETWEEN,
            )
        if sent.resumed and not found.protection.covers(protection):
            # It was begun under the settings of that day.
            self._strengthen(found, protection)
            found = self._head(key) or found
        # What has no version is not locked (S3: Object Lock protects versions), whatever is said.
        versionless = bool(protection.mode) and found.version is None
        if versionless or not found.protection.covers(protection):
            says = _described(found.protection) + (", and no version" if versionless else "")
            raise StoreRefusedError(
                f"store {self.name!r}: {self._place(key)} was to be locked "
                f"({_described(protection)}), but HEAD says {says}",
                hint="this copy does not count. May these credentials s3:GetObjectRetention and "
                "s3:GetObjectLegalHold? If so, do not trust this server with a lock",
            )
        if found.version != sent.version is not None:
            raise StoreError(
                f"store {self.name!r}: somebody else has stored {self._place(key)} meanwhile",
                hint="two archivers with one host name share this bucket: give each its own",
            )

    def _strengthen(self, found: Stored, wanted: Protection) -> None:
        """Ask for more protection. What there is stays: no lock becomes weaker, or shorter."""
        have = found.protection
        at = {"Bucket": self.target.bucket, "Key": self._full(found.key)}
        if found.version:
            at["VersionId"] = found.version
        if not Protection(have.mode, have.until).covers(Protection(wanted.mode, wanted.until)):
            mode = "COMPLIANCE" if "compliance" in {have.mode, wanted.mode} else "GOVERNANCE"
            until = datetime.fromtimestamp(max(have.until, wanted.until), UTC)
            retention = {"Mode": mode, "RetainUntilDate": until}
            self._client.put_object_retention(**at, Retention=retention)
        if wanted.hold and not have.hold:
            self._client.put_object_legal_hold(**at, LegalHold={"Status": "ON"})

    # -- asking ------------------------------------------------------------------------------

    def _head(self, key: str) -> Stored | None:
        """What there is, None if the server says that there is nothing of the kind."""
        name = self._full(key)
        try:
            told = self._client.head_object(Bucket=self.target.bucket, Key=name)
        except ClientError as error:
            if status_of(error) == 404:
                return None
            if status_of(error) < 500:
                # Without a body it cannot say why; a list can.
                with suppress(BotoCoreError):
                    listed = self._ask(name)
                    if status_of(error) == 403 and name not in listed:
                        # So Ceph answers, until 2026, where ListBucket is limited to a prefix.
                        return None
            raise
        if "ContentLength" not in told or not {"ETag", "LastModified"} & set(told):
            raise self._untold("looked for", key)
        ongoing = 'ongoing-request="true"' in told.get("Restore", "")
        is_cold = told.get("StorageClass") in COLD or "ArchiveStatus" in told
        return Stored(
            key,
            told["ContentLength"],
            version_of(told),
            protection_of(told),
            cold=is_cold and (ongoing or "Restore" not in told),
            thawing=ongoing,
        )

    def _demand_bucket(self, name: str) -> None:
        try:
            self._ask(name)
        except ClientError as error:
            if code_of(error) not in DENIED:
                raise

    def _ask(self, name: str) -> list[str]:
        """Return the shortest list: if there is trouble, the answer says which."""
        told = self._client.list_objects_v2(Bucket=self.target.bucket, Prefix=name, MaxKeys=1)
        return [each["Key"] for each in told.get("Contents", ())]

    def _raise_if_locked(self, error: ClientError, doing: str, key: str) -> None:
        """Where versions are not kept, a lock denies what else is merely not allowed."""
        found = None
        if code_of(error) in DENIED:
            with suppress(ClientError):
                found = self._head(key)
        if found and (found.protection.hold or found.protection.until > time.time()):
            raise locked(self.target, doing, key) from error

    # -- the server --------------------------------------------------------------------------

    @property
    def _client(self) -> BaseClient:
        return self._connection()[0]

    @property
    def _uploader(self) -> Uploader:
        return self._connection()[1]

    @property
    def _expirer(self) -> BaseClient:
        """The client that may destroy: with credentials of its own, if there are any."""
        with self._connecting:
            if self._destroying is None and self.target.expirer_access_key_id:
                self._destroying = connect(self.target.as_expirer)
        return self._destroying or self._client

    def _connection(self) -> tuple[BaseClient, Uploader]:
        with self._connecting:
            if self._connected is None:
                client = connect(self.target)
                self._connected = client, Uploader(client, self.target)
            return self._connected

    @contextmanager
    def _failing(
        self, doing: str, key: str, protection: Protection = UNPROTECTED
    ) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            locking = protection != UNPROTECTED
            raise explained(error, self.target, doing, key, locking=locking) from error

    def _full(self, key: str) -> str:
        if not _is_key(key):
            raise ValueError(f"{key!r} is no key")
        return self.target.prefix + key

    def _place(self, key: str) -> str:
        return place(self.target, key)

    def _untold(self, asked: str, key: str) -> StoreError:
        return StoreError(
            f"store {self.name!r}: {self._place(key)} was {asked}, and the answer tells nothing",
            hint=BETWEEN,
        )


def _is_key(key: str) -> bool:
    """As in a directory, so that every store can hold what another one holds."""
    parts = key.split("/")
    return all(parts) and not any(part in {".", ".."} for part in parts) and "\0" not in key


def _described(protection: Protection) -> str:
    lock = f"{protection.mode} until {rfc3339(protection.until)}" if protection.mode else "no lock"
    return f"{lock}, {'held' if protection.hold else 'not held'}"
