"""What a target does not say is found as every program finds it that is made with boto3."""

import hashlib
import json
import re
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.errors import ArchiverError, StoreError, StoreRefusedError
from archiver.stores.s3.client import _models, connect
from archiver.stores.s3.store import S3Store
from tests.world.bucket import KEY, Opening, made, target
from tests.world.exchange import Exchange
from tests.world.faults import Action, Rule, answer, faults
from tests.world.host import ARCHIVER
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient", "nobody")

AS_FOUND = {"access_key_id": "", "secret_access_key": ""}
PORTAL = "https://sso.example.org/start"
SSO = f"sso_start_url = {PORTAL}\nsso_region = eu-north-1\n"
ACCOUNT = "sso_account_id = 123456789012\nsso_role_name = archiver\n"
# As `aws configure sso` writes it, and as it did before 2022.
SESSION = f"[profile night]\n{ACCOUNT}sso_session = ours\n[sso-session ours]\n{SSO}"
LEGACY = f"[profile night]\n{ACCOUNT}{SSO}"
ROLE = "role_arn = arn:aws:iam::123456789012:role/archiver\n"


@pytest.fixture
def profile(
    weed_server: Weed, monkeypatch: pytest.MonkeyPatch, place: Path
) -> Callable[[str], None]:
    """What writes a configuration of AWS's tools, of whose profiles `night` is the one in use."""
    # Before there is one: what the tests look into buckets with is made by boto3, too.
    made(weed_server)

    def write(text: str) -> None:
        (place / "config").write_text(text)
        monkeypatch.setenv("AWS_PROFILE", "night")

    return write


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch, place: Path) -> Callable[[timedelta], None]:
    """What leaves the token that `aws sso login` leaves, for so long from now."""
    for name in ("credentials.SSOProvider", "tokens.SSOTokenProvider"):
        monkeypatch.setattr(f"botocore.{name}._SSO_TOKEN_CACHE_DIR", str(place))

    def write(left: timedelta) -> None:
        ends = (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name in (PORTAL, "ours"):
            cached = place / f"{hashlib.sha1(name.encode()).hexdigest()}.json"  # noqa: S324 (AWS's)
            cached.write_text(json.dumps({"accessToken": "token", "expiresAt": ends}))

    return write


def keys_of(server: Weed) -> str:
    key, secret = server.credentials()
    return f"aws_access_key_id = {key}\naws_secret_access_key = {secret}\n"


def refused(store: S3Store) -> ArchiverError:
    """Why there are no credentials: a sentence and a hint, and somebody has to do something."""
    with pytest.raises(StoreRefusedError, match=r"^store 'far': no credentials were found") as why:
        store.find(KEY)
    assert "Traceback" not in why.value.message
    return why.value


def gives_role(server: Weed, kind: str) -> Action:
    """Answer as AWS does that gives credentials for a role: the server's own, for a minute."""
    key, secret = server.credentials()
    ends = datetime.now(UTC) + timedelta(minutes=1)
    of_sso = {
        "accessKeyId": key,
        "secretAccessKey": secret,
        "sessionToken": "",
        "expiration": int(ends.timestamp() * 1000),
    }
    of_sts = (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<AssumeRoleResult><Credentials><AccessKeyId>{key}</AccessKeyId>"
        f"<SecretAccessKey>{secret}</SecretAccessKey><SessionToken></SessionToken>"
        f"<Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></AssumeRoleResult>"
        "</AssumeRoleResponse>"
    )
    body = json.dumps({"roleCredentials": of_sso}) if kind == "sso" else of_sts
    return lambda exchange: exchange.reply(200, body.encode(), {})


def says_no(status: int, code: str) -> Action:
    """Answer with an error, as AWS does where it speaks JSON."""

    def act(exchange: Exchange) -> None:
        exchange.reply(status, b'{"message": "no"}', {"x-amzn-ErrorType": code})

    return act


EXPIRED = says_no(401, "UnauthorizedException")


# -- found ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["config", "credentials"])
def test_a_profile_gives_credentials_and_region(
    weed_server: Weed,
    opening: Opening,
    place: Path,
    profile: Callable[[str], None],
    where: str,
) -> None:
    """That of AWS_PROFILE; not the default one, whose keys nobody knows."""
    default = "[default]\naws_access_key_id = nobody\naws_secret_access_key = wrong\n"
    keys = keys_of(weed_server)
    profile(f"{default}[profile night]\nregion = eu-south-1\n{keys if where == 'config' else ''}")
    if where == "credentials":
        (place / "credentials").write_text(f"{default}[night]\n{keys}")
    with faults(weed_server) as through:
        assert list(opening(through, made(weed_server), **AS_FOUND).listed()) == []
    (asked,) = through.requests
    assert "/eu-south-1/s3/" in asked.headers["authorization"]
    assert asked.headers["user-agent"].startswith("Boto3/")


def test_what_the_target_says_wins(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    profile: Callable[[str], None],
) -> None:
    """Over the environment and the profile, and none of theirs is mixed into it."""
    profile(
        "[profile night]\naws_access_key_id = nobody\naws_secret_access_key = wrong\n"
        "aws_session_token = wrong\nregion = eu-south-1\nendpoint_url = http://127.0.0.1:1\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "wrong")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-south-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    with faults(weed_server) as through:
        store = opening(through, made(weed_server), region="eu-west-1")
        assert list(store.listed()) == []
    (asked,) = through.requests
    assert f"={weed_server.credentials()[0]}/" in asked.headers["authorization"]
    assert "/eu-west-1/s3/" in asked.headers["authorization"]
    assert "x-amz-security-token" not in asked.headers


@pytest.mark.parametrize("where", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "profile", "service"])
def test_where_the_server_is(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    profile: Callable[[str], None],
    where: str,
) -> None:
    """If the target does not say: asked by its path, as with an endpoint_url of the target."""
    with faults(weed_server) as through:
        url = through.endpoint
        if where.startswith("AWS_"):
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            monkeypatch.setenv(where, url)
        elif where == "profile":
            profile(f"[profile night]\nendpoint_url = {url}\n")
        else:
            given = f"[services here]\ns3 =\n  endpoint_url = {url}\n"
            profile(f"[profile night]\nservices = here\n{given}")
        bucket = made(weed_server)
        assert list(opening(through, bucket, endpoint_url="").listed()) == []
    (asked,) = through.requests
    assert asked.target.startswith(f"/{bucket.name}?")


def test_whose_certificates_are_trusted(
    tls_weed: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls_weed.ca_bundle))
    assert list(opening(tls_weed, made(tls_weed), ca_bundle=None).listed()) == []


@pytest.mark.parametrize("kind", ["sso", "sts"])
def test_a_role_is_taken(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    profile: Callable[[str], None],
    logged_in: Callable[[timedelta], None],
    kind: str,
) -> None:
    """In the region of the target, for a profile may have none."""
    logged_in(timedelta(hours=8))
    source = "aws_access_key_id = source\naws_secret_access_key = secret\n"
    by_sts = f"[profile night]\n{ROLE}source_profile = day\n[profile day]\n{source}"
    profile(SESSION if kind == "sso" else by_sts)
    rule = Rule(".*", "", gives_role(weed_server, kind), times=None)
    with faults(weed_server, [rule]) as aws:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{kind.upper()}", aws.endpoint)
        store = opening(weed_server, made(weed_server), region="eu-west-1", **AS_FOUND)
        assert list(store.listed()) == []
    assert rule.struck >= 1
    if kind == "sts":
        assert "/eu-west-1/sts/" in aws.requests[0].headers["authorization"]


def test_stores_share_what_botocore_knows(weed_server: Weed, place: Path) -> None:
    """Read once; and boto3, which would add to where it is looked for, does so elsewhere."""
    before = list(_models().search_paths)
    clients = [connect(target(place, weed_server, "bucket")) for _ in range(2)]
    for client in clients:
        client.close()
    first, second = (client.meta.service_model.metadata for client in clients)
    assert first is second
    assert before == _models().search_paths


def test_certificates_that_cannot_be_read(
    tls_weed: Weed, opening: Opening, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    for path, words in ((place / "missing.pem", "No such file"), (place, "Is a directory")):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
        with pytest.raises(StoreRefusedError, match=rf"cannot be read \({words}") as why:
            opening(tls_weed, made(tls_weed), ca_bundle=None).find(KEY)
        assert "AWS_CA_BUNDLE" in why.value.hint


# -- not found --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "words", "hint"),
    [
        ("", r"The config profile \(night\) could not be found", "AWS_PROFILE"),
        ("[profile night\n", "no section headers", "~/.aws/config"),
        (
            "[profile night]\naws_access_key_id = id\n",
            "Partial credentials .* missing: aws_secret_access_key",
            "~/.aws",
        ),
        (f"[profile night]\n{ROLE}", "Partial credentials .* missing: source_profile", "~/.aws"),
        (f"[profile night]\n{ROLE}source_profile = day\n", '"day" .* not exist', "AWS_PROFILE"),
        (SESSION.partition("[sso-s")[0], "sso-session does not exist", "AWS_PROFILE"),
        (LEGACY.replace("sso_region", "region"), "missing .*: sso_region", "AWS_PROFILE"),
        ("[profile night]\ncredential_process = /nonexistent\n", "No such file", "AWS_PROFILE"),
        ("[profile night]\ncredential_process = echo hush\n", "Expecting value", "AWS_PROFILE"),
    ],
)
def test_a_profile_that_leads_to_nothing(
    weed_server: Weed,
    opening: Opening,
    profile: Callable[[str], None],
    config: str,
    words: str,
    hint: str,
) -> None:
    profile(config)
    why = refused(opening(weed_server, "bucket", **AS_FOUND))
    assert re.search(words, why.message)
    assert hint in why.hint


def test_a_profile_that_is_not_there_stops_every_bucket(
    weed_server: Weed, opening: Opening, profile: Callable[[str], None]
) -> None:
    """Though its target needs nothing of it: so it is with every program of boto3's."""
    profile("")
    assert "AWS_PROFILE" in refused(opening(weed_server, "bucket", region="eu-west-1")).hint


@pytest.mark.parametrize("config", [SESSION, LEGACY])
@pytest.mark.parametrize("left", [None, timedelta(hours=-1)])
def test_nobody_has_logged_in(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    profile: Callable[[str], None],
    logged_in: Callable[[timedelta], None],
    config: str,
    left: timedelta | None,
) -> None:
    """Or that was yesterday: the token tells, or else the answer does."""
    profile(config)
    if left:
        logged_in(left)
    with faults(weed_server, [Rule(".*", "", EXPIRED, times=None)]) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", aws.endpoint)
        why = refused(opening(weed_server, "bucket", **AS_FOUND))
    assert "`aws sso login`" in why.hint


@pytest.mark.parametrize("config", [SESSION, LEGACY])
def test_a_login_that_ends_meanwhile(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    profile: Callable[[str], None],
    logged_in: Callable[[timedelta], None],
    config: str,
) -> None:
    """It is told of by whatever request comes next."""
    profile(config)
    logged_in(timedelta(hours=8))
    with faults(weed_server, [Rule(".*", "", gives_role(weed_server, "sso"), times=None)]) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", aws.endpoint)
        bucket = made(weed_server)
        store = opening(weed_server, bucket, **AS_FOUND)
        assert list(store.listed()) == []
        aws.rules = [Rule(".*", "", EXPIRED, times=None)]
        why = refused(store)
    assert f"while looking for s3://{bucket.name}/{bucket.prefix}{KEY}" in why.message
    assert "`aws sso login`" in why.hint


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("kind", ["sso", "sts"])
def test_a_role_that_is_not_given(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    profile: Callable[[str], None],
    logged_in: Callable[[timedelta], None],
    kind: str,
    status: int,
) -> None:
    """No permission in the bucket would help, and nothing is missing there."""
    logged_in(timedelta(hours=8))
    by_sts = f"[profile night]\n{ROLE}source_profile = day\n[profile day]\n{keys_of(weed_server)}"
    profile(SESSION if kind == "sso" else by_sts)
    action = (answer if kind == "sts" else says_no)(status, str(status))
    with faults(weed_server, [Rule(".*", "", action, times=None)]) as aws:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{kind.upper()}", aws.endpoint)
        why = refused(opening(weed_server, "bucket", **AS_FOUND))
    assert "for the role of the profile" in why.message
    assert "s3:" not in why.hint


def test_a_code_that_nobody_types(profile: Callable[[str], None]) -> None:
    """Of a service, which has no terminal: getpass finds the end of its input."""
    source = "aws_access_key_id = source\naws_secret_access_key = secret\n"
    by_phone = f"{ROLE}mfa_serial = phone\nsource_profile = day\n[profile day]\n{source}"
    profile(f"[profile night]\n{by_phone}")
    ended = subprocess.run(
        [ARCHIVER, "--store", "s3://bucket", "list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert ended.returncode == 12
    assert "no credentials were found (an MFA code is asked for" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("of", ["S3", "STS"])
def test_who_cannot_be_reached_is_named(
    weed_server: Weed,
    opening: Opening,
    monkeypatch: pytest.MonkeyPatch,
    profile: Callable[[str], None],
    of: str,
) -> None:
    """It need be neither AWS nor the target's server; and a password in there is not told."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{of}", f"http://who:hush@{address}")
    source = f"source_profile = day\n[profile day]\n{keys_of(weed_server)}"
    settings: dict[str, str] = {"endpoint_url": ""}
    if of == "STS":
        profile(f"[profile night]\n{ROLE}{source}")
        settings = AS_FOUND
    with pytest.raises(StoreError, match=f": http://{address} cannot be reached") as away:
        opening(weed_server, "bucket", **settings).find(KEY)
    assert f"is http://{address} up" in away.value.hint
    assert "hush" not in away.value.message + away.value.hint
