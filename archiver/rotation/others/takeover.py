"""Archive the files that another rotator left of a log: `coexist = "adopt"`.

    found by their names → closed, and not just made → are their lines archived? → adopted

Nothing is renamed, changed or removed. Whether lines are archived is decided by their digest, which
the catalog has of every segment, whatever the file's name or compression. A note of the files seen
saves reading them again; if it is lost or damaged, it counts as empty.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archiver.archives.manifest import Manifest
from archiver.config.settings import Source
from archiver.errors import (
    ArchiverError,
    DamagedInputError,
    NotFoundError,
    SecondRotatorError,
    WorkKeptError,
    WriterHoldsError,
    explained,
)
from archiver.rotation import release, seal
from archiver.rotation.importing import adopt, lines_of
from archiver.rotation.others.rotators import Rotator
from archiver.rotation.turn import Taken, Turn
from archiver.stores.session import Session
from archiver.system import state_files

# .0 .1; -20261126, -2026112603, -2026-11-26; .20261126T000000: logrotate(8), dateext and
# dateformat; newsyslog(8), -t.
STAMP = r"(?:\.\d{1,9}|[-._]\d{4}(?:[-_.]?\d\d){2}(?:[-T_.]?\d{1,10}){0,3})"
PACKED = r"(?:\.(?:gz|bz2|xz|zst))?"
# In seconds: a file that was renamed or written more recently may be about to be compressed.
QUIET = 60
# So many bytes at the beginning of a log tell it from others.
HEAD = 4096


@dataclass
class Noted:
    """What the last run noted. files: identities of files whose lines are archived. head: length
    and SHA-256 of the beginning of the live log, at most HEAD bytes.
    """

    files: set[str] = field(default_factory=set)
    head: tuple[int, str] = (0, "")


def refusal(source: Source, other: Rotator) -> SecondRotatorError:
    return SecondRotatorError(
        f"{source.path} was left as it is: {other} rotates it, too",
        hint=f"take the log out of {other.file}, line {other.line}; or let it rotate the log, and "
        f'set coexist = "adopt" for source {source.name}, which archives what it leaves',
    )


def is_left_of(name: str, log: str) -> bool:
    """Whether this is a name that rotators give to an older file of that log: maillog.0,
    maillog-20261126.gz, mail-20261126.log (of mail.log).
    """
    stem, extension = os.path.splitext(log)
    forms = [re.escape(log) + STAMP]
    if stem and extension:
        forms.append(re.escape(stem) + STAMP + re.escape(extension))
    return re.fullmatch(f"(?:{'|'.join(forms)}){PACKED}", name, re.ASCII) is not None


def left(source: Source, directories: Iterable[str], others: Iterable[Path]) -> list[Path]:
    """Return the plain files that a rotator left of a log, the oldest first.

    directories: where to look, apart from the log's own. others: logs of other sources, which
    are not such files even if they are named so.
    """
    found: dict[Path, float] = {}
    for directory in dict.fromkeys([str(source.path.parent), *directories]):
        with suppress(FileNotFoundError):
            for entry in os.scandir(directory):
                path = Path(entry.path)
                if is_left_of(entry.name, source.path.name) and path not in others:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            found[path] = status.st_mtime
    return sorted(found, key=lambda path: (found[path], path))


def listed(session: Session, source: Source, directories: Iterable[str]) -> set[tuple[int, int]]:
    """Return device and inode of all files left so far: if one is new, the log was rotated."""
    found = set()
    for path in left(source, directories, {each.path for each in session.config.sources}):
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            found.add((status.st_dev, status.st_ino))
    return found


def take_over(session: Session, source: Source, directories: Sequence[str] = ()) -> Taken:
    """Archive the files left of a source's log, but those whose lines are archived already."""
    seen = load(session.config.host.state_dir, source.name)
    taken, known = Taken(listed=listed(session, source, directories)), set[str]()
    others = {each.path for each in session.config.sources}
    paths = left(source, directories, others)
    for path in paths:
        try:
            with explained(f"looking at {path}"):
                identity = identity_of(path)
                if identity not in seen.files and not _take(session, source, path, paths, taken):
                    continue
                known.add(identity)
        except (FileNotFoundError, NotFoundError):
            taken.waiting.append(f"{path} disappeared while it was looked at")
        except ArchiverError as failure:
            taken.failures.add(failure)
            if not isinstance(failure, (DamagedInputError, WriterHoldsError)):
                break  # the next file would meet the same failure
    taken.unbroken = taken.has(seen.head)
    complete = not (taken.waiting or taken.failures)
    head = head_of(source.path) if complete else seen.head
    with explained("noting what was taken over"):
        save(session.config.host.state_dir, source.name, Noted(known, head))
    return taken


def _take(session: Session, source: Source, path: Path, paths: list[Path], taken: Taken) -> bool:
    """Archive one file; return whether its lines are archived now."""
    status = os.lstat(path)
    with suppress(FileNotFoundError):
        if os.path.samestat(status, os.stat(source.path)):
            taken.waiting.append(f"{path} is still the live log")
            return False
    # abs: a time far in the future only shows a wrong clock, and does not keep the file waiting.
    if abs(session.now + session.seconds - max(status.st_mtime, status.st_ctime)) < QUIET:
        taken.waiting.append(f"{path} was made just now")
        return False
    if not release.look(path).proven:
        found = release.who_writes(path)
        who = ", ".join(map(str, found.holders)) or found.unknown or "somebody"
        raise WriterHoldsError(
            f"{path} was rotated, but is still open for writing: {who}",
            hint="it is archived as soon as it is closed; if syslogd has it open, the other "
            "rotator did not make it reopen its log",
        )
    plain = path.with_suffix("")
    packed = plain != path and re.fullmatch(PACKED, path.suffix)
    if packed and plain in paths and _is_part_of(path, plain):
        # It is being made, or was left half made: the plain file counts. If that is not archived
        # after all, this one is looked at again.
        return False
    sha256 = hashlib.sha256()
    head = b""
    with lines_of(session, path) as log:
        while chunk := log.read(2**18):
            sha256.update(chunk)
            head += chunk[: HEAD - len(head)]
    if identity_of(path) != _identity(status, path):
        raise WorkKeptError(f"{path} changed while it was read", hint="the next run tries again")
    if head and not _is_archived(session, source, sha256.hexdigest()):
        taken.manifests += adopt(session, source, path, remove=False).manifests
    taken.heads.append(head)
    taken.inodes.add((status.st_dev, status.st_ino))
    return True


def _is_archived(session: Session, source: Source, digest: str) -> bool:
    """Whether a segment of these bytes is archived whole, whoever rotated it."""
    parts: dict[str, list[Manifest]] = {}
    for manifest in session.catalog.of_segment(source.name, sha256=digest):
        if manifest.segment:
            parts.setdefault(manifest.segment.name, []).append(manifest)
    return any(seal.is_whole(manifests) for manifests in parts.values())


def _is_part_of(packed: Path, plain: Path) -> bool:
    """Whether a compressed file holds the beginning of the plain one, as far as it can be read."""
    with open(plain, "rb") as whole:
        try:
            with lines_of(None, packed) as log:
                while chunk := log.read(2**18):
                    if whole.read(len(chunk)) != chunk:
                        return False
        except DamagedInputError:
            pass
    return True


# -- the note -----------------------------------------------------------------------------


def identity_of(path: Path) -> str:
    """Return what tells a file from others, and from itself after a change; not its name."""
    return _identity(os.lstat(path), path)


def _identity(status: os.stat_result, path: Path) -> str:
    # The last bytes are gzip's checksum, or the last lines of a plain log.
    with open(path, "rb") as file:
        first = file.read(HEAD)
        file.seek(max(status.st_size - HEAD, 0))
        ends = hashlib.sha256(first + file.read(HEAD)).hexdigest()
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{ends}"


def head_of(log: Path) -> tuple[int, str]:
    """Return length and SHA-256 of a log's first HEAD bytes; length 0 if it is empty or missing."""
    try:
        with open(log, "rb") as file:
            first = file.read(HEAD)
    except OSError:
        return 0, ""
    return len(first), hashlib.sha256(first).hexdigest()


def load(state_dir: Path, source: str) -> Noted:
    return state_files.load(_file_of(state_dir, source), _read) or Noted()


def _read(document: Any) -> Noted:  # noqa: ANN401 (JSON, not checked yet)
    files, (length, digest) = document["files"], document["head"]
    if type(length) is not int or not all(type(text) is str for text in [*files, digest]):
        raise TypeError("not a note of taken-over files")
    return Noted(set(files), (length, digest))


def save(state_dir: Path, source: str, noted: Noted) -> None:
    document = {"files": sorted(noted.files), "head": noted.head}
    state_files.save(_file_of(state_dir, source), document)


def _file_of(state_dir: Path, source: str) -> Path:
    return state_dir / f"adopted-{source}.json"


# -- in a night ---------------------------------------------------------------------------


def is_left_to_another(turn: Turn) -> bool:
    """Whether another program rotates the log, and we only archive what it leaves.

    Raises: SecondRotatorError: another program rotates it, and `coexist` is "refuse".
    """
    certain = (each for each in turn.rotators.of(turn.source.path) if each.certain)
    turn.other = next(certain, None)
    if turn.other is None:
        return False
    if turn.source.coexist == "refuse":
        raise refusal(turn.source, turn.other)
    turn.report.reason = f"left to {turn.other}"
    return True


def take_over_the_rest(turn: Turn) -> None:
    """Archive what another rotator left of the log, once no segment of ours waits before it."""
    if turn.source.coexist != "adopt" or turn.journal.entries():
        return
    # Even if nobody else rotates it any more: the last files may still be there.
    found = {each.directory for each in turn.rotators.of(turn.source.path)} - {""}
    turn.directories = sorted(found)
    turn.taken = take_over(turn.session, turn.source, turn.directories)
    turn.report.archived += turn.taken.manifests
    turn.report.waiting += turn.taken.waiting
    turn.report.failures.add(*turn.taken.failures)
