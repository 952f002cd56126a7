"""The S3 servers that other tests rely on are what they claim to be."""

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, SSLError

from tests.world.asked import ONCE, got, refused
from tests.world.loopback import ABOVE, BLOCK, HERE
from tests.world.weed import SOCKETS, Weed, allow, connect, weed

BODY = os.urandom(300_000)
IN_AN_HOUR, IN_TWO_HOURS = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, 2))
EITHER = pytest.mark.parametrize("fixture", ["weed_server", "tls_weed"])


def lock(mode: str, until: datetime = IN_AN_HOUR) -> dict[str, Any]:
    return {
        "ChecksumAlgorithm": "SHA256",
        "ObjectLockMode": mode,
        "ObjectLockRetainUntilDate": until,
    }


def retention(mode: str, until: datetime) -> dict[str, Any]:
    return {"Retention": {"Mode": mode, "RetainUntilDate": until}}


def put(server: Weed, bucket: str, body: bytes = BODY, **arguments: Any) -> str:
    """The version of the object `day` with this body."""
    answer = server.client().put_object(Bucket=bucket, Key="day", Body=body, **arguments)
    return str(answer.get("VersionId", ""))


@EITHER
def test_what_is_put_is_got(fixture: str, request: pytest.FixtureRequest) -> None:
    server: Weed = request.getfixturevalue(fixture)
    bucket = server.bucket()
    put(server, bucket)
    assert got(server.client(), bucket, "day") == BODY
    assert got(server.client(), bucket, "day", Range="bytes=7-106") == BODY[7:107]


def test_tls_is_trusted_by_its_own_authority_only(tls_weed: Weed) -> None:
    assert tls_weed.endpoint.startswith("https:")
    stranger = connect(tls_weed.endpoint, tls_weed.credentials(), **ONCE)
    with pytest.raises(SSLError):
        stranger.list_buckets()
    stranger.close()


def test_a_wrong_secret_is_refused(weed_server: Weed, bucket: str) -> None:
    thief = connect(weed_server.endpoint, ("admin", "guessed"), **ONCE)
    assert refused(thief.list_objects_v2, Bucket=bucket) == (403, "SignatureDoesNotMatch")
    thief.close()


def test_servers_share_nothing(weed_server: Weed, second_weed: Weed, bucket: str) -> None:
    assert refused(second_weed.client().list_objects_v2, Bucket=bucket) == (404, "NoSuchBucket")
    assert weed_server.endpoint != second_weed.endpoint


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_is_stored_outlives_the_process(second_weed: Weed, end: str) -> None:
    bucket = second_weed.bucket(lock=True)
    version = put(second_weed, bucket, **lock("COMPLIANCE"))
    before, endpoint = second_weed.pid, second_weed.endpoint
    getattr(second_weed, end)()
    with pytest.raises(EndpointConnectionError):
        second_weed.client(**ONCE).list_buckets()
    second_weed.start()
    assert (second_weed.pid != before, second_weed.endpoint) == (True, endpoint)
    client = second_weed.client(**ONCE)
    assert got(client, bucket, "day") == BODY
    assert refused(client.delete_object, Bucket=bucket, Key="day", VersionId=version)[0] == 403


def test_it_listens_on_loopback_only(weed_server: Weed) -> None:
    ours = {*range(weed_server.port, weed_server.port + BLOCK)}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{weed_server.pid}/net/{table}").read_text().splitlines()[1:]:
            local, _, state = line.split()[1:4]
            address, port = local.split(":")
            if state == "0A" and int(port, 16) in ours:
                listening.add(address)
    assert listening == {socket.inet_aton(HERE)[::-1].hex().upper()}


def test_nothing_is_left_of_it_whatever_happens(tmp_path: Path) -> None:
    with suppress(RuntimeError), weed(tmp_path) as server:
        pid, port, client = server.pid, server.port, server.client(**ONCE)
        raise RuntimeError("whatever")
    assert not Path(f"/proc/{pid}").exists()
    left = {path.stem.rpartition("-")[2] for path in SOCKETS.glob("seaweedfs-*.sock")}
    assert not left & {str(port + after + up) for after in range(BLOCK) for up in (0, ABOVE)}
    with pytest.raises(EndpointConnectionError):
        client.list_buckets()
    client.close()


def test_a_bucket_is_as_it_was_asked_for(weed_server: Weed) -> None:
    client = weed_server.client()
    plain, versioned, locked = (
        weed_server.bucket(),
        weed_server.bucket(versioning=True),
        weed_server.bucket(lock=True),
    )
    status = [
        client.get_bucket_versioning(Bucket=name).get("Status") for name in (plain, versioned)
    ]
    assert status == [None, "Enabled"]
    known = client.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert known["ObjectLockEnabled"] == "Enabled"
    assert [put(weed_server, plain), len(put(weed_server, versioned))] == ["", 32]


def test_a_writer_adds_and_locks_and_does_not_undo(weed_server: Weed, bucket: str) -> None:
    there = {"Bucket": bucket, "Key": "day"}
    free = put(weed_server, bucket)
    writer = weed_server.client("writer", **ONCE)
    locked = writer.put_object(**there, Body=b"new", **lock("GOVERNANCE"))["VersionId"]
    writer.put_object_legal_hold(**there, LegalHold={"Status": "ON"})
    writer.put_object_retention(**there, **retention("GOVERNANCE", IN_TWO_HOURS))
    assert got(writer, bucket, "day") == b"new"
    versions = writer.list_object_versions(Bucket=bucket)["Versions"]
    assert [version["VersionId"] for version in versions] == [locked, free]
    denied = (403, "AccessDenied")
    assert refused(writer.delete_object, **there) == denied
    assert refused(writer.delete_object, **there, VersionId=free) == denied
    assert refused(writer.delete_object, **there, VersionId=locked) == denied
    bypass = {"BypassGovernanceRetention": True}
    assert refused(writer.delete_object, **there, VersionId=locked, **bypass) == denied
    shorter = retention("GOVERNANCE", IN_AN_HOUR)
    assert refused(writer.put_object_retention, **there, **shorter) == denied
    assert refused(writer.put_object_retention, **there, **shorter, **bypass) == denied
    many = writer.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "day"}]})
    assert [error["Code"] for error in many["Errors"]] == ["AccessDenied"]
    assert refused(writer.delete_bucket, Bucket=bucket) == denied


def test_an_expirer_deletes_what_is_not_locked(weed_server: Weed, bucket: str) -> None:
    there = {"Bucket": bucket, "Key": "day"}
    free, locked = put(weed_server, bucket), put(weed_server, bucket, **lock("GOVERNANCE"))
    expirer = weed_server.client("expirer", **ONCE)
    expirer.delete_object(**there, VersionId=free)
    bypass = {"VersionId": locked, "BypassGovernanceRetention": True}
    assert refused(expirer.delete_object, **there, **bypass) == (403, "AccessDenied")
    assert refused(expirer.put_object, **there, Body=b"") == (403, "AccessDenied")
    kept = expirer.list_object_versions(Bucket=bucket)["Versions"]
    assert [version["VersionId"] for version in kept] == [locked]


def test_a_reader_only_reads(weed_server: Weed, bucket: str) -> None:
    there = {"Bucket": bucket, "Key": "day"}
    version = put(weed_server, bucket)
    reader = weed_server.client("reader", **ONCE)
    assert got(reader, bucket, "day", VersionId=version) == BODY
    assert refused(reader.put_object, **there, Body=b"") == (403, "AccessDenied")
    assert refused(reader.delete_object, **there) == (403, "AccessDenied")


def test_policies_that_are_given_are_enforced(tmp_path: Path) -> None:
    drop = allow((["s3:PutObject"], "*/in/*"))
    with weed(tmp_path, policies={"dropper": drop}) as server:
        bucket = server.bucket()
        dropper = server.client("dropper", **ONCE)
        dropper.put_object(Bucket=bucket, Key="in/day", Body=BODY)
        denied = (403, "AccessDenied")
        assert refused(dropper.put_object, Bucket=bucket, Key="day", Body=BODY) == denied
        assert refused(dropper.get_object, Bucket=bucket, Key="in/day") == denied
        assert got(server.client("reader"), bucket, "in/day") == BODY


def test_a_policy_that_the_server_does_not_understand_is_told(tmp_path: Path) -> None:
    but = {"Effect": "Allow", "NotAction": ["s3:DeleteObject"], "Resource": "*"}
    policies = {"odd": {"Version": "2012-10-17", "Statement": [but]}}
    with (
        pytest.raises(AssertionError, match='invalid policy "odd"'),
        weed(tmp_path, policies=policies),
    ):
        pass


def test_a_lock_holds_against_everybody_who_asks(weed_server: Weed, bucket: str) -> None:
    version = put(weed_server, bucket, **lock("COMPLIANCE"))
    admin = weed_server.client(**ONCE)
    there = {"Bucket": bucket, "Key": "day", "BypassGovernanceRetention": True}
    assert refused(admin.delete_object, **there, VersionId=version)[0] == 403
    shorter = retention("COMPLIANCE", IN_AN_HOUR - timedelta(minutes=1))
    assert refused(admin.put_object_retention, **there, **shorter)[0] == 403


@pytest.mark.parametrize("kind", [{}, {"versioning": True}, {"lock": True}])
def test_what_is_destroyed_is_gone_locked_or_not(weed_server: Weed, kind: dict[str, bool]) -> None:
    bucket = weed_server.bucket(**kind)
    put(weed_server, bucket)
    put(weed_server, bucket, **(lock("COMPLIANCE") if "lock" in kind else {}))
    weed_server.client().put_object(Bucket=bucket, Key="day-2", Body=b"")
    weed_server.destroy(bucket, "day")
    client = weed_server.client(**ONCE)
    assert refused(client.get_object, Bucket=bucket, Key="day") == (404, "NoSuchKey")
    listed = client.list_object_versions(Bucket=bucket)["Versions"]
    assert [version["Key"] for version in listed] == ["day-2"]


def test_a_flipped_bit_is_noticed_by_the_server(weed_server: Weed, bucket: str) -> None:
    put(weed_server, bucket)
    client = weed_server.client(**ONCE)
    weed_server.flip(bucket, "day")
    with pytest.raises((ClientError, BotoCoreError)):
        got(client, bucket, "day")
    weed_server.flip(bucket, "day")
    assert got(client, bucket, "day") == BODY


@pytest.mark.parametrize("kind", [{}, {"versioning": True}, {"lock": True}])
@pytest.mark.parametrize("at", [0, 100_000, 5_000_000])
def test_a_bit_flipped_silently_is_given_out(
    weed_server: Weed, kind: dict[str, bool], at: int
) -> None:
    bucket = weed_server.bucket(**kind)
    body = os.urandom(at + 1000)
    put(weed_server, bucket, body)
    weed_server.flip(bucket, "day", at=at, silently=True)
    flipped = bytearray(body)
    flipped[at] ^= 1
    assert got(weed_server.client(**ONCE), bucket, "day") == flipped


def test_of_an_older_version_a_bit_can_be_flipped_too(weed_server: Weed, bucket: str) -> None:
    older, newer = put(weed_server, bucket), put(weed_server, bucket)
    weed_server.flip(bucket, "day", older, silently=True)
    client = weed_server.client(**ONCE)
    assert got(client, bucket, "day", VersionId=newer) == BODY
    assert got(client, bucket, "day", VersionId=older) != BODY


def test_a_full_disk_takes_nothing_and_keeps_what_it_has(full_weed: Weed) -> None:
    bucket = full_weed.bucket(lock=True)
    put(full_weed, bucket)
    full_weed.fill()
    client = full_weed.client(**ONCE)
    more = {"Bucket": bucket, "Key": "more", "Body": BODY}
    assert refused(client.put_object, **more) == (500, "InternalError")
    assert got(client, bucket, "day") == BODY
    assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["day"]
    full_weed.relieve()
    client.put_object(**more)
    assert got(client, bucket, "more") == BODY


def test_moto_speaks_s3_on_loopback(moto_server: str) -> None:
    assert moto_server.startswith(f"http://{HERE}:")
    client = connect(moto_server, ("any", "thing"), **ONCE)
    client.create_bucket(Bucket="archive")
    client.put_object(Bucket="archive", Key="day", Body=BODY)
    assert got(client, "archive", "day") == BODY
    client.close()
