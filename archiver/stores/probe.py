"""Whether stores do what the configuration relies upon: tried, not believed.

probe      try all that can be tried on one target
unproven   before a run: probe each target that is to lock and has not yet been seen to; one that
           does not lock gets nothing
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
    """Try what a target enforces. now: an instant. lock: try locks even if none are configured.

    Raises: ArchiverError: nothing was learnt: the target cannot be reached, or refuses what every
    check needs.
    """
    if isinstance(target, LocalTarget):
        with explained(f"probing {target.path}"):
            checks, left = list(_local(target)), 0
    else:
        # botocore takes longer to import than all the rest.
        from archiver.stores.s3.probing import probe as probe_bucket  # noqa: PLC0415

        checks, left = probe_bucket(target, now, lock=lock)
    fingerprint, relied_upon = probe_report.fingerprint(target), probe_report.relied_upon(target)
    return ProbeReport(target.name, now, fingerprint, relied_upon, tuple(checks), left)


def unproven(config: Config, now: int) -> dict[str, ArchiverError]:
    """Return, by target, why it cannot be trusted with what is to be locked. now: an instant.

    A target without a saved report that passes, made with these very settings, is probed now.
    """
    problems: dict[str, ArchiverError] = {}
    for target in config.storage.targets:
        if probe_report.refusal(config, target) is None:
            continue
        try:
            report = probe(target, now)
            with explained(f"saving what {target.name} enforces"):
                probe_report.save(config.host.state_dir, report)
            problem: ArchiverError | None = probe_report.refused(target, report)
        except ArchiverError as error:
            problem = error
        if problem:
            problems[target.name] = problem
    return problems


def _local(target: LocalTarget) -> Iterator[Check]:
    """Try what a directory does. Not locks: whoever may write there can also remove."""
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
        with suppress(OSError):  # another probe's files are there, or archives
            (target.path / BELOW).rmdir()
            if not was_there:
                target.path.rmdir()


def _created_once(store: LocalStore, key: str, first: bytes, second: bytes) -> Check:
    try:
        _put(store, key, second)
        evidence = "other bytes were accepted"
    except IntegrityError:
        evidence = "other bytes were refused"
    found = b"".join(store.stream(key))
    return _check(probe_report.CREATED_ONCE, evidence, holds=found == first)


def _ranges(store: LocalStore, key: str, first: bytes) -> Check:
    part = b"".join(store.stream(key, FIRST, LENGTH))
    try:
        b"".join(store.stream(key, SIZE, 1))
        past, refused = "something", False
    except IntegrityError:
        past, refused = "an error", True
    holds = refused and part == first[FIRST : FIRST + LENGTH]
    evidence = f"{len(part)} bytes from {FIRST} on; past the end: {past}"
    return _check(probe_report.RANGES, evidence, holds=holds)


def _check(name: str, evidence: str, *, holds: bool) -> Check:
    return Check(name, "enforced" if holds else "not enforced", evidence)


def _put(store: LocalStore, key: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "object")
        source.write_bytes(content)
        store.put(key, source, hashlib.sha256(content).hexdigest())
