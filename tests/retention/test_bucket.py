"""Retention on a real server: what is held there, what is refused there, and what is gone there."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.config.settings import load
from archiver.policy.bodies import Tombstone
from archiver.policy.ledger import decode
from tests.world.faults import Rule, faults, reset
from tests.world.host import MONDAY, Host, after, command, lines
from tests.world.s3_host import PREFIX, Bucket, FarHost
from tests.world.weed import Weed

RULES = """
[[retention.rule]]
name = "mail"
maximum = "P3D"
basis = "Garante 364/2024"
"""
TODAY = after(MONDAY, 4)
DAYS = [str(after(MONDAY, ahead)) for ahead in range(4)]


def begun(place: Path, bucket: Bucket, *, rules: str = RULES) -> FarHost:
    """Four days are archived, in a directory and in the bucket; two are past their maximum."""
    host = FarHost(place, buckets={"far": bucket}, required=2, rules=rules)
    host.log.touch(0o640)
    for ahead in range(4):
        host.write(lines(after(MONDAY, ahead), "10:00:00"))
        assert host.night(after(MONDAY, ahead + 1)).failures == []
    return host


def expired(host: FarHost, clock: str = "01:00") -> tuple[int, list[str], str]:
    """Ask for all that is past its maximum to be destroyed: status, what was, what is told."""
    said = host.archiver("--json", "retention", "expire", "--yes", now=host.at(TODAY, clock))
    answer = json.loads(said.out)
    told = [answer["error"] or {}, *answer["warnings"]]
    dates = [each["date"] for each in (answer["data"] or {"destroyed": []})["destroyed"]]
    return said.status, dates, " ".join(each.get("message", "") for each in told)


def archived(host: FarHost, *, versions: bool = False) -> list[str]:
    """The log dates of which the bucket has an archive; versions: or anything left of one."""
    bucket = host.buckets["far"]
    found = bucket.versions() if versions else [{"Key": PREFIX + key} for key in bucket.objects()]
    keys = {each["Key"] for each in found if each["Key"].endswith((".log.zst", ".idx"))}
    return sorted({key.split("date=")[1][:10] for key in keys})


def there(host: Host) -> list[str]:
    found = host.store.glob("host=mx1/source=maillog/date=*/*.log.zst")
    return sorted(path.parent.name.removeprefix("date=") for path in found)


def stones(host: FarHost) -> list[Tombstone]:
    """The certificates, as the bucket has them."""
    bodies = [decode(document).body for document in host.buckets["far"].ledger()]
    return [body for body in bodies if isinstance(body, Tombstone)]


def lock(host: FarHost, day: str, **what: Any) -> None:
    """As somebody else might, with a client of his own."""
    bucket = host.buckets["far"]
    client = bucket.server.client()
    key = next(PREFIX + key for key in bucket.objects() if f"date={day}" in key and ".zst" in key)
    for operation, arguments in what.items():
        getattr(client, operation)(Bucket=bucket.name, Key=key, **arguments)


def test_all_versions_are_gone_and_the_certificate_says_so(weed_server: Weed, place: Path) -> None:
    """There were several, and a marker: somebody had stored and removed it again meanwhile."""
    bucket = Bucket(weed_server, weed_server.bucket(versioning=True), weed_server, "admin")
    host = begun(place, bucket)
    client = weed_server.client()
    (key,) = (each for each in bucket.objects() if DAYS[1] in each and each.endswith(".zst"))
    content = bucket.objects()[key]
    client.delete_object(Bucket=bucket.name, Key=PREFIX + key)
    client.put_object(Bucket=bucket.name, Key=PREFIX + key, Body=content)
    assert host.archiver("repair", now=host.at(TODAY, "00:30")).status == 0
    assert expired(host) == (0, DAYS[:2], "")
    assert archived(host) == archived(host, versions=True) == there(host) == DAYS[2:]
    (_, second) = stones(host)
    far = next(reply for reply in second.stores if reply.target == "far")
    removed = [each for each in far.removed if each.key == key]
    assert sorted(each.marker for each in removed) == [False, False, True]
    assert len({each.version for each in removed}) == 3
    assert all(each.reply.startswith("204") for each in removed)


@pytest.mark.parametrize("how", ["locked", "held"])
def test_a_denial_leaves_the_archive_and_is_told(weed_server: Weed, place: Path, how: str) -> None:
    """Somebody has locked or held it there, and nothing here knows: both copies stay."""
    bucket = Bucket(weed_server, weed_server.bucket(lock=True), weed_server, "admin")
    host = begun(place, bucket)
    if how == "held":
        lock(host, DAYS[0], put_object_legal_hold={"LegalHold": {"Status": "ON"}})
    else:
        until = datetime(2100, 1, 1, tzinfo=UTC)
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
        lock(host, DAYS[0], put_object_retention={"Retention": retention})
    status, gone, told = expired(host)
    assert (status, gone) == (6, DAYS[1:2])
    assert ("held on far" if how == "held" else "locked on far") in told
    assert archived(host) == there(host) == [DAYS[0], *DAYS[2:]]
    # That is known from then on: nobody orders again what cannot be done.
    assert host.night(TODAY, "02:00").exit_status == 0
    said = host.archiver("--json", "retention", "ask", "overdue", now=host.at(TODAY, "03:00"))
    (row,) = json.loads(said.out)["data"]["rows"]
    assert "past its maximum" in row["why"]
    assert "far" in row["why"]


def held(host: FarHost) -> list[str]:
    """The log dates that the bucket holds, archive and manifest."""
    bucket = host.buckets["far"]
    client = bucket.server.client()
    found: dict[str, set[bool]] = {}
    for key in bucket.objects():
        if "date=" in key and not key.endswith(".idx"):
            head = client.head_object(Bucket=bucket.name, Key=PREFIX + key)
            on = head.get("ObjectLockLegalHoldStatus") == "ON"
            found.setdefault(key.split("date=")[1][:10], set()).add(on)
    assert all(len(each) == 1 for each in found.values())
    return sorted(day for day, on in found.items() if on == {True})


def test_a_hold_is_one_on_the_store_too_until_its_case_is_released(
    weed_server: Weed, place: Path
) -> None:
    """Also of what is archived later; and the last of two cases lifts it."""
    more = {"object_lock": '"governance"', "lock_for": '"36500d"'}
    bucket = Bucket(weed_server, weed_server.bucket(lock=True), weed_server, "admin", more)
    host = begun(place, bucket, rules="")
    now = host.at(TODAY, "00:30")
    for case, first in (("A", DAYS[1]), ("B", DAYS[3])):
        said = host.archiver("hold", "add", case, "--from", first, "--reason", "theft", now=now)
        assert (said.status, said.err) == (0, "")
    assert held(host) == DAYS[1:]
    host.write(lines(TODAY, "10:00:00"))
    assert host.night(after(TODAY), "01:00").failures == []
    assert held(host) == [*DAYS[1:], str(TODAY)]
    now = host.at(after(TODAY), "02:00")
    for case, left in (("A", [DAYS[3], str(TODAY)]), ("B", [])):
        said = host.archiver("hold", "release", case, "--reason", "settled", now=now)
        assert (said.status, said.err) == (0, "")
        assert held(host) == left


def test_a_hold_that_somebody_else_put_there_stays(weed_server: Weed, place: Path) -> None:
    """Its case is none of ours, so no release of ours lifts it."""
    more = {"object_lock": '"governance"', "lock_for": '"36500d"'}
    bucket = Bucket(weed_server, weed_server.bucket(lock=True), weed_server, "admin", more)
    host = begun(place, bucket, rules="")
    for key in bucket.objects():
        if DAYS[0] in key and not key.endswith(".idx"):
            weed_server.client().put_object_legal_hold(
                Bucket=bucket.name, Key=PREFIX + key, LegalHold={"Status": "ON"}
            )
    host.archiver("repair", now=host.at(TODAY, "00:30"))
    now = host.at(TODAY, "01:00")
    host.archiver("hold", "add", "A", "--from", DAYS[1], "--reason", "theft", now=now)
    host.archiver("hold", "release", "A", "--reason", "settled", now=now)
    assert held(host) == DAYS[:1]


def test_the_writer_destroys_nothing_and_with_the_expirers_pair_it_does(
    weed_server: Weed, place: Path
) -> None:
    bucket = Bucket(weed_server, weed_server.bucket(lock=True), weed_server)
    host = begun(place, bucket)
    status, gone, told = expired(host)
    assert (status, gone) == (12, [])
    assert "may not destroy" in told
    assert archived(host) == there(host) == DAYS
    for name, secret in zip(("id", "secret"), weed_server.credentials("expirer"), strict=True):
        (place / f"expirer.{name}").write_text(secret)
    more = {
        "expirer_access_key_id": '"file:expirer.id"',
        "expirer_secret_access_key": '"file:expirer.secret"',
    }
    with_both = {"far": replace(bucket, more=more)}
    host.configure(buckets=with_both, required=2, rules=RULES)
    report = host.night(TODAY, "02:00")
    assert report.failures == []
    assert archived(host, versions=True) == there(host) == DAYS[2:]


def test_a_server_that_dies_in_between_is_finished_by_the_next_night(
    weed_server: Weed, place: Path
) -> None:
    """At any of its deletions, and whatever it had done by then."""
    name = weed_server.bucket(lock=True)
    for skip in range(4):
        directory = place / str(skip)
        directory.mkdir()
        bucket = Bucket(weed_server, name, weed_server, "admin")
        with faults(weed_server, [Rule("DELETE", "versionId", reset, skip, times=None)]) as through:
            host = begun(directory, replace(bucket, asked=through))
            expired(host)
        host.configure(buckets={"far": bucket}, required=2, rules=RULES)
        report = host.night(TODAY, "02:00")
        assert report.failures == []
        assert archived(host, versions=True) == there(host) == DAYS[2:]
        assert [str(each.date) for each in stones(host)] == DAYS[:2]
        for each in bucket.versions():
            weed_server.client().delete_object(
                Bucket=name, Key=each["Key"], VersionId=each["VersionId"]
            )


def test_the_bucket_alone_tells_what_was_destroyed(
    weed_server: Weed, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has nothing but its address."""
    bucket = Bucket(weed_server, weed_server.bucket(lock=True), weed_server, "admin")
    host = begun(place, bucket)
    expired(host)
    key_id, secret = weed_server.credentials("reader")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    store = f"s3://{bucket.name}/{PREFIX}?endpoint_url={weed_server.endpoint}"
    said = command("--store", store, "--json", "retention", "ask", "deletions")
    rows = json.loads(said.out)["data"]["rows"]
    assert [row["state"] for row in rows] == ["destroyed"] * 2
    said = command("--store", store, "fetch", "--date", DAYS[0])
    assert (said.status, "destroyed" in said.err) == (4, True)


def test_local_copies_go_earlier_and_searches_go_on(weed_server: Weed, place: Path) -> None:
    """The directory keeps two days; what is older comes from the bucket, and nothing is told."""
    bucket = Bucket(weed_server, weed_server.bucket(lock=True), weed_server)
    host = begun(place, bucket, rules="")
    text = host.toml.read_text().replace('path = "store"\n', 'path = "store"\nkeep = "P2D"\n')
    host.toml.write_text(text.replace("required = 2", "required = 1"))
    host.config = load(host.toml)
    report = host.night(TODAY, "01:00")
    assert (list(report.failures), report.evicted) == ([], 2)
    assert there(host) == DAYS[2:]
    assert archived(host) == DAYS
    assert len(host.documents()) == 4
    assert host.night(TODAY, "02:00").failures == []
    status = host.archiver("status", now=host.at(TODAY, "03:00"))
    assert (status.status, status.err) == (0, "")
    fetched = host.archiver("fetch", "--date", f"{DAYS[0]}..{DAYS[3]}", now=host.at(TODAY, "03:00"))
    assert (fetched.status, fetched.err) == (0, "")
    assert fetched.out == b"".join(lines(day, "10:00:00") for day in DAYS)
    # A new catalog thinks nothing missing either, and `repair` brings nothing back.
    host.config.host.catalog.unlink()
    assert host.archiver("catalog", "rebuild", now=host.at(TODAY, "04:00")).err == ""
    said = host.archiver("repair", now=host.at(TODAY, "04:30"))
    assert (said.status, said.err) == (0, "")
    assert there(host) == DAYS[2:]


def test_a_local_copy_stays_if_the_others_are_not_sure(weed_server: Weed, place: Path) -> None:
    """It is held; or the bucket has lost its copy, which only shows when it is asked."""
    bucket = Bucket(weed_server, weed_server.bucket(lock=True), weed_server, "admin")
    host = begun(place, bucket, rules="")
    now = host.at(TODAY, "00:30")
    words = ("hold", "add", "A", "--from", DAYS[0], "--to", DAYS[0], "--reason", "theft")
    assert host.archiver(*words, now=now).status == 0
    (key,) = (each for each in bucket.objects() if DAYS[1] in each and each.endswith(".zst"))
    weed_server.destroy(bucket.name, PREFIX + key)
    text = host.toml.read_text().replace('path = "store"\n', 'path = "store"\nkeep = "P0D"\n')
    host.toml.write_text(text.replace("required = 2", "required = 1"))
    host.config = load(host.toml)
    host.night(TODAY, "01:00")
    assert there(host) == DAYS[:2]
