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

from archiver.catalog import Archived, Catalog
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
from archiver.stores import Store, open_stores
from archiver.zone import DAY

# The longest day: clocks are set back by an hour, or two.
DAY_SECONDS = 26 * 3600


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
    times are the host's. A directory as output gets one file per source and date; one that is
    not there yet is made if its name ends in a slash.
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
    if not output:
        raise UsageError("-o needs a name", hint="-o FILE, -o DIR/ or -o - for stdout")
    if output.endswith("/"):
        with explained(f"making {output}"):
            os.makedirs(output, exist_ok=True)
    into_directory = os.path.isdir(output)
    with catalogued(config, problems) as catalog:
        job = _Job(invocation, config, catalog, archived=archived, problems=problems)
        for source in sources if into_directory else []:
            if raw:
                job.archives_into(source, whole, output)
            else:
                for label, part in _by_day(wanted, whole, config.host.zone):
                    with job.sink(os.path.join(output, f"{source.name}-{label}.log")) as out:
                        job.lines(source, part, out)
        if not into_directory:
            with job.sink(output) as out:
                for source in sources:
                    (job.archives if raw else job.lines)(source, whole, out)
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
        path = Path(os.path.realpath(output))
        self.refuse_own_files(path)
        with explained(f"writing {output}"):
            if path.exists() and not path.is_file():
                # Such as /dev/null: written to, not replaced.
                with open(path, "wb") as device:
                    yield device
                return
            partial = path.with_name(f".{path.name}.archiver-partial")
            try:
                with open(partial, "wb") as file:
                    yield file
                if self.bytes > before:
                    os.replace(partial, path)
                    self.files.append(output)
            finally:
                remove(partial)

    def refuse_own_files(self, path: Path) -> None:
        """Lines are never written over a log, nor among what they come from."""
        host, storage = self.config.host, self.config.storage
        logs = [os.path.realpath(source.path) for source in self.config.sources]
        ours = [host.spool_dir, host.state_dir, *(target.path for target in storage.targets)]
        if str(path) in logs or any(
            path.is_relative_to(os.path.realpath(directory)) for directory in ours
        ):
            raise UsageError(
                f"{path} is a log, or lies in the spool, the state or a store",
                hint="write to another place",
            )

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

    def archives(self, source: Source, wanted: Window, out: BinaryIO) -> None:
        """Give the archives that hold lines of the window, each verified before it is given."""
        for each, store in self.sound(source, wanted):
            self.give(store, each.manifest.archive_key, out)

    def archives_into(self, source: Source, wanted: Window, directory: str) -> None:
        """Put them into a directory under their own names, each with its manifest."""
        for each, store in self.sound(source, wanted):
            for key in (each.manifest.archive_key, each.manifest.manifest_key):
                with self.sink(os.path.join(directory, os.path.basename(key))) as out:
                    self.give(store, key, out)

    def sound(self, source: Source, wanted: Window) -> Iterator[tuple[Archived, Store]]:
        for each in self.catalog.between(source.name, wanted.start, wanted.end):
            if not each.manifest.is_empty_day:
                try:
                    store = sound_copy(each, self.stores)
                except ArchiverError as problem:
                    self.problems.append(problem)
                else:
                    self.opened += 1
                    yield each, store

    def give(self, store: Store, key: str, out: BinaryIO) -> None:
        for chunk in store.stream(key):
            out.write(chunk)
            self.bytes += len(chunk)

    def nothing(self, sources: list[Source], wanted: Window) -> list[ArchiverError]:
        """Say so if nothing was found, unless days without lines are what was asked for."""
        if self.bytes:
            return []
        looked = 0
        for source in sources:
            for each in self.catalog.between(source.name, wanted.start - DAY_SECONDS, wanted.end):
                of_day = day_window(each.manifest.date, each.manifest.date, self.config.host.zone)
                if each.manifest.is_empty_day and of_day.end > wanted.start:
                    return []
                looked += not each.manifest.is_empty_day
        names = ", ".join(source.name for source in sources)
        also = "" if self.archived else ", the spool and the live log"
        return [
            NotFoundError(
                f"no line of that time in {names}: looked in {looked} archives{also}",
                hint="`archiver list` shows which days there are",
            )
        ]
