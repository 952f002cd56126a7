"""Every line is given the instant at which it was logged, whatever its stamp leaves out."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from archiver.maillog.clock import Clock
from tests import DATA

ROME = ZoneInfo("Europe/Rome")
SEED = DATA / "seed.maillog"
BEFORE = b"2004-08-16T12:00:00Z the line before\n"
NOON = "2004-08-16T12:00:00Z"
TWICE = [NOON, NOON]


def at(text: str) -> int:
    """Return an instant written in ISO 8601, with its offset."""
    return int(datetime.fromisoformat(text).timestamp())


def shown(instants: Iterable[int]) -> list[str]:
    """Write instants as the rows below have them."""
    return [datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for each in instants]


def read(log: bytes, *, written: str, zone: ZoneInfo = ROME) -> list[str]:
    """Return the time of each line of a log that ended at `written`."""
    clock = Clock(zone, written=at(written))
    return shown(instant for _, instant in clock.lines(log))


# -- one stamp -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Aug 16 15:53:25 server splogger: x", "2004-08-16T13:53:25Z"),
        (b"Aug  6 15:53:25 server splogger: x", "2004-08-06T13:53:25Z"),
        (b"Aug 6 15:53:25 server splogger: x", "2004-08-06T13:53:25Z"),
        (b"Aug 06 15:53:25 server splogger: x", "2004-08-06T13:53:25Z"),
        (b"<22>Aug 16 15:53:25 server qmail: x", "2004-08-16T13:53:25Z"),
        (b"Aug 16 15:53:25 <mail.info> server qmail: x", "2004-08-16T13:53:25Z"),
        (b"Aug 16 15:53:60 a leap second", "2004-08-16T13:54:00Z"),
        (b"Jan 16 15:53:25 winter, one hour east", "2004-01-16T14:53:25Z"),
        (b"2004-08-16T15:53:25+02:00 mx1 x", "2004-08-16T13:53:25Z"),
        (b"2004-08-16T15:53:25.514548+02:00 mx1 x", "2004-08-16T13:53:25Z"),
        (b"2004-08-16T15:53:25,514+0200 mx1 x", "2004-08-16T13:53:25Z"),
        (b"2004-08-16T13:53:25Z mx1 x", "2004-08-16T13:53:25Z"),
        (b"2004-08-16T13:53:25.123456789Z mx1 x", "2004-08-16T13:53:25Z"),
        (b"2004-08-16T06:53:25-07:00 mx1 x", "2004-08-16T13:53:25Z"),
        (b"2004-08-16T19:23:25+05:30 mx1 x", "2004-08-16T13:53:25Z"),
        (b"2004-08-16 15:53:25 1BwhmP-0001Ab-00 <= a@b", "2004-08-16T13:53:25Z"),
        (b"2004-08-16 15:53:25.514 1BwhmP-0001Ab-00 <= a@b", "2004-08-16T13:53:25Z"),
        (b"2004-08-16 13:53:25 +0000 1BwhmP-0001Ab-00 <= a@b", "2004-08-16T13:53:25Z"),
        (b"<22>1 2004-08-16T15:53:25.514548+02:00 mx1 qmail - - - x", "2004-08-16T13:53:25Z"),
        (b"<191>1 2004-08-16T13:53:25Z mx1 qmail - - - x", "2004-08-16T13:53:25Z"),
        # tai64nlocal(8): 0x4120bc1f seconds since 1970 less ten.
        (b"@400000004120bc1f1ee2e234 status: local 1/10", "2004-08-16T13:52:21Z"),
        (b"@400000000000000a00000000 the epoch itself", "1970-01-01T00:00:00Z"),
        (b"1999-12-31T23:59:59Z an old line", "1999-12-31T23:59:59Z"),
    ],
)
def test_a_stamp_names_its_instant(line: bytes, expected: str) -> None:
    """Each form that mail logs begin with, in a log of Rome that ended on 17 August 2004."""
    times = read(BEFORE + line + b"\n", written="2004-08-17T00:05:00+02:00")
    assert (NOON, expected) == tuple(times)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"16 15:53:25 server splogger: the month is lost",
        b" Aug 16 15:53:25 indented: the rest of a line before",
        b"said Aug 16 15:53:25 server",
        b"aug 16 15:53:25 server",
        b"Auk 16 15:53:25 server",
        b"Aug 32 15:53:25 server",
        b"Feb 30 15:53:25 server",
        b"Aug  0 15:53:25 server",
        b"Aug 16 24:00:00 server",
        b"Aug 16 15:60:25 server",
        b"Aug 16 15:53:61 server",
        b"Aug 16 15:53:255 server",
        b"2004-13-16T15:53:25+02:00 server",
        b"2004-08-16T25:53:25+02:00 server",
        b"2004-08-16T15:53:25+99:00 server",
        b"2004-08-16T15:53:25:99 server",
        b"0000-00-00T00:00:00Z server",
        b"0001-01-01T00:00:00+14:00 before the first year",
        b"9999-12-31T23:59:59-14:00 after the last one",
        b"1969-12-31T23:59:59Z before all clocks",
        b"2200-01-01T00:00:00Z after all of them",
        b"<22>2 16 15:53:25 server",
        b"@400000004120bc1f short",
        b"@400000004120BC1F1EE2E234 not the label's alphabet",
        b"\0\0\0\0",
        b"\xff\xfe\xfd",
    ],
)
def test_a_line_without_a_time_belongs_to_the_line_before(line: bytes) -> None:
    """It is data, not noise, and is found where it stands."""
    assert read(BEFORE + line + b"\n", written="2004-08-17T00:05:00+02:00") == TWICE


@pytest.mark.parametrize("digit", "0123456789abcdef")
@pytest.mark.parametrize("method", ["lines", "survey"])
def test_a_label_beyond_all_clocks_is_no_time(digit: str, method: str) -> None:
    """Labels of multilog span 2^64 seconds; those no calendar holds belong to the line before."""
    clock = Clock(ROME, written=at("2004-08-17T00:05:00+02:00"))
    log = BEFORE + b"@" + digit.encode() * 24 + b" status: local 1/10\n"
    if method == "lines":
        assert shown(instant for _, instant in clock.lines(log)) == TWICE
    else:
        span = clock.survey(log)
        assert shown([span.first, span.last]) == TWICE


def test_lines_before_the_first_time_share_it() -> None:
    """A log that begins in the middle of something is not dated by its rotation."""
    log = b"rest of a line\n\nAug 16 15:53:25 server x\n"
    expected = ["2004-08-16T13:53:25Z"] * 3
    assert expected == read(log, written="2004-08-18T00:05:00Z")


def test_a_log_without_any_time_belongs_to_its_rotation() -> None:
    """There is nothing better to go by."""
    assert read(b"\0\xff\nno time at all", written=NOON) == TWICE


# -- the year ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "2004-08-16T14:06:06Z",
        "2004-08-17T00:05:00+02:00",
        "2005-01-01T00:05:00+01:00",
        "2005-06-01T00:05:00+02:00",
        "2026-11-23T22:50:00Z",
        "2199-01-01T00:00:00Z",
    ],
)
def test_the_founding_document_is_of_2004(written: str) -> None:
    """Its splogger stamps tell, whenever the file was last written; the line that lost its
    month has the time of the line before.
    """
    expected = (
        ["2004-08-16T13:48:16Z"] * 4
        + ["2004-08-16T13:53:25Z"] * 4
        + ["2004-08-16T14:02:43Z"] * 7
        + ["2004-08-16T14:06:03Z"] * 4
        + ["2004-08-16T14:06:05Z"] * 3
    )
    assert expected == read(SEED.read_bytes(), written=written)


def test_a_stamp_inside_a_message_does_not_date_the_log() -> None:
    """Only what splogger itself wrote counts: its stamp agrees with its line's own clock."""
    log = (
        b"Mar  5 10:00:00 mx1 imapd: 1092664405.514548 forged in the wrong minute\n"
        b"Mar  5 10:00:01 mx1 smtpd: warning: 1092664405.514548 tcpserver: status: 1/40\n"
        b"Mar  5 10:00:02 mx1 x\n"
    )
    expected = [f"2026-03-05T09:00:0{second}Z" for second in range(3)]
    assert expected == read(log, written="2026-03-06T00:05:00+01:00")


STAMPED = b"""\
Dec 31 23:59:58 mx1 qmail: 1104533998.000001 new msg 1
Dec 31 23:59:59 mx1 imapd: LOGIN
Jan  1 00:00:00 mx1 imapd: LOGOUT
Jan  1 00:00:01 mx1 qmail: 1104534001.000001 end msg 1
"""


@pytest.mark.parametrize(
    "written",
    ["2005-01-01T00:05:00+01:00", "2005-12-31T12:00:00+01:00", "2026-11-23T22:50:00Z"],
)
def test_the_year_changes_with_the_first_of_january(written: str) -> None:
    """With splogger's stamps: they name the years by themselves."""
    expected = [f"2004-12-31T22:59:{second}Z" for second in (58, 59)]
    expected += [f"2004-12-31T23:00:0{second}Z" for second in (0, 1)]
    assert expected == read(STAMPED, written=written)


@pytest.mark.parametrize(
    ("written", "year"),
    [
        ("2026-01-01T00:05:00+01:00", 2025),
        ("2026-02-14T12:00:00+01:00", 2025),
        ("2026-12-28T12:00:00+01:00", 2025),
        ("2027-01-01T00:05:00+01:00", 2026),
    ],
)
def test_the_year_changes_without_stamps_too(written: str, year: int) -> None:
    """The last turn of a year before the log was last written is the one it saw."""
    log = b"Dec 31 23:59:59 mx1 imapd: LOGIN\nJan  1 00:00:00 mx1 imapd: LOGOUT\n"
    assert [f"{year}-12-31T22:59:59Z", f"{year}-12-31T23:00:00Z"] == read(log, written=written)


@pytest.mark.parametrize("silence", [1, 20, 45, 90, 150])
def test_a_quiet_log_keeps_its_order_over_new_year(silence: int) -> None:
    """However many days pass without a line, none is given a time a year before the last."""
    times = [at("2025-12-01T12:00:00Z") + days * 86400 for days in (0, silence)]
    log = b"".join(
        datetime.fromtimestamp(each, UTC).strftime("%b %e %H:%M:%S mx1 x\n").encode()
        for each in times
    )
    written = shown([times[-1] + 3600])[0]
    assert shown(times) == read(log, written=written, zone=ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-02-29T13:00:00Z", "2024-02-29T12:00:00Z"),
        ("2024-03-01T00:05:00Z", "2024-02-29T12:00:00Z"),
        ("2026-11-23T00:00:00Z", "2024-02-29T12:00:00Z"),
        ("2028-02-28T23:59:59Z", "2028-02-29T12:00:00Z"),
        ("2028-02-27T00:00:00Z", "2024-02-29T12:00:00Z"),
        ("2103-06-01T00:00:00Z", "2096-02-29T12:00:00Z"),
    ],
)
def test_the_29th_of_february_is_in_a_leap_year(written: str, expected: str) -> None:
    """The last one; dates of tomorrow count as well as today's, and 2100 is no leap year."""
    log = b"Feb 29 12:00:00 mx1 x\n"
    assert [expected] == read(log, written=written, zone=ZoneInfo("UTC"))


# -- lines that stand out ------------------------------------------------------------------

AUGUST = [b"Aug 16 1%d:00:00 mx1 x\n" % hour for hour in range(6)]
DECEMBER = [b"Dec 20 1%d:00:00 mx1 x\n" % hour for hour in range(6)]
STRAY = [
    b"Jan  1 00:00:03 mx1 a clock that lost its battery\n",
    b"1970-01-01T00:00:03+00:00 mx1 the same, with its year\n",
    b"@400000000000000d00000000 the same, from multilog\n",
    b"Aug 17 13:00:00 mx1 a clock of tomorrow\n",
    b"Dec 21 13:00:00 mx1 a clock of tomorrow\n",
    b"2004-12-21T13:00:00Z mx1 a clock of tomorrow\n",
    b"2099-01-01T00:00:00Z mx1 a clock far ahead\n",
    b"Aug 14 10:00:00 mx1 a late one\n",
    b"Feb 29 10:00:00 mx1 a rare one\n",
]


@pytest.mark.parametrize("place", [0, 1, 3, 6])
@pytest.mark.parametrize("stray", STRAY, ids=lambda line: line.split(b" mx1")[0].decode())
@pytest.mark.parametrize(
    ("log", "written"),
    [(AUGUST, "2004-08-17T00:05:00Z"), (DECEMBER, "2004-12-21T00:05:00Z")],
    ids=["August", "December"],
)
def test_a_stray_line_takes_no_other_with_it(
    log: list[bytes], written: str, stray: bytes, place: int
) -> None:
    """Wherever it stands, the lines around it keep their year, and their day."""
    mixed = [*log[:place], stray, *log[place:]]
    zone = ZoneInfo("UTC")
    times = read(b"".join(mixed), written=written, zone=zone)
    del times[place]
    assert [f"{written[:8]}{log[0][4:6].decode()}T1{hour}:00:00Z" for hour in range(6)] == times


def test_tomorrow_may_be_next_year() -> None:
    """A clock that runs ahead on New Year's Eve is not given last January."""
    log = b"Dec 31 10:00:00 mx1 x\nJan  1 10:00:00 mx1 ahead\nDec 31 11:00:00 mx1 x\n"
    expected = ["2004-12-31T10:00:00Z", "2005-01-01T10:00:00Z", "2004-12-31T11:00:00Z"]
    assert expected == read(log, written="2004-12-31T12:00:00Z", zone=ZoneInfo("UTC"))


def test_a_clock_set_back_is_believed() -> None:
    """The line says 14 August, so that is where it is looked for."""
    log = b"Aug 16 15:00:00 x\nAug 14 10:00:00 x\nAug 14 10:00:01 x\nAug 16 15:01:00 x\n"
    expected = ["2004-08-16T15:00:00Z", "2004-08-14T10:00:00Z"]
    expected += ["2004-08-14T10:00:01Z", "2004-08-16T15:01:00Z"]
    assert expected == read(log, written="2004-08-17T00:05:00Z", zone=ZoneInfo("UTC"))


# -- changes of clocks ---------------------------------------------------------------------

CHANGES = [
    ("Europe/Rome", "2026-03-29"),
    ("Europe/Rome", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("America/Santiago", "2026-04-04"),
    ("America/Santiago", "2026-09-06"),
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-29"),
    ("America/Havana", "2024-03-10"),
    ("America/Havana", "2024-11-03"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Pacific/Apia", "2011-12-30"),
]
FORMS = ["%b %e %H:%M:%S mx1 x\n", "%Y-%m-%d %H:%M:%S mx1 x\n"]


@pytest.mark.parametrize("form", FORMS, ids=["RFC 3164", "Exim"])
@pytest.mark.parametrize(("name", "date"), CHANGES)
@pytest.mark.parametrize("surveyed", [False, True], ids=["lines", "survey"])
def test_no_line_is_lost_in_a_change_of_clocks(
    name: str, date: str, form: str, surveyed: bool
) -> None:
    """Around the hour that is left out or comes twice, a line every five minutes has its own
    instant, the repeated ones the later of the two.
    """
    zone = ZoneInfo(name)
    midnight = datetime.fromisoformat(date).replace(tzinfo=zone).timestamp()
    times = [int(midnight) + 300 * n for n in range(-12 * 20, 12 * 50)]
    log = [
        datetime.fromtimestamp(instant, zone).strftime(form).encode() + b"no time\n"
        for instant in times
    ]
    offsets = {datetime.fromtimestamp(instant, zone).utcoffset() for instant in times}
    assert len(offsets) == 2, "there is a change to see"
    clock = Clock(zone, written=times[-1])
    if surveyed:
        frames = [(b"".join(log[n : n + 5]), times[n : n + 5]) for n in range(0, len(log), 5)]
        for frame, expected in frames:
            span = clock.survey(frame)
            assert (expected[0], expected[-1]) == (span.first, span.last)
    else:
        expected = [instant for instant in times for _ in range(2)]
        assert expected == [instant for _, instant in clock.lines(b"".join(log))]


def test_the_hour_left_out_is_read_as_it_was_meant() -> None:
    """A machine that missed the change writes 02:30: that is half an hour after 02:00."""
    log = b"Mar 29 01:59:59 mx1 x\nMar 29 02:30:00 mx1 x\nMar 29 03:30:01 mx1 x\n"
    expected = ["2026-03-29T00:59:59Z", "2026-03-29T01:30:00Z", "2026-03-29T01:30:01Z"]
    assert expected == read(log, written="2026-03-30T00:05:00+02:00")
