"""Make all indexes anew from the archives: the same bytes, if the same keys are wanted."""

from pathlib import Path

from archiver.archives.names import INDEX_SUFFIX
from archiver.archives.reader import WantedFrames, frames
from archiver.catalog import Archived
from archiver.config.settings import Source
from archiver.errors import ArchiverError, IndexFailedError
from archiver.index.build import Indexing
from archiver.index.merge import bring, drop, merge_indexes
from archiver.index.spans import spans
from archiver.stores.session import Session
from archiver.system.files import emptied
from archiver.system.streams import Advance


def reindex(run: Session, source: Source) -> int:
    """Make the indexes of all of a source's archives, and its runs; return how many archives.

    What is wrong becomes a problem of the run; the archives are only read.
    """
    config = run.config
    wanted = [each for each in run.catalog.summaries(source.name) if each.is_there]
    size = sum(each.raw_size for each in wanted)
    directory, made = config.host.work_dir, 0
    with emptied(directory):
        maker = Indexing(config.host.name, config.index.keys, directory, size, run.problems)
        with maker, run.meter(f"indexing {source.name}", size) as advance:
            for each in wanted:
                for archived in run.catalog.numbered(source.name, [each.sequence]):
                    if archived.manifest.manifest_key == each.key:
                        made += _index(run, archived, maker, directory, advance)
    expired = run.catalog.expired_numbers(source.name)
    for span in spans(run.catalog.head(source.name).sequence, expired):
        drop(run.catalog, run.stores, source.name, span)
    merge_indexes(run, source)
    return made


def _index(
    run: Session, archived: Archived, maker: Indexing, directory: Path, advance: Advance
) -> bool:
    """Make one archive's index, and bring it to the stores that have the archive."""
    manifest, path = archived.manifest, directory / f"archive{INDEX_SUFFIX}"
    stores = [store for store in run.stores if store.name in archived.copies]
    read = 0
    for _, _, data in frames([WantedFrames(manifest, manifest.frames, stores)], run.problems):
        maker.add(data)
        read += 1
        advance(len(data))
    maker.finish(path, bytes.fromhex(manifest.sha256))
    if read < len(manifest.frames):
        run.problems.append(
            IndexFailedError(
                f"{manifest.index_key}: not made, {len(manifest.frames) - read} frames are damaged",
                hint="bring the archive back from another copy",
            )
        )
        return False
    if not path.exists():
        return False
    for store in stores:
        try:
            bring(run.catalog, store, manifest.index_key, path)
        except ArchiverError as problem:
            run.problems.append(problem)
    return True
