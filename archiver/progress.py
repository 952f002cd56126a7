"""How long work shows how far it is, to whoever watches."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from archiver.system.streams import Readable

Advance = Callable[[int], None]
# A label and a total in bytes; within the context, each advance adds to what is done.
Meter = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def unwatched(_label: str, _total: int) -> Iterator[Advance]:
    """The meter that shows nothing."""
    yield lambda _bytes: None


class Metered:
    """A stream that tells how far the file beneath it has been read."""

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
