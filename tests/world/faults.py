"""A server between a client and an S3 server, which passes every byte on, unless a rule says no.

    with faults(weed_server, [Rule("PUT", r"/day-1", SLOW_DOWN, times=2)]) as faulty:
        client = faulty.client("writer")
        …
        assert len(faulty.requests) == 3

It is sockets and threads only: no HTTP library repairs a fault, or refuses to commit one.
The Host header is passed on as it came, so that signatures stay valid.
"""

import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.world.exchange import Exchange, Seen
from tests.world.loopback import HERE, certify
from tests.world.weed import connect
from tests.world.wire import GoneError, Stream

ENDS_WITHIN = 10.0

Action = Callable[[Exchange], None]


def answer(status: int, code: str, headers: Mapping[str, str] | None = None) -> Action:
    """Answer with an error of S3."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{code}, says the fault.</Message>"
        "<RequestId>fault</RequestId></Error>"
    ).encode()
    kind = {"Content-Type": "application/xml", **(headers or {})}
    return lambda exchange: exchange.reply(status, body, kind)


def bad_gateway(exchange: Exchange) -> None:
    """Answer as something that is no S3 server, in the way to one."""
    page = b"<html><body><h1>502 Bad Gateway</h1></body></html>\n"
    exchange.reply(502, page, {"Content-Type": "text/html"})


def empty_200(exchange: Exchange) -> None:
    """Do nothing, and say that all is well; without an ETag, for there is nothing."""
    exchange.reply(200, b"", {})


def reset(exchange: Exchange) -> None:
    """Hear the request out, and reset the connection."""
    exchange.read()
    exchange.reset()


def break_off(count: int) -> Action:
    """Reset the connection when some *count* bytes of the body have come."""

    def act(exchange: Exchange) -> None:
        exchange.take(count)
        exchange.reset()

    return act


def hang(exchange: Exchange) -> None:
    """Hear the request out, and never answer."""
    exchange.hang()


def lose_response(exchange: Exchange) -> None:
    """Let the server do what it was asked for, and tell nobody."""
    exchange.forward()
    exchange.drop()


def cut(*, to: int | None = None, length: bool = True) -> Action:
    """Send the first *to* bytes of the real body (half of it), and close in good order.

    With the *length* of the whole, the client can know. Without it, it cannot.
    """

    def act(exchange: Exchange) -> None:
        found = exchange.forward()
        headers = dict(found.headers)
        headers.pop("transfer-encoding", None)
        headers["content-length"] = str(len(found.body))
        headers["connection"] = "close"
        if not length:
            del headers["content-length"]
        exchange.resend(found, headers, found.body[: len(found.body) // 2 if to is None else to])
        exchange.drop()

    return act


def other_bytes(exchange: Exchange) -> None:
    """Send the real body with another byte in its middle; headers and length are the real ones."""
    found = exchange.forward()
    body = bytearray(found.body)
    if body:
        body[len(body) // 2] ^= 1
    headers = dict(found.headers)
    headers.pop("transfer-encoding", None)
    headers["content-length"] = str(len(body))
    exchange.resend(found, headers, bytes(body))


SLOW_DOWN = answer(503, "SlowDown")
INTERNAL_ERROR = answer(500, "InternalError")  # what a server with a full disk says
EXPIRED_TOKEN = answer(400, "ExpiredToken")
TOO_SKEWED = answer(403, "RequestTimeTooSkewed")
ACCESS_DENIED = answer(403, "AccessDenied")
NO_SUCH_BUCKET = answer(404, "NoSuchBucket")
PRECONDITION_FAILED = answer(412, "PreconditionFailed")
CONFLICT = answer(409, "ConditionalRequestConflict")
NOT_IMPLEMENTED = answer(501, "NotImplemented")


@dataclass
class Rule:
    """What becomes of the requests whose whole method and part of whose target match."""

    method: str
    target: str
    action: Action
    skip: int = 0  # how many of them pass first
    times: int | None = 1  # how many it strikes then; None: all
    struck: int = 0
    _passed: int = field(default=0, repr=False)

    def strikes(self, exchange: Exchange) -> bool:
        """Whether this request is struck; counts it."""
        if not re.fullmatch(self.method, exchange.method):
            return False
        if not re.search(self.target, exchange.target):
            return False
        if self._passed < self.skip:
            self._passed += 1
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True


class Real(Protocol):
    """What stands behind the faults: a `Weed`, or anything else that speaks S3."""

    @property
    def endpoint(self) -> str:
        """Where it is."""

    @property
    def ca_bundle(self) -> Path | None:
        """Whom to trust over TLS."""

    def credentials(self, identity: str = "admin") -> tuple[str, str]:
        """The access key and the secret key of *identity*."""


class Faults:
    """The server in between. `rules` may be changed at any time; the first that strikes, does."""

    def __init__(
        self, upstream: Real, rules: Iterable[Rule], certificates: Path | None = None
    ) -> None:
        self.rules = list(rules)
        self.requests: list[Seen] = []
        self.at_most = 0  # the most requests that were in progress at the same time
        self.ca_bundle: Path | None = None
        self._real = upstream
        self._in_progress = 0
        self._clients: list[Any] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._context: ssl.SSLContext | None = None
        if certificates:
            certificate = certify(certificates)
            self.ca_bundle = certificate.ca_bundle
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(certificate.chain, certificate.key)
        self._trusted = ssl.create_default_context(cafile=upstream.ca_bundle)
        self._listener = socket.create_server((HERE, 0), backlog=128)
        self._run(self._listen)

    @property
    def endpoint(self) -> str:
        """Where the faults are."""
        scheme = "https" if self._context else "http"
        return f"{scheme}://{HERE}:{self._listener.getsockname()[1]}"

    def client(self, identity: str = "admin", **config: Any) -> Any:
        """Return an S3 client, which is closed when the server is; see `weed.connect`."""
        credentials = self._real.credentials(identity)
        made = connect(self.endpoint, credentials, ca_bundle=self.ca_bundle, **config)
        self._clients.append(made)
        return made

    def _run(self, what: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=what, args=arguments)
        self._threads.append(thread)
        thread.start()

    def begun(self, seen: Seen) -> None:
        """Count a request that has come."""
        with self._lock:
            self.requests.append(seen)
            self._in_progress += 1
            self.at_most = max(self.at_most, self._in_progress)

    def ended(self) -> None:
        """Count it no longer."""
        with self._lock:
            self._in_progress -= 1

    @contextmanager
    def _known(self, connection: socket.socket) -> Iterator[socket.socket]:
        """Close it at the end, which may come from outside."""
        with connection:
            with self._lock:
                self._open.add(connection)
                if self._closed:
                    raise GoneError
            try:
                yield connection
            finally:
                with self._lock:
                    self._open.discard(connection)

    @contextmanager
    def upstream(self) -> Iterator[socket.socket]:
        """A connection of its own for every request: none is stale."""
        address = urlsplit(self._real.endpoint)
        made = socket.create_connection((HERE, address.port or 0))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.scheme == "https":
            made = self._trusted.wrap_socket(made, server_hostname=HERE)
        with self._known(made):
            yield made

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self._run(self._serve, self._listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        # A client that goes away, or does not trust us, is none of our faults.
        with suppress(GoneError, OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context:
                handshake = self._context.wrap_socket
                connection = handshake(connection, server_side=True, do_handshake_on_connect=False)
            with self._known(connection):
                if isinstance(connection, ssl.SSLSocket):
                    connection.do_handshake()
                stream = Stream(connection)
                while self._exchange(Exchange(self, connection, stream, stream.head())):
                    pass

    def _exchange(self, exchange: Exchange) -> bool:
        """Do what is to be done, and return whether the connection can go on."""
        try:
            with self._lock:
                struck = next((rule for rule in self.rules if rule.strikes(exchange)), None)
            if struck:
                struck.action(exchange)
            else:
                exchange.pass_on()
        finally:
            exchange.over()
        return exchange.reusable

    def close(self) -> None:
        """End every connection, and what hangs in them."""
        while self._clients:
            self._clients.pop().close()
        with self._lock:
            self._closed = True
            for connection in [self._listener, *self._open]:
                with suppress(OSError):
                    # Past the ssl module, whose own would take its state from under a reader.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(ENDS_WITHIN)
            assert not thread.is_alive(), "a thread does not end"


@contextmanager
def faults(upstream: Real, rules: Iterable[Rule] = (), *, tls: bool = False) -> Iterator[Faults]:
    """Serve *upstream*, with faults, for as long as the context lasts."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory()) if tls else None
        server = Faults(upstream, rules, Path(directory) if directory else None)
        stack.callback(server.close)
        yield server
