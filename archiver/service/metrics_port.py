"""Answer `GET /metrics` on a loopback address, and nothing else.

Whatever a client sends, its connection ends after a few seconds, and only a few are open at once.
"""

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from archiver import __version__

log = logging.getLogger("archiver.metrics")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# How many seconds a connection may last, and how many there may be at once.
DEADLINE = 5.0
AT_ONCE = 4


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.0: one request per connection."""

    server: "MetricsPort"
    server_version = f"archiver/{__version__}"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "only /metrics is served here")
            return
        try:
            body = self.server.text().encode()
        except Exception as error:  # noqa: BLE001 (the service goes on, whatever this is)
            log.error("metrics could not be made: %s: %s", type(error).__name__, error)
            self.send_error(500, "see the service's log")
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Log nothing: requests are not news, and the words of strangers do not belong in a log."""


class MetricsPort(ThreadingHTTPServer):
    """A listener, in threads of its own, until `close`. text: returns the metrics."""

    daemon_threads = True
    # So that a restarted service can listen at once (SO_REUSEADDR).
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], text: Callable[[], str]) -> None:
        """Raises: OSError: it cannot listen there."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.text = text
        self.free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without looking up our own name as the library does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def begin(self) -> Self:
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()
        return self

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        if not self.free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        over = threading.Timer(DEADLINE, _shut, (request,))
        over.daemon = True
        over.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            over.cancel()
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """A client that went away, or was shut out, is not worth more than a debug line."""
        log.debug("a connection ended early")


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("a connection was over already")
