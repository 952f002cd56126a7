"""One request on its way to the real server, and all that can become of it."""

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from tests.world.wire import BLOCK, Stream, dechunked, fields, header_block


@dataclass
class Seen:
    """A request that came, and what became of it. The bytes are those of the bodies."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    bytes_in: int = 0
    bytes_out: int = 0
    status: int | None = None  # None: nothing was answered

    @property
    def range(self) -> str | None:
        """The part that was asked for."""
        return self.headers.get("range")


@dataclass(frozen=True)
class Answer:
    """The real server's answer, which nobody has been told yet."""

    head: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes


class Between(Protocol):
    """The server in between, as an exchange knows it."""

    def begun(self, seen: Seen) -> None:
        """Count it."""

    def ended(self) -> None:
        """Count it no longer."""

    def upstream(self) -> AbstractContextManager[socket.socket]:
        """Connect to the real server."""


class Exchange:
    """One request on its way; an action decides what becomes of it, by calling these."""

    def __init__(
        self, server: Between, connection: socket.socket, stream: Stream, head: bytes
    ) -> None:
        method, target, _ = head.decode("latin-1").split(" ", 2)
        self.head = head
        self.headers = fields(head)
        self.seen = Seen(method, target, self.headers)
        # Whether the connection can be used for another request.
        self.reusable = self.headers.get("connection", "").lower() != "close"
        self._server = server
        self._connection = connection
        self._stream = stream
        self._in_progress = True
        server.begun(self.seen)

    @property
    def method(self) -> str:
        """GET, PUT, …"""
        return self.seen.method

    @property
    def target(self) -> str:
        """The path and the query, as they were sent."""
        return self.seen.target

    @property
    def _expects(self) -> bool:
        """Whether the client holds its body back until it is told to go on."""
        return self.headers.get("expect", "").lower() == "100-continue"

    def over(self) -> None:
        """Say that it is no longer in progress: before its last byte is sent, not after."""
        if self._in_progress:
            self._in_progress = False
            self._server.ended()

    def _incoming(self) -> Iterator[bytes]:
        for piece in self._stream.body(self.headers):
            self.seen.bytes_in += len(piece)
            yield piece

    def read(self) -> bytes:
        """Read the request's body, but do not ask for one that the client holds back."""
        if self._expects:
            self.reusable = False
            return b""
        return b"".join(self._incoming())

    def take(self, count: int) -> None:
        """Ask for the body if it is held back, and read some *count* bytes of it."""
        if self._expects:
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for _ in self._incoming():
            if self.seen.bytes_in >= count:
                return

    def send(self, *pieces: bytes) -> None:
        """Send pieces of a body, or anything."""
        for piece in pieces:
            self.seen.bytes_out += len(piece)
            self._connection.sendall(piece)

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer, in the real server's place. An answer to HEAD has no body."""
        self.read()
        if self.method == "HEAD":
            body = b""
        lines = {"Content-Length": str(len(body)), **headers}
        if not self.reusable:
            lines["Connection"] = "close"
        self.over()
        self.seen.status, self.seen.bytes_out = status, len(body)
        self._connection.sendall(header_block(f"HTTP/1.1 {status} -", lines) + body)

    def drop(self) -> None:
        """Close the connection in good order."""
        self.over()
        self.reusable = False
        if isinstance(self._connection, ssl.SSLSocket):
            # It says goodbye, and does not wait for the other side's.
            self._connection.setblocking(False)
            with suppress(OSError):
                self._connection.unwrap()

    def reset(self) -> None:
        """Close the connection by a RST."""
        self.over()
        self.reusable = False
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def hang(self) -> None:
        """Take whatever comes and answer nothing, until the client or the server goes."""
        self.reusable = False
        while block := self._connection.recv(BLOCK):
            self.seen.bytes_in += len(block)

    @contextmanager
    def _asked(self) -> Iterator[tuple[bytes, dict[str, str], Iterator[bytes]]]:
        """Ask the real server; yield its answer's head, headers, and body to come."""
        with self._server.upstream() as upstream:
            stream = Stream(upstream)
            held_back = self._expects
            upstream.sendall(self.head)
            if not held_back:
                self._pass_body(upstream)
            while (head := stream.head()).split(b" ", 2)[1].startswith(b"1"):
                self._connection.sendall(head)  # 100 Continue
                if held_back:
                    held_back = False
                    self._pass_body(upstream)
            if held_back:  # refused without it, and it will not come any more
                self.reusable = False
            headers = fields(head)
            status = head.split(b" ", 2)[1]
            bodiless = self.method == "HEAD" or status in {b"204", b"304"}
            body = iter(()) if bodiless else stream.body(headers, until_closed=True)
            yield head, headers, body

    def _pass_body(self, upstream: socket.socket) -> None:
        pieces = self._incoming()
        try:
            for piece in pieces:
                upstream.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            # It has answered without reading to the end. The client is heard to its end.
            for _ in pieces:
                pass

    def forward(self) -> Answer:
        """Let the real server do it, and read all of its answer; the client hears nothing."""
        with self._asked() as (head, headers, pieces):
            raw = b"".join(pieces)
            if "transfer-encoding" in headers:
                raw = dechunked(raw)
            return Answer(head, int(head.split(b" ", 2)[1]), headers, raw)

    def resend(self, found: Answer, headers: Mapping[str, str], body: bytes) -> None:
        """Send the real server's answer, with these headers and this body."""
        first = found.head.split(b"\r\n", 1)[0].decode("latin-1")
        self.over()
        self.seen.status = found.status
        self._connection.sendall(header_block(first, headers))
        self.send(body)

    def pass_on(self) -> None:
        """Let the real server do it, and the client hear its answer, byte for byte."""
        with self._asked() as (head, headers, pieces):
            framed = {"content-length", "transfer-encoding"} & headers.keys()
            if headers.get("connection", "").lower() == "close" or not framed:
                self.reusable = False
            self.seen.status = int(head.split(b" ", 2)[1])
            last = b""
            for piece in chain([head], pieces):
                self._connection.sendall(last)
                self.seen.bytes_out += len(piece) if piece is not head else 0
                last = piece
            self.over()
            self._connection.sendall(last)
