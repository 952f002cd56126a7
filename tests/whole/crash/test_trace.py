"""What the sweep believes of strace."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.crash import trace
from tests.whole.crash.points import errors, points, shadowed
from tests.world.system import need

TWO_THREADS = """\
7 openat(AT_FDCWD</home>, "a", O_RDONLY) = 3</home/a>
7 fsync(3</home/a> <unfinished ...>
8 fsync(4</home/b>) = 0
7 <... fsync resumed>) = -1 EIO (Input/output error)
8 write(4</home/b>, "= 1) \\"<x>", 9) = 9
7 access("/mark", F_OK) = -1 ENOENT (No such file or directory)
8 linkat(4</home>, "b", 5</srv>, "c/d", 0) = 0
7 exit_group(0) = ?
7 +++ exited with 0 +++
"""

# The first thread makes three fsyncs, the second one two.
THREADS = """\
import os, sys, threading
def work(name, times):
    with open(name, "wb") as file:
        for _ in range(times):
            try:
                os.fsync(file.fileno())
            except OSError:
                pass
second = threading.Thread(target=work, args=("second", 2))
second.start()
second.join()
work("first", 3)
"""


def test_a_call_on_two_lines_is_one_call() -> None:
    calls = trace.read(TWO_THREADS.splitlines())
    fsync = calls[1]
    assert (fsync.name, fsync.k, fsync.paths) == ("fsync", 1, ["/home/a"])
    assert not fsync.ok
    assert fsync.entered < calls[2].entered < fsync.left


def test_names_follow_their_directories() -> None:
    calls = trace.read(TWO_THREADS.splitlines())
    assert calls[0].paths == ["/home/a"]
    assert calls[3].paths == ["/home/b"]  # what is written is no path
    assert calls[5].paths == ["/home/b", "/srv/c/d"]


def test_only_what_follows_the_mark_counts_as_the_run() -> None:
    calls = trace.read(TWO_THREADS.splitlines())
    assert [call.name for call in trace.after(calls, "/mark")] == ["linkat", "exit_group"]
    with pytest.raises(ValueError, match="does not occur"):
        trace.after(calls, "/elsewhere")


def test_two_threads_share_their_points() -> None:
    calls = trace.read(TWO_THREADS.splitlines())
    assert [str(point) for point in points(calls)].count("fsync:1") == 1
    assert shadowed(calls) == 1


def test_a_call_that_nobody_has_thought_of_is_refused() -> None:
    (point,) = points(trace.read(["7 swapon(0x1) = 0"]))
    with pytest.raises(ValueError, match="swapon"):
        errors(point)


@pytest.mark.system
@pytest.mark.parametrize(("when", "times"), [(1, 2), (2, 2), (3, 1), (4, 0)])
def test_strace_counts_for_each_thread(tmp_path: Path, when: int, times: int) -> None:
    """The sweep's k is strace's: of a name, in one thread."""
    output = tmp_path / "trace"
    options = ["-f", "-o", str(output), "-e", f"inject=fsync:error=EIO:when={when}"]
    command = [need("strace"), *options, sys.executable, "-c", THREADS]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=60)
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    struck = [call for call in trace.read(lines) if "(INJECTED)" in call.result]
    assert [call.k for call in struck] == [when] * times
