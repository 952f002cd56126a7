"""The ledger on the stores: what every run writes of it, and what becomes of a damaged one."""

from pathlib import Path

import pytest

from archiver.archives.manifest import digest
from archiver.archives.receipts import Receipt
from archiver.catalog import opened
from archiver.policy.bodies import CopiesSeen, PolicyNoted
from archiver.policy.ledger import Record, decode
from archiver.policy.rules import changes
from tests.world.host import MONDAY, Host, after, flip, lines

RULE = """
[[retention.rule]]
name = "mail"
minimum = "{minimum}"
"""


@pytest.fixture
def host(place: Path) -> Host:
    host = Host(place, targets=("store", "second"))
    host.log.touch(0o640)
    assert host.night(MONDAY).exit_status == 0
    return host


def ledger(host: Host, target: str = "store") -> list[Record]:
    """What a store has of the ledger, after a look at the chain."""
    paths = sorted((host.directory / target / "host=mx1/ledger").iterdir())
    documents = [path.read_bytes() for path in paths]
    records = [decode(document) for document in documents]
    assert [record.key.rpartition("/")[2] for record in records] == [path.name for path in paths]
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    before = [None, *map(digest, documents[:-1])]
    assert [record.previous for record in records] == before
    return records


def night(host: Host, ahead: int = 1) -> int:
    host.write(lines(after(MONDAY, ahead - 1), "10:00:00"))
    return host.night(after(MONDAY, ahead)).exit_status


def test_the_rules_are_noted_as_they_change(host: Host) -> None:
    """Each version once, with the file in which it stood, and the night that saw it first."""
    for minimum in ("P1Y", "P1Y", "P2Y"):
        host.configure(targets=("store", "second"), tables=RULE.format(minimum=minimum))
        host.night(after(MONDAY))
    noted = [each for each in ledger(host) if isinstance(each.body, PolicyNoted)]
    rules = [each.body.rules for each in noted if isinstance(each.body, PolicyNoted)]
    assert [len(each) for each in rules] == [0, 1, 1]
    assert changes(rules[1], rules[2]) == ("~ mail: minimum P1Y → P2Y",)
    last = noted[-1].body
    assert isinstance(last, PolicyNoted)
    assert last.file
    assert last.file.path == str(host.toml)
    assert noted[-1].by
    assert ledger(host, "second") == ledger(host)


def receipts(host: Host) -> dict[tuple[str, str], Receipt]:
    with opened(host.config.host.catalog, "mx1") as catalog:
        return catalog.copies.receipts("maillog")


def test_receipts_survive_the_catalog(host: Host) -> None:
    """Each copy's reading back is told in the ledger: a new catalog knows of it."""
    for ahead in (1, 2, 3):
        assert night(host, ahead) == 0
    before = receipts(host)
    assert len(before) == 2 * 2 * 3
    host.config.host.catalog.unlink()
    assert host.archiver("catalog", "rebuild", now=host.at(after(MONDAY, 4))).status == 0
    assert receipts(host) == before
    seen = [each.body for each in ledger(host) if isinstance(each.body, CopiesSeen)]
    assert sorted(copy.receipt.key for body in seen for copy in body.copies) == sorted(
        key for key, _ in before
    )


def test_what_was_found_damaged_stays_so_in_a_new_catalog(host: Host) -> None:
    """Damaged in both stores: no receipt counts, before and after."""
    assert night(host) == 0
    (manifest,) = host.manifests()
    for target in ("store", "second"):
        flip(host.directory / target / manifest.archive_key, 9)
    now = host.at(after(MONDAY, 1), "02:00")
    assert host.archiver("repair", now=now).status == 5
    before = receipts(host)
    assert {key[0]: each.sound for key, each in before.items()} == {
        manifest.archive_key: False,
        manifest.manifest_key: False,
    }
    host.config.host.catalog.unlink()
    host.archiver("catalog", "rebuild", now=now)
    assert receipts(host) == before


def test_a_store_that_was_away_gets_the_records_it_missed(host: Host) -> None:
    host.take_away("second")
    assert night(host) == 12
    host.bring_back("second")
    assert len(ledger(host, "second")) < len(ledger(host))
    assert night(host, 2) == 0
    assert ledger(host, "second") == ledger(host)


def test_records_that_are_gone_are_told_and_brought_back(host: Host) -> None:
    for path in (host.directory / "second/host=mx1/ledger").iterdir():
        path.unlink()
    report = host.night(after(MONDAY))
    assert report.exit_status == 5
    assert "ledger/00000001.json has disappeared" in report.failures[0].message
    assert ledger(host, "second") == ledger(host)


def test_a_damaged_record_is_replaced_from_a_sound_one(host: Host) -> None:
    (path, *_) = sorted((host.directory / "second/host=mx1/ledger").iterdir())
    sound = path.read_bytes()
    flip(path, 20)
    said = host.archiver("repair", now=host.at(after(MONDAY)))
    assert (said.status, path.name in said.err) == (5, True)
    assert path.read_bytes() == sound
    assert host.archiver("repair", now=host.at(after(MONDAY))).status == 0


@pytest.mark.parametrize("harm", ["changed", "garbage", "renamed", "missing"])
def test_a_ledger_that_was_tampered_with_is_told(place: Path, harm: str) -> None:
    """There is one store, and no catalog that knows better."""
    host = Host(place)
    for ahead in (1, 2):
        night(host, ahead)
    host.config.host.catalog.unlink()
    path = sorted((host.store / "host=mx1/ledger").iterdir())[1]
    path.chmod(0o640)
    if harm == "changed":
        path.write_text(path.read_text().replace('"by": "', '"by": "x'))
    elif harm == "garbage":
        path.write_bytes(b"\x00\xff")
    elif harm == "renamed":
        path.rename(path.with_name("00000099.json"))
    else:
        path.unlink()
    said = host.archiver("list", now=host.at(after(MONDAY, 2)))
    assert (said.status, "/ledger/" in said.err) == (5, True)
    # Whatever it is, logs are archived and given back.
    assert night(host, 3) == 5
    words = ("fetch", "--date", str(after(MONDAY, 2)))
    assert host.archiver(*words, now=host.at(after(MONDAY, 4))).out == lines(
        after(MONDAY, 2), "10:00:00"
    )
