"""Stores in buckets, for a test; closed at its end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archiver.stores.s3 import reading
from archiver.stores.s3 import store as s3
from archiver.stores.s3.store import S3Store
from tests.world.bucket import Bucket, Server, target


@pytest.fixture
def opening(place: Path) -> Iterator[Callable[..., S3Store]]:
    """What opens a store in a bucket; they are closed at the end."""
    opened: list[S3Store] = []

    def open_(
        asked: Server, bucket: Bucket | str, identity: str = "admin", **settings: object
    ) -> S3Store:
        opened.append(S3Store(target(place, asked, bucket, identity, **settings)))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before trying again."""
    monkeypatch.setattr(s3, "PAUSE", 0)
    monkeypatch.setattr(reading, "PAUSE", 0)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
