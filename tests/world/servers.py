"""Fixtures: S3 servers, each started when a test first asks for it, once for a worker."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.world.weed", "tests.world.faults")

# After that, for their asserts are to be rewritten.
from tests.world.loopback import HERE  # noqa: E402
from tests.world.weed import Weed, weed  # noqa: E402


@pytest.fixture(scope="session")
def weed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """A store's server over HTTP. Who stops it starts it again."""
    with weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def second_weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """Another one, which shares nothing with the first."""
    with weed(tmp_path_factory.mktemp("second")) as server:
        yield server


@pytest.fixture(scope="session")
def tls_weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    """One over TLS; its `ca_bundle` vouches for it."""
    with weed(tmp_path_factory.mktemp("tls"), tls=True) as server:
        yield server


@pytest.fixture
def full_weed(tmp_path: Path) -> Iterator[Weed]:
    """One that has a disk of its own, to `fill` and to `relieve`."""
    with weed(tmp_path / "full", disk="24m") as server:
        yield server


@pytest.fixture
def bucket(weed_server: Weed) -> str:
    """A fresh bucket with Object Lock on `weed_server`."""
    return weed_server.bucket(lock=True)


@pytest.fixture
def moto_server() -> Iterator[str]:
    """Where moto speaks S3: quick, and no judge of locks, checksums or secrets."""
    moto = importlib.import_module("moto.server")  # half a second, for whoever wants it
    server = moto.ThreadedMotoServer(ip_address=HERE, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        server._server.server_close()  # which it leaves to the garbage collector
