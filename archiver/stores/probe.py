"""Whether stores do what the configuration relies upon: tried, not believed.

probe      try all that can be tried on one target
unproven   before a run: what is to lock, and was not yet seen to, is probed; and what does
           not lock gets nothing
"""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from archiver.config.settings import Config
from archiver.config.targets import LocalTarget, Target
from archiver.errors import ArchiverError, IntegrityError, explained
from archiver.stores import probe_report
from archiver.stores.local import LocalStore
from archiver.stores.probe_report import Check, ProbeReport
from archiver.system.files import remove_tree

BELOW = "probe"
SIZE = 256
FIRST, LENGTH = 7, 100


def probe(target: Target, now: int, *, lock: bool = False) -> ProbeReport:
    """Try what a target enforces. lock: locks too, though the target is not to lock.

    Raises: ArchiverError: nothing was found: it cannot be reached, or refuses what all need.
    """
    if isinstance(target, LocalTarget):
        with explained(f"probing {target.path}"):
            checks, left = list(_local(target)), 0
    else:
        # botocore takes longer to import than all the rest.
        from archiver.stores.s3.probing import probe as probe_  # noqa: PLC0415

        checks, left = probe_(target, now, lock=lock)
    print_, relied_upon = probe_report.fingerprint(target), probe_report.relied_upon(target)
    return ProbeReport(target.name, now, print_, relied_upon, tuple(checks), left)


def unproven(config: Config, now: int) -> dict[str, ArchiverError]:
    """Return why targets, by their names, cannot be trusted with what is to be locked.

    One without a saved report that passes, of these very settings, is probed now.
    """
    problems: dict[str, ArchiverError] = {}
    for target in config.storage.targets:
        if probe_report.refusal(config, target) is None:
            continue
        try:
            report = probe(target, now)
            with explained(f"noting what {target.name} enforces"):
                probe_report.save(config.host.state_dir, report)
            problem: ArchiverError | None = probe_report.refused(target, report)
        except ArchiverError as error:
            problem = error
        if problem:
            problems[target.name] = problem
    return problems


def _local(target: LocalTarget) -> Iterator[Check]:
    """What a directory does: whoever may write there can also remove."""
    store = LocalStore(target.name, target.path)
    was_there = target.path.exists()
    corner = secrets.token_hex(4)
    key = f"{BELOW}/{corner}/object"
    first, second = secrets.token_bytes(SIZE), secrets.token_bytes(SIZE)
    try:
        _put(store, key, first)
        yield _created_once(store, key, first, second)
        yield _ranges(store, key, first)
        sizes = [each.size for each in store.listed(f"{BELOW}/{corner}/")]
        yield _check(
            probe_report.LISTED, f"{sum(sizes)} bytes right after writing", holds=sizes == [SIZE]
        )
        yield _check(probe_report.WRITABLE, "written, linked and fsynced", holds=True)
        space = os.statvfs(target.path)
        free = space.f_bavail * space.f_frsize
        yield _check("space", f"{free / 1e9:.1f} GB free", holds=free > 0)
        yield Check(probe_report.LOCK, "not configured", "a directory cannot lock anything")
    finally:
        with suppress(NotADirectoryError):
            remove_tree(target.path / BELOW / corner)
        with suppress(OSError):  # somebody else's probe is there, or archives are
            (target.path / BELOW).rmdir()
            if not was_there:
                target.path.rmdir()


def _created_once(store: LocalStore, key: str, first: bytes, second: bytes) -> Check:
    try:
        _put(store, key, second)
        told = "other bytes were taken"
    except IntegrityError:
        told = "other bytes were refused"
    there = b"".join(store.stream(key))
    return _check(probe_report.CREATED_ONCE, told, holds=there == first)


def _ranges(store: LocalStore, key: str, first: bytes) -> Check:
    part = b"".join(store.stream(key, FIRST, LENGTH))
    try:
        b"".join(store.stream(key, SIZE, 1))
        told, past = "past the end: something", False
    except IntegrityError:
        told, past = "past the end: told", True
    holds = past and part == first[FIRST : FIRST + LENGTH]
    return _check(probe_report.RANGES, f"{len(part)} bytes from {FIRST} on; {told}", holds=holds)


def _check(name: str, evidence: str, *, holds: bool) -> Check:
    return Check(name, "enforced" if holds else "not enforced", evidence)


def _put(store: LocalStore, key: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "object")
        source.write_bytes(content)
        store.put(key, source, hashlib.sha256(content).hexdigest())
