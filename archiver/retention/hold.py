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


def apply(run: Session) -> None:
    """Bring the stores level with the holds of the ledger; what fails becomes a problem."""
    if run.unchained:
        return
    facts = inventory_of(run.config, run.catalog, now=run.now)
    if not facts.holds:
        return
    for store in run.stores:
        try:
            if store.can_hold:
                _level(run, store, facts)
        except ArchiverError as problem:
            run.problems.append(problem)


def _level(run: Session, store: Store, facts: Inventory) -> None:
    for each in facts.summaries:
        if store.name not in each.copies or each.destroyed:
            continue
        held = bool(holds_on(facts.holds, facts.host, each.source, each.date))
        wanted = store.protection(each.date, facts.now)
        lifted = not held and not wanted.hold and _was_ours(facts, each)
        for key, receipt in _objects(facts, each, store.name):
            have = receipt.protection.hold if receipt else lifted
            if held and not have:
                store.protect(key, replace(wanted, hold=True))
            elif lifted and have:
                store.lift_hold(key)
            else:
                continue
            _note(run, store, key, receipt)


def _was_ours(facts: Inventory, each: Summary) -> bool:
    """Whether a case that was released covered it: else the hold there is somebody else's."""
    return any(_covers(hold, facts.host, each) for hold in facts.holds if hold.released)


def _covers(hold: Hold, host: str, each: Summary) -> bool:
    return hold.scope.covers(host, each.source, each.date)


def _objects(facts: Inventory, each: Summary, target: str) -> Iterator[tuple[str, Receipt | None]]:
    keys = [each.key] if each.is_empty_day else [each.archive_key, each.key]
    return ((key, facts.receipts.get((key, target))) for key in keys)


def _note(run: Session, store: Store, key: str, receipt: Receipt | None) -> None:
    """Note what the store says of its protection now."""
    found = store.find(key)
    if receipt and found:
        with run.catalog.changing():
            run.catalog.copies.note_receipt(replace(receipt, protection=found.protection))
