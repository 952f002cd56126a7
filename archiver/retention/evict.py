"""Remove copies from stores that keep archives for a shorter time than others do.

For example from the local disk, which keeps a month at hand while a bucket keeps the years. This
destroys no archive: a copy is removed only if enough other stores have one that was read back, and
still report it when asked. Manifest and index stay: a search finds it as before, elsewhere.
"""

from archiver.errors import ArchiverError
from archiver.policy.inventory import Inventory, Summary
from archiver.policy.rules import holds_on
from archiver.retention.gather import inventory_now
from archiver.stores import Store
from archiver.stores.session import Session


def evict(session: Session) -> int:
    """Remove the copies that stores need not keep any longer; return how many."""
    keeping = [store for store in session.stores if store.keep]
    if session.unchained or session.doubt or not keeping:
        return 0
    inventory = inventory_now(session)
    removed = 0
    for store in keeping:
        try:
            removed += _evict_from(session, inventory, store)
        except ArchiverError as problem:
            session.problems.add(problem)
    return removed


def _evict_from(session: Session, inventory: Inventory, store: Store) -> int:
    since = store.keep.since(inventory.today) if store.keep else inventory.today
    removed = 0
    for archive in inventory.there:
        due = archive.date < since and store.name in archive.copies
        if due and _may_go(session, inventory, archive):
            store.destroy(archive.archive_key)
            with session.catalog.changing():
                session.catalog.copies.note(archive.key, store.name, whole=False)
            removed += 1
    return removed


def _may_go(session: Session, inventory: Inventory, archive: Summary) -> bool:
    """Whether no hold covers it, and enough stores that keep archives for good have it."""
    if holds_on(inventory.holds, inventory.host, archive.source, archive.date):
        return False
    lasting = [store for store in session.stores if not store.keep and store.name in archive.copies]
    return sum(_is_sound(inventory, archive, store) for store in lasting) >= inventory.required


def _is_sound(inventory: Inventory, archive: Summary, store: Store) -> bool:
    receipt = inventory.receipt(archive, store.name)
    stored = store.find(archive.archive_key) if receipt and receipt.sound else None
    return bool(
        receipt
        and stored
        and stored.size == archive.size
        and receipt.version in {None, stored.version}
    )
