"""`archiver catalog`."""

import click

from archiver.catalog import opened
from archiver.catchup import rebuild as rebuild_
from archiver.cli.answer import Answer, Invocation, verb
from archiver.durable import exclusive, make_directory
from archiver.errors import explained
from archiver.overview import worst
from archiver.stores import open_stores


@click.group(short_help="Rebuild the catalog from the stores.")
def catalog() -> None:
    """The catalog is derived data: the stores alone are the truth."""


@catalog.command(short_help="Make the catalog anew from the stores alone.")
@verb
def rebuild(invocation: Invocation) -> Answer:
    """Read every manifest on the stores and make the catalog anew, whatever the old one was."""
    config = invocation.config()
    with explained("rebuilding the catalog"):
        make_directory(config.host.state_dir)
        with exclusive(config.host.state_dir / "lock"):
            stores = open_stores(config.storage)
            problems = rebuild_(config.host.catalog, config.host.name, stores)
            with opened(config.host.catalog, config.host.name) as fresh:
                count = fresh.count()
    return Answer(
        data={"manifests": count, "problems": len(problems)},
        text=f"{count} manifests catalogued from {', '.join(store.name for store in stores)}",
        failures=problems,
        exit_status=worst(problems),
    )
