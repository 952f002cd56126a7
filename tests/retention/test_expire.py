"""Destroying: only what may go, in every copy, with a certificate; and whatever interrupts it."""

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from archiver.archives.manifest import Manifest, digest
from archiver.archives.manifest import decode as decode_manifest
from archiver.archives.names import ledger_prefix
from archiver.archives.receipts import Protection
from archiver.errors import LockedError, StoreError
from archiver.policy.bodies import Order, Tombstone, Withdrawal
from archiver.policy.ledger import Record, decode
from archiver.stores.local import LocalStore
from tests.world.host import MONDAY, Host, Said, after, flip, lines

STORES = ("store", "second")
RULES = """
[[retention.rule]]
name = "mail"
minimum = "{minimum}"
maximum = "{maximum}"
basis = "Garante 364/2024"
expire = "{expire}"
"""
DAYS = 6
# The day on which the first two of them are past a maximum of three days.
TODAY = after(MONDAY, 4)


def rules(minimum: str = "P1D", maximum: str = "P3D", expire: str = "manual") -> str:
    return RULES.format(minimum=minimum, maximum=maximum, expire=expire)


@pytest.fixture
def host(place: Path) -> Host:
    """Four days are archived, a line each, in two stores; the rules are known from the first."""
    host = Host(place, targets=STORES, required=2, tables=rules())
    host.log.touch(0o640)
    for ahead in range(4):
        host.write(lines(after(MONDAY, ahead), "10:00:00"))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    return host


def retention(host: Host, *words: str, clock: str = "12:00", day: Any = TODAY) -> Said:
    return host.archiver("--json", "retention", *words, now=host.at(day, clock))


def expired(host: Host, *words: str, **when: Any) -> tuple[int, list[str]]:
    """Destroy; return the exit status, and the dates that have a certificate for it."""
    said = retention(host, "expire", "--yes", *words, **when)
    data = json.loads(said.out)["data"] or {"destroyed": []}
    return said.status, [each["date"] for each in data["destroyed"]]


def days(*ahead: int) -> list[str]:
    return [str(after(MONDAY, each)) for each in ahead]


def there(host: Host, target: str = "store") -> list[str]:
    """The log dates of which a store has an archive."""
    found = (host.directory / target).glob("host=mx1/source=maillog/date=*/*.log.zst")
    return sorted(path.parent.name.removeprefix("date=") for path in found)


def ledger(host: Host, target: str = "store") -> list[Record]:
    """The whole ledger of a store, after a look at its chain."""
    paths = sorted((host.directory / target / ledger_prefix("mx1")).iterdir())
    documents = [path.read_bytes() for path in paths]
    records = [decode(document) for document in documents]
    assert [record.previous for record in records] == [None, *map(digest, documents[:-1])]
    return records


def stones(host: Host, target: str = "store") -> list[Tombstone]:
    return [each.body for each in ledger(host, target) if isinstance(each.body, Tombstone)]


def indexes(host: Host, target: str = "store") -> list[str]:
    found = (host.directory / target).rglob("*.idx")
    return sorted(path.parent.name.removeprefix("date=") for path in found)


def hold(host: Host, *words: str, day: Any = TODAY) -> Said:
    return host.archiver("hold", *words, now=host.at(day, "11:00"))


def kept(host: Host, *dates: str) -> None:
    """Of these days everything is in both stores, and given back."""
    for target in STORES:
        assert [each for each in there(host, target) if each in dates] == list(dates)
    for each in dates:
        assert host.archiver("fetch", "--date", each, now=host.at(TODAY)).out == lines(
            each, "10:00:00"
        )


# -- what goes, and what stays -----------------------------------------------------------------


def test_what_is_past_its_maximum_goes_in_all_copies_and_nothing_else(host: Host) -> None:
    manifests = host.manifests()
    assert expired(host) == (0, days(0, 1))
    for target in STORES:
        assert there(host, target) == indexes(host, target) == days(2, 3)
        assert len(host.documents(target=target)) == len(manifests)
    kept(host, *days(2, 3))
    assert expired(host) == (0, [])
    assert host.archiver("repair", now=host.at(TODAY, "13:00")).status == 0
    assert host.archiver("status", now=host.at(TODAY, "13:00")).status == 0


def test_the_certificate_tells_all(host: Host) -> None:
    """What it was, by which rule, who asked, and what each store said; on every store."""
    (manifest, document), *_ = zip(host.manifests(), host.documents(), strict=True)
    stored = (host.store / manifest.archive_key).read_bytes()
    expired(host)
    stone, _ = stones(host)
    assert stones(host, "second") == stones(host)
    assert (stone.manifest, stone.manifest_sha256) == (manifest.manifest_key, digest(document))
    assert (stone.sha256, stone.size) == (manifest.sha256, len(stored))
    assert (stone.lines, stone.raw_sha256) == (1, manifest.raw_sha256)
    assert (stone.rule, stone.basis) == ("mail", "Garante 364/2024")
    assert "past its maximum P3D (Garante 364/2024) since 2026-05-08" in stone.reason
    assert sorted(each.target for each in stone.evidence) == ["second", "store"]
    for reply in stone.stores:
        assert reply.place == str(host.directory / reply.target)
        assert {each.key for each in reply.removed} == {manifest.archive_key, manifest.index_key}
    record = next(each for each in ledger(host) if each.body == stone)
    assert record.by
    order = next(each for each in ledger(host) if isinstance(each.body, Order))
    assert (order.sequence, order.body.why) == (stone.order, "asked")  # type: ignore[union-attr]
    policy = ledger(host)[(stone.policy or 0) - 1]
    assert policy.kind == "policy"


def test_what_is_kept_too_long_is_told_by_status_unless_it_is_held(host: Host) -> None:
    """Nobody has asked yet; then one day is held, and the other one goes."""
    now = host.at(TODAY, "10:00")
    said = host.archiver("status", now=now)
    assert said.status == 3
    assert "past their maximum: 1 archive, the oldest of 2026-05-04" in said.err
    hold(host, "add", "A", "--from", days(0)[0], "--to", days(0)[0], "--reason", "theft")
    assert expired(host) == (6, days(1))
    said = host.archiver("status", now=now)
    assert (said.status, said.err) == (0, "")


def test_what_was_destroyed_is_told_not_missed(host: Host) -> None:
    expired(host)
    said = host.archiver("fetch", "--date", days(0)[0], now=host.at(TODAY))
    assert (said.status, said.out) == (4, b"")
    assert "destroyed" in said.err
    assert "certificate" in said.err
    said = host.archiver("fetch", "--date", "2026-05-04..2026-05-07", now=host.at(TODAY))
    assert (said.status, said.out) == (
        0,
        b"".join(lines(each, "10:00:00") for each in days(2, 3)),
    )
    assert "2 archives of 2026-05-04 to 2026-05-05 had to be destroyed" in said.err
    assert b"destroyed: certificate" in host.archiver("list", now=host.at(TODAY)).out


def test_a_named_day_may_go_before_its_maximum_but_not_within_its_minimum(host: Host) -> None:
    """--date asks for what may go; the minimum is a wall all the same."""
    status, gone = expired(host, "--date", "2026-05-04..2026-05-07")
    assert (status, gone) == (6, days(0, 1, 2))
    kept(host, *days(3))


def test_nobody_can_be_asked_and_nothing_is_destroyed(host: Host) -> None:
    """Under cron, without --yes."""
    with mock.patch("sys.stdin.isatty", return_value=False):
        said = host.archiver("retention", "expire", now=host.at(TODAY))
    assert said.status == 2
    kept(host, *days(0, 1, 2, 3))


@pytest.mark.parametrize("words", [("plan",), ("expire", "-n"), ("expire", "--dry-run")])
def test_a_plan_touches_nothing(host: Host, words: tuple[str, ...]) -> None:
    before = host.tree()
    said = retention(host, *words)
    plan = json.loads(said.out)["data"]["plan"]
    assert [(each["date"], each["verdict"]) for each in plan] == [
        (each, "must expire") for each in days(0, 1)
    ]
    assert host.tree() == before


def test_without_a_rule_nothing_ever_goes(host: Host) -> None:
    host.configure(targets=STORES, required=2)
    assert expired(host) == (0, [])
    assert expired(host, "--date", days(0)[0]) == (6, [])
    kept(host, *days(0, 1, 2, 3))


# -- by itself -----------------------------------------------------------------------------------


def test_the_night_destroys_only_by_rules_that_say_so_and_are_not_new(host: Host) -> None:
    """manual: never. auto: not in the night that first sees the rule, but in the next."""
    assert host.night(TODAY, "01:00").expiry.destroyed == []
    host.configure(targets=STORES, required=2, tables=rules(expire="auto"))
    report = host.night(TODAY, "02:00")
    assert (report.exit_status, report.expiry.destroyed) == (3, [])
    assert "rules that are new" in report.failures[0].message
    report = host.night(TODAY, "03:00")
    assert report.exit_status == 0
    assert [str(each.stone.date) for each in report.expiry.destroyed] == days(0, 1)
    assert there(host) == days(2, 3)


def test_a_source_that_is_no_more_expires_too(place: Path) -> None:
    """Its archives are not kept for ever only because its log is gone."""
    host = Host(place, sources=("maillog", "old"), targets=STORES, tables=rules())
    host.write(lines(MONDAY, "10:00:00"), "old")
    host.log.touch(0o640)
    host.night(after(MONDAY))
    host.configure(targets=STORES, tables=rules())
    host.night(after(MONDAY, 2))
    assert expired(host)[1] == days(0)


# -- what forbids it -----------------------------------------------------------------------------


def test_a_hold_outranks_every_rule(host: Host) -> None:
    """Held by two cases, it stays until both are released; then it goes."""
    for case in ("A-1", "B-2"):
        said = hold(
            host, "add", case, "--from", days(0)[0], "--to", days(0)[0], "--reason", "theft"
        )
        assert said.status == 0
    assert expired(host) == (6, days(1))
    kept(host, *days(0))
    assert hold(host, "release", "A-1", "--reason", "settled").status == 0
    assert expired(host) == (6, [])
    assert hold(host, "release", "B-2", "--reason", "settled").status == 0
    assert expired(host) == (0, days(0))


def test_a_hold_that_came_after_the_order_saves_what_is_left(host: Host) -> None:
    """One store had destroyed its copy when the run died: the other's is held, and brought back."""
    with interrupted(LocalStore, "destroy", call=3):
        expired(host)
    assert there(host) != there(host, "second")
    assert hold(host, "add", "A", "--reason", "theft", "--from", "2026-05-04").status == 0
    report = host.night(TODAY, "13:00")
    assert report.expiry.destroyed == []
    assert [each.key for each in report.expiry.kept] == [
        manifest.manifest_key for manifest in host_manifests(host)[:2]
    ]
    host.night(TODAY, "14:00")
    kept(host, *days(0, 1, 2, 3))


def host_manifests(host: Host) -> list[Manifest]:
    """As `Host.manifests`, of archives that may be gone."""
    return [decode_manifest(document) for document in host.documents()]


def test_a_copy_that_was_found_damaged_keeps_all_copies(host: Host) -> None:
    """What is destroyed must be known to be what the certificate says that it was."""
    manifest, *_ = host.manifests()
    for target in STORES:
        flip(host.directory / target / manifest.archive_key, 9)
    assert host.archiver("repair", now=host.at(TODAY, "10:00")).status == 5
    assert expired(host) == (6, days(1))
    assert there(host) == days(0, 2, 3)


def test_a_copy_that_has_another_size_by_now_keeps_all_copies(host: Host) -> None:
    """Nobody has noticed yet: the stores are asked once more, at the last moment."""
    manifest, *_ = host.manifests()
    path = host.directory / "second" / manifest.archive_key
    path.chmod(0o640)
    with open(path, "ab") as file:
        file.write(b"more")
    status, gone = expired(host)
    assert (status, gone) == (6, days(1))
    assert there(host) == days(0, 2, 3)
    withdrawn = [each.body for each in ledger(host) if isinstance(each.body, Withdrawal)]
    assert [each.key for body in withdrawn for each in body.archives] == [manifest.manifest_key]
    assert "not verified" in withdrawn[0].archives[0].reason


def test_a_lock_that_only_the_store_knows_of(host: Host) -> None:
    """Somebody has locked it there meanwhile: the last look shows it, and it is withdrawn."""
    find = LocalStore.find

    def locked(store: LocalStore, key: str) -> Any:
        found = find(store, key)
        if found and key.endswith(".log.zst"):
            return replace(found, protection=Protection("governance", 2**33))
        return found

    with mock.patch.object(LocalStore, "find", locked):
        assert expired(host) == (6, [])
    kept(host, *days(0, 1, 2, 3))


def test_a_store_that_refuses_keeps_what_is_left(host: Host) -> None:
    """The store says that it is locked only when it is to destroy: withdrawn, and told."""
    refusal = LockedError("store 'store': it is locked", hint="wait")
    with mock.patch.object(LocalStore, "destroy", side_effect=refusal):
        assert expired(host) == (6, [])
    kept(host, *days(0, 1, 2, 3))
    assert expired(host) == (0, days(0, 1))


def test_a_store_that_is_away_keeps_all(host: Host) -> None:
    """Copies there could not be destroyed; and the order waits for it."""
    host.take_away("second")
    status, gone = expired(host)
    assert (status, gone) != (0, [])
    assert gone == []
    assert there(host) == days(0, 1, 2, 3)
    host.bring_back("second")
    expired(host)
    for target in STORES:
        assert there(host, target) == days(2, 3)


def test_a_wrong_clock_destroys_nothing(host: Host) -> None:
    """Years ahead, every period is over; neither by hand nor by night, nor the night after."""
    host.configure(targets=STORES, required=2, tables=rules(expire="auto"))
    host.night(TODAY, "02:00")
    ahead = "2031-05-08"
    for night in (ahead, "2031-05-09", "2031-05-10"):
        report = host.night(night)
        assert report.expiry.destroyed == []
        assert expired(host, day=night)[1] == []
    kept(host, *days(0, 1, 2, 3))
    # The clock is right after all, says a person; and that is written down.
    assert expired(host, "--trust-clock", "was off for years", day="2031-05-11") == (
        0,
        days(0, 1, 2, 3),
    )
    assert "clock" in [each.kind for each in ledger(host)]


def test_the_first_run_of_all_trusts_no_clock(place: Path) -> None:
    """There is nothing to tell by whether it is right."""
    host = Host(place, targets=STORES, tables=rules(expire="auto"))
    host.write(lines(MONDAY, "10:00:00"))
    assert host.night("2031-07-08").expiry.destroyed == []
    assert len(there(host)) == 1


def test_a_ledger_that_is_not_whole_destroys_nothing(host: Host) -> None:
    """A record is missing on all stores: it may have been a hold."""
    assert hold(host, "add", "A", "--reason", "theft", "--from", "2026-05-04").status == 0
    assert hold(host, "add", "B", "--reason", "later", "--from", "2026-05-07").status == 0
    for target in STORES:
        (path,) = (
            path
            for path in (host.directory / target / ledger_prefix("mx1")).iterdir()
            if b'"A"' in path.read_bytes()
        )
        path.unlink()
    host.config.host.catalog.unlink()
    status, gone = expired(host)
    assert (status != 0, gone) == (True, [])
    assert there(host) == days(0, 1, 2, 3)


def test_an_archive_that_was_put_back_is_told(host: Host, tmp_path: Path) -> None:
    """An old disk comes back: what has a certificate must not be there."""
    manifest, *_ = host.manifests()
    shutil.copy(host.store / manifest.archive_key, tmp_path / "old")
    expired(host)
    shutil.copy(tmp_path / "old", host.store / manifest.archive_key)
    report = host.night(TODAY, "13:00")
    assert report.exit_status == 5
    assert "was destroyed (certificate" in report.failures[0].message


def test_a_hold_that_reaches_no_store_is_in_force_all_the_same(host: Host) -> None:
    """It is told; and the next run brings it there."""
    for target in STORES:
        host.take_away(target)
    words = ("add", "A", "--reason", "theft", "--from", "2026-05-04")
    assert hold(host, *words).status != 0
    for target in STORES:
        host.bring_back(target)
    assert expired(host)[1] == []
    assert [each.kind for each in ledger(host)].count("hold") <= 1
    kept(host, *days(0, 1, 2, 3))


# -- interrupted ---------------------------------------------------------------------------------


class Struck(BaseException):
    """As a kill would end the run: nothing of ours catches it."""


@contextmanager
def interrupted(owner: Any, name: str, call: int = 1) -> Iterator[None]:
    """A run dies at the nth call of a function; those about runs of indexes do not count."""
    original = getattr(owner, name)
    calls = itertools.count(1)

    def counted(*arguments: Any, **named: Any) -> Any:
        if not str(arguments[-1]).endswith(".run") and next(calls) == call:
            raise Struck
        return original(*arguments, **named)

    with mock.patch.object(owner, name, counted), suppress(Struck):
        yield


@pytest.mark.parametrize("call", range(1, 9))
def test_interrupted_at_any_step_the_next_night_finishes_it(host: Host, call: int) -> None:
    """Two archives, each an index and an archive in two stores: eight steps."""
    with interrupted(LocalStore, "destroy", call=call):
        expired(host)
    report = host.night(TODAY, "13:00")
    assert report.exit_status == 0
    for target in STORES:
        assert there(host, target) == indexes(host, target) == days(2, 3)
        assert [str(each.date) for each in stones(host, target)] == days(0, 1)


def test_interrupted_and_the_catalog_lost(host: Host) -> None:
    """The ledger on the stores alone tells what is under way."""
    with interrupted(LocalStore, "destroy", call=4):
        expired(host)
    host.config.host.catalog.unlink()
    assert host.night(TODAY, "13:00").exit_status == 0
    for target in STORES:
        assert there(host, target) == days(2, 3)
        assert [str(each.date) for each in stones(host, target)] == days(0, 1)


def test_interrupted_and_the_rule_gone(host: Host) -> None:
    """Nothing governs it any more: what is left is kept, and brought back to both stores."""
    with interrupted(LocalStore, "destroy", call=3):
        expired(host)
    host.configure(targets=STORES, required=2)
    host.night(TODAY, "13:00")
    host.night(TODAY, "14:00")
    kept(host, *days(0, 1, 2, 3))
    assert stones(host) == []


def test_a_store_that_fails_halfway(host: Host) -> None:
    """It is told, and finished by the next night."""
    failing = mock.patch.object(
        LocalStore, "destroy", side_effect=StoreError("store 'store' fails", hint="")
    )
    with failing:
        status, gone = expired(host)
    assert (status, gone) == (12, [])
    assert host.night(TODAY, "13:00").exit_status == 0
    assert there(host) == there(host, "second") == days(2, 3)


def test_a_rebuilt_catalog_answers_the_same(host: Host) -> None:
    hold(host, "add", "A", "--reason", "theft", "--from", days(1)[0], "--to", days(1)[0])
    expired(host)
    now = host.at(TODAY, "14:00")
    asked = (("list",), ("hold", "list"), ("retention", "plan"), ("status",))

    def answers() -> Iterator[Any]:
        for words in asked:
            yield json.loads(host.archiver("--json", *words, now=now).out)["data"]

    before = list(answers())
    host.config.host.catalog.unlink()
    assert host.archiver("catalog", "rebuild", now=now).status == 0
    assert list(answers()) == before
