"""[storage.target.NAME]: where copies go, one dataclass for each type of store.

Secrets are references only (`secret_refs`); a wrong value that may be a secret is not repeated.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from archiver.config.secret_refs import read_reference
from archiver.config.toml_tables import (
    NAME,
    NAME_IN_WORDS,
    Table,
    duration_in_seconds,
    size_in_bytes,
)
from archiver.policy.period import Period

MIB = 2**20
# What bucket names the servers agree on (S3 user guide, "General purpose bucket naming rules").
BUCKET = re.compile(
    r"(?!xn--)(?!\d+\.\d+\.\d+\.\d+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII
)
# S3's safe characters. HTTP libraries resolve "." and "..": the signature would be of another key.
PREFIX = re.compile(r"(?=.{0,512}\Z)(?:(?!\.{1,2}/)[A-Za-z0-9!_.*'()=-]+/)*")
LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
ENDPOINT = re.compile(
    rf"https?://(?:{LABEL}(?:\.{LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{{0,4}})?/?"
)
PORTS = {"http": 80, "https": 443}
# A bucket's name is one bucket's, whichever of these addresses is asked for it.
AWS = re.compile(r"(?:.+\.)?amazonaws\.com")
REGION = re.compile(rf"(?:(?![0-9]+\Z){LABEL})?")
CLASS = re.compile(r"[A-Za-z0-9._-]{0,64}")
COLD = ("GLACIER", "DEEP_ARCHIVE")
KMS_KEY = re.compile(r"[!-~]{0,2048}")
ADDRESSING = ("auto", "path", "virtual")
CHECKSUMS = ("md5", "sha256")
LOCK_MODES = ("off", "governance", "compliance")
SSE = ("", "AES256", "aws:kms")


@dataclass(frozen=True)
class LocalTarget:
    """A directory. keep: how long archives stay here while enough other stores have them; None:
    as long as the retention rules say.
    """

    name: str
    type: str = field(default="local", init=False)
    path: Path
    keep: Period | None = None

    placed_by: ClassVar[str] = "path"

    @property
    def place(self) -> str:
        """What no two targets may share: a directory, links resolved."""
        return os.path.realpath(self.path)


@dataclass(frozen=True)
class S3Target:
    """A bucket, or the part of it below a prefix; a prefix that is not empty ends in a slash.

    access_key_id, secret_access_key, session_token: where each is to be found (`cred:NAME`,
    `file:PATH`, `env:NAME`); empty: where AWS's own tools look. expirer_…: other credentials, used
    only to destroy archives and to lift holds; empty: the same ones. checksum: by which the server
    verifies each upload. object_lock: the mode in which every archive and manifest is locked until
    lock_for seconds after its log date. max_bandwidth: bytes a second, 0: unlimited. part_size:
    bytes. Timeouts in seconds.
    """

    name: str
    type: str = field(default="s3", init=False)
    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    addressing: str = "auto"
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    expirer_access_key_id: str = ""
    expirer_secret_access_key: str = ""
    expirer_session_token: str = ""
    ca_bundle: Path | None = None
    checksum: str = "md5"
    storage_class: str = ""
    sse: str = ""
    kms_key_id: str = ""
    object_lock: str = "off"
    lock_for: float = 0.0
    legal_hold: bool = False
    max_bandwidth: int = 0
    part_size: int = 16 * MIB
    connect_timeout: float = 20.0
    read_timeout: float = 60.0
    attempts: int = 5

    placed_by: ClassVar[str] = "bucket"

    @property
    def as_expirer(self) -> "S3Target":
        """The same target, with the credentials that may destroy."""
        return replace(
            self,
            access_key_id=self.expirer_access_key_id,
            secret_access_key=self.expirer_secret_access_key,
            session_token=self.expirer_session_token,
        )

    @property
    def place(self) -> str:
        """What no two targets may share: one bucket may be reached by several addresses."""
        url = urlsplit(self.endpoint_url)
        host = url.hostname or ""
        if AWS.fullmatch(host):
            host = ""
        port = "" if url.port in {None, PORTS.get(url.scheme)} else f":{url.port}"
        return f"s3://{host}{port}/{self.bucket}/{self.prefix}"


Target = LocalTarget | S3Target


def read_target(table: Table, name: str) -> Target:
    """Take a target's table; what is wrong with it is noted in the table."""
    if not NAME.fullmatch(name):
        table.reader.problem(table.place, f"target name {name!r} must be {NAME_IN_WORDS}")
    kind = table.take("type", str, None)
    if kind not in {None, "local", "s3"}:
        table.problem("type", f'type {kind!r} is not known; there are "local" and "s3"')
    # If the type is wrong, the rest is checked as the type that it looks like.
    if kind == "s3" or (kind != "local" and "bucket" in table.rest):
        return _s3(table, name)
    target = LocalTarget(name, table.path("path"), table.optional("keep", Period.parse))
    table.finish()
    return target


def _s3(table: Table, name: str) -> S3Target:
    size, seconds = size_in_bytes, duration_in_seconds
    target = S3Target(
        name=name,
        bucket=table.like("bucket", BUCKET, "a bucket's name", None),
        prefix=table.like("prefix", PREFIX, "a prefix such as `mail/`, or empty"),
        endpoint_url=table.checked("endpoint_url", "", _endpoint) or "",
        region=table.like("region", REGION, "a region such as `eu-central-1`, or empty"),
        addressing=table.one_of("addressing", ADDRESSING),
        access_key_id=read_reference(table, "access_key_id"),
        secret_access_key=read_reference(table, "secret_access_key"),
        session_token=read_reference(table, "session_token"),
        expirer_access_key_id=read_reference(table, "expirer_access_key_id"),
        expirer_secret_access_key=read_reference(table, "expirer_secret_access_key"),
        expirer_session_token=read_reference(table, "expirer_session_token"),
        ca_bundle=table.optional_path("ca_bundle"),
        checksum=table.one_of("checksum", CHECKSUMS),
        storage_class=table.checked("storage_class", "", _storage_class) or "",
        sse=table.one_of("sse", SSE),
        kms_key_id=table.like("kms_key_id", KMS_KEY, "a key's name or ARN, or empty"),
        object_lock=table.one_of("object_lock", LOCK_MODES),
        lock_for=_bounded(table, "lock_for", seconds, "0s", "1d", "36525d", or_none=True),
        legal_hold=table.take("legal_hold", bool, default=False),
        max_bandwidth=_bounded(table, "max_bandwidth", size, "0", "1KiB", "1000GB", or_none=True),
        # The bounds are S3's own ("Amazon S3 multipart upload limits").
        part_size=_bounded(table, "part_size", size, "16MiB", "5MiB", "5GiB"),
        connect_timeout=_bounded(table, "connect_timeout", seconds, "20s", "100ms", "1h"),
        read_timeout=_bounded(table, "read_timeout", seconds, "60s", "100ms", "1h"),
        attempts=table.take("attempts", int, 5),
    )
    if not 1 <= target.attempts <= 20:
        table.problem("attempts", "attempts must lie between 1 and 20")
    table.finish()
    _go_together(table, target)
    return target


def _endpoint(text: str) -> str:
    """Return a URL without its last slash. A wrong one may hold a password: it is not repeated."""
    try:
        if not text or (ENDPOINT.fullmatch(text) and urlsplit(text).port != 0):
            return text.rstrip("/")
    except ValueError:
        pass
    raise ValueError("it must be http://HOST:PORT or https://HOST, with no path, or empty")


def _storage_class(text: str) -> str:
    if text.upper() in COLD:
        raise ValueError(
            f"{text!r} cannot be read back at once, so no copy in it would ever count; "
            "a lifecycle rule of the bucket may move archives there later"
        )
    if not CLASS.fullmatch(text):
        raise ValueError(f"{text!r} is not a storage class such as STANDARD_IA, or empty")
    return text


def _bounded(
    table: Table,
    key: str,
    read: Callable[[object], Any],
    default: str,
    least: str,
    most: str,
    *,
    or_none: bool = False,
) -> Any:  # noqa: ANN401 (what `read` returns)
    """Take an amount between `least` and `most`. or_none: 0 is allowed as well."""

    def bounded(value: object) -> Any:  # noqa: ANN401
        amount = read(value)
        if not read(least) <= amount <= read(most) and not (or_none and amount == 0):
            nothing = "0, or " if or_none else ""
            raise ValueError(f"{value!r} is not {nothing}between {least} and {most}")
        return amount

    return table.checked(key, default, bounded, int) or 0


def _go_together(table: Table, target: S3Target) -> None:
    """Note the keys that need another one, which is missing."""
    for whose in ("", "expirer_"):
        key, secret = f"{whose}access_key_id", f"{whose}secret_access_key"
        token = f"{whose}session_token"
        if bool(getattr(target, key)) != bool(getattr(target, secret)):
            table.clash((key, secret), f"{key} and {secret} must be set together")
        if getattr(target, token) and not getattr(target, key):
            table.clash((token, key), f"{token} needs {key} as well")
    if target.kms_key_id and target.sse != "aws:kms":
        table.clash(("kms_key_id", "sse"), 'kms_key_id needs sse = "aws:kms" as well')
    if (target.object_lock != "off") != bool(target.lock_for):
        table.clash(
            ("object_lock", "lock_for"),
            "object_lock and lock_for must be set together: the mode, and how long (such as 365d)",
        )
