"""Send a file to a bucket: in one request, or in parts that outlive the run which sent them.

    one part     PutObject
    several      ListMultipartUploads, ListParts   what a run that was killed has sent already
                 CreateMultipartUpload             if there is nothing of the kind
                 UploadPart                        for each part that is missing, four at once
                 CompleteMultipartUpload           only now is there an object, and it is whole

Created once (If-None-Match), and locked by the very request that begins it. That the server
answers 200 proves nothing: S3 itself may say so and fail, and so may a proxy.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from archiver.archives.names import ARCHIVE_SUFFIX
from archiver.archives.receipts import Protection
from archiver.config.targets import S3Target
from archiver.errors import StoreError
from archiver.stores.s3.checked_file import Body, CheckedFile, Pace, Part
from archiver.stores.s3.faults import (
    BETWEEN,
    DENIED,
    FAULTS,
    MISMATCHED,
    UNKNOWN,
    code_of,
    status_of,
)

AT_ONCE = 4
# By what an upload is verified: the header for each value of `checksum`.
DIGESTS = {"md5": "ContentMD5", "sha256": "ChecksumSHA256"}


@dataclass(frozen=True)
class Sent:
    """version: the server's name for the object's bytes, if it told. resumed: the upload had been
    begun by another run, perhaps with less protection.
    """

    version: str | None = None
    in_parts: bool = False
    resumed: bool = False


class Uploader:
    """Sends files to one bucket. Keys are whole ones here, with the target's prefix."""

    def __init__(self, client: BaseClient, target: S3Target) -> None:
        self._client = client
        self._target = target
        self._pace = Pace(target.max_bandwidth)
        # Until the server says that it does not know If-None-Match.
        self._creates_once = True
        client.meta.events.register("before-send.s3", _mark)

    def send(self, key: str, source: CheckedFile, protection: Protection, *, once: bool) -> Sent:
        """Store a file. once: only if nothing is there.

        Raises: ClientError, of status 412: something is there. What botocore raises.
        """
        if len(source.parts) > 1:
            return self._in_parts(key, source, protection, once=once)
        made = {**self._made(key), **_lock(protection)}
        answer = self._conditional(
            lambda condition: self._carry(
                self._client.put_object, key, source, source.parts[0], **made, **condition
            ),
            once=once,
        )
        return Sent(version_of(answer))

    def begun(self, prefix: str) -> list[dict[str, Any]]:
        """The uploads of keys with a prefix that were begun and neither completed nor aborted.

        None, where the server or its policy does not tell.
        """
        pages = self._client.get_paginator("list_multipart_uploads")
        try:
            told = [page.get("Uploads", ()) for page in pages.paginate(**self._at(Prefix=prefix))]
        except ClientError as error:
            if code_of(error) in DENIED | UNKNOWN:
                return []
            raise
        return [upload for page in told for upload in page]

    def abort(self, key: str, upload: str) -> None:
        """Have the server forget an upload, if it has not done so yet."""
        try:
            self._client.abort_multipart_upload(**self._at(Key=key), UploadId=upload)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise

    def sweep(self, key: str) -> None:
        """Have the server forget all that was begun of a key, for the object is there.

        What that fails for is left to `tidy`: it is no failure to have stored something.
        """
        with suppress(*FAULTS):
            for each in self._begun_of(key):
                self.abort(key, each["UploadId"])

    def _begun_of(self, key: str) -> list[dict[str, Any]]:
        return [each for each in self.begun(key) if each["Key"] == key]

    def _in_parts(
        self, key: str, source: CheckedFile, protection: Protection, *, once: bool
    ) -> Sent:
        upload = ""
        done: dict[int, Any] = {}
        for each in self._begun_of(key):
            kept = self._kept(key, each, source)
            if len(kept) > len(done):
                upload, done = each["UploadId"], kept
        resumed = bool(upload)
        upload = upload or self._begin(key, protection)
        self._send_rest(key, upload, source, done)
        parts = {"Parts": [done[part.number] for part in source.parts]}
        try:
            answer = self._conditional(
                lambda condition: self._client.complete_multipart_upload(
                    **self._at(Key=key), UploadId=upload, MultipartUpload=parts, **condition
                ),
                once=once,
            )
        except ClientError as error:
            if status_of(error) in {400, 412}:
                # It can never be completed: something is there, or a part is not what it was.
                with suppress(*FAULTS):
                    self.abort(key, upload)
            raise
        return Sent(version_of(answer), in_parts=True, resumed=resumed)

    def _begin(self, key: str, protection: Protection) -> str:
        answer = self._client.create_multipart_upload(
            **self._at(Key=key), **self._made(key), **_lock(protection), **algorithm(self._target)
        )
        return str(self._told(answer, "UploadId", key))

    def _kept(self, key: str, begun: Mapping[str, Any], source: CheckedFile) -> dict[int, Any]:
        """Return those parts of an upload that are what the file's are, as Complete wants them."""
        if begun.get("ChecksumAlgorithm", "") not in {"", self._target.checksum.upper()}:
            return {}
        ours = {part.number: part for part in source.parts}
        pages = self._client.get_paginator("list_parts")
        kept = {}
        try:
            for page in pages.paginate(**self._at(Key=key), UploadId=begun["UploadId"]):
                for sent in page.get("Parts", ()):
                    part = ours.get(sent["PartNumber"])
                    if part and sent["Size"] == part.size and _is_same(sent, part, source):
                        kept[part.number] = self._listed(part, sent["ETag"])
        except ClientError as error:
            if code_of(error) in DENIED | UNKNOWN | {"NoSuchUpload"}:
                return {}
            raise
        return kept

    def _send_rest(self, key: str, upload: str, source: CheckedFile, done: dict[int, Any]) -> None:
        """Send the parts that are not among `done`, and add them there."""
        with ThreadPoolExecutor(AT_ONCE, "upload") as pool:
            sending = {
                pool.submit(
                    self._carry,
                    self._client.upload_part,
                    key,
                    source,
                    part,
                    PartNumber=part.number,
                    UploadId=upload,
                ): part
                for part in source.parts
                if part.number not in done
            }
            try:
                for sent in as_completed(sending):
                    part = sending[sent]
                    etag = self._told(sent.result(), "ETag", key)
                    done[part.number] = self._listed(part, etag)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _carry(
        self,
        operation: Callable[..., dict[str, Any]],
        key: str,
        source: CheckedFile,
        part: Part,
        **more: object,
    ) -> dict[str, Any]:
        """Send one part's bytes with their digest, which the server verifies."""
        more[DIGESTS[source.checksum]] = part.in_base64
        try:
            return operation(**self._at(Key=key), Body=Body(source, part, self._pace), **more)
        except ClientError as error:
            if code_of(error) in MISMATCHED:
                source.demand(part)
            raise

    def _conditional(
        self, send: Callable[[Mapping[str, str]], dict[str, Any]], *, once: bool
    ) -> dict[str, Any]:
        """Send with If-None-Match if the server knows it; the caller has looked before."""
        if once and self._creates_once:
            try:
                return send({"IfNoneMatch": "*"})
            except ClientError as error:
                if code_of(error) not in UNKNOWN and status_of(error) != 501:
                    raise
            answer = send({})
            self._creates_once = False
            return answer
        return send({})

    def _made(self, key: str) -> dict[str, str]:
        """How an object is to be kept. Manifests and indexes stay where they can be read."""
        made = encryption(self._target)
        if self._target.storage_class and key.endswith(ARCHIVE_SUFFIX):
            made["StorageClass"] = self._target.storage_class
        return made

    def _listed(self, part: Part, etag: str) -> dict[str, Any]:
        """A part, as CompleteMultipartUpload wants it."""
        listed = {"PartNumber": part.number, "ETag": etag}
        if self._target.checksum == "sha256":
            listed["ChecksumSHA256"] = part.in_base64
        return listed

    def _told(self, answer: Mapping[str, Any], what: str, key: str) -> str:
        if what in answer:
            return str(answer[what])
        raise StoreError(
            f"store {self._target.name!r}: the server took s3://{self._target.bucket}/{key}, "
            f"or a part of it, but told no {what}",
            hint=BETWEEN,
        )

    def _at(self, **more: str) -> dict[str, str]:
        return {"Bucket": self._target.bucket, **more}


def version_of(answer: Mapping[str, Any]) -> str | None:
    """Return the version that an answer names; "null" is what was stored before there were any."""
    version = answer.get("VersionId")
    return None if version in {None, "null"} else str(version)


def protection_of(answer: Mapping[str, Any]) -> Protection:
    """Return how an answer to HEAD says that an object is protected."""
    until = answer.get("ObjectLockRetainUntilDate")
    return Protection(
        answer.get("ObjectLockMode", "").lower(),
        int(until.timestamp()) if until else 0,
        answer.get("ObjectLockLegalHoldStatus") == "ON",
    )


def encryption(target: S3Target) -> dict[str, str]:
    """The headers that have an object encrypted; a bucket may refuse what has others, or none."""
    wanted = {"ServerSideEncryption": target.sse, "SSEKMSKeyId": target.kms_key_id}
    return {name: value for name, value in wanted.items() if value}


def algorithm(target: S3Target) -> dict[str, str]:
    """What announces the digests of parts, where they are to be kept beside them."""
    return {"ChecksumAlgorithm": "SHA256"} if target.checksum == "sha256" else {}


def _lock(protection: Protection) -> dict[str, Any]:
    """The headers that lock an object from its first moment."""
    wanted: dict[str, Any] = {}
    if protection.mode:
        wanted["ObjectLockMode"] = protection.mode.upper()
        wanted["ObjectLockRetainUntilDate"] = datetime.fromtimestamp(protection.until, UTC)
    if protection.hold:
        wanted["ObjectLockLegalHoldStatus"] = "ON"
    return wanted


def _is_same(sent: Mapping[str, Any], part: Part, source: CheckedFile) -> bool:
    """Whether a part that the server has is ours: by its SHA-256, or by its MD5, the ETag.

    Under SSE-KMS an ETag is no MD5: then none is, and all are sent again.
    """
    if source.checksum == "sha256" and "ChecksumSHA256" in sent:
        return bool(sent["ChecksumSHA256"] == part.in_base64)
    md5 = part.digest if source.checksum == "md5" else source.digest(part, "md5")
    return bool(sent["ETag"].strip('"') == md5.hex())


def _mark(request: Any, **_more: object) -> None:  # noqa: ANN401 (botocore hands it over)
    """From here on a body is read to be sent, no longer to be signed."""
    if isinstance(request.body, Body):
        request.body.is_sending = True
