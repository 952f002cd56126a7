"""What a store really enforces, as a probe found: one small file per store in state_dir.

A report counts only for the settings it was made with, and only while it can be read. Without one
that passes, nothing is stored on a target that is configured to lock: see `refusal`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from archiver.config.settings import Config
from archiver.config.targets import LocalTarget, S3Target, Target
from archiver.errors import StoreRefusedError
from archiver.policy.as_json import as_json, from_json
from archiver.system import state_files

# Raised when a probe checks more than before: then every store has to be probed again.
SCHEMA = 1
# Settings that do not change what a server enforces.
NEUTRAL = frozenset({"max_bandwidth", "connect_timeout", "read_timeout", "attempts"})

Verdict = Literal["enforced", "not enforced", "unknown", "not configured"]

CREATED_ONCE = "create once"
LISTED = "listing"
RANGES = "ranges"
WRITABLE = "directory"
VERSIONS = "versions"
LOCK = "lock"
LOCK_IN_PARTS = "lock in parts"
LOCK_DELETION = "lock against deletion"
LOCK_SHORTENING = "lock against shortening"
LOCK_OVERWRITING = "lock against overwriting"
NO_BYPASS = "no bypass"
HOLD = "legal hold"


@dataclass(frozen=True)
class Check:
    """One check of a probe. evidence: what the server answered, or why that is unknown."""

    name: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class ProbeReport:
    """What was found on one target. at: seconds since 1970 UTC. relied_upon: the names of the
    checks that the configuration relies upon. left: how many objects of the probe could not be
    removed.
    """

    target: str
    at: int
    fingerprint: str
    relied_upon: tuple[str, ...]
    checks: tuple[Check, ...]
    left: int = 0

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that are relied upon, but were not seen to be enforced."""
        found = {check.name: check for check in self.checks}
        every = [found.get(name, Check(name, "unknown", "")) for name in self.relied_upon]
        return tuple(check for check in every if check.verdict != "enforced")

    @property
    def findings(self) -> tuple[Check, ...]:
        """The checks that failed, or stayed unknown, without anything relying upon them."""
        return tuple(
            check
            for check in self.checks
            if check.name not in self.relied_upon and check.verdict in {"not enforced", "unknown"}
        )


def sentence(checks: Sequence[Check]) -> str:
    """Return the names of the checks by verdict, as text: "not enforced" comes first."""
    names: dict[str, list[str]] = {"not enforced": []}
    for check in checks:
        names.setdefault(check.verdict, []).append(check.name)
    return "; ".join(f"{', '.join(some)}: {verdict}" for verdict, some in names.items() if some)


def is_locking(target: Target) -> bool:
    """Whether a target is configured to lock, or hold, what is stored there."""
    return isinstance(target, S3Target) and (target.object_lock != "off" or target.legal_hold)


def relied_upon(target: Target) -> tuple[str, ...]:
    """Return the names of the checks that must pass for the configuration's claims to be true.

    On S3 "create once" is not among them, since copies are compared before; nor are the digests of
    uploads, since every copy is read back.
    """
    if isinstance(target, LocalTarget):
        return CREATED_ONCE, RANGES, LISTED, WRITABLE
    names = [LISTED]
    if is_locking(target):
        names += [VERSIONS]
    if target.object_lock != "off":
        names += [LOCK, LOCK_IN_PARTS, LOCK_SHORTENING, LOCK_DELETION, LOCK_OVERWRITING]
    if target.object_lock == "compliance":
        names += [NO_BYPASS]
    if target.legal_hold:
        names += [HOLD]
    return tuple(names)


def fingerprint(target: Target) -> str:
    """Return a digest that differs where the settings differ. No secret goes into it."""
    settings = {key: value for key, value in asdict(target).items() if key not in NEUTRAL}
    text = json.dumps([SCHEMA, settings], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def path_of(state_dir: Path, name: str) -> Path:
    return state_dir / f"probe-{name}.json"


def load(state_dir: Path, name: str) -> ProbeReport | None:
    """Return the report saved for a target; None: there is none, or it cannot be read."""
    report = state_files.load(path_of(state_dir, name), _read)
    return report if report and report.target == name else None


def _read(document: Any) -> ProbeReport:  # noqa: ANN401 (JSON, not checked yet)
    report: ProbeReport = from_json(ProbeReport, document)
    # No unknown key is ignored: that copies are called locked rests on this report alone.
    if document != _document(report):
        raise ValueError("not a report of this version")
    return report


def save(state_dir: Path, report: ProbeReport) -> None:
    state_files.save(path_of(state_dir, report.target), _document(report))


def _document(report: ProbeReport) -> dict[str, Any]:
    return {"schema": SCHEMA, **as_json(report)}


def refusal(config: Config, target: Target) -> StoreRefusedError | None:
    """Return why nothing may be stored on a target: it should lock, but was not seen to."""
    if not is_locking(target):
        return None
    report = load(config.host.state_dir, target.name)
    if report is None or report.fingerprint != fingerprint(target):
        return StoreRefusedError(
            f"store {target.name!r} is configured as locked, but was not probed with these "
            "settings",
            hint=f"`archiver store probe {target.name}` does it; before, nothing is stored there",
        )
    return refused(target, report)


def refused(target: Target, report: ProbeReport) -> StoreRefusedError | None:
    """Return the error for a target that does not enforce what its configuration relies upon."""
    # What it relies upon now, whatever the report says it was.
    failed = replace(report, relied_upon=relied_upon(target)).failed
    if not failed:
        return None
    claim = "is configured as locked" if is_locking(target) else "answers"
    hint = f"`archiver store probe {target.name}` shows what it answered"
    if is_locking(target):
        hint += "; nothing is stored there until all of that passes, or is no longer configured"
    return StoreRefusedError(f"store {target.name!r} {claim}, but {sentence(failed)}", hint=hint)
