"""Two hosts of one name on one bucket, which must not be: told, and yet no line is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from tests.world.exchange import Exchange
from tests.world.faults import Faults, Rule, faults
from tests.world.host import MONDAY, Host, after, line, unpacked
from tests.world.s3_host import Bucket, FarHost, assert_once
from tests.world.weed import Weed

DAYS = 4


@pytest.fixture
def faulty(weed_server: Weed) -> Iterator[Faults]:
    """What stands between the first host and the server; the second host goes around it."""
    with faults(weed_server) as server:
        yield server


@pytest.fixture
def two(place: Path, weed_server: Weed, bucket: str, faulty: Faults) -> tuple[FarHost, FarHost]:
    hosts = []
    for name, asked in (("one", faulty), ("other", weed_server)):
        (place / name).mkdir(mode=0o755)
        far = Bucket(weed_server, bucket, asked)
        hosts.append(FarHost(place / name, targets=(), buckets={"far": far}))
    return hosts[0], hosts[1]


def log(host: Host, ahead: int, clock: str) -> bytes:
    """Write a line that only this host has."""
    wall = datetime.fromisoformat(f"{after(MONDAY, ahead)}T{clock}")
    written = line(wall, f"imapd: of {host.directory.name}")
    host.write(written)
    return written


def stored(host: FarHost) -> list[bytes]:
    """All lines in the bucket, sorted; each object was stored once."""
    assert_once(host.buckets["far"])
    objects = host.buckets["far"].objects()
    logs = [unpacked(content) for key, content in objects.items() if key.endswith(".log.zst")]
    return sorted(b"".join(logs).splitlines(keepends=True))


def meanwhile(host: Host, ahead: int) -> Rule:
    """Have that host's night come while the first archive of another one's is on its way."""

    def act(exchange: Exchange) -> None:
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
        exchange.pass_on()

    return Rule("PUT", r"\.log\.zst", act)


def test_the_same_key_at_the_same_time(two: tuple[FarHost, FarHost], faulty: Faults) -> None:
    """The first one there wins; the other says so, with 5, keeps its segment, and then comes next
    in the chain.
    """
    one, other = two
    written = sorted([log(one, 0, "09:00:00"), log(other, 0, "09:00:00")])
    faulty.rules = [meanwhile(other, 0)]
    said = one.archiver("run", now=one.at(after(MONDAY)))
    assert said.status == 5
    assert "already holds something other than" in said.err
    assert len(one.journal().entries()) == 1
    assert one.night(after(MONDAY), "00:10").exit_status == 0
    assert one.spooled() == other.spooled() == []
    assert stored(one) == written
    one.brought("far")
    assert [each.sequence for each in one.manifests(target="far")] == [1, 2]


def test_the_same_number_at_the_same_time(two: tuple[FarHost, FarHost], faulty: Faults) -> None:
    """Both are stored, each under its own key: the chain forks there, which every host is told."""
    one, other = two
    written = sorted([log(one, 0, "09:00:00"), log(other, 0, "10:00:00")])
    faulty.rules = [meanwhile(other, 0)]
    one.night(after(MONDAY))
    assert stored(one) == written
    for host in two:
        said = host.archiver("run", now=host.at(after(MONDAY), "00:10"))
        assert said.status == 5
        assert "have the same number: the chain forks there" in said.err
        fetched = host.archiver("fetch", "--date", str(MONDAY), "--archived")
        assert sorted(fetched.out.splitlines(keepends=True)) == written


def test_nights_at_the_same_time(two: tuple[FarHost, FarHost]) -> None:
    """Whatever comes of it, every line is in the bucket, or still in the spool; none is changed."""
    written = []
    with ThreadPoolExecutor(2) as pool:
        for ahead in range(DAYS):
            written += [log(host, ahead, "09:00:00") for host in two]
            nights = [pool.submit(host.night, after(MONDAY, ahead + 1)) for host in two]
            assert {night.result().exit_status for night in nights} <= {0, 3, 5, 12}
    for host in two:
        host.night(after(MONDAY, DAYS), "12:00")
        host.night(after(MONDAY, DAYS), "12:05")
        assert host.spooled() == []
    assert stored(two[0]) == sorted(written)
