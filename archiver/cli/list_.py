"""`archiver list`."""

from collections.abc import Mapping
from typing import Any

import click

from archiver.archives.receipts import Receipt
from archiver.cli.answer import Answer, Invocation, human_size, table, verb
from archiver.cli.dates import days_or_all
from archiver.cli.options import date_option, host_option, source_option, sources_named
from archiver.cli.run import archive_data
from archiver.errors import Problems
from archiver.find.snapshot import catalogued
from archiver.policy.inventory import Summary
from archiver.service.status import archived
from archiver.system.zone import rfc3339


@click.command("list", short_help="List what is archived, and where.")
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
    problems = Problems()
    with catalogued(config, problems) as catalog:
        sources = sources_named(config, names)
        found = archived(catalog, sources, first, last)
        receipts = {
            key: receipt
            for source in sources
            for key, receipt in catalog.copies.receipts(source.name).items()
        }
    rows = [
        (
            str(archive.date),
            archive.source,
            str(archive.lines),
            human_size(archive.raw_size),
            human_size(archive.size),
            " ".join(archive.copies) or "none",
            _archive_cell(archive),
        )
        for archive in found
    ]
    header = ("DATE", "SOURCE", "LINES", "RAW", "STORED", "COPIES", "ARCHIVE")
    return Answer(
        data={"archives": [_data(each, receipts) for each in found]},
        text=table(header, rows) if rows else "no archives of these dates and sources",
        failures=problems,
        exit_status=problems.worst,
    )


def _archive_cell(archive: Summary) -> str:
    if archive.is_empty_day:
        return "(a day without lines)"
    if archive.destroyed:
        return f"(destroyed: certificate {archive.destroyed})"
    if archive.ordered:
        return f"(to be destroyed: order {archive.ordered})"
    return archive.archive_key.rsplit("/", 1)[1]


def _data(archive: Summary, receipts: Mapping[tuple[str, str], Receipt]) -> dict[str, Any]:
    key = archive.key if archive.is_empty_day else archive.archive_key
    return {
        **archive_data(archive),
        "source": archive.source,
        "kind": "empty-day" if archive.is_empty_day else "archive",
        "earliest": rfc3339(archive.earliest),
        "latest": rfc3339(archive.latest),
        "copies": list(archive.copies),
        "order": archive.ordered,
        "certificate": archive.destroyed,
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
            for target in archive.copies
            if (receipt := receipts.get((key, target)))
        ],
    }
