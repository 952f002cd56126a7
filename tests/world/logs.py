"""Logs such as nobody would wish for: forms mixed, clocks astray, lines cut, days missing."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from archiver.maillog.clock import Clock

DAY = 86_400
ZONES = [
    "UTC",
    "Europe/Rome",
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]
# Days on which a clock changes in one of these zones, ends of years and of February.
NOONS = [
    "1987-10-25",
    "2004-08-16",
    "2004-12-31",
    "2011-12-30",
    "2024-02-29",
    "2026-01-01",
    "2026-03-08",
    "2026-03-29",
    "2026-04-05",
    "2026-04-24",
    "2026-09-06",
    "2026-10-04",
    "2026-10-25",
    "2026-10-29",
    "2026-11-01",
]
UNDATED = [
    b"",
    b"\0\xff",
    b"16 15:53:25 server splogger: 1092664405.519292 tcpserver: pid 590",
    b"Aug 32 15:53:25 server no such day",
    b"Aug 16 15:75:25 server no such minute",
    b"Aug 16 25:53:25 server no such hour",
    b"Foo 16 15:53:25 server no such month",
    b"2004-13-01T00:00:00Z no such month",
    b"2004-08-16T15:53:25+99:00 no such zone",
    b"@400000004120bc1f short",
]
STRAY = [
    b"Jan  1 00:00:03 mx1 a lost battery",
    b"Feb 29 12:00:00 mx1 a rare day",
    b"1970-01-01T00:00:03Z mx1 a lost battery",
    b"2099-01-01T00:00:03Z mx1 a clock far ahead",
    b"@400000000000000d00000000 a lost battery",
    b"Aug 16 15:53:25 mx1 qmail: 1092664405.514548 new msg 1",
]


@dataclass(frozen=True)
class Log:
    """Frames as `cut` makes them, of a log in a zone, last written at some instant."""

    zone: ZoneInfo
    written: int
    frames: tuple[bytes, ...]

    @property
    def clock(self) -> Clock:
        return Clock(self.zone, written=self.written)

    def framed(self) -> list[tuple[bytes, bool]]:
        """The frames, and whether each continues a line."""
        return [
            (frame, not last.endswith(b"\n")) for last, frame in pairwise([b"\n", *self.frames])
        ]


def stamped(instant: int, zone: ZoneInfo, form: str) -> bytes:
    """Write a line of that instant in one of the forms."""
    wall = datetime.fromtimestamp(instant, zone)
    east = datetime.fromtimestamp(instant, timezone(timedelta(hours=5, minutes=30)))
    one_space = wall.strftime("%b %-d %H:%M:%S")
    lines = {
        "BSD": wall.strftime("%b %e %H:%M:%S mx1 x"),
        "one space": f"{one_space} mx1 x",
        "leap": wall.strftime("%b %e %H:%M:60 mx1 x"),
        "priority": wall.strftime("<22>%b %e %H:%M:%S mx1 x"),
        "splogger": wall.strftime(f"%b %e %H:%M:%S mx1 qmail: {instant}.000001 x"),
        "ISO": wall.isoformat() + " mx1 x",
        "fraction": wall.isoformat().replace("+", ".25+") + " mx1 x",
        "east": east.isoformat() + " mx1 x",
        "UTC": datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ mx1 x"),
        "RFC 5424": f"<22>1 {wall.isoformat()} mx1 x - - -",
        "Exim": wall.strftime("%Y-%m-%d %H:%M:%S 1Bw-0-00 x"),
        "TAI64N": f"@{2**62 + 10 + instant:016x}00000000 x",
    }
    return lines[form].encode()


FORMS = (
    "BSD",
    "one space",
    "leap",
    "priority",
    "splogger",
    "ISO",
    "fraction",
    "east",
    "UTC",
    "RFC 5424",
    "Exim",
    "TAI64N",
)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """A log around some noon: mostly steady, of a few forms, mixed with what has no time."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    noon = int(datetime.fromisoformat(draw(st.sampled_from(NOONS)) + "T12:00Z").timestamp())
    forms = draw(st.lists(st.sampled_from(FORMS), min_size=1, max_size=3))
    steps = st.one_of(st.integers(0, 60), st.integers(-3600, 7200), st.integers(-2 * DAY, 3 * DAY))
    now = noon + draw(st.integers(-DAY, DAY))
    lines = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.integers(0, 9))
        if kind < 8:
            now += draw(steps)
            lines.append(stamped(now, zone, draw(st.sampled_from(forms))))
        else:
            lines.append(draw(st.sampled_from(UNDATED if kind == 8 else STRAY)))
    log = b"\n".join(lines) + draw(st.sampled_from([b"\n", b""]))
    ends = [at for at in range(1, len(log)) if log[at - 1 : at] == b"\n"]
    inside = draw(st.lists(st.integers(1, max(len(log) - 1, 1)), max_size=2))
    cuts = draw(st.lists(st.sampled_from(ends), max_size=6)) if ends else []
    at = sorted({0, len(log), *cuts, *(each for each in inside if each < len(log))})
    frames = tuple(log[start:end] for start, end in pairwise(at))
    # Rotated after the last line, or at any time around it; or some lines are of tomorrow, and
    # some of the day after, which is further ahead than a clock is believed.
    after = st.one_of(st.integers(0, 3600), st.integers(-10 * DAY, 400 * DAY))
    written = now + draw(st.one_of(after, st.integers(-7200, 7200).map(lambda n: n - 2 * DAY)))
    return Log(zone, written, frames)
