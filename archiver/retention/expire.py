"""Destroy what the retention rules no longer keep: ordered first, certified afterwards.

    decide ─▸ order, in the ledger ─▸ check the evidence again, with every store
           ─▸ merged indexes, index, archive: all versions, in every store, far ones first
           ─▸ certificate, in the ledger

Whatever is in doubt stays. An interrupted order is carried out by the next run, if everything that
allowed it is still true; if not, it is withdrawn, and what is left is copied back to all stores.
Manifests are never destroyed: they hold no line of a log, and the chain needs them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from archiver.archives.manifest import Manifest
from archiver.archives.receipts import Stored
from archiver.errors import (
    ArchiverError,
    LockedError,
    RefusedError,
    StoreRefusedError,
    WorkKeptError,
)
from archiver.index import merge
from archiver.index.merge import merge_indexes
from archiver.policy.bodies import (
    Evidence,
    Order,
    Ordered,
    Removed,
    StoreReply,
    Tombstone,
    Withdrawal,
    Withdrawn,
)
from archiver.policy.decide import Archive, Copy, Decision, Verdict, evidence_missing
from archiver.policy.inventory import Inventory, Summary
from archiver.retention.gather import inventory_now
from archiver.stores import Store
from archiver.stores.session import Session


@dataclass(frozen=True)
class Chosen:
    """An archive, and the decision about it."""

    summary: Summary
    decision: Decision

    @property
    def may_go(self) -> bool:
        return self.decision.verdict is not Verdict.KEEP


@dataclass(frozen=True)
class Certificate:
    """A tombstone, with its number in the ledger and its key in every store."""

    number: int
    key: str
    stone: Tombstone


@dataclass
class Expiry:
    """What was done. destroyed: the certificates. kept: what was ordered, but withdrawn."""

    destroyed: list[Certificate] = field(default_factory=list)
    kept: list[Withdrawn] = field(default_factory=list)


def due(inventory: Inventory, first: date | None = None, last: date | None = None) -> list[Chosen]:
    """Return the archives that have reached their maximum, each with its decision, which may be to
    keep it. With first or last: all archives of these log dates, whatever the decision.
    """
    named = first is not None or last is not None
    days = (first or date.min, last or date.max)
    found = [
        Chosen(each, inventory.decision(each))
        for each in inventory.archives
        if days[0] <= each.date <= days[1]
    ]
    return [
        each
        for each in found
        if named or each.decision.verdict is Verdict.MUST or each.decision.past_since
    ]


def nightly(session: Session) -> Expiry:
    """Carry out earlier orders, then what the rules let expire by itself.

    A failure becomes a problem of the session.
    """
    done = Expiry()
    if session.unchained:
        return done
    try:
        session.ledger.note_copies()
        resume(session, done)
        by_itself = [each for each in due(inventory_now(session)) if each.decision.by_itself]
        if by_itself and session.new_policy:
            session.problems.add(
                WorkKeptError(
                    f"by rules that are new, {_archives(len(by_itself))} past the maximum; "
                    "the run that first sees new rules destroys nothing by them",
                    hint="`archiver retention plan` shows them; the next run destroys them, unless "
                    "the rules are changed, or `archiver hold add` keeps them",
                )
            )
        elif by_itself:
            expire(session, by_itself, "auto", done)
    except ArchiverError as problem:
        session.problems.add(problem)
    return done


def expire(session: Session, chosen: Sequence[Chosen], why: str, done: Expiry) -> None:
    """Order in the ledger that archives be destroyed, and carry it out. why: see `ledger.Order`.

    Raises: ArchiverError: the order cannot be recorded, or a store is away; nothing is destroyed.
    """
    inventory = inventory_now(session)
    ordered = tuple(_ordered(inventory, each) for each in chosen)
    record = session.ledger.append(Order(why, ordered))
    _carry_out(session, record.sequence, ordered, done, begun=False)


def resume(session: Session, done: Expiry) -> None:
    """Carry out the orders that have no certificate yet. Raises: as `expire`."""
    expired = session.catalog.records.expired()
    for record in session.catalog.records.of_kind("order") if expired else ():
        if isinstance(record.body, Order):
            number = record.sequence
            left = [
                each for each in record.body.archives if expired.get(each.key) == (number, None)
            ]
            if left:
                _carry_out(session, number, left, done, begun=True)


def _ordered(inventory: Inventory, chosen: Chosen) -> Ordered:
    summary, rule = chosen.summary, chosen.decision.rule
    receipts = [(target, inventory.receipt(summary, target)) for target in summary.copies]
    return Ordered(
        key=summary.key,
        manifest_sha256=summary.digest,
        sha256=summary.sha256,
        rule=rule.name if rule else "",
        basis=rule.basis if rule else "",
        reason=chosen.decision.reason,
        evidence=tuple(
            Evidence(target, receipt.at, receipt.version)
            for target, receipt in receipts
            if receipt and receipt.sound
        ),
    )


def _carry_out(
    session: Session, number: int, archives: Sequence[Ordered], done: Expiry, *, begun: bool
) -> None:
    """Carry out an order. begun: another run started it, and may have got far."""
    session.ledger.demand()
    reached = {store.name for store in session.stores} - session.away
    if away := [each.name for each in session.config.storage.targets if each.name not in reached]:
        raise WorkKeptError(
            f"{_archives(len(archives))} ordered to be destroyed, but store {away[0]!r} cannot be "
            "reached",
            hint="the next run that reaches all stores destroys what was ordered. If the store no "
            "longer exists, remove it from the configuration",
        )
    inventory = inventory_now(session)
    summaries = {each.key: each for each in inventory.summaries}
    kept: list[Withdrawn] = []
    for archive in archives:
        summary = summaries[archive.key]
        try:
            if missing := _missing(session, inventory, archive, summary, begun=begun):
                kept.append(Withdrawn(archive.key, "; ".join(missing)))
            else:
                done.destroyed.append(_destroy(session, number, archive))
        except LockedError as refusal:
            kept.append(Withdrawn(archive.key, refusal.message))
        except ArchiverError as problem:
            session.problems.add(problem)
            if problem.retryable:
                break  # what is left of the order is carried out by the next run
    if kept:
        session.ledger.append(Withdrawal(number, tuple(kept)))
        done.kept += kept
        for withdrawn in kept:
            session.problems.add(
                RefusedError(
                    f"{summaries[withdrawn.key].archive_key} was not destroyed: {withdrawn.reason}",
                    hint="it is kept until that has changed; copies that were already removed are "
                    "made again from those that are left",
                )
            )
    for source in session.config.sources:
        merge_indexes(session, source)


def _missing(
    session: Session, inventory: Inventory, ordered: Ordered, summary: Summary, *, begun: bool
) -> tuple[str, ...]:
    """Return what is still missing before it may be destroyed, by what the stores say now."""
    found = {store.name: store.find(summary.archive_key) for store in session.stores}
    if begun and not any(found.values()):
        return ()  # all of it was destroyed; only the certificate is missing
    archive = Archive(
        inventory.host,
        summary.source,
        summary.date,
        tuple(_copies(inventory, ordered, summary, found, begun)),
    )
    _note_protection(session, inventory, summary, found)
    return evidence_missing(
        archive,
        inventory.policy,
        inventory.holds,
        now=inventory.now,
        zone=inventory.zone,
        stored_reason=ordered.reason,
        required=inventory.required,
        doubt=inventory.doubt,
    )


def _copies(
    inventory: Inventory,
    ordered: Ordered,
    summary: Summary,
    found: dict[str, Stored | None],
    begun: bool,
) -> Iterator[Copy]:
    """Yield the copies that exist now, and those that should: they were verified when ordered."""
    evidence = {each.target: each for each in ordered.evidence}
    for target, stored in found.items():
        if stored:
            read_back = evidence.get(target)
            receipt = inventory.receipt(summary, target)
            same = bool(
                read_back
                and receipt
                and receipt.sound
                and stored.size == summary.size
                and read_back.version in {None, stored.version}
            )
            yield Copy(target, same, stored.protection)
        elif target in evidence:
            yield Copy(target, begun)  # an order that was begun may have destroyed this one already


def _note_protection(
    session: Session, inventory: Inventory, summary: Summary, found: dict[str, Stored | None]
) -> None:
    """Note the locks and holds of now, so that no new order is given against them."""
    for target, stored in found.items():
        receipt = inventory.receipt(summary, target)
        if stored and receipt and receipt.protection != stored.protection:
            with session.catalog.changing():
                session.catalog.copies.note_receipt(replace(receipt, protection=stored.protection))


def _destroy(session: Session, number: int, ordered: Ordered) -> Certificate:
    """Destroy one archive, in all stores, and return its certificate."""
    manifest = session.catalog.of_key(ordered.key).manifest
    merge.forget(session.catalog, session.stores, manifest.source, manifest.sequence)
    replies = [
        _destroy_in(session, store, manifest)
        for store in sorted(session.stores, key=lambda store: store.is_near)
    ]
    for store in session.stores:
        if store.find(manifest.archive_key):
            raise StoreRefusedError(
                f"store {store.name!r}: {manifest.archive_key} is still there, although it was "
                "destroyed in all stores",
                hint="find out who stores it again: another archiver may share this store. The "
                "next run tries once more",
            )
    policies = session.catalog.records.of_kind("policy")
    stone = Tombstone(
        order=number,
        policy=policies[-1].sequence if policies else None,
        manifest=ordered.key,
        manifest_sha256=ordered.manifest_sha256,
        archive=manifest.archive_key,
        sha256=manifest.sha256,
        size=manifest.size,
        source=manifest.source,
        date=manifest.date,
        lines=manifest.lines,
        raw_size=manifest.raw_size,
        raw_sha256=manifest.raw_sha256,
        earliest=manifest.earliest,
        latest=manifest.latest,
        rule=ordered.rule,
        basis=ordered.basis,
        reason=ordered.reason,
        evidence=ordered.evidence,
        stores=tuple(replies),
    )
    record = session.ledger.append(stone)
    return Certificate(record.sequence, record.key, stone)


def _destroy_in(session: Session, store: Store, manifest: Manifest) -> StoreReply:
    """Destroy index and archive in one store, and note it in the catalog."""
    removed = [
        Removed(key, one.version, one.marker, one.reply)
        for key in (manifest.index_key, manifest.archive_key)
        for one in store.destroy(key)
    ]
    with session.catalog.changing():
        session.catalog.copies.forget_index(manifest.index_key, store.name)
        if store.name in session.catalog.of_key(manifest.manifest_key).manifests:
            session.catalog.copies.note(manifest.manifest_key, store.name, whole=False)
    places = {target.name: target.place for target in session.config.storage.targets}
    return StoreReply(store.name, places[store.name], session.now, tuple(removed))


def _archives(number: int) -> str:
    return "1 archive is" if number == 1 else f"{number} archives are"
