"""The catalog: which archives there are, what they hold, and where their copies are.

All SQL of this program is in here. What the catalog says is derived from the manifests and the
ledger on the stores, and archiver/stores/catch_up.py can derive it again.

`files` opens, makes and judges the catalog's file, `tables` has the schema and SQLite's errors,
`archives`, `copies` and `records` ask and change what it says. This package touches that one file
(and what SQLite keeps beside it), no store, no network and no clock.
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
