"""`archiver fetch`."""

from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.cli.fetch_absent import destroyed, nothing_found
from archiver.cli.fetch_formats import FORMATS, cost_text
from archiver.cli.fetch_options import looked_for_options
from archiver.cli.fetch_request import request_of
from archiver.cli.fetch_work import Fetch
from archiver.cli.options import date_option, from_option, host_option, source_option, to_option
from archiver.errors import ArchiverError, IndexFailedError, Problems
from archiver.find.snapshot import catalogued

COUNT = click.IntRange(0, 1_000_000)


@click.command(short_help="Get lines back: by date, by key or by text.")
@date_option("A log date or a range: 2026-11-23, today, yesterday.")
@from_option("From this date or time on.", "T")
@to_option("Until this date (included) or before this time.", "T")
@looked_for_options
@click.option("-A", "--after", type=COUNT, metavar="N", help="Also give N lines after each.")
@click.option("-B", "--before", type=COUNT, metavar="N", help="Also give N lines before each.")
@click.option("-C", "--context", type=COUNT, metavar="N", help="Also give N lines on both sides.")
@click.option("--count", is_flag=True, help="Print only how many lines match.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", help="How to write the lines."
)
@click.option("--explain", is_flag=True, help="Print on stderr what was read to find them.")
@source_option()
@host_option("Another host's archives in the same stores.")
@click.option("--archived", is_flag=True, help="Leave out the spool and the live log.")
@click.option("-o", "--output", default="-", metavar="FILE|DIR|-", help="Where to write.")
@click.option("--raw", is_flag=True, help="Give the archives themselves, compressed and verified.")
@click.option(
    "--restore", is_flag=True, help="Request what is in cold storage to be made readable."
)
@verb
def fetch(invocation: Invocation, **options: Any) -> Answer:  # noqa: ANN401 (see request_of)
    """Write lines as they were logged and in that order: all of a day or of a stretch of time, or
    those of any time that have a key or contain a text. If several things are asked for, all of
    them must hold; of several keys of one kind, one is enough.

    A key is what the logging program itself reported. What a stranger wrote into a subject or a
    reason is found with --text. Reads the archives, the spool and the live log, so today's lines
    are found, too, and each line once. A line without a readable time has the time of the line
    before. Dates and times are in the host's zone. A directory as output gets one file for each
    source and date; it is made if its name ends in a slash.
    """
    request = request_of(invocation, **options)
    problems = Problems()
    with catalogued(request.here, problems, of_host=request.config.host.name) as catalog:
        work = Fetch(invocation, request, catalog, problems)
        work.carry_out()
        failures = Problems(*(e for e in problems if not isinstance(e, IndexFailedError)))
        gone = destroyed(request, catalog)
        if not (failures or work.found_anything or request.form == "count"):
            failures = Problems(*nothing_found(request, catalog))
            if failures and gone and not request.in_words:
                failures, gone = Problems(*gone), []
    if request.explain:
        click.echo(cost_text(work.search.cost), err=True)
    warnings: list[ArchiverError] = [
        each for each in problems if isinstance(each, IndexFailedError)
    ]
    if failures or request.has_time:
        warnings += gone
    return Answer(
        data=work.data(),
        text=str(work.matching) if request.form == "count" else "",
        failures=[*failures, *warnings],
        exit_status=failures.worst,
    )
