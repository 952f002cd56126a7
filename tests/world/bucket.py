"""Stores in buckets, and what is in a bucket, seen without a store."""

import hashlib
import random
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archiver.archives.receipts import UNPROTECTED, Protection
from archiver.config.targets import S3Target
from archiver.errors import ArchiverError
from archiver.stores.s3.store import S3Store
from tests.world.exchange import Answer, Exchange
from tests.world.faults import Action, Faults
from tests.world.weed import Weed

MIB = 2**20
PART = 5 * MIB  # the least that S3 takes, and SeaweedFS
KEY = "host=mx1/source=maillog/date=2026-05-04/maillog-20260504T100000Z-000001.log.zst"
INDEX = KEY.replace(".log.zst", ".idx")
# Of three parts, of two, of one.
LONG = random.Random(1).randbytes(2 * PART + 1000)
LARGE = LONG[: PART + 1000]
SMALL = LONG[:100_000]
Server = Weed | Faults
Opening = Callable[..., S3Store]


def target(
    place: Path, asked: Server, bucket: "Bucket | str", identity: str = "admin", **settings: Any
) -> S3Target:
    """The settings of a store, its secrets in files."""
    server = asked if isinstance(asked, Weed) else asked._real
    for name, secret in zip(("id", "secret"), server.credentials(identity), strict=True):
        (place / f"{identity}.{name}").write_text(secret + "\n")
    usual: dict[str, Any] = {
        "endpoint_url": asked.endpoint,
        "ca_bundle": asked.ca_bundle,
        "access_key_id": f"file:{place}/{identity}.id",
        "secret_access_key": f"file:{place}/{identity}.secret",
        "part_size": PART,
        "attempts": 3,
    }
    prefix = "mail/" if isinstance(bucket, str) else bucket.prefix
    name = bucket if isinstance(bucket, str) else bucket.name
    return S3Target("far", name, **({"prefix": prefix} | usual | settings))


def put(
    store: S3Store,
    place: Path,
    content: bytes,
    protection: Protection = UNPROTECTED,
    key: str = KEY,
    *,
    replace: bool = False,
) -> None:
    """Put bytes, or replace by them."""
    with tempfile.NamedTemporaryFile(dir=place) as source:
        source.write(content)
        source.flush()
        operation = store.replace if replace else store.put
        operation(key, Path(source.name), hashlib.sha256(content).hexdigest(), protection)


def got(store: S3Store, start: int = 0, length: int | None = None, key: str = KEY) -> bytes:
    return b"".join(store.stream(key, start, length))


@dataclass(frozen=True)
class Bucket:
    """What is below a prefix of one, as a plain client sees it."""

    client: Any
    name: str
    prefix: str

    def versions(self, key: str = KEY) -> list[bytes]:
        """What each version of an object holds, the latest first."""
        told = self.client.list_object_versions(Bucket=self.name, Prefix=self.prefix + key)
        return [
            self.client.get_object(
                Bucket=self.name, Key=self.prefix + key, VersionId=each["VersionId"]
            )["Body"].read()
            for each in told.get("Versions", ())
        ]

    def uploads(self) -> list[str]:
        """What was begun in parts, and is not completed: its names for that."""
        told = self.client.list_multipart_uploads(Bucket=self.name, Prefix=self.prefix)
        return [each["UploadId"] for each in told.get("Uploads", ())]

    def begin(self, parts: dict[int, bytes], key: str = KEY, **how: Any) -> str:
        """Leave behind what a run does that was killed."""
        at = {"Bucket": self.name, "Key": self.prefix + key}
        upload: str = self.client.create_multipart_upload(**at, **how)["UploadId"]
        for number, content in parts.items():
            self.client.upload_part(**at, UploadId=upload, PartNumber=number, Body=content)
        return upload


SHARED: dict[tuple[str, bool], list[Any]] = {}


def made(server: Weed, *, lock: bool = False) -> Bucket:
    """A prefix of its own in a bucket that others use, too: a new bucket takes its time."""
    known = SHARED.setdefault((server.endpoint, lock), [])
    if not known:
        known += [server.client(), server.bucket(lock=lock)]
    client, name = known
    return Bucket(client, name, f"mail-{secrets.token_hex(6)}/")


def parts_of(content: bytes) -> dict[int, bytes]:
    starts = range(0, len(content), PART)
    return {at // PART + 1: content[at : at + PART] for at in starts}


def sent_parts(through: Faults) -> list[int]:
    """The numbers of the parts that were sent."""
    numbers = (re.search(r"partNumber=(\d+)", each.target) for each in through.requests)
    return sorted(int(each[1]) for each in numbers if each)


def methods(through: Faults) -> list[str]:
    return [each.method for each in through.requests]


def told(change: Callable[[Answer], Mapping[str, str]]) -> Action:
    """Pass a request on, and other headers back."""

    def act(exchange: Exchange) -> None:
        found = exchange.forward()
        exchange.resend(found, change(found), found.body)

    return act


def said(error: ArchiverError, bucket: Bucket, *, keyed: bool = True) -> str:
    """What an operator reads: of which store and what object; and nothing of a library."""
    message = error.message
    assert message.startswith("store 'far': ")
    assert f"s3://{bucket.name}/{bucket.prefix}{KEY if keyed else ''}" in message
    assert error.hint
    for word in ("botocore", "urllib3", "Traceback", "An error occurred", "object at 0x", "\n"):
        assert word not in message + error.hint
    return message
