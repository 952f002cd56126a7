"""Stores: where archives are kept, each under its key. `contract` says what a store promises.

`local` is a store in a directory, `s3` one in a bucket. `session` holds the lock, the stores and
the catalog together; `copy`, `sync` and `catch_up` bring copies to the stores and the catalog level
with them; `ledger_writer` writes the ledger; `probe` tries what a store really enforces.

May read the clock, and touch the stores (disk and network), the state directory with the catalog,
and what was sealed in the spool; never a live log.
"""

from archiver.archives.reader import ReadableStore
from archiver.config.settings import Storage
from archiver.config.targets import LocalTarget, Target
from archiver.stores.contract import Store
from archiver.stores.local import LocalStore

__all__ = ["ReadableStore", "Store", "open_store", "open_stores"]


def open_store(target: Target) -> Store:
    """Return the store that a target of the configuration names."""
    if isinstance(target, LocalTarget):
        return LocalStore(target.name, target.path, target.keep)
    # botocore takes ten times as long to import as all the rest.
    from archiver.stores.s3.store import S3Store  # noqa: PLC0415

    return S3Store(target)


def open_stores(storage: Storage) -> tuple[Store, ...]:
    """Return the stores of a configuration, near ones first: they are read in this order."""
    stores = [open_store(target) for target in storage.targets]
    return tuple(sorted(stores, key=lambda store: not store.is_near))
