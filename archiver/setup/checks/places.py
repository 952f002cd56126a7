"""The log and the directories its lines go to: rotators, modes, free space, file systems."""

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

# Growth is the mean of DAYS days. Room for fewer than SOON days is a warning, than NOW critical.
DAYS, SOON, NOW = 30, 30, 3
# Less free space than this is as good as none. Bytes.
FULL = 2**20


def second_rotator(patient: Patient) -> Iterator[Finding]:
    """Whether another program rotates a log, too."""
    for source in patient.config.sources:
        rotators = patient.rotators.of(source.path)
        for rotator in rotators:
            if rotator.doubt:
                yield Finding(
                    WARNING,
                    f"{rotator} may rotate {source.path}, too ({rotator.doubt})",
                    f"if it does, take the log out of {rotator.file}, line {rotator.line}",
                )
            elif source.coexist == "adopt":
                yield Finding(OK, f"{rotator} rotates {source.path}, and its files are adopted")
            else:
                error = refusal(source, rotator)
                yield Finding(
                    CRITICAL, f"{rotator} rotates {source.path}, too: `run` refuses", error.hint
                )
        if not rotators:
            yield Finding(OK, f"no other program rotates {source.path}")


def log(patient: Patient) -> Iterator[Finding]:
    """Whether each log is a file that this user may rotate, and who else may read or write it."""
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
                f"anybody may read {source.path}, and so who wrote to whom",
                f"chmod o-rwx {source.path}, and set `mode = 0o640` for source {source.name}",
            )
        else:
            yield Finding(OK, f"{source.path} is a plain file, mode {mode:04o}")
        if not may(source.path, os.R_OK) or not may(source.path.parent, os.W_OK | os.X_OK):
            yield Finding(
                CRITICAL,
                f"user {os.geteuid()} cannot rotate {source.path}",
                f"run as a user who may read it and write to {source.path.parent} (usually root)",
            )


def directories(patient: Patient) -> Iterator[Finding]:
    """Whether others may write to what is archived, or change which commands are run."""
    config = patient.config
    own = [("the spool", config.host.spool_dir), ("the state", config.host.state_dir)]
    local = [target for target in config.storage.targets if isinstance(target, LocalTarget)]
    own += [(f"store {target.name!r}", target.path) for target in local]
    for what, path in own:
        yield from _directory(what, path)
    status = os.stat(config.path)
    if status.st_mode & 0o022 or status.st_uid not in {0, os.geteuid()}:
        yield Finding(
            CRITICAL,
            f"others may write to {config.path}, which names commands that this program runs",
            f"chown root {config.path}; chmod go-w {config.path}",
        )
    else:
        yield Finding(OK, f"nobody else can change {config.path}")


def _directory(what: str, path: Path) -> Iterator[Finding]:
    existing = nearest(path)
    if not existing.is_dir():
        yield Finding(
            CRITICAL, f"{what}: {existing} is not a directory", "correct the path, or remove that"
        )
        return
    if not may(existing, os.W_OK | os.X_OK):
        yield Finding(
            CRITICAL,
            f"{what}: user {os.geteuid()} may not write to {existing}",
            f"give {existing} to the user who runs the archiver",
        )
    if existing != path:
        yield Finding(OK, f"{what}: the first run will make {path}")
        return
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in {0, os.geteuid()}:
        yield Finding(
            CRITICAL,
            f"{what}: {path} belongs to user {status.st_uid}",
            f"chown it to root, or to the user who runs the archiver: chown USER {path}",
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
    """How many days the free space lasts at the growth of the last DAYS days."""
    config = patient.config
    today = local_date(patient.now, config.host.zone)
    with patient.catalog() as catalog:
        recent = [
            archive
            for source in config.sources
            for archive in catalog.summaries(source.name)
            if today - timedelta(DAYS) <= archive.date < today
        ]
    days = (today - min((each.date for each in recent), default=today)).days or 1
    raw = sum(each.raw_size for each in recent) / days
    stored = sum(each.size for each in recent) / days
    growth: dict[int, float] = defaultdict(float)
    places: dict[int, list[Path]] = defaultdict(list)
    # For a night, a day's log is there twice: as the segment, and as the archives made of it.
    wanted = [(source.path.parent, raw) for source in config.sources[:1]]
    wanted += [(source.path.parent, 0.0) for source in config.sources[1:]]
    wanted += [(config.host.spool_dir, stored), (config.host.state_dir, 0.0)]
    wanted += [(t.path, stored) for t in config.storage.targets if isinstance(t, LocalTarget)]
    for path, daily in wanted:
        existing = nearest(path)
        device = os.stat(existing).st_dev
        growth[device] += daily
        places[device].append(existing)
    for device, paths in places.items():
        yield _room(paths[0], growth[device])


def _room(path: Path, daily: float) -> Finding:
    space = os.statvfs(path)
    free = space.f_bavail * space.f_frsize
    days = free / daily if daily else None
    what = f"{free / 1e9:.1f} GB free at {path}"
    what += f", for {days:.0f} days at {daily / 1e6:.1f} MB a day" if days is not None else ""
    remedy = "free some space, move the store, or let a retention rule destroy old archives"
    if space.f_files and space.f_favail < 1000:
        return Finding(CRITICAL, f"only {space.f_favail} more files fit at {path}", remedy)
    if free < FULL or (days is not None and days < NOW):
        return Finding(CRITICAL, what, remedy)
    if days is not None and days < SOON:
        return Finding(WARNING, what, remedy)
    return Finding(OK, what)


def one_file_system(patient: Patient) -> Iterator[Finding]:
    """Whether log and spool are on one mount: link(2) fails with EXDEV between two."""
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
    """Return the device and its mount point: one device may be mounted in several places."""
    path = Path(os.path.realpath(path))
    device = os.stat(path).st_dev
    while not os.path.ismount(path) and not _is_mounted(path):
        path = path.parent
    return device, str(path)


def _is_mounted(path: Path) -> bool:
    """Whether it is a bind mount: ismount() notices only other devices. See proc(5), mountinfo."""
    try:
        rows = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(row.split()[4:5] == [str(path).replace(" ", "\\040")] for row in rows)
