"""Make the golden host; or live its life again, or on, by the present code.

    git worktree add --detach ../base COMMIT
    cp -r tests/data/golden ../base/tests/data/
    cd ../base && PYTHONPATH=. PYTHON -m tests.data.golden.make make COMMIT.tar.xz

So ac9aa8a.tar.xz was made, by the last commit before the package was put into folders.
`tests/whole/test_golden_store.py` has the present code read it, go on from it, and make it again.
What it was made by stands for the past, and must not change: the next golden store gets a name
beside this one, and nights of its own if it needs others.

In the archive:

    host/           the host as the past left it: logs, spool, stores, state
    said.json       each command of the past, and of the future: how it ended, and what it said
    asked.json      what was asked after the past, and answered
    rebuilt.json    all rows of the catalog that was rebuilt from the stores then
    future.json     the digest of each stored file after the future, and what was asked then
    made.json       by which commit and which libzstd
"""

import importlib
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.data.golden.host import Host, digests, pinned
from tests.data.golden.logged import instant
from tests.data.golden.nights import ASKED, ASKED_AGAIN, asked, future, past, rebuilt

# Told in what is stored; whichever version lives the same life again passes for this one.
VERSION = "0.1.0"
# Where commit ac9aa8a notes the jobs of a service: no command does.
JOBS = "archiver.lastrun"


def note_jobs() -> None:
    """Note how the jobs of a service went."""
    jobs: Any = importlib.import_module(JOBS)
    begun = instant("2026-10-28 00:06")
    done = {jobs.Job.EXPIRE: jobs.Done(begun, 0, begun), jobs.Job.SCRUB: jobs.Done(begun, 5, None)}
    jobs.save_jobs(Path("state"), done)


def packed(directory: Path, documents: dict[str, Any]) -> bytes:
    """Return host and documents as one archive, which tells nothing of this machine."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, document in documents.items():
            text = json.dumps(document, indent=0, ensure_ascii=False).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        for path in sorted(directory.rglob("*")):
            relative = path.relative_to(directory)
            if path.name.endswith(("lock", "-wal", "-shm")):
                continue
            entry = archive.gettarinfo(path, f"host/{relative}")
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            # When they were written counts for what was logged and configured, and only for that.
            kept = path.is_file() and len(relative.parts) == 1
            entry.mtime = int(entry.mtime) if kept else 0
            with open(path, "rb") if path.is_file() else io.BytesIO() as file:
                archive.addfile(entry, file)
    return lzma.compress(out.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def make(archive: Path) -> None:
    """Make the golden host by the archiver that is first on Python's path."""
    made: dict[str, Any] = {"python": sys.version.split()[0]}
    made["libzstd"] = importlib.import_module("zstandard").ZSTD_VERSION
    head = ["git", "-C", os.path.dirname(tool().__file__), "rev-parse", "HEAD"]
    made["commit"] = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as place:
        directory, copy = Path(place, "host"), Path(place, "copy")
        directory.mkdir()
        with pinned(directory):
            host = Host()
            past(host)
            note_jobs()
            documents = {"made.json": made, "asked.json": asked(host, ASKED)}
            shutil.copytree(directory, copy)
        with pinned(copy):
            documents["rebuilt.json"] = rebuilt(Host())
        before = Path(place, "before")
        shutil.copytree(directory, before)
        with pinned(directory):
            number = len(host.said)
            future(host)
            documents["future.json"] = {
                "files": digests(),
                "asked": asked(host, ASKED_AGAIN),
            }
        documents["said.json"] = {"past": host.said[:number], "future": host.said[number:]}
        archive.write_bytes(packed(before, documents))


def again(directory: Path) -> None:
    """Live through the past again, and leave beside what it made what was told of it."""
    with pinned(directory):
        host = Host()
        past(host)
        leave(host)


def go_on(directory: Path) -> None:
    """Live on from what the past has left."""
    with pinned(directory):
        host = Host()
        future(host)
        Path("asked.json").write_text(json.dumps(asked(host, ASKED_AGAIN)), encoding="utf-8")
        leave(host)


def leave(host: Host) -> None:
    Path("said.json").write_text(json.dumps(host.said), encoding="utf-8")


def tool() -> Any:
    """Return the package, which is of the pinned version before it is asked for anything."""
    package: Any = importlib.import_module("archiver")
    package.__version__ = VERSION
    return package


if __name__ == "__main__":
    tool()
    {"make": make, "again": again, "go-on": go_on}[sys.argv[1]](Path(sys.argv[2]).absolute())
