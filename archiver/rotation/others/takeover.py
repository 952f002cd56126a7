"""Archive what another rotator left beside a log: `coexist = "adopt"`.

    the names it leaves → closed, and not just made → lines known by their digest? → adopted

Nothing is renamed, changed or removed. What decides is the digest of a file's lines, whatever its
name or compression: the catalog has it of all that is archived. A note of files seen spares reading
them again; lost or damaged, it counts as empty.
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
# A file that was renamed or written so lately may be about to be compressed. Seconds.
QUIET = 60
HEAD = 4096


@dataclass
class Noted:
    """What the last look noted. files: identities of files whose lines are archived. head: the
    length and digest of what the live log began with.
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
    """Whether a rotator gives such a name to a file of that log: maillog.0, maillog-20261126.gz,
    mail-20261126.log.
    """
    stem, extension = os.path.splitext(log)
    forms = [re.escape(log) + STAMP]
    if stem and extension:
        forms.append(re.escape(stem) + STAMP + re.escape(extension))
    return re.fullmatch(f"(?:{'|'.join(forms)}){PACKED}", name, re.ASCII) is not None


def left(source: Source, directories: Iterable[str], others: Iterable[Path]) -> list[Path]:
    """Return the plain files that a rotator left of a log, the oldest first.

    directories: where they may lie besides beside it. others: logs that are not such files.
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
    """Return the device and inode of all that lies there now: one more, and it was rotated."""
    found = set()
    for path in left(source, directories, {each.path for each in session.config.sources}):
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            found.add((status.st_dev, status.st_ino))
    return found


def take_over(session: Session, source: Source, directories: Sequence[str] = ()) -> Taken:
    """Archive what was left of a source's log and is not archived yet."""
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
            taken.waiting.append(f"{path} went away")
        except ArchiverError as failure:
            taken.failures.add(failure)
            if not isinstance(failure, (DamagedInputError, WriterHoldsError)):
                break  # it would be the same with the next one
    taken.unbroken = taken.has(seen.head)
    all_of_it = not (taken.waiting or taken.failures)
    head = head_of(source.path) if all_of_it else seen.head
    with explained("noting what was taken over"):
        save(session.config.host.state_dir, source.name, Noted(known, head))
    return taken


def _take(session: Session, source: Source, path: Path, paths: list[Path], taken: Taken) -> bool:
    """Archive one file; return whether its lines are archived now."""
    status = os.lstat(path)
    with suppress(FileNotFoundError):
        if os.path.samestat(status, os.stat(source.path)):
            taken.waiting.append(f"{path} still is the log")
            return False
    # A time from the future tells of a clock, and of nothing else.
    if abs(session.now + session.seconds - max(status.st_mtime, status.st_ctime)) < QUIET:
        taken.waiting.append(f"{path} was made just now")
        return False
    if not release.look(path).proven:
        found = release.who_writes(path)
        who = ", ".join(map(str, found.holders)) or found.unknown or "somebody"
        raise WriterHoldsError(
            f"{path} was rotated, and is still open for writing: {who}",
            hint="it is archived when that has let go of it; if that is syslogd, the other "
            "rotator did not tell it to reopen its log",
        )
    plain = path.with_suffix("")
    packed = plain != path and re.fullmatch(PACKED, path.suffix)
    if packed and plain in paths and _is_part_of(path, plain):
        # It is in the making, or was left half made: the plain file counts. And if that is not
        # archived after all, this one is looked at again.
        return False
    content = hashlib.sha256()
    head = b""
    with lines_of(session, path) as log:
        while chunk := log.read(2**18):
            content.update(chunk)
            head += chunk[: HEAD - len(head)]
    if identity_of(path) != _identity(status, path):
        raise WorkKeptError(f"{path} changed while it was read", hint="the next run looks again")
    if head and not _is_archived(session, source, content.hexdigest()):
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
    return any(seal.is_whole(each) for each in parts.values())


def _is_part_of(packed: Path, plain: Path) -> bool:
    """Whether a compressed file holds the beginning of the plain one, as far as it goes."""
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
    """Tell a file from all others, and from itself with other content; renaming changes nothing."""
    return _identity(os.lstat(path), path)


def _identity(status: os.stat_result, path: Path) -> str:
    # The last bytes hold gzip's checksum, and of a plain log its last lines.
    with open(path, "rb") as file:
        first = file.read(HEAD)
        file.seek(max(status.st_size - HEAD, 0))
        ends = hashlib.sha256(first + file.read(HEAD)).hexdigest()
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{ends}"


def head_of(log: Path) -> tuple[int, str]:
    """Return the length and digest of what a log begins with; 0 if it is empty, or not there."""
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
        raise TypeError("not what was noted")
    return Noted(set(files), (length, digest))


def save(state_dir: Path, source: str, noted: Noted) -> None:
    document = {"files": sorted(noted.files), "head": noted.head}
    state_files.save(_file_of(state_dir, source), document)


def _file_of(state_dir: Path, source: str) -> Path:
    return state_dir / f"adopted-{source}.json"


# -- in a night ---------------------------------------------------------------------------


def is_left_to_another(turn: Turn) -> bool:
    """Whether somebody else is to rotate the log, and we only to take over what that leaves.

    Raises: SecondRotatorError: somebody else rotates it, and nobody said that it is to be so.
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
    """Archive what another rotator left of the log, once nothing of ours waits before it."""
    if turn.source.coexist != "adopt" or turn.journal.entries():
        return
    # Also where nobody else rotates it any more: the last ones are still there.
    found = {each.directory for each in turn.rotators.of(turn.source.path)} - {""}
    turn.directories = sorted(found)
    turn.taken = take_over(turn.session, turn.source, turn.directories)
    turn.report.archived += turn.taken.manifests
    turn.report.waiting += turn.taken.waiting
    turn.report.failures.add(*turn.taken.failures)
