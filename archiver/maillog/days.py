"""Cut a segment where its days change, so that each log date has an archive of its own.

Pure. A nightly run starts a little after midnight, and the first lines of the new day
come with it: those stay with the evening they were rotated with (MIDNIGHT_GRACE),
instead of making a second, tiny archive every night.

A single line can be wrong about its day: a relay's late one, a clock that was ahead. So a
new day begins with a line that most of the lines right after it agree with.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, islice, pairwise

from archiver.maillog.clock import Clock, Span, State
from archiver.zone import local_date

MIDNIGHT_GRACE = 3600
# How many lines are asked whether the one before them is right about its day.
WITNESSES = 5
# Among how many lines the first one to be believed is looked for.
FIRST_LINES = 100


@dataclass(frozen=True)
class Stretch:
    """A frame, or a piece of one, whose lines go into one day's archive.

    first_line: the instant of the line with which that archive's day began. before: the clock
    before the stretch. continues: it begins inside a line.
    """

    data: bytes
    day: date
    first_line: int
    before: State
    span: Span
    continues: bool


class DayCutter:
    """Assigns the frames of one segment, in their order, to log dates.

    written: the instant the segment was rotated, or its file last written.
    """

    def __init__(self, clock: Clock, *, written: int) -> None:
        self.clock = clock
        # No line begins a day later than this one, so a stray line dated tomorrow cuts nothing.
        self._last_day = local_date(written - MIDNIGHT_GRACE, clock.zone)
        self._today = local_date(written, clock.zone)
        self._day: date | None = None
        self._first_line = 0

    def cut(self, frames: Iterable[bytes]) -> Iterator[Stretch]:
        """Yield the stretches of a segment's frames: one for each, unless a day changes inside."""
        continues = False
        for frame, following in pairwise(chain(frames, [b""])):
            yield from self._cut(frame, following, continues=continues)
            continues = not frame.endswith(b"\n")

    def _cut(self, frame: bytes, following: bytes, *, continues: bool) -> Iterator[Stretch]:
        before = self.clock.enter(frame, continues=continues)
        if self._day is None:
            self._begin(self.clock.again(before), frame, following)
        whole = self._stretch(frame, continues=continues)
        if self._date(whole.span.last) <= whole.day:
            yield whole
            return
        clock = self.clock.again(before)
        lines = list(clock.lines(frame, continues=continues))
        ahead = clock.lines(following, continues=not frame.endswith(b"\n"))
        dates = [self._date(time) for _, time in chain(lines, islice(ahead, WITNESSES))]
        starts = _changes(whole.day, dates, len(lines))
        if not starts:
            yield whole
            return
        self.clock = self.clock.again(before)
        for start, end in pairwise([0, *starts, len(lines)]):
            if start in starts:
                self._day, self._first_line = dates[start], lines[start][1]
            if data := b"".join(line for line, _ in lines[start:end]):
                yield self._stretch(data, continues=continues and start == 0)

    def _begin(self, clock: Clock, frame: bytes, following: bytes) -> None:
        """Begin with the day of the first line that those after it do not contradict."""
        ahead = clock.lines(following, continues=not frame.endswith(b"\n"))
        times = [time for _, time in islice(chain(clock.lines(frame), ahead), FIRST_LINES)]
        dates = [min(local_date(time, clock.zone), self._today) for time in times]
        first = next((at for at in range(len(dates)) if _believed(dates, at)), 0)
        self._day, self._first_line = dates[first], times[first]

    def _stretch(self, data: bytes, *, continues: bool) -> Stretch:
        if self._day is None:
            raise ValueError("no day has begun")
        before = self.clock.enter(data, continues=continues)
        span = self.clock.survey(data, continues=continues)
        return Stretch(data, self._day, self._first_line, before, span, continues)

    def _date(self, instant: int) -> date:
        return min(local_date(instant, self.clock.zone), self._last_day)


def _changes(day: date, dates: Sequence[date], end: int) -> list[int]:
    """Return the lines before `end` with which a day after `day` begins."""
    starts = []
    for at in range(end):
        if dates[at] > day and _believed(dates, at):
            starts.append(at)
            day = dates[at]
    return starts


def _believed(dates: Sequence[date], at: int) -> bool:
    """Whether most of the next lines are of that line's day or of a later one."""
    witnesses = dates[at + 1 : at + 1 + WITNESSES]
    return 2 * sum(date >= dates[at] for date in witnesses) >= len(witnesses)
