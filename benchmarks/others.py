"""How others find a text in the same archives: zgrep, zstdgrep, ripgrep, DuckDB on Parquet.

What is not installed is left out, and said.
"""

import gzip
import importlib
import importlib.util
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from archiver.config.settings import Config

if TYPE_CHECKING:
    from benchmarks import counted
else:  # a script finds what stands beside it
    import counted

DUCKDB = """\
import sys, duckdb
def read():
    return int(open("/proc/self/io").readline().split()[1])
before, query = read(), "SELECT line FROM read_parquet(?) WHERE message_id = ?"
for (line,) in duckdb.execute(query, sys.argv[1:]).fetchall():
    print(line, end="")
print(read() - before)
"""


def commands(work: Path, config: Config, text: str) -> dict[str, tuple[list[str], int]]:
    """Tell how others find a text in a host's archives, and how many bytes they read for it; 0:
    they tell that themselves.
    """
    archives = [counted.stored(config, each.archive_key) for each in counted.manifests(config)]
    gz = copies(archives, work / f"{config.path.parent.name}-gz", "gz", as_gzip)
    # zstdgrep fails if any file does not hold the text.
    one_suffices = ["sh", "-c", '"$@" || [ $? -eq 1 ]', "sh"]
    found = {"zgrep -F": ([*one_suffices, "zgrep", "-hF", text, *map(str, gz)], total(gz))}
    for tool, options in (("zstdgrep", ["-h", "-F"]), ("rg", ["-zFIN"])):
        if is_installed(tool):
            argv = [*one_suffices, tool, *options, text, *map(str, archives)]
            found[f"{tool} {options[-1]}"] = (argv, total(archives))
    if is_installed("duckdb", "pyarrow"):
        directory = work / f"{config.path.parent.name}-parquet"
        copies(archives, directory, "parquet", as_parquet)
        argv = [sys.executable, "-c", DUCKDB, f"{directory}/*.parquet", text]
        found["DuckDB on Parquet"] = (argv, 0)
    return found


@lru_cache
def is_installed(*names: str) -> bool:
    """Whether these are there, as commands or as modules; if not, it is said once."""
    there = all(shutil.which(name) or importlib.util.find_spec(name) for name in names)
    if not there:
        print(f"{' and '.join(names)}: not installed", file=sys.stderr)
    return there


def total(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def copies(
    archives: Sequence[Path], directory: Path, suffix: str, write: Callable[[bytes, Path], None]
) -> list[Path]:
    """Return these archives in another format; they are made if they are not there yet."""
    paths = [directory / f"{number:05}.{suffix}" for number, _ in enumerate(archives)]
    if not directory.exists():
        making = directory.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for archive, path in zip(archives, paths, strict=True):
            with open(archive, "rb") as file:
                reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
                write(reader.read(), making / path.name)
        making.rename(directory)
    return paths


def as_gzip(log: bytes, path: Path) -> None:
    path.write_bytes(gzip.compress(log, 6))


def as_parquet(log: bytes, path: Path) -> None:
    """A row per line, in DuckDB's row groups, with its Bloom filters."""
    duckdb, pyarrow = (importlib.import_module(name) for name in ("duckdb", "pyarrow"))
    lines = log.decode().splitlines(keepends=True)
    ids = [line.partition("message-id=<")[2] or line.partition("msgid=<")[2] for line in lines]
    columns = {"line": lines, "message_id": [each.partition(">")[0] or None for each in ids]}
    duckdb.from_arrow(pyarrow.table(columns)).write_parquet(str(path), compression="zstd")
