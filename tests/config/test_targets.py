"""Targets: what a bucket's settings may be, what goes together, when two are one place; and that
no secret is ever repeated.
"""

import json
import os
import re
from pathlib import Path

import pytest
from botocore.utils import is_valid_uri
from hypothesis import given
from hypothesis import strategies as st

from archiver.config.settings import parse
from archiver.config.targets import LocalTarget, S3Target, Target
from archiver.errors import ConfigError
from tests.config.test_settings import (
    BUCKET,
    FULL,
    SMALLEST,
    TOML,
    WHERE,
    problems,
    with_value,
    without,
)
from tests.world.host import command

OFFSITE = "storage.target.offsite."
BEFORE = SMALLEST.partition("[storage.t")[0]
LINES = BEFORE.count("\n")
DAY = 86_400


def targets(*tables: str, path: Path = TOML) -> tuple[Target, ...]:
    """Return the targets of a configuration that has these, each in TOML, named a, b, c."""
    named = zip("abc", tables, strict=False)
    text = "".join(f"[storage.target.{name}]\n{table}\n" for name, table in named)
    return parse(BEFORE + text, path).storage.targets


def s3(settings: str, *, path: Path = TOML) -> S3Target:
    """Return a bucket with these settings."""
    (target,) = targets(f'type = "s3"\nbucket = "mail"\n{settings}', path=path)
    assert isinstance(target, S3Target)
    return target


def refused(settings: str) -> list[tuple[int, str]]:
    """Return what is wrong with a bucket's settings; their lines are counted from 1."""
    table = f'[storage.target.a]\ntype = "s3"\nbucket = "mail"\n{settings}\n'
    return [(line - LINES - 3, what) for line, what in problems(BEFORE + table)]


# -- each by itself --------------------------------------------------------------------------

B63, A64, A511, K2048 = "b" * 63, "a" * 64, "a" * 511, "k" * 2048
WRONG = {
    "bucket": rf"""
        "" "ab" "A-bucket" "a_bucket" "-bucket" "bucket-" ".bucket" "bucket." "a..bucket" "a/b"
        "s3://bucket" "192.168.5.4" "xn--bucket" "bücket" "bucket\n" "a\u0020b" "{B63}b"
        "arn:aws:s3:::bucket" """,
    "prefix": rf"""
        "/" "/mail/" "mail" "a/b" "a//" "a//b/" "./" "../" "a/./" "a/../b/" "a\u0020b/" "é/" "a\n/"
        "a/\n" "a?b/" "a%2Fb/" "{A511}a/" """,
    "endpoint_url": r"""
        "s3.example.org" "example:9000" "ftp://a" "//a" "http://" "https:///" "http://a/b"
        "http://a//" "http://a?b" "http://a#b" "http://u:p@a" "http://a:" "http://a:0" "http://é"
        "http://a:080" "http://a:65536" "http://a:x" "http://a:1:2" "http://a_b" "http://-a" "http://a..b"
        "http://[::1" "http://[::::]" "http://[]" "http://a\n" "http://a\u0020b" """,
    "region": rf'"a.b" "a/b" "-a" "a-" "12" "a_b" "eu-central-1\n" "é" "{A64}"',
    "addressing": '"" "Path" "host"',
    "access_key_id": rf"""
        "cred:." "cred:a\u007f" "cred:{A64}{A64}{A64}{A64}" "file" "file:\u0000" "env:é" "\u0020"
        "\n" """,
    "checksum": '"" "MD5" "crc32" "when_required"',
    # What cannot be read back at once is no copy; a newline would end the header.
    "storage_class": rf'"GLACIER" "DEEP_ARCHIVE" "glacier" "STANDARD_IA\n" "A,B" "é" "{A64}a"',
    "sse": '"aes256" "AES-256" "kms" "aws:kms:dsse"',
    "kms_key_id": rf'"a\nb" "é" "{K2048}k"',
    "object_lock": '"" "on" "GOVERNANCE" "worm"',
    # A plain 365 are seconds, and over before anything is stored.
    "lock_for": '365 "23h" "86399s" "36526d" "1y"',
    "max_bandwidth": '10 "1023B" "10Mbit" "2MB/s" "1001GB"',
    "part_size": '0 "0B" "5MB" "5242879B" "6GiB"',
    "connect_timeout": '0 "0s" "99ms" "3601s"',
    "read_timeout": '0 "0s" "99ms" "61m"',
    "attempts": "0 21",
}
RIGHT = {
    "bucket": f'"abc" "a.b-c" "1.2.3.4.5" "{B63}"',
    "prefix": f"""
        "" "a/" "a/b/" "host=mx1/" ".../" ".a/" "A-b_c.(d)!*'/" "{A511}/" """,
    "endpoint_url": """
        "" "http://127.0.0.1:9000" "https://s3.example.org/" "http://[::1]:65535" "https://[fd00::2]"
        "http://localhost:1" "https://S3.Example.ORG" """,
    "region": '"" "us-east-1" "garage" "eu2" "RegionOne"',
    "addressing": '"auto" "path" "virtual"',
    "access_key_id": '"cred:a" "cred:..a" "file:a" "file:/a/é" "file:../a" "env:_a1"',
    "session_token": '""',
    "ca_bundle": '"" "/etc/ssl/ca.pem" "é"',
    "checksum": '"md5" "sha256"',
    "storage_class": '"" "GLACIER_IR" "INTELLIGENT_TIERING" "cold-1.x"',
    "sse": '"aws:kms"',
    "kms_key_id": f'"" "arn:aws:kms:eu-central-1:1:key/12-ab" "alias/a_b" "{K2048}"',
    "object_lock": '"governance" "compliance"',
    "lock_for": '86400 "1d" "24h" "36525d"',
    "legal_hold": "true false",
    "max_bandwidth": '0 "0" "0B" "1KiB" 1024 "1000GB"',
    "part_size": '"5MiB" "5GiB" 5242880',
    "connect_timeout": '1 "100ms" "1h"',
    "read_timeout": '1 "0.1s" "1h"',
    "attempts": "1 20",
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k in WRONG for v in WRONG[k].split()])
def test_a_wrong_value_is_one_error(key: str, value: str) -> None:
    """At its line, by its name; not a second one because something else needs it."""
    ((line, what),) = problems(with_value(OFFSITE + key, value))
    assert (WHERE[OFFSITE + key][1], True) == (line, key in what)


@pytest.mark.parametrize(("key", "value"), [(k, v) for k in RIGHT for v in RIGHT[k].split()])
def test_a_right_value_is_none(key: str, value: str) -> None:
    """At the very bounds; a lock of 100 years goes with no maximum."""
    text = without("retention.rule.maximum", without("retention.rule.expire"))
    assert parse(with_value(OFFSITE + key, value, text), TOML)


def test_the_smallest_bucket_of_the_documents_works() -> None:
    """As it stands there, with defaults that a server knows nothing of."""
    (target,) = parse(BEFORE + BUCKET, TOML).storage.targets
    assert target == S3Target(
        "offsite",
        "mail-archive",
        region="eu-central-1",
        access_key_id="file:/etc/archiver/s3-key-id",
        secret_access_key="file:/etc/archiver/s3-secret",  # noqa: S106 (that is where it is)
    )


@given(st.from_regex(r"https?://[a-zA-Z0-9.:/\[\]-]{0,20}", fullmatch=True) | st.text(max_size=9))
def test_whatever_is_taken_for_an_endpoint_is_one(text: str) -> None:
    """Also to the library that connects to it."""
    try:
        target = s3(f"endpoint_url = {json.dumps(text)}")
    except ConfigError:
        return
    assert text == "" or is_valid_uri(target.endpoint_url)
    assert target.place.endswith("/mail/")


@pytest.mark.parametrize("kind", ['""', "5", '"S3"', None])
def test_without_its_type_a_bucket_is_checked_as_one(kind: str | None) -> None:
    """One error for that; and those of the rest, instead of what a directory lacks."""
    text = with_value(OFFSITE + "checksum", '"md4"')
    text = with_value(OFFSITE + "type", kind, text) if kind else without(OFFSITE + "type", text)
    (_, first), (_, second) = problems(text)
    assert ("type" in first, "`storage.target.offsite.checksum`" in second) == (True, True)


# -- together --------------------------------------------------------------------------------

KEY, SECRET = 'access_key_id = "cred:k"', 'secret_access_key = "cred:s"'
SESSION = 'session_token = "env:T"'
CLASHES = {
    "a key without its secret": (KEY, 1),
    "a secret without its key": (f"{SESSION}\n{SECRET}", 2),
    "a token alone": (f"\n{SESSION}", 2),
    "a lock without a time": ('object_lock = "governance"', 1),
    "a lock for no time": ('lock_for = "0s"\nobject_lock = "compliance"', 2),
    "a time without a lock": ('\n\nlock_for = "1d"', 3),
    "no lock for a time": ('lock_for = "1d"\nobject_lock = "off"', 2),
    "a KMS key alone": ('kms_key_id = "k"', 1),
    "a KMS key for AES256": ('sse = "AES256"\nkms_key_id = "k"', 2),
}
TOGETHER = [
    "",
    f"{KEY}\n{SECRET}",
    f"{SESSION}\n{SECRET}\n{KEY}",
    'object_lock = "compliance"\nlock_for = "30d"',
    'object_lock = "off"\nlock_for = "0s"',
    "legal_hold = true",
    'sse = "aws:kms"',
    'sse = "aws:kms"\nkms_key_id = "k"',
    'sse = "AES256"\nkms_key_id = ""',
]


@pytest.mark.parametrize("clash", CLASHES)
def test_what_needs_another_key_is_an_error_without_it(clash: str) -> None:
    """At the line of one that is there."""
    settings, line = CLASHES[clash]
    told = refused(settings)
    assert line in {at for at, _ in told}
    assert all(re.search("must be set together|needs .+ as well", what) for _, what in told)


@pytest.mark.parametrize("settings", TOGETHER)
def test_what_goes_together_is_none(settings: str) -> None:
    """Nothing set, both set, or what needs nothing else."""
    assert s3(settings)


def test_a_lock_is_for_seconds() -> None:
    """The store adds them to the end of the log date."""
    target = s3('object_lock = "governance"\nlock_for = "365d"')
    assert (target.object_lock, target.lock_for) == ("governance", 365 * DAY)


# -- places ----------------------------------------------------------------------------------

MAIL = 'type = "s3"\nbucket = "mail"\n'
ONE_PLACE = [
    (MAIL, MAIL + 'prefix = ""\nregion = "eu-central-1"'),
    (MAIL + 'prefix = "a/"', MAIL + f'prefix = "a/"\n{KEY}\n{SECRET}'),
    (MAIL + 'endpoint_url = "http://a:9000"', MAIL + 'endpoint_url = "http://a:9000/"'),
    (MAIL + 'endpoint_url = "http://a"', MAIL + 'endpoint_url = "http://A:80"'),
    (MAIL + 'endpoint_url = "https://a"', MAIL + 'endpoint_url = "https://a:443/"'),
    (MAIL + 'endpoint_url = "http://a"', MAIL + 'endpoint_url = "https://a"'),
    (MAIL + 'endpoint_url = "http://[::1]:1"', MAIL + 'endpoint_url = "http://[::1]:1/"'),
    (MAIL, MAIL + 'endpoint_url = "https://s3.eu-central-1.amazonaws.com"'),
    ('type = "local"\npath = "/a"', 'type = "local"\npath = "/b/../a/"'),
]
TWO_PLACES = [
    (MAIL, MAIL.replace("mail", "post")),
    (MAIL, MAIL + 'prefix = "a/"'),
    (MAIL + 'prefix = "a/"', MAIL + 'prefix = "A/"'),
    (MAIL + 'prefix = "a/"', MAIL + 'prefix = "a/b/"'),
    (MAIL, MAIL + 'endpoint_url = "https://a"'),
    (MAIL, MAIL + 'endpoint_url = "https://notamazonaws.com"'),
    (MAIL + 'endpoint_url = "http://a:9000"', MAIL + 'endpoint_url = "http://a:9001"'),
    (MAIL + 'endpoint_url = "http://a"', MAIL + 'endpoint_url = "http://a:443"'),
    (MAIL + 'endpoint_url = "http://a"', MAIL + 'endpoint_url = "http://b"'),
    (MAIL, 'type = "local"\npath = "/mail"'),
]


@pytest.mark.parametrize(("one", "other"), ONE_PLACE)
def test_two_names_of_one_place_are_refused(one: str, other: str) -> None:
    """What is there once would count as two copies."""
    other = 'type = "local"\npath = "/elsewhere"\n[storage.target.c]\n' + other
    with pytest.raises(ConfigError) as raised:
        targets(one, other)
    (said,) = raised.value.message.split("\n")
    assert "two targets in one place" in said
    line = int(said.split(":")[1])
    text = f"{BEFORE}[storage.target.a]\n{one}\n[storage.target.b]\n{other}".splitlines()
    assert text.index("[storage.target.c]") < line - 1
    assert text[line - 1].startswith(("bucket", "path"))


@pytest.mark.parametrize(("one", "other"), TWO_PLACES)
def test_two_places_are_two(one: str, other: str) -> None:
    """However much they look alike."""
    assert len(targets(one, other)) == 2


def test_a_link_to_a_place_is_that_place(place: Path) -> None:
    """Another name of the same directory."""
    (place / "link").symlink_to(place / "store")
    paths = [f'type = "local"\npath = "{place}/{name}"' for name in ("store", "link")]
    with pytest.raises(ConfigError, match="two targets in one place"):
        targets(*paths)


# -- paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given_as", ["etc/a.toml", "./etc/../etc/a.toml", "/"])
def test_relative_paths_are_relative_to_the_file(
    place: Path, monkeypatch: pytest.MonkeyPatch, given_as: str
) -> None:
    """The certificates and the secrets, wherever the command is called; absolute ones stay."""
    (place / "etc").mkdir()
    monkeypatch.chdir(place)
    path = place / "etc/a.toml" if given_as == "/" else Path(given_as)
    near = 'ca_bundle = "ca.pem"\naccess_key_id = "file:id"\nsecret_access_key = "file:../b/./s"'
    far = 'ca_bundle = "/x/ca.pem"\naccess_key_id = "file:/x/id"\nsecret_access_key = "env:S"'
    found = []
    for settings in (near, far):
        target = s3(settings, path=path)
        found.append([str(target.ca_bundle), target.access_key_id, target.secret_access_key])
    expected = [f"{place}/etc/ca.pem", f"file:{place}/etc/id", f"file:{place}/b/s"]
    assert [os.path.normpath(each) for each in found[0]] == expected
    assert found[1] == ["/x/ca.pem", "file:/x/id", "env:S"]


# -- secrets ---------------------------------------------------------------------------------

SECRETS = ["access_key_id", "secret_access_key", "session_token"]
WRITTEN = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY"
# Ways to write a secret where it must not stand, or beside its place.
MISTAKES = {
    "as it is": '{key} = "{secret}"',
    "with the right word": '{key} = "cred:{secret}"',
    "as a name": '{key} = "env:{secret}"',
    "with a wrong word": '{key} = "secret:{secret}"',
    "in a list": '{key} = ["{secret}"]',
    "in a table": '{key} = {{ value = "{secret}" }}',
    "in a table of its own": '[storage.target.a.{key}]\nvalue = "{secret}"',
    "misspelt": 'the_{key} = "{secret}"',
    "as AWS names it": 'aws_{key} = "{secret}"',
    "in the address": 'endpoint_url = "https://user:{secret}@s3.example.org"',
    "one table above": '[storage.target]\n{key} = "{secret}"',
    "at the very top": '[storage]\n{key} = "{secret}"',
    "one source too many": '[[source]]\n{key} = "{secret}"',
}


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_secret_written_out_is_refused_and_not_repeated(
    place: Path, key: str, mistake: str
) -> None:
    """Not in what a person reads, nor in what a program does."""
    line = MISTAKES[mistake].format(key=key, secret=WRITTEN)
    target = f'[storage.target.a]\ntype = "s3"\nbucket = "mail"\n{line}\n'
    text = BEFORE + target
    if line.startswith("[storage]"):
        text = BEFORE.replace("[storage]", line) + target.replace(line, "")
    (path := place / "archiver.toml").write_text(text)
    for words in (["config", "validate"], ["--json", "config", "validate"], ["config", "show"]):
        said = command("-c", path, *words)
        assert (said.status, "archiver.toml:" in said.err + said.out.decode()) == (10, True)
        assert WRITTEN not in said.err + said.out.decode()


@given(
    st.sampled_from(SECRETS),
    st.integers(10**9)
    | st.floats()
    | st.dates()
    | st.text(min_size=12).map(lambda text: f"#{text}"),
)
def test_no_secret_is_ever_repeated(key: str, secret: object) -> None:
    """Whatever it consists of, and whatever TOML takes it for."""
    written = json.dumps(secret) if isinstance(secret, str) else str(secret)
    with pytest.raises(ConfigError) as raised:
        s3(f"{key} = {written}")
    assert str(secret) not in raised.value.message + raised.value.hint
    assert written not in raised.value.message + raised.value.hint


def test_show_shows_where_secrets_are_and_not_what_they_are(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it need them."""
    monkeypatch.setenv("S3_SECRET", WRITTEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    for name in ("id", "token"):
        (place / name).write_text(WRITTEN)
    references = ["file:id", "env:S3_SECRET", "cred:token"]
    settings = "".join(f'{key} = "{r}"\n' for key, r in zip(SECRETS, references, strict=True))
    path = place / "archiver.toml"
    path.write_text(f"{BEFORE}[storage.target.a]\n{MAIL}{settings}")
    for words in (["config", "show"], ["--json", "config", "show"]):
        said = command("-c", path, *words)
        assert (said.status, b"env:S3_SECRET" in said.out) == (0, True)
        assert WRITTEN.encode() not in said.out
    path.write_text(path.read_text().replace("cred:token", "cred:nowhere"))
    assert command("-c", path, "config", "show").status == 0
    assert WRITTEN not in repr(parse(path.read_text(), path))


def test_each_type_says_what_it_is() -> None:
    """As the file does; nobody can make a directory that calls itself a bucket."""
    kinds = [target.type for target in parse(FULL, TOML).storage.targets]
    assert kinds == ["local", "s3", "local"]
    assert (LocalTarget("a", Path("a")).type, S3Target("a", "mail").type) == ("local", "s3")
