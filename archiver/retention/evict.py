"""Let archives go earlier from stores that keep them for a shorter time than others do.

Such as the local disk, where a month is wanted at hand and a bucket has the years. That destroys no
archive: it goes only where enough other stores have it, read back, and still there when they are
asked. Its manifest and its index stay, so a search finds it as before, elsewhere.
"""

from archiver.errors import ArchiverError
from archiver.policy.inventory import Inventory, Summary
from archiver.policy.rules import holds_on
from archiver.retention.expire import facts_of
from archiver.stores import Store
from archiver.stores.session import Session


def evict(run: Session) -> int:
    """Remove what stores need not keep any longer, and return how many archives that were."""
    keeping = [store for store in run.stores if store.keep]
    if run.unchained or run.doubt or not keeping:
        return 0
    facts = facts_of(run)
    removed = 0
    for store in keeping:
        try:
            removed += _thin(run, facts, store)
        except ArchiverError as problem:
            run.problems.append(problem)
    return removed


def _thin(run: Session, facts: Inventory, store: Store) -> int:
    since = store.keep.since(facts.today) if store.keep else facts.today
    removed = 0
    for each in facts.there:
        if each.date < since and store.name in each.copies and _may_go(run, facts, each):
            store.destroy(each.archive_key)
            with run.catalog.changing():
                run.catalog.copies.note(each.key, store.name, whole=False)
            removed += 1
    return removed


def _may_go(run: Session, facts: Inventory, each: Summary) -> bool:
    """Whether enough stores have it that keep it, and nothing holds it."""
    if holds_on(facts.holds, facts.host, each.source, each.date):
        return False
    lasting = [store for store in run.stores if not store.keep and store.name in each.copies]
    return sum(_is_sound(facts, each, store) for store in lasting) >= facts.required


def _is_sound(facts: Inventory, each: Summary, store: Store) -> bool:
    receipt = facts.receipt(each, store.name)
    found = store.find(each.archive_key) if receipt and receipt.sound else None
    return bool(
        receipt and found and found.size == each.size and receipt.version in {None, found.version}
    )
