"""Kill the archiver, or the server, at each request of a run; one ordinary run must mend all.

    python -m tests.whole.s3.killed [--full] [--size NAME] [--victim NAME] [--point N:MOMENT]
                                    [--keep]

A baseline lets one run pass, and so finds every request. Then, for each of them and each moment,
with a host and a bucket of their own: a day's log is archived; one of the two dies by SIGKILL (the
server is started again at once); and ONE ordinary run, which must end with 0. Then the archive must
be there once in each store and the same, nothing may be half-done, and nothing left to do.
"""

import argparse
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.whole.crash.sandbox import Ended, Runs, Zone, runs
from tests.whole.crash.sweep import directory_in_memory
from tests.world.exchange import Exchange
from tests.world.faults import Action, Faults, Rule, faults
from tests.world.s3_host import Bucket, FarHost, incompressible
from tests.world.weed import Weed, weed

MIB = 2**20
# How many bytes the archive has, and what the target is told: one request, or so many parts.
IN_PARTS = {"part_size": '"5MiB"'}
SIZES = {"one": (MIB // 2, {}), "two": (6 * MIB, IN_PARTS), "three": (12 * MIB, IN_PARTS)}
FULL, REDUCED = ("one", "three"), ("one", "two")
VICTIMS = ("archiver", "server")
# Before the server has heard anything of a request; in the middle of its body; after the server
# has done it, and before anybody is told.
MOMENTS = ("arrives", "midway", "done")
CHANGING = ("PUT", "POST", "DELETE")
# Of the reduced sweep: an archive, or the beginning, the second part and the end of one.
MATTERING = re.compile(r"(PUT|POST) [^?]*\.log\.zst($|\?uploads|\?partNumber=2&|\?uploadId=)")
# Of a body as short as that, the middle is like the end.
SHORT = 4096


@dataclass(frozen=True)
class Point:
    """Who dies when: at the `number`-th request, which is that one in the baseline."""

    size: str
    victim: str
    number: int
    moment: str
    request: str

    def __str__(self) -> str:
        return f"{self.size}, {self.victim} at {self.number}:{self.moment}, {self.request}"


@dataclass(frozen=True)
class Outcome:
    """What became of it. status: how the struck run ended, None if the point was not reached."""

    point: Point
    status: int | None
    faults: tuple[str, ...]
    directory: Path


@dataclass
class Report:
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.faults]

    @property
    def struck(self) -> int:
        return sum(outcome.status is not None for outcome in self.outcomes)

    def text(self) -> str:
        lines = []
        for outcome in self.failures:
            lines.append(f"FAILED {outcome.point}; exit {outcome.status}; {outcome.directory}")
            lines += [f"    {fault}" for fault in outcome.faults]
        lines.append(
            f"{len(self.outcomes)} points, {self.struck} struck, {len(self.failures)} failed, "
            f"in {self.seconds:.0f} s"
        )
        return "\n".join(lines)


class Bench:
    """A server, and an archiver with everything loaded, from which each run is forked off."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.server: Weed = stack.enter_context(weed(directory / "weed"))
        self.faulty: Faults = stack.enter_context(faults(self.server))
        self.runs: Runs = stack.enter_context(runs(directory))
        self.zone = Zone()
        self.count = 0

    def place(self, size: str) -> "Place":
        self.count += 1
        directory = self.directory / f"{self.count:05}"
        directory.mkdir(mode=0o755)
        return Place(self, directory, size)


class Place:
    """One host with a day's log, and its bucket."""

    def __init__(self, bench: Bench, directory: Path, size: str) -> None:
        length, more = SIZES[size]
        self.bench = bench
        self.directory = directory
        server = bench.server
        self.far = Bucket(server, server.bucket(lock=True), bench.faulty, more=more)
        self.host = FarHost(
            directory,
            zone=bench.zone.name,
            targets=("store",),
            buckets={"far": self.far},
            required=2,
        )
        self.written = incompressible(bench.zone.now().date(), length)
        self.host.write(self.written)

    def run(self, rule: Callable[[int], Rule] | None = None) -> Ended:
        """One run, in a process of its own; the rule is told its pid, and is there before it asks
        for anything.
        """
        bench = self.bench
        bench.faulty.requests.clear()
        argv = self.host.argv("run", "--force")[1:]
        pid = bench.runs.start(argv, wait=True)
        bench.faulty.rules = [rule(pid)] if rule else []
        os.kill(pid, signal.SIGUSR1)
        ended = bench.runs.ended()
        bench.faulty.rules = []
        return ended

    def faults(self) -> Iterator[str]:
        """Everything that is not as it must be after an ordinary run."""
        ended = self.run()
        if ended.status:
            yield f"the next run: exit {ended.status}: {ended.err.strip()}"
        try:
            if self.host.everywhere() != self.written:
                yield "changed: what is archived is not what was logged"
        except (AssertionError, OSError, ValueError, subprocess.CalledProcessError) as error:
            yield f"copies: {type(error).__name__}: {error}"
        if uploads := self.far.uploads():
            yield f"half-done: {uploads}"
        if left := self.host.spooled():
            yield f"stray: {left} in the spool"
        if left := [str(path) for path in self.directory.rglob("*.partial")]:
            yield f"stray: {left}"
        yield from self.undone()
        yield from self.forgotten()

    def undone(self) -> Iterator[str]:
        """Another run must find nothing to do."""
        ended = self.run()
        changes = [seen.target for seen in self.bench.faulty.requests if seen.method in CHANGING]
        if ended.status or changes:
            yield f"one more run: exit {ended.status}: {ended.err.strip()}, it changes {changes}"

    def forgotten(self) -> Iterator[str]:
        """The catalog must say what the stores say."""
        before = self.catalog()
        said = self.host.archiver("catalog", "rebuild")
        if said.status:
            yield f"rebuild: exit {said.status}: {said.err.strip()}"
        elif self.catalog() != before:
            yield "catalog: rebuilding changes it"

    def catalog(self) -> list[list[str]]:
        with closing(sqlite3.connect(self.host.config.host.catalog)) as database:
            return [
                sorted(map(str, database.execute(f"SELECT * FROM {table}")))  # noqa: S608
                for table in ("manifest", "copy", "sidecar")
            ]

    def clear(self) -> None:
        """Give back what the place takes: in memory, it is dear."""
        shutil.rmtree(self.directory)


def interrupted(point: Point, kill: Callable[[], None]) -> Action:
    """What becomes of the request at which somebody dies."""

    def act(exchange: Exchange) -> None:
        if point.moment == "arrives":
            kill()
        elif point.moment == "done":
            exchange.forward()
            kill()
        else:
            half = int(exchange.headers.get("content-length", "0")) // 2
            incoming = exchange._incoming

            def cut_off() -> Iterator[bytes]:
                for piece in incoming():
                    yield piece
                    if exchange.seen.bytes_in >= half:
                        kill()
                        raise ConnectionAbortedError

            exchange._incoming = cut_off  # type: ignore[method-assign]
            exchange.forward()
        exchange.drop()

    return act


def strike(bench: Bench, point: Point, *, keep: bool = False) -> Outcome:
    """Kill once, and see whether one ordinary run mends all."""
    place = bench.place(point.size)
    rules: list[Rule] = []

    def at(pid: int) -> Rule:
        def kill() -> None:
            if point.victim == "archiver":
                os.kill(pid, signal.SIGKILL)
            else:
                bench.server.kill()
                bench.server.start()

        rules.append(Rule(".*", ".", interrupted(point, kill), skip=point.number - 1))
        return rules[0]

    ended = place.run(at)
    reached = rules[0].struck > 0
    found = []
    if "Traceback" in ended.err or "unexpected" in ended.err:
        found.append(f"not foreseen: {ended.err.strip()}")
    if point.victim == "archiver" and reached and ended.status != -signal.SIGKILL:
        found.append(f"alive: exit {ended.status}")
    found += place.faults()
    if not found and not keep:
        place.clear()
    return Outcome(point, ended.status if reached else None, tuple(found), place.directory)


def points(bench: Bench, size: str, victims: Sequence[str]) -> list[Point]:
    """All that can be done to a run, as an undisturbed one asks."""
    place = bench.place(size)
    ended = place.run()
    seen = list(bench.faulty.requests)
    if ended.status or (wrong := list(place.faults())):
        raise RuntimeError(f"undisturbed: {ended} {wrong}")
    place.clear()
    return [
        Point(size, victim, number, moment, f"{each.method} {each.target.rpartition('/')[2]}")
        for victim in victims
        for number, each in enumerate(seen, start=1)
        for moment in MOMENTS
        if moment != "midway" or each.bytes_in > SHORT
    ]


def reduced(every: Sequence[Point]) -> list[Point]:
    """The few that matter most: what was done just then, or half."""
    return [
        point
        for point in every
        if MATTERING.match(point.request)
        if point.moment == ("done" if point.victim == "archiver" else "midway")
    ]


def sweep(
    directory: Path,
    *,
    full: bool = False,
    size: str | None = None,
    victim: str | None = None,
    only: str | None = None,
    keep: bool = False,
) -> Report:
    """Do a whole sweep below `directory`. only: N:MOMENT."""
    began = time.monotonic()
    report = Report()
    with ExitStack() as stack:
        bench = Bench(directory, stack)
        for each in [size] if size else FULL if full else REDUCED:
            every = points(bench, each, [victim] if victim else VICTIMS)
            chosen = every if full or only else reduced(every)
            for point in chosen:
                if only in {None, f"{point.number}:{point.moment}"}:
                    outcome = strike(bench, point, keep=keep)
                    report.outcomes.append(outcome)
                    if outcome.faults:
                        print("failed:", point, *outcome.faults, sep="\n    ", file=sys.stderr)
    report.seconds = time.monotonic() - began
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="every request, at every moment")
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--victim", choices=VICTIMS)
    parser.add_argument("--point", help="N:MOMENT: only there")
    parser.add_argument("--keep", action="store_true", help="keep every directory")
    options = parser.parse_args()
    directory = directory_in_memory()
    report = sweep(
        directory,
        full=options.full,
        size=options.size,
        victim=options.victim,
        only=options.point,
        keep=options.keep,
    )
    print(report.text())
    if not report.failures and not options.keep:
        shutil.rmtree(directory)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
