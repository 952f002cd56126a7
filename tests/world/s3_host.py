"""A small host whose archives go to buckets too, and what is in those, seen without the archiver.

A bucket is looked at through a plain client, its digests are those of sha256sum(1), and its
logs are what zstd(1) gives back.
"""

import base64
import random
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from archiver.archives.names import INDEX_SUFFIXES, MANIFEST_SUFFIX
from tests.world.asked import got
from tests.world.faults import Faults
from tests.world.host import Host, line
from tests.world.system import need
from tests.world.weed import Weed

PREFIX = "mail/"
NUMBER = re.compile(rf"-(\d{{6}}){re.escape(MANIFEST_SUFFIX)}$")


@dataclass(frozen=True)
class Bucket:
    """A target of type s3. asked: whom the archiver asks, the server itself or faults.

    more: settings of the target, as TOML writes their values.
    """

    server: Weed
    name: str
    asked: Weed | Faults
    identity: str = "writer"
    more: Mapping[str, str] = field(default_factory=dict)

    def versions(self) -> list[dict[str, Any]]:
        """All versions and delete markers of all objects."""
        pages = self.server.client().get_paginator("list_object_versions")
        return [
            each | {"gone": kind == "DeleteMarkers"}
            for page in pages.paginate(Bucket=self.name)
            for kind in ("Versions", "DeleteMarkers")
            for each in page.get(kind, ())
        ]

    def uploads(self) -> list[str]:
        """What was begun in parts and is not completed, by their keys."""
        pages = self.server.client().get_paginator("list_multipart_uploads")
        told = [page.get("Uploads", ()) for page in pages.paginate(Bucket=self.name)]
        return [each["Key"] for page in told for each in page]

    def objects(self) -> dict[str, bytes]:
        """What the archives and all that belongs to them give, by key."""
        return {key: body for key, body in self._all().items() if "/ledger/" not in key}

    def ledger(self) -> list[bytes]:
        """What the records of the ledger give, in their order."""
        return [body for key, body in sorted(self._all().items()) if "/ledger/" in key]

    def _all(self) -> dict[str, bytes]:
        client = self.server.client()
        pages = client.get_paginator("list_objects_v2")
        return {
            each["Key"].removeprefix(PREFIX): got(client, self.name, each["Key"])
            for page in pages.paginate(Bucket=self.name, Prefix=f"{PREFIX}host=")
            for each in page.get("Contents", ())
        }


class FarHost(Host):
    """One whose targets are directories, and buckets by their names."""

    def configure(
        self, *, buckets: Mapping[str, Bucket] | None = None, rules: str = "", **settings: Any
    ) -> None:
        """Write the configuration; `settings` are those of every host. rules: of retention."""
        self.buckets = dict(buckets or {})
        tables = "".join(self._table(name, each) for name, each in self.buckets.items())
        super().configure(**settings, tables=tables + rules)

    def _table(self, name: str, bucket: Bucket) -> str:
        key_id, secret = bucket.server.credentials(bucket.identity)
        (self.directory / f"{name}.id").write_text(key_id)
        (self.directory / f"{name}.secret").write_text(secret)
        values = {
            "type": '"s3"',
            "bucket": f'"{bucket.name}"',
            "prefix": f'"{PREFIX}"',
            "endpoint_url": f'"{bucket.asked.endpoint}"',
            "addressing": '"path"',
            "access_key_id": f'"file:{name}.id"',
            "secret_access_key": f'"file:{name}.secret"',
        }
        if trusted := bucket.asked.ca_bundle:
            values["ca_bundle"] = f'"{trusted}"'
        lines = [f"{key} = {value}\n" for key, value in (values | dict(bucket.more)).items()]
        return f"[storage.target.{name}]\n{''.join(lines)}"

    def brought(self, target: str) -> str:
        """Bring all that a bucket has below a directory of its name, for others to look at."""
        if target in self.buckets:
            shutil.rmtree(self.directory / target, ignore_errors=True)
            for key, content in self.buckets[target].objects().items():
                path = self.directory / target / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return target

    def everywhere(self) -> bytes:
        """Return all that is archived, which every target must have: whole, once, and the same."""
        targets = [target.name for target in self.config.storage.targets]
        chains = [self.documents(target=self.brought(name)) for name in targets]
        assert all(chain == chains[0] for chain in chains), [len(chain) for chain in chains]
        for bucket in self.buckets.values():
            assert_once(bucket)
        found = {self._checked(name) for name in targets}
        assert len(found) == 1
        return found.pop()

    def _checked(self, target: str) -> bytes:
        """What zstd(1) gives of a target's archives, after sha256sum(1) has read them."""
        stored = self.directory / target
        manifests = [each for each in self.manifests(target=target) if not each.is_empty_day]
        expected = "".join(f"{each.sha256}  {each.archive_key}\n" for each in manifests)
        command = [need("sha256sum"), "--check", "--strict", "--quiet", "-"]
        subprocess.run(command, input=expected.encode(), cwd=stored, check=True)
        keys = [each.archive_key for each in manifests]
        there = {str(path.relative_to(stored)) for path in stored.rglob("*.log.zst")}
        assert there == set(keys), "an archive has no manifest"
        command = [need("zstd"), "-dcq", *keys]
        return subprocess.run(command, cwd=stored, check=True, capture_output=True).stdout


def incompressible(day: date, size: int) -> bytes:
    """A day's log of which the archive has about so many bytes."""
    moment = datetime.combine(day, time(12))
    text = base64.b64encode(random.Random(size).randbytes(size)).decode()
    pieces = (text[at : at + 1000] for at in range(0, len(text), 1000))
    return b"".join(line(moment, f"imapd: {piece}") for piece in pieces)


def assert_once(bucket: Bucket) -> None:
    """Every archive and manifest has one version: nothing was stored twice, or removed."""
    versions = [each for each in bucket.versions() if each["Key"].startswith(f"{PREFIX}host=")]
    kept = [each for each in versions if not each["Key"].endswith(INDEX_SUFFIXES)]
    assert [each["Key"] for each in kept if each["gone"]] == []
    keys = [each["Key"] for each in kept]
    assert len(set(keys)) == len(keys), keys


def numbers_put(faulty: Faults) -> list[int]:
    """The numbers of the manifests that a server took, in the order in which they came."""
    return [
        int(found[1])
        for seen in faulty.requests
        if seen.method == "PUT" and seen.status == 200 and (found := NUMBER.search(seen.target))
    ]
