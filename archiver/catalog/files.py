"""The catalog as a file: opened, made, and judged."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from archiver.catalog.archives import Catalog
from archiver.catalog.tables import DDL, REBUILD_HINT, SCHEMA, explained
from archiver.errors import IntegrityError
from archiver.system.files import remove


@contextmanager
def opened(path: Path, host: str) -> Iterator[Catalog]:
    """Open an existing catalog, read or write.

    Raises: IntegrityError: it is missing, damaged, or of another schema; make it anew.
    DiskError, NoSpaceError: it cannot be used now, whatever it is.
    """
    if not path.exists():
        raise IntegrityError(f"there is no catalog at {path}", hint=REBUILD_HINT)
    file = os.stat(path)
    with explained():
        connection = sqlite3.connect(path, timeout=30)
    with closing(connection):
        with explained():
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            # FULL: what the catalog says is stored must not be forgotten by a power cut.
            connection.execute("PRAGMA synchronous = FULL")
        if schema != SCHEMA:
            raise IntegrityError(f"{path} has schema {schema}, not {SCHEMA}", hint=REBUILD_HINT)
        yield Catalog(connection, host, file)


@contextmanager
def nowhere(host: str) -> Iterator[Catalog]:
    """Open an empty catalog that is forgotten: for a run that cannot have a real one."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(DDL)
        yield Catalog(connection, host)


def is_sound(path: Path) -> bool:
    """Whether the file is a catalog, whole, of this schema.

    Raises: DiskError, NoSpaceError: that cannot be told now.
    """
    try:
        with opened(path, "") as catalog:
            return catalog.is_whole()
    except IntegrityError:
        return False


@contextmanager
def making(path: Path, host: str) -> Iterator[Catalog]:
    """Fill a new catalog, which is at `path`, whole and alone, when the context has ended."""
    try:
        with explained(), closing(sqlite3.connect(path)) as connection:
            connection.executescript(DDL)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            yield Catalog(connection, host)
        with explained(), closing(sqlite3.connect(path)) as connection:
            # As the last step: it is written into the file, and makes two more beside it.
            connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        remove(path)
        raise
    finally:
        for beside in files_beside(path):
            remove(beside)


def files_beside(path: Path) -> list[Path]:
    """Return what SQLite may keep beside a catalog (sqlite.org/tempfiles.html)."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
