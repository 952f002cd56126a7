"""What a bucket really enforces: each thing is tried, and then the result is looked at.

    as a store    created once, verified, read in part, listed at once, kept in versions
    as a lock     on an object locked for two minutes: delete, shorten, overwrite, hold
    as a guard    what these credentials may do, and wrong ones; and the server's clock

An answer alone proves nothing: what counts is what is in the bucket afterwards. A deletion may be
refused by a policy for these credentials, not by the lock. So the lock is proven by something that
they may do: they can make it longer, and then cannot make it shorter again.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from archiver.archives.receipts import Protection
from archiver.config.targets import S3Target
from archiver.errors import ArchiverError, StoreError
from archiver.stores import probe_report
from archiver.stores.probe_report import Check, Verdict
from archiver.stores.s3.client import connect
from archiver.stores.s3.faults import AGAIN
from archiver.stores.s3.trial import Made, Response, Trial
from archiver.system.zone import rfc3339

SIZE = 256
FIRST, LAST = 7, 106
# After how many seconds the probe's lock ends; once made longer; and if it could be shortened.
LOCKED, LONGER, SHORTER = 90, 120, 60
# What a lock has to refuse is tried within so many seconds: later, the lock might be over.
IN_TIME = 50
# Seconds. Servers refuse requests if the clocks differ by more than 15 minutes.
CLOCKS_AGREE, CLOCKS_MAY_DIFFER = 60, 900
ARCHIVE, INDEX, LOCKED_ONE, IN_PARTS, HELD = (
    "free.log.zst",
    "free.idx",
    "locked.log.zst",
    "parts.log.zst",
    "held.log.zst",
)
Found = tuple[Verdict, str]


def probe(target: S3Target, now: int, *, lock: bool) -> tuple[list[Check], int]:
    """Return what was found, and how many objects of the probe could not be removed.

    now: an instant. lock: try locks even if none are configured. Raises: ArchiverError: nothing was
    learnt: the bucket cannot be reached, or refuses what every check needs.
    """
    with closing(connect(target)) as client, closing(connect(target)) as forger:
        forger.meta.events.register("before-send.s3", _forge)
        trial = Trial(client, target, now)
        trial.meet()
        probing = Probing(trial, Trial(forger, target, now), lock=lock)
        try:
            checks = list(probing.checks())
        except BaseException:
            trial.remove()
            raise
        return checks, trial.remove()


class Probing:
    """The checks of one bucket, in order: later ones use the objects that earlier ones made."""

    def __init__(self, trial: Trial, stranger: Trial, *, lock: bool) -> None:
        target = trial.target
        self._trial = trial
        self._stranger = stranger
        self._mode = target.object_lock if target.object_lock != "off" else "governance"
        self._locks = lock or target.object_lock != "off"
        self._holds = self._locks or target.legal_hold
        self._first, self._second = secrets.token_bytes(SIZE), secrets.token_bytes(SIZE)
        self._locks_all = False
        # Added to the evidence if these credentials may not even delete what is not locked.
        self._remark = ""
        self._locked: Made | None = None
        self._locked_at = 0.0

    def checks(self) -> Iterator[Check]:
        """Try everything, and yield what is found."""
        begun = self._begin()
        yield from self._taken(
            {
                probe_report.CREATED_ONCE: lambda: self._created_once(begun),
                "create once in parts": self._created_once_in_parts,
                "MD5": lambda: self._verified("ContentMD5", "md5"),
                "SHA-256": lambda: self._verified("ChecksumSHA256", "sha256"),
                probe_report.RANGES: self._ranges,
                probe_report.LISTED: self._listed,
                probe_report.VERSIONS: self._versions,
                "no deletion": self._no_deletion,
            }
        )
        yield from self._taken(
            {
                probe_report.LOCK: self._lock,
                probe_report.LOCK_IN_PARTS: self._lock_in_parts,
                probe_report.LOCK_SHORTENING: lambda: self._on_locked(self._shortened),
                probe_report.LOCK_DELETION: lambda: self._on_locked(self._deleted),
                probe_report.LOCK_OVERWRITING: lambda: self._on_locked(self._overwritten),
                probe_report.NO_BYPASS: lambda: self._on_locked(self._bypassed),
            },
            configured=self._locks,
        )
        yield from self._taken({probe_report.HOLD: self._hold}, configured=self._holds)
        yield from self._taken({"secret": self._secret, "clock": self._clock})

    def _taken(
        self, steps: dict[str, Callable[[], Found]], *, configured: bool = True
    ) -> Iterator[Check]:
        for name, step in steps.items():
            if not configured:
                yield Check(name, "not configured", "")
                continue
            try:
                verdict, evidence = step()
            except ArchiverError as problem:
                if problem.retryable:
                    raise  # nothing was learnt, but the next probe may learn it
                verdict, evidence = "unknown", f"because {problem.message}"
            yield Check(name, verdict, evidence)

    def _begin(self) -> Response:
        """Put the first object; return the answer to If-None-Match. If that was refused, the object
        is put without.

        Raises: ArchiverError: nothing can be put at all.
        """
        trial = self._trial
        locking = trial.ask("get_object_lock_configuration")
        if locking.done and locking.fields.get("ObjectLockConfiguration", {}).get("Rule"):
            # With a lock of its own: else the bucket would lock all this for as long as an archive.
            self._locks_all = True
            self._remark = ", as for everything in this bucket"
            trial.usual = self._locking(SHORTER)
        begun = trial.put(ARCHIVE, self._first, IfNoneMatch="*")
        if not begun.done:
            trial.demand(trial.put(ARCHIVE, self._first), trial.key(ARCHIVE))
        return begun

    # -- as a store --------------------------------------------------------------------------

    def _created_once(self, begun: Response) -> Found:
        if not begun.done:
            return "not enforced", f"first PUT, If-None-Match: {begun}"
        second = self._trial.put(ARCHIVE, self._second, IfNoneMatch="*")
        return self._once(second, "second PUT, If-None-Match")

    def _created_once_in_parts(self) -> Found:
        answer = self._trial.put_in_parts(ARCHIVE, self._second, once=True)
        return self._once(answer, "CompleteMultipartUpload, If-None-Match")

    def _once(self, answer: Response, what: str) -> Found:
        made = self._trial.made(ARCHIVE)
        _, found = self._trial.got(Made(made.key, None))
        if not answer.done and found == self._first:
            return "enforced", f"{what}: {answer}"
        self._trial.demand(self._trial.put(ARCHIVE, self._first), made.key)
        remark = "" if found == self._first else ", and the first one's bytes are gone"
        return "not enforced", f"{what}: {answer}{remark}"

    def _verified(self, header: str, algorithm: str) -> Found:
        other = hashlib.new(algorithm, self._second, usedforsecurity=False).digest()
        wrong = {header: base64.b64encode(other).decode()}
        answer = self._trial.put(f"wrong-{algorithm}", self._first, **wrong)
        return _refused(answer, f"PUT, wrong {header}")

    def _ranges(self) -> Found:
        made = self._trial.made(ARCHIVE)
        part, found = self._trial.got(made, Range=f"bytes={FIRST}-{LAST}")
        past, _ = self._trial.got(made, Range=f"bytes={SIZE}-")
        evidence = f"bytes={FIRST}-{LAST}: {part}, {len(found)} bytes; past the end: {past}"
        right = part.status == 206 and found == self._first[FIRST : LAST + 1]
        if found not in {self._first[FIRST : LAST + 1], self._first}:
            evidence += "; those are other bytes"
        return "enforced" if right and past.status == 416 else "not enforced", evidence

    def _listed(self) -> Found:
        key = self._trial.key(ARCHIVE)
        answer = self._trial.demand(self._trial.ask("list_objects_v2", Prefix=key))
        contents = answer.fields.get("Contents", ())
        sizes = [each.get("Size") for each in contents if each["Key"] == key]
        evidence = f"ListObjectsV2: {answer}, {f'{sizes[0]} bytes' if sizes else 'nothing'}"
        return "enforced" if sizes == [SIZE] else "not enforced", f"{evidence} right after PUT"

    def _versions(self) -> Found:
        trial = self._trial
        before = trial.made(ARCHIVE)
        trial.demand(trial.put(ARCHIVE, self._second), before.key)
        answer = trial.ask("get_bucket_versioning")
        status = answer.fields.get("Status", "off") if answer.done else answer
        evidence = f"GetBucketVersioning: {status}"
        if before.version is None:
            return "not enforced", f"{evidence}; PUT returns no version"
        if trial.holds(before, self._first):
            return "enforced", f"{evidence}; the first version is kept after a second PUT"
        return "not enforced", f"{evidence}; the first version is gone after a second PUT"

    # -- as a lock ---------------------------------------------------------------------------

    def _locking(self, seconds: int) -> dict[str, Any]:
        mode, until = self._mode.upper(), self._trial.instant(seconds)
        return {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until}

    def _lock(self) -> Found:
        wanted = self._locking(LOCKED)
        answer = self._trial.put(LOCKED_ONE, self._first, **wanted)
        if not answer.done:
            return _not_taken(answer, "PUT with a lock")
        made = self._trial.made(LOCKED_ONE)
        found = self._trial.protection(made)
        if found.mode:
            self._locked, self._locked_at = made, time.monotonic()
        return self._as_asked(found, wanted)

    def _lock_in_parts(self) -> Found:
        wanted = self._locking(LOCKED)
        answer = self._trial.put_in_parts(IN_PARTS, self._first, **wanted)
        if not answer.done:
            return _not_taken(answer, "a multipart upload with a lock")
        return self._as_asked(self._trial.protection(self._trial.made(IN_PARTS)), wanted)

    def _as_asked(self, found: Protection, wanted: dict[str, Any]) -> Found:
        until = int(wanted["ObjectLockRetainUntilDate"].timestamp())
        holds = found.mode == self._mode and found.until >= until
        evidence = f"asked for {self._mode}; HEAD: {_described(found)}"
        return "enforced" if holds else "not enforced", evidence

    def _on_locked(self, step: Callable[[Made], Found]) -> Found:
        """Try something on the locked object while its lock lasts."""
        if self._locked is None:
            return "unknown", "because nothing could be locked"
        found = step(self._locked)
        if time.monotonic() > self._locked_at + IN_TIME:
            raise StoreError(
                f"store {self._trial.target.name!r}: too slow to be probed: a lock of {LOCKED} s "
                "may have ended before the probe tried to break it",
                hint=AGAIN,
            )
        return found

    def _shortened(self, made: Made) -> Found:
        """Longer must work, or it may be a policy that refuses everything; shorter must not."""
        longer = self._retain(made, self._mode, LONGER)
        if not longer.done:
            why = f"making it longer is refused, too: {longer}; allow s3:PutObjectRetention"
            return "unknown", f"because {why}"
        before = self._trial.protection(made)
        evidence = f"longer: {longer}; shorter: {self._retain(made, self._mode, SHORTER)}"
        if self._mode == "compliance":
            evidence += f"; governance: {self._retain(made, 'governance', LONGER)}"
        after = self._trial.protection(made)
        if after.covers(before):
            return "enforced", evidence
        return "not enforced", f"{evidence}; HEAD: {_described(after)}"

    def _retain(self, made: Made, mode: str, seconds: int) -> Response:
        until = self._trial.instant(seconds)
        retention = {"Mode": mode.upper(), "RetainUntilDate": until}
        return self._trial.ask("put_object_retention", **made.exactly, Retention=retention)

    def _deleted(self, made: Made) -> Found:
        answer = self._trial.ask("delete_object", **made.exactly)
        return self._still_there(made, f"DeleteObject of the version: {answer}{self._remark}")

    def _overwritten(self, made: Made) -> Found:
        return self._still_there(made, f"PUT over it: {self._trial.put(LOCKED_ONE, self._second)}")

    def _bypassed(self, made: Made) -> Found:
        answer = self._trial.ask("delete_object", **made.exactly, BypassGovernanceRetention=True)
        return self._still_there(made, f"DeleteObject, bypassing governance: {answer}")

    def _still_there(self, made: Made, evidence: str) -> Found:
        if self._trial.holds(made, self._first):
            return "enforced", evidence
        return "not enforced", f"{evidence}; the locked version is gone"

    def _hold(self) -> Found:
        trial = self._trial
        answer = trial.put(HELD, self._first, ObjectLockLegalHoldStatus="ON")
        if not answer.done:
            return _not_taken(answer, "PUT with a hold")
        made = trial.made(HELD)
        if not trial.protection(made).hold:
            return "not enforced", f"PUT with a hold: {answer}; HEAD: not held"
        answer = trial.ask("delete_object", **made.exactly)
        kept = trial.holds(made, self._first)
        lifted = trial.ask("put_object_legal_hold", **made.exactly, LegalHold={"Status": "OFF"})
        evidence = f"DeleteObject of the version: {answer}{self._remark}"
        if not kept:
            return "not enforced", f"{evidence}; it is gone"
        return "enforced", f"{evidence}; lifting the hold: {lifted}"

    # -- as a guard --------------------------------------------------------------------------

    def _no_deletion(self) -> Found:
        trial = self._trial
        made = trial.made(ARCHIVE)
        if self._locks_all:
            return "unknown", "because the bucket locks every object by itself"
        trial.demand(trial.put(INDEX, self._first), trial.key(INDEX))
        index = trial.delete(Key=trial.key(INDEX))
        plain = trial.delete(Key=made.key)
        exactly = trial.ask("delete_object", **made.exactly) if made.version else plain
        if not exactly.done:
            self._remark = ", as for what is not locked"
        of_version = f"; of a version: {exactly}" if made.version else ""
        evidence = f"DeleteObject: {plain}{of_version}; of an index: {index}"
        return "not enforced" if plain.done or exactly.done else "enforced", evidence

    def _secret(self) -> Found:
        """Send a request that differs from a good one in nothing but its signature."""
        return _refused(self._stranger.look(), "a list with a wrong signature")

    def _clock(self) -> Found:
        ahead = self._trial.ahead
        if ahead is None:
            return "unknown", "because the server's answers have no Date"
        evidence = f"the server's clock is {abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}"
        if not ahead:
            evidence = "the server's clock agrees with ours, to the second"
        if abs(ahead) <= CLOCKS_AGREE:
            return "enforced", evidence
        return "not enforced", f"{evidence}; above {CLOCKS_MAY_DIFFER} s requests are refused"


def _refused(answer: Response, what: str) -> Found:
    if answer.unknown:
        return "unknown", f"because {what}: {answer}"
    return "not enforced" if answer.done else "enforced", f"{what}: {answer}"


def _not_taken(answer: Response, what: str) -> Found:
    if answer.unknown or answer.status == 403:
        return "unknown", f"because {what}: {answer}"
    return "not enforced", f"{what}: {answer}"


def _described(found: Protection) -> str:
    return f"{found.mode} until {rfc3339(found.until)}" if found.mode else "no lock"


def _forge(request: Any, **_more: object) -> None:  # noqa: ANN401 (botocore hands it over)
    header = request.headers["Authorization"]
    signed = header.decode() if isinstance(header, bytes) else header
    said, word, _ = signed.rpartition("Signature=")
    request.headers["Authorization"] = f"{said}{word}{secrets.token_hex(32)}"
