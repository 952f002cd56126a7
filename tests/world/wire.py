"""HTTP/1.1 as it is on the wire: what is read can be passed on byte for byte."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress

BLOCK = 64 * 1024


class GoneError(Exception):
    """The other side has closed its connection where something was to come."""


class Stream:
    """What comes in through a socket, in the pieces that HTTP/1.1 is made of."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    def _more(self) -> None:
        block = self._connection.recv(BLOCK)
        if not block:
            raise GoneError
        self._read += block

    def _through(self, mark: bytes) -> bytes:
        while (end := self._read.find(mark)) < 0:
            self._more()
        end += len(mark)
        found, self._read = self._read[:end], self._read[end:]
        return found

    def head(self) -> bytes:
        """The first line and the headers, with the empty line after them."""
        return self._through(b"\r\n\r\n")

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            if not self._read:
                self._more()
            piece, self._read = self._read[:length], self._read[length:]
            length -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self._through(b"\r\n")
            yield line
            if not (size := int(line.partition(b";")[0], 16)):
                break
            yield from self._exactly(size + len(b"\r\n"))
        while True:  # trailers, until an empty line
            line = self._through(b"\r\n")
            yield line
            if line == b"\r\n":
                return

    def _rest(self) -> Iterator[bytes]:
        with suppress(GoneError):
            while True:
                if not self._read:
                    self._more()
                piece, self._read = self._read, b""
                yield piece

    def body(self, headers: Mapping[str, str], *, until_closed: bool = False) -> Iterator[bytes]:
        """The body that the headers announce, byte for byte, chunk sizes and trailers included."""
        if "chunked" in headers.get("transfer-encoding", ""):
            yield from self._chunks()
        elif "content-length" in headers:
            yield from self._exactly(int(headers["content-length"]))
        elif until_closed:
            yield from self._rest()


def fields(head: bytes) -> dict[str, str]:
    """The headers, by their names in small letters."""
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    pairs = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def dechunked(raw: bytes) -> bytes:
    """The body within the chunks."""
    body = b""
    while True:
        line, _, raw = raw.partition(b"\r\n")
        if not (size := int(line.partition(b";")[0], 16)):
            return body
        body, raw = body + raw[:size], raw[size + 2 :]


def header_block(first: str, headers: Mapping[str, str]) -> bytes:
    """A head, as it is sent."""
    lines = [first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")
