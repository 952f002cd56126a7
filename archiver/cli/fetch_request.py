"""What one `archiver fetch` is asked for: its options, read and checked in one place."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from archiver.cli.answer import Invocation
from archiver.cli.dates import days, window
from archiver.cli.fetch_options import wanted_by
from archiver.cli.options import sources_named
from archiver.config.settings import Config, Source
from archiver.config.toml_tables import NAME
from archiver.errors import UsageError, explained
from archiver.find.search import Context
from archiver.find.snapshot import Window, day_window
from archiver.maillog.match import Wanted
from archiver.system.zone import DAY


@dataclass(frozen=True)
class FetchRequest:
    """Which lines are asked for, of which host and sources, and how they are to be given.

    here: the configuration of this machine. config: the same, for the host to be read.
    days: of --date, the first and the last. has_time: --date, --from or --to was given.
    wanted: what a line must tell or hold. in_words: the same for messages; empty: any line will do.
    form: one of FORMATS, or "count". is_search: lines are looked at one by one, not only dated.
    """

    here: Config
    config: Config
    sources: Sequence[Source]
    archived: bool
    days: tuple[date, date] | None
    has_time: bool
    window: Window
    wanted: Wanted
    in_words: str
    context: Context
    form: str
    is_search: bool
    explain: bool
    raw: bool
    restore: bool
    output: str
    into_directory: bool

    def parts(self) -> Iterator[tuple[str, Window]]:
        """Yield the windows that each get a file of their own in a directory, and their names."""
        if self.days is None:
            yield "part", self.window
            return
        first, last = self.days
        for ahead in range((last - first).days + 1):
            day = first + ahead * DAY
            yield day.isoformat(), day_window(day, day, self.config.host.zone)


def request_of(
    invocation: Invocation,
    *,
    day: str | None,
    start: str | None,
    end: str | None,
    names: tuple[str, ...],
    host: str | None,
    archived: bool,
    after: int | None,
    before: int | None,
    context: int | None,
    count: bool,
    form: str,
    explain: bool,
    raw: bool,
    restore: bool,
    output: str,
    **keys_and_text: Any,  # noqa: ANN401 (fetch_options.py declares them)
) -> FetchRequest:
    """Read the options of `archiver fetch`. Makes the directory of `-o DIR/`.

    Raises: UsageError: an option cannot be read, or contradicts another one.
    """
    here = invocation.config_to_read(host)
    config = _of_host(here, host)
    wanted, in_words = wanted_by(**keys_and_text)
    has_time = bool(day or start or end)
    if (day and (start or end)) or not (has_time or wanted):
        raise UsageError(
            "name days or something to find: --date, or --from and --to, or a key or a text",
            hint="--date yesterday, or --message-id ID",
        )
    if count and form != "text":
        raise UsageError(
            "--count prints a number, so --format has no meaning", hint="leave out --format"
        )
    form = "count" if count else form
    beside = _context(before, after, context)
    is_search = bool(wanted or beside or form != "text" or explain)
    if raw and is_search:
        raise UsageError(
            "--raw gives whole archives, not what is found in them",
            hint="leave out --raw; or give only days with it",
        )
    if invocation.json and output == "-" and not count:
        raise UsageError(
            "lines and the JSON document cannot both go to stdout", hint="add -o FILE or -o DIR"
        )
    zone, now = config.host.zone, invocation.now
    dates = days(day, zone, now) if day else None
    return FetchRequest(
        here=here,
        config=config,
        days=dates,
        has_time=has_time,
        window=day_window(*dates, zone) if dates else window(start, end, zone, now),
        sources=sources_named(config, names),
        archived=archived or invocation.store is not None or config is not here,
        wanted=wanted,
        in_words=in_words,
        context=beside,
        form=form,
        is_search=is_search,
        explain=explain,
        raw=raw,
        restore=restore,
        output=output,
        into_directory=_is_directory(output),
    )


def _of_host(here: Config, name: str | None) -> Config:
    """Return the configuration to read a host's archives with: `here` itself for this host."""
    if name is None or name == here.host.name:
        return here
    if not NAME.fullmatch(name):
        raise UsageError(
            f"--host: {name!r} cannot be a host's name",
            hint="copy `name` under [host] of that host",
        )
    return replace(here, host=replace(here.host, name=name))


def _context(before: int | None, after: int | None, around: int | None) -> Context:
    around = around or 0
    return Context(around if before is None else before, around if after is None else after)


def _is_directory(output: str) -> bool:
    if not output:
        raise UsageError("-o needs a name", hint="-o FILE, -o DIR/, or -o - for stdout")
    if output.endswith("/"):
        with explained(f"making {output}"):
            os.makedirs(output, exist_ok=True)
    return os.path.isdir(output)
