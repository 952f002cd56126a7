"""A stream of log is cut into frames that end where lines end, however its reads come."""

import io
from collections.abc import Sequence
from itertools import cycle, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.system.streams import cut

LOG = st.lists(
    st.sampled_from([b"\n", b"a\n", b"\0\xff", b"word ", b"x" * 40, b"line of a log\n", b"\r"]),
    max_size=60,
).map(b"".join)
SIZES = st.integers(1, 100)
READS = st.lists(st.integers(1, 30), min_size=1, max_size=5)


class Halting:
    """A stream that returns as much as it likes, as decompressors and pipes do."""

    def __init__(self, content: bytes, lengths: Sequence[int]) -> None:
        self.file = io.BytesIO(content)
        self.lengths = cycle(lengths)
        self.asked: list[int] = []

    def read(self, size: int, /) -> bytes:
        assert size > 0, "a read of nothing looks like the end"
        self.asked.append(size)
        return self.file.read(min(size, next(self.lengths)))


@given(LOG, SIZES, READS)
def test_frames_put_together_are_the_stream(log: bytes, size: int, reads: list[int]) -> None:
    """Nothing is lost, doubled or moved, and no frame is empty."""
    frames = list(cut(Halting(log, reads), size))
    assert log == b"".join(frames)
    assert b"" not in frames


@given(LOG, SIZES, READS)
def test_no_frame_is_larger_than_asked_for(log: bytes, size: int, reads: list[int]) -> None:
    """Memory is bounded by the frame, whatever the log holds."""
    stream = Halting(log, reads)
    assert all(len(frame) <= size for frame in cut(stream, size))
    assert max(stream.asked) <= size


@given(LOG, SIZES, READS)
def test_frames_end_where_lines_end(log: bytes, size: int, reads: list[int]) -> None:
    """Only the stream's end, and a line too long for a frame, end a frame elsewhere."""
    *frames, _last = [b"", *cut(Halting(log, reads), size)]
    for frame in frames[1:]:
        if not frame.endswith(b"\n"):
            assert size == len(frame), "a frame without its line's end is at least full"
            assert b"\n" not in frame, "the line before it could have ended the frame"


@given(LOG, SIZES, READS)
def test_no_frame_could_have_held_the_next_line(log: bytes, size: int, reads: list[int]) -> None:
    """Frames are as full as whole lines make them: there are no needlessly small ones."""
    for frame, following in pairwise(cut(Halting(log, reads), size)):
        if frame.endswith(b"\n"):
            first_line = following.partition(b"\n")[0] + b"\n"
            assert len(frame) + len(first_line) > size


@given(LOG, SIZES, READS)
def test_short_reads_change_nothing(log: bytes, size: int, reads: list[int]) -> None:
    """Where the frames end is the log's affair, not the decompressor's."""
    assert list(cut(io.BytesIO(log), size)) == list(cut(Halting(log, reads), size))


def test_a_line_longer_than_a_frame_runs_on() -> None:
    """It is passed on in pieces, and the next line begins a frame's worth later."""
    frames = list(cut(io.BytesIO(b"1\n" + b"x" * 25 + b"\n2\n"), 10))
    expected = [b"1\n", b"x" * 10, b"x" * 10, b"xxxxx\n2\n"]
    assert expected == frames


def test_a_log_that_ends_without_a_newline_keeps_its_last_words() -> None:
    """What syslogd was writing when it died is archived too."""
    expected = [b"one\ntwo\n", b"thr"]
    assert expected == list(cut(io.BytesIO(b"one\ntwo\nthr"), 8))


@settings(max_examples=10)
@given(SIZES)
def test_an_empty_stream_has_no_frames(size: int) -> None:
    """There is nothing to archive in a log without a byte."""
    assert not list(cut(io.BytesIO(b""), size))
