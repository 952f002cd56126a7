"""`archiver fetch`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import click

from archiver.catalog import Catalog
from archiver.cli.answer import Answer, Invocation, verb
from archiver.cli.dates import days, window
from archiver.cli.sources import named
from archiver.config import Config, Source
from archiver.durable import remove
from archiver.errors import ArchiverError, NotFoundError, UsageError, explained
from archiver.overview import worst
from archiver.query import (
    Window,
    catalogued,
    day_window,
    lines,
    looked_through,
    snapshot,
    sound_copy,
)
from archiver.stores import open_stores
from archiver.zone import DAY


@click.command(short_help="Give back lines, by date and time.")
@click.option(
    "--date", "day", metavar="D|D..D", help="A log date or a range: ISO, today, yesterday."
)
@click.option("--from", "start", metavar="T", help="From this date or time on.")
@click.option("--to", "end", metavar="T", help="Until this date (included) or before this time.")
@click.option("--source", "names", multiple=True, metavar="NAME", help="Only this source.")
@click.option("--archived", is_flag=True, help="Leave out the spool and the live log.")
@click.option("-o", "--output", default="-", metavar="FILE|DIR|-", help="Where to write.")
@click.option("--raw", is_flag=True, help="Give the archives themselves, verified.")
@verb
def fetch(
    invocation: Invocation,
    day: str | None,
    start: str | None,
    end: str | None,
    names: tuple[str, ...],
    archived: bool,
    output: str,
    raw: bool,
) -> Answer:
    """Write the lines of a day, or of a stretch of time, as they were logged and in that order.

    Reads the archives, the spool and the live log, so that today's lines are there too, each
    once. A line without a readable time belongs to the time of the line before. Dates and
    times are the host's. A directory as output gets one file per source and date.
    """
    config = invocation.config()
    zone = config.host.zone
    if bool(day) == bool(start or end):
        raise UsageError("say which days: --date, or --from and --to", hint="--date yesterday")
    if invocation.json and output == "-":
        raise UsageError(
            "lines and the JSON document cannot both go to stdout", hint="add -o FILE or -o DIR"
        )
    wanted = days(day, zone, invocation.now) if day else None
    whole = day_window(*wanted, zone) if wanted else window(start, end, zone, invocation.now)
    sources = named(config, names)
    problems: list[ArchiverError] = []
    with catalogued(config, problems) as catalog:
        job = _Job(invocation, config, catalog, archived=archived, problems=problems)
        if raw:
            for source in sources:
                job.archives(source, whole, output)
        elif os.path.isdir(output):
            for source in sources:
                for label, part in _by_day(wanted, whole, config.host.zone):
                    with job.sink(os.path.join(output, f"{source.name}-{label}.log")) as out:
                        job.lines(source, part, out)
        else:
            with job.sink(output) as out:
                for source in sources:
                    job.lines(source, whole, out)
        failures = job.problems or job.nothing(sources, whole)
    return Answer(
        data={"bytes": job.bytes, "files": job.files, "archives": job.opened},
        failures=failures,
        exit_status=worst(failures),
    )


def _by_day(
    wanted: tuple[date, date] | None, whole: Window, zone: ZoneInfo
) -> Iterator[tuple[str, Window]]:
    if wanted is None:
        yield "part", whole
        return
    first, last = wanted
    for ahead in range((last - first).days + 1):
        each = first + ahead * DAY
        yield each.isoformat(), day_window(each, each, zone)


class _Job:
    """One fetch: what it reads from, and what it has written and met so far."""

    def __init__(
        self,
        invocation: Invocation,
        config: Config,
        catalog: Catalog,
        *,
        archived: bool,
        problems: list[ArchiverError],
    ) -> None:
        self.invocation = invocation
        self.config = config
        self.catalog = catalog
        self.archived = archived
        self.stores = open_stores(config.storage)
        self.problems = problems
        self.files: list[str] = []
        self.bytes = 0
        self.opened = 0

    @contextmanager
    def sink(self, output: str) -> Iterator[BinaryIO]:
        """Open the output: stdout, or a file that appears whole or not at all."""
        if output == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        before = self.bytes
        partial = Path(output + ".partial")
        with explained(f"writing {output}"):
            try:
                with open(partial, "wb") as file:
                    yield file
                if self.bytes > before:
                    os.replace(partial, output)
                    self.files.append(output)
            finally:
                remove(partial)

    def lines(self, source: Source, wanted: Window, out: BinaryIO) -> None:
        zone = self.config.host.zone
        taken = snapshot(
            self.config,
            self.catalog,
            source,
            wanted,
            now=self.invocation.now,
            archived=self.archived,
        )
        with (
            taken as found,
            self.invocation.meter(source.name, looked_through(found, wanted)) as advance,
        ):
            self.opened += len(found.archived)
            for piece in lines(
                found,
                wanted,
                zone=zone,
                stores=self.stores,
                problems=self.problems,
                advance=advance,
            ):
                out.write(piece)
                self.bytes += len(piece)

    def archives(self, source: Source, wanted: Window, output: str) -> None:
        """Give the archives that hold lines of the window, each verified before it is given."""
        for each in self.catalog.between(source.name, wanted.start, wanted.end):
            if each.manifest.is_empty_day:
                continue
            try:
                store = sound_copy(each, self.stores)
            except ArchiverError as problem:
                self.problems.append(problem)
                continue
            keys = [each.manifest.archive_key]
            if os.path.isdir(output):
                keys.append(each.manifest.manifest_key)
            for key in keys:
                path = os.path.join(output, os.path.basename(key)) if len(keys) > 1 else output
                with self.sink(path) as out:
                    for chunk in store.stream(key):
                        out.write(chunk)
                        self.bytes += len(chunk)
            self.opened += 1

    def nothing(self, sources: list[Source], wanted: Window) -> list[ArchiverError]:
        """Say so if nothing was found, unless days without lines are what was asked for."""
        if self.bytes:
            return []
        looked = 0
        for source in sources:
            for each in self.catalog.between(source.name, wanted.start, wanted.end):
                if each.manifest.is_empty_day:
                    return []
                looked += 1
        names = ", ".join(source.name for source in sources)
        also = "" if self.archived else ", the spool and the live log"
        return [
            NotFoundError(
                f"no line of that time in {names}: looked in {looked} archives{also}",
                hint="`archiver list` shows which days there are",
            )
        ]
