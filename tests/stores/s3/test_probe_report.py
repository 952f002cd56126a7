"""A run stores nothing on what is to lock and was not seen to; and the verb tells why."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import StoreError, StoreRefusedError
from archiver.stores import probe_report
from archiver.stores.probe import probe
from archiver.stores.probe_report import ProbeReport
from tests.world.faults import INTERNAL_ERROR, Faults, Rule, faults
from tests.world.host import MONDAY, Host, after
from tests.world.probes import (
    ALWAYS,
    LOCKS,
    Moto,
    Server,
    host_with,
    moto_with_buckets,
    short_of,
    table,
    target_of,
    versions,
)
from tests.world.weed import Weed


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_with_buckets() as server:
        yield server


# -- the run ---------------------------------------------------------------------------------


def probes(between: Faults) -> int:
    """How many probes there were: each begins with the same question."""
    return sum("object-lock" in each.target for each in between.requests)


def archived(client: Any, bucket: str) -> list[str]:
    return sorted({key for key, _ in versions(client, bucket, "mail/host=mx1/source=maillog/date")})


def test_a_run_probes_what_is_to_lock_once(place: Path, weed_server: Weed, bucket: str) -> None:
    """And again where a setting is another one that may matter, or the note is lost."""
    with faults(weed_server) as between:

        def offsite(more: str = "") -> str:
            mode = "compliance"
            return table(place, bucket, weed_server, asked=between, mode=mode, more=more)

        host = host_with(place, offsite())
        target = host.config.storage.targets[0]
        assert "not probed" in str(probe_report.refusal(host.config, target))
        assert host.night(after(MONDAY)).failures == []
        assert (probes(between), probe_report.refusal(host.config, target)) == (1, None)
        host.configure(targets=(), tables=offsite('read_timeout = "30s"\n'))
        assert host.night(after(MONDAY), "00:10").failures == []
        assert probes(between) == 1
        host.configure(targets=(), tables=offsite('checksum = "sha256"\n'))
        assert host.night(after(MONDAY), "00:15").failures == []
        assert probes(between) == 2
        (host.config.host.state_dir / "probe-offsite.json").write_text("{}")
        assert host.night(after(MONDAY), "00:20").failures == []
        assert probes(between) == 3
    client = weed_server.client()
    stored = [key for key in archived(client, bucket) if not key.endswith(".idx")]
    heads = [client.head_object(Bucket=bucket, Key=key) for key in stored]
    assert [head["ObjectLockMode"] for head in heads] == ["COMPLIANCE"] * 2


@pytest.mark.parametrize("kind", ["without lock", "moto"])
def test_a_run_stores_nothing_where_no_lock_holds(
    place: Path, weed_server: Weed, moto: Moto, kind: str
) -> None:
    """The spool keeps the segment until somebody names a bucket that locks."""
    server: Server = weed_server if kind == "without lock" else moto
    client = weed_server.client() if kind == "without lock" else moto.client
    bucket = weed_server.bucket() if kind == "without lock" else "locks"
    host = host_with(place, table(place, bucket, server, mode="compliance"))
    now = host.at(after(MONDAY), "00:05")
    said = host.archiver("run", now=now)
    assert (said.status, said.out) == (12, b"")
    told = re.search(r"store 'offsite' is configured as locked, but (.*): not enforced", said.err)
    assert told, said.err
    assert "lock in parts" in told[1]
    assert archived(client, bucket) == []
    assert [name for name in host.spooled() if name.endswith(".log")] != []
    good = weed_server.bucket(lock=True)
    host.configure(targets=(), tables=table(place, good, weed_server, mode="compliance"))
    assert host.archiver("run", now=now + 300).status == 0
    assert len(archived(weed_server.client(), good)) >= 2
    assert [name for name in host.spooled() if name.endswith(".log")] == []


def test_other_stores_get_theirs_meanwhile(place: Path, weed_server: Weed) -> None:
    bucket = weed_server.bucket()
    unlocked = table(place, bucket, weed_server, mode="governance")
    host = host_with(place, unlocked, targets=("store",))
    report = host.night(after(MONDAY))
    assert [type(failure) for failure in report.failures] == [StoreRefusedError]
    assert (host.dates(), archived(weed_server.client(), bucket)) == ([("2026-05-04", 2)], [])
    assert [name for name in host.spooled() if name.endswith(".log")] == []


def test_what_cannot_be_probed_is_probed_by_the_next_run(
    place: Path, weed_server: Weed, bucket: str
) -> None:
    silent = Rule("PUT", "/probe/", INTERNAL_ERROR, times=None)
    with faults(weed_server, [silent]) as between:
        offsite = table(place, bucket, weed_server, asked=between, mode="governance")
        host = host_with(place, offsite)
        first = host.night(after(MONDAY))
        kinds = {type(failure) for failure in first.failures}
        assert (first.exit_status, kinds) == (12, {StoreError})
        assert not (host.config.host.state_dir / "probe-offsite.json").exists()
        assert archived(weed_server.client(), bucket) == []
        between.rules.clear()
        assert host.night(after(MONDAY), "00:10").failures == []
        assert archived(weed_server.client(), bucket) != []


# -- the report ------------------------------------------------------------------------------


def test_a_report_that_cannot_be_believed_is_none(place: Path, weed_server: Weed) -> None:
    report = probe(target_of(place, weed_server.bucket(), weed_server, mode="governance"), 7)
    probe_report.save(place, report)
    assert probe_report.load(place, "offsite") == report
    assert probe_report.load(place, "another") is None
    path = probe_report.path_of(place, "offsite")
    good = json.loads(path.read_text())
    bad: list[Any] = [[], {}, {**good, "schema": 2}, {**good, "target": "x"}, {**good, "at": "x"}]
    bad += [{**good, "checks": [{**good["checks"][0], "verdict": "fine"}]}, {**good, "more": 1}]
    bad += [{**good, "checks": None}, {**good, "fingerprint": None}]
    for each in bad:
        path.write_text(json.dumps(each))
        assert probe_report.load(place, "offsite") is None, each
    path.write_text(json.dumps(good)[:-9])
    assert probe_report.load(place, "offsite") is None


def test_a_report_without_its_checks_passes_nothing(
    place: Path, weed_server: Weed, bucket: str
) -> None:
    host = host_with(place, table(place, bucket, weed_server, mode="governance"))
    target = host.config.storage.targets[0]
    report = ProbeReport("offsite", 7, probe_report.fingerprint(target), (), ())
    host.config.host.state_dir.mkdir()
    probe_report.save(host.config.host.state_dir, report)
    refusal = probe_report.refusal(host.config, target)
    assert refusal is not None
    assert "lock, lock in parts, lock against shortening" in refusal.message


# -- the command line ------------------------------------------------------------------------


def test_the_verb_tells_of_each_store(place: Path, weed_server: Weed, bucket: str) -> None:
    """In a table; what is relied upon and not enforced, or not there, is a failure."""
    good = table(place, bucket, weed_server, mode="governance")
    bad = table(place, weed_server.bucket(), weed_server, mode="compliance", name="bad")
    missing = table(place, "not-there", weed_server, name="missing")
    host = host_with(place, good, bad, missing, targets=("store",))
    said = host.archiver("store", "probe", "offsite", "store")
    assert (said.status, said.err) == (0, "")
    text = said.out.decode()
    assert re.search(r"^OFFSITE +VERDICT +EVIDENCE$", text, re.MULTILINE)
    assert re.search(r"^lock against shortening +enforced +longer: 200; ", text, re.MULTILINE)
    assert "offsite: all that the configuration relies upon is enforced" in text
    assert re.search(r"^directory +enforced", text, re.MULTILINE)
    assert not host.store.exists()
    every = host.archiver("store", "probe")
    assert every.status == 12
    assert "bad: relied upon, but versions, lock, lock in parts: not enforced; lock against s" in (
        every.out.decode()
    )
    assert re.findall(r"^archiver: store '(\w+)'", every.err, re.MULTILINE) == ["bad", "missing"]
    secret = weed_server.credentials("writer")[1]
    noted = (host.config.host.state_dir / "probe-offsite.json").read_text()
    assert secret not in text + every.out.decode() + every.err + noted
    assert host.archiver("store", "probe", "offsit").status == 2


def test_the_document(place: Path, weed_server: Weed, bucket: str) -> None:
    host = host_with(place, table(place, bucket, weed_server))
    now = int(time.time())
    said = host.archiver("store", "probe", "--lock", "--json", now=now)
    told = json.loads(said.out)
    (found,) = told["data"]["targets"]
    assert (said.status, told["command"], told["ok"]) == (0, "store probe", True)
    kept = probe_report.load(host.config.host.state_dir, "offsite")
    assert kept is not None
    assert (kept.at, kept.fingerprint) == (now, found["fingerprint"])
    keys = ["target", "ok", "probed_at", "fingerprint", "left", "checks"]
    assert (list(found), found["ok"]) == (keys, True)
    assert {each["name"] for each in found["checks"]} == {*ALWAYS, *LOCKS}
    listing = next(each for each in found["checks"] if each["name"] == "listing")
    told = "ListObjectsV2: 200, 256 bytes right after PUT"
    assert listing == {
        "name": "listing",
        "verdict": "enforced",
        "evidence": told,
        "relied_upon": True,
    }


def test_a_directory_that_is_none(host: Host) -> None:
    host.store.write_bytes(b"")
    said = host.archiver("store", "probe")
    assert (said.status, said.out) == (12, b"")
    assert "store 'store': " in said.err


def test_of_a_directory_nothing_changes(host: Host) -> None:
    host.store.mkdir()
    (host.store / "probe").mkdir()
    (host.store / "probe/mine").write_bytes(b"")
    before = host.tree()
    report = probe(host.config.storage.targets[0], 0)
    assert (report.ok, short_of(report)) == (True, {"lock": "not configured"})
    assert host.tree() == before
