"""Carry out what `archiver fetch` was asked for: read it, and name the files it goes to."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from archiver.catalog import Archived, Catalog
from archiver.cli.answer import Invocation
from archiver.cli.fetch_formats import written
from archiver.cli.fetch_output import Output, Pieces
from archiver.cli.fetch_request import FetchRequest
from archiver.config.settings import Source
from archiver.errors import ArchiverError, ColdError, Problems
from archiver.find.search import FoundLine, Search
from archiver.find.snapshot import Window, lines, looked_through, snapshot, sound_copy
from archiver.stores import Store, open_stores

# Restored archives stay readable for so many days: enough to come back after a weekend.
RESTORE_DAYS = 7


class Fetch:
    """One fetch at work. problems: what went wrong so far. opened: archives that were read.
    matching: lines that a search found.
    """

    def __init__(
        self,
        invocation: Invocation,
        request: FetchRequest,
        catalog: Catalog,
        problems: Problems,
    ) -> None:
        self.invocation = invocation
        self.request = request
        self.catalog = catalog
        self.problems = problems
        self.stores = open_stores(request.config.storage)
        self.output = Output(request.config)
        self.opened = 0
        self.matching = 0
        self.search = Search(
            request.config,
            self.stores,
            request.wanted,
            invocation.now,
            archived=request.archived,
            context=request.context,
            with_times=request.form not in {"text", "count"},
            meter=invocation.meter,
            problems=problems,
        )

    @property
    def found_anything(self) -> bool:
        return bool(self.matching if self.request.is_search else self.output.bytes)

    def data(self) -> dict[str, Any]:
        """Return `data` of the JSON document."""
        output, cost = self.output, self.search.cost
        data = {"bytes": output.bytes, "files": output.files, "archives": self.opened}
        return data | (
            {"lines": self.matching, "cost": vars(cost)} if self.request.is_search else {}
        )

    def carry_out(self) -> None:
        """Write all that is asked for."""
        for name, pieces in self.files():
            self.output.write(name, pieces)
        if self.request.restore:
            self.problems.add(*self.restore())

    def files(self) -> Iterator[tuple[str, Pieces]]:
        """Yield what is to be written to (see `Output.write`), and what goes there."""
        request = self.request
        if request.into_directory:
            files = self.archive_files() if request.raw else self.files_by_day()
            for name, pieces in files:
                yield os.path.join(request.output, name), pieces
        elif request.raw:
            yield request.output, self.archives()
        else:
            yield request.output, self.lines(request.sources, request.window)

    def files_by_day(self) -> Iterator[tuple[str, Pieces]]:
        for source in self.request.sources:
            for part, window in self.request.parts():
                yield f"{source.name}-{part}.log", self.lines([source], window)

    # -- lines -----------------------------------------------------------------------------

    def lines(self, sources: Sequence[Source], window: Window) -> Pieces:
        """Yield the lines asked for that are in this window."""
        if self.request.is_search:
            yield from self.found_lines(sources, window)
        else:
            for source in sources:
                yield from self.all_lines(source, window)

    def all_lines(self, source: Source, window: Window) -> Pieces:
        taken = snapshot(
            self.request.config,
            self.catalog,
            source,
            window,
            now=self.invocation.now,
            archived=self.request.archived,
        )
        with (
            taken as found,
            self.invocation.meter(source.name, looked_through(found, window)) as advance,
        ):
            self.opened += len(found.archived)
            yield from lines(
                found,
                window,
                zone=self.request.config.host.zone,
                stores=self.stores,
                problems=self.problems,
                advance=advance,
            )

    def found_lines(self, sources: Sequence[Source], window: Window) -> Pieces:
        found = (
            line for source in sources for line in self.search.lines(self.catalog, source, window)
        )
        yield from written(self.counted(found), self.request.form)
        self.opened = self.search.cost.opened

    def counted(self, found: Iterable[FoundLine]) -> Iterator[FoundLine]:
        for line in found:
            self.matching += line.matches
            yield line

    # -- archives --------------------------------------------------------------------------

    def archives(self) -> Pieces:
        """Yield the archives themselves, one after the other."""
        for archive, store in self.sound_archives():
            yield from store.stream(archive.manifest.archive_key)

    def archive_files(self) -> Iterator[tuple[str, Pieces]]:
        """Yield each archive under its own name, and its manifest."""
        for archive, store in self.sound_archives():
            for key in (archive.manifest.archive_key, archive.manifest.manifest_key):
                yield os.path.basename(key), _stored(store, key)

    def sound_archives(self) -> Iterator[tuple[Archived, Store]]:
        """Yield the archives with lines of the window, each with a store that has a sound copy."""
        window = self.request.window
        for source in self.request.sources:
            for archive in self.catalog.between(source.name, window.start, window.end):
                if archive.manifest.is_empty_day:
                    continue
                try:
                    store = sound_copy(archive, self.stores)
                except ArchiverError as problem:
                    self.problems.add(problem)
                else:
                    self.opened += 1
                    yield archive, store

    def restore(self) -> list[ArchiverError]:
        """Ask the stores to restore what was found to be cold; return what went wrong."""
        wrong: list[ArchiverError] = []
        cold = {(p.store, p.key) for p in self.problems if isinstance(p, ColdError)}
        stores = {store.name: store for store in self.stores}
        for name, key in sorted(cold):
            try:
                stores[name].restore(key, RESTORE_DAYS)
            except ArchiverError as problem:
                wrong.append(problem)
        return wrong


def _stored(store: Store, key: str) -> Pieces:
    yield from store.stream(key)
