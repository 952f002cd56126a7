"""How a bucket is reached, and with whose secrets."""

import socket
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archiver.archives.receipts import UNPROTECTED
from archiver.errors import StoreError, StoreRefusedError
from tests.world.bucket import KEY, Opening, made
from tests.world.faults import Rule, empty_200, faults
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.parametrize(
    ("addressing", "host", "path"),
    [
        ("auto", "localhost", "/bucket/mail/key"),
        ("path", "localhost", "/bucket/mail/key"),
        ("virtual", "bucket.localhost", "/mail/key"),
    ],
)
def test_how_a_bucket_is_addressed(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    addressing: str,
    host: str,
    path: str,
) -> None:
    """By the path, unless it is told otherwise: few servers have names for their buckets."""
    with faults(weed_server, [Rule(".*", "", empty_200, times=None)]) as through:
        port = through.endpoint.rpartition(":")[2]
        known = address(int(port))
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: known)
        store = opening(
            through, "bucket", endpoint_url=f"http://localhost:{port}", addressing=addressing
        )
        with pytest.raises(StoreError):
            store.find("key")
    (asked,) = through.requests
    assert (asked.headers["host"], asked.target) == (f"{host}:{port}", path)


def address(port: int) -> list[tuple[Any, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_nothing_is_asked_before_it_is_needed(opening: Opening, weed_server: Weed) -> None:
    """Not even where the secrets are: another store may have what is wanted."""
    store = opening(weed_server, "bucket", access_key_id="file:/nonexistent")
    assert store.protection(date(2026, 5, 4), 0) == UNPROTECTED
    store.close()
    with pytest.raises(StoreRefusedError):
        store.find(KEY)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("kind", ["cred", "file", "env"])
def test_secrets_lie_elsewhere(
    weed_server: Weed,
    opening: Opening,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    ending: str,
) -> None:
    """Where they are said to be, with the line's end that editors add."""
    if kind == "env" and ending:
        ending = "\n"
    for name, secret in zip(("id", "secret"), weed_server.credentials(), strict=True):
        (place / f"the.{name}").write_text(secret + ending)
        monkeypatch.setenv(f"THE_{name.upper()}", secret + ending)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    names = {
        "cred": ("cred:the.id", "cred:the.secret"),
        "file": (f"file:{place}/the.id", f"file:{place}/the.secret"),
        "env": ("env:THE_ID", "env:THE_SECRET"),
    }[kind]
    store = opening(
        weed_server, made(weed_server), access_key_id=names[0], secret_access_key=names[1]
    )
    assert list(store.listed()) == []


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("cred:missing", "No such file"),
        ("file:/nonexistent/secret", "No such file"),
        ("file:/", "Is a directory"),
        ("env:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE is not set"),
        ("env:EMPTY", "it is empty"),
        ("env:TWO_LINES", "several lines"),
        ("env:BLANK", "blanks"),
        ("cred:binary", "it is not text"),
    ],
)
@pytest.mark.parametrize("setting", ["access_key_id", "secret_access_key", "session_token"])
def test_a_secret_that_is_not_there_is_named_and_not_told(
    weed_server: Weed,
    opening: Opening,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    reference: str,
    why: str,
    setting: str,
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    monkeypatch.setenv("EMPTY", "\n")
    monkeypatch.setenv("TWO_LINES", "hush\nhush\n")
    monkeypatch.setenv("BLANK", "hush hush")
    (place / "binary").write_bytes(b"hush\xff")
    store = opening(weed_server, "bucket", **{setting: reference})
    with pytest.raises(StoreRefusedError) as refused:
        store.find(KEY)
    said = f"{refused.value.message} {refused.value.hint}"
    assert said.startswith(f"store 'far': {setting} is to be found at {reference!r}, but ")
    assert why in said
    assert "hush" not in said
    assert "hush" not in repr(refused.value.__cause__)


def test_credentials_of_systemd_without_systemd(
    weed_server: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    store = opening(weed_server, "bucket", secret_access_key="cred:secret")  # noqa: S106 (a reference)
    with pytest.raises(StoreRefusedError, match="CREDENTIALS_DIRECTORY is not set") as refused:
        store.find(KEY)
    assert "LoadCredential" in refused.value.hint


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "there are no credentials for bucket 'bucket'"),
        ({"AWS_ACCESS_KEY_ID": "id"}, r"no credentials were found \(Partial credentials found"),
        ({"AWS_PROFILE": "none"}, r"no credentials were found \(The config profile \(none\)"),
    ],
)
def test_no_credentials_at_all(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    words: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = opening(weed_server, "bucket", access_key_id="", secret_access_key="")
    with pytest.raises(StoreRefusedError, match=f"^store 'far': .*{words}"):
        store.find(KEY)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("where", ["environment", "file"])
def test_credentials_where_aws_tools_look(
    weed_server: Weed,
    opening: Opening,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """If the target names none."""
    key, secret = weed_server.credentials()
    if where == "file":
        lines = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        (place / "credentials").write_text(lines)
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    store = opening(weed_server, made(weed_server), access_key_id="", secret_access_key="")
    assert list(store.listed()) == []


def test_a_session_token_is_sent_along(
    weed_server: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "a-token\n")
    with faults(weed_server) as through:
        store = opening(through, made(weed_server), session_token="env:TOKEN")  # noqa: S106 (a reference)
        with suppress(StoreError):
            store.find(KEY)
    assert through.requests[0].headers["x-amz-security-token"] == "a-token"


@pytest.mark.usefixtures("nobody")
def test_a_region_is_what_the_target_says(
    weed_server: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what AWS's own tools say, or one that servers without regions take."""
    for settings, environment, expected in (
        ({}, "", "us-east-1"),
        ({}, "eu-south-1", "eu-south-1"),
        ({"region": "eu-west-1"}, "eu-south-1", "eu-west-1"),
    ):
        monkeypatch.setenv("AWS_DEFAULT_REGION", environment)
        with faults(weed_server) as through:
            assert list(opening(through, made(weed_server), **settings).listed()) == []
        assert f"/{expected}/s3/" in through.requests[0].headers["authorization"]


def test_an_authority_that_is_not_there(opening: Opening, tls_weed: Weed, place: Path) -> None:
    store = opening(tls_weed, "bucket", ca_bundle=place / "missing.pem")
    with pytest.raises(StoreRefusedError, match=r"ca_bundle .*missing.pem is no file"):
        store.find(KEY)
