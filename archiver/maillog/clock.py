"""Tell when a line was logged.

Pure. Understands the stamps with which lines of mail logs begin:

    RFC 3164     Aug 16 15:53:25             no year, no zone; also with a fraction (journalctl)
    ISO 8601     2026-11-23T08:46:46.12+01:00, also after RFC 5424's <22>1
    journalctl   Mon 2026-11-23 08:46:46 CET in the host's zone, unless it says UTC
                 1795419606.123456
    Exim         2026-11-23 08:46:46         in the host's zone unless an offset follows
    TAI64N       @400000004120bc1f1ee2e234   multilog's label

A stamp without a year is given the year that brings it near the newest line so far.
The first one gets it from the segment's first splogger stamp (seconds since 1970, which
leave no doubt about the year), or from its first queue id that holds the time when it was made,
or else from the time the segment was written.
The *newest* line counts, not the last: one line from a machine whose clock had
fallen back to January must not drag the rest of December into another year.

A line without a readable time belongs to the time of the line before.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import islice, pairwise
from operator import itemgetter
from zoneinfo import ZoneInfo

from archiver.maillog.born import born
from archiver.system.streams import cut
from archiver.system.zone import DAY_SECONDS

MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun")
        + (b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
        start=1,
    )
}
BSD = rb"[A-Z][a-z][a-z] [ \d]?\d \d\d:\d\d:\d\d(?:\.\d{1,9})?(?= )"
UNIX = rb"\d{9,10}\.\d{6}(?= )"
ISO = (
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?[+-]\d\d:?\d\d|Z| UTC(?= ))?(?![\d:])"
)
TAI = rb"@[0-9a-f]{24}(?= )"
# What may stand before a stamp: a priority; a weekday; a container's name.
BEFORE = rb"<\d{1,3}>(?:1 )?|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?=\d{4}-)|[a-z][\w.-]* +\| "
# In most logs, nearly every line begins like this: 16 bytes.
PLAIN = re.compile(rb"[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d ")
HEAD = itemgetter(slice(16))
PIECE = 2**18
ANY = BSD + rb"|" + ISO + rb"|" + TAI + rb"|" + UNIX
OTHER_LINES = re.compile(rb"\n(?:" + BEFORE + rb")?(" + ANY + rb")")
HEADER = re.compile(rb"(?:" + BEFORE + rb")?(" + ANY + rb")")
ISO_PARTS = re.compile(rb"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(.*)", re.DOTALL)
SPLOGGER = re.compile(rb"\n(" + BSD + rb") [^ \n]{1,255} [^ \n]{1,64}: (\d{9,10})\.\d{6}[ +]")
# An id where Postfix, Exim and Sendmail put it: at the beginning of the text.
WITH_ID = re.compile(rb"\n(" + BSD + rb") [^ \n]{1,255} [^ \n]{1,64}: ([0-9A-Za-z-]{12,30})[: ]")

NEAR = 31 * DAY_SECONDS
# A segment may hold a line dated tomorrow (clock ahead, wrong zone), but not next month.
AHEAD = 2 * DAY_SECONDS
# How many seconds lines may stand out of order around a change of clocks.
DISORDER = 600
# Within how many dated lines two must agree on the year.
FIRST_LINES = 1000
# How many bytes of each frame are searched for a splogger stamp.
LOOK_AHEAD = 256 * 1024
# djb's labels count TAI seconds from 2^62; tai64nlocal(8) takes 10 of them as the offset to UTC.
TAI_EPOCH = 2**62 + 10
FIRST_YEAR, LAST_YEAR = 1970, 2199


@dataclass(frozen=True)
class State:
    """What a clock must know to go on in the middle of a log.

    now: the time in force, that of the line before. newest: the newest time so far.
    Both are instants (seconds since 1970 UTC).
    """

    now: int
    newest: int


@dataclass(frozen=True)
class TimeSpan:
    """The earliest and latest time in force in a stretch of log, and its number of newlines."""

    first: int
    last: int
    newlines: int


class Clock:
    """Reads a log from its start, or from a State, and keeps the time in force.

    zone: the host's. written: the instant at which the log's last line was written, or somewhat
    later.
    """

    def __init__(self, zone: ZoneInfo, *, written: int, state: State | None = None) -> None:
        self.zone = zone
        self.ceiling = written + AHEAD
        self._written = written
        self._now = state.now if state else None
        self._newest = state.newest if state else None

    @property
    def state(self) -> State | None:
        """Where the clock stands; None before the first frame."""
        if self._now is None or self._newest is None:
            return None
        return State(self._now, self._newest)

    def again(self, state: State) -> "Clock":
        """Return a clock for the same log that stands at `state`."""
        return Clock(self.zone, written=self._written, state=state)

    def enter(self, frame: bytes, *, continues: bool = False) -> State:
        """Return the state before the first line of `frame`, the next frame of the log.

        continues: the frame begins in the middle of a line.
        """
        text = _line_starts(frame[:LOOK_AHEAD], continues=continues)[:LOOK_AHEAD]
        for found in SPLOGGER.finditer(text):
            if (
                _agree(found[1].partition(b".")[0], stamp := int(found[2]))
                and stamp <= self.ceiling
            ):
                if self._newest is None or abs(stamp - self._newest) > 180 * DAY_SECONDS:
                    self._newest = stamp
                break
        if self._newest is None:
            self._newest = self._by_an_id(text)
        if self._newest is None:
            text = _line_starts(frame, continues=continues)
            self._newest = min(self._agreed(text), self.ceiling)
        if self._now is None:
            first = self.first_time(frame, continues=continues)
            self._now = self._written if first is None else first
        return State(self._now, self._newest)

    def _by_an_id(self, text: bytes) -> int | None:
        """The time of the first line with an id that holds the second in which it was made, a month
        before the line at most; None: there is none.

        So the year of an old log is known, even if it was copied without its times.
        """
        for found in islice(WITH_ID.finditer(text), FIRST_LINES):
            made = born(found[2], near=self._written)
            if made is None or made > self.ceiling:
                continue
            time = self.again(State(made, made))._time(found[1])  # noqa: SLF001 (one of its kind)
            if time is not None and made - DAY_SECONDS <= time <= made + NEAR:
                return time
        return None

    def _agreed(self, text: bytes) -> int:
        """The time of the first two successive lines that are near each other.

        A single first line from a wrong clock must not decide the year.
        """
        found = [self._time(stamp[1]) for stamp in islice(OTHER_LINES.finditer(text), FIRST_LINES)]
        times = [time for time in found if time is not None]
        for time, following in pairwise(times):
            if abs(following - time) <= NEAR:
                return following
        return times[-1] if times else self._written

    def first_time(
        self, frame: bytes, *, continues: bool = False, latest: int | None = None
    ) -> int | None:
        """Return the time of the first line that has one; the lines before it share it. None: no
        line has.

        latest: lines with a later time than this are passed over.
        """
        for stamp in OTHER_LINES.finditer(_line_starts(frame, continues=continues)):
            time = self._time(stamp[1])
            if time is not None and (latest is None or time <= latest):
                return time
        return None

    def lines(self, frame: bytes, *, continues: bool = False) -> Iterator[tuple[bytes, int]]:
        """Yield each line of the next frame with the instant it belongs to."""
        now = self.enter(frame, continues=continues).now
        same = b""
        for line in io.BytesIO(frame):
            if continues:
                continues = False
            elif (header := HEADER.match(line)) and header[1] != same:
                # Only for a new stamp: the same one would give the same time again.
                same = header[1]
                if (time := self._time(same)) is not None:
                    now = time
                    self._move(time)
            yield line, now

    def survey(self, frame: bytes, *, continues: bool = False) -> TimeSpan:
        """Return the span of the next frame, the same as reading all its `lines` would give.

        The stamps of one day of a steady clock sort as text. So the lowest and the highest of
        each day, found in C, replace a loop over a hundred thousand lines.
        """
        before = self.enter(frame, continues=continues)
        stamps, newlines = _plain_stamps(frame, continues=continues)
        stamps = stamps or OTHER_LINES.findall(_line_starts(frame, continues=continues))
        if not stamps:
            return TimeSpan(before.now, before.now, newlines)
        ends = [self._ends(of_day, before) for of_day in _by_day(stamps)]
        final = self._time(stamps[-1])
        if final is None or None in ends:
            return self._survey_slowly(frame, continues=continues)
        times = [time for both in ends if both for time in both]
        first, last = min(times), max(times)
        if first <= self.ceiling < last:
            # Neither of the two is the newest line that counts.
            return self._survey_slowly(frame, continues=continues)
        self._move(last)
        self._now = final
        header = None if continues else HEADER.match(frame)
        if header is None or self._time(header[1]) is None:
            return TimeSpan(min(first, before.now), max(last, before.now), newlines)
        return TimeSpan(first, last, newlines)

    def _ends(self, stamps: list[bytes], before: State) -> tuple[int, int] | None:
        """The earliest and the latest time of these stamps, if they sort as text."""
        low, high = min(stamps), max(stamps)
        first, last = self._time(low), self._time(high)
        if first is None or last is None or not self._sort_as_text(stamps, low, high):
            return None
        # The year of a stamp so far from all others depends on the lines before it.
        far = max(abs(first - before.newest), abs(last - before.newest)) > NEAR // 2
        return None if far else (first, last)

    def _survey_slowly(self, frame: bytes, *, continues: bool) -> TimeSpan:
        times = [time for _, time in self.lines(frame, continues=continues)]
        return TimeSpan(min(times), max(times), frame.count(b"\n"))

    def _move(self, time: int) -> None:
        self._now = time
        if self._newest is None or self._newest < time <= self.ceiling:
            self._newest = time

    def _time(self, stamp: bytes) -> int | None:
        """The instant of a stamp, given the newest line so far; None: it is not a valid time."""
        try:
            if stamp.startswith(b"@"):
                return _plausible(int(stamp[1:17], 16) - TAI_EPOCH)
            if stamp[:1].isdigit():
                is_iso = stamp[4:5] == b"-"
                return self._iso(stamp) if is_iso else _plausible(int(stamp.partition(b".")[0]))
            return self._bsd(stamp)
        except (ValueError, OverflowError, OSError, KeyError):
            return None

    def _iso(self, stamp: bytes) -> int | None:
        parts = ISO_PARTS.fullmatch(stamp)
        if parts is None:
            return None
        wall = datetime.fromisoformat(f"{parts[1].decode()}T{parts[2].decode()}")
        offset = parts[3].strip()
        if not offset:
            return _plausible(self._instant(wall))
        if offset in {b"Z", b"UTC"}:
            return _plausible(int(wall.replace(tzinfo=UTC).timestamp()))
        east = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
        zone = timezone(-east if offset[:1] == b"-" else east)
        return _plausible(int(wall.replace(tzinfo=zone).timestamp()))

    def _bsd(self, stamp: bytes) -> int | None:
        stamp = stamp.partition(b".")[0]
        wall = (MONTHS[stamp[:3]], int(stamp[3:-9]), int(stamp[-8:-6]), int(stamp[-5:-3]))
        second = int(stamp[-2:])
        if self._newest is not None:
            year = _local_year(self._newest, self.zone)
            for candidate in (year, year - 1, year + 1):
                time = self._in_year(candidate, wall, second)
                if time is not None and abs(time - self._newest) <= NEAR and time <= self.ceiling:
                    return time
        else:
            year = _local_year(self.ceiling, self.zone)
        # Far from every other line. After a long silence: the next time that this date comes
        # round, if the log was still written to then. Else the newest line's year, or the
        # latest possible before it (eight back, for 29 February: 1896 to 1904 is the widest gap).
        later = [self._in_year(year + ahead, wall, second) for ahead in (0, 1)]
        for time in later:
            if time is not None and (self._newest or 0) <= time <= self.ceiling:
                return _plausible(time)
        for candidate in range(year, year - 9, -1):
            time = self._in_year(candidate, wall, second)
            if time is not None and time <= self.ceiling:
                return _plausible(time)
        return None

    def _in_year(self, year: int, wall: tuple[int, int, int, int], second: int) -> int | None:
        month, day, hour, minute = wall
        if minute > 59 or second > 60:
            return None
        base, steady = _hour(year, month, day, hour, self.zone)
        if base is None:
            return None
        if steady:
            return base + minute * 60 + second
        return self._instant(datetime(year, month, day, hour, minute, min(second, 59)))  # noqa: DTZ001

    def _instant(self, wall: datetime) -> int:
        """The instant of a wall clock; of two (clocks set back), the one that follows `now`."""
        early = int(wall.replace(tzinfo=self.zone, fold=0).timestamp())
        late = int(wall.replace(tzinfo=self.zone, fold=1).timestamp())
        going_on = self._now is None or early >= self._now - DISORDER
        # In a gap (clocks set forward) fold=1 names the earlier instant: PEP 495.
        return early if going_on or late < early else late

    def _sort_as_text(self, stamps: list[bytes], low: bytes, high: bytes) -> bool:
        """Whether the order of these stamps as bytes is the order of their times.

        It is enough to look at the lowest and the highest: what both begin with, all do.
        """
        if low.startswith(b"@"):
            return high.startswith(b"@")
        if low[:1].isdigit():
            offsets = {stamp[19:].lstrip(b".,0123456789") for stamp in stamps}
            return low[:11] == high[:11] and len(offsets) == 1 and offsets != {b""}
        if low[:7] != high[:7] or (len(low), len(high)) != (15, 15):
            return False
        first = self._time(low)
        if first is None:
            return False
        day = datetime.fromtimestamp(first, self.zone)
        hours = range(int(low[7:9]), int(high[7:9]) + 1)
        bases = [_hour(day.year, day.month, day.day, hour, self.zone) for hour in hours]
        return (
            all(steady for _, steady in bases)
            and len(
                {base - 3600 * hour for hour, (base, _) in zip(hours, bases, strict=True) if base}
            )
            <= 1
        )


def _plain_stamps(frame: bytes, *, continues: bool) -> tuple[list[bytes], int]:
    """Return each stamp of the frame once, then the last one again, if all lines begin as PLAIN
    (else no stamps); and the number of newlines.
    """
    heads: set[bytes] = set()
    last = b""
    newlines = 0
    # In pieces: a frame of nothing but newlines must not become millions of objects.
    for piece in cut(io.BytesIO(frame), PIECE):
        lines = piece.split(b"\n")
        newlines += len(lines) - 1
        inside = bool(lines[-1])
        if begun := lines[continues : None if inside else -1]:
            heads.update(map(HEAD, begun))
            last = HEAD(begun[-1])
        continues = inside
    if heads and all(map(PLAIN.fullmatch, heads)):
        return [head[:-1] for head in (*heads, last)], newlines
    return [], newlines


def _by_day(stamps: list[bytes]) -> list[list[bytes]]:
    """Group the stamps that begin with the same day, in the same form."""
    low, high = min(stamps), max(stamps)
    if _day_of(low) == _day_of(high):
        return [stamps]
    days: dict[bytes, list[bytes]] = {}
    for stamp in stamps:
        days.setdefault(_day_of(stamp), []).append(stamp)
    return list(days.values())


def _day_of(stamp: bytes) -> bytes:
    if stamp.startswith(b"@"):
        return b"@"
    return stamp[: 11 if stamp[:1].isdigit() else 7]


def _line_starts(frame: bytes, *, continues: bool) -> bytes:
    """The frame with a newline before each of its lines, the first included."""
    return frame if continues else b"\n" + frame


def _plausible(time: int) -> int | None:
    year = datetime.fromtimestamp(time, UTC).year
    return time if FIRST_YEAR <= year <= LAST_YEAR else None


def _agree(header: bytes, stamp: int) -> bool:
    """Whether a splogger stamp is the same time as the header's, in any zone.

    Zones differ by quarters of an hour, so minutes and seconds must agree modulo that; those
    of text that merely looks like a stamp do not.
    """
    clock = int(header[-5:-3]) * 60 + int(header[-2:])
    return (stamp - clock + 60) % 900 <= 120


@lru_cache(maxsize=4096)
def _hour(year: int, month: int, day: int, hour: int, zone: ZoneInfo) -> tuple[int | None, bool]:
    """The instant at which a wall-clock hour begins, and whether no clock changes within it."""
    try:
        start = datetime(year, month, day, hour, tzinfo=zone)
    except ValueError:
        return None, False
    end = start.replace(minute=59, second=59)
    offsets = {moment.replace(fold=fold).utcoffset() for moment in (start, end) for fold in (0, 1)}
    return int(start.timestamp()), len(offsets) == 1


@lru_cache(maxsize=64)
def _local_year(instant: int, zone: ZoneInfo) -> int:
    return datetime.fromtimestamp(instant, zone).year
