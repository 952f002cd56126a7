"""Remove archives from stores that keep them for a shorter time than others do.

For example, the local disk keeps a month at hand and a bucket keeps the years. No archive is
destroyed by this: a copy is removed only if enough other stores have the archive, verified, and
still have it when they are asked now. Manifest and index stay, so a search still finds it.
"""

from archiver.errors import ArchiverError
from archiver.policy.inventory import Inventory, Summary
from archiver.policy.rules import holds_on
from archiver.retention.gather import inventory_now
from archiver.stores import Store
from archiver.stores.session import Session


def evict(session: Session) -> int:
    """Remove what stores need not keep any longer, and return how many copies that were.

    A store's failure becomes a problem of the session.
    """
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
    for archive in inventory.archives:
        if (
            archive.date < since
            and store.name in archive.copies
            and _may_go(session, inventory, archive)
        ):
            store.destroy(archive.archive_key)
            with session.catalog.changing():
                session.catalog.copies.note(archive.key, store.name, whole=False)
            removed += 1
    return removed


def _may_go(session: Session, inventory: Inventory, archive: Summary) -> bool:
    """Whether nothing holds it, and enough stores without a limit of their own have it."""
    if holds_on(inventory.holds, inventory.host, archive.source, archive.date):
        return False
    lasting = [store for store in session.stores if not store.keep and store.name in archive.copies]
    return sum(_is_sound(inventory, archive, store) for store in lasting) >= inventory.required


def _is_sound(inventory: Inventory, archive: Summary, store: Store) -> bool:
    """Whether the copy that the store shows now is the one that was read back."""
    receipt = inventory.receipt(archive, store.name)
    found = store.find(archive.archive_key) if receipt and receipt.sound else None
    return bool(
        receipt
        and found
        and found.size == archive.size
        and receipt.version in {None, found.version}
    )
