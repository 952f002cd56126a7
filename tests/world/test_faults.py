"""Every fault is what it claims to be, over HTTP and TLS, and what is no fault passes unchanged."""

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)

from tests.world.asked import ONCE, got, refused
from tests.world.exchange import Exchange
from tests.world.faults import (
    ACCESS_DENIED,
    CONFLICT,
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    NO_SUCH_BUCKET,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    SLOW_DOWN,
    TOO_SKEWED,
    Action,
    Faults,
    Rule,
    answer,
    bad_gateway,
    break_off,
    cut,
    empty_200,
    faults,
    hang,
    lose_response,
    other_bytes,
    reset,
)
from tests.world.loopback import HERE
from tests.world.weed import Weed, connect
from tests.world.wire import Stream, fields

BODY = os.urandom(300_000)
CLOSED = (ConnectionClosedError, SSLError)


@pytest.fixture(params=[False, True], ids=["http", "tls"])
def faulty(weed_server: Weed, request: pytest.FixtureRequest) -> Iterator[Faults]:
    with faults(weed_server, tls=request.param) as server:
        yield server


@pytest.fixture
def stored(weed_server: Weed, bucket: str) -> str:
    """The bucket, with the object `day` in it."""
    weed_server.client().put_object(Bucket=bucket, Key="day", Body=BODY)
    return bucket


def absent(server: Weed, bucket: str, key: str) -> bool:
    found = server.client().list_object_versions(Bucket=bucket, Prefix=key)
    return "Versions" not in found


# What is no fault.


def test_without_a_rule_everything_passes(faulty: Faults, bucket: str) -> None:
    client = faulty.client(**ONCE)
    there = {"Bucket": bucket, "Key": "day"}
    client.put_object(**there, Body=BODY, ChecksumAlgorithm="SHA256")
    assert got(client, bucket, "day") == BODY
    assert got(client, bucket, "day", Range="bytes=5-9") == BODY[5:10]
    assert client.head_object(**there)["ContentLength"] == len(BODY)
    seen = [(one.method, one.range, one.bytes_in, one.bytes_out) for one in faulty.requests]
    put_in = seen[0][2]
    assert put_in >= len(BODY)
    assert seen == [
        ("PUT", None, put_in, 0),
        ("GET", None, 0, len(BODY)),
        ("GET", "bytes=5-9", 0, 5),
        ("HEAD", None, 0, 0),
    ]
    assert [one.status for one in faulty.requests] == [200, 200, 206, 200]
    assert {one.target for one in faulty.requests} == {f"/{bucket}/day"}
    assert faulty.requests[0].headers["expect"] == "100-continue"
    assert faulty.at_most == 1


def test_many_parts_and_trailers_pass(faulty: Faults, bucket: str) -> None:
    """Checksums in trailers: chunked over TLS, in one length over HTTP."""
    client = faulty.client(request_checksum_calculation="when_supported", **ONCE)
    there = {"Bucket": bucket, "Key": "day"}
    upload = client.create_multipart_upload(**there, ChecksumAlgorithm="SHA256")["UploadId"]
    whole = BODY * 18
    parts = []
    for number, start in enumerate(range(0, len(whole), 5 * 2**20), 1):
        part = {"Body": whole[start : start + 5 * 2**20], "PartNumber": number}
        told = client.upload_part(**there, **part, UploadId=upload, ChecksumAlgorithm="SHA256")
        keys = ("ETag", "ChecksumSHA256")
        parts.append({"PartNumber": number, **{key: told[key] for key in keys}})
    done = {"MultipartUpload": {"Parts": parts}, "UploadId": upload}
    client.complete_multipart_upload(**there, **done)
    assert got(client, bucket, "day") == whole
    chunked = [one for one in faulty.requests if one.headers.get("transfer-encoding") == "chunked"]
    assert len(chunked) == (len(parts) if faulty.ca_bundle else 0)


def test_real_errors_pass(faulty: Faults, bucket: str) -> None:
    client = faulty.client("reader", **ONCE)
    there = {"Bucket": bucket, "Key": "day"}
    assert refused(client.put_object, **there, Body=BODY) == (403, "AccessDenied")
    assert refused(client.get_object, **there) == (404, "NoSuchKey")
    thief = connect(faulty.endpoint, ("admin", "guessed"), ca_bundle=faulty.ca_bundle, **ONCE)
    assert refused(thief.get_object, **there) == (403, "SignatureDoesNotMatch")
    thief.close()


def test_a_server_with_tls_can_stand_behind(tls_weed: Weed) -> None:
    bucket = tls_weed.bucket()
    with faults(tls_weed, tls=True) as faulty:
        client = faulty.client(**ONCE)
        client.put_object(Bucket=bucket, Key="day", Body=BODY)
        assert got(client, bucket, "day") == BODY


def test_over_tls_a_stranger_does_not_trust_it(weed_server: Weed) -> None:
    with faults(weed_server, tls=True) as faulty:
        stranger = connect(faulty.endpoint, weed_server.credentials(), **ONCE)
        with pytest.raises(SSLError):
            stranger.list_buckets()
        stranger.close()
        assert faulty.requests == []


ASKED = (
    b"PUT /a%20b?x HTTP/1.1\r\nHOST: odd:1\r\nX-Odd:  two  blanks\r\nExpect: 100-Continue\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
CHUNKS = b"3;why=not\r\nabc\r\n00a\r\n0123456789\r\n0\r\nx-trailer: yes\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
TOLD = b"HTTP/1.1 200 Fine, thanks\r\neTAG: odd\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS


@dataclass
class Odd:
    """A server that says what it was told to, and remembers what it heard."""

    listener: socket.socket
    heard: bytes = b""
    ca_bundle: Path | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{HERE}:{self.listener.getsockname()[1]}"

    def credentials(self, identity: str = "admin") -> tuple[str, str]:
        return identity, ""

    def serve(self, times: int) -> None:
        for _ in range(times):
            with self.listener.accept()[0] as connection:
                connection.settimeout(30)
                stream = Stream(connection)
                head = stream.head()
                connection.sendall(GO_ON)
                body = b"".join(stream.body(fields(head)))
                self.heard += head + body
                connection.sendall(TOLD)


def test_every_byte_passes_unchanged_and_the_connection_stays() -> None:
    with socket.create_server((HERE, 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(30)
        real = Odd(listener)
        served = pool.submit(real.serve, 2)
        with faults(real) as faulty:
            port = int(faulty.endpoint.rpartition(":")[2])
            with socket.create_connection((HERE, port), timeout=30) as client:
                told = Stream(client)
                for _ in range(2):
                    client.sendall(ASKED)
                    assert told.head() == GO_ON
                    client.sendall(CHUNKS)
                    head = told.head()
                    assert head + b"".join(told.body(fields(head))) == TOLD
            served.result()
    assert real.heard == (ASKED + CHUNKS) * 2
    assert [(one.bytes_in, one.bytes_out) for one in faulty.requests] == [(len(CHUNKS),) * 2] * 2


# What is one.


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (SLOW_DOWN, (503, "SlowDown")),
        (INTERNAL_ERROR, (500, "InternalError")),
        (bad_gateway, (502, "502")),
        (EXPIRED_TOKEN, (400, "ExpiredToken")),
        (TOO_SKEWED, (403, "RequestTimeTooSkewed")),
        (ACCESS_DENIED, (403, "AccessDenied")),
        (NO_SUCH_BUCKET, (404, "NoSuchBucket")),
        (PRECONDITION_FAILED, (412, "PreconditionFailed")),
        (CONFLICT, (409, "ConditionalRequestConflict")),
        (NOT_IMPLEMENTED, (501, "NotImplemented")),
        (answer(418, "Teapot"), (418, "Teapot")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_an_answer_of_our_own(
    faulty: Faults, weed_server: Weed, stored: str, action: Action, expected: tuple[int, str]
) -> None:
    faulty.rules.append(Rule(".*", "", action, times=3))
    client = faulty.client(**ONCE)
    there = {"Bucket": stored, "Key": "new"}
    assert refused(client.put_object, **there, Body=BODY) == expected
    assert refused(client.get_object, Bucket=stored, Key="day") == expected
    assert refused(client.head_bucket, Bucket=stored)[0] == expected[0]
    assert [one.status for one in faulty.requests] == [expected[0]] * 3
    assert absent(weed_server, stored, "new")
    assert got(client, stored, "day") == BODY


def test_an_answer_may_have_headers(faulty: Faults, stored: str) -> None:
    faulty.rules.append(Rule("GET", "/day", answer(503, "SlowDown", {"Retry-After": "7"})))
    client = faulty.client(**ONCE)
    with pytest.raises(ClientError) as caught:
        got(client, stored, "day")
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"


def test_an_answer_to_head_has_no_body(weed_server: Weed) -> None:
    with faults(weed_server, [Rule("HEAD", "", SLOW_DOWN)]) as faulty:
        port = int(faulty.endpoint.rpartition(":")[2])
        with socket.create_connection((HERE, port), timeout=30) as bare:
            bare.sendall(b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
            told = b"".join(iter(lambda: bare.recv(1000), b""))
    assert told.startswith(b"HTTP/1.1 503 ")
    assert told.endswith(b"\r\n\r\n")


def test_reset_is_a_rst(faulty: Faults, weed_server: Weed, stored: str) -> None:
    faulty.rules.append(Rule("PUT|GET", "", reset, times=None))
    client = faulty.client(**ONCE)
    with pytest.raises(CLOSED):
        client.put_object(Bucket=stored, Key="new", Body=BODY)
    with pytest.raises(CLOSED):
        got(client, stored, "day")
    assert [one.status for one in faulty.requests] == [None, None]
    assert absent(weed_server, stored, "new")
    if faulty.ca_bundle is None:
        port = int(faulty.endpoint.rpartition(":")[2])
        with socket.create_connection((HERE, port)) as bare:
            bare.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                bare.recv(1)


def test_an_upload_breaks_off_within_its_body(
    faulty: Faults, weed_server: Weed, stored: str
) -> None:
    faulty.rules.append(Rule("PUT", "", break_off(100_000)))
    client = faulty.client(**ONCE)
    big = BODY * 40
    with pytest.raises(CLOSED):
        client.put_object(Bucket=stored, Key="new", Body=big)
    assert 100_000 <= faulty.requests[0].bytes_in < len(big)
    assert absent(weed_server, stored, "new")


def test_hang_lasts_until_the_client_goes(faulty: Faults, stored: str) -> None:
    faulty.rules.append(Rule("GET", "/day", hang))
    with pytest.raises(ReadTimeoutError):
        got(faulty.client(read_timeout=0.2, **ONCE), stored, "day")
    assert faulty.requests[0].status is None


def test_hang_lasts_until_the_server_is_closed(faulty: Faults, stored: str) -> None:
    hangs = threading.Event()

    def tell_and_hang(exchange: Exchange) -> None:
        hangs.set()
        exchange.hang()

    faulty.rules.append(Rule("GET", "/day", tell_and_hang))
    client = faulty.client(**ONCE)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(got, client, stored, "day")
        assert hangs.wait(30)
        assert not asked.done()
        faulty.close()
        with pytest.raises(CLOSED):
            asked.result(30)


def test_empty_200_stores_nothing(faulty: Faults, weed_server: Weed, stored: str) -> None:
    faulty.rules.append(Rule(".*", "", empty_200, times=2))
    client = faulty.client(**ONCE)
    told = client.put_object(Bucket=stored, Key="new", Body=BODY)
    assert (told["ResponseMetadata"]["HTTPStatusCode"], "ETag" in told) == (200, False)
    assert got(client, stored, "day") == b""
    assert absent(weed_server, stored, "new")


def test_a_cut_with_length_is_noticed(faulty: Faults, stored: str) -> None:
    faulty.rules.append(Rule("GET", "/day", cut(to=1000)))
    with pytest.raises(ResponseStreamingError):
        got(faulty.client(**ONCE), stored, "day")
    assert [(one.status, one.bytes_out) for one in faulty.requests] == [(200, 1000)]


def test_a_cut_without_length_is_not(faulty: Faults, stored: str) -> None:
    faulty.rules.append(Rule("GET", "/day", cut(length=False)))
    client = faulty.client(**ONCE)
    assert got(client, stored, "day") == BODY[: len(BODY) // 2]
    assert got(client, stored, "day") == BODY


def test_other_bytes_have_the_real_length_and_headers(faulty: Faults, stored: str) -> None:
    client = faulty.client(**ONCE)
    real = client.get_object(Bucket=stored, Key="day")
    assert real["Body"].read() == BODY
    faulty.rules.append(Rule("GET", "/day", other_bytes))
    other = client.get_object(Bucket=stored, Key="day")
    body = other["Body"].read()
    assert (len(body), body == BODY) == (len(BODY), False)
    same = ("ETag", "ContentLength", "VersionId", "LastModified")
    assert [other[name] for name in same] == [real[name] for name in same]


def test_a_lost_response_is_of_something_done(
    faulty: Faults, weed_server: Weed, stored: str
) -> None:
    faulty.rules.append(Rule("PUT|DELETE", "", lose_response, times=2))
    client = faulty.client(**ONCE)
    with pytest.raises(CLOSED):
        client.put_object(Bucket=stored, Key="new", Body=BODY)
    assert got(weed_server.client(), stored, "new") == BODY
    with pytest.raises(CLOSED):
        client.delete_object(Bucket=stored, Key="new")
    assert refused(client.get_object, Bucket=stored, Key="new") == (404, "NoSuchKey")
    assert [one.status for one in faulty.requests] == [None, None, 404]


def test_a_server_that_is_down_closes_the_connection(second_weed: Weed) -> None:
    with faults(second_weed) as faulty:
        client = faulty.client(**ONCE)
        client.list_buckets()
        second_weed.kill()
        with pytest.raises(CLOSED):
            client.list_buckets()
        second_weed.start()
        client.list_buckets()


# Which it is, and how often.


def test_a_rule_skips_and_then_strikes(weed_server: Weed, stored: str) -> None:
    rule = Rule("HEAD", "/day", SLOW_DOWN, skip=2, times=2)
    with faults(weed_server, [rule, Rule("HEAD", "", TOO_SKEWED, skip=4)]) as faulty:
        client = faulty.client(**ONCE)
        got(client, stored, "day")
        for expected in (200, 200, 503, 503, 200, 200, 403):
            with suppress(ClientError):
                client.head_object(Bucket=stored, Key="day")
            assert faulty.requests[-1].status == expected
        assert rule.struck == 2


def test_the_target_has_the_query(weed_server: Weed, stored: str) -> None:
    with faults(weed_server, [Rule("GET", r"[?&]prefix=d", SLOW_DOWN, times=None)]) as faulty:
        client = faulty.client(**ONCE)
        client.list_objects_v2(Bucket=stored, Prefix="e")
        slow = (503, "SlowDown")
        assert refused(client.list_objects_v2, Bucket=stored, Prefix="d") == slow
        faulty.rules.clear()
        client.list_objects_v2(Bucket=stored, Prefix="d")


def test_boto_tries_again_and_every_attempt_is_seen(weed_server: Weed, stored: str) -> None:
    with faults(weed_server, [Rule("PUT", "/new", SLOW_DOWN)]) as faulty:
        faulty.client().put_object(Bucket=stored, Key="new", Body=BODY)
        assert [one.status for one in faulty.requests] == [503, 200]


def test_at_most_counts_what_is_in_progress_at_once(weed_server: Weed, stored: str) -> None:
    together = threading.Barrier(3, timeout=30)

    def wait(exchange: Exchange) -> None:
        together.wait()
        exchange.pass_on()

    with faults(weed_server, [Rule("GET", "/day", wait, times=3)]) as faulty:
        client = faulty.client(**ONCE)
        with ThreadPoolExecutor(3) as pool:
            bodies = list(pool.map(lambda _: got(client, stored, "day"), range(3)))
        assert bodies == [BODY] * 3
        assert faulty.at_most == 3
    with faults(weed_server) as faulty:
        for _ in range(20):
            with closing(connect(faulty.endpoint, weed_server.credentials())) as client:
                got(client, stored, "day")
        assert faulty.at_most == 1
