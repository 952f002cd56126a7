"""The catalog: which archives there are, what they hold, and where their copies are.

All SQL of this program is in here. It touches one SQLite file in state_dir, and the files that
SQLite keeps beside it; no network, no store, no clock. Everything in the catalog is derived from
the manifests and the ledger on the stores; archiver/stores/catch_up.py derives it again.
Write-ahead logging (sqlite.org/wal.html): readers go on while a run writes.
"""

from archiver.catalog.archives import Archived, Catalog
from archiver.catalog.files import files_beside, in_memory, is_sound, making, opened
from archiver.catalog.records import ACTING, RULING
from archiver.catalog.tables import REBUILD_HINT, SCHEMA

__all__ = [
    "ACTING",
    "REBUILD_HINT",
    "RULING",
    "SCHEMA",
    "Archived",
    "Catalog",
    "files_beside",
    "in_memory",
    "is_sound",
    "making",
    "opened",
]
