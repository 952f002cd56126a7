"""A probe's own corner of a bucket: small objects below `probe/`, examined and removed again.

A refusal by the server is an answer, and part of what the probe learns. What may pass by itself
(the server is busy, or cannot be reached) is a failure: then nothing was learnt.
"""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from archiver.archives.receipts import Protection
from archiver.config.targets import S3Target
from archiver.errors import ArchiverError, StoreError
from archiver.stores.s3.faults import (
    BETWEEN,
    BUSY,
    FAULTS,
    FULL,
    UNKNOWN,
    code_of,
    explained,
    status_of,
)
from archiver.stores.s3.upload import (
    DIGESTS,
    Uploader,
    algorithm,
    encryption,
    protection_of,
    version_of,
)

BELOW = "probe/"
STAMP = "%Y%m%dT%H%M%SZ"
STAMPED = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]+/")
# Younger objects are left alone: another host's probe of the bucket may be under way; and a lock
# of a probe lasts two minutes. Seconds.
LEFT_OVER = 3600
# One probe removes at most so many objects that earlier probes have left.
MOST = 1000
PASSING = BUSY | FULL | {"RequestTimeout", "408", "OperationAborted", "429"}


@dataclass(frozen=True)
class Response:
    """What a server answered. status: of HTTP. fields: of the answer. error: None: it did it."""

    status: int
    fields: Mapping[str, Any]
    error: ClientError | None = None

    @property
    def done(self) -> bool:
        return self.error is None

    @property
    def unknown(self) -> bool:
        """Whether the server does not know the operation."""
        code = code_of(self.error) if self.error else ""
        return not self.done and (code in UNKNOWN or self.status in {405, 501})

    def __str__(self) -> str:
        code = code_of(self.error) if self.error else ""
        return f"{self.status} {code}" if code not in {"", str(self.status)} else f"{self.status}"


@dataclass(frozen=True)
class Made:
    """An object of the probe. version: None if the server keeps none."""

    key: str
    version: str | None

    @property
    def exactly(self) -> dict[str, str]:
        """The arguments that name it in a request, with its version."""
        return {"Key": self.key, **({"VersionId": self.version} if self.version else {})}


class Trial:
    """Sends requests to one bucket. now: the instant at which the probe began, part of its keys.

    ahead: how many seconds the server's clock is ahead of ours; None: it does not say. usual: what
    every object is put with, such as a short lock, where the bucket would set a long one.
    """

    def __init__(self, client: BaseClient, target: S3Target, now: int) -> None:
        stamp = datetime.fromtimestamp(now, UTC).strftime(STAMP)
        self.target = target
        self.ahead: int | None = None
        self.usual: Mapping[str, Any] = {}
        self._client = client
        self._now = now
        self._below = f"{target.prefix}{BELOW}{stamp}-{secrets.token_hex(4)}/"
        self._made: list[Made] = []

    # -- asking ------------------------------------------------------------------------------

    def ask(self, operation: str, **arguments: Any) -> Response:  # noqa: ANN401 (botocore's own)
        """Send a request about the bucket. A refusal is an answer, too.

        Raises: ArchiverError: nothing was learnt; if not retryable, only from this request.
        """
        try:
            with self.failing(arguments.get("Key", "")):
                answer = getattr(self._client, operation)(Bucket=self.target.bucket, **arguments)
        except ClientError as error:
            return Response(status_of(error), error.response, error)
        return Response(answer["ResponseMetadata"]["HTTPStatusCode"], answer)

    @contextmanager
    def failing(self, key: str = "") -> Iterator[None]:
        """Let refusals (ClientError) through, and explain everything else."""
        try:
            yield
        except ClientError as error:
            passes = status_of(error) >= 500 and status_of(error) != 501
            if passes or code_of(error) in PASSING:
                raise self.explained(error, key) from error
            raise
        except FAULTS as error:
            raise self.explained(error, key) from error

    def explained(self, error: Exception, key: str = "") -> ArchiverError:
        """Return our own error for it, which says what it means."""
        return explained(error, self.target, "probing", key.removeprefix(self.target.prefix))

    def demand(self, answer: Response, key: str = "") -> Response:
        """Return an answer that the probe cannot do without. Raises: ArchiverError: a refusal."""
        if answer.error:
            raise self.explained(answer.error, key) from answer.error
        return answer

    def meet(self) -> None:
        """Send the first request: does the bucket exist, are the credentials accepted, and what
        time is it there? Raises: ArchiverError: no probe is possible.
        """
        begun = time.time()
        answer = self.look()
        headers = answer.fields.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        with suppress(ValueError, TypeError):
            theirs = parsedate_to_datetime(headers.get("date", "")).timestamp()
            # Theirs is in whole seconds, and was written while we waited.
            early, late = theirs - time.time(), theirs + 1 - begun
            self.ahead = round(early if early > 0 else min(late, 0))
        self.demand(answer)

    def look(self) -> Response:
        """Ask for a list of one object."""
        return self.ask("list_objects_v2", Prefix=self._below, MaxKeys=1)

    def instant(self, seconds: int) -> datetime:
        """Return the time so many seconds from now by the server's clock, which ends locks."""
        return datetime.fromtimestamp(int(time.time()) + (self.ahead or 0) + seconds, UTC)

    # -- making ------------------------------------------------------------------------------

    def key(self, name: str) -> str:
        return self._below + name

    def put(self, name: str, body: bytes, **more: Any) -> Response:  # noqa: ANN401
        """Put an object with its digest and `more` headers, which may hold another digest."""
        digests = self._digest(body)
        if set(DIGESTS.values()) & set(more):
            digests = {}
        wanted = {**self.usual, **encryption(self.target), **digests, **more}
        answer = self.ask("put_object", Key=self.key(name), Body=body, **wanted)
        return self._noted(name, answer)

    def put_in_parts(self, name: str, body: bytes, *, once: bool = False, **more: Any) -> Response:  # noqa: ANN401
        """Put an object as a large one is put; return the last answer, or the first refusal."""
        at = {"Key": self.key(name)}
        wanted = {**self.usual, **encryption(self.target), **algorithm(self.target), **more}
        answer = self.ask("create_multipart_upload", **at, **wanted)
        if not answer.done:
            return answer
        upload = self._required(answer, "UploadId")
        try:
            digest = self._digest(body)
            answer = self.ask(
                "upload_part", **at, UploadId=upload, PartNumber=1, Body=body, **digest
            )
            if answer.done:
                part = {"PartNumber": 1, "ETag": self._required(answer, "ETag"), **digest}
                part.pop("ContentMD5", None)
                answer = self.ask(
                    "complete_multipart_upload",
                    **at,
                    UploadId=upload,
                    MultipartUpload={"Parts": [part]},
                    **({"IfNoneMatch": "*"} if once else {}),
                )
                upload = "" if answer.done else upload
        finally:
            if upload:
                with suppress(*FAULTS):
                    self._client.abort_multipart_upload(
                        Bucket=self.target.bucket, **at, UploadId=upload
                    )
        return self._noted(name, answer)

    def made(self, name: str) -> Made:
        """Return the object that was last put under a name."""
        return next(made for made in reversed(self._made) if made.key == self.key(name))

    def _noted(self, name: str, answer: Response) -> Response:
        if answer.done:
            self._made.append(Made(self.key(name), version_of(answer.fields)))
        return answer

    def _required(self, answer: Response, field: str) -> str:
        if field in answer.fields:
            return str(answer.fields[field])
        raise StoreError(
            f"store {self.target.name!r}: the server accepted an upload, but returned no {field}",
            hint=BETWEEN,
        )

    def _digest(self, body: bytes) -> dict[str, str]:
        """Return the header by which the server verifies an upload, as for archives."""
        digest = hashlib.new(self.target.checksum, body, usedforsecurity=False).digest()
        return {DIGESTS[self.target.checksum]: base64.b64encode(digest).decode()}

    # -- looking -----------------------------------------------------------------------------

    def got(self, made: Made, **more: str) -> tuple[Response, bytes]:
        """Get an object, or a part of it; return the answer and all bytes."""
        answer = self.ask("get_object", **made.exactly, **more)
        if not answer.done:
            return answer, b""
        with self.failing(made.key), answer.fields["Body"] as body:
            return answer, body.read()

    def holds(self, made: Made, body: bytes) -> bool:
        """Whether that version still exists, with these bytes."""
        answer, found = self.got(made)
        if not answer.done and answer.status != 404:
            self.demand(answer, made.key)
        return found == body

    def protection(self, made: Made) -> Protection:
        """Return how that version is protected, according to HEAD."""
        answer = self.ask("head_object", **made.exactly)
        return protection_of(answer.fields if answer.done else {})

    # -- removing ----------------------------------------------------------------------------

    def delete(self, **what: Any) -> Response:  # noqa: ANN401
        """Delete an object or a version. If that makes a marker, it has to be removed, too."""
        answer = self.ask("delete_object", **what)
        if answer.done and answer.fields.get("DeleteMarker"):
            self._made.append(Made(what["Key"], version_of(answer.fields)))
        return answer

    def remove(self) -> int:
        """Remove what was made; return how many objects stay. If the credentials allow that, remove
        what earlier probes have left, too.
        """
        left = len(self._made)
        with suppress(ArchiverError):  # a server that does not answer is not waited for repeatedly
            for made in reversed(self._made):
                left -= self._removed(made)
            if left < len(self._made):
                for made in self._left_over():
                    self._removed(made)
                self._abort_left_over()
        return left

    def _removed(self, made: Made) -> bool:
        answer = self.ask("delete_object", **made.exactly)
        if not answer.done and answer.status != 404 and self.protection(made).hold:
            # The hold is a probe's own, left when that was killed.
            off = {"LegalHold": {"Status": "OFF"}}
            self.ask("put_object_legal_hold", **made.exactly, **off)
            answer = self.ask("delete_object", **made.exactly)
        return answer.done or answer.status == 404

    def _abort_left_over(self) -> None:
        uploader = Uploader(self._client, self.target)
        with suppress(*FAULTS):
            for upload in uploader.begun(self.target.prefix + BELOW):
                if self._is_old(upload["Key"]):
                    uploader.abort(upload["Key"], upload["UploadId"])

    def _left_over(self) -> Sequence[Made]:
        """Return what was made by probes that began an hour ago or earlier."""
        found: list[Made] = []
        pages = self._client.get_paginator("list_object_versions")
        with suppress(*FAULTS):
            for page in pages.paginate(
                Bucket=self.target.bucket, Prefix=self.target.prefix + BELOW
            ):
                every = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                found += [Made(one["Key"], version_of(one)) for one in every]
                if len(found) >= MOST:
                    break
        return [made for made in found[:MOST] if self._is_old(made.key)]

    def _is_old(self, key: str) -> bool:
        stamp = STAMPED.match(key.removeprefix(self.target.prefix + BELOW))
        if stamp is None:
            return False
        begun = datetime.strptime(stamp[1], STAMP).replace(tzinfo=UTC).timestamp()
        return begun <= self._now - LEFT_OVER
