"""What a server of ours needs on this machine: its own ports, and a certificate."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

HERE = "127.0.0.1"

# Below the ports that the kernel hands out itself, which a client may be holding just now.
FIRST_BLOCK, LAST_BLOCK, BLOCK, ABOVE = 11000, 20000, 16, 10000


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1, its key, and the authority that vouches for it."""

    chain: Path
    key: Path
    ca_bundle: Path


def certify(directory: Path) -> Certificate:
    """Write a certificate of an authority that nobody else knows."""
    made = Certificate(directory / "cert.pem", directory / "key.pem", directory / "ca.pem")
    authority = trustme.CA()
    issued = authority.issue_cert(HERE)
    made.chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    made.key.write_bytes(issued.private_key_pem.bytes())
    made.ca_bundle.write_bytes(authority.cert_pem.bytes())
    return made


def _bind(port: int, *, alone: bool) -> socket.socket:
    bound = socket.socket()
    try:
        # As Go's listeners do: what is left of closed connections is in nobody's way.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, not alone)
        bound.bind((HERE, port))
    except OSError:
        bound.close()
        raise
    return bound


@contextmanager
def block_of_ports() -> Iterator[int]:
    """Yield a port; those after it, there and 10000 above, are this server's alone.

    The port itself stays bound and is the claim, also while the server is down. A port
    that is busy would make SeaweedFS use another one, silently.
    """
    starts = list(range(FIRST_BLOCK, LAST_BLOCK, BLOCK))
    random.shuffle(starts)
    for start in starts:
        with ExitStack() as claim:
            try:
                claim.enter_context(_bind(start, alone=True))
                for after in range(1, BLOCK):
                    _bind(start + after, alone=False).close()
                    _bind(start + after + ABOVE, alone=False).close()
            except OSError:
                continue
            yield start
            return
    raise AssertionError("no free ports")
