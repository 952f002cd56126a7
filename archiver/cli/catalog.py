"""`archiver catalog`."""

import click

from archiver.catalog import opened
from archiver.cli.answer import Answer, Invocation, verb
from archiver.errors import UsageError, explained, worst
from archiver.index.rebuild import reindex
from archiver.stores import open_stores
from archiver.stores.catch_up import rebuild as rebuild_
from archiver.stores.session import started
from archiver.system.files import exclusive, make_directory


@click.group(short_help="Rebuild the catalog from the stores.")
def catalog() -> None:
    """The catalog is derived data: the stores alone are the truth."""


@catalog.command(short_help="Make the catalog anew from the stores alone.")
@click.option("--index", "also_index", is_flag=True, help="Make the archives' indexes anew, too.")
@verb
def rebuild(invocation: Invocation, also_index: bool) -> Answer:
    """Read every manifest on the stores and make the catalog anew, whatever the old one was.

    With --index every archive is read, too, and its index made anew: after `index.keys` was
    changed, or where an index is missing or damaged. The archives are never touched.
    """
    config = invocation.config()
    if also_index and not config.index.keys:
        raise UsageError("`index.keys` is empty: nothing is to be indexed", hint="name some keys")
    with explained("rebuilding the catalog"):
        make_directory(config.host.state_dir)
        with exclusive(config.host.state_dir / "lock"):
            stores = open_stores(config.storage)
            problems = rebuild_(config.host.catalog, config.host.name, stores)
            with opened(config.host.catalog, config.host.name) as fresh:
                count = fresh.count()
    text = f"{count} manifests catalogued from {', '.join(store.name for store in stores)}"
    indexed = 0
    if also_index:
        with started(config, now=invocation.now, meter=invocation.meter) as session:
            indexed = sum(reindex(session, source) for source in config.sources)
            problems = session.problems
        text += f"; {indexed} archives indexed"
    return Answer(
        data={"manifests": count, "indexed": indexed, "problems": len(problems)},
        text=text,
        failures=problems,
        exit_status=worst(problems),
    )
