"""Make all indexes anew from the archives: the same bytes, if the same kinds of key are wanted."""

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


def reindex(session: Session, source: Source) -> int:
    """Make the indexes of all archives of a source, and its merged indexes; return how many
    archives got an index.

    Failures become problems of the session. The archives are only read.
    """
    config = session.config
    wanted = [each for each in session.catalog.summaries(source.name) if each.has_archive]
    size = sum(each.raw_size for each in wanted)
    directory, made = config.host.work_dir, 0
    with emptied(directory):
        maker = Indexing(config.host.name, config.index.keys, directory, size, session.problems)
        with maker, session.meter(f"indexing {source.name}", size) as advance:
            for summary in wanted:
                for archived in session.catalog.numbered(source.name, [summary.sequence]):
                    if archived.manifest.manifest_key == summary.key:
                        made += _index(session, archived, maker, directory, advance)
    expired = session.catalog.expired_numbers(source.name)
    for span in spans(session.catalog.head(source.name).sequence, expired):
        drop(session.catalog, session.stores, source.name, span)
    merge_indexes(session, source)
    return made


def _index(
    session: Session, archived: Archived, maker: Indexing, directory: Path, advance: Advance
) -> bool:
    """Make one archive's index, and copy it to the stores that have the archive."""
    manifest, path = archived.manifest, directory / f"archive{INDEX_SUFFIX}"
    stores = [store for store in session.stores if store.name in archived.copies]
    read = 0
    for _, _, data in frames([WantedFrames(manifest, manifest.frames, stores)], session.problems):
        maker.add(data)
        read += 1
        advance(len(data))
    maker.finish(path, bytes.fromhex(manifest.sha256))
    if read < len(manifest.frames):
        session.problems.add(
            IndexFailedError(
                f"{manifest.index_key} was not made: {len(manifest.frames) - read} of the "
                f"archive's {len(manifest.frames)} frames could not be read",
                hint="`archiver repair`, then `archiver catalog rebuild --index` again",
            )
        )
        return False
    if not path.exists():
        return False
    for store in stores:
        try:
            bring(session.catalog, store, manifest.index_key, path)
        except ArchiverError as problem:
            session.problems.add(problem)
    return True
