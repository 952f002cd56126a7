"""A real S3 server for tests: SeaweedFS, one process, one data directory, loopback only.

    with weed(directory) as server:
        bucket = server.bucket(lock=True)
        server.client("writer").put_object(Bucket=bucket, Key="a", Body=b"…")

It enforces Object Lock, legal holds and AWS-style policies, and its data outlive kill -9.
What a disk or an intruder does to them is done behind its back: `flip` and `destroy`.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.world.loopback import ABOVE, BLOCK, HERE, Certificate, block_of_ports, certify
from tests.world.needles import find
from tests.world.system import need

STARTS_WITHIN = 60.0
ENDS_WITHIN = 3.0
POLL = 0.02
BALLAST = "ballast"
SOCKETS = Path("/tmp")  # noqa: S108 (SeaweedFS's own choice)
CANARY = "canary"  # a bucket with one object

Policy = Mapping[str, Any]


def allow(*statements: tuple[list[str], str]) -> Policy:
    """Return the policy that allows these actions on these resources, and nothing else."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::{resource}"}
            for actions, resource in statements
        ],
    }


BUCKETS, OBJECTS = "*", "*/*"
READ = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention", "s3:GetObjectLegalHold"]
LIST = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning"]
WRITE = ["s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold"]
UPLOADS = ["s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
DELETE = ["s3:DeleteObject", "s3:DeleteObjectVersion"]

POLICIES: Mapping[str, Policy] = {
    # May add and lock; may not delete, bypass a lock or shorten one.
    "writer": allow(
        ([*READ, *WRITE, *UPLOADS], OBJECTS),
        (
            [*LIST, "s3:ListBucketMultipartUploads", "s3:GetBucketObjectLockConfiguration"],
            BUCKETS,
        ),
    ),
    "reader": allow((READ, OBJECTS), (LIST, BUCKETS)),
    "expirer": allow(([*READ, *DELETE, "s3:PutObjectLegalHold"], OBJECTS), (LIST, BUCKETS)),
}

_session = boto3.session.Session()
_making = threading.Lock()  # a session may not make two clients at the same time


def connect(
    endpoint: str, credentials: tuple[str, str], *, ca_bundle: Path | None = None, **config: Any
) -> Any:
    """Return an S3 client of *endpoint*; close it. *config* overrides botocore's Config."""
    settings: dict[str, Any] = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": "path"},
        "retries": {"mode": "standard", "total_max_attempts": 5},
        "connect_timeout": 5,
        "read_timeout": 60,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    with _making:
        return _session.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=credentials[0],
            aws_secret_access_key=credentials[1],
            verify=str(ca_bundle) if ca_bundle else None,
            config=Config(**(settings | config)),
        )


# Its ports, each that far after the block's first. Its worker finds its administrator
# 10000 above the administrator's port, whatever it is told.
S3, S3_GRPC, MASTER, MASTER_GRPC, VOLUME, VOLUME_GRPC, FILER, FILER_GRPC, ADMIN = range(1, 10)


@dataclass
class Weed:
    """A server that is up between `start` and `stop` or `kill`, at one address for life."""

    directory: Path
    port: int
    policies: Mapping[str, Policy] = field(repr=False)
    certificate: Certificate | None = None
    disk: str | None = None  # the size of a file system of its own
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _secrets: dict[str, str] = field(default_factory=dict, repr=False)
    _clients: list[Any] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        names = ["admin", *self.policies]
        self._secrets = {name: secrets.token_hex(20) for name in names}
        (self.directory / "s3.json").write_text(json.dumps(self._identities()))

    @property
    def endpoint(self) -> str:
        """Where S3 is spoken."""
        return f"{'https' if self.certificate else 'http'}://{HERE}:{self.port + S3}"

    @property
    def filer(self) -> str:
        """Where anybody may do anything, unasked: the way in for an intruder."""
        return f"http://{HERE}:{self.port + FILER}"

    @property
    def ca_bundle(self) -> Path | None:
        """Whom to trust over TLS."""
        return self.certificate.ca_bundle if self.certificate else None

    @property
    def pid(self) -> int:
        """The running server's process."""
        assert self.process is not None, "it is not running"
        return self.process.pid

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.directory / "log"

    @property
    def _root(self) -> Path:
        return self.directory / "data"

    @property
    def data_dir(self) -> Path:
        """Where its bytes are. On a disk of its own: seen through its own eyes, while it runs."""
        return Path(f"/proc/{self.pid}/root{self._root}") if self.disk else self._root

    def _identities(self) -> dict[str, Any]:
        def identity(name: str) -> dict[str, Any]:
            access_key, secret_key = self.credentials(name)
            return {
                "name": name,
                "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                **({"policyNames": [name]} if name in self.policies else {"actions": ["Admin"]}),
            }

        return {
            "identities": [identity(name) for name in self._secrets],
            "policies": [
                {"name": name, "content": json.dumps(policy)}
                for name, policy in self.policies.items()
            ],
        }

    def _command(self) -> list[str]:
        ports = {
            "s3.port": S3,
            "s3.port.grpc": S3_GRPC,
            "master.port": MASTER,
            "master.port.grpc": MASTER_GRPC,
            "volume.port": VOLUME,
            "volume.port.grpc": VOLUME_GRPC,
            "filer.port": FILER,
            "filer.port.grpc": FILER_GRPC,
            "admin.port": ADMIN,
            "admin.port.grpc": ADMIN + ABOVE,
        }
        options = {
            "dir": self._root,
            "ip": HERE,
            "ip.bind": HERE,
            **{option: self.port + offset for option, offset in ports.items()},
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "admin.ui": "false",
            "webdav": "false",
            "master.telemetry": "false",
            "s3.autoCreateBucket": "false",
            "s3.config": self.directory / "s3.json",
            # A bucket takes a volume or more of its own, however little is in it.
            "master.volumeSizeLimitMB": 64,
            "volume.max": 5000,
            "volume.preStopSeconds": 0,
        }
        if self.certificate:
            options["s3.cert.file"] = self.certificate.chain
            options["s3.key.file"] = self.certificate.key
        beside = Path(sys.executable).with_name("weed")
        program = str(beside) if beside.exists() else need("weed")
        command = [program, "-logtostderr", "mini"]
        command += [f"-{option}={value}" for option, value in options.items()]
        if self.disk is None:
            return command
        # Mounted where nobody else sees it, and gone with the process.
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        mount = 'mount -t tmpfs -o "size=$0" tmpfs "$1" && shift && exec "$@"'
        return [
            *[need("unshare"), "--mount", *as_root, "sh", "-c", mount],
            *[self.disk, str(self._root), *command],
        ]

    def start(self) -> None:
        """Serve, from the same addresses and data as before."""
        assert self.process is None, "it is running"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await()
        except BaseException:
            self.kill()
            raise

    def _await(self) -> None:
        assert self.process is not None
        admin = connect(
            self.endpoint,
            self.credentials(),
            ca_bundle=self.ca_bundle,
            retries={"total_max_attempts": 1},
        )
        with closing(admin):
            until = time.monotonic() + STARTS_WITHIN
            while time.monotonic() < until and self.process.poll() is None:
                with suppress(BotoCoreError, ClientError):
                    self._serve_canary(admin)
                    break
                time.sleep(POLL)
            else:
                raise AssertionError(f"weed does not serve:\n{self.log.read_text()[-4000:]}")
        # It skips such a one, and with it any others, and serves.
        invalid = [line for line in self.log.read_text().splitlines() if "invalid policy" in line]
        assert not invalid, invalid[0]

    def _serve_canary(self, admin: Any) -> None:
        """Get an object: after a restart, it is healthy before it knows where its bytes are."""
        try:
            admin.head_object(Bucket=CANARY, Key=CANARY)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            admin.create_bucket(Bucket=CANARY)
            admin.put_object(Bucket=CANARY, Key=CANARY, Body=CANARY.encode())
        admin.get_object(Bucket=CANARY, Key=CANARY)["Body"].read()

    def stop(self) -> None:
        """Ask it to end; insist if it takes its time, which is 30 seconds once in a while."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDS_WITHIN)
        finally:
            process.kill()
            process.wait()
            for port in [*range(self.port, self.port + BLOCK), self.port + ADMIN + ABOVE]:
                for left in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink(missing_ok=True)

    def close(self) -> None:
        """End it, and what was connected to it."""
        self.kill()
        while self._clients:
            self._clients.pop().close()

    def credentials(self, identity: str = "admin") -> tuple[str, str]:
        """The access key and the secret key of *identity*."""
        return identity, self._secrets[identity]

    def client(self, identity: str = "admin", **config: Any) -> Any:
        """Return an S3 client, which is closed when the server is; see `connect`."""
        made = connect(
            self.endpoint, self.credentials(identity), ca_bundle=self.ca_bundle, **config
        )
        self._clients.append(made)
        return made

    def bucket(self, *, versioning: bool = False, lock: bool = False) -> str:
        """Make a bucket with a name that no other has. Object Lock implies versioning."""
        name = f"archive-{secrets.token_hex(6)}"
        admin = self.client()
        admin.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        if versioning and not lock:
            enabled = {"Status": "Enabled"}
            admin.put_bucket_versioning(Bucket=name, VersioningConfiguration=enabled)
        return name

    def _paths(self, bucket: str, key: str, version: str | None = None) -> list[str]:
        """Where the filer has an object: as itself, as a version of it, or all its versions."""
        path = quote(f"/buckets/{bucket}/{key}")
        if version:
            return [f"{path}.versions/v_{version}"]
        return [path, f"{path}.versions"]

    def destroy(self, bucket: str, key: str) -> None:
        """Make an object and all its versions vanish, locked or not, behind S3's back."""
        found = [path for path in self._paths(bucket, key) if self._entry(path) is not None]
        assert found, f"{bucket} has no {key}"
        for path in found:
            self._intrude("DELETE", f"{path}?recursive=true&ignoreRecursiveError=true")

    def _entry(self, path: str) -> dict[str, Any] | None:
        """What the filer knows of it."""
        known = self._intrude("GET", f"{path}?metadata=true")
        return None if known is None else json.loads(known)

    def _intrude(self, method: str, target: str) -> bytes | None:
        with closing(HTTPConnection(HERE, self.port + FILER, timeout=60)) as filer:
            filer.request(method, target)
            answer = filer.getresponse()
            body = answer.read()
        assert answer.status in {200, 204, 404}, (answer.status, body)
        return None if answer.status == 404 else body

    def flip(
        self,
        bucket: str,
        key: str,
        version: str | None = None,
        *,
        at: int = 0,
        silently: bool = False,
    ) -> None:
        """Flip one bit in the byte *at* an object's place on the disk, of its latest version.

        The server notices: a GET fails, after 13 seconds of attempts that it makes itself.
        If done *silently*, its checksum is made to match: it hands out what is there now.
        Text it would have compressed; then the byte is one of the compressed.
        """
        version = version or self.client().head_object(Bucket=bucket, Key=key).get("VersionId")
        if version == "null":
            version = None
        entry = self._entry(self._paths(bucket, key, version)[0])
        assert entry is not None, f"{bucket} has no {key}"
        chunk = max(
            (chunk for chunk in entry["chunks"] if chunk.get("offset", 0) <= at),
            key=lambda chunk: int(chunk.get("offset", 0)),
        )
        needle = find(self.data_dir, bucket, chunk["fid"])
        needle.flip(at - chunk.get("offset", 0), silently=silently)

    def fill(self) -> None:
        """Leave no room on the disk of its own."""
        assert self.disk is not None, "this would fill the machine's disk"
        with (self.data_dir / BALLAST).open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def relieve(self) -> None:
        """Make room again."""
        (self.data_dir / BALLAST).unlink()


@contextmanager
def weed(
    directory: Path,
    *,
    tls: bool = False,
    policies: Mapping[str, Policy] | None = None,
    disk: str | None = None,
) -> Iterator[Weed]:
    """Run a server in *directory* for as long as the context lasts.

    *policies* are more identities (or other ones in place of POLICIES), each by its name
    with an AWS policy document. *disk*, say "32m", is the size of a file system of its own,
    which a test can fill, and which does not outlive the server's process.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with block_of_ports() as port:
        server = Weed(
            directory,
            port,
            {**POLICIES, **(policies or {})},
            certify(directory) if tls else None,
            disk,
        )
        try:
            server.start()
            yield server
        finally:
            server.close()
            shutil.rmtree(server._root, ignore_errors=True)
