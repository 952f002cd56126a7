"""Cut a segment where its days change, so that each log date has an archive of its own.

Pure. A nightly run starts a little after midnight, so a segment ends with the first lines
of the new day. These stay with the evening before (MIDNIGHT_GRACE) instead of making a
second, tiny archive every night.

A single line can be wrong about its day: a relay's late line, a clock that was ahead. So a
new day begins with a line that most of the lines right after it agree with.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, islice, pairwise, repeat
from typing import NamedTuple

from archiver.maillog.clock import Clock, State, TimeSpan
from archiver.system.zone import local_date

MIDNIGHT_GRACE = 3600
# How many of the following lines decide whether a line is right about its day.
WITNESSES = 5
# Within how many lines the first line to be believed must stand.
FIRST_LINES = 100


@dataclass(frozen=True)
class DayStretch:
    """A frame, or a piece of one, whose lines go into one day's archive.

    first_line: the instant of the line with which that archive's day began. before: the clock
    before the stretch. span: the times in it. continues: it begins inside a line.
    """

    data: bytes
    day: date
    first_line: int
    before: State
    span: TimeSpan
    continues: bool


class DatedLine(NamedTuple):
    """A line: its offset in bytes in the frame, its day, and its instant."""

    offset: int
    day: date
    time: int


class DayCutter:
    """Assigns the frames of one segment, in their order, to log dates.

    written: the instant at which the segment was rotated, or its file last written.
    """

    def __init__(self, clock: Clock, *, written: int) -> None:
        self.clock = clock
        # Later days never begin, so a stray line dated tomorrow cuts nothing.
        self._last_day = local_date(written - MIDNIGHT_GRACE, clock.zone)
        self._today = local_date(written, clock.zone)
        self._day: date | None = None
        self._first_line = 0

    def cut(self, frames: Iterable[bytes]) -> Iterator[DayStretch]:
        """Yield the stretches of a segment: one for each frame, unless a day changes inside it."""
        continues = False
        for frame, following in pairwise(chain(frames, [b""])):
            yield from self._cut(frame, following, continues=continues)
            continues = not frame.endswith(b"\n")

    def _cut(self, frame: bytes, following: bytes, *, continues: bool) -> Iterator[DayStretch]:
        before = self.clock.enter(frame, continues=continues)
        day = self._day or self._begin(self.clock.again(before), frame, following)
        whole = self._stretch(frame, day, continues=continues)
        if min(local_date(whole.span.last, self.clock.zone), self._last_day) <= day:
            yield whole
            return
        self.clock = self.clock.again(before)
        lines = _dated(self.clock.again(before), frame, following, self._last_day, continues)
        begin = 0
        for change in _changes(day, lines, len(frame)):
            if change.offset:
                piece = frame[begin : change.offset]
                yield self._stretch(piece, day, continues=continues and not begin)
            begin, day, self._first_line = change
        yield self._stretch(frame[begin:], day, continues=continues and not begin)
        self._day = day

    def _begin(self, clock: Clock, frame: bytes, following: bytes) -> date:
        """Begin with the day of the first line that those after it do not contradict."""
        lines = list(islice(_dated(clock, frame, following, self._today), FIRST_LINES))
        first = next(_changes(date.min, iter(lines), len(frame)), lines[0])
        self._first_line = first.time
        self._day = first.day
        return first.day

    def _stretch(self, data: bytes, day: date, *, continues: bool) -> DayStretch:
        before = self.clock.enter(data, continues=continues)
        span = self.clock.survey(data, continues=continues)
        return DayStretch(data, day, self._first_line, before, span, continues)


def _dated(
    clock: Clock, frame: bytes, following: bytes, last_day: date, continues: bool = False
) -> Iterator[DatedLine]:
    """Yield the lines of a frame, and the witnesses after it."""
    ahead = clock.lines(following, continues=not frame.endswith(b"\n"))
    offset = 0
    for line, time in chain(clock.lines(frame, continues=continues), islice(ahead, WITNESSES)):
        yield DatedLine(offset, min(local_date(time, clock.zone), last_day), time)
        offset += len(line)


def _changes(day: date, lines: Iterator[DatedLine], end: int) -> Iterator[DatedLine]:
    """Yield the lines before offset `end` with which a day after `day` begins: each is of a later
    day, and most of the lines right after it are of its day or of one later still.
    """
    window = deque(islice(lines, WITNESSES))
    for after in chain(lines, repeat(None, WITNESSES)):
        if after:
            window.append(after)
        if not window:
            return
        line = window.popleft()
        if line.day > day and line.offset < end and _agree(window, line.day):
            yield line
            day = line.day


def _agree(lines: Sequence[DatedLine], day: date) -> bool:
    """Whether most of these lines are of that day or of a later one."""
    return 2 * sum(line.day >= day for line in lines) >= len(lines)
