"""What a server refuses, and what is in the way to it: told so that somebody can help it."""

import re
import socket
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archiver.archives.receipts import Protection
from archiver.errors import IntegrityError, NotFoundError, StoreError, StoreRefusedError
from archiver.stores.s3.store import S3Store
from tests.world.bucket import (
    INDEX,
    KEY,
    LARGE,
    SMALL,
    Opening,
    got,
    made,
    put,
    said,
)
from tests.world.faults import (
    Rule,
    faults,
)
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient")
HELD = Protection(hold=True)
CALLS: dict[str, Callable[[S3Store, Path], object]] = {
    "put": lambda store, place: put(store, place, SMALL),
    "put in parts": lambda store, place: put(store, place, LARGE),
    "replace": lambda store, place: put(store, place, SMALL, replace=True),
    "find": lambda store, _: store.find(KEY),
    "stream": lambda store, _: got(store),
    "stream nothing": lambda store, _: got(store, 0, 0),
    "listed": lambda store, _: list(store.listed()),
    "protect": lambda store, _: store.protect(KEY, HELD),
    "remove": lambda store, _: store.remove(INDEX),
    "tidy": lambda store, _: store.tidy(""),
    "restore": lambda store, _: store.restore(KEY, 1),
}


@pytest.mark.parametrize("fixture", ["weed_server", "tls_weed"])
def test_a_clock_that_is_wrong(
    request: pytest.FixtureRequest,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    place: Path,
    fixture: str,
) -> None:
    """Both times are told, in a form that can be compared."""
    server: Weed = request.getfixturevalue(fixture)
    bucket = made(server)
    store = opening(server, bucket)
    late = datetime.now(UTC) + timedelta(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda **_: late.replace(tzinfo=None))
        for doing in [CALLS[each] for each in ("put", "find", "stream", "listed")]:
            with pytest.raises(StoreRefusedError, match="the clock here") as failed:
                doing(store, place)
            told = re.findall(r"[0-9-]{10}T[0-9:]{8}Z", failed.value.message)
            ages = [datetime.now(UTC) - datetime.fromisoformat(each) for each in told]
            assert [abs(age) < timedelta(minutes=2) for age in ages] == [True, True]
    put(store, place, SMALL)


@pytest.mark.parametrize("call", CALLS)
def test_a_bucket_that_is_missing_is_no_empty_one(
    weed_server: Weed, opening: Opening, place: Path, call: str
) -> None:
    store = opening(weed_server, "no-such-bucket")
    with pytest.raises(StoreRefusedError, match="there is no bucket 'no-such-bucket'"):
        CALLS[call](store, place)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("id", "does not know the access key id"),
        ("secret", "the secret access key does not belong to the access key id"),
    ],
)
def test_wrong_credentials_are_told_apart(
    weed_server: Weed, opening: Opening, place: Path, call: str, which: str, words: str
) -> None:
    store = opening(weed_server, "bucket")
    (place / f"admin.{which}").write_text("guessed")
    with pytest.raises(StoreRefusedError, match=words) as failed:
        CALLS[call](store, place)
    assert "guessed" not in failed.value.message + failed.value.hint


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("put", "s3:PutObject"),
        ("put in parts", "s3:PutObject"),
        ("replace", "s3:PutObject"),
        ("protect", "s3:PutObjectLegalHold"),
        ("remove", "s3:DeleteObject"),
    ],
)
def test_who_may_only_read_is_told_what_is_missing(
    weed_server: Weed, opening: Opening, place: Path, call: str, action: str
) -> None:
    bucket = made(weed_server, lock=True)
    if call == "protect":
        put(opening(weed_server, bucket), place, SMALL)
    with pytest.raises(StoreRefusedError, match="access denied") as failed:
        CALLS[call](opening(weed_server, bucket, "reader"), place)
    assert action in failed.value.hint


# -- the way there -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_down(weed_server: Weed, opening: Opening, place: Path, call: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    store = opening(weed_server, "bucket", endpoint_url=url)
    with pytest.raises(StoreError, match=f"{url} cannot be reached .Connection refused") as failed:
        CALLS[call](store, place)
    assert not isinstance(failed.value, StoreRefusedError)


def test_a_name_that_is_unknown(
    weed_server: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    store = opening(weed_server, "bucket", endpoint_url="https://s3.example.org")
    with pytest.raises(StoreError, match=r"cannot be reached \(Name or service not known"):
        store.find(KEY)


def test_a_connection_that_is_never_made(
    weed_server: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr("socket.socket.connect", silent)
    store = opening(weed_server, "bucket", connect_timeout=7.0)
    with pytest.raises(StoreError, match=r"no connection to .* within 7 s"):
        store.find(KEY)


def test_a_certificate_that_nobody_vouches_for(tls_weed: Weed, opening: Opening) -> None:
    store = opening(tls_weed, made(tls_weed), ca_bundle=None)
    with pytest.raises(StoreRefusedError, match="certificate is not trusted") as failed:
        store.find(KEY)
    assert "ca_bundle" in failed.value.hint
    assert "_ssl.c" not in failed.value.message


def test_a_certificate_for_another_name(tls_weed: Weed, opening: Opening) -> None:
    url = tls_weed.endpoint.replace("127.0.0.1", "localhost")
    store = opening(tls_weed, made(tls_weed), endpoint_url=url)
    with pytest.raises(StoreRefusedError, match=r"not trusted \(.*localhost") as failed:
        store.find(KEY)
    assert "ca_bundle" in failed.value.hint


def test_tls_where_there_is_none(weed_server: Weed, opening: Opening) -> None:
    url = weed_server.endpoint.replace("http:", "https:")
    store = opening(weed_server, "bucket", endpoint_url=url)
    with pytest.raises(StoreRefusedError, match="does not speak TLS"):
        store.find(KEY)


def test_no_tls_where_there_is(tls_weed: Weed, opening: Opening) -> None:
    url = tls_weed.endpoint.replace("https:", "http:")
    store = opening(tls_weed, "bucket", endpoint_url=url)
    with pytest.raises(StoreRefusedError, match=r"refuses it \(400") as failed:
        store.find(KEY)
    assert "https" in failed.value.hint


def test_what_does_not_speak_s3(weed_server: Weed, opening: Opening, place: Path) -> None:
    """A portal that wants to be logged in to, say."""

    def portal(exchange: Any) -> None:
        exchange.reply(200, b"<html><p>Welcome!</html>", {"Content-Type": "text/html"})

    with faults(weed_server, [Rule(".*", "", portal, times=None)]) as through:
        store = opening(through, made(weed_server))
        for call in [CALLS[each] for each in ("put", "find", "stream", "listed")]:
            with pytest.raises(StoreError) as failed:
                call(store, place)
            assert "store 'far': " in failed.value.message


def test_no_trace_of_a_secret(weed_server: Weed, opening: Opening, place: Path) -> None:
    """Not even where everything is printed."""
    store = opening(weed_server, "no-such-bucket")
    with pytest.raises(StoreRefusedError) as failed:
        put(store, place, SMALL)
    printed = "".join(traceback.format_exception(failed.value))
    assert weed_server.credentials()[1] not in printed


def test_what_is_wrong_with_an_object_is_told_of_it(
    weed_server: Weed, opening: Opening, place: Path
) -> None:
    bucket = made(weed_server)
    store = opening(weed_server, bucket)
    with pytest.raises(NotFoundError) as failed:
        got(store)
    said(failed.value, bucket)
    put(store, place, SMALL)
    with pytest.raises(IntegrityError, match="already holds something other than") as other:
        put(store, place, b"other")
    said(other.value, bucket)
    with pytest.raises(IntegrityError, match="ends 1 bytes too early") as short:
        got(store, 0, len(SMALL) + 1)
    said(short.value, bucket)
