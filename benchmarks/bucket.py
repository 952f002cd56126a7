"""What a store in a bucket costs, side by side with boto3's own upload of the same bytes.

python benchmarks/bucket.py --size 1GB --large 5GB --runs 3 [--json]

On a real server, SeaweedFS on loopback; each upload is a process of its own, in alternating
order; ratios are ratios of medians. The bytes are random: an archive does not compress again.
This is a report, never a test: it exits 0 whatever the numbers say, and 1 when a command fails.
"""

import argparse
import hashlib
import json
import os
import secrets
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from archiver.config.toml_tables import size_in_bytes
from benchmarks.nightly import Cost, timed
from tests.world.weed import Weed, weed

MIB = 2**20
OURS = """
import sys
from pathlib import Path
from archiver.stores import open_store
from archiver.config.targets import S3Target
endpoint, bucket, key, path, sha256, back = sys.argv[1:]
store = open_store(S3Target("bench", bucket, endpoint_url=endpoint))
store.put(key, Path(path), sha256)
if back:
    import hashlib
    read = hashlib.sha256()
    for chunk in store.stream(key):
        read.update(chunk)
    assert read.hexdigest() == sha256
"""
BOTO3 = """
import sys
import boto3
endpoint, bucket, key, path, sha256, back = sys.argv[1:]
client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
client.upload_file(path, bucket, key)
if back:
    client.download_file(bucket, key, "/dev/null")
"""


def prepared(path: Path, size: int) -> str:
    """Write a file of random bytes, and return its SHA-256."""
    written = hashlib.sha256()
    with open(path, "wb") as file:
        for at in range(0, size, 16 * MIB):
            chunk = secrets.token_bytes(min(16 * MIB, size - at))
            written.update(chunk)
            file.write(chunk)
    return written.hexdigest()


def uploader(server: Weed, bucket: str, path: Path, sha256: str) -> Callable[[str, str], Cost]:
    """Return what uploads the file under a fresh key, with some code, and perhaps reads it back."""

    def upload(code: str, back: str) -> Cost:
        key = f"host=mx1/{secrets.token_hex(8)}.log.zst"
        argv = (sys.executable, "-c", code, server.endpoint, bucket, key, str(path), sha256, back)
        cost = timed(*argv)
        server.client().delete_object(Bucket=bucket, Key=key)
        return cost

    return upload


def main() -> None:
    """Measure, and print a table or a JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1GB", help="of the file to upload")
    parser.add_argument("--large", default="5GB", help="of the file that memory is measured with")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", default=None, help="where files are made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=options.work) as work, weed(Path(work, "weed")) as server:
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = server.credentials()
        bucket, path = server.bucket(), Path(work, "archive")
        upload = uploader(server, bucket, path, prepared(path, size_in_bytes(options.size)))
        for name, back in (("upload", ""), ("upload and read back", "back")):
            costs: dict[str, list[Cost]] = {OURS: [], BOTO3: []}
            for run in range(options.runs):
                for code in (OURS, BOTO3) if run % 2 else (BOTO3, OURS):
                    costs[code].append(upload(code, back))
            ours, theirs = (
                statistics.median(cost.seconds for cost in costs[code]) for code in (OURS, BOTO3)
            )
            found |= {f"{name}, s": ours, f"{name}, boto3, s": theirs}
            found[f"{name}, ratio"] = ours / theirs
        size = size_in_bytes(options.large)
        large = uploader(server, bucket, path, prepared(path, size))(OURS, "back")
        found |= {"large: MiB of memory": large.memory / MIB, "large: s": large.seconds}
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(f"{name:32} {value:10.2f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
