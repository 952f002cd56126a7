"""Destroy what the retention rules no longer keep: ordered first, proven afterwards.

    decide ─▸ order, in the ledger ─▸ the evidence once more, asked of every store
           ─▸ runs, index, archive: all versions, in every store, far ones first ─▸ certificate

Whatever is in doubt stays. An order that was interrupted is carried out by the next run, if all
that allowed it still holds; if not, it is withdrawn, and what is left is brought back to all
stores. Manifests are never destroyed: they hold no line of a log, and the chain needs them.
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
from archiver.policy.decide import Archive, Copy, Decision, Verdict, evidence_missing
from archiver.policy.inventory import Inventory, Summary
from archiver.policy.ledger import (
    Evidence,
    Order,
    Ordered,
    Removed,
    StoreReply,
    Tombstone,
    Withdrawal,
    Withdrawn,
)
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
    """A tombstone as it stands in the ledger: number, key on every store."""

    number: int
    key: str
    stone: Tombstone


@dataclass
class Expiry:
    """What was done. destroyed: the certificates. kept: what was ordered, and was not after all."""

    destroyed: list[Certificate] = field(default_factory=list)
    kept: list[Withdrawn] = field(default_factory=list)


def due(inventory: Inventory, first: date | None = None, last: date | None = None) -> list[Chosen]:
    """Return what is past its maximum, and what keeps it, if anything does; or all that there is
    of named log dates, whether it may go or not.
    """
    named = first is not None or last is not None
    days = (first or date.min, last or date.max)
    found = [
        Chosen(each, inventory.decision(each))
        for each in inventory.there
        if days[0] <= each.date <= days[1]
    ]
    return [
        each
        for each in found
        if named or each.decision.verdict is Verdict.MUST or each.decision.past_since
    ]


def nightly(session: Session) -> Expiry:
    """Carry out what was ordered before, and what the rules let expire by themselves."""
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
                    f"{len(by_itself)} archives are past their maximum by rules that are new; "
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
    """Order that archives be destroyed, and carry it out. why: see `ledger.Order`.

    Raises: the ledger's failures; nothing is destroyed then.
    """
    inventory = inventory_now(session)
    ordered = tuple(_ordered(inventory, each) for each in chosen)
    record = session.ledger.append(Order(why, ordered))
    _carry_out(session, record.sequence, ordered, done, begun=False)


def resume(session: Session, done: Expiry) -> None:
    """Carry out what was ordered and has no certificate yet. Raises: as `expire`."""
    expired = session.catalog.records.expired()
    for record in session.catalog.records.of_kind("order") if expired else ():
        if isinstance(record.body, Order):
            number = record.sequence
            left = [
                each for each in record.body.archives if expired.get(each.key) == (number, None)
            ]
            if left:
                _carry_out(session, number, left, done, begun=True)


def _ordered(inventory: Inventory, each: Chosen) -> Ordered:
    summary, rule = each.summary, each.decision.rule
    receipts = [(target, inventory.receipt(summary, target)) for target in summary.copies]
    return Ordered(
        key=summary.key,
        manifest_sha256=summary.digest,
        sha256=summary.sha256,
        rule=rule.name if rule else "",
        basis=rule.basis if rule else "",
        reason=each.decision.reason,
        evidence=tuple(
            Evidence(target, receipt.at, receipt.version)
            for target, receipt in receipts
            if receipt and receipt.sound
        ),
    )


def _carry_out(
    session: Session, number: int, archives: Sequence[Ordered], done: Expiry, *, begun: bool
) -> None:
    """Carry out an order. begun: by another run, which may have come far with it."""
    session.ledger.demand()
    there = {store.name for store in session.stores} - session.away
    if missing := [each.name for each in session.config.storage.targets if each.name not in there]:
        raise WorkKeptError(
            f"{len(archives)} archives are ordered to be destroyed, but store {missing[0]!r} "
            "cannot be asked",
            hint="they are destroyed by the next run that reaches all stores. A store that is no "
            "more has to be taken out of the configuration",
        )
    inventory = inventory_now(session)
    summaries = {each.key: each for each in inventory.summaries}
    kept: list[Withdrawn] = []
    for each in archives:
        summary = summaries[each.key]
        try:
            if lacking := _lacking(session, inventory, each, summary, begun=begun):
                kept.append(Withdrawn(each.key, "; ".join(lacking)))
            else:
                done.destroyed.append(_destroy(session, number, each))
        except LockedError as refusal:
            kept.append(Withdrawn(each.key, refusal.message))
        except ArchiverError as problem:
            session.problems.add(problem)
            if problem.retryable:
                break  # what is left of the order is carried out by the next run
    if kept:
        session.ledger.append(Withdrawal(number, tuple(kept)))
        done.kept += kept
        for archive in kept:
            session.problems.add(
                RefusedError(
                    f"{archive.key} was not destroyed: {archive.reason}",
                    hint="it is kept, and will be until that is over; what was already removed of "
                    "it is brought back from what is left",
                )
            )
    for source in session.config.sources:
        merge_indexes(session, source)


def _lacking(
    session: Session, inventory: Inventory, each: Ordered, summary: Summary, *, begun: bool
) -> tuple[str, ...]:
    """Return what of the evidence lacks, as the stores tell now; nothing: it may be destroyed."""
    found = {store.name: store.find(summary.archive_key) for store in session.stores}
    if begun and not any(found.values()):
        return ()  # it was destroyed, but for the certificate
    archive = Archive(
        inventory.host,
        summary.source,
        summary.date,
        tuple(_copies(inventory, each, summary, found, begun)),
    )
    _note_protection(session, inventory, summary, found)
    return evidence_missing(
        archive,
        inventory.policy,
        inventory.holds,
        now=inventory.now,
        zone=inventory.zone,
        stored_reason=each.reason,
        required=inventory.required,
        doubt=inventory.doubt,
    )


def _copies(
    inventory: Inventory,
    each: Ordered,
    summary: Summary,
    found: dict[str, Stored | None],
    begun: bool,
) -> Iterator[Copy]:
    """Yield the copies that there are, and those that there have to be: they were verified."""
    evidence = {of.target: of for of in each.evidence}
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
            yield Copy(target, begun)  # what was begun may have come as far as this


def _note_protection(
    session: Session, inventory: Inventory, summary: Summary, found: dict[str, Stored | None]
) -> None:
    """Remember what locks and holds there are by now, so that no order asks for it again."""
    for target, stored in found.items():
        receipt = inventory.receipt(summary, target)
        if stored and receipt and receipt.protection != stored.protection:
            with session.catalog.changing():
                session.catalog.copies.note_receipt(replace(receipt, protection=stored.protection))


def _destroy(session: Session, number: int, each: Ordered) -> Certificate:
    """Destroy one archive, in all stores, and return its certificate."""
    manifest = session.catalog.of_key(each.key).manifest
    merge.forget(session.catalog, session.stores, manifest.source, manifest.sequence)
    replies = [
        _destroy_in(session, store, manifest)
        for store in sorted(session.stores, key=lambda store: store.is_near)
    ]
    for store in session.stores:
        if store.find(manifest.archive_key):
            raise StoreRefusedError(
                f"store {store.name!r}: {manifest.archive_key} is still there, after it was "
                "destroyed in all stores",
                hint="who stores it again? Two archivers may share this store; the next run tries "
                "once more",
            )
    policies = session.catalog.records.of_kind("policy")
    stone = Tombstone(
        order=number,
        policy=policies[-1].sequence if policies else None,
        manifest=each.key,
        manifest_sha256=each.manifest_sha256,
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
        rule=each.rule,
        basis=each.basis,
        reason=each.reason,
        evidence=each.evidence,
        stores=tuple(replies),
    )
    record = session.ledger.append(stone)
    return Certificate(record.sequence, record.key, stone)


def _destroy_in(session: Session, store: Store, manifest: Manifest) -> StoreReply:
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
