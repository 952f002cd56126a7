"""Options that several verbs have, declared once; and the names that are given with them."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import click

from archiver.cli.completion import sources
from archiver.config.settings import Config, Source
from archiver.errors import UsageError

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
WHICH_HOST = "With --store: which of its hosts."


def source_option(
    text: str = "Only this source; may be repeated.", *, multiple: bool = True
) -> Option:
    """Return `--source`: as `names`, a tuple; if not multiple, as `name`."""
    return click.option(
        "--source",
        "names" if multiple else "name",
        multiple=multiple,
        metavar="NAME",
        shell_complete=sources,
        help=text,
    )


def host_option(text: str = WHICH_HOST) -> Option:
    """Return `--host`, as `host`."""
    return click.option("--host", metavar="NAME", help=text)


def date_option(text: str = "Only these log dates.") -> Option:
    """Return `--date`, as `day`: to be read by `dates.days`."""
    return click.option("--date", "day", metavar="D|D..D", help=text)


def from_option(text: str, metavar: str) -> Option:
    """Return `--from`, as `start`. metavar: D for a date, T where it may be a time."""
    return click.option("--from", "start", metavar=metavar, help=text)


def to_option(text: str, metavar: str) -> Option:
    """Return `--to`, as `end`. metavar: as for `from_option`."""
    return click.option("--to", "end", metavar=metavar, help=text)


def sources_named(config: Config, names: Sequence[str]) -> list[Source]:
    """Return the sources of these names, as configured; all of them, if none is named.

    Raises: UsageError: there is no such source.
    """
    known = [source.name for source in config.sources]
    refuse_unknown("source", names, known, f" in {config.path}")
    return [source for source in config.sources if not names or source.name in names]


def refuse_unknown(
    kind: str, names: Sequence[str], known: Collection[str], where: str = ""
) -> None:
    """Refuse names that are not known. where: after the name, such as " in FILE".

    Raises: UsageError.
    """
    for name in names:
        if name not in known:
            raise UsageError(f"no {kind} {name!r}{where}", hint=f"one of: {', '.join(known)}")
