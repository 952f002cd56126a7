"""Hold on the stores what the ledger says is held, and lift what it says no longer is.

A hold is in force as soon as the ledger tells of it: nothing that it covers is destroyed here.
Where a store can hold an object itself (S3 Object Lock), nobody else can destroy it there either.
Such a store knows one hold only, not whose it is: it is lifted when the last case is released.
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
    """Bring the stores level with the holds of the ledger; what fails becomes a problem."""
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
    for each in inventory.summaries:
        if store.name not in each.copies or each.destroyed:
            continue
        held = bool(holds_on(inventory.holds, inventory.host, each.source, each.date))
        wanted = store.protection(each.date, inventory.now)
        lifted = not held and not wanted.hold and _was_ours(inventory, each)
        for key, receipt in _objects(inventory, each, store.name):
            have = receipt.protection.hold if receipt else lifted
            if held and not have:
                store.protect(key, replace(wanted, hold=True))
            elif lifted and have:
                store.lift_hold(key)
            else:
                continue
            _note(session, store, key, receipt)


def _was_ours(inventory: Inventory, each: Summary) -> bool:
    """Whether a case that was released covered it: else the hold there is somebody else's."""
    return any(_covers(hold, inventory.host, each) for hold in inventory.holds if hold.released)


def _covers(hold: Hold, host: str, each: Summary) -> bool:
    return hold.scope.covers(host, each.source, each.date)


def _objects(
    inventory: Inventory, each: Summary, target: str
) -> Iterator[tuple[str, Receipt | None]]:
    keys = [each.key] if each.is_empty_day else [each.archive_key, each.key]
    return ((key, inventory.receipts.get((key, target))) for key in keys)


def _note(session: Session, store: Store, key: str, receipt: Receipt | None) -> None:
    """Note what the store says of its protection now."""
    found = store.find(key)
    if receipt and found:
        with session.catalog.changing():
            session.catalog.copies.note_receipt(replace(receipt, protection=found.protection))
