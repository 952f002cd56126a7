"""What becomes of a closed segment.

    closed segment → sealed → copied → read back → catalogued → released

Each step recognises its own finished output. A segment that was stored in part is only ever
sealed again exactly as before: the stores then get the same bytes under the same keys, which
completes what is missing, instead of a second archive of the same lines.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from archiver import __version__
from archiver.archives.manifest import Head, Manifest, Segment, digest
from archiver.archives.names import parse
from archiver.config.settings import Source
from archiver.errors import IntegrityError
from archiver.rotation import release, seal
from archiver.rotation.spool import Entry, Journal
from archiver.rotation.turn import Turn
from archiver.stores import copy
from archiver.stores.session import Session
from archiver.system.streams import Metered, Readable


def bring_missing(session: Session, source: Source) -> None:
    """Copy to each store what it is missing; one that still fails gets no more from this run."""
    if not session.unchained:
        session.leave_behind(source.name, session.sync().fill(source))


def finish(session: Session, source: Source, journal: Journal, entry: Entry) -> list[Manifest]:
    """Take a closed entry of the spool through all the steps that are left for it.

    Returns what was delivered: nothing if its lines are in the stores already.
    """
    if entry.sealed.exists():
        session.demand_chain()  # else nobody knows whether it still fits
    if not session.knows_who_is_behind(source.name):
        bring_missing(session, source)
    known = session.catalog.of_segment_named(source.name, entry.name)
    delivered: list[Manifest] = []
    if entry.sealed.exists() and (unfit := why_unfit(session, source, entry)):
        may_be_made_again(entry, known, unfit)
        journal.unseal(entry)
    if entry.segment.exists() and not entry.sealed.exists():
        with open(entry.segment, "rb") as segment:
            seal_segment(session, source, entry, segment, segment, known)
    if entry.sealed.exists() and not is_archived(session, source, entry):
        delivered = deliver(session, entry)
    journal.end(entry)
    return delivered


def seal_segment(
    session: Session,
    source: Source,
    entry: Entry,
    file: BinaryIO,
    log: Readable,
    known: Sequence[Manifest] = (),
) -> None:
    """Archive the lines of `log`, which is `file`, or `file` decompressed.

    Progress is shown by how far `file` was read. known: what the stores have of this segment
    already; that is made again exactly as it was. Raises: IntegrityError: its first part is gone.
    """
    recipe = recipe_of(session, source)
    if session.unchained or not known:
        head = chain_head(session, source)
    else:
        first = known[0]
        if not first.segment or first.segment.part != 1:
            raise IntegrityError(
                f"{first.manifest_key} is stored, but the first part of its segment is not",
                hint=f"restore that from another copy; {entry.segment} is kept until then",
            )
        head = Head(first.sequence - 1, first.previous)
        recipe = replace(
            recipe,
            compress=replace(recipe.compress, level=first.level),
            now=first.sealed_at,
            tool_version=first.tool_version,
        )
    size = os.fstat(file.fileno()).st_size
    with session.meter(f"archiving {source.name}", size) as advance:
        metered = Metered(log, file, advance)
        seal.seal(entry, metered, recipe, head, size=size, problems=session.problems)


def deliver(session: Session, entry: Entry) -> list[Manifest]:
    """Copy what was sealed, and catalogue it once enough stores gave it back.

    Raises: the first store's failure, if too few did; everything is kept then.
    """
    delivered = []
    for manifest, document in seal.sealed(entry):
        stores = session.stores_level_in(manifest.source)
        copies = copy.copy(entry.sealed, manifest, document, stores, now=session.now)
        if len(copies.stores) < session.config.storage.required:
            # That a store is behind, or away, is among the problems already.
            first, *others = copies.failures or session.problems[:1]
            session.problems.add(*others)
            raise first
        session.problems.add(*copies.failures)
        failed = {store.name for store in stores} - set(copies.stores)
        session.leave_behind(manifest.source, failed)
        session.catalog.add(document, copies.stores, copies.indexes, copies.receipts)
        delivered.append(manifest)
    return delivered


def chain_head(session: Session, source: Source) -> Head:
    """Return the end of the chain. Raises where it is not known: sealing would fork the chain."""
    session.demand_chain()
    head = session.catalog.head(source.name)
    for problem in session.problems:
        if problem.key:
            key = parse(problem.key)
            # What could not be read might be the next manifest, or has no number in its name.
            if key.source == source.name and (key.number is None or key.number > head.sequence):
                raise problem
    return head


def recipe_of(session: Session, source: Source) -> seal.Recipe:
    config = session.config
    origin = seal.Origin(config.host.name, source.name, config.host.zone)
    return seal.Recipe(
        origin, config.compress, session.now, config.index.keys, tool_version=__version__
    )


def why_unfit(session: Session, source: Source, entry: Entry) -> IntegrityError | None:
    """Return why what was sealed cannot be delivered, None if it can. It may be damaged, or not
    whole, or not fit the end of the chain, because it was sealed with an outdated catalog.
    """
    try:
        sealed = seal.check_sealed(entry)
    except IntegrityError as error:
        return error
    if not sealed or any(
        session.catalog.digest_of(manifest.manifest_key) == digest(document)
        for manifest, document in sealed
    ):
        return None  # nothing was sealed, or it was delivered in part: that is continued
    first, _ = sealed[0]
    head = session.catalog.head(source.name)
    if (first.sequence, first.previous) == (head.sequence + 1, head.digest):
        return None
    return IntegrityError(
        f"{entry.sealed} does not follow the newest manifest of {source.name}",
        hint="it was sealed with an outdated catalog, and its segment (.log) is gone: compare its "
        "archives with the stores, and remove them only if all are there",
    )


def may_be_made_again(entry: Entry, known: Sequence[Manifest], unfit: IntegrityError) -> None:
    """Raise `unfit` if what was sealed is the only copy of its lines, or was stored in part."""
    if entry.segment.exists():
        return  # from that it is made again; if stored in part, exactly as it was
    if known or entry.intent.origin == "run":
        raise unfit
    # An import's file is still where it was, and days without lines are found again.


def is_archived(session: Session, source: Source, entry: Entry) -> bool:
    """Whether the lines of what was sealed for an import are stored already, from a file of
    the same bytes, whatever its name or compression.
    """
    if entry.intent.origin != "import":
        return False
    segments = [manifest.segment for manifest, _ in seal.sealed(entry)]
    return bool(segments and segments[0] and parts_of(session, source, segments[0]))


def parts_of(session: Session, source: Source, segment: Segment) -> list[Manifest]:
    """Return the archives of another segment with the same bytes; none unless all are there."""
    found: dict[str, list[Manifest]] = {}
    for manifest in session.catalog.of_segment(source.name, sha256=segment.sha256):
        if manifest.segment and manifest.segment.name != segment.name:
            found.setdefault(manifest.segment.name, []).append(manifest)
    return next((parts for parts in found.values() if seal.is_whole(parts)), [])


def release_all(turn: Turn) -> None:
    """Make the writer let go of every segment that it may still hold, and wait for the proof."""
    for entry in turn.journal.entries():
        # As long as it is also the live log, the writer would only open it again.
        if entry.open_segment.exists() and not entry.is_live():
            release.request_reopen(turn.source.reopen, timeout=turn.source.reopen_timeout)
            release.release(entry, timeout=turn.source.reopen_timeout)


def finish_all(turn: Turn) -> None:
    """Finish the closed segments, oldest first, up to the first that is still open."""
    for entry in turn.journal.entries():
        if entry.open_segment.exists() or turn.session.asked_to_stop():
            break  # it is not closed yet, and later ones have to wait for it
        turn.report.archived += finish(turn.session, turn.source, turn.journal, entry)
