"""What tests of probing need: hosts with buckets on any server, and what a report says."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from archiver.config.targets import S3Target
from archiver.stores.probe_report import Check, ProbeReport
from tests.world.host import MONDAY, Host, lines
from tests.world.loopback import HERE
from tests.world.weed import connect

LOCK = """\
object_lock = "{mode}"
lock_for = "365d"
"""
TABLE = """\
[storage.target.{name}]
type = "s3"
bucket = "{bucket}"
prefix = "mail/"
endpoint_url = "{endpoint}"
addressing = "path"
access_key_id = "file:{identity}.id"
secret_access_key = "file:{identity}.secret"
attempts = 2
"""
LOCKING = [
    "lock",
    "lock in parts",
    "lock against shortening",
    "lock against deletion",
    "lock against overwriting",
]
LOCKS = [*LOCKING, "no bypass", "legal hold"]
ALWAYS = [
    *["create once", "create once in parts", "MD5", "SHA-256", "ranges", "listing", "versions"],
    *["no deletion", "secret", "clock"],
]


class Asked(Protocol):
    """Whoever is asked: a server, or what stands before it."""

    @property
    def endpoint(self) -> str:
        """Where it is."""

    @property
    def ca_bundle(self) -> Path | None:
        """Whom to trust over TLS."""


class Server(Asked, Protocol):
    """One that knows who may ask."""

    def credentials(self, identity: str = "admin") -> tuple[str, str]:
        """The access key and the secret key of *identity*."""


@dataclass(frozen=True)
class Moto:
    """It takes whatever secret there is. client: one of it, as administrator."""

    endpoint: str
    client: Any
    ca_bundle: Path | None = None

    def credentials(self, identity: str = "admin") -> tuple[str, str]:
        return identity, "a-secret"


@contextmanager
def moto_with_buckets() -> Iterator[Moto]:
    """Moto on loopback, with the buckets `locks`, which has Object Lock, and `plain`."""
    module = importlib.import_module("moto.server")
    server = module.ThreadedMotoServer(ip_address=HERE, port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        with closing(connect(endpoint, ("admin", "a-secret"))) as client:
            client.create_bucket(Bucket="locks", ObjectLockEnabledForBucket=True)
            client.create_bucket(Bucket="plain")
            yield Moto(endpoint, client)
    finally:
        server.stop()
        server._server.server_close()


def table(
    place: Path,
    bucket: str,
    server: Server,
    *,
    asked: Asked | None = None,
    identity: str = "writer",
    mode: str = "off",
    name: str = "offsite",
    more: str = "",
) -> str:
    """A target's table. asked: what stands between, if anything. more: TOML."""
    key, secret = server.credentials(identity)
    (place / f"{identity}.id").write_text(key)
    (place / f"{identity}.secret").write_text(secret)
    at = asked or server
    text = TABLE.format(name=name, bucket=bucket, endpoint=at.endpoint, identity=identity)
    text += f'ca_bundle = "{at.ca_bundle}"\n' if at.ca_bundle else ""
    return text + (LOCK.format(mode=mode) if mode != "off" else "") + more


def host_with(place: Path, *tables: str, targets: tuple[str, ...] = ()) -> Host:
    host = Host(place, targets=targets, tables="".join(tables))
    host.write(lines(MONDAY, "10:00:00", "10:00:01"))
    return host


def target_of(place: Path, bucket: str, server: Server, **settings: Any) -> S3Target:
    found = host_with(place, table(place, bucket, server, **settings)).config.storage.targets[0]
    assert isinstance(found, S3Target)
    return found


def verdicts(report: ProbeReport) -> dict[str, str]:
    return told(report.checks)


def told(checks: Sequence[Check]) -> dict[str, str]:
    return {check.name: check.verdict for check in checks}


def evidence(report: ProbeReport, name: str) -> str:
    return next(check.evidence for check in report.checks if check.name == name)


def short_of(report: ProbeReport) -> dict[str, str]:
    """What is not enforced, or not known."""
    return {name: told for name, told in verdicts(report).items() if told != "enforced"}


def versions(client: Any, bucket: str, prefix: str = "mail/") -> list[tuple[str, str]]:
    told = client.list_object_versions(Bucket=bucket, Prefix=prefix)
    every = [*told.get("Versions", ()), *told.get("DeleteMarkers", ())]
    return [(each["Key"], each["VersionId"]) for each in every]
