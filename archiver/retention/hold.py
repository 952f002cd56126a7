"""Set the stores' own holds on what the ledger says is held, and lift them after a release.

A hold is in force as soon as the ledger has it: this program destroys nothing that it covers.
If a store can hold an object itself (S3 Object Lock), nobody else can destroy it there either.
Such a store has one hold per object, not one per case: it is lifted with the last case's release.
"""

from collections.abc import Iterator
from dataclasses import replace

from archiver.archives.receipts import Receipt
from archiver.errors import ArchiverError
from archiver.policy.inventory import Inventory, Summary
from archiver.policy.rules import Hold, holds_on
from archiver.retention.gather import inventory_of
from archiver.stores import Store
from archiver.stores.session import Session


def apply(session: Session) -> None:
    """Make the stores' holds those of the ledger; a store that fails becomes a problem."""
    if session.unchained:
        return
    inventory = inventory_of(session.config, session.catalog, now=session.now)
    if not inventory.holds:
        return
    for store in session.stores:
        try:
            if store.can_hold:
                _level(session, store, inventory)
        except ArchiverError as problem:
            session.problems.add(problem)


def _level(session: Session, store: Store, inventory: Inventory) -> None:
    for archive in inventory.summaries:
        if store.name not in archive.copies or archive.destroyed:
            continue
        held = bool(holds_on(inventory.holds, inventory.host, archive.source, archive.date))
        wanted = store.protection(archive.date, inventory.now)
        to_lift = not held and not wanted.hold and _was_ours(inventory, archive)
        for key, receipt in _objects(inventory, archive, store.name):
            has_hold = receipt.protection.hold if receipt else to_lift
            if held and not has_hold:
                store.protect(key, replace(wanted, hold=True))
            elif to_lift and has_hold:
                store.lift_hold(key)
            else:
                continue
            _note(session, store, key, receipt)


def _was_ours(inventory: Inventory, archive: Summary) -> bool:
    """Whether a released case covered it: otherwise a hold on the store is somebody else's."""
    return any(_covers(hold, inventory.host, archive) for hold in inventory.holds if hold.released)


def _covers(hold: Hold, host: str, archive: Summary) -> bool:
    return hold.scope.covers(host, archive.source, archive.date)


def _objects(
    inventory: Inventory, archive: Summary, target: str
) -> Iterator[tuple[str, Receipt | None]]:
    keys = [archive.key] if archive.is_empty_day else [archive.archive_key, archive.key]
    return ((key, inventory.receipts.get((key, target))) for key in keys)


def _note(session: Session, store: Store, key: str, receipt: Receipt | None) -> None:
    """Note in the catalog the protection that the store reports now."""
    stored = store.find(key)
    if receipt and stored:
        with session.catalog.changing():
            session.catalog.copies.note_receipt(replace(receipt, protection=stored.protection))
