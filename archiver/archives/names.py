"""The keys of what stands on a store: how they are built and taken apart. Pure."""

import re
from dataclasses import dataclass
from datetime import date

ARCHIVE_SUFFIX = ".log.zst"
MANIFEST_SUFFIX = ".manifest.json"
INDEX_SUFFIX = ".idx"
MERGED_INDEX_SUFFIX = ".run"
RECORD_SUFFIX = ".json"
# Files that can be made again from archives, and may be removed.
INDEX_SUFFIXES = (INDEX_SUFFIX, MERGED_INDEX_SUFFIX)
# The size of an index's pages, in bytes.
PAGE = 4096

# Of a host or a source.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
DATE = r"\d{4}-\d\d-\d\d"
KEY = re.compile(
    r"host=(?P<host>[^/]+)/"
    r"(?:ledger/(?P<record>\d{8})\.json"
    r"|source=(?P<source>[^/]+)/(?:date=(?P<day>[^/]+)/)?"
    r"(?:[^/]*-(?P<number>\d+)(?P<suffix>\.log\.zst|\.manifest\.json|\.idx)|.*)"
    r"|.*)",
    re.ASCII | re.DOTALL,
)


def host_prefix(host: str) -> str:
    return f"host={host}/"


def source_prefix(host: str, source: str) -> str:
    return f"{host_prefix(host)}source={source}/"


def date_prefix(host: str, source: str, day: date) -> str:
    return f"{source_prefix(host, source)}date={day.isoformat()}/"


def ledger_prefix(host: str) -> str:
    return f"{host_prefix(host)}ledger/"


@dataclass(frozen=True)
class Key:
    """What a key says by its name alone; what it does not say is empty, or None.

    day: the log date. number: in the chain of the source's manifests, or of the ledger's records.
    suffix: of an archive, a manifest, an index beside an archive, or a record.
    """

    host: str = ""
    source: str = ""
    day: date | None = None
    number: int | None = None
    suffix: str = ""


def parse(key: str) -> Key:
    """Take a key apart, whoever made it up."""
    match = KEY.fullmatch(key)
    if match is None:
        return Key()
    host, record, source, day, number, suffix = match.groups()
    if record:
        return Key(host, number=int(record), suffix=RECORD_SUFFIX)
    return Key(host, source or "", _day(day), int(number) if number else None, suffix or "")


def _day(text: str | None) -> date | None:
    # Python reads 20261201 and 2026-W49-2 as well; here there is one way to write a date.
    if text is None or not re.fullmatch(DATE, text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
