"""Read an object, or a part of one, over connections that may break at any byte.

    ask ──▸ bytes ──▸ the end that was wanted, or the object's own
     ▴        │ broken off, or ended early
     └────────┘ from the next byte on, of the same version

An answer has to say what it holds (Content-Range, ETag). One that does not is refused: a proxy's
empty 200 is not an empty object.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from botocore.client import BaseClient

from archiver.archives.receipts import Stored
from archiver.config.targets import S3Target
from archiver.errors import ArchiverError, IntegrityError, StoreError
from archiver.stores.s3.faults import BETWEEN, FAULTS, explained, missing, place, status_of

CHUNK = 2**20
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
# How long to wait before the same byte is asked for again: seconds, doubled each time.
PAUSE = 0.1
DAMAGED = "this copy is damaged; `archiver repair` replaces it from another store"


@dataclass(frozen=True)
class RangeBody:
    """What a GET gives. first: the offset of its first byte. total: the object's size in bytes;
    None: the server did not say.
    """

    body: Any
    first: int
    total: int | None


class ObjectReading:
    """One object being read from offset `start` on: `length` bytes; None: to its end.

    find: asks the store again what a key holds.
    """

    def __init__(
        self,
        client: BaseClient,
        target: S3Target,
        find: Callable[[str], Stored | None],
        key: str,
        start: int,
        length: int | None,
    ) -> None:
        self._client = client
        self._target = target
        self._find = find
        self._key = key
        self._at = start
        self._wanted = None if length is None else start + length
        self._total: int | None = None
        # The condition under which a later request is answered with the same version.
        self._same: dict[str, str] = {}

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes. Raises: as `ReadableStore.stream`."""
        if self._is_done():
            self._size()
        fruitless = 0
        while not self._is_done():
            before, trouble = self._at, None
            answer = self._ask()
            if answer is None:
                break
            try:
                with closing(answer.body):
                    yield from self._taken(answer)
            except FAULTS as error:
                trouble = explained(error, self._target, "reading", self._key)
            if self._total is None and trouble is None:
                # No answer said where the object ends, and the connection may have been cut.
                self._total = self._size()
            fruitless = 0 if self._at > before else fruitless + 1
            if fruitless >= self._target.attempts and not self._is_done():
                raise trouble or self._damaged(f"holds {self._total} bytes, but gives {self._at}")
            time.sleep(PAUSE * 2**fruitless if fruitless else 0)
        if self._wanted is not None and self._at < self._wanted:
            raise self._damaged(f"ends {self._wanted - self._at} bytes too early")

    def _is_done(self) -> bool:
        ends = [end for end in (self._wanted, self._total) if end is not None]
        return bool(ends) and self._at >= min(ends)

    def _taken(self, answer: RangeBody) -> Iterator[bytes]:
        """Yield what is wanted of an answer, which may begin too early and end too late."""
        if answer.total is not None:
            self._total = answer.total
        skip = self._at - answer.first
        while not self._is_done():
            left = CHUNK if self._wanted is None else self._wanted - self._at
            chunk = answer.body.read(min(CHUNK, skip or left))
            if not chunk:
                return
            if skip:
                skip -= len(chunk)
                continue
            self._at += len(chunk)
            yield chunk

    def _ask(self) -> RangeBody | None:
        """Ask for the bytes from the next one on; None: the object has no more."""
        asked = dict(self._same)
        if self._at or self._wanted is not None:
            last = "" if self._wanted is None else self._wanted - 1
            asked["Range"] = f"bytes={self._at}-{last}"
        try:
            given = self._client.get_object(
                Bucket=self._target.bucket, Key=self._target.prefix + self._key, **asked
            )
        except FAULTS as error:
            if status_of(error) == 416 and self._size() <= self._at:
                return None
            if status_of(error) == 412:
                raise self._changed() from error
            raise explained(error, self._target, "reading", self._key) from error
        try:
            return self._understood(given)
        except ArchiverError:
            given["Body"].close()
            raise

    def _understood(self, given: dict[str, Any]) -> RangeBody:
        etag, version = given.get("ETag", ""), given.get("VersionId", "")
        same = {"IfMatch": etag} if etag else {"VersionId": version} if version else {}
        if self._same not in ({}, same):
            raise self._changed()
        self._same = same
        answer = RangeBody(given["Body"], 0, given.get("ContentLength"))
        span = CONTENT_RANGE.fullmatch(given.get("ContentRange", ""))
        if span:
            total = None if span[2] == "*" else int(span[2])
            answer = RangeBody(given["Body"], int(span[1]), total)
        is_part = given["ResponseMetadata"]["HTTPStatusCode"] == 206
        if not (same or "LastModified" in given) or is_part > bool(span) or answer.first > self._at:
            raise StoreError(
                f"{self._name()}: the answer does not say what it holds",
                hint=BETWEEN,
            )
        return answer

    def _size(self) -> int:
        found = self._find(self._key)
        if found is None:
            raise missing(self._target, self._key)
        return found.size

    def _damaged(self, how: str) -> IntegrityError:
        return IntegrityError(f"{self._name()} {how}", hint=DAMAGED)

    def _changed(self) -> StoreError:
        return StoreError(
            f"{self._name()} was replaced while it was read", hint="try again: it can be read now"
        )

    def _name(self) -> str:
        return f"store {self._target.name!r}: {place(self._target, self._key)}"
