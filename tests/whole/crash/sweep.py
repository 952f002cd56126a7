"""Strike a run at each of its system calls, and see whether one ordinary run mends all.

    python -m tests.whole.crash.sweep [--full] [--errors] [--group] [--jobs N]
                                [--scenario NAME] [--part I/N] [--point NAME:K] [--keep]

A baseline traces one undisturbed run and so finds every point. Then, for each point, in a
directory of its own: lines are written; a run is struck there, by SIGKILL or, with
--errors, by an error; more lines; ONE ordinary run, which must end well; more lines. Then
every line must be there once and in its order, the writer must write into the log, and
nothing may lie about. --group also kills what the run has started.
"""

import argparse
import os
import queue
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.whole.crash.points import errors, points, reduced, shadowed
from tests.whole.crash.sandbox import Bench
from tests.whole.crash.strike import KILL, SCENARIOS, Outcome, Strike, baseline, resolved, strike

# In the reduced sweep, for all scenarios together: what CI has time for.
REDUCED = 180
# What SIGKILL leaves behind does not depend on the disk, and memory answers an fsync at once.
MEMORY = "/dev/shm"  # noqa: S108 (mkdtemp makes a directory in it that is ours alone)


def directory_in_memory() -> Path:
    """Return a new directory, in memory where there is such a place."""
    place = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None
    return Path(tempfile.mkdtemp(prefix="archiver-sweep-", dir=place))


@dataclass
class Report:
    """What a sweep has seen. shadowed: calls that no point can name (see points.shadowed)."""

    outcomes: list[Outcome] = field(default_factory=list)
    planned: Counter[str] = field(default_factory=Counter)
    shadowed: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.faults]

    def text(self) -> str:
        lines = []
        for outcome in self.failures:
            lines.append(f"FAILED {outcome.strike}; exit {outcome.status}; {outcome.directory}")
            lines += [f"    {fault}" for fault in outcome.faults]
        for name in self.planned:
            ours = [o for o in self.outcomes if o.strike.scenario.name == name]
            struck = [o for o in ours if o.struck]
            statuses = sorted(Counter(o.status for o in struck).items())
            ends = ", ".join(f"{status}: {count}" for status, count in statuses)
            lines.append(
                f"{name}: {len(ours)} points, {len(struck)} struck, "
                f"{len(ours) - len(struck)} not reached, {self.shadowed[name]} calls shadowed, "
                f"{sum(bool(o.faults) for o in ours)} failed; ended with {{{ends}}}"
            )
        total, failed = len(self.outcomes), len(self.failures)
        lines.append(f"{total} points, {failed} failed, in {self.seconds:.0f} s")
        return "\n".join(lines)


def plan(
    bench: Bench,
    report: Report,
    *,
    full: bool = False,
    with_errors: bool = False,
    group: bool = False,
    only: str | None = None,
) -> list[Strike]:
    """Trace the scenarios, and return all that is to be done to them."""
    plain = baseline(bench, SCENARIOS[0])
    usual = [scenario for scenario in SCENARIOS if full or scenario.brief]
    chosen = [scenario for scenario in SCENARIOS if scenario.name == only] or usual
    strikes = []
    for scenario in (resolved(scenario, plain) for scenario in chosen):
        calls = plain if scenario.name == SCENARIOS[0].name else baseline(bench, scenario)
        report.shadowed[scenario.name] = shadowed(calls)
        every = points(calls)
        if not full:
            every = reduced(every, REDUCED // len(chosen))
        for number, point in enumerate(every):
            faults: Sequence[str] = [KILL]
            if with_errors:
                possible = [f"error={error}" for error in errors(point)]
                turn = number % len(possible) if possible else 0
                faults = possible if full else possible[turn : turn + 1]
            strikes += [Strike(scenario, point, fault, group) for fault in faults]
    report.planned.update(strike.scenario.name for strike in strikes)
    return strikes


def carry_out(
    strikes: Sequence[Strike], benches: Sequence[Bench], report: Report, *, keep: bool = False
) -> None:
    """Carry out the strikes, on each bench one after the other."""
    free: queue.SimpleQueue[Bench] = queue.SimpleQueue()
    for bench in benches:
        free.put(bench)

    def one(what: Strike) -> Outcome:
        bench = free.get()
        try:
            return strike(bench, what, keep=keep)
        finally:
            free.put(bench)

    with ThreadPoolExecutor(len(benches)) as pool:
        for outcome in pool.map(one, strikes):
            report.outcomes.append(outcome)
            if outcome.faults:
                print("failed:", outcome.strike, *outcome.faults, sep="\n    ", file=sys.stderr)


def sweep(
    directory: Path,
    *,
    jobs: int = 2,
    full: bool = False,
    with_errors: bool = False,
    group: bool = False,
    scenario: str | None = None,
    part: tuple[int, int] = (1, 1),
    point: str | None = None,
    keep: bool = False,
) -> Report:
    """Do a whole sweep below `directory`. part: (i, n) does the i-th of n equal shares."""
    began = time.monotonic()
    report = Report()
    with ExitStack() as stack:
        benches = [
            stack.enter_context(closing(Bench(directory / f"bench{number}")))
            for number in range(jobs)
        ]
        strikes = plan(
            benches[0],
            report,
            full=full or point is not None,
            with_errors=with_errors,
            group=group,
            only=scenario,
        )
        if point is not None:
            strikes = [what for what in strikes if str(what.point) == point]
        carry_out(strikes[part[0] - 1 :: part[1]], benches, report, keep=keep)
    report.seconds = time.monotonic() - began
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="every call, not only the changing")
    parser.add_argument("--errors", action="store_true", help="errors instead of SIGKILL")
    parser.add_argument("--group", action="store_true", help="kill what the run started, too")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scenario", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--part", default="1/1", help="I/N: the I-th of N equal shares")
    parser.add_argument("--point", help="NAME:K: only there")
    parser.add_argument("--keep", action="store_true", help="keep every directory")
    options = parser.parse_args()
    share, shares = (int(number) for number in options.part.split("/"))
    directory = directory_in_memory()
    report = sweep(
        directory,
        jobs=options.jobs,
        full=options.full,
        with_errors=options.errors,
        group=options.group,
        scenario=options.scenario,
        part=(share, shares),
        point=options.point,
        keep=options.keep,
    )
    print(report.text())
    if not report.failures and not options.keep:
        shutil.rmtree(directory)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
