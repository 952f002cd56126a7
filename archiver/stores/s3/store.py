"""A store in a bucket, on any server that speaks S3.

    put        HEAD ── nothing ──▸ PUT, If-None-Match ──▸ HEAD proves size and lock
                 └─ something ──▸ read back and compared ──▸ locked, if it is not yet

Every change is one request that the server carries out wholly or not at all. It may be repeated,
and counts once a HEAD has shown it. A bucket that does not exist is never taken for an empty one.
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
# How often another process that stores the same key may get in the way.
ATTEMPTS = 5
# Another request about the same key was under way, or has completed our upload as its own.
CROSSED = frozenset({"ConditionalRequestConflict", "OperationAborted", "NoSuchUpload", "409"})
# How long to wait before the same is asked again: seconds, doubled each time.
PAUSE = 0.1
# An upload that was begun so long ago is aborted; the next put of its key continues a younger one.
# Seconds.
STALE = 7 * DAY_SECONDS
# A lock that ends sooner would be over when the server gets the request, and be refused. Seconds.
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
                # If it is the bucket that is missing, HEAD says 404, too.
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
                    raise self._empty_answer("listed", prefix)
                for listed in page.get("Contents", ()):
                    key = listed["Key"].removeprefix(self.target.prefix)
                    # Anything else is not ours, such as the "folders" that consoles make.
                    if _is_key(key):
                        found.append((key, listed["Size"], listed.get("StorageClass") in COLD))
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
            raise ValueError(f"{key!r} is not the key of an index")
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
            # If the bucket is missing, HEAD says 404, too, and a list of versions may be empty.
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
                "that the hold was lifted",
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
        """Close the connections; they are opened again when needed."""
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
            f"store {self.name!r}: somebody else keeps storing {self._place(key)}",
            hint="do two archivers share this bucket and host.name? Give each its own name",
        )

    def _compare(self, found: Stored, size: int, sha256: str, source: Path) -> None:
        """Raise unless the object that was found holds what the source does."""
        read = hashlib.sha256()
        if found.size == size:
            for chunk in self.stream(found.key):
                read.update(chunk)
        if found.size != size or read.hexdigest() != sha256:
            raise IntegrityError(
                f"store {self.name!r}: {self._place(found.key)} already holds something other "
                f"than {source}",
                hint="it was left alone. If the catalog came from an old backup, run "
                "`archiver catalog rebuild`, then run again",
            )

    def _prove(self, key: str, size: int, protection: Protection, sent: Sent = SENT) -> None:
        """Raise unless the server has what it claims to have stored, protected as was asked."""
        found = self._head(key)
        if found is None or found.size != size:
            has = "nothing" if found is None else f"{found.size} bytes"
            raise StoreError(
                f"store {self.name!r}: the server says that it stored {self._place(key)} "
                f"({size} bytes), but it has {has}",
                hint=BETWEEN,
            )
        if sent.resumed and not found.protection.covers(protection):
            # The upload was begun under the settings of that day.
            self._strengthen(found, protection)
            found = self._head(key) or found
        # What has no version is not locked, whatever HEAD says: Object Lock protects versions (S3).
        versionless = bool(protection.mode) and found.version is None
        if versionless or not found.protection.covers(protection):
            says = _described(found.protection) + (", and no version" if versionless else "")
            raise StoreRefusedError(
                f"store {self.name!r}: {self._place(key)} was to be locked "
                f"({_described(protection)}), but HEAD says {says}",
                hint="this copy does not count. Allow these credentials s3:GetObjectRetention and "
                "s3:GetObjectLegalHold; if they have those, do not trust this server with a lock",
            )
        if found.version != sent.version is not None:
            raise StoreError(
                f"store {self.name!r}: somebody else stored {self._place(key)} at the same time",
                hint="do two archivers share this bucket and host.name? Give each its own name",
            )

    def _strengthen(self, found: Stored, wanted: Protection) -> None:
        """Ask for more protection; an existing lock never becomes weaker or shorter."""
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
        """Return what HEAD says of a key; None if the server says that there is no such object."""
        name = self._full(key)
        try:
            answer = self._client.head_object(Bucket=self.target.bucket, Key=name)
        except ClientError as error:
            if status_of(error) == 404:
                return None
            if status_of(error) < 500:
                # An answer to HEAD has no body to say why; a list has one, and raises.
                with suppress(BotoCoreError):
                    listed = self._list_one(name)
                    if status_of(error) == 403 and name not in listed:
                        # Until 2026, Ceph answers like this if ListBucket is limited to a prefix.
                        return None
            raise
        if "ContentLength" not in answer or not {"ETag", "LastModified"} & set(answer):
            raise self._empty_answer("looked for", key)
        ongoing = 'ongoing-request="true"' in answer.get("Restore", "")
        is_cold = answer.get("StorageClass") in COLD or "ArchiveStatus" in answer
        return Stored(
            key,
            answer["ContentLength"],
            version_of(answer),
            protection_of(answer),
            cold=is_cold and (ongoing or "Restore" not in answer),
            thawing=ongoing,
        )

    def _demand_bucket(self, name: str) -> None:
        """Raise if the bucket does not exist."""
        try:
            self._list_one(name)
        except ClientError as error:
            if code_of(error) not in DENIED:
                raise

    def _list_one(self, name: str) -> list[str]:
        """Return the shortest list: if something is wrong, the error says what."""
        answer = self._client.list_objects_v2(Bucket=self.target.bucket, Prefix=name, MaxKeys=1)
        return [each["Key"] for each in answer.get("Contents", ())]

    def _raise_if_locked(self, error: ClientError, doing: str, key: str) -> None:
        """Raise LockedError if the server denied it because of a lock: in a bucket without versions
        that looks like a permission that is missing.
        """
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
        """The client that may destroy: with its own credentials, if any are configured."""
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
            raise ValueError(f"{key!r} is not a key")
        return self.target.prefix + key

    def _place(self, key: str) -> str:
        return place(self.target, key)

    def _empty_answer(self, asked: str, key: str) -> StoreError:
        return StoreError(
            f"store {self.name!r}: {self._place(key)} was {asked}, but the answer is empty",
            hint=BETWEEN,
        )


def _is_key(key: str) -> bool:
    """Whether it could be a key in a directory, too: every store can hold what another holds."""
    parts = key.split("/")
    return all(parts) and not any(part in {".", ".."} for part in parts) and "\0" not in key


def _described(protection: Protection) -> str:
    lock = f"{protection.mode} until {rfc3339(protection.until)}" if protection.mode else "no lock"
    return f"{lock}, {'held' if protection.hold else 'not held'}"
