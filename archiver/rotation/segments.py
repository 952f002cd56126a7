"""What becomes of a closed segment, in a run under way.

    closed segment → sealed → copied → read back → catalogued → released

Each step recognises its own finished output. What has been stored in part is only ever made
again exactly as it was: the stores then see the same bytes under the same keys, and missing
copies are made, instead of a second archive of the same lines.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from archiver import __version__
from archiver.archives.manifest import Head, Manifest, Segment, digest
from archiver.archives.names import parse
from archiver.config.settings import Source
from archiver.errors import ChainError, IntegrityError
from archiver.rotation import release, seal
from archiver.rotation.spool import Entry, Journal
from archiver.rotation.turn import Turn
from archiver.stores import copy
from archiver.stores.session import Session
from archiver.system.streams import Metered, Readable


def bring_missing(session: Session, source: Source) -> None:
    """Bring the stores what they missed; those that still fail are left alone by this run."""
    if not session.unchained:
        session.leave_behind(source.name, session.sync().fill(source))


def finish(session: Session, source: Source, journal: Journal, entry: Entry) -> list[Manifest]:
    """Bring a closed entry of the spool to its end, from wherever it is.

    Returns what was delivered: nothing, if its lines are in the stores already.
    """
    if entry.sealed.exists():
        session.demand_chain()  # else whether it still fits cannot be known
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
    """Archive what `log` gives, showing how far `file`, which it comes from, was read.

    known: what the stores have of this segment already; it is made again as it was.
    """
    recipe = recipe_of(session, source)
    if session.unchained or not known:
        head = chain_head(session, source)
    else:
        first = known[0]
        if not first.segment or first.segment.part != 1:
            raise IntegrityError(
                f"{first.manifest_key} is stored, but no earlier part of its segment",
                hint=f"bring that back from another copy; {entry.segment} is kept until then",
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
            # A store that is behind, or away, was told of already.
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
    """The end of the chain. Where it cannot be known, sealing would fork it: refused."""
    session.demand_chain()
    head = session.catalog.head(source.name)
    for problem in session.problems:
        if isinstance(problem, ChainError):
            key = parse(problem.key)
            # A name that says no number might be the next one.
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
    """Why what was sealed cannot be delivered, if so: it is not sound, or not whole, or does
    not fit the end of the chain, because the catalog was an old one then.
    """
    try:
        sealed = seal.check_sealed(entry)
    except IntegrityError as error:
        return error
    if not sealed or any(
        session.catalog.digest_of(manifest.manifest_key) == digest(document)
        for manifest, document in sealed
    ):
        return None  # nothing, or delivered in part: it goes on as it is
    first, _ = sealed[0]
    head = session.catalog.head(source.name)
    if (first.sequence, first.previous) == (head.sequence + 1, head.digest):
        return None
    return IntegrityError(
        f"{entry.sealed} does not follow the newest manifest of {source.name}",
        hint="the catalog was an old one when it was sealed; it is made again",
    )


def may_be_made_again(entry: Entry, known: Sequence[Manifest], unfit: IntegrityError) -> None:
    """Raise `unfit` if what was sealed is all there is of its lines, or was stored in part."""
    if entry.segment.exists():
        return  # from it, and if stored in part, exactly as it was
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
    """Return all the archives of another segment with the same bytes; none, if not all."""
    found: dict[str, list[Manifest]] = {}
    for manifest in session.catalog.of_segment(source.name, sha256=segment.sha256):
        if manifest.segment and manifest.segment.name != segment.name:
            found.setdefault(manifest.segment.name, []).append(manifest)
    return next((parts for parts in found.values() if seal.is_whole(parts)), [])


def release_all(turn: Turn) -> None:
    """Make the writer let go of whatever it may still hold, and see that it does."""
    for entry in turn.journal.entries():
        # If it still is the log, nobody can be made to let go of it.
        if entry.open_segment.exists() and not entry.is_live():
            release.tell(turn.source.reopen, timeout=turn.source.reopen_timeout)
            release.release(entry, timeout=turn.source.reopen_timeout)


def finish_all(turn: Turn) -> None:
    for entry in turn.journal.entries():
        if entry.open_segment.exists() or turn.session.asked_to_stop():
            break  # not closed yet, and what comes after it has to wait
        turn.report.archived += finish(turn.session, turn.source, turn.journal, entry)
