"""Cut a segment where its days change, so that each log date has an archive of its own.

Pure. A nightly run starts a little after midnight, and the first lines of the new day
come with it: those stay with the evening they were rotated with (MIDNIGHT_GRACE),
instead of making a second, tiny archive every night.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from archiver.maillog.clock import Clock, Span, State
from archiver.zone import local_date

MIDNIGHT_GRACE = 3600


@dataclass(frozen=True)
class Stretch:
    """A frame, or a piece of one, whose lines go into one day's archive.

    first_line: the instant of its first line. before: the clock before that. continues: it
    begins inside a line.
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
        # No line is given to a day later than this one, so a stray line dated tomorrow
        # cuts nothing.
        self.last_day = local_date(written - MIDNIGHT_GRACE, clock.zone)
        self.day: date | None = None
        self._inside_line = False

    def cut(self, frame: bytes) -> Iterator[Stretch]:
        """Yield the next frame's stretches: one, unless a day changes inside it."""
        continues = self._inside_line
        self._inside_line = not frame.endswith(b"\n")
        before = self.clock.enter(frame, continues=continues)
        whole = self._stretch(frame, continues=continues)
        if self._day(whole.span.last) <= whole.day:
            yield whole
            return
        self.clock = self.clock.again(before)
        yield from self._cut_inside(frame, continues=continues)

    def _stretch(self, data: bytes, *, continues: bool) -> Stretch:
        before = self.clock.enter(data, continues=continues)
        first_line = next(self.clock.again(before).lines(data, continues=continues))[1]
        span = self.clock.survey(data, continues=continues)
        if self.day is None:
            self.day = local_date(first_line, self.clock.zone)
        return Stretch(data, self.day, first_line, before, span, continues)

    def _day(self, instant: int) -> date:
        return min(local_date(instant, self.clock.zone), self.last_day)

    def _cut_inside(self, frame: bytes, *, continues: bool) -> Iterator[Stretch]:
        """Cut after the last line of each day that the frame leaves behind for good.

        Looking from the end, a line that stands out (a relay's late one, a wrong
        clock's) does not start a new archive for itself.
        """
        before = self.clock.enter(frame, continues=continues)
        lines = list(self.clock.again(before).lines(frame, continues=continues))
        days = [self._day(time) for _, time in lines]
        # The earliest day from each line on: rising, and above a day once that is left behind.
        to_come = list(accumulate(reversed(days), min))[::-1]
        start = 0
        while start < len(lines):
            end = len(lines) if self.day is None else bisect_right(to_come, self.day, start)
            if end > start:
                data = b"".join(line for line, _ in lines[start:end])
                yield self._stretch(data, continues=continues and start == 0)
            if end < len(lines):
                self.day = local_date(lines[end][1], self.clock.zone)
            start = end
