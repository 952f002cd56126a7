"""Run the command line with everything already loaded, and mark where the run begins.

    python tests/whole/crash/driver.py MARK -- -c CONFIG run --force
    python tests/whole/crash/driver.py MARK --serve

Whatever a run would import is imported first. Then MARK, a path that does not exist, is
asked for: that call stands in a trace where the run begins, and nothing before it
belongs to the run.

With --serve, each line of standard input is one run, as JSON, done by a child of its own
that was forked off when everything was loaded: {"argv": [...], "stdout": PATH, "stderr":
PATH, "wait": BOOL} is answered by {"pid": N}, and after the child's end by {"status": N}
(as waitpid(2) tells it). A child that waits begins at SIGUSR1, so that there is time to
attach a tracer, which then sees, and counts, nothing but the run. It leads a process
group of its own. One that does not wait is there for what it does and says: it ends without
taking apart, object by object, all that was loaded, which takes longer than most runs.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import threading
import zoneinfo
from typing import Any

import archiver

# What a run may load late, besides archiver's own modules.
LATE = (
    "click",
    "click._textwrap",
    "concurrent.futures.process",
    "concurrent.futures.thread",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_8",
    "encodings.utf_8_sig",
    "json",
    "sqlite3",
    "subprocess",
    "tomllib",
    "traceback",
    "zstandard",
)
# Held here so that zoneinfo keeps them: the zones in which it may be about noon now.
ZONES = [zoneinfo.ZoneInfo(f"Etc/GMT{west:+d}") for west in range(-12, 13)]
PR_SET_PTRACER = 0x59616D61
PR_SET_PTRACER_ANY = ctypes.c_ulong(-1)
# JSON: {"argv": [...], "stdout": PATH, "stderr": PATH, "wait": BOOL}
Request = dict[str, Any]


def load_everything() -> None:
    for name in LATE:
        importlib.import_module(name)
    # What another rotator has left lies there for longer than just now.
    importlib.import_module("archiver.rotation.others.takeover").__dict__["QUIET"] = 0
    for module in pkgutil.walk_packages(archiver.__path__, "archiver."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def run(mark: str, argv: list[str]) -> None:
    """Be `archiver` with these arguments; the process ends as the command would."""
    main = importlib.import_module("archiver.cli.main").main
    sys.argv = ["archiver", *argv]
    os.access(mark, os.F_OK)
    main()


def run_and_leave(mark: str, argv: list[str]) -> None:
    """Do the same, but leave to the kernel what the interpreter would take apart at its end."""
    try:
        run(mark, argv)
    except SystemExit as end:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        os._exit(int(end.code or 0))


def serve() -> Request | None:
    """Fork a child per request. Returns in each child, with its request; None at the end."""
    # Where Yama guards ptrace(2), a process may let others than its parent trace it.
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    gc.freeze()  # so that a child's collector leaves alone, and shares, what is loaded
    while line := sys.stdin.buffer.readline():
        request: Request = json.loads(line)
        ready, tell = os.pipe()
        if (pid := os.fork()) == 0:
            become(request, tell)
            return request
        # A tracer that is attached earlier would count calls of ours.
        os.close(tell)
        os.read(ready, 1)
        os.close(ready)
        answer({"pid": pid})
        answer({"status": os.waitpid(pid, 0)[1]})
    return None


def answer(document: dict[str, int]) -> None:
    os.write(1, json.dumps(document).encode() + b"\n")


def become(request: Request, tell: int) -> None:
    """Take one's own files and process group, and tell when that is done."""
    os.setpgid(0, 0)
    for fd, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        new = os.open(request.get(name, os.devnull), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(new, fd)
        os.close(new)
    os.closerange(3, tell + 1)
    if request["wait"]:
        signal.sigwait({signal.SIGUSR1})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


if __name__ == "__main__":
    load_everything()
    if sys.argv[2:] != ["--serve"]:
        run(sys.argv[1], sys.argv[3:])
    elif (asked := serve()) is not None:
        (run if asked["wait"] else run_and_leave)(sys.argv[1], asked["argv"])
