"""Nights on which a bucket's server is away: everything waits, and arrives in order, once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from archiver.nightly import NightReport
from archiver.policy.questions.reply import count
from tests.world.faults import SLOW_DOWN, Faults, Rule, answer, faults, reset
from tests.world.host import MONDAY, Host, after, lines
from tests.world.s3_host import Bucket, FarHost, numbers_put
from tests.world.weed import Weed

ASKED_ONCE = {"attempts": "1", "connect_timeout": '"1s"'}
SUNDAY = 6


@pytest.fixture
def faulty(second_weed: Weed) -> Iterator[Faults]:
    """What stands before the server that goes away, and sees what it is asked."""
    with faults(second_weed) as server:
        yield server


@pytest.fixture(params=["a directory", "another bucket"])
def two(
    request: pytest.FixtureRequest, weed_server: Weed, second_weed: Weed, faulty: Faults
) -> Mapping[str, Any]:
    """Two targets, as a host is told of them: one that stays, and the bucket `far`."""
    far = Bucket(second_weed, second_weed.bucket(lock=True), faulty, more=ASKED_ONCE)
    if request.param == "a directory":
        return {"targets": ("store",), "buckets": {"far": far}}
    near = Bucket(weed_server, weed_server.bucket(lock=True), weed_server)
    return {"targets": (), "buckets": {"near": near, "far": far}}


@contextmanager
def down(server: Weed) -> Iterator[None]:
    """Kill a server; it comes back at the end."""
    server.kill()
    try:
        yield
    finally:
        server.start()


def day(host: Host, ahead: int) -> bytes:
    """Write what is logged on a day of that week."""
    written = lines(after(MONDAY, ahead), "09:00:00", "23:59:59")
    host.write(written)
    return written


def night(host: Host, ahead: int) -> NightReport:
    """Run in the night after that day."""
    return host.night(after(MONDAY, ahead + 1))


def status(host: Host, ahead: int) -> str:
    """What `archiver status` says at noon after that night, when there is something to say."""
    said = host.archiver("status", now=host.at(after(MONDAY, ahead + 1), "12:00"))
    assert said.status == 3
    return said.err


def test_a_week_away_and_all_waits(
    place: Path, two: Mapping[str, Any], second_weed: Weed, faulty: Faults
) -> None:
    """Two copies required: the spool grows by a segment a night, and is told of; one run then
    delivers everything, in order.
    """
    host = FarHost(place, required=2, **two)
    written = [day(host, 0)]
    assert night(host, 0).exit_status == 0
    with down(second_weed):
        for ahead in range(1, SUNDAY + 2):
            written.append(day(host, ahead))
            assert night(host, ahead).exit_status == 12
            assert len(host.journal().entries()) == ahead
            assert f"{count(ahead, 'segment')} waiting in the spool" in status(host, ahead)
        now = host.at(after(MONDAY, SUNDAY + 2), "12:00")
        said = host.archiver("fetch", "--date", f"{MONDAY}..today", now=now)
        assert (0, b"".join(written)) == (said.status, said.out)
    assert night(host, SUNDAY + 2).exit_status == 0
    assert host.spooled() == []
    # The last one is of a day without lines.
    assert list(range(1, SUNDAY + 4)) == numbers_put(faulty)
    assert b"".join(written) == host.everywhere()


def test_a_week_away_and_one_copy_is_enough(
    place: Path, two: Mapping[str, Any], second_weed: Weed, faulty: Faults
) -> None:
    """The segments are released; what the bucket lacks is told, and brought oldest first."""
    host = FarHost(place, required=1, **two)
    written = [day(host, 0)]
    assert night(host, 0).exit_status == 0
    with down(second_weed):
        for ahead in range(1, SUNDAY + 1):
            written.append(day(host, ahead))
            assert night(host, ahead).exit_status == 12
            assert host.spooled() == []
            assert f"store 'far' is missing {count(ahead, 'archive')}" in status(host, ahead)
    written.append(day(host, SUNDAY + 1))
    assert night(host, SUNDAY + 1).exit_status == 0
    assert list(range(1, SUNDAY + 3)) == numbers_put(faulty)
    assert b"".join(written) == host.everywhere()
    said = host.archiver("status", now=host.at(after(MONDAY, SUNDAY + 2), "12:00"))
    assert (said.status, said.err) == (0, "")


def test_a_server_that_fails_while_it_catches_up(
    place: Path, two: Mapping[str, Any], second_weed: Weed, faulty: Faults
) -> None:
    """What it has is always the beginning of the chain; tonight's archive waits for its turn."""
    host = FarHost(place, required=1, **two)
    written = [day(host, 0)]
    night(host, 0)
    with down(second_weed):
        for ahead in range(1, 5):
            written.append(day(host, ahead))
            assert night(host, ahead).exit_status == 12
    for ahead, times in ((5, None), (6, 1)):
        faulty.rules = [Rule("PUT", "maillog-", reset, skip=3, times=times)]
        written.append(day(host, ahead))
        assert night(host, ahead).exit_status == 12
        put = numbers_put(faulty)
        assert list(range(1, len(put) + 1)) == put
        assert f"store 'far' is missing {count(ahead + 1 - len(put), 'archive')}" in status(
            host, ahead
        )
    assert 1 < len(put) < ahead
    faulty.rules = []
    assert night(host, SUNDAY + 1).exit_status == 0
    assert list(range(1, SUNDAY + 3)) == numbers_put(faulty)
    assert b"".join(written) == host.everywhere()


def test_one_failure_keeps_back_all_that_follows(
    place: Path, two: Mapping[str, Any], faulty: Faults
) -> None:
    """Of one segment's archives, one is refused by a busy server, which would take the next."""
    host = FarHost(place, required=1, **two)
    written = b"".join(day(host, ahead) for ahead in range(4))
    faulty.rules = [Rule("PUT", r"000002\.log\.zst", SLOW_DOWN)]
    assert night(host, 3).exit_status == 12
    assert numbers_put(faulty) == [1]
    assert host.spooled() == []
    assert night(host, 4).exit_status == 0
    assert numbers_put(faulty) == [1, 2, 3, 4]
    assert written == host.everywhere()


def test_an_import_does_not_overtake(place: Path, two: Mapping[str, Any], faulty: Faults) -> None:
    """What a bucket missed in the night comes before what is imported by day."""
    host = FarHost(place, required=1, **two)
    written = [day(host, 0)]
    faulty.rules = [Rule("PUT", ".", SLOW_DOWN)]
    assert night(host, 0).exit_status == 12
    old = lines(after(MONDAY, -2), "12:00:00")
    (place / "old").write_bytes(old)
    now = host.at(after(MONDAY, 1), "12:00")
    assert host.archiver("import", place / "old", now=now).status == 0
    assert numbers_put(faulty) == [1, 2]
    assert b"".join([*written, old]) == host.everywhere()


def test_a_full_bucket_is_told_while_what_it_lacks_waits(
    place: Path, two: Mapping[str, Any], faulty: Faults
) -> None:
    """It lacks an archive, and has no room for it; and both copies of the next are required."""
    host = FarHost(place, required=1, **two)
    written = [day(host, 0)]
    faulty.rules = [Rule("PUT", ".", answer(403, "QuotaExceeded"), times=None)]
    assert night(host, 0).exit_status == 14
    host.configure(required=2, **two)
    written.append(day(host, 1))
    said = host.archiver("run", now=host.at(after(MONDAY, 2)))
    assert said.status == 14
    assert "no space left" in said.err
    assert len(host.journal().entries()) == 1
    faulty.rules = []
    assert night(host, 2).exit_status == 0
    assert numbers_put(faulty) == [1, 2, 3]
    assert b"".join(written) == host.everywhere()
