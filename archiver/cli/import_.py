"""`archiver import`."""

from pathlib import Path
from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.cli.options import source_option, sources_named
from archiver.cli.run import archive_data, archive_line
from archiver.errors import ArchiverError, Problems, UsageError
from archiver.index.merge import merge_indexes
from archiver.rotation.importing import Adopted, adopt, oldest_first
from archiver.stores.session import started


@click.command("import", short_help="Archive logs that another program rotated.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@source_option("The source that the files belong to.", multiple=False)
@click.option("--remove", is_flag=True, help="Delete each file once its copies have been verified.")
@verb
def import_files(
    invocation: Invocation, files: tuple[Path, ...], name: str | None, remove: bool
) -> Answer:
    """Archive FILES that newsyslog or logrotate left: plain, .gz, .bz2, .xz or .zst.

    Each is cut into its log dates. A file whose lines are archived already, as a whole file, is not
    stored again. The files are left as they are unless --remove is given.
    """
    config = invocation.config()
    sources = sources_named(config, [name] if name else [])
    if len(sources) != 1:
        raise UsageError(
            f"{config.path} has several sources", hint=f"name one: --source {sources[0].name}"
        )
    adopted: list[Adopted] = []
    failures = Problems()
    with started(config, now=invocation.now, meter=invocation.meter) as session:
        for path in oldest_first(files):
            try:
                adopted.append(adopt(session, sources[0], path, remove=remove))
            except ArchiverError as failure:
                failures.add(failure)
        merge_indexes(session, sources[0])
        failures.add(*session.problems)
    return Answer(
        data={"files": [_data(each) for each in adopted]},
        text="\n".join(_text(each) for each in adopted),
        failures=failures,
        exit_status=failures.worst,
    )


def _data(file: Adopted) -> dict[str, Any]:
    return {
        "path": str(file.path),
        "already_archived": file.known,
        "removed": file.removed,
        "archived": [] if file.known else [archive_data(manifest) for manifest in file.manifests],
    }


def _text(file: Adopted) -> str:
    if file.known:
        return f"{file.path}: was archived before, not stored again"
    if not file.manifests:
        return f"{file.path}: empty, nothing to archive"
    return "\n".join(
        [f"{file.path}:", *(f"  {archive_line(manifest)}" for manifest in file.manifests)]
    )
