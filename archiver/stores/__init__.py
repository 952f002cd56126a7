"""Stores: where archives are kept. `contract` says what they promise."""

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
    # boto3 takes ten times as long to import as all the rest.
    from archiver.stores.s3.store import S3Store  # noqa: PLC0415

    return S3Store(target)


def open_stores(storage: Storage) -> tuple[Store, ...]:
    """Return the stores of a configuration, the near ones first: copies are asked for in order."""
    stores = [open_store(target) for target in storage.targets]
    return tuple(sorted(stores, key=lambda store: not store.is_near))
