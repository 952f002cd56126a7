"""Write a lifelike mail log of a given size: consecutive days, cut at the end of a line.

python benchmarks/generate.py --size 500MB --seed 1 --start 2026-03-01 --days 7 -o maillog
"""

import argparse
import datetime as dt
import itertools
import os
import re
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from typing import BinaryIO
from zoneinfo import ZoneInfo

from archiver.setup.demo import lifelike

UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
PROCESSES = 2
SAMPLE = 4000  # messages whose lines tell how many bytes one message makes


def size_in_bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", text)
    if not found or found[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it like 500MB")
    return int(found[1]) * UNITS[found[2]]


def write_day(path: str, n: int, messages: int, args: argparse.Namespace) -> None:
    date, zone = args.start + dt.timedelta(n), ZoneInfo(args.zone)
    with open(path, "wb", buffering=1 << 20) as file:
        file.writelines(lifelike.day(date, zone, seed=args.seed, messages=messages))


def append(path: str, file: BinaryIO) -> None:
    with open(path, "rb") as part:
        shutil.copyfileobj(part, file, 1 << 20)
    os.unlink(path)


def write_days(file: BinaryIO, args: argparse.Namespace) -> None:
    """Write `args.days` days at least, and at least `args.size` bytes.

    All days but the last are as long as a sample promises. The last one then makes up for what
    they lack, and a tenth more, so that it does reach the size.
    """
    sample = lifelike.day(args.start, ZoneInfo(args.zone), seed=args.seed, messages=SAMPLE)
    per_message = sum(map(len, sample)) / SAMPLE
    messages = int(args.size / args.days / per_message)
    beside = os.path.dirname(os.path.abspath(args.output))
    with tempfile.TemporaryDirectory(dir=beside) as work, ProcessPoolExecutor(PROCESSES) as pool:
        paths = [os.path.join(work, str(n)) for n in range(args.days - 1)]
        days = [pool.submit(write_day, path, n, messages, args) for n, path in enumerate(paths)]
        for path, day in zip(paths, days, strict=True):
            day.result()
            append(path, file)
        for n in itertools.count(args.days - 1):
            if file.tell() >= args.size:
                break
            path = os.path.join(work, str(n))
            write_day(path, n, int((args.size - file.tell()) / per_message * 1.1) + 1, args)
            append(path, file)


def cut_at_a_line(path: str, size: int) -> None:
    """Shorten the file to at most `size` bytes that end in a newline."""
    with open(path, "r+b") as file:
        file.seek(max(size - 65_536, 0))
        tail = file.read(size - file.tell())
        file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--size", type=size_in_bytes, default="500MB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=dt.date.fromisoformat, default="2026-03-01")
    parser.add_argument("--days", type=int, default=7, help="over how many days to spread it")
    parser.add_argument("--zone", default="Europe/Rome")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    args = parser.parse_args()
    with open(args.output, "wb") as file:
        write_days(file, args)
    cut_at_a_line(args.output, args.size)


if __name__ == "__main__":
    main()
