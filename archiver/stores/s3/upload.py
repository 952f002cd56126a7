"""Send a file to a bucket: in one request, or in parts that outlive the run which sent them.

    one part     PutObject
    several      ListMultipartUploads, ListParts   what a killed run has sent already
                 CreateMultipartUpload             if there is no such upload
                 UploadPart                        for each missing part, four at once
                 CompleteMultipartUpload           only now is there an object, and it is whole

An object is created once (If-None-Match), and locked by the same request that begins it. A 200
proves nothing: S3 itself may answer that and fail, and so may a proxy.
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
# The header with the digest by which the server verifies an upload, for each value of `checksum`.
DIGESTS = {"md5": "ContentMD5", "sha256": "ChecksumSHA256"}


@dataclass(frozen=True)
class Sent:
    """What was sent. version: the server's id for it; None: it gave none. resumed: an earlier run
    had begun the upload, perhaps with less protection.
    """

    version: str | None = None
    in_parts: bool = False
    resumed: bool = False


class Uploader:
    """Sends files to one bucket. All keys here include the target's prefix."""

    def __init__(self, client: BaseClient, target: S3Target) -> None:
        self._client = client
        self._target = target
        self._pace = Pace(target.max_bandwidth)
        # False once the server has said that it does not know If-None-Match.
        self._creates_once = True
        client.meta.events.register("before-send.s3", _mark)

    def send(self, key: str, source: CheckedFile, protection: Protection, *, once: bool) -> Sent:
        """Store a file. once: only if the key holds nothing.

        Raises: ClientError, of status 412: the key holds something. What botocore raises.
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
        """Return the uploads below a prefix that were begun, and neither completed nor aborted.

        An empty list if the server cannot list them, or its policy does not allow it.
        """
        pages = self._client.get_paginator("list_multipart_uploads")
        try:
            found = [page.get("Uploads", ()) for page in pages.paginate(**self._at(Prefix=prefix))]
        except ClientError as error:
            if code_of(error) in DENIED | UNKNOWN:
                return []
            raise
        return [upload for page in found for upload in page]

    def abort(self, key: str, upload: str) -> None:
        """Have the server discard an upload, unless it has done so already."""
        try:
            self._client.abort_multipart_upload(**self._at(Key=key), UploadId=upload)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise

    def sweep(self, key: str) -> None:
        """Have the server discard all uploads of a key, whose object is stored now.

        Those for which that fails are left to `tidy`: the object is stored all the same.
        """
        with suppress(*FAULTS):
            for upload in self._begun_of(key):
                self.abort(key, upload["UploadId"])

    def _begun_of(self, key: str) -> list[dict[str, Any]]:
        return [each for each in self.begun(key) if each["Key"] == key]

    def _in_parts(
        self, key: str, source: CheckedFile, protection: Protection, *, once: bool
    ) -> Sent:
        upload = ""
        done: dict[int, Any] = {}
        for begun in self._begun_of(key):
            kept = self._kept(key, begun, source)
            if len(kept) > len(done):
                upload, done = begun["UploadId"], kept
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
                # It can never be completed: the key holds something, or a part is damaged.
                with suppress(*FAULTS):
                    self.abort(key, upload)
            raise
        return Sent(version_of(answer), in_parts=True, resumed=resumed)

    def _begin(self, key: str, protection: Protection) -> str:
        answer = self._client.create_multipart_upload(
            **self._at(Key=key), **self._made(key), **_lock(protection), **algorithm(self._target)
        )
        return str(self._required(answer, "UploadId", key))

    def _kept(self, key: str, begun: Mapping[str, Any], source: CheckedFile) -> dict[int, Any]:
        """Return the parts of an upload that equal the file's, as CompleteMultipartUpload wants
        them, by number.
        """
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
        """Send the parts that are not in `done`, and add them to it."""
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
                    etag = self._required(sent.result(), "ETag", key)
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
        """Send with If-None-Match if the server knows that; if not, the caller's HEAD must do."""
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
        """How an object is to be kept. Only archives get a storage class: the rest stays warm."""
        made = encryption(self._target)
        if self._target.storage_class and key.endswith(ARCHIVE_SUFFIX):
            made["StorageClass"] = self._target.storage_class
        return made

    def _listed(self, part: Part, etag: str) -> dict[str, Any]:
        """Describe a part as CompleteMultipartUpload wants it."""
        listed = {"PartNumber": part.number, "ETag": etag}
        if self._target.checksum == "sha256":
            listed["ChecksumSHA256"] = part.in_base64
        return listed

    def _required(self, answer: Mapping[str, Any], field: str, key: str) -> str:
        """Return a field of an answer. Raises: StoreError: it is missing."""
        if field in answer:
            return str(answer[field])
        raise StoreError(
            f"store {self._target.name!r}: the server accepted s3://{self._target.bucket}/{key}, "
            f"or a part of it, but returned no {field}",
            hint=BETWEEN,
        )

    def _at(self, **more: str) -> dict[str, str]:
        return {"Bucket": self._target.bucket, **more}


def version_of(answer: Mapping[str, Any]) -> str | None:
    """Return the version that an answer names; None: there is none ("null": stored before versions
    were kept).
    """
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
    """Return the headers that have an object encrypted. A bucket may refuse requests without."""
    wanted = {"ServerSideEncryption": target.sse, "SSEKMSKeyId": target.kms_key_id}
    return {name: value for name, value in wanted.items() if value}


def algorithm(target: S3Target) -> dict[str, str]:
    """Return the header that announces digests of parts, if the server is to keep those."""
    return {"ChecksumAlgorithm": "SHA256"} if target.checksum == "sha256" else {}


def _lock(protection: Protection) -> dict[str, Any]:
    """Return the headers that lock an object from its first moment."""
    wanted: dict[str, Any] = {}
    if protection.mode:
        wanted["ObjectLockMode"] = protection.mode.upper()
        wanted["ObjectLockRetainUntilDate"] = datetime.fromtimestamp(protection.until, UTC)
    if protection.hold:
        wanted["ObjectLockLegalHoldStatus"] = "ON"
    return wanted


def _is_same(sent: Mapping[str, Any], part: Part, source: CheckedFile) -> bool:
    """Whether a part on the server equals ours: by its SHA-256, or by its ETag, which is its MD5.

    Under SSE-KMS an ETag is not an MD5: then no part is equal, and all are sent again.
    """
    if source.checksum == "sha256" and "ChecksumSHA256" in sent:
        return bool(sent["ChecksumSHA256"] == part.in_base64)
    md5 = part.digest if source.checksum == "md5" else source.digest(part, "md5")
    return bool(sent["ETag"].strip('"') == md5.hex())


def _mark(request: Any, **_more: object) -> None:  # noqa: ANN401 (botocore hands it over)
    """Note that from here on a body is read to be sent, no longer to be signed."""
    if isinstance(request.body, Body):
        request.body.is_sending = True
