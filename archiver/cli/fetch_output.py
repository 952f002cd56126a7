"""Where `archiver fetch` reads from and writes to."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from archiver.catalog import Archived, Catalog
from archiver.cli.answer import Invocation
from archiver.cli.fetch_formats import written
from archiver.config.settings import Config, Source
from archiver.config.targets import LocalTarget
from archiver.errors import (
    ArchiverError,
    ColdError,
    ExpiredError,
    NotFoundError,
    UsageError,
    explained,
)
from archiver.find.search import FoundLine, Search
from archiver.find.snapshot import Window, day_window, lines, looked_through, snapshot, sound_copy
from archiver.stores import Store, open_stores
from archiver.system.files import remove

# The longest day: clocks are set back by an hour, or two.
LONGEST_DAY = 26 * 3600
# How long what was restored stays readable: long enough to come back for it after a weekend.
RESTORE_DAYS = 7


Giver = Callable[[Sequence[Source], Window, BinaryIO], None]


class Fetch:
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
        self.matching = 0

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
        stores = [each.path for each in storage.targets if isinstance(each, LocalTarget)]
        ours = [host.spool_dir, host.state_dir, *stores]
        if str(path) in logs or any(
            path.is_relative_to(os.path.realpath(directory)) for directory in ours
        ):
            raise UsageError(
                f"{path} is a log, or lies in the spool, the state or a store",
                hint="write to another place",
            )

    def lines(self, sources: Sequence[Source], wanted: Window, out: BinaryIO) -> None:
        """Give all lines of the window."""
        for source in sources:
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
                pieces = lines(
                    found,
                    wanted,
                    zone=self.config.host.zone,
                    stores=self.stores,
                    problems=self.problems,
                    advance=advance,
                )
                self.write(pieces, out)

    def found(self, search: Search, form: str) -> Giver:
        """Return what gives the lines that a search finds, in that form; "count": none of them."""

        def give(sources: Sequence[Source], wanted: Window, out: BinaryIO) -> None:
            matching = self.counted(
                line for source in sources for line in search.lines(self.catalog, source, wanted)
            )
            if form == "count":
                for _ in matching:
                    pass
            else:
                self.write(written(matching, form), out)
            self.opened = search.cost.opened

        return give

    def counted(self, found: Iterable[FoundLine]) -> Iterator[FoundLine]:
        for line in found:
            self.matching += line.matches
            yield line

    def write(self, pieces: Iterable[bytes], out: BinaryIO) -> None:
        for piece in pieces:
            out.write(piece)
            self.bytes += len(piece)

    def archives(self, sources: Sequence[Source], wanted: Window, out: BinaryIO) -> None:
        """Give the archives that hold lines of the window, each verified before it is given."""
        for source in sources:
            for each, store in self.sound(source, wanted):
                self.write(store.stream(each.manifest.archive_key), out)

    def archives_into(self, source: Source, wanted: Window, directory: str) -> None:
        """Put them into a directory under their own names, each with its manifest."""
        for each, store in self.sound(source, wanted):
            for key in (each.manifest.archive_key, each.manifest.manifest_key):
                with self.sink(os.path.join(directory, os.path.basename(key))) as out:
                    self.write(store.stream(key), out)

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

    def restore(self) -> list[ArchiverError]:
        """Ask the stores for what was found to be cold; return what went wrong with that."""
        wrong: list[ArchiverError] = []
        cold = {(p.store, p.key) for p in self.problems if isinstance(p, ColdError)}
        stores = {store.name: store for store in self.stores}
        for name, key in sorted(cold):
            try:
                stores[name].restore(key, RESTORE_DAYS)
            except ArchiverError as problem:
                wrong.append(problem)
        return wrong

    def nothing(
        self, sources: Sequence[Source], wanted: Window, what: str, *, is_search: bool
    ) -> list[ArchiverError]:
        """Say so if nothing was found, unless days without lines are what was asked for.

        what: was looked for, if not simply all of a time.
        """
        if self.matching if is_search else self.bytes:
            return []
        if what:
            looked = sum(
                len(self.catalog.numbers(each.name, wanted.start, wanted.end)) for each in sources
            )
            hint = "is it written as in the log? --text finds what no program told as its own"
            return [self.not_found(f"no line with {what}", sources, looked, hint)]
        looked = 0
        for source in sources:
            for each in self.catalog.between(source.name, wanted.start - LONGEST_DAY, wanted.end):
                of_day = day_window(each.manifest.date, each.manifest.date, self.config.host.zone)
                if each.manifest.is_empty_day and of_day.end > wanted.start:
                    return []
                looked += not each.manifest.is_empty_day
        hint = "`archiver list` shows which days there are"
        return [self.not_found("no line of that time", sources, looked, hint)]

    def expired(self, sources: Sequence[Source], wanted: Window) -> list[ArchiverError]:
        """Say which archives of that time were destroyed, or are ordered to be, if any."""
        gone = [
            each
            for source in sources
            for each in self.catalog.summaries(source.name)
            if each.ordered and wanted.meets(each.earliest, each.latest)
        ]
        if not gone:
            return []
        first, last = (pick(each.date for each in gone) for pick in (min, max))
        days = f"{first}" if first == last else f"{first} to {last}"
        what = "1 archive" if len(gone) == 1 else f"{len(gone)} archives"
        numbers = sorted(each.destroyed for each in gone if each.destroyed)
        by = ", by an order under way"
        if numbers:
            span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
            by = f" (certificate {span})"
        return [
            ExpiredError(
                f"of {days}, {what} whose retention was over had to be destroyed{by}",
                hint="`archiver retention ask deletions` tells by what authority",
            )
        ]

    def not_found(
        self, what: str, sources: Sequence[Source], looked: int, hint: str
    ) -> NotFoundError:
        names = ", ".join(source.name for source in sources)
        also = "" if self.archived else ", the spool and the live log"
        return NotFoundError(f"{what} in {names}: looked in {looked} archives{also}", hint=hint)
