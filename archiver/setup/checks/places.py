"""The log, and where its lines go: other rotators, paths, modes, room, one file system."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from archiver.config.targets import LocalTarget
from archiver.errors import ArchiverError
from archiver.rotation import rotate
from archiver.rotation.others.takeover import refusal
from archiver.setup.checks.found import CRITICAL, OK, WARNING, Finding, Patient, may, nearest
from archiver.system.zone import local_date

# Growth is the mean of so many days; room for fewer days than these is told.
DAYS, SOON, NOW = 30, 30, 3
# Less than that is as good as none. Bytes.
FULL = 2**20


def second_rotator(patient: Patient) -> Iterator[Finding]:
    for source in patient.config.sources:
        found = patient.rotators.of(source.path)
        for each in found:
            if each.doubt:
                yield Finding(
                    WARNING,
                    f"{each} may rotate {source.path}, too ({each.doubt})",
                    f"if it does, take the log out of {each.file}, line {each.line}",
                )
            elif source.coexist == "adopt":
                yield Finding(OK, f"{source.path} is left to {each}, and what that leaves adopted")
            else:
                error = refusal(source, each)
                yield Finding(
                    CRITICAL, f"{each} rotates {source.path}, too: `run` refuses", error.hint
                )
        if not found:
            yield Finding(OK, f"nobody else rotates {source.path}")


def log(patient: Patient) -> Iterator[Finding]:
    for source in patient.config.sources:
        try:
            live = rotate.inspect(source)
            rotate.owner(source, live.status)
        except ArchiverError as error:
            yield Finding(CRITICAL, error.message, error.hint)
            continue
        mode = stat.S_IMODE(live.status.st_mode)
        if mode & 0o002:
            yield Finding(
                CRITICAL, f"anybody may write to {source.path}", f"chmod o-w {source.path}"
            )
        elif mode & 0o004:
            yield Finding(
                WARNING,
                f"anybody may read {source.path}, with whom wrote to whom",
                f"chmod o-rwx {source.path}, and `mode = 0o640` for source {source.name}",
            )
        else:
            yield Finding(OK, f"{source.path} is a plain file, mode {mode:04o}")
        if not may(source.path, os.R_OK) or not may(source.path.parent, os.W_OK | os.X_OK):
            yield Finding(
                CRITICAL,
                f"{source.path} cannot be rotated by user {os.geteuid()}",
                f"run as a user who may read it and write to {source.path.parent} (usually root)",
            )


def directories(patient: Patient) -> Iterator[Finding]:
    """Whoever may write to one of these may change what is archived, or what is run."""
    config = patient.config
    own = [("the spool", config.host.spool_dir), ("the state", config.host.state_dir)]
    local = [each for each in config.storage.targets if isinstance(each, LocalTarget)]
    own += [(f"store {each.name!r}", each.path) for each in local]
    for what, path in own:
        yield from _directory(what, path)
    status = os.stat(config.path)
    if status.st_mode & 0o022 or status.st_uid not in {0, os.geteuid()}:
        yield Finding(
            CRITICAL,
            f"others may write to {config.path}, which names commands that are run",
            f"chown root {config.path}; chmod go-w {config.path}",
        )
    else:
        yield Finding(OK, f"{config.path} can be changed by nobody else")


def _directory(what: str, path: Path) -> Iterator[Finding]:
    there = nearest(path)
    if not there.is_dir():
        yield Finding(CRITICAL, f"{what}: {there} is no directory", "check the path")
        return
    if not may(there, os.W_OK | os.X_OK):
        yield Finding(
            CRITICAL,
            f"{what}: user {os.geteuid()} may not write to {there}",
            f"give {there} to the user who runs the archiver",
        )
    if there != path:
        yield Finding(OK, f"{what}: {path} is made by the first run")
        return
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in {0, os.geteuid()}:
        yield Finding(
            CRITICAL,
            f"{what}: {path} belongs to user {status.st_uid}",
            f"chown root {path}, or to the user who runs the archiver",
        )
    elif mode & 0o022:
        yield Finding(
            CRITICAL, f"{what}: others may write to {path} ({mode:04o})", f"chmod go-w {path}"
        )
    elif mode & 0o007:
        yield Finding(WARNING, f"{what}: anybody may look into {path}", f"chmod o-rwx {path}")
    else:
        yield Finding(OK, f"{what}: {path}, mode {mode:04o}")


def room(patient: Patient) -> Iterator[Finding]:
    """Free space against growth: what came of late, a day."""
    config = patient.config
    today = local_date(patient.now, config.host.zone)
    with patient.catalog() as catalog:
        recent = [
            each
            for source in config.sources
            for each in catalog.summaries(source.name)
            if today - timedelta(DAYS) <= each.date < today
        ]
    days = (today - min((each.date for each in recent), default=today)).days or 1
    raw = sum(each.raw_size for each in recent) / days
    stored = sum(each.size for each in recent) / days
    growth: dict[int, float] = defaultdict(float)
    places: dict[int, list[Path]] = defaultdict(list)
    # The log's own is there twice for a night: as a segment, and as what is sealed of it.
    wanted = [(source.path.parent, raw) for source in config.sources[:1]]
    wanted += [(source.path.parent, 0.0) for source in config.sources[1:]]
    wanted += [(config.host.spool_dir, stored), (config.host.state_dir, 0.0)]
    wanted += [(t.path, stored) for t in config.storage.targets if isinstance(t, LocalTarget)]
    for path, daily in wanted:
        there = nearest(path)
        device = os.stat(there).st_dev
        growth[device] += daily
        places[device].append(there)
    for device, paths in places.items():
        yield _room(paths[0], growth[device])


def _room(path: Path, daily: float) -> Finding:
    space = os.statvfs(path)
    free = space.f_bavail * space.f_frsize
    days = free / daily if daily else None
    told = f"{free / 1e9:.1f} GB free at {path}"
    told += f", for {days:.0f} days at {daily / 1e6:.1f} MB a day" if days is not None else ""
    remedy = "make room, or move the store elsewhere; a retention rule lets old archives go"
    if space.f_files and space.f_favail < 1000:
        return Finding(CRITICAL, f"only {space.f_favail} more files fit at {path}", remedy)
    if free < FULL or (days is not None and days < NOW):
        return Finding(CRITICAL, told, remedy)
    if days is not None and days < SOON:
        return Finding(WARNING, told, remedy)
    return Finding(OK, told)


def one_file_system(patient: Patient) -> Iterator[Finding]:
    """A log is moved without a copy only within one mount: link(2), EXDEV."""
    spool = nearest(patient.config.host.spool_dir)
    for source in patient.config.sources:
        directory = nearest(source.path.parent)
        if _mount(spool) != _mount(directory):
            yield Finding(
                CRITICAL,
                f"the spool {patient.config.host.spool_dir} is not on the file system of "
                f"{source.path}",
                "set host.spool_dir to a directory beside the log",
            )
        else:
            yield Finding(OK, f"the spool is on the file system of {source.path}")


def _mount(path: Path) -> tuple[int, str]:
    """The device, and where it is mounted: of one device there may be several mounts."""
    path = Path(os.path.realpath(path))
    device = os.stat(path).st_dev
    while not os.path.ismount(path) and not _is_mounted(path):
        path = path.parent
    return device, str(path)


def _is_mounted(path: Path) -> bool:
    """Whether something is bound there: ismount(3) sees other devices only. See proc(5)."""
    try:
        rows = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(row.split()[4:5] == [str(path).replace(" ", "\\040")] for row in rows)
