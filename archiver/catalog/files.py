"""The catalog as a file: open it, make it, judge whether it is sound."""

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
    """Open an existing catalog, to read and to write.

    Raises: IntegrityError: it is missing, damaged, or of another schema: make it anew.
    DiskError, NoSpaceError: it cannot be used now, sound or not.
    """
    if not path.exists():
        raise IntegrityError(f"there is no catalog at {path}", hint=REBUILD_HINT)
    file = os.stat(path)
    with explained():
        connection = sqlite3.connect(path, timeout=30)
    with closing(connection):
        with explained():
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            # FULL: a power cut must not undo what the catalog says is stored.
            connection.execute("PRAGMA synchronous = FULL")
        if schema != SCHEMA:
            raise IntegrityError(f"{path} has schema {schema}, not {SCHEMA}", hint=REBUILD_HINT)
        yield Catalog(connection, host, file)


@contextmanager
def nowhere(host: str) -> Iterator[Catalog]:
    """Open an empty catalog in memory, for when the real one cannot be used."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(DDL)
        yield Catalog(connection, host)


def is_sound(path: Path) -> bool:
    """Whether the file is a whole catalog of this schema.

    Raises: DiskError, NoSpaceError: it cannot be read now.
    """
    try:
        with opened(path, "") as catalog:
            return catalog.is_whole()
    except IntegrityError:
        return False


@contextmanager
def making(path: Path, host: str) -> Iterator[Catalog]:
    """Fill a new catalog: when the context has ended, `path` has it, with no file beside it.

    If the context fails, `path` is removed.
    """
    try:
        with explained(), closing(sqlite3.connect(path)) as connection:
            connection.executescript(DDL)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            yield Catalog(connection, host)
        with explained(), closing(sqlite3.connect(path)) as connection:
            # Last, since it creates two files beside; the mode itself is kept in the file.
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
