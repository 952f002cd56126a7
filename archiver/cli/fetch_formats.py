"""How `archiver fetch` writes the lines that it found."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from archiver.cli.answer import count, human_size
from archiver.find.lookup import Cost
from archiver.find.search import FoundLine
from archiver.maillog.lines import facts
from archiver.system.zone import rfc3339

FORMATS = ("text", "json", "ndjson", "csv")
COLUMNS = ("time", "source", "archive", "matches", "host", "program", "pid", "event", "line")


def written(lines: Iterable[FoundLine], form: str) -> Iterator[bytes]:
    """Yield lines in a form. "text": the bytes as logged. "count": nothing, but finds all lines."""
    if form == "count":
        for _ in lines:
            pass
    elif form == "text":
        yield from (line.data for line in lines)
    elif form == "csv":
        yield _csv(COLUMNS)
        for record in _records(lines):
            yield _csv([_flat(record[column]) for column in COLUMNS])
    elif form == "ndjson":
        yield from (json.dumps(record).encode() + b"\n" for record in _records(lines))
    else:
        separator = b"["
        for record in _records(lines):
            yield separator + b"\n" + json.dumps(record).encode()
            separator = b","
        yield b"\n]\n" if separator == b"," else b"[]\n"


def _records(lines: Iterable[FoundLine]) -> Iterator[dict[str, Any]]:
    """Yield what is known about each line. facts: what it says, as far as it is understood."""
    for line in lines:
        found = facts(line.data)
        header = found[0].record if found else None
        yield {
            "time": None if line.time is None else rfc3339(line.time),
            "source": line.source,
            "archive": line.archive,
            "matches": line.matches,
            "host": _text(header.host) if header else None,
            "program": _text(header.program) if header else None,
            "pid": _pid(header.pid) if header else None,
            "event": f"{found[0].family}: {found[0].event.name}" if found else None,
            "facts": [
                {
                    "family": fact.family,
                    "event": fact.event.name,
                    "times": fact.times,
                    "fields": {name: _text(value) for name, value in fact.event.fields},
                }
                for fact in found
            ],
            "line": _text(line.data.removesuffix(b"\n")),
        }


def _pid(digits: bytes) -> int | None:
    return int(digits) if re.fullmatch(rb"\d{1,10}", digits) else None


def _text(data: bytes) -> str:
    """Write bytes that are not UTF-8 in hexadecimal, behind a backslash."""
    return data.decode(errors="backslashreplace")


def _flat(value: object) -> str:
    return "" if value is None else str(value)


def _csv(row: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(row)
    return out.getvalue().encode()


def cost_text(cost: Cost) -> str:
    """Return what `--explain` prints about a search."""
    by = ", ".join(f"{number} {what}" for what, number in cost.answered.items()) or "no index asked"
    return (
        f"{count(cost.considered, 'archive')} considered, {cost.opened} opened\n"
        f"{count(cost.reads, 'range read')}, {human_size(cost.bytes)}, "
        f"{count(cost.waves, 'round trip')}\n"
        f"answered by: {by}"
    )
