"""Destroy an object in a bucket: every version of it, and every delete marker.

    list its versions ─▸ HEAD each: locked or held? ─▸ delete each by its own id ─▸ list again

In a bucket that keeps versions, a plain DELETE destroys nothing: it puts a marker in front. A
server's word that a version was deleted is believed once the server no longer lists it. Nothing
here asks to bypass a lock, whatever the credentials allow.
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
    """One version of an object. marker: it is a delete marker, without bytes."""

    id: str
    marker: bool


def destroy(client: BaseClient, target: S3Target, key: str) -> tuple[Destroyed, ...]:
    """Destroy all versions of an object; see `archiver.stores.contract`. key: without the prefix.

    Raises: LockedError: a version is locked or held. StoreRefusedError: versions cannot be listed,
    cannot be deleted, or are left. What botocore raises.
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
            f"store {target.name!r}: the server says that it deleted {place(target, key)}, but "
            f"still has {len(left) or 1} of its versions",
            hint="does somebody store it again? If not, do not trust this server with deletion",
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
                for version in page.get(kind, ()):
                    if version["Key"] == name:
                        yield _Version(version["VersionId"], kind == "DeleteMarkers")
    except ClientError as error:
        if code_of(error) in UNKNOWN | DENIED:
            raise StoreRefusedError(
                f"store {target.name!r}: the server does not list the versions of "
                f"s3://{target.bucket}/{name} ({code_of(error)}), so nothing was destroyed",
                hint=f"allow these credentials {PERMISSIONS}. A server that cannot list versions "
                "cannot prove a deletion",
            ) from error
        raise


def _demand_unprotected(
    client: BaseClient, target: S3Target, key: str, at: Mapping[str, Any]
) -> None:
    """Raise LockedError if a version is locked or held: then no version is deleted."""
    try:
        kept = protection_of(client.head_object(**at))
    except ClientError as error:
        if code_of(error) in MISSING:
            return  # it has been removed meanwhile
        raise
    if kept.hold or (kept.mode and kept.until > time.time()):
        raise locked(target, "destroying", key, "held" if kept.hold else kept.mode)


def _delete(client: BaseClient, target: S3Target, key: str, at: Mapping[str, Any]) -> str:
    """Delete one version; return the server's reply, for the certificate."""
    try:
        reply = client.delete_object(**at)["ResponseMetadata"]
    except ClientError as error:
        if code_of(error) in MISSING:
            return "404: it was gone already"
        if code_of(error) in DENIED:
            # It may still be a lock: one that was put on it after the look above.
            _demand_unprotected(client, target, key, at)
            raise StoreRefusedError(
                f"store {target.name!r}: these credentials may not destroy {place(target, key)}",
                hint=f"that takes {PERMISSIONS}. Rather than give the everyday credentials these "
                "rights, set expirer_access_key_id and expirer_secret_access_key",
            ) from error
        raise
    request = reply.get("RequestId")
    return f"{reply['HTTPStatusCode']}" + (f", request {request}" if request else "")


def _is_there(client: BaseClient, at: Mapping[str, Any]) -> bool:
    """Whether the object is still there: not every server lists all that it has."""
    try:
        client.head_object(**at)
    except ClientError as error:
        if code_of(error) in MISSING | DENIED:
            return False  # a server may answer 403 for an object that it does not have
        raise
    return True
