"""What a probe found that a store really enforces: one small file for each in the state directory.

A report counts for the very settings that it was made with, and as long as it can be read. Without
one that passes, nothing is stored on a target that is to lock: see `refusal`.
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

# Another number where a probe is to be made anew, because it asks for more than it did.
SCHEMA = 1
# Settings that change nothing of what a server enforces.
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
    """evidence: what the server answered, or why nothing can be known."""

    name: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class ProbeReport:
    """What was found on one target, at an instant. relied_upon: the names of those checks that
    the configuration relies upon. left: so many objects of the probe could not be removed.
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
        """What is relied upon, and was not seen to be enforced."""
        found = {check.name: check for check in self.checks}
        every = [found.get(name, Check(name, "unknown", "")) for name in self.relied_upon]
        return tuple(check for check in every if check.verdict != "enforced")

    @property
    def findings(self) -> tuple[Check, ...]:
        """What nothing relies upon, and somebody should know."""
        return tuple(
            check
            for check in self.checks
            if check.name not in self.relied_upon and check.verdict in {"not enforced", "unknown"}
        )


def sentence(checks: Sequence[Check]) -> str:
    """Say which have which verdict; what is not enforced comes first."""
    names: dict[str, list[str]] = {"not enforced": []}
    for check in checks:
        names.setdefault(check.verdict, []).append(check.name)
    return "; ".join(f"{', '.join(some)}: {verdict}" for verdict, some in names.items() if some)


def is_locking(target: Target) -> bool:
    """Whether what is stored there is to be called locked, or held."""
    return isinstance(target, S3Target) and (target.object_lock != "off" or target.legal_hold)


def relied_upon(target: Target) -> tuple[str, ...]:
    """Return the names of the checks without which the configuration claims what is not so.

    Created once is not among them where copies are compared before; nor are the digests of
    uploads, because every copy is read back.
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
    """Return what is another one where the settings are others. No secret is part of it."""
    settings = {key: value for key, value in asdict(target).items() if key not in NEUTRAL}
    told = json.dumps([SCHEMA, settings], default=str, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def path_of(state_dir: Path, name: str) -> Path:
    return state_dir / f"probe-{name}.json"


def load(state_dir: Path, name: str) -> ProbeReport | None:
    """Return what was saved of a target; None if nothing was, or it cannot be read."""
    report = state_files.load(path_of(state_dir, name), _read)
    return report if report and report.target == name else None


def _read(document: Any) -> ProbeReport:  # noqa: ANN401 (JSON, not checked yet)
    report: ProbeReport = from_json(ProbeReport, document)
    # Nothing is passed over: what is stored as locked rests on this report alone.
    if document != _document(report):
        raise ValueError("not a report of this version")
    return report


def save(state_dir: Path, report: ProbeReport) -> None:
    state_files.save(path_of(state_dir, report.target), _document(report))


def _document(report: ProbeReport) -> dict[str, Any]:
    return {"schema": SCHEMA, **as_json(report)}


def refusal(config: Config, target: Target) -> StoreRefusedError | None:
    """Why nothing may be stored on a target: it is to lock, and was not seen to."""
    if not is_locking(target):
        return None
    report = load(config.host.state_dir, target.name)
    if report is None or report.fingerprint != fingerprint(target):
        return StoreRefusedError(
            f"store {target.name!r} is configured as locked, but was not probed with these "
            "settings",
            hint=f"archiver store probe {target.name}",
        )
    return refused(target, report)


def refused(target: Target, report: ProbeReport) -> StoreRefusedError | None:
    """What to tell of a target, if it does not enforce what its configuration relies upon."""
    # By what that is now, whatever the report says.
    failed = replace(report, relied_upon=relied_upon(target)).failed
    if not failed:
        return None
    claim = "is configured as locked" if is_locking(target) else "answers"
    hint = f"`archiver store probe {target.name}` shows what it answered"
    if is_locking(target):
        hint += "; nothing is stored there before all that passes, or is no longer asked for"
    return StoreRefusedError(f"store {target.name!r} {claim}, but {sentence(failed)}", hint=hint)
