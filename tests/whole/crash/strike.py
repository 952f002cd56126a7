"""Strike one run at one system call, and see whether one ordinary run mends all.

The tracer is attached to a run that waits (see driver.py), so that it counts the run's
calls and not Python's start. Two things about strace 6.1, as measured: under
--seccomp-bpf a signal with `when=` greater than 1 never comes, so that option is not
used; and a call that SIGKILL strikes is not carried out any more.
"""

import gzip
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.whole.crash import trace
from tests.whole.crash.points import Point, points
from tests.whole.crash.sandbox import (
    BY_COMMAND,
    BY_PIDFILE,
    LIMIT,
    MARK,
    Bench,
    Ended,
    Sandbox,
    end_group,
    ends,
)
from tests.whole.crash.trace import Call

KILL = "signal=SIGKILL"
# archiver's exit status for a mistake of its own.
UNEXPECTED = 1


@dataclass(frozen=True)
class Scenario:
    """The state in which a run begins.

    stage: the call at which an earlier run was killed, if one was; killed_at: its point.
    brief: the reduced sweep has it, too.
    """

    name: str
    prepare: Callable[[Sandbox], None]
    reopen: str = BY_PIDFILE
    stage: Callable[[Call], bool] | None = None
    killed_at: Point | None = None
    brief: bool = False


def _plain(box: Sandbox) -> None:
    box.write(40)


def _missed(box: Sandbox) -> None:
    """One night went well; then three days were missed, the middle one without a line."""
    box.write(10, days_ago=4)
    first = box.archiver("run", "--force")
    if first.status:
        raise RuntimeError(f"the first night already fails: {first}")
    box.write(20, days_ago=3)
    box.write(20, days_ago=1)
    box.write(10)


def _expiring(box: Sandbox) -> None:
    """A night went well; what it archived is past its maximum by now."""
    box.rule()
    box.write(30, days_ago=4)
    first = box.archiver("run", "--force")
    if first.status:
        raise RuntimeError(f"the first night already fails: {first}")
    box.expired = box.writer.tell()
    box.write(20)


def _adopting(box: Sandbox) -> None:
    """Another one has rotated twice: one log is compressed, the other is not yet."""
    box.adopt()
    box.write(15, days_ago=4)
    left = box.rotated_by_another("maillog.2", days_ago=4)
    packed = left.with_name("maillog.2.gz")
    packed.write_bytes(gzip.compress(left.read_bytes()))
    os.utime(packed, (left.stat().st_mtime,) * 2)
    left.unlink()
    box.write(20, days_ago=2)
    box.rotated_by_another("maillog.1", days_ago=2)
    box.write(10)


def _call(name: str, suffix: str = "") -> Callable[[Call], bool]:
    return lambda call: call.name.startswith(name) and (call.paths or [""])[-1].endswith(suffix)


SCENARIOS = (
    Scenario("plain", _plain, brief=True),
    Scenario("missed-days", _missed, brief=True),
    Scenario("after-unrenamed", _plain, stage=_call("rename", "/maillog")),
    Scenario("after-unsignalled", _plain, stage=_call("kill"), brief=True),
    Scenario("after-unsealed", _plain, stage=_call("rename", ".sealed"), brief=True),
    Scenario("after-undelivered", _plain, stage=_call("unlink", ".log")),
    Scenario("command", _plain, reopen=BY_COMMAND),
    Scenario("expiring", _expiring, brief=True),
    Scenario("adopting", _adopting, brief=True),
)


@dataclass(frozen=True)
class Strike:
    """What to do to a run, and where. fault: as strace's inject= has it."""

    scenario: Scenario
    point: Point
    fault: str = KILL
    group: bool = False

    def __str__(self) -> str:
        group = " and its group" if self.group else ""
        call = str(self.point.call)
        return f"{self.scenario.name}, {self.point} {self.fault}{group}, at {call[:240]}"


@dataclass(frozen=True)
class Outcome:
    """What became of it. struck: the point was reached. status: how the struck run ended."""

    strike: Strike
    struck: bool
    status: int
    faults: tuple[str, ...]
    directory: Path


def traced(box: Sandbox, options: Sequence[str], *, group: bool = False) -> tuple[list[str], Ended]:
    """Run once under strace with these options. Returns the trace and how the run ended.

    group: as soon as anything dies of SIGKILL, so does all that the run has started.
    """
    runs = box.bench.runs
    pid = runs.start(box.argv("run", "--force"), wait=True)
    ours, theirs = os.pipe()
    command = ["strace", "-f", "-o", f"/dev/fd/{theirs}", *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, pass_fds=[theirs]) as strace:
        os.close(theirs)
        assert strace.stderr is not None
        said = strace.stderr.readline().decode(errors="replace")
        attached = "attached" in said
        os.kill(pid, signal.SIGUSR1 if attached else signal.SIGKILL)
        lines = []
        with ends(pid), open(ours, encoding="utf-8", errors="replace") as pipe:
            for line in pipe:
                lines.append(line)
                if group and "killed by SIGKILL" in line:
                    end_group(pid)
            ended = runs.ended()
    if not attached:
        raise RuntimeError(f"strace cannot attach: {said.strip()}")
    return lines, ended


def inject(point: Point, fault: str) -> list[str]:
    return ["-e", f"trace={point.name}", "-e", f"inject={point.name}:{fault}:when={point.k}"]


def was_struck(lines: Iterable[str], fault: str) -> bool:
    sign = "killed by SIGKILL" if fault == KILL else "(INJECTED)"
    return any(sign in line for line in lines)


def prepared(bench: Bench, scenario: Scenario) -> Sandbox:
    box = bench.sandbox(reopen=scenario.reopen)
    scenario.prepare(box)
    if scenario.killed_at is not None:
        lines, _ = traced(box, inject(scenario.killed_at, KILL))
        if not was_struck(lines, KILL):
            raise RuntimeError(f"{scenario.name}: no earlier run died at {scenario.killed_at}")
        box.write(3)
    return box


def baseline(bench: Bench, scenario: Scenario) -> list[Call]:
    """Return the calls of one undisturbed run that begins in this scenario.

    Raises: RuntimeError: even that one leaves something to be desired.
    """
    box = prepared(bench, scenario)
    lines, ended = traced(box, ["-y", "-s", "64", "-e", "trace=all"])
    faults = box.faults()
    if ended.status or faults:
        raise RuntimeError(f"{scenario.name}, undisturbed: {ended} {faults}, see {box.directory}")
    shutil.rmtree(box.directory)
    return trace.after(trace.read(lines), MARK)


def resolved(scenario: Scenario, plain: Sequence[Call]) -> Scenario:
    """Return the scenario with the point at which its earlier run dies, if it has one."""
    wanted = scenario.stage
    if wanted is None:
        return scenario
    found = [point for point in points(plain) if wanted(point.call)]
    if not found:
        raise RuntimeError(f"{scenario.name}: a plain run makes no such call")
    return replace(scenario, killed_at=found[0])


def strike(bench: Bench, what: Strike, *, keep: bool = False) -> Outcome:
    """Carry out one strike and everything around it; the directory stays if something is wrong."""
    box = prepared(bench, what.scenario)
    faults = []
    lines, ended = traced(box, inject(what.point, what.fault), group=what.group)
    if "Traceback" in ended.err:
        faults.append(f"traceback: {ended.err.strip().splitlines()[-1]}")
    if ended.status == UNEXPECTED:
        faults.append(f"not foreseen: {ended.err.strip()}")
    if ended.status == -signal.SIGKILL and not was_struck(lines, KILL):
        faults.append(f"hangs: no end within {LIMIT} s")
    faults += box.between()
    try:
        box.write(3)
        night = box.night()
        if night.status:
            faults.append(f"the next run: exit {night.status}: {night.err.strip()}")
        box.write(3)
        faults += box.faults()
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        faults.append(f"{type(error).__name__}: {error}")
    if not faults and not keep:
        shutil.rmtree(box.directory)
    reached = was_struck(lines, what.fault)
    return Outcome(what, reached, ended.status, tuple(faults), box.directory)
