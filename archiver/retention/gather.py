"""Collect what is known of a host's archives, for decisions and questions about them.

It reads the configuration, the catalog and the note of the last run; it asks no store.
"""

from collections.abc import Sequence
from datetime import date

from archiver.archives.receipts import Receipt
from archiver.catalog import ACTING, RULING, Catalog
from archiver.config.settings import Config
from archiver.config.targets import LocalTarget, Target
from archiver.policy.decide import clock_doubt
from archiver.policy.inventory import Inventory, Place
from archiver.policy.ledger import newest_instant
from archiver.rotation import last_run
from archiver.stores.session import Session
from archiver.system.zone import local_date


def inventory_of(
    config: Config,
    catalog: Catalog,
    *,
    now: int,
    sources: Sequence[str] = (),
    doubt: str | None = None,
    acts: bool = False,
) -> Inventory:
    """Return what is known of these sources; without any, of all configured or ever archived.

    now: an instant. doubt: why the clock cannot be trusted; None: judge it by the ledger. acts:
    include the records of what was destroyed, or ordered to be; there may be thousands.
    """
    every = sorted({*catalog.sources(), *(source.name for source in config.sources)})
    chosen = [source for source in every if not sources or source in sources]
    receipts: dict[tuple[str, str], Receipt] = {}
    for source in chosen:
        receipts |= catalog.copies.receipts(source)
    if doubt is None:
        doubt = clock_doubt(now, newest_instant(catalog.records.moments()))
    return Inventory(
        host=config.host.name,
        zone=config.host.zone,
        now=now,
        sources=tuple(chosen),
        policy=config.retention,
        places=tuple(_place(target) for target in config.storage.targets),
        required=config.storage.required,
        summaries=tuple(each for source in chosen for each in catalog.summaries(source)),
        receipts=receipts,
        records=tuple(catalog.records.of_kind(*RULING, *(ACTING if acts else ()))),
        complete=_complete(config, catalog, chosen, now),
        doubt=doubt,
    )


def inventory_now(session: Session) -> Inventory:
    """Return what is known to a session of all sources, with its own judgement of the clock."""
    return inventory_of(session.config, session.catalog, now=session.now, doubt=session.doubt)


def _complete(
    config: Config, catalog: Catalog, sources: Sequence[str], now: int
) -> dict[str, date]:
    """Return the last day accounted for, by source: as the last run noted, else as archived."""
    last, today = last_run.load(config.host.state_dir), local_date(now, config.host.zone)
    found = {
        source: last.known_complete(source, today) or catalog.last_watched(source)
        for source in sources
    }
    return {source: day for source, day in found.items() if day}


def _place(target: Target) -> Place:
    if isinstance(target, LocalTarget):
        return Place(target.name, target.place, keep=target.keep)
    return Place(
        target.name,
        target.place,
        near=False,
        lock=target.object_lock,
        lock_for=target.lock_for,
        legal_hold=target.legal_hold,
        sse=target.sse,
        kms_key=target.kms_key_id,
    )
