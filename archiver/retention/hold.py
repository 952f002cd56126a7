"""Set on the stores the holds that the ledger has, and lift those that were released.

A hold is in force as soon as it is in the ledger: this program destroys nothing that it covers.
Where a store can hold an object itself (S3 Object Lock), nobody else can destroy it there either.
Such a store knows only that an object is held, not for which case: so its hold is lifted when the
last case is released.
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
    """Bring the stores level with the ledger's holds. A failure becomes a session's problem."""
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
    for summary in inventory.summaries:
        if store.name not in summary.copies or summary.destroyed:
            continue
        held = bool(holds_on(inventory.holds, inventory.host, summary.source, summary.date))
        wanted = store.protection(summary.date, inventory.now)
        lifted = not held and not wanted.hold and _was_ours(inventory, summary)
        for key, receipt in _objects(inventory, summary, store.name):
            have = receipt.protection.hold if receipt else lifted
            if held and not have:
                store.protect(key, replace(wanted, hold=True))
            elif lifted and have:
                store.lift_hold(key)
            else:
                continue
            _note(session, store, key, receipt)


def _was_ours(inventory: Inventory, summary: Summary) -> bool:
    """Whether a released case covered it. If none did, the hold on the store is somebody else's."""
    return any(_covers(hold, inventory.host, summary) for hold in inventory.holds if hold.released)


def _covers(hold: Hold, host: str, summary: Summary) -> bool:
    return hold.scope.covers(host, summary.source, summary.date)


def _objects(
    inventory: Inventory, summary: Summary, target: str
) -> Iterator[tuple[str, Receipt | None]]:
    keys = [summary.key] if summary.is_empty_day else [summary.archive_key, summary.key]
    return ((key, inventory.receipts.get((key, target))) for key in keys)


def _note(session: Session, store: Store, key: str, receipt: Receipt | None) -> None:
    """Note in the catalog how the store says the object is protected now."""
    found = store.find(key)
    if receipt and found:
        with session.catalog.changing():
            session.catalog.copies.note_receipt(replace(receipt, protection=found.protection))
