"""Let archives go earlier from stores that keep them for a shorter time than others do.

Such as the local disk, where a month is wanted at hand and a bucket has the years. That destroys no
archive: it goes only where enough other stores have it, read back, and still there when they are
asked. Its manifest and its index stay, so a search finds it as before, elsewhere.
"""

from archiver.errors import ArchiverError
from archiver.policy.inventory import Inventory, Summary
from archiver.policy.rules import holds_on
from archiver.retention.gather import inventory_now
from archiver.stores import Store
from archiver.stores.session import Session


def evict(session: Session) -> int:
    """Remove what stores need not keep any longer, and return how many archives that were."""
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
    for each in inventory.there:
        if each.date < since and store.name in each.copies and _may_go(session, inventory, each):
            store.destroy(each.archive_key)
            with session.catalog.changing():
                session.catalog.copies.note(each.key, store.name, whole=False)
            removed += 1
    return removed


def _may_go(session: Session, inventory: Inventory, each: Summary) -> bool:
    """Whether enough stores have it that keep it, and nothing holds it."""
    if holds_on(inventory.holds, inventory.host, each.source, each.date):
        return False
    lasting = [store for store in session.stores if not store.keep and store.name in each.copies]
    return sum(_is_sound(inventory, each, store) for store in lasting) >= inventory.required


def _is_sound(inventory: Inventory, each: Summary, store: Store) -> bool:
    receipt = inventory.receipt(each, store.name)
    found = store.find(each.archive_key) if receipt and receipt.sound else None
    return bool(
        receipt and found and found.size == each.size and receipt.version in {None, found.version}
    )
