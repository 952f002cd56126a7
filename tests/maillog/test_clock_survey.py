"""The fast way through a frame and the slow one agree, and neither is ever at a loss."""

import gc
import io
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.clock import Clock, State, TimeSpan
from archiver.maillog.days import DayCutter
from tests.world.logs import ZONES, Log, logs


@settings(max_examples=400, deadline=None)
@given(logs())
def test_a_survey_tells_what_reading_the_lines_would(log: Log) -> None:
    """The span is that of the lines' times, and the clock is left in the same state."""
    reader, surveyor = log.clock, log.clock
    for frame, continues in log.framed():
        times = [instant for _, instant in reader.lines(frame, continues=continues)]
        expected = TimeSpan(min(times), max(times), frame.count(b"\n"))
        assert expected == surveyor.survey(frame, continues=continues)
        assert reader.state == surveyor.state


@settings(max_examples=150, deadline=None)
@given(logs())
def test_reading_may_begin_at_any_frame(log: Log) -> None:
    """From the state that a manifest keeps of it, each line has the time it has from the start."""
    reader = log.clock
    expected = []
    states: list[State] = []
    for frame, continues in log.framed():
        states.append(reader.enter(frame, continues=continues))
        expected.append([instant for _, instant in reader.lines(frame, continues=continues)])
    for begin, state in enumerate(states):
        resumed = Clock(log.zone, written=log.written, state=state)
        times = [
            [instant for _, instant in resumed.lines(frame, continues=continues)]
            for frame, continues in log.framed()[begin:]
        ]
        assert expected[begin:] == times


@settings(max_examples=150, deadline=None)
@given(logs())
def test_lines_put_together_are_the_frame(log: Log) -> None:
    """Reading times changes no byte, and breaks lines at newlines only."""
    clock = log.clock
    for frame, continues in log.framed():
        lines = [line for line, _ in clock.lines(frame, continues=continues)]
        assert io.BytesIO(frame).readlines() == lines


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(min_size=1, max_size=400),
        st.text(alphabet="\n @<>0123456789abcdefJanDec:-+TZ.\0", min_size=1).map(str.encode),
        st.lists(
            st.one_of(
                st.from_regex(rb"[A-Z][a-z][a-z] [ \d]?\d \d\d:\d\d:\d\d ", fullmatch=True),
                st.from_regex(
                    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([+-]\d\d:?\d\d|Z)", fullmatch=True
                ),
                st.from_regex(rb"@[0-9a-f]{24} ", fullmatch=True),
                st.from_regex(rb"@[34][0-9a-f]{23} ", fullmatch=True),
            ),
            min_size=1,
        ).map(b"\n".join),
    ),
    st.sampled_from(ZONES),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_no_bytes_are_too_strange(frame: bytes, zone: str, written: int, continues: bool) -> None:
    """Whatever somebody writes into a log, it is read to its end, the same in both ways."""
    reader, surveyor = (Clock(ZoneInfo(zone), written=written) for _ in range(2))
    times = [instant for _, instant in reader.lines(frame, continues=continues)]
    expected = TimeSpan(min(times), max(times), frame.count(b"\n"))
    assert expected == surveyor.survey(frame, continues=continues)
    assert reader.state == surveyor.state


# -- hostile lines -------------------------------------------------------------------------

STAMP = b"Aug 16 15:53:25 "
HOSTILE = {
    "newlines": b"\n",
    "no newline at all": b"x",
    "digits": b"1",
    "stamps on one line": STAMP,
    "stamps alone": STAMP + b"\n",
    "long tags": STAMP + b"a" * 255 + b" " + b"b" * 64 + b": 109266440\n",
    "nearly splogger": STAMP + b"mx1 qmail: 1092664405.51454\n",
    "wrong splogger": STAMP + b"mx1 qmail: 1092664999.514548 \n",
    "no such day": b"Aug 32 15:53:25 \n",
    "fractions": b"2004-08-16T15:53:25." + b"1" * 300 + b"\n",
    "wrong zones": b"2004-08-16T15:53:25+99:99 \n",
    "labels": b"@4000000",
    "priorities": b"<22><22>",
    "spaces": b" ",
    "two forms": STAMP + b"\n2004-08-16T15:53:25Z\n",
}


def seconds(work: Callable[[bytes], object], log: bytes) -> float:
    """Processor time, without what a collector would spend on all that other tests have left."""
    gc.freeze()
    try:
        began = time.process_time()
        work(log)
        return time.process_time() - began
    finally:
        gc.unfreeze()


def grows_no_faster(work: Callable[[bytes], object], small: bytes, large: bytes) -> bool:
    """Whether 24 times what the small one takes is enough for the large one, at best of three."""
    enough = 24 * max(min(seconds(work, small) for _ in range(3)), 0.001)
    return any(seconds(work, large) < enough for _ in range(3))


def surveyed(log: bytes) -> None:
    Clock(ZoneInfo("Europe/Rome"), written=1_100_000_000).survey(log)


def cut(log: bytes) -> None:
    cutter = DayCutter(Clock(ZoneInfo("Europe/Rome"), written=1_100_000_000), written=1_100_000_000)
    for _ in cutter.cut([log]):
        pass


@pytest.mark.parametrize("work", [surveyed, cut])
@pytest.mark.parametrize("kind", HOSTILE)
def test_time_grows_with_the_log_and_no_faster(kind: str, work: Callable[[bytes], object]) -> None:
    """Eight times the bytes take nowhere near sixty-four times as long."""
    line = HOSTILE[kind]
    small, large = (line * (size // len(line)) for size in (2**15, 2**18))
    assert grows_no_faster(work, small, large)


def test_a_line_for_every_day_takes_no_longer_than_its_lines() -> None:
    """A frame may hold years: a log that nobody ever rotated, or a hostile sender's."""

    def years(days: int) -> bytes:
        began = datetime(1980, 1, 1, 12)
        return b"".join(
            (began + timedelta(days=n)).strftime("%Y-%m-%dT%H:%M:%SZ x\n").encode() * 8
            for n in range(days)
        )

    assert grows_no_faster(cut, years(250), years(2000))
