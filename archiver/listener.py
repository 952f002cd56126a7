"""Answer `GET /metrics` at a loopback address, for as long as the service runs."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

from archiver.config import Config
from archiver.errors import ArchiverError, NotToldError
from archiver.metrics import text

# How long what was told is told again: a scrape each second must not read the catalog each second.
FRESH = 15.0
# How long a client may take to ask. Seconds.
PATIENCE = 5


class Listener:
    """Answers `GET /metrics` at a loopback address, one client after the other."""

    def __init__(self, config: Callable[[], Config]) -> None:
        """config: what is in force. Raises: NotToldError: the address cannot be had."""
        self.config = config
        self._text, self._until = "", 0.0
        self.where = where = config().metrics.listen
        try:
            self._server = _Server(config().metrics.address, self)
        except OSError as error:
            raise NotToldError(
                f"metrics cannot be served at {where}: {error.strerror}",
                hint="is another program there? See metrics.listen in the configuration",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics")
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def text(self) -> str:
        """Raises: ArchiverError."""
        if time.monotonic() > self._until:
            self._text = text(self.config(), int(time.time()))
            self._until = time.monotonic() + FRESH
        return self._text


class _Server(HTTPServer):
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], listener: Listener) -> None:
        self.listener = listener
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks a name service who we are, and may wait for that.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or takes too long, is nothing to tell of."""


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.answer(404, "there is /metrics\n")
            return
        try:
            body = self.server.listener.text()
        except ArchiverError as failure:
            self.answer(503, f"{failure.message}\n")
        else:
            self.answer(200, body)

    def answer(self, status_: int, body: str) -> None:
        content = body.encode()
        self.send_response(status_)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """A scrape is nothing to tell of."""
