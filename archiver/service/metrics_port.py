"""Answer `GET /metrics` on a loopback address, and nothing else.

Whatever comes over the connection, it is over after a few seconds, and so many at most are open.
"""

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from archiver import __version__

log = logging.getLogger("archiver.scraped")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds that a connection may last, and how many there may be.
DEADLINE = 5.0
AT_ONCE = 4


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.0: one request each connection."""

    server: "MetricsPort"
    server_version = f"archiver/{__version__}"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "only /metrics is here")
            return
        try:
            body = self.server.tell().encode()
        except Exception as error:  # noqa: BLE001 (the service goes on, whatever this is)
            log.error("no metrics: %s: %s", type(error).__name__, error)
            self.send_error(500, "see the service's log")
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Requests are nobody's news, and strangers' words do not belong into a log."""


class MetricsPort(ThreadingHTTPServer):
    """A listener, in threads of its own, until `close`. tell: returns the text."""

    daemon_threads = True
    # Only for a restart: nothing else listens there then.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], tell: Callable[[], str]) -> None:
        """Raises: OSError: it cannot listen there."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.tell = tell
        self.free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without asking a name service for our name as the library does."""
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
        """Whoever went away, or was shut out, has no need of an answer."""
        log.debug("a connection ended early")


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("a connection was over already")
