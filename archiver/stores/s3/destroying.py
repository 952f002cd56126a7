"""Destroy an object in a bucket: every version of it, and every delete marker.

    list its versions ─▸ HEAD each: locked or held? ─▸ delete each by its own id ─▸ list again

In a bucket that keeps versions, a plain DELETE destroys nothing: it puts a marker in front. And a
server that says that it deleted something is believed once it no longer lists it. No lock is ever
bypassed: nothing here asks for that, whatever the credentials may.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from archiver.archives.receipts import Destroyed
from archiver.config.targets import S3Target
from archiver.errors import StoreRefusedError
from archiver.stores.s3.faults import DENIED, MISSING, UNKNOWN, code_of, locked, place
from archiver.stores.s3.upload import protection_of

PERMISSIONS = "s3:ListBucketVersions, s3:GetObjectVersion and s3:DeleteObjectVersion"


@dataclass(frozen=True)
class _Version:
    """One version; a marker says that the object was deleted."""

    id: str
    marker: bool


def destroy(client: BaseClient, target: S3Target, key: str) -> tuple[Destroyed, ...]:
    """Destroy all versions of an object; see `archiver.stores.contract`. key: without the prefix.

    Raises: LockedError, StoreRefusedError; and what botocore raises.
    """
    at = {"Bucket": target.bucket, "Key": target.prefix + key}
    versions = list(_versions(client, target, at["Key"]))
    for version in versions:
        if not version.marker:
            _demand_unprotected(client, target, key, {**at, "VersionId": version.id})
    destroyed = [
        Destroyed(
            None if version.id == "null" else version.id,
            version.marker,
            _delete(client, target, key, {**at, "VersionId": version.id}),
        )
        for version in versions
    ]
    left = list(_versions(client, target, at["Key"]))
    if left or _is_there(client, at):
        raise StoreRefusedError(
            f"store {target.name!r}: says that it deleted {place(target, key)}, but still has "
            f"{len(left) or 1} versions of it",
            hint="who stores it again? Else do not trust this server with deletion",
        )
    return tuple(destroyed)


def _versions(client: BaseClient, target: S3Target, name: str) -> Iterator[_Version]:
    """Yield all versions and markers of exactly that name."""
    try:
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=target.bucket, Prefix=name
        )
        for page in pages:
            for kind in ("Versions", "DeleteMarkers"):
                for each in page.get(kind, ()):
                    if each["Key"] == name:
                        yield _Version(each["VersionId"], kind == "DeleteMarkers")
    except ClientError as error:
        if code_of(error) in UNKNOWN | DENIED:
            raise StoreRefusedError(
                f"store {target.name!r}: does not tell which versions there are of "
                f"s3://{target.bucket}/{name} ({code_of(error)}), so nothing was destroyed",
                hint=f"it takes {PERMISSIONS}; a server that cannot list versions cannot prove "
                "a deletion",
            ) from error
        raise


def _demand_unprotected(
    client: BaseClient, target: S3Target, key: str, at: Mapping[str, Any]
) -> None:
    """Raise LockedError if a version is locked or held: then none of them is touched."""
    try:
        kept = protection_of(client.head_object(**at))
    except ClientError as error:
        if code_of(error) in MISSING:
            return  # it has gone meanwhile
        raise
    if kept.hold or (kept.mode and kept.until > time.time()):
        raise locked(target, "destroying", key, "held" if kept.hold else kept.mode)


def _delete(client: BaseClient, target: S3Target, key: str, at: Mapping[str, Any]) -> str:
    """Delete one version, and return what the server said."""
    try:
        told = client.delete_object(**at)["ResponseMetadata"]
    except ClientError as error:
        if code_of(error) in MISSING:
            return "404: it was gone already"
        if code_of(error) in DENIED:
            # After the look above it may still be a lock: one that only just came.
            _demand_unprotected(client, target, key, at)
            raise StoreRefusedError(
                f"store {target.name!r}: these credentials may not destroy {place(target, key)}",
                hint=f"it takes {PERMISSIONS}. Let the everyday credentials not have them: "
                "expirer_access_key_id and expirer_secret_access_key name others",
            ) from error
        raise
    request = told.get("RequestId")
    return f"{told['HTTPStatusCode']}" + (f", request {request}" if request else "")


def _is_there(client: BaseClient, at: Mapping[str, Any]) -> bool:
    """Whether the object is there all the same: not every server lists what it has."""
    try:
        client.head_object(**at)
    except ClientError as error:
        if code_of(error) in MISSING | DENIED:
            return False  # a server may say 403 for what is not there
        raise
    return True
