"""What the benchmark of needles stands on: logs and hosts, counted searches, and the truth.

The truth is what a look at every line tells, without any index. Reads are counted by a store of
our own, which stands between a search and its stores, and may be some milliseconds away.
"""

import contextlib
import datetime as dt
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import zlib
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from zoneinfo import ZoneInfo

import archiver
from archiver.archives.manifest import Manifest
from archiver.archives.names import ARCHIVE_SUFFIX, PAGE
from archiver.archives.receipts import Stored
from archiver.config.settings import Config, load
from archiver.config.targets import LocalTarget
from archiver.errors import Problems
from archiver.find.search import Search
from archiver.find.snapshot import Window, catalogued
from archiver.index import identity, pages, spans
from archiver.maillog.lines import keys_of
from archiver.maillog.match import Wanted
from archiver.setup.demo import lifelike
from archiver.stores import Store, open_stores
from archiver.stores.catch_up import readable

if TYPE_CHECKING:
    from benchmarks import nightly
else:  # a script finds what stands beside it
    import nightly

Key = tuple[str, bytes]  # kind and normal form
Places = dict[Key, frozenset[int]]  # in which frames of an archive, or in which archives
Truth = dict[Key, "array[int]"]  # where the lines begin that tell a key

PROCESSES = 2
ZONE = ZoneInfo("Europe/Rome")
EVER = Window(-(2**62), 2**62)
REPEATED = b" mx1 last message repeated "
MESSAGES_A_DAY = 25  # of a day among many: about 40 kB
DEFAULT_LEVEL = nightly.CONFIG.replace("[compress]\nlevel = 3\n", "")


# -- logs and hosts ---------------------------------------------------------------------------


def host(work: Path, name: str, log: Path, more: str = "") -> Config:
    """Return a host with the archives of a log; it is made unless this very program has made it.

    more: TOML, for its configuration.
    """
    sources = sorted(Path(archiver.__file__).parent.rglob("*.py"))
    program = zlib.crc32(b"".join(path.read_bytes() for path in sources))
    here = work / f"{name}-{program:08x}"
    if not here.exists():
        making = work / f"{here.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        (making / "archiver.toml").write_text(DEFAULT_LEVEL + more)
        (making / "maillog").touch()
        nightly.archiver(making, "import", str(log))
        making.rename(here)
    return load(here / "archiver.toml")


def log_of_a_day(work: Path, size: str, day: dt.date) -> Path:
    path = work / f"day-{size}-{day}.log"
    if not path.exists():
        argv = ["--size", size, "--days", "1", "--start", str(day), "-o", f"{path}.making"]
        nightly.timed(sys.executable, nightly.GENERATE, *argv)
        os.rename(f"{path}.making", path)
    return path


def log_of_days(work: Path, count: int, last: dt.date) -> Path:
    """So many small days, one after the other, the last of them not after `last`."""
    path = work / f"days-{count}.log"
    if not path.exists():
        days = [last - dt.timedelta(n) for n in reversed(range(count))]
        with open(f"{path}.making", "wb") as file, ProcessPoolExecutor(PROCESSES) as pool:
            file.writelines(pool.map(small_day, days, chunksize=16))
        os.rename(f"{path}.making", path)
    return path


def small_day(day: dt.date) -> bytes:
    return b"".join(lifelike.day(day, ZONE, seed=1, messages=MESSAGES_A_DAY))


def manifests(config: Config) -> list[Manifest]:
    """Return those of a host's archives, in the order of the chain."""
    window = EVER
    with catalogued(config, Problems()) as catalog:
        found = catalog.between(config.sources[0].name, window.start, window.end)
    return sorted((each.manifest for each in found), key=lambda manifest: manifest.sequence)


def stored(config: Config, key: str) -> Path:
    (path,) = [each.path for each in config.storage.targets if isinstance(each, LocalTarget)]
    return path / key


# -- the truth --------------------------------------------------------------------------------


def scan(path: Path) -> Truth:
    """Take every line of a log apart, in two processes, and tell which tells what."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(size // 2)
        file.readline()
        at = file.tell()
        while REPEATED in file.readline():  # it means the line before it
            at = file.tell()
    with ProcessPoolExecutor(PROCESSES) as pool:
        first, second = pool.map(scan_part, [path] * 2, [0, at], [at, size])
    for key, places in second.items():
        first.setdefault(key, array("Q")).extend(places)
    return first


def scan_part(path: Path, begin: int, end: int) -> Truth:
    found: Truth = defaultdict(lambda: array("Q"))
    told: set[Key] = set()
    with open(path, "rb") as file:
        file.seek(begin)
        while begin < end:
            line = file.readline()
            if REPEATED not in line:
                told = keys_of(line)
            for key in told:
                found[key].append(begin)
            begin += len(line)
    return dict(found)


def telling(log: bytes, key: Key) -> list[bytes]:
    """Return the lines that tell a key of a kind whose case counts, such as an id."""
    kind, text = key
    found, at = [], 0
    while (at := log.find(text, at)) >= 0:
        begin, at = log.rfind(b"\n", 0, at) + 1, log.index(b"\n", at) + 1
        if (kind, text) in keys_of(log[begin:at]):
            found.append(log[begin:at])
            while REPEATED in (following := log[at : log.find(b"\n", at) + 1]):
                found.append(following)
                at += len(following)
    return found


def some_keys(
    log: bytes, kind: str, count: int, suits: Callable[[bytes], Any] = bool
) -> list[bytes]:
    """Return keys of a kind from lines here and there, the same ones for the same log."""
    rng, found = random.Random(kind), set[bytes]()
    while len(found) < count:
        begin = log.find(b"\n", rng.randrange(len(log) - 1)) + 1
        line = log[begin : log.find(b"\n", begin) + 1]
        found |= {key for of, key in keys_of(line) if of == kind and suits(key)}
    return sorted(found)[:count]


# -- what an index names ----------------------------------------------------------------------


def run_identity(config: Config, span: spans.Span) -> bytes:
    """What the pages of a run of the first source are sealed with."""
    with catalogued(config, Problems()) as catalog:
        found = identity.identity_of(catalog, config.sources[0].name, span)
    if found is None:
        sys.exit(f"the archives {span} are not one chain")
    return found


def places(truth: Truth, sizes: Sequence[int]) -> Places:
    """Tell in which frames, or archives, of these sizes the keys stand."""
    ends = list(accumulate(sizes))
    return {
        key: frozenset(bisect_right(ends, begin) for begin in begins)
        for key, begins in truth.items()
    }


def not_named(config: Config, index: Path, identity: bytes, asked: Places) -> int:
    """Count the keys for which an index does not name every place where they stand."""
    hashes = pages.hasher(config.host.name)(text.lower() for _, text in asked)
    numbered = sorted(
        zip(map(pages.number, hashes), asked.values(), strict=True), key=itemgetter(0)
    )
    half = len(numbered) // 2
    with ProcessPoolExecutor(PROCESSES) as pool:
        parts = [numbered[:half], numbered[half:]]
        return sum(pool.map(not_named_in, [index] * 2, [identity] * 2, parts))


def not_named_in(index: Path, identity: bytes, asked: list[tuple[int, frozenset[int]]]) -> int:
    """Look up every hash, as a search does; but each page, once taken apart, is remembered."""
    data, places_of = index.read_bytes(), pages.places_of
    missed, count = 0, len(data) // PAGE

    def read(at: int, count: int) -> bytes:
        return data[at * PAGE : (at + count) * PAGE]

    @lru_cache(8)
    def listed(page: bytes) -> list[tuple[int, ...] | None]:
        return list(places_of(page))

    hashes_of = lru_cache(8)(pages.hashes_of)
    with mock.patch.multiple(pages, hashes_of=hashes_of, places_of=listed):
        for hashed, there in asked:
            answer = pages.look_up(hashed, read, pages=count, identity=identity)
            missed += answer.places is not None and not there.issubset(answer.places)
    return missed


# -- counted searches -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    key: str
    bytes: int
    begin: float
    end: float


class CountingStore:
    """A store, `latency` seconds away, that counts what is asked of it."""

    def __init__(self, store: Store, latency: float) -> None:
        self.name = store.name
        self.reads: list[Read] = []
        self.listings = 0
        self._store, self._latency = store, latency
        self._lock = threading.Lock()
        self.is_near = store.is_near
        self.put, self.replace, self.find = store.put, store.replace, store.find
        self.protection, self.protect = store.protection, store.protect
        self.remove, self.tidy, self.restore = store.remove, store.tidy, store.restore
        self.destroy, self.lift_hold = store.destroy, store.lift_hold
        self.can_hold, self.keep = store.can_hold, store.keep

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        begin, size = time.perf_counter(), 0
        time.sleep(self._latency)
        try:
            for chunk in self._store.stream(key, start, length):
                size += len(chunk)
                yield chunk
        finally:
            with self._lock:
                self.reads.append(Read(key, size, begin, time.perf_counter()))

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        self.listings += 1
        return self._store.listed(prefix)


@dataclass(frozen=True, slots=True)
class Found:
    """What one search gave, and what it cost."""

    lines: list[bytes]
    archives: set[str]
    seconds: float
    reads: list[Read]
    listings: int

    @property
    def bytes(self) -> int:
        return sum(read.bytes for read in self.reads)

    @property
    def range_reads(self) -> int:
        return len(self.reads)

    @property
    def index_reads(self) -> int:
        return self.range_reads - self.frame_reads

    @property
    def frame_reads(self) -> int:
        return sum(read.key.endswith(ARCHIVE_SUFFIX) for read in self.reads)

    @property
    def beyond(self) -> int:
        """Bytes read, those of archives in which lines were found apart."""
        return sum(read.bytes for read in self.reads if read.key not in self.archives)

    @property
    def round_trips(self) -> int:
        """How many reads had to wait for one another: the longest row of them."""
        depth: list[tuple[float, int]] = []
        for read in sorted(self.reads, key=lambda read: read.begin):
            before = [row for end, row in depth if end <= read.begin]
            depth.append((read.end, max(before, default=0) + 1))
        return max((row for _, row in depth), default=0)


Find = Callable[[Key, Window], Found]


@contextlib.contextmanager
def searching(config: Config, latency: float = 0.0) -> Iterator[Find]:
    """Give what finds a key in a host's archives; a store that fails ends the benchmark."""
    stores = [CountingStore(store, latency) for store in open_stores(config.storage)]
    with readable(config.host.catalog, config.host.name, stores, Problems()) as catalog:

        def find(key: Key, window: Window) -> Found:
            for store in stores:
                store.reads.clear()
            kind, text = key
            begin = time.perf_counter()
            wanted = Wanted(((kind, frozenset({text})),))
            search = Search(config, stores, wanted, int(time.time()), archived=True)
            lines = list(search.lines(catalog, config.sources[0], window))
            seconds = time.perf_counter() - begin
            if search.problems:
                sys.exit(f"{kind} {text!r}: {search.problems[0].message}")
            return Found(
                [line.data for line in lines],
                {line.archive or "" for line in lines},
                seconds,
                [read for store in stores for read in store.reads],
                sum(store.listings for store in stores),
            )

        yield find


def find_all(config: Config, keys: Sequence[Key], window: Window) -> list[Found]:
    """For a process of its own."""
    with searching(config) as find:
        return [find(key, window) for key in keys]


# -- other commands ------------------------------------------------------------


def most_memory(*argv: str) -> int:
    """Run a command; return the most memory that it and its children have held at one time."""
    most = 0
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, sum(map(memory, family(process.pid))))
            time.sleep(0.02)
    if process.returncode:
        sys.exit(f"{' '.join(argv)}: exit {process.returncode}")
    return most


def family(pid: int) -> Iterator[int]:
    """Yield the numbers of a process and of its children, and of theirs."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in children.read_text().split():
                yield from family(int(child))


def memory(pid: int) -> int:
    """The resident set of a process, in bytes; of what is shared, its share."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
