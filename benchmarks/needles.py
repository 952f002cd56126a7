"""What it costs to find a needle in an archive, or in all of them, and to be able to.

python benchmarks/needles.py --size 200MB --archives 2555 --work DIR [--json] [--only dated]

A log of one day, as large as --size, is for needles whose date is known; --archives small days on
end are for those without one. Every answer is compared with what a look at every line tells. What
is read is counted by a store of our own, 20 ms away (see counted.py); seconds are those of a local
disk whose files are in memory. This is a report, never a test: it exits 0 whatever the numbers
say, and 1 when a command fails or an answer is wrong.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.archives.names import INDEX_SUFFIXES
from archiver.config.settings import Config
from archiver.find.snapshot import Window, day_window
from archiver.index import spans
from archiver.maillog.born import born
from archiver.maillog.kinds import KINDS

if TYPE_CHECKING:
    from benchmarks import counted, nightly, others
else:  # a script finds what stands beside it
    import counted
    import nightly
    import others

MB = 10**6
LATENCY = 0.02
NEEDLES = 100
SAMPLE = 300  # keys of each kind that are searched for; fewer, if they stand in more than
FRAMES = 200  # frames
ABSENT = 10_000
ALL_KINDS = f"[index]\nkeys = {json.dumps(KINDS)}\n"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. goal: the largest of the values is to be no larger."""

    name: str
    values: Sequence[float]
    unit: str = ""
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else max(self.values) <= self.goal

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "median": statistics.median(self.values),
            "max": max(self.values),
            "count": len(self.values),
            "goal": self.goal,
            "met": self.met,
        }

    def text(self) -> str:
        median, most = said(statistics.median(self.values)), said(max(self.values))
        goal = "" if self.goal is None else said(self.goal)
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        return (
            f"{self.name:<52} {median:>10} {most:>10} {self.unit:<3} {goal:>6} {verdict}".rstrip()
        )


def said(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3f}"


@dataclass
class Bench:
    """What is measured on. wrong: answers that were not what the lines tell."""

    work: Path
    size: str
    archives: int
    runs: int
    yesterday: dt.date = dt.datetime.now(counted.ZONE).date() - dt.timedelta(1)
    wrong: list[str] = field(default_factory=list)

    @cached_property
    def day_log(self) -> Path:
        return counted.log_of_a_day(self.work, self.size, self.yesterday)

    @cached_property
    def days_log(self) -> Path:
        return counted.log_of_days(self.work, self.archives, self.yesterday)

    @cached_property
    def day(self) -> Config:
        return counted.host(self.work, self.day_log.stem, self.day_log)

    @cached_property
    def days(self) -> Config:
        return counted.host(self.work, self.days_log.stem, self.days_log)

    @property
    def window(self) -> Window:
        return day_window(self.yesterday, self.yesterday, counted.ZONE)

    def expect(self, right: bool, what: str) -> None:
        if not right:
            self.wrong.append(what)


# -- recall, and the size of the index ---------------------------------------------------------


def recall(bench: Bench) -> list[Row]:
    """Of the index of all kinds of keys, alone, for all of them; and of searches, for some."""
    config = counted.host(bench.work, f"{bench.day_log.stem}-all", bench.day_log, ALL_KINDS)
    (manifest,) = counted.manifests(config)
    truth = counted.scan(bench.day_log)
    frames = counted.places(truth, [frame.raw_size for frame in manifest.frames])
    index = counted.stored(config, manifest.index_key)
    missed = counted.not_named(config, index, bytes.fromhex(manifest.sha256), frames)
    rows = [Row(f"index: keys missed of {len(truth):,}", [missed], goal=0), *in_runs(bench)]
    asked = {kind: sample(frames, kind) for kind in KINDS}
    with ProcessPoolExecutor(counted.PROCESSES) as pool:
        tasks = [
            pool.submit(wrongly_found, config, bench.day_log, {key: truth[key] for key in keys})
            for keys in asked.values()
        ]
        for (kind, keys), task in zip(asked.items(), tasks, strict=True):
            wrong = task.result()
            rows.append(Row(f"search: {kind}: wrong of {len(keys)}", [len(wrong)], goal=0))
            for key in wrong:
                bench.expect(right=False, what=f"search for {key}")
    bench.expect(missed == 0, f"index: {missed} keys missed")
    return rows


def in_runs(bench: Bench) -> list[Row]:
    """Recall of the runs: for all keys, the archives in which they stand."""
    config = bench.days
    of_all = counted.places(
        counted.scan(bench.days_log), [each.raw_size for each in counted.manifests(config)]
    )
    missed = 0
    for span in spans.spans(bench.archives):
        within = range(span.first - 1, span.last)
        of_run = {
            key: frozenset(place - within.start for place in numbers if place in within)
            for key, numbers in of_all.items()
            if key[0] in config.index.keys
        }
        key = spans.key_of(config.host.name, config.sources[0].name, span)
        identity = counted.run_identity(config, span)
        missed += counted.not_named(config, counted.stored(config, key), identity, of_run)
    bench.expect(missed == 0, f"runs: {missed} keys missed")
    return [Row(f"runs: keys missed of {len(of_all):,}", [missed], goal=0)]


def sample(frames: counted.Places, kind: str) -> list[counted.Key]:
    """Choose keys of a kind: the two that stand in most frames, and any others."""
    of_kind = sorted(key for key in frames if key[0] == kind)
    chosen = sorted(of_kind, key=lambda key: -len(frames[key]))[:2]
    chosen += random.Random(kind).sample(of_kind, min(SAMPLE, len(of_kind)))
    looked_through = list(accumulate(len(frames[key]) for key in chosen))
    return chosen[: max(bisect_right(looked_through, FRAMES), 3)][:SAMPLE]


def wrongly_found(config: Config, path: Path, asked: counted.Truth) -> list[counted.Key]:
    """Return the keys for which a search finds other lines than those that begin there."""
    log, wrong = path.read_bytes(), []
    with counted.searching(config) as find:
        for key, begins in asked.items():
            lines = [log[begin : log.index(b"\n", begin) + 1] for begin in begins]
            if find(key, counted.EVER).lines != lines:
                wrong.append(key)
    return wrong


def size(bench: Bench) -> list[Row]:
    rows = []
    for name, config in (("a large day", bench.day), ("small days, runs too", bench.days)):
        found = counted.stored(config, "").rglob("*")
        indexes = [path for path in found if path.name.endswith(INDEX_SUFFIXES)]
        raw = sum(each.raw_size for each in counted.manifests(config))
        goal = 1.0 if config is bench.day else None
        rows.append(Row(f"index of {name}, of raw", [100 * others.total(indexes) / raw], "%", goal))
    return rows


# -- needles ----------------------------------------------------------------------------------


def look_for(
    bench: Bench,
    config: Config,
    path: Path,
    kind: str,
    window: Window,
    latency: float = LATENCY,
    suits: Callable[[bytes], Any] = bool,
) -> list[counted.Found]:
    """Search for needles, and compare what is found with what is there."""
    log, found = path.read_bytes(), []
    with counted.searching(config, latency) as find:
        for text in counted.some_keys(log, kind, NEEDLES, suits):
            found.append(find((kind, text), window))
            right = found[-1].lines == counted.telling(log, (kind, text))
            bench.expect(right, f"search for {kind} {text!r} in {path.name}")
    return found


def dated(bench: Bench) -> list[Row]:
    found = look_for(bench, bench.day, bench.day_log, "message_id", bench.window)
    return [
        Row("dated: range reads", [each.range_reads for each in found], goal=4),
        Row("dated: bytes", [each.bytes / MB for each in found], "MB", 0.7),
        Row("dated: round trips", [each.round_trips for each in found]),
        Row("dated: listings", [each.listings for each in found], goal=0),
        *in_seconds(bench, "dated", ["--date", str(bench.yesterday)]),
    ]


def undated(bench: Bench) -> list[Row]:
    found = look_for(bench, bench.days, bench.days_log, "message_id", counted.EVER)
    return [
        Row("undated: range reads", [each.range_reads for each in found], goal=20),
        Row("undated: beyond the archive it is in", [each.beyond / MB for each in found], "MB", 1),
        Row("undated: round trips", [each.round_trips for each in found], goal=4),
        Row("undated: listings", [each.listings for each in found], goal=0),
        *in_seconds(bench, "undated", []),
    ]


def in_seconds(bench: Bench, name: str, dates: list[str]) -> list[Row]:
    """How long it takes, the search alone and the whole command."""
    config, path = (bench.day, bench.day_log) if dates else (bench.days, bench.days_log)
    window = bench.window if dates else counted.EVER
    found = look_for(bench, config, path, "message_id", window, latency=0)
    texts = counted.some_keys(path.read_bytes(), "message_id", bench.runs)
    commands = [nightly.timed(*fetching(config, text, dates)).seconds for text in texts]
    return [
        Row(f"{name}: search", [each.seconds for each in found], "s", 1),
        Row(f"{name}: archiver fetch --message-id", commands, "s", 1),
    ]


def fetching(config: Config, text: bytes, dates: list[str]) -> list[str]:
    what = f"--message-id={text.decode()}"
    return [nightly.ARCHIVER, "-c", str(config.path), "fetch", what, *dates]


def absent(bench: Bench) -> list[Row]:
    """Look for what was never logged: nothing but indexes should be read."""
    keys = [key for n in range(ABSENT // 4) for key in absent_keys(n)]
    rows = []
    for name, config, window in (
        ("dated", bench.day, bench.window),
        ("undated", bench.days, counted.EVER),
    ):
        with ProcessPoolExecutor(counted.PROCESSES) as pool:
            halves = [keys[0::2], keys[1::2]]
            tasks = [pool.submit(counted.find_all, config, half, window) for half in halves]
            found = [each for task in tasks for each in task.result()]
        bench.expect(not any(each.lines for each in found), f"{name}: an absent key was found")
        read = sum(bool(each.frame_reads) for each in found)
        rows.append(Row(f"absent, {name}: read a frame", [100 * read / len(keys)], "%", 0.1))
    return rows


def absent_keys(n: int) -> list[counted.Key]:
    """Keys that no lifelike log holds."""
    texts = (f"{n}.absent@absent.example", f"{n}@absent.example", f"{10**9 + n}")
    kinds = ("message_id", "address", "qp")
    ip = f"0.1.{n // 250}.{n % 250}"
    return [
        *((kind, text.encode()) for kind, text in zip(kinds, texts, strict=True)),
        ("ip", ip.encode()),
    ]


def telling_time(bench: Bench) -> list[Row]:
    """Queue ids that tell when they were made: their frames are known without an index."""

    def tells(text: bytes) -> bool:
        return born(text, near=int(time.time())) is not None

    found = look_for(bench, bench.day, bench.day_log, "queue_id", bench.window, suits=tells)
    asked = sum(bool(each.index_reads) for each in found)
    return [
        Row("id with its time: index reads", [each.index_reads for each in found], goal=0),
        Row("id with its time: asked an index", [100 * asked / len(found)], "%"),
        Row("id with its time: range reads", [each.range_reads for each in found]),
        Row("id with its time: bytes", [each.bytes / MB for each in found], "MB"),
    ]


# -- the nightly pass -------------------------------------------------------------------------


def night(bench: Bench) -> list[Row]:
    log = str(bench.day_log)
    both = nightly.Bench(str(bench.work), log, log, bench.runs, config=nightly.CONFIG)
    costs = nightly.side_by_side(
        lambda: nightly.run_on_copy(both), lambda: nightly.compress_and_hash(both), bench.runs
    )
    row = nightly.Row("run", "zstd -3 && sha256sum", *costs)
    cpu = row.cpu[0] / row.cpu[1]
    rows = [
        Row("run --force, against zstd -3 && sha256sum", [row.result], "x", 1.5),
        Row("run --force, against them: CPU seconds", [cpu], "x"),
        Row("run --force: its largest process", [row.memory / nightly.MIB], "MiB", 256),
    ]
    if Path("/proc/self/smaps_rollup").exists():
        with nightly.fresh(both) as here:
            shutil.copyfile(log, here / "maillog")
            most = counted.most_memory(
                nightly.ARCHIVER, "-c", f"{here}/archiver.toml", "run", "--force"
            )
        rows.append(Row("run --force: its processes together", [most / nightly.MIB], "MiB", 256))
    return rows


# -- side by side with what others search with -------------------------------------------------


def tools(bench: Bench) -> list[Row]:
    rows = []
    for name, config, path, dates in (
        ("one day", bench.day, bench.day_log, ["--date", str(bench.yesterday)]),
        ("all days", bench.days, bench.days_log, []),
    ):
        log = path.read_bytes()
        (text,) = counted.some_keys(log, "message_id", 1)
        lines = counted.telling(log, ("message_id", text))
        commands = others.commands(bench.work, config, text.decode())
        with counted.searching(config) as find:
            ours = find(("message_id", text), bench.window if dates else counted.EVER)
        seconds, _ = answered(bench, fetching(config, text, dates), lines)
        for tool, (argv, size) in commands.items():
            theirs, out = answered(bench, argv, lines)
            rows += [
                Row(f"{name}: {tool}: time, to archiver's", [theirs / seconds], "x"),
                Row(
                    f"{name}: {tool}: bytes read, to archiver's",
                    [(size or int(out)) / ours.bytes],
                    "x",
                ),
            ]
    return rows


def answered(bench: Bench, argv: list[str], lines: list[bytes]) -> tuple[float, bytes]:
    """Run a command that is to write these lines; return its seconds, and what else it wrote."""
    output = bench.work / "answer"
    begin = time.perf_counter()
    costs = [nightly.timed(*argv, output=str(output)).seconds]
    if time.perf_counter() - begin < 5:
        costs += [nightly.timed(*argv, output=str(output)).seconds for _ in range(bench.runs - 1)]
    got = output.read_bytes()
    whole = b"".join(lines)
    bench.expect(got.startswith(whole), f"{argv[0]} gave {len(got)} bytes, not these lines")
    return statistics.median(costs), got.removeprefix(whole)


# The night comes first: a command that is started counts this process's memory as its own.
MEASUREMENTS: dict[str, Callable[[Bench], list[Row]]] = {
    "night": night,
    "recall": recall,
    "size": size,
    "dated": dated,
    "undated": undated,
    "absent": absent,
    "time": telling_time,
    "tools": tools,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", default="200MB", help="of the log of one day")
    parser.add_argument("--archives", type=int, default=2555, help="how many small days on end")
    parser.add_argument("--runs", type=int, default=3, help="of each command")
    parser.add_argument(
        "--work", metavar="DIR", help="where to work, and find what was made before"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON document")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        work = args.work or stack.enter_context(tempfile.TemporaryDirectory())
        os.makedirs(work, exist_ok=True)
        bench = Bench(Path(work).absolute(), args.size, args.archives, args.runs)
        rows = []
        for name in args.only:
            rows += (of_it := MEASUREMENTS[name](bench))
            if not args.json:
                print(*(row.text() for row in of_it), sep="\n", flush=True)
    if args.json:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count()}
        document = {"size": args.size, "archives": args.archives, "runs": args.runs, **machine}
        document |= {"wrong": bench.wrong, "rows": [row.document() for row in rows]}
        print(json.dumps(document, indent=2))
    if bench.wrong:
        sys.exit("wrong answers:\n" + "\n".join(bench.wrong[:20]))


if __name__ == "__main__":
    main()
