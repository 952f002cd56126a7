"""`archiver list` and `archiver status`."""

from collections.abc import Mapping
from typing import Any

import click

from archiver.archives.receipts import Receipt
from archiver.cli.answer import Answer, Invocation, human_size, table, verb
from archiver.cli.dates import days_or_all
from archiver.cli.options import date_option, host_option, source_option, sources_named
from archiver.cli.run import summary
from archiver.errors import ArchiverError, worst
from archiver.find.snapshot import catalogued
from archiver.policy.inventory import Summary
from archiver.service.status import archived
from archiver.system.zone import rfc3339


@click.command("list", short_help="What is archived, and where.")
@date_option()
@source_option()
@host_option()
@verb
def list_archives(
    invocation: Invocation, day: str | None, names: tuple[str, ...], host: str | None
) -> Answer:
    """List the archives and the days recorded as empty, oldest first."""
    config = invocation.config_to_read(host)
    first, last = days_or_all(day or None, config.host.zone, invocation.now)
    problems: list[ArchiverError] = []
    with catalogued(config, problems) as catalog:
        sources = sources_named(config, names)
        found = archived(catalog, sources, first, last)
        receipts = {
            key: each for one in sources for key, each in catalog.copies.receipts(one.name).items()
        }
    rows = [
        (
            str(each.date),
            each.source,
            str(each.lines),
            human_size(each.raw_size),
            human_size(each.size),
            " ".join(each.copies) or "none",
            _what(each),
        )
        for each in found
    ]
    header = ("DATE", "SOURCE", "LINES", "RAW", "STORED", "COPIES", "ARCHIVE")
    return Answer(
        data={"archives": [_data(each, receipts) for each in found]},
        text=table(header, rows) if rows else "nothing is archived of those days",
        failures=problems,
        exit_status=worst(problems),
    )


def _what(each: Summary) -> str:
    if each.is_empty_day:
        return "(a day without lines)"
    if each.destroyed:
        return f"(destroyed: certificate {each.destroyed})"
    if each.ordered:
        return f"(to be destroyed: order {each.ordered})"
    return each.archive_key.rsplit("/", 1)[1]


def _data(each: Summary, receipts: Mapping[tuple[str, str], Receipt]) -> dict[str, Any]:
    key = each.key if each.is_empty_day else each.archive_key
    return {
        **summary(each),
        "source": each.source,
        "kind": "empty-day" if each.is_empty_day else "archive",
        "earliest": rfc3339(each.earliest),
        "latest": rfc3339(each.latest),
        "copies": list(each.copies),
        "order": each.ordered,
        "certificate": each.destroyed,
        "receipts": [
            {
                "target": receipt.target,
                "read_back_at": rfc3339(receipt.at),
                "sha256": receipt.sha256,
                "version": receipt.version,
                "lock": receipt.protection.mode or None,
                "locked_until": rfc3339(receipt.protection.until)
                if receipt.protection.mode
                else None,
                "legal_hold": receipt.protection.hold,
            }
            for target in each.copies
            if (receipt := receipts.get((key, target)))
        ],
    }
