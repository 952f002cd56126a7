"""`archiver fetch`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.cli.completion import sources
from archiver.cli.dates import days, window
from archiver.cli.fetch_formats import FORMATS, cost_said
from archiver.cli.fetch_options import wanted, wanted_options
from archiver.cli.fetch_output import Fetch, Giver
from archiver.cli.options import named
from archiver.config.settings import Config, Source
from archiver.config.toml_tables import NAME
from archiver.errors import ArchiverError, IndexFailedError, UsageError, explained, worst
from archiver.find.search import Context, Search
from archiver.find.snapshot import Window, catalogued, day_window
from archiver.system.zone import DAY

COUNT = click.IntRange(0, 1_000_000)


@click.command(short_help="Give back lines: by date, by a key, by their text.")
@click.option(
    "--date", "day", metavar="D|D..D", help="A log date or a range: ISO, today, yesterday."
)
@click.option("--from", "start", metavar="T", help="From this date or time on.")
@click.option("--to", "end", metavar="T", help="Until this date (included) or before this time.")
@wanted_options
@click.option("-A", "--after", type=COUNT, help="So many lines after each, too.")
@click.option("-B", "--before", type=COUNT, help="So many lines before each, too.")
@click.option("-C", "--context", type=COUNT, help="So many on both sides.")
@click.option("--count", is_flag=True, help="Only say how many lines match.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How to write.")
@click.option("--explain", is_flag=True, help="Say on stderr what was read to find them.")
@click.option(
    "--source",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=sources,
    help="Only this source.",
)
@click.option("--host", metavar="NAME", help="Another host's archives in the same stores.")
@click.option("--archived", is_flag=True, help="Leave out the spool and the live log.")
@click.option("-o", "--output", default="-", metavar="FILE|DIR|-", help="Where to write.")
@click.option("--raw", is_flag=True, help="Give the archives themselves, verified.")
@click.option(
    "--restore", is_flag=True, help="Ask for what is in cold storage to be made readable."
)
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
    **options: Any,  # noqa: ANN401 (keys, and how to give what is found)
) -> Answer:
    """Write lines as they were logged and in that order: all of a day or of a stretch of time; or
    those that tell a key, or hold a text, of any time. What is asked for must all hold; of
    several keys of one kind, one.

    A key is what a program told as its own: what a stranger wrote into a subject or a reason is
    found with --text. Reads the archives, the spool and the live log, so that today's lines are
    there too, each once. A line without a readable time belongs to the time of the line before.
    Dates and times are the host's. A directory as output gets one file per source and date; one
    that is not there yet is made if its name ends in a slash.
    """
    host, restore = options.pop("host"), options.pop("restore")
    here = invocation.config_to_read(host)
    config, archived = _of_host(here, host, archived=archived or invocation.store is not None)
    zone = config.host.zone
    asked, what = wanted(options)
    if bool(day) + bool(start or end) > 1 or not (day or start or end or asked):
        raise UsageError(
            "say which days: --date, or --from and --to; or what to find",
            hint="--date yesterday, --message-id ID",
        )
    form, explain = _form(options), options.pop("explain")
    context = _context(options.pop("before"), options.pop("after"), options.pop("context"))
    is_search = bool(asked or context or form != "text" or explain)
    if raw and is_search:
        raise UsageError("--raw gives whole archives, not what is found in them", hint="drop one")
    if invocation.json and output == "-" and form != "count":
        raise UsageError(
            "lines and the JSON document cannot both go to stdout", hint="add -o FILE or -o DIR"
        )
    wanted_days = days(day, zone, invocation.now) if day else None
    whole = _window(wanted_days, start, end, zone, invocation.now)
    sources = named(config, names)
    problems: list[ArchiverError] = []
    into_directory = _is_directory(output)
    with catalogued(here, problems, of_host=host) as catalog:
        job = Fetch(invocation, config, catalog, archived=archived, problems=problems)
        search = Search(
            config,
            job.stores,
            asked,
            invocation.now,
            archived=archived,
            context=context,
            with_times=form not in {"text", "count"},
            meter=invocation.meter,
            problems=problems,
        )
        give: Giver = job.found(search, form) if is_search else job.lines
        if into_directory:
            _give_by_day(job, None if raw else give, sources, wanted_days, whole, output)
        else:
            with job.sink(output) as out:
                (job.archives if raw else give)(sources, whole, out)
        if restore:
            problems += job.restore()
        serious = [each for each in problems if not isinstance(each, IndexFailedError)]
        gone = job.expired(sources, whole)
        if not serious and form != "count":
            serious = job.nothing(sources, whole, what, is_search=is_search)
            if serious and gone and not what:
                serious, gone = gone, []
    if explain:
        click.echo(cost_said(search.cost), err=True)
    warnings: list[ArchiverError] = [e for e in problems if isinstance(e, IndexFailedError)]
    if serious or wanted_days or start or end:
        warnings += gone
    return Answer(
        data={"bytes": job.bytes, "files": job.files, "archives": job.opened}
        | ({"lines": job.matching, "cost": vars(search.cost)} if is_search else {}),
        text=str(job.matching) if form == "count" else "",
        failures=[*serious, *warnings],
        exit_status=worst(serious),
    )


def _give_by_day(
    job: Fetch,
    give: Giver | None,
    sources: Sequence[Source],
    wanted_days: tuple[date, date] | None,
    whole: Window,
    directory: str,
) -> None:
    """Write a file for each source and day. give: None for the archives themselves."""
    for source in sources:
        if give is None:
            job.archives_into(source, whole, directory)
            continue
        for label, part in _by_day(wanted_days, whole, job.config.host.zone):
            with job.sink(os.path.join(directory, f"{source.name}-{label}.log")) as out:
                give([source], part, out)


def _window(
    wanted_days: tuple[date, date] | None,
    start: str | None,
    end: str | None,
    zone: ZoneInfo,
    now: int,
) -> Window:
    return day_window(*wanted_days, zone) if wanted_days else window(start, end, zone, now)


def _of_host(config: Config, name: str | None, *, archived: bool) -> tuple[Config, bool]:
    """The configuration to read another host's archives with; it has no log here."""
    if name is None or name == config.host.name:
        return config, archived
    if not NAME.fullmatch(name):
        raise UsageError(f"--host: {name!r} is no host's name", hint="as `name` under [host] there")
    return replace(config, host=replace(config.host, name=name)), True


def _context(before: int | None, after: int | None, around: int | None) -> Context:
    around = around or 0
    return Context(around if before is None else before, around if after is None else after)


def _form(options: dict[str, Any]) -> str:
    form: str = options.pop("form")
    if not options.pop("count"):
        return form
    if form != "text":
        raise UsageError("--count gives a number, not lines", hint="leave out --format")
    return "count"


def _is_directory(output: str) -> bool:
    if not output:
        raise UsageError("-o needs a name", hint="-o FILE, -o DIR/ or -o - for stdout")
    if output.endswith("/"):
        with explained(f"making {output}"):
            os.makedirs(output, exist_ok=True)
    return os.path.isdir(output)


def _by_day(
    wanted_days: tuple[date, date] | None, whole: Window, zone: ZoneInfo
) -> Iterator[tuple[str, Window]]:
    if wanted_days is None:
        yield "part", whole
        return
    first, last = wanted_days
    for ahead in range((last - first).days + 1):
        each = first + ahead * DAY
        yield each.isoformat(), day_window(each, each, zone)
