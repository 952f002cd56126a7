"""The catalog as a file: how it is opened, made and checked."""

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
    """Open an existing catalog, to read or to write.

    Raises: IntegrityError: it is missing, damaged, or of another schema, and has to be rebuilt.
    DiskError, NoSpaceError: it cannot be used now, whether it is damaged or not.
    """
    if not path.exists():
        raise IntegrityError(f"there is no catalog at {path}", hint=REBUILD_HINT)
    file = os.stat(path)
    with explained():
        connection = sqlite3.connect(path, timeout=30)
    with closing(connection):
        with explained():
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            # FULL: a power cut must not make the catalog forget what is stored.
            connection.execute("PRAGMA synchronous = FULL")
        if schema != SCHEMA:
            raise IntegrityError(f"{path} has schema {schema}, not {SCHEMA}", hint=REBUILD_HINT)
        yield Catalog(connection, host, file)


@contextmanager
def in_memory(host: str) -> Iterator[Catalog]:
    """Open an empty catalog in memory, for a run that cannot use the real one."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(DDL)
        yield Catalog(connection, host)


def is_sound(path: Path) -> bool:
    """Whether the file is an undamaged catalog of this schema.

    Raises: DiskError, NoSpaceError: it cannot be read now, so nobody knows.
    """
    try:
        with opened(path, "") as catalog:
            return catalog.is_whole()
    except IntegrityError:
        return False


@contextmanager
def making(path: Path, host: str) -> Iterator[Catalog]:
    """Open a new catalog to fill. When the context ends, it is at `path`, whole and in one file;
    when the context fails, nothing is left.
    """
    try:
        with explained(), closing(sqlite3.connect(path)) as connection:
            connection.executescript(DDL)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            yield Catalog(connection, host)
        with explained(), closing(sqlite3.connect(path)) as connection:
            # Last of all: this mode is stored in the file, and opens two more beside it.
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
