"""The keys of archives, manifests and indexes: how they are built and taken apart. Pure."""

import math
import re
from datetime import date

ARCHIVE_SUFFIX = ".log.zst"
MANIFEST_SUFFIX = ".manifest.json"
INDEX_SUFFIX = ".idx"
MERGED_INDEX_SUFFIX = ".run"
# Files that can be made again from archives, and may be removed.
INDEX_SUFFIXES = (INDEX_SUFFIX, MERGED_INDEX_SUFFIX)
# Of a host or a source.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
DATE = r"\d{4}-\d\d-\d\d"
# The size of an index's pages, in bytes.
PAGE = 4096


def host_prefix(host: str) -> str:
    return f"host={host}/"


def source_prefix(host: str, source: str) -> str:
    return f"{host_prefix(host)}source={source}/"


def date_prefix(host: str, source: str, day: date) -> str:
    return f"{source_prefix(host, source)}date={day.isoformat()}/"


def place(key: str) -> tuple[str, float]:
    """Return the source that a manifest's key belongs to, and its number in the chain, as the key
    says it: infinite if it does not.
    """
    source = re.match(r"host=[^/]*/source=([^/]*)/", key)
    number = re.search(rf"-(\d+){re.escape(MANIFEST_SUFFIX)}$", key)
    return source[1] if source else "", int(number[1]) if number else math.inf
