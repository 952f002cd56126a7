"""`archiver catalog`."""

import click

from archiver.catalog import opened
from archiver.cli.answer import Answer, Invocation, count, verb
from archiver.errors import UsageError, explained
from archiver.index.rebuild import reindex
from archiver.stores import open_stores
from archiver.stores.catch_up import rebuild as rebuild_
from archiver.stores.session import started
from archiver.system.files import exclusive, make_directory


@click.group(short_help="Rebuild the catalog from the stores.")
def catalog() -> None:
    """The catalog only repeats what the stores hold: it can be rebuilt from them at any time."""


@catalog.command(short_help="Make a new catalog from the stores alone.")
@click.option(
    "--index", "also_index", is_flag=True, help="Also make the indexes of all archives anew."
)
@verb
def rebuild(invocation: Invocation, also_index: bool) -> Answer:
    """Read every manifest on the stores and make a new catalog, whatever the old one held.

    With --index every archive is read, too, and its index made anew: use it after a change of
    `index.keys`, or if an index is missing or damaged. The archives are never touched.
    """
    config = invocation.config()
    if also_index and not config.index.keys:
        raise UsageError(
            f"`index.keys` in {config.path} is empty: there is nothing to index",
            hint="list some kinds of keys there, or leave out --index",
        )
    with explained("rebuilding the catalog"):
        make_directory(config.host.state_dir)
        with exclusive(config.host.state_dir / "lock"):
            stores = open_stores(config.storage)
            problems = rebuild_(config.host.catalog, config.host.name, stores)
            with opened(config.host.catalog, config.host.name) as fresh:
                manifests = fresh.count()
    names = ", ".join(store.name for store in stores)
    text = f"{count(manifests, 'manifest')} catalogued from {names}"
    indexed = 0
    if also_index:
        with started(config, now=invocation.now, meter=invocation.meter) as session:
            indexed = sum(reindex(session, source) for source in config.sources)
            problems = session.problems
        text += f"; {count(indexed, 'archive')} indexed"
    return Answer(
        data={"manifests": manifests, "indexed": indexed, "problems": len(problems)},
        text=text,
        failures=problems,
        exit_status=problems.worst,
    )
