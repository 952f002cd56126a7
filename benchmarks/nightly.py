"""What a night costs, measured side by side with the tools that do parts of it; without an index,
which none of them makes: needles.py measures the night with it.

python benchmarks/nightly.py --size 500MB --runs 3 [--json]

Each pair of commands works on the same text, in alternating order, each run in a fresh directory;
ratios are ratios of medians. The text has been read once before, so it is in memory for both.
This is a report, never a test: it exits 0 whatever the numbers say, and 1 when a command fails.
"""

import argparse
import contextlib
import datetime as dt
import filecmp
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHIVER = str(Path(sys.executable).with_name("archiver"))
GENERATE = str(Path(__file__).with_name("generate.py"))
MIB = 2**20
MEMORY_GOAL = 256 * MIB
# Of the log that holds a single day: the last one, or days without lines had to be recorded, too.
DATE = (dt.date.today() - dt.timedelta(days=1)).isoformat()  # noqa: DTZ011

CONFIG = """\
schema = 1
[host]
name = "mx1"
timezone = "Europe/Rome"
state_dir = "state"
spool_dir = "spool"
[compress]
level = 3
[[source]]
name = "maillog"
path = "maillog"
reopen = "none"
[storage]
required = 1
[storage.target.local]
type = "local"
path = "store"
"""

NO_INDEX = "[index]\nkeys = []\n"

LOGROTATE = """\
"{log}" {{
    rotate 7
    missingok
    create 0640
    compress
    compresscmd /usr/bin/zstd
    compressoptions -3
    compressext .zst
}}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    cpu: float  # seconds too, of all its threads and of the children it waited for
    memory: int  # bytes: the largest resident set of the command or of a child it waited for


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    name: str
    against: str
    ours: list[Cost]
    theirs: list[Cost]
    goal: float | None = None  # at most this ratio, or this many milliseconds more
    startup: bool = False  # compared by difference; memory is of no interest

    @property
    def medians(self) -> tuple[float, float]:
        ours, theirs = ([cost.seconds for cost in costs] for costs in (self.ours, self.theirs))
        return statistics.median(ours), statistics.median(theirs)

    @property
    def result(self) -> float:
        ours, theirs = self.medians
        return (ours - theirs) * 1000 if self.startup else ours / theirs

    @property
    def cpu(self) -> tuple[float, float]:
        ours, theirs = ([cost.cpu for cost in costs] for costs in (self.ours, self.theirs))
        return statistics.median(ours), statistics.median(theirs)

    @property
    def memory(self) -> int:
        return max(cost.memory for cost in self.ours)

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.result <= self.goal

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "against": self.against,
            "unit": "milliseconds more" if self.startup else "ratio",
            "result": round(self.result, 3),
            "goal": self.goal,
            "met": self.met,
            "seconds": [round(cost.seconds, 4) for cost in self.ours],
            "seconds_against": [round(cost.seconds, 4) for cost in self.theirs],
            "cpu_seconds": round(self.cpu[0], 4),
            "cpu_seconds_against": round(self.cpu[1], 4),
            "peak_memory": None if self.startup else self.memory,
            "memory_goal": None if self.startup else MEMORY_GOAL,
        }

    def text(self) -> str:
        ours, theirs = self.medians
        cpu = "{:.2f}/{:.2f}".format(*self.cpu)
        memory, scale, unit = f"{self.memory / MIB:.0f} MiB", 1, "s"
        result, goal = f"{self.result:.2f}x", f"{self.goal or '-'}"
        spread = " ".join(f"{cost.seconds:.2f}" for cost in self.ours)
        if self.startup:
            memory, scale, unit, spread = "", 1000, "ms", ""
            result = f"{self.result:+.0f} ms"
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        return (
            f"{self.name:<7} {self.against:<22} {ours * scale:>7.2f} {unit:<2}"
            f" {theirs * scale:>7.2f} {unit:<2} {result:>7} {goal:>5} {verdict:<6}"
            f" {cpu:>12} {memory:>8}  {spread}"
        )


@dataclass(frozen=True, slots=True)
class Bench:
    work: str
    week: str  # a log of several days
    single: str  # a log of one day, of the same size
    runs: int
    config: str = CONFIG + NO_INDEX


def timed(*argv: str, output: str = os.devnull) -> Cost:
    """Run a command and tell what it cost; end the benchmark if the command fails."""
    with open(output, "wb") as stdout, tempfile.TemporaryFile() as stderr:
        begin = time.perf_counter()
        process = subprocess.Popen(argv, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            stderr.seek(0)
            message = stderr.read().decode(errors="replace")
            sys.exit(f"{' '.join(argv)}: exit {process.returncode}\n{message}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


@contextlib.contextmanager
def fresh(bench: Bench) -> Iterator[Path]:
    """An empty directory with a configuration, once the disk is done with the run before."""
    with tempfile.TemporaryDirectory(dir=bench.work) as name:
        here = Path(name)
        (here / "archiver.toml").write_text(bench.config)
        os.sync()
        yield here


def side_by_side(
    ours: Callable[[], Cost], theirs: Callable[[], Cost], runs: int
) -> tuple[list[Cost], list[Cost]]:
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for run in range(runs):
        for which in (0, 1) if run % 2 == 0 else (1, 0):
            costs[which].append((ours, theirs)[which]())
    return costs


def archiver(here: Path, *argv: str) -> Cost:
    return timed(ARCHIVER, "-c", str(here / "archiver.toml"), *argv)


def compress_and_hash(bench: Bench) -> Cost:
    """What the archive and its digest cost with the tools everybody has."""
    with fresh(bench) as here:
        script = 'zstd -q -3 -T1 "$1" -o "$2" && sha256sum "$1"'
        return timed("sh", "-c", script, "sh", bench.week, str(here / "maillog.zst"))


def import_(bench: Bench) -> Row:
    def ours() -> Cost:
        with fresh(bench) as here:
            return archiver(here, "import", bench.week)

    costs = side_by_side(ours, lambda: compress_and_hash(bench), bench.runs)
    return Row("import", "zstd -3 && sha256sum", *costs, goal=1.2)


def run_on_copy(bench: Bench) -> Cost:
    """`archiver run --force` on a copy of the log that nobody holds open."""
    with fresh(bench) as here:
        shutil.copyfile(bench.week, here / "maillog")
        os.sync()
        return archiver(here, "run", "--force")


def run(bench: Bench) -> Row:
    costs = side_by_side(lambda: run_on_copy(bench), lambda: compress_and_hash(bench), bench.runs)
    return Row("run", "zstd -3 && sha256sum", *costs, goal=1.2)


def run_or_logrotate(bench: Bench) -> Row | None:
    logrotate = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not logrotate:
        return None

    def theirs() -> Cost:
        with fresh(bench) as here:
            shutil.copyfile(bench.week, here / "maillog")
            config = here / "logrotate.conf"
            config.write_text(LOGROTATE.format(log=here / "maillog"))
            os.sync()
            cost = timed(logrotate, "-f", "-s", str(here / "state"), str(config))
            if not (here / "maillog.1.zst").exists():
                sys.exit("logrotate rotated nothing")
            return cost

    costs = side_by_side(lambda: run_on_copy(bench), theirs, bench.runs)
    return Row("run", "logrotate with zstd -3", *costs)


def fetch(bench: Bench) -> Row:
    """A whole day to a file, against zstd on the very archive it comes from."""
    with fresh(bench) as here:
        archiver(here, "import", bench.single)
        archives = [str(path) for path in sorted((here / "store").rglob("*.log.zst"))]
        fetched, plain = here / "fetched", here / "plain"

        def ours() -> Cost:
            fetched.unlink(missing_ok=True)
            os.sync()
            return archiver(here, "fetch", "--date", DATE, "-o", str(fetched))

        def theirs() -> Cost:
            plain.unlink(missing_ok=True)
            os.sync()
            return timed("zstd", "-q", "-dc", *archives, output=str(plain))

        costs = side_by_side(ours, theirs, bench.runs)
        if not all(filecmp.cmp(bench.single, got, shallow=False) for got in (fetched, plain)):
            sys.exit("what came back is not what went in")
    return Row("fetch", "zstd -dc", *costs, goal=1.3)


def startup(_: Bench) -> Row:
    costs = side_by_side(
        lambda: timed(ARCHIVER, "--help"), lambda: timed(sys.executable, "-c", "pass"), 20
    )
    return Row("--help", "python -c pass", *costs, goal=120, startup=True)


MEASUREMENTS: dict[str, Callable[[Bench], Row | None]] = {
    "import": import_,
    "run": run,
    "logrotate": run_or_logrotate,
    "fetch": fetch,
    "startup": startup,
}


def prepare(work: str, size: str, runs: int, seed: int) -> Bench:
    """Write both logs and read them once."""
    bench = Bench(work, f"{work}/week", f"{work}/single", runs)
    for path, days, start in ((bench.week, "7", "2026-03-01"), (bench.single, "1", DATE)):
        log = ["--size", size, "--seed", str(seed), "--days", days, "--start", start]
        timed(sys.executable, GENERATE, *log, "-o", path)
        timed("cat", path)
    return bench


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", default="500MB", help="of each log")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", metavar="DIR", help="where to work; default: a temporary one")
    parser.add_argument("--json", action="store_true", help="write one JSON document")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        bench = prepare(work, args.size, args.runs, args.seed)
        rows = [row for name in args.only if (row := MEASUREMENTS[name](bench))]
    if args.json:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
        document = {"size": args.size, "runs": args.runs, **machine}
        print(json.dumps({**document, "rows": [row.document() for row in rows]}, indent=2))
        return
    print(f"{args.size}, medians of {args.runs} runs; memory goal {MEMORY_GOAL // MIB} MiB\n")
    print(
        "what    against                  archiver      other  result  goal"
        "         CPU seconds   memory  archiver's runs"
    )
    for row in rows:
        print(row.text())


if __name__ == "__main__":
    main()
