"""How `archiver fetch` writes the lines that it found."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from archiver.cli.answer import human_size
from archiver.find.lookup import Cost
from archiver.find.search import FoundLine
from archiver.maillog.lines import facts
from archiver.system.zone import rfc3339

FORMATS = ("text", "json", "ndjson", "csv")
COLUMNS = ("time", "source", "archive", "matches", "host", "program", "pid", "event", "line")


def written(lines: Iterable[FoundLine], form: str) -> Iterator[bytes]:
    """Yield lines in a form. text: the bytes as logged. count: none, but all are looked for."""
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
    """What is known of each line. facts: what it says, as far as it is understood."""
    for line in lines:
        told = facts(line.data)
        first = told[0].record if told else None
        yield {
            "time": None if line.time is None else rfc3339(line.time),
            "source": line.source,
            "archive": line.archive,
            "matches": line.matches,
            "host": _text(first.host) if first else None,
            "program": _text(first.program) if first else None,
            "pid": int(first.pid) if first and re.fullmatch(rb"\d{1,10}", first.pid) else None,
            "event": f"{told[0].family}: {told[0].event.name}" if told else None,
            "facts": [
                {
                    "family": fact.family,
                    "event": fact.event.name,
                    "times": fact.times,
                    "fields": {name: _text(value) for name, value in fact.event.fields},
                }
                for fact in told
            ],
            "line": _text(line.data.removesuffix(b"\n")),
        }


def _text(data: bytes) -> str:
    """What is no UTF-8 is written as its bytes in hexadecimal, behind a backslash."""
    return data.decode(errors="backslashreplace")


def _flat(value: object) -> str:
    return "" if value is None else str(value)


def _csv(row: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(row)
    return out.getvalue().encode()


def cost_said(cost: Cost) -> str:
    """What `--explain` says of a search."""
    by = ", ".join(f"{count} {what}" for what, count in cost.answered.items()) or "no index asked"
    return (
        f"{cost.considered} archives considered, {cost.opened} opened\n"
        f"{cost.reads} range reads, {human_size(cost.bytes)}, {cost.waves} round trips\n"
        f"answered by: {by}"
    )
