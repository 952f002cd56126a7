"""Reading from a bucket: how many requests it takes, from where, and what is cold."""

import json
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from archiver.archives.names import ARCHIVE_SUFFIX
from archiver.setup.demo.lifelike import day
from tests.world.faults import Faults, faults
from tests.world.host import MONDAY, ROME, Host, Said, after, command
from tests.world.s3_host import Bucket, FarHost
from tests.world.weed import Weed, connect

DAYS = 20


@pytest.fixture(scope="module")
def through(weed_server: Weed) -> Iterator[Faults]:
    """The server, through what counts the requests."""
    with faults(weed_server) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, weed_server: Weed, through: Faults) -> FarHost:
    """A host with three weeks of archives in a bucket alone."""
    place = tmp_path_factory.mktemp("far")
    place.chmod(0o755)
    bucket = Bucket(weed_server, weed_server.bucket(), through, "admin")
    host = FarHost(place, targets=(), buckets={"far": bucket})
    for ahead in range(DAYS):
        host.write(log(after(MONDAY, ahead)))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    return host


@cache
def log(each: date) -> bytes:
    return b"".join(day(each, ROME, seed=1, messages=40))


def message_id(each: date) -> str:
    ids = re.findall(rb"message-id=<([^<>\s]+)>", log(each))
    return str(ids[len(ids) // 2], "utf-8")


def asked(through: Faults, host: Host, *words: str) -> tuple[Said, list[str]]:
    """Give a command; return what it said, and each request: its method and target."""
    through.requests.clear()
    said = host.archiver(*words, now=host.at(after(MONDAY, DAYS), "12:00"))
    return said, [f"{seen.method} {seen.target}" for seen in through.requests]


def test_a_day_is_one_range(far: FarHost, through: Faults) -> None:
    """With a catalog nothing is listed and nothing looked for: one GET, of that archive."""
    wanted = after(MONDAY, 7)
    said, requests = asked(through, far, "fetch", "--date", str(wanted), "--archived")
    assert (said.status, said.out, said.err) == (0, log(wanted), "")
    (request,) = requests
    assert (request.startswith("GET"), ARCHIVE_SUFFIX in request) == (True, True)
    assert through.requests[0].range is not None


def test_a_dated_needle_takes_four_requests_at_most(far: FarHost, through: Faults) -> None:
    """The numbers of the design, counted where they cost something."""
    wanted = after(MONDAY, 7)
    needle = message_id(wanted)
    said, requests = asked(
        through, far, "fetch", "--date", str(wanted), "--message-id", needle, "--archived"
    )
    assert said.status == 0
    found = [line for line in log(wanted).splitlines() if needle.encode() in line]
    assert said.out.splitlines() == found
    assert len(requests) <= 4
    assert sum(seen.bytes_out for seen in through.requests) <= 700_000


def test_an_undated_needle_lists_nothing(far: FarHost, through: Faults) -> None:
    wanted = after(MONDAY, 7)
    said, requests = asked(
        through, far, "fetch", "--message-id", message_id(wanted), "--archived", "--explain"
    )
    assert said.status == 0
    assert message_id(wanted).encode() in said.out
    assert len(requests) <= 20
    assert not [each for each in requests if "list-type" in each or not each.startswith("GET")]
    assert len({each for each in requests if ARCHIVE_SUFFIX in each}) == 1
    told = re.search(r"(\d+) range reads?,", said.err)
    assert told
    assert int(told[1]) == len(requests)


def test_an_absent_key_reads_no_frame(far: FarHost, through: Faults) -> None:
    said, requests = asked(through, far, "fetch", "--message-id", "nobody@nowhere", "--archived")
    assert said.status == 4
    assert not [each for each in requests if ARCHIVE_SUFFIX in each]


def test_several_archives_are_read_at_once(far: FarHost, through: Faults) -> None:
    """In order all the same, and each once."""
    through.at_most = 0
    said, requests = asked(
        through, far, "fetch", "--date", f"{MONDAY}..{after(MONDAY, DAYS - 1)}", "--archived"
    )
    assert said.out == b"".join(log(after(MONDAY, ahead)) for ahead in range(DAYS))
    assert len(requests) == len(set(requests)) == DAYS
    assert through.at_most > 1


def test_the_bucket_alone_is_enough(
    far: FarHost, weed_server: Weed, through: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its address, with AWS's own variables: no configuration, no state."""
    key_id, secret = weed_server.credentials("reader")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    bucket = far.buckets["far"].name
    address = f"s3://{bucket}/mail?endpoint_url={through.endpoint}"
    wanted = after(MONDAY, 3)
    said = command("--store", address, "fetch", "--date", str(wanted))
    assert (said.status, said.out, said.err) == (0, log(wanted), "")
    said = command("--store", address, "fetch", "--message-id", message_id(wanted))
    assert (said.status, message_id(wanted).encode() in said.out) == (0, True)
    said = command("--store", address, "--json", "list")
    assert len(json.loads(said.out)["data"]["archives"]) == DAYS


# -- cold ------------------------------------------------------------------------------------


def test_what_is_cold_is_named_asked_for_and_read_later(
    tmp_path: Path, moto_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 and the archive's name; --restore asks, once is enough; then the same fetch goes on."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "moto")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "moto-secret")
    client = connect(moto_server, ("moto", "moto-secret"))
    client.create_bucket(Bucket="cold-archive")
    tmp_path.chmod(0o755)
    host = Host(
        tmp_path,
        targets=(),
        tables='[storage.target.cold]\ntype = "s3"\nbucket = "cold-archive"\n'
        f'addressing = "path"\nendpoint_url = "{moto_server}"\n',
    )
    for ahead in range(3):
        host.write(log(after(MONDAY, ahead)))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    middle = after(MONDAY, 1)
    (key,) = [
        each["Key"]
        for each in client.list_objects_v2(Bucket="cold-archive")["Contents"]
        if f"date={middle}" in each["Key"] and each["Key"].endswith(ARCHIVE_SUFFIX)
    ]
    client.copy_object(
        Bucket="cold-archive",
        Key=key,
        CopySource={"Bucket": "cold-archive", "Key": key},
        StorageClass="GLACIER",
    )
    span = ("fetch", "--date", f"{MONDAY}..{after(MONDAY, 2)}", "--archived")
    said = host.archiver(*span)
    assert (said.status, said.out) == (12, log(MONDAY) + log(after(MONDAY, 2)))
    assert key in said.err
    assert "--restore" in said.err
    # It can be neither verified nor called damaged.
    document = json.loads(host.archiver("--json", "repair").out)
    assert (document["exit_code"], document["data"]["cold"], document["data"]["mended"]) == (
        0,
        1,
        0,
    )
    assert "Restore" not in client.head_object(Bucket="cold-archive", Key=key)
    assert host.archiver(*span, "--restore").status == 12
    assert "Restore" in client.head_object(Bucket="cold-archive", Key=key)
    # moto restores at the second look; a real store takes hours.
    said = host.archiver(*span, "--restore")
    said = host.archiver(*span)
    assert (said.status, said.err) == (0, "")
    assert said.out == b"".join(log(after(MONDAY, ahead)) for ahead in range(3))
    client.close()
