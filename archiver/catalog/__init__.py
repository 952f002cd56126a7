"""The catalog: which archives there are, what they hold, and where their copies are.

All SQL of this program. Everything in it is derived from the manifests and the ledger on the
stores, and module `catchup` derives it again.
Write-ahead logging (sqlite.org/wal.html): readers go on while a run writes.
"""

from archiver.catalog.archives import Archived, Catalog
from archiver.catalog.files import files_beside, is_sound, making, nowhere, opened
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
    "is_sound",
    "making",
    "nowhere",
    "opened",
]
