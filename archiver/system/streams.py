"""Cut a stream of log bytes into frames that end where lines end, and meter how it is read."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def cut(stream: Readable, frame_size: int) -> Iterator[bytes]:
    """Yield the stream's bytes in frames of at most `frame_size` bytes, none empty.

    A frame ends after a newline, unless a single line is longer than a frame: such a
    line goes on in the next one. So memory stays bounded by the frame, whatever the log
    holds. Besides these, only the last frame may end without a newline: where the stream does.
    """
    rest = b""  # what followed the last newline of the block before
    while True:
        wanted = frame_size - len(rest)
        block = _read(stream, wanted)
        if len(block) < wanted:
            if rest or block:
                yield rest + block
            return
        end = block.rfind(b"\n") + 1 or len(block)
        # A view, so that joining makes the only copy: frames are large.
        yield b"".join((rest, memoryview(block)[:end]))
        rest = block[end:]


def _read(stream: Readable, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end. One read may return less: decompressors do."""
    block = stream.read(size)
    if len(block) == size or not block:
        return block
    blocks = [block]
    missing = size - len(block)
    while missing and (block := stream.read(missing)):
        blocks.append(block)
        missing -= len(block)
    return b"".join(blocks)


Advance = Callable[[int], None]
# Given a label and a total in bytes; in the context, each call of `Advance` adds bytes done.
Meter = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def unwatched(_label: str, _total: int) -> Iterator[Advance]:
    """The meter that shows nothing."""
    yield lambda _bytes: None


class Metered:
    """A stream that reports how far the file beneath it has been read.

    stream: what is read, such as a decompressor of `file`. advance: gets the bytes read of `file`.
    """

    def __init__(self, stream: Readable, file: BinaryIO, advance: Advance) -> None:
        self._stream = stream
        self._file = file
        self._advance = advance
        self._at = 0

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        at = self._file.tell()
        self._advance(at - self._at)
        self._at = at
        return data
