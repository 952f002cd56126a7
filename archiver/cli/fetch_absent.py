"""Why `archiver fetch` did not find what it was asked for."""

from archiver.catalog import Catalog
from archiver.cli.answer import count
from archiver.cli.fetch_request import FetchRequest
from archiver.errors import ArchiverError, ExpiredError, NotFoundError
from archiver.find.snapshot import day_window

# Where clocks are set back by two hours, a day lasts 26.
LONGEST_DAY_SECONDS = 26 * 3600


def nothing_found(request: FetchRequest, catalog: Catalog) -> list[ArchiverError]:
    """Return the failure that nothing was found: none if a day recorded as empty was asked for."""
    window = request.window
    if request.in_words:
        looked = sum(
            len(catalog.numbers(source.name, window.start, window.end))
            for source in request.sources
        )
        hint = "write it exactly as in the log; or use --text, which finds it anywhere in a line"
        return [_not_found(request, f"no line with {request.in_words}", looked, hint)]
    looked = 0
    for source in request.sources:
        since = window.start - LONGEST_DAY_SECONDS
        for archive in catalog.between(source.name, since, window.end):
            day = archive.manifest.date
            of_day = day_window(day, day, request.config.host.zone)
            if archive.manifest.is_empty_day and of_day.end > window.start:
                return []
            looked += not archive.manifest.is_empty_day
    hint = "`archiver list` shows which days are archived"
    return [_not_found(request, "no line of that time", looked, hint)]


def _not_found(request: FetchRequest, what: str, looked: int, hint: str) -> NotFoundError:
    names = ", ".join(source.name for source in request.sources)
    also = "" if request.archived else ", the spool and the live log"
    return NotFoundError(
        f"{what} in {names}: looked in {count(looked, 'archive')}{also}", hint=hint
    )


def destroyed(request: FetchRequest, catalog: Catalog) -> list[ArchiverError]:
    """Say which archives of the time asked for were destroyed, or were ordered to be, if any."""
    gone = [
        archive
        for source in request.sources
        for archive in catalog.summaries(source.name)
        if archive.ordered and request.window.meets(archive.earliest, archive.latest)
    ]
    if not gone:
        return []
    first, last = (pick(archive.date for archive in gone) for pick in (min, max))
    days = f"{first}" if first == last else f"{first} to {last}"
    archives = count(len(gone), "archive")
    numbers = sorted(archive.destroyed for archive in gone if archive.destroyed)
    by = " (the order is being carried out)"
    if numbers:
        span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        by = f" (certificate {span})"
    return [
        ExpiredError(
            f"{archives} of {days} had to be destroyed: the retention was over{by}",
            hint="`archiver retention ask deletions` shows on which basis",
        )
    ]
