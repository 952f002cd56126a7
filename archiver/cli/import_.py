"""`archiver import`."""

from pathlib import Path
from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.cli.options import source_option, sources_named
from archiver.cli.run import line, summary
from archiver.errors import ArchiverError, UsageError, worst
from archiver.index.merge import merge_indexes
from archiver.rotation.importing import Adopted, adopt, oldest_first
from archiver.stores.session import started


@click.command("import", short_help="Adopt logs that others rotated.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@source_option("The source they belong to.", multiple=False)
@click.option("--remove", is_flag=True, help="Delete each file once its copies were verified.")
@verb
def import_files(
    invocation: Invocation, files: tuple[Path, ...], name: str | None, remove: bool
) -> Answer:
    """Archive FILES that newsyslog or logrotate left: plain, .gz, .bz2, .xz or .zst.

    Each is cut into its log dates. Lines that are archived already, as a whole file, are not
    stored again. The files are left as they are unless --remove is given.
    """
    config = invocation.config()
    sources = sources_named(config, [name] if name else [])
    if len(sources) != 1:
        raise UsageError("there are several sources", hint=f"say which: --source {sources[0].name}")
    adopted: list[Adopted] = []
    failures: list[ArchiverError] = []
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        for path in oldest_first(files):
            try:
                adopted.append(adopt(session, sources[0], path, remove=remove))
            except ArchiverError as failure:
                failures.append(failure)
        merge_indexes(session, sources[0])
        failures += session.problems
    return Answer(
        data={"files": [_data(each) for each in adopted]},
        text="\n".join(_text(each) for each in adopted),
        failures=failures,
        exit_status=worst(failures),
    )


def _data(each: Adopted) -> dict[str, Any]:
    return {
        "path": str(each.path),
        "already_archived": each.known,
        "removed": each.removed,
        "archived": [] if each.known else [summary(manifest) for manifest in each.manifests],
    }


def _text(each: Adopted) -> str:
    if each.known:
        return f"{each.path}: archived before, stored once"
    if not each.manifests:
        return f"{each.path}: empty, nothing to archive"
    return "\n".join([f"{each.path}:", *(f"  {line(manifest)}" for manifest in each.manifests)])
