"""A probe tells what a server enforces, of a good one and of bad ones.

SeaweedFS enforces all. moto takes a wrong secret and a shorter lock, and forgets the lock of what
is uploaded in parts. What other servers do is done on the way to one of them.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import StoreError, StoreRefusedError
from archiver.stores import probe_report
from archiver.stores.probe import probe
from archiver.stores.s3 import probing
from archiver.stores.s3.client import connect
from archiver.stores.s3.trial import Trial
from tests.world.exchange import Exchange
from tests.world.faults import (
    ACCESS_DENIED,
    INTERNAL_ERROR,
    NOT_IMPLEMENTED,
    TOO_SKEWED,
    Action,
    Rule,
    answer,
    faults,
)
from tests.world.probes import (
    ALWAYS,
    LOCKING,
    LOCKS,
    Moto,
    evidence,
    moto_with_buckets,
    short_of,
    target_of,
    told,
    verdicts,
    versions,
)
from tests.world.weed import Weed

# What moto does not enforce, and takes for done.
LIES = [
    *["MD5", "SHA-256", "no deletion", "lock in parts", "lock against shortening"],
    *["no bypass", "secret"],
]


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_with_buckets() as server:
        yield server


# -- real servers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixture", "mode", "identity"),
    [
        ("weed_server", "governance", "admin"),
        ("weed_server", "compliance", "writer"),
        ("tls_weed", "governance", "writer"),
        ("tls_weed", "compliance", "admin"),
    ],
)
def test_a_real_server_enforces_all(
    place: Path, request: pytest.FixtureRequest, fixture: str, mode: str, identity: str
) -> None:
    """What these credentials may besides is told; it is no failure."""
    server: Weed = request.getfixturevalue(fixture)
    bucket = server.bucket(lock=True)
    now = int(time.time())
    report = probe(target_of(place, bucket, server, identity=identity, mode=mode), now)
    may = ["no deletion"] if identity == "admin" else []
    may += ["no bypass"] if (identity, mode) == ("admin", "governance") else []
    assert set(verdicts(report)) == {*ALWAYS, *LOCKS}
    assert short_of(report) == dict.fromkeys(may, "not enforced")
    assert (report.ok, report.failed) == (True, ())
    assert told(report.findings) == dict.fromkeys(may, "not enforced")
    # What is left of it is below probe/, held by nobody, and locked for two minutes at most.
    client = server.client()
    left = versions(client, bucket, "")
    assert report.left == len(left) > 0
    for key, version in left:
        assert key.startswith("mail/probe/")
        head = client.head_object(Bucket=bucket, Key=key, VersionId=version)
        until = head.get("ObjectLockRetainUntilDate", datetime.now(UTC))
        assert until <= datetime.fromtimestamp(now + 150, UTC)
        assert head.get("ObjectLockLegalHoldStatus") != "ON"
        assert identity == "writer" or head["ObjectLockMode"] == mode.upper()


def test_a_bucket_without_lock_cannot_lock(place: Path, weed_server: Weed) -> None:
    bucket = weed_server.bucket()
    report = probe(target_of(place, bucket, weed_server, mode="governance"), 0)
    lacking = {"versions": "not enforced", "lock": "not enforced", "lock in parts": "not enforced"}
    lacking |= dict.fromkeys(LOCKING[2:], "unknown")
    assert told(report.failed) == lacking
    assert evidence(report, "lock") == "PUT with a lock: 400 InvalidRequest"


def test_what_is_not_configured_is_not_tried(place: Path, weed_server: Weed, bucket: str) -> None:
    """Unless it is asked for; and then it is no failure if the bucket has no such thing."""
    off = target_of(place, bucket, weed_server)
    report = probe(off, 0)
    assert (report.ok, short_of(report)) == (True, dict.fromkeys(LOCKS, "not configured"))
    assert short_of(probe(off, 0, lock=True)) == {}
    plain = weed_server.bucket()
    without = probe(target_of(place, plain, weed_server, identity="admin"), 0, lock=True)
    assert (without.ok, set(short_of(without))) == (True, {*LOCKS, "versions", "no deletion"})
    assert (without.left, versions(weed_server.client(), plain, "")) == (0, [])


def test_a_hold_may_be_all_that_is_relied_upon(place: Path, weed_server: Weed) -> None:
    for bucket, ok in ((weed_server.bucket(lock=True), True), (weed_server.bucket(), False)):
        target = target_of(place, bucket, weed_server, more="legal_hold = true\n")
        assert probe_report.is_locking(target)
        report = probe(target, 0)
        assert (report.ok, verdicts(report)["lock"]) == (ok, "not configured")
        assert list(told(report.failed)) == ([] if ok else ["versions", "legal hold"])


def test_a_bucket_that_locks_all_by_itself_does_not_keep_the_probe(
    place: Path, weed_server: Weed, bucket: str
) -> None:
    client = weed_server.client()
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}
    every = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=every)
    report = probe(target_of(place, bucket, weed_server, identity="admin", mode="compliance"), 0)
    assert (report.ok, short_of(report)) == (True, {"no deletion": "unknown"})
    soon = datetime.now(UTC) + timedelta(seconds=150)
    left = versions(client, bucket, "")
    assert len(left) >= 4
    for key, version in left:
        head = client.head_object(Bucket=bucket, Key=key, VersionId=version)
        assert head["ObjectLockRetainUntilDate"] < soon


def test_who_may_not_write_is_refused(place: Path, weed_server: Weed, bucket: str) -> None:
    with pytest.raises(StoreRefusedError, match="access denied") as refused:
        probe(target_of(place, bucket, weed_server, identity="reader"), 0)
    assert "s3:PutObject" in refused.value.hint
    with pytest.raises(StoreRefusedError, match="no bucket"):
        probe(target_of(place, "not-there", weed_server), 0)


def test_what_earlier_probes_have_left_is_removed(
    place: Path, weed_server: Weed, bucket: str
) -> None:
    """Held or not, and uploads too, by who may remove; not what is young, or no probe's."""
    client, now = weed_server.client(), int(time.time())
    young = datetime.fromtimestamp(now - 1800, UTC).strftime("mail/probe/%Y%m%dT%H%M%SZ-0a/x")
    old, others = "mail/probe/20260101T000000Z-0a/x", ["mail/probe/notes", "mail/host=mx1/x", young]
    for key in (old, old, *others):
        client.put_object(Bucket=bucket, Key=key, Body=b"", ObjectLockLegalHoldStatus="ON")
    for key in (old, young):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    probe(target_of(place, bucket, weed_server, identity="writer"), now)
    assert [key for key, _ in versions(client, bucket)].count(old) == 2
    probe(target_of(place, bucket, weed_server, identity="admin"), now)
    stays = {key for key, _ in versions(client, bucket)}
    assert (old in stays, stays >= set(others)) == (False, True)
    begun = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in begun] == [young]


def test_moto_is_found_out(place: Path, moto: Moto) -> None:
    report = probe(target_of(place, "locks", moto, mode="compliance"), 0)
    assert short_of(report) == dict.fromkeys(LIES, "not enforced")
    assert list(told(report.failed)) == ["lock in parts", "lock against shortening", "no bypass"]
    assert "shorter: 200" in evidence(report, "lock against shortening")
    assert evidence(report, "secret") == "a list with a wrong signature: 200"


# -- what other servers do -------------------------------------------------------------------


def stripped(head: bytes, name: str) -> bytes:
    return re.sub(rf"\r\n{name}:[^\r]*".encode(), b"", head, flags=re.IGNORECASE)


def without(*names: str) -> Action:
    """Let a server that verifies no signature never see some headers."""

    def act(exchange: Exchange) -> None:
        for name in names:
            exchange.head = stripped(exchange.head, name)
        exchange.pass_on()

    return act


def told_with(status: bytes, *names: str) -> Action:
    """Have the client told another status; the server never sees some headers."""

    def act(exchange: Exchange) -> None:
        for name in names:
            exchange.head = stripped(exchange.head, name)
        found = exchange.forward()
        head = b"HTTP/1.1 " + status + b"\r\n\r\n"
        exchange.resend(replace(found, head=head), {"content-length": "0", "etag": '"x"'}, b"")

    return act


def with_header(line: bytes) -> Action:
    def act(exchange: Exchange) -> None:
        exchange.head = exchange.head.replace(b"\r\n", b"\r\n" + line + b"\r\n", 1)
        exchange.pass_on()

    return act


Change = Callable[[dict[str, str], bytes], bytes]


def told_otherwise(change: Change) -> Action:
    """Have the real answer's headers and body changed on the way back."""

    def act(exchange: Exchange) -> None:
        found = exchange.forward()
        headers = dict(found.headers)
        body = change(headers, found.body)
        if headers.pop("transfer-encoding", None) or exchange.method != "HEAD":
            headers["content-length"] = str(len(body))
        exchange.resend(found, headers, body)

    return act


def dated(seconds: int) -> Action:
    def change(headers: dict[str, str], body: bytes) -> bytes:
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        headers["date"] = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return body

    return told_otherwise(change)


def downgraded(headers: dict[str, str], body: bytes) -> bytes:
    headers["x-amz-object-lock-mode"] = "GOVERNANCE"
    return body


def ending_sooner(headers: dict[str, str], body: bytes) -> bytes:
    headers["x-amz-object-lock-retain-until-date"] = "2026-01-01T00:00:00Z"
    return body


def unlisted(_headers: dict[str, str], body: bytes) -> bytes:
    return re.sub(rb"<Contents>.*</Contents>", b"", body, flags=re.DOTALL)


GONE, INVALID = answer(404, "NoSuchVersion"), answer(400, "InvalidRequest")
BYPASSED = b"x-amz-bypass-governance-retention: true"


def each(method: str, target: str, action: Action) -> Rule:
    return Rule(method, target, action, times=None)


# Servers by what they do; what they are found not to enforce, and by what; if locks rely upon it.
SERVERS: dict[str, tuple[Rule, list[str], str, bool]] = {
    "overwrite": (
        each("PUT", "free", without("if-none-match")),
        ["create once"],
        "second PUT, If-None-Match: 200, and the first one's bytes are gone",
        False,
    ),
    "know no condition": (
        Rule("PUT", "free", NOT_IMPLEMENTED),
        ["create once"],
        "first PUT, If-None-Match: 501 NotImplemented",
        False,
    ),
    "take it and drop it": (
        Rule("PUT", "free", told_with(b"200 OK"), skip=1),
        ["create once"],
        "second PUT, If-None-Match: 200",
        False,
    ),
    "refuse it and take it": (
        Rule("PUT", "free", told_with(b"412 -", "if-none-match"), skip=1),
        ["create once"],
        "second PUT, If-None-Match: 412, and the first one's bytes are gone",
        False,
    ),
    "overwrite by parts": (
        each("POST", "uploadId", without("if-none-match")),
        ["create once in parts"],
        "CompleteMultipartUpload, If-None-Match: 200, and the first one's bytes are gone",
        False,
    ),
    "give all": (
        Rule("GET", r"free\.log.*versionId", without("range")),
        ["ranges"],
        "bytes=7-106: 200, 256 bytes; past the end: 416 InvalidRange",
        False,
    ),
    "give all past the end": (
        Rule("GET", r"free\.log.*versionId", without("range"), skip=1),
        ["ranges"],
        "bytes=7-106: 206, 100 bytes; past the end: 200",
        False,
    ),
    "list later": (
        each("GET", "list-type=2.*free", told_otherwise(unlisted)),
        ["listing"],
        "ListObjectsV2: 200, nothing right after PUT",
        True,
    ),
    "forget versions": (
        Rule("GET", r"free\.log.*Id", GONE, skip=2),
        ["versions"],
        "GetBucketVersioning: Enabled; the first version is gone after a second PUT",
        True,
    ),
    "delete what is locked": (
        each("DELETE", "locked", with_header(BYPASSED)),
        ["lock against deletion", "lock against overwriting"],
        "DeleteObject of the version: 204; the locked version is gone",
        True,
    ),
    "overwrite what is locked": (
        Rule("GET", "locked.*versionId", GONE, skip=1),
        ["lock against overwriting"],
        "PUT over it: 200; the locked version is gone",
        True,
    ),
    "delete what is held": (
        each("GET", "held.*versionId", GONE),
        ["legal hold"],
        "DeleteObject of the version: 403 AccessDenied; it is gone",
        True,
    ),
    "hold nothing": (
        each("PUT", "held", INVALID),
        ["legal hold"],
        "PUT with a hold: 400 InvalidRequest",
        True,
    ),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_other_servers_are_found_out(place: Path, moto: Moto, kind: str) -> None:
    """By what is there afterwards. But for that one thing, they are moto."""
    rule, lacking, seen, matters = SERVERS[kind]
    settings: dict[str, Any] = {"mode": "governance", "more": "legal_hold = true\n"}
    with faults(moto, [rule]) as between:
        report = probe(target_of(place, "locks", moto, asked=between, **settings), 0)
    assert short_of(report) == dict.fromkeys([*LIES, *lacking], "not enforced")
    assert evidence(report, lacking[0]) == seen
    assert (lacking[0] in told(report.failed)) == matters


@pytest.mark.parametrize(
    ("change", "found"),
    [(downgraded, "governance"), (ending_sooner, "compliance until 2026-01-01")],
)
def test_a_weaker_lock_of_what_is_sent_in_parts(
    place: Path, weed_server: Weed, bucket: str, change: Change, found: str
) -> None:
    """As on Ceph: asked for compliance, got the bucket's default."""
    with faults(weed_server, [Rule("HEAD", "parts", told_otherwise(change))]) as between:
        report = probe(target_of(place, bucket, weed_server, asked=between, mode="compliance"), 0)
    assert told(report.failed) == {"lock in parts": "not enforced"}
    assert f"asked for compliance; HEAD: {found}" in evidence(report, "lock in parts")


def test_a_refusal_of_all_is_no_proof_of_a_lock(
    place: Path, weed_server: Weed, bucket: str
) -> None:
    """Who may not even make it longer cannot tell who refuses to make it shorter."""
    with faults(weed_server, [Rule("PUT", "retention", ACCESS_DENIED, times=None)]) as between:
        report = probe(target_of(place, bucket, weed_server, asked=between, mode="governance"), 0)
    assert told(report.failed) == {"lock against shortening": "unknown"}
    assert "allow s3:PutObjectRetention" in evidence(report, "lock against shortening")


def test_another_clock_is_told(place: Path, weed_server: Weed, bucket: str) -> None:
    """And when locks end is told by that of the server, which has to let them end."""
    rules = [Rule(".*", "", dated(-400)), Rule(".*", "", dated(400), times=None)]
    with faults(weed_server, rules) as between:
        target = target_of(place, bucket, weed_server, asked=between)
        with closing(connect(target)) as client:
            trial = Trial(client, target, 0)
            trial.meet()
            moment = trial.instant(60).timestamp() - time.time()
        report = probe(target, 0)
    assert trial.ahead is not None
    assert abs(trial.ahead + 400) <= 2
    assert abs(moment + 340) <= 3
    assert (report.ok, verdicts(report)["clock"]) == (True, "not enforced")
    ahead = r"the server's clock is (39[89]|40[012]) s ahead; above 900 s requests are refused"
    assert re.fullmatch(ahead, evidence(report, "clock"))


def test_a_clock_that_is_refused_is_named(place: Path, weed_server: Weed, bucket: str) -> None:
    with (
        faults(weed_server, [Rule("GET", "", TOO_SKEWED)]) as between,
        pytest.raises(StoreRefusedError, match="clock"),
    ):
        probe(target_of(place, bucket, weed_server, asked=between), 0)


def test_a_probe_that_is_broken_off_leaves_nothing(
    place: Path, weed_server: Weed, bucket: str
) -> None:
    """What may pass by itself is no verdict."""
    with (
        faults(
            weed_server, [Rule("DELETE", r"free\.log\.zst$", INTERNAL_ERROR, times=2)]
        ) as between,
        pytest.raises(StoreError, match="InternalError"),
    ):
        probe(target_of(place, bucket, weed_server, asked=between, identity="admin"), 0)
    assert versions(weed_server.client(), bucket, "") == []


def test_a_lock_that_ended_meanwhile_is_no_verdict(
    place: Path, weed_server: Weed, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "IN_TIME", -1)
    with pytest.raises(StoreError, match="too slow"):
        probe(target_of(place, bucket, weed_server, mode="governance"), 0)
