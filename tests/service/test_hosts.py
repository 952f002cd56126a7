"""`status --all-hosts`: what one machine sees of the others, through the stores they share."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archives.receipts import Stored
from archiver.config.settings import load
from archiver.service.hosts import LATEST, Hosts
from tests.world.faults import Faults, Rule, faults, reset
from tests.world.host import MONDAY, Host, after, command, lines
from tests.world.s3_host import Bucket, FarHost
from tests.world.weed import Weed

FAR = "far"


@pytest.fixture
def faulty(weed_server: Weed) -> Iterator[Faults]:
    with faults(weed_server) as server:
        yield server


@pytest.fixture
def fleet(place: Path, weed_server: Weed, bucket: str, faulty: Faults) -> list[FarHost]:
    """Three hosts, each with its own logs and a bucket in common."""
    return [
        far_host(place, f"mx{number}", Bucket(weed_server, bucket, faulty)) for number in (1, 2, 3)
    ]


def far_host(place: Path, name: str, bucket: Bucket) -> FarHost:
    (place / name).mkdir(mode=0o755)
    host = FarHost(place / name, targets=(), buckets={FAR: bucket})
    host.toml.write_text(host.toml.read_text().replace('"mx1"', f'"{name}"'))
    host.config = load(host.toml)
    return host


def night(host: Host, ahead: int) -> None:
    """A day with lines, and the night after it."""
    host.write(lines(after(MONDAY, ahead), "09:00", "10:00"))
    assert host.night(after(MONDAY, ahead + 1)).failures == []


def test_who_has_fallen_silent_is_seen_from_any_host(fleet: list[FarHost], faulty: Faults) -> None:
    """By lists alone, whatever there is: a configuration of any of them will do, or none."""
    one, two, three = fleet
    for ahead in range(5):
        night(one, ahead)
        if ahead != 2:
            night(two, ahead)
        if ahead < 2:
            night(three, ahead)
    faulty.requests.clear()
    now = one.at(after(MONDAY, 5), "09:00")
    said = one.archiver("--json", "status", "--all-hosts", now=now)
    assert {seen.method for seen in faulty.requests} == {"GET"}
    assert all("list-type" in seen.target for seen in faulty.requests), "nothing is read"
    answer = json.loads(said.out)
    assert said.status == answer["exit_code"] == 3
    told = [
        (each["host"], each["source"], each["first_day"], each["last_day"], each["archives"])
        for each in answer["data"]["hosts"]
    ]
    last = {"mx1": 4, "mx2": 4, "mx3": 1}
    archives = {"mx1": 5, "mx2": 4, "mx3": 2}
    assert told == [
        (name, "maillog", str(MONDAY), str(after(MONDAY, last[name])), archives[name])
        for name in ("mx1", "mx2", "mx3")
    ]
    # mx2 was up on that day, and recorded that it had no lines.
    assert [each["missing_days"] for each in answer["data"]["hosts"]] == [[], [], []]
    size = sum(len(body) for key, body in one.buckets[FAR].objects().items() if ".zst" in key)
    assert sum(each["size"] for each in answer["data"]["hosts"]) == size
    silent = "mx3: maillog, in store 'far': nothing has arrived since 2026-05-05"
    assert [answer["error"]["message"], *answer["warnings"]] == [silent]
    said = three.archiver("status", "--all-hosts", "--nagios", now=now)
    assert (said.status, said.out.decode()) == (2, f"CRITICAL: {silent}\n")
    said = three.archiver("status", "--all-hosts", "--nagios", "--max-age", "90d", now=now)
    assert (said.status, said.out) == (0, b"OK: 3 logs are archived\n")


def test_what_somebody_removed_is_missed(fleet: list[FarHost], weed_server: Weed) -> None:
    one, two, _ = fleet
    for ahead in range(4):
        night(one, ahead)
        night(two, ahead)
    bucket = two.buckets[FAR]
    for key in bucket.objects():
        if key.startswith("host=mx2/") and f"date={after(MONDAY, 1)}" in key:
            weed_server.client().delete_object(Bucket=bucket.name, Key=f"mail/{key}")
    now = one.at(after(MONDAY, 4), "09:00")
    said = one.archiver("status", "--all-hosts", now=now)
    assert said.status == 3
    name = "mx2: maillog, in store 'far'"
    missing = f"{name}: 1 day missing in its last 31 days, the first of them {after(MONDAY, 1)}"
    assert missing in said.err
    assert f"{name}: 1 manifest missing from the chain" in said.err
    assert "mx1" not in said.err


def test_a_store_that_is_away_leaves_the_others(
    place: Path, fleet: list[FarHost], faulty: Faults
) -> None:
    one = fleet[0]
    one.configure(targets=("store",), buckets={FAR: one.buckets[FAR]})
    night(one, 0)
    faulty.rules.append(Rule("GET", "list-type", reset, times=None))
    now = one.at(after(MONDAY, 1), "09:00")
    said = one.archiver("--json", "status", "--all-hosts", now=now)
    answer = json.loads(said.out)
    assert said.status == answer["exit_code"] == 12
    assert [(each["target"], each["host"]) for each in answer["data"]["hosts"]] == [
        ("store", "mx1")
    ]
    said = command("--store", place / "mx1" / "store", "status", "--all-hosts", now=now)
    assert said.status == 0
    assert said.out.split()[8:13] == b"store mx1 maillog 2026-05-04 2026-05-04".split()
    said = command("--store", place, "status", "--all-hosts", now=now)
    assert (said.status, said.out) == (0, b"these stores have no archive of any host\n")
    said = command("--store", place, "status", now=now)
    assert said.status == 2
    for words in (["--store", "ftp://x"], ["-c", str(place / "none.toml")]):
        said = command(*words, "status", "--all-hosts", "--nagios", now=now)
        assert (said.status, said.out[:8]) == (3, b"UNKNOWN:")


dates = st.dates(min_value=date(2004, 1, 1), max_value=date(2004, 3, 1))


@given(st.sets(dates, min_size=1), st.integers(0, 10**6), st.text())
def test_the_days_between_are_those_that_are_not_told_of(
    days: set[date], late: int, novel: str
) -> None:
    """Whatever else lies there."""
    keys = [
        f"host=a/source=b/date={day}/b-20260504T000000Z-{number:06}.manifest.json"
        for number, day in enumerate(sorted(days), start=1)
    ]
    other = [novel, f"host={novel}/source=b/date=2004-02-31/b-1.manifest.json", keys[0] + ".tmp"]
    listed = [Stored(key, 10) for key in keys + other]
    over = int((max(days) - date(1970, 1, 1) + timedelta(1)).total_seconds())
    found = Hosts.of("far", listed, now=over + late, max_age=LATEST)
    (log,) = found.logs
    between = {min(days) + timedelta(n) for n in range((max(days) - min(days)).days)}
    assert set(log.missing) == between - days
    assert (log.first, log.last, log.lost) == (min(days), max(days), 0)
    assert any("nothing has arrived" in each.message for each in found.problems) == (late > LATEST)
