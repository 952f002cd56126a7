"""The three policies of docs/s3.md do what the document says, on a real server: each allows what it
is for, and no more.
"""

import hashlib
import json
import operator
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from archiver.stores import open_store
from tests import TOP
from tests.world.asked import ONCE, got, refused
from tests.world.faults import faults
from tests.world.host import MONDAY, Host, Said, after, command, line, lines
from tests.world.s3_host import PREFIX, Bucket, FarHost
from tests.world.weed import Policy, Weed, weed

DOCUMENT = (TOP / "docs" / "s3.md").read_text(encoding="utf-8")
WHO = ("writer", "reader", "expirer")
# Each test has a bucket of its own, and in it identities of its own.
BUCKETS = ("matrix", "nights", "copies", "reading", "parts", "probing", "mistaken")
MATRIX, NIGHTS, COPIES, READING, PARTS, PROBING, MISTAKEN = BUCKETS
NOT_OURS = "another-bucket"
DENIED = (403, "AccessDenied")
TOMORROW, LATER = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
BODY = b"as it was stored"


@cache
def documented(who: str, bucket: str) -> Policy:
    """Return a policy of the document, with its placeholders replaced."""
    heading = rf"^### The {who}\n.*?^```json\n(.*?)^```"
    found = re.search(heading, DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found, f"no policy for the {who}"
    policy: Policy = json.loads(found[1].replace("BUCKET", bucket).replace("PREFIX/", PREFIX))
    return policy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """A server that has these identities, each with the document's policy for its bucket."""
    policies = {f"{who}-{bucket}": documented(who, bucket) for bucket in BUCKETS for who in WHO}
    with weed(tmp_path_factory.mktemp("weed"), policies=policies) as running:
        for bucket in (*BUCKETS, NOT_OURS):
            running.client().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        yield running


# -- each request, and who may make it -------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """A request, and the permission that it takes, by IAM's name.

    by: who may make it, by their first letters: in the place of archives, and p: the writer in that
    of probes. made: how the key ends of an object made for it; empty: it is about the bucket.
    """

    by: str
    action: str
    operation: str
    arguments: Mapping[str, Any]
    made: str

    @property
    def context(self) -> dict[str, str]:
        """What conditions may ask for."""
        told = {
            "s3:prefix": self.arguments.get("Prefix"),
            "s3:object-lock-legal-hold": self.arguments.get("LegalHold", {}).get("Status"),
        }
        return {key: value for key, value in told.items() if value}


def of(by: str, action: str, operation: str, made: str = ".log.zst", **arguments: Any) -> Attempt:
    """Something that is attempted on an object."""
    return Attempt(by, f"s3:{action}", operation, arguments, made)


def at(by: str, action: str, operation: str, **arguments: Any) -> Attempt:
    """Something that is attempted on the bucket."""
    return of(by, action, operation, "", **arguments)


# What is known only when it is asked for.
VERSION, UPLOAD, PLACE = "(its version)", "(its upload)", "(where it is)"
NOBODY = ""
SHORTER: dict[str, Any] = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": TOMORROW}}
BYPASS: dict[str, Any] = {"BypassGovernanceRetention": True}
OF_IT: dict[str, Any] = {"VersionId": VERSION}
TAGS = {"TagSet": [{"Key": "a", "Value": "b"}]}
ENCRYPTED = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
SOON = {"ID": "soon", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
LOCKED = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": LATER}
HELD = {"ObjectLockLegalHoldStatus": "ON"}
OPEN = {"Version": "2012-10-17", "Statement": []}

ATTEMPTS = {
    "add": of("wp", "PutObject", "put_object", Body=BODY),
    "begin parts": of("wp", "PutObject", "create_multipart_upload"),
    "list parts": of("wp", "ListMultipartUploadParts", "list_parts", UploadId=UPLOAD),
    "abort parts": of("wp", "AbortMultipartUpload", "abort_multipart_upload", UploadId=UPLOAD),
    "lock": of("wp", "PutObjectRetention", "put_object_retention", **SHORTER),
    "see a lock": of("wpe", "GetObjectRetention", "get_object_retention"),
    "hold": of("wpe", "PutObjectLegalHold", "put_object_legal_hold", LegalHold={"Status": "ON"}),
    "see a hold": of("wpe", "GetObjectLegalHold", "get_object_legal_hold"),
    "get": of("wpre", "GetObject", "get_object"),
    "get a version": of("wpe", "GetObjectVersion", "get_object", **OF_IT),
    "remove an index": of("wp", "DeleteObject", "delete_object", ".idx"),
    "remove a run": of("w", "DeleteObject", "delete_object", ".run"),
    "remove a version": of("e", "DeleteObjectVersion", "delete_object", **OF_IT),
    "remove a run for good": of("e", "DeleteObjectVersion", "delete_object", ".run", **OF_IT),
    "remove an index for good": of("e", "DeleteObjectVersion", "delete_object", ".idx", **OF_IT),
    "list": at("wpre", "ListBucket", "list_objects_v2", Prefix=PLACE),
    "list versions": at("e", "ListBucketVersions", "list_object_versions", Prefix=PLACE),
    "list uploads": at("w", "ListBucketMultipartUploads", "list_multipart_uploads"),
    "see versioning": at("we", "GetBucketVersioning", "get_bucket_versioning"),
    "see the lock": at("we", "GetBucketObjectLockConfiguration", "get_object_lock_configuration"),
    # What none of them may.
    "destroy a manifest": of(
        NOBODY, "DeleteObjectVersion", "delete_object", ".manifest.json", **OF_IT
    ),
    "remove an archive": of(NOBODY, "DeleteObject", "delete_object"),
    "remove a manifest": of(NOBODY, "DeleteObject", "delete_object", ".manifest.json"),
    "bypass a lock": of(NOBODY, "BypassGovernanceRetention", "delete_object", **OF_IT, **BYPASS),
    "shorten a lock": of(
        NOBODY, "BypassGovernanceRetention", "put_object_retention", **SHORTER, **BYPASS
    ),
    "lift a hold": of(
        "pe", "PutObjectLegalHold", "put_object_legal_hold", LegalHold={"Status": "OFF"}
    ),
    "restore": of(NOBODY, "RestoreObject", "restore_object", RestoreRequest={"Days": 1}),
    "tag": of(NOBODY, "PutObjectTagging", "put_object_tagging", Tagging=TAGS),
    "publish": of(NOBODY, "PutObjectAcl", "put_object_acl", ACL="public-read"),
    "list all": at(NOBODY, "ListBucket", "list_objects_v2"),
    "list all versions": at(NOBODY, "ListBucketVersions", "list_object_versions"),
    "end versioning": at(
        *(NOBODY, "PutBucketVersioning", "put_bucket_versioning"),
        VersioningConfiguration={"Status": "Suspended"},
    ),
    "change the lock": at(
        *(NOBODY, "PutBucketObjectLockConfiguration", "put_object_lock_configuration"),
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"},
    ),
    "expire": at(
        *(NOBODY, "PutLifecycleConfiguration", "put_bucket_lifecycle_configuration"),
        LifecycleConfiguration={"Rules": [SOON]},
    ),
    "set a policy": at(NOBODY, "PutBucketPolicy", "put_bucket_policy", Policy=json.dumps(OPEN)),
    "remove a policy": at(NOBODY, "DeleteBucketPolicy", "delete_bucket_policy"),
    "publish all": at(NOBODY, "PutBucketAcl", "put_bucket_acl", ACL="public-read"),
    "encrypt": at(
        *(NOBODY, "PutEncryptionConfiguration", "put_bucket_encryption"),
        ServerSideEncryptionConfiguration={"Rules": [ENCRYPTED]},
    ),
    "tag the bucket": at(NOBODY, "PutBucketTagging", "put_bucket_tagging", Tagging=TAGS),
    "remove the bucket": at(NOBODY, "DeleteBucket", "delete_bucket"),
}
MADE_WITH: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("bypass a lock", "shorten a lock", "see a lock"), LOCKED),
    **dict.fromkeys(("lift a hold", "see a hold"), HELD),
}
# This server knows no condition on what becomes of a hold; and has nothing to restore.
NOT_ENFORCED, NOT_KNOWN = {"lift a hold"}, {"restore"}

ARCHIVES, PROBES = f"{PREFIX}host=mx1/", f"{PREFIX}probe/1/"
PLACES = {
    ARCHIVES: (MATRIX, ARCHIVES),
    PROBES: (MATRIX, PROBES),
    "beside": (MATRIX, f"{PREFIX}others/host=mx1/"),
    "another prefix": (MATRIX, "mail-2/host=mx1/"),
    "another bucket": (NOT_OURS, ARCHIVES),
}

MATCHING: Mapping[str, Callable[[str, str], bool]] = {
    "StringLike": fnmatchcase,
    "StringEquals": operator.eq,
}


def allows(policy: Policy, attempt: Attempt, bucket: str, key: str) -> bool:
    """Whether a policy allows a request, as AWS would see it."""
    resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if attempt.made else "")

    def met(statement: Mapping[str, Any]) -> bool:
        return (
            attempt.action in several(statement["Action"])
            and any(fnmatchcase(resource, each) for each in several(statement["Resource"]))
            and all(
                name in context and any(MATCHING[how](context[name], each) for each in several(to))
                for how, conditions in statement.get("Condition", {}).items()
                for name, to in conditions.items()
            )
        )

    context = {name: value.replace(PLACE, key) for name, value in attempt.context.items()}
    effects = {each["Effect"] for each in policy["Statement"] if met(each)}
    return effects == {"Allow"}


def several(one: str | list[str]) -> list[str]:
    return [one] if isinstance(one, str) else one


@pytest.fixture(scope="module")
def clients(server: Weed) -> Mapping[str, Any]:
    """A client of each in the matrix, and of the administrator."""
    return {"admin": server.client()} | {w: server.client(f"{w}-{MATRIX}", **ONCE) for w in WHO}


def arguments_of(admin: Any, name: str, bucket: str, key: str) -> dict[str, Any]:
    """Make what a request is about, and return what it says."""
    attempt = ATTEMPTS[name]
    there = {"Bucket": bucket, **({"Key": key} if attempt.made else {})}
    known = {PLACE: key}
    if attempt.made:
        lock = {"ChecksumAlgorithm": "SHA256", **MADE_WITH.get(name, {})}
        known[VERSION] = admin.put_object(**there, Body=BODY, **lock)["VersionId"]
    if UPLOAD in attempt.arguments.values():
        known[UPLOAD] = admin.create_multipart_upload(**there)["UploadId"]
    return there | {
        argument: known.get(value, value) if isinstance(value, str) else value
        for argument, value in attempt.arguments.items()
    }


def is_done(request: Callable[..., Any], arguments: Mapping[str, Any]) -> bool:
    """Whether a request is not denied."""
    try:
        answer = request(**arguments)
    except ClientError as error:
        told = error.response
        assert (told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]) == DENIED
        return False
    if "Body" in answer:
        answer["Body"].read()
    return True


@pytest.mark.parametrize("name", ATTEMPTS)
def test_each_may_what_it_is_for_and_nothing_else(clients: Mapping[str, Any], name: str) -> None:
    """By the words of its policy, and by what the server does; below its prefix, beside it, and in
    another bucket.
    """
    attempt = ATTEMPTS[name]
    is_of_bucket = not attempt.made and not attempt.context
    may, told, done = {}, {}, {}
    for place, (bucket, below) in PLACES.items():
        if is_of_bucket and bucket == MATRIX and place != ARCHIVES:
            continue
        key = f"{below}{name}{attempt.made}".replace(" ", "-")
        arguments = arguments_of(clients["admin"], name, bucket, key)
        for who in WHO:
            letter = {ARCHIVES: who[0], PROBES: "p" if who == "writer" else "-"}.get(place, "-")
            may[who, place] = letter in attempt.by
            told[who, place] = allows(documented(who, MATRIX), attempt, bucket, key)
            if name not in NOT_KNOWN:
                request = getattr(clients[who], attempt.operation)
                done[who, place] = is_done(request, arguments)
    assert may == told
    if name in NOT_ENFORCED:
        may["writer", ARCHIVES] = True
    assert may == done or name in NOT_KNOWN


@pytest.mark.parametrize("who", WHO)
def test_nothing_is_allowed_that_was_not_tried(who: str) -> None:
    """Nor by a wildcard; so a permission more is one attempt more, above."""
    allowed = {
        action
        for statement in documented(who, MATRIX)["Statement"]
        for action in several(statement["Action"])
        if statement["Effect"] == "Allow"
    }
    assert set() == allowed - {attempt.action for attempt in ATTEMPTS.values()}


def test_the_document_tells_what_was_not_seen() -> None:
    """What this server does not enforce, or does not know, stands there as not proven."""
    _, _, told = DOCUMENT.partition("\nNot proven:\n")
    paragraph, _, _ = told.lstrip().partition("\n\n")
    unseen = {ATTEMPTS[name].action for name in NOT_ENFORCED | NOT_KNOWN}
    assert unseen == {action for action in unseen if f"`{action}`" in paragraph}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(
    "lock", [LOCKED, LOCKED | {"ObjectLockMode": "COMPLIANCE"}, HELD], ids=["gov", "comp", "held"]
)
def test_what_is_locked_stays(clients: Mapping[str, Any], who: str, lock: dict[str, Any]) -> None:
    """Nobody removes that version, with or without a bypass, or makes its lock end sooner."""
    there = {"Bucket": MATRIX, "Key": f"{ARCHIVES}locked.log.zst"}
    admin, client = clients["admin"], clients[who]
    put = admin.put_object(**there, Body=BODY, ChecksumAlgorithm="SHA256", **lock)
    version = {"VersionId": put["VersionId"]}
    sooner = {"Mode": lock.get("ObjectLockMode", "GOVERNANCE"), "RetainUntilDate": TOMORROW}
    for bypass in ({}, BYPASS):
        assert refused(client.delete_object, **there, **version, **bypass) == DENIED
        if lock != HELD:
            shorten = {"Retention": sooner} | bypass
            assert refused(client.put_object_retention, **there, **version, **shorten) == DENIED
    assert got(admin, MATRIX, there["Key"], **version) == BODY


def test_what_a_writer_overwrites_is_still_there(clients: Mapping[str, Any]) -> None:
    """As an older version, which the writer cannot remove."""
    there = {"Bucket": MATRIX, "Key": f"{ARCHIVES}twice.log.zst"}
    first = clients["writer"].put_object(**there, Body=BODY)["VersionId"]
    clients["writer"].put_object(**there, Body=b"something else")
    assert refused(clients["writer"].delete_object, **there, VersionId=first) == DENIED
    assert got(clients["admin"], MATRIX, there["Key"], VersionId=first) == BODY


# -- the archiver itself ---------------------------------------------------------------------

QUEUED = "4jNTfn4jHVz90K1: message-id=<a@example.org>"
FOR_YEARS = {"object_lock": '"governance"', "lock_for": '"36500d"', "legal_hold": "true"}
LOCK = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")


def far_host(server: Weed, place: Path, name: str, who: str = "writer", **more: str) -> FarHost:
    """A host with a directory and a bucket, asked with these credentials; both need a copy."""
    bucket = Bucket(server, name, server, f"{who}-{name}", more)
    return FarHost(place, buckets={"far": bucket}, required=2)


def logged(host: Host, first: int, last: int) -> None:
    """Log a line on each of these days, and let the night after them come, without a failure."""
    for ahead in range(first, last + 1):
        host.write(lines(after(MONDAY, ahead), "10:00:00"))
    assert host.night(after(MONDAY, last + 1)).failures == []


def stored(host: FarHost) -> dict[str, tuple[str, ...]]:
    """How each object is locked that the bucket has of this host, by its name."""
    bucket = host.buckets["far"]
    admin = bucket.server.client()
    found = {}
    pages = admin.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=ARCHIVES)
    for each in [each for page in pages for each in page.get("Contents", ())]:
        head = admin.head_object(Bucket=bucket.name, Key=each["Key"])
        found[each["Key"].rpartition("/")[2]] = tuple(str(head.get(key, ""))[:10] for key in LOCK)
    return found


def only(locks: Mapping[str, tuple[str, ...]], suffix: str) -> list[tuple[str, ...]]:
    """The locks of those whose names end so."""
    return [lock for name, lock in locks.items() if name.endswith(suffix)]


def test_a_writer_archives_night_after_night(server: Weed, place: Path) -> None:
    """Locked and held; indexes are made and merged, and a run gives way to a larger one."""
    host = far_host(server, place, NIGHTS, **FOR_YEARS)
    logged(host, 0, 3)
    assert len(only(stored(host), "-000001-000004.run")) == 1
    logged(host, 4, 15)
    found = stored(host)
    until = [f"2126-04-{day}" for day in range(11, 27)]
    assert [("GOVERNANCE", day, "ON") for day in until] == only(found, ".log.zst")
    assert [("GOVERNANCE", day, "ON") for day in until] == only(found, ".manifest.json")
    assert only(found, ".idx") == [("", "", "")] * 16
    assert {name: lock for name, lock in found.items() if name.endswith(".run")} == {
        "maillog-000001-000016.run": ("", "", "")
    }


def test_a_writer_brings_locks_and_repairs(server: Weed, place: Path) -> None:
    """What a bucket that is new lacks; a lock for what is there, and a longer one; a sound copy for
    a damaged one, from the other store.
    """
    host = Host(place)
    logged(host, 0, 1)
    host = far_host(server, place, COPIES)
    assert host.archiver("sync").out == b"copies: 2 brought\n"
    assert set(only(stored(host), ".manifest.json")) == {("", "", "")}
    for more in (FOR_YEARS, FOR_YEARS | {"lock_for": '"36501d"'}):
        host = far_host(server, place, COPIES, **more)
        assert host.archiver("sync").out == b"copies: 4 protected\n"
    held = [("GOVERNANCE", f"2126-04-{day}", "ON") for day in (12, 13)]
    assert held == only(stored(host), ".manifest.json")
    damaged = host.manifests()[0].archive_key
    server.flip(COPIES, PREFIX + damaged, at=20, silently=True)
    said = host.archiver("repair")
    assert (said.status, said.out) == (5, b"copies: 3 verified, 1 mended\n")
    assert host.archiver("repair").out == b"copies: 4 verified\n"
    assert held == only(stored(host), ".log.zst")


def test_a_writer_goes_on_with_what_was_begun_in_parts(server: Weed, place: Path) -> None:
    """A run that was killed has sent a part: only the other one is sent then."""
    content = os.urandom(6 * 2**20)
    (path := place / "large").write_bytes(content)
    writer = server.client(f"writer-{PARTS}", **ONCE)
    there = {"Bucket": PARTS, "Key": f"{ARCHIVES}large.log.zst"}
    begun = {"UploadId": writer.create_multipart_upload(**there)["UploadId"]}
    writer.upload_part(**there, **begun, PartNumber=1, Body=content[: 5 * 2**20])
    with faults(server) as seeing:
        bucket = Bucket(server, PARTS, seeing, f"writer-{PARTS}", {"part_size": '"5MiB"'})
        (far,) = FarHost(place, targets=(), buckets={"far": bucket}).config.storage.targets
        open_store(far).put("host=mx1/large.log.zst", path, hashlib.sha256(content).hexdigest())
        asked = " ".join(seen.target for seen in seeing.requests if seen.method == "PUT")
    assert re.findall(r"partNumber=(\d+)", asked) == ["2"]
    assert (got(writer, *there.values()), bucket.uploads()) == (content, [])


@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_a_writer_can_probe(server: Weed, place: Path, mode: str) -> None:
    """All that a lock is relied upon for is seen; and that these credentials remove nothing."""
    host = far_host(server, place, PROBING, **FOR_YEARS | {"object_lock": f'"{mode}"'})
    said = host.archiver("store", "probe", "far", now=int(time.time()))
    assert (said.status, said.err) == (0, "")
    assert re.search(rb"^no deletion +enforced ", said.out, re.MULTILINE)


def test_a_reader_reads_without_a_configuration(
    server: Weed, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By date, by a key and as a list; below another prefix it is denied."""
    host = far_host(server, place, READING)
    message = line(datetime.fromisoformat(f"{MONDAY}T09:00"), f"postfix/cleanup[9]: {QUEUED}")
    host.write(message)
    logged(host, 0, 1)
    for name, secret in zip(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        server.credentials(f"reader-{READING}"),
        strict=True,
    ):
        monkeypatch.setenv(name, secret)

    def said(*words: str, prefix: str = PREFIX) -> Said:
        address = f"s3://{READING}/{prefix}?endpoint_url={server.endpoint}"
        return command("--store", address, *words)

    whole = message + lines(MONDAY, "10:00:00")
    assert said("fetch", "--date", str(MONDAY)) == Said(0, whole, "")
    assert said("fetch", "--message-id", "a@example.org") == Said(0, message, "")
    assert len(said("list").out.splitlines()) == 1 + 2
    denied = said("list", prefix="mail-2/")
    assert (denied.status, "access denied (AccessDenied" in denied.err) == (12, True)


def test_a_reader_stores_nothing(server: Weed, place: Path) -> None:
    """With the wrong credentials a night keeps everything, says what to allow, and the next one
    makes up for it.
    """
    host = far_host(server, place, MISTAKEN, "reader")
    host.write(lines(MONDAY, "10:00:00"))
    report = host.night(after(MONDAY))
    assert (report.exit_status, "s3:PutObject" in report.failures[0].hint) == (12, True)
    host = far_host(server, place, MISTAKEN)
    logged(host, 1, 1)
    assert host.dates() == [("2026-05-04", 1), ("2026-05-05", 1)]
    assert len(only(stored(host), ".manifest.json")) == 2
