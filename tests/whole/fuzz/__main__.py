"""Feed whatever comes to what reads logs, guided by which code it reaches (atheris, libFuzzer).

python -m tests.whole.fuzz [SECONDS] [options of libFuzzer]

It begins with the real lines of tests/data. Wherever these hold, it goes on; else it ends with 77
and leaves the input in a file that it names:

    nothing is raised, and no line is lost
    every key that a line tells by itself is found in bulk
    a frame's span is what reading its lines one by one would tell
"""

import sys
import tempfile
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import atheris

from tests import DATA

with atheris.instrument_imports(include=["archiver.maillog"], enable_loader_override=False):
    from archiver.maillog.bulk import KeyReader
    from archiver.maillog.clock import Clock, TimeSpan
    from archiver.maillog.days import DayCutter
    from archiver.maillog.kinds import KINDS
    from archiver.maillog.lines import facts, keys_of
    from archiver.maillog.programs import FAMILIES

ROME, WRITTEN = ZoneInfo("Europe/Rome"), 1_796_000_000
ALL = frozenset(KINDS)
TAGS = [min(family.tags) for family in FAMILIES]
NAMES = [family.name for family in FAMILIES]


def lines_of(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")]


def anything(data: bytes) -> None:
    """The first byte says what the rest is taken for: a frame, or what one program says."""
    chosen, text = data[:1], data[1:]
    if chosen and chosen[0] < len(TAGS):
        text = b"Nov 23 08:41:24 mx1 %s: %s" % (TAGS[chosen[0]], text)
    frame = b"".join(lines_of(text))
    found = KeyReader(ALL).keys(frame)
    for line in lines_of(text):
        facts(line)
        for kind, key in keys_of(line):
            if key.lower() not in found:
                raise AssertionError((kind, key, line))
    dated(frame)


def dated(frame: bytes) -> None:
    one, other = (Clock(ROME, written=WRITTEN) for _ in range(2))
    read = list(one.lines(frame))
    if b"".join(line for line, _ in read) != frame:
        raise AssertionError("a line was lost")
    times = [time for _, time in read]
    if other.survey(frame) != TimeSpan(min(times), max(times), frame.count(b"\n")):
        raise AssertionError("the span is another one")
    if one.state != other.state:
        raise AssertionError("the clock stands elsewhere")
    stretches = list(DayCutter(Clock(ROME, written=WRITTEN), written=WRITTEN).cut([frame]))
    if b"".join(stretch.data for stretch in stretches) != frame:
        raise AssertionError("the days are not the frame")
    days: list[date] = [stretch.day for stretch in stretches]
    if days != sorted(days):
        raise AssertionError("the days are in disorder")


def main() -> None:
    seconds, options = (sys.argv[1:2] or ["60"])[0], sys.argv[2:]
    with tempfile.TemporaryDirectory() as corpus:
        lines = [line for path in DATA.glob("*.maillog") for line in path.read_bytes().splitlines()]
        for number, line in enumerate(lines):
            (Path(corpus) / f"{number}").write_bytes(b"\xff" + line)
            for fact in facts(line):
                if fact.family in NAMES:
                    text = bytes([NAMES.index(fact.family)]) + fact.record.text
                    (Path(corpus) / f"{number}-text").write_bytes(text)
        flags = [f"-max_total_time={seconds}", "-max_len=600", "-timeout=5", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], corpus, *flags, *options], anything)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
