"""Tell the service manager how the service is: sd_notify(3), without a library for it.

One datagram of `KEY=VALUE` lines to the socket that $NOTIFY_SOCKET names. Where there is none,
as on FreeBSD, nobody is told; and nothing that goes wrong here concerns anybody but systemd,
which restarts a service that it no longer hears of.
"""

import os
import socket
import time
from contextlib import suppress

NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


def ready(status: str) -> None:
    _tell("READY=1", f"STATUS={status}")


def reloading() -> None:
    """Until `ready` is told again. From systemd 253 on it wants to know when that was."""
    _tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    _tell("STOPPING=1", "STATUS=stopping")


def alive(status: str) -> None:
    _tell("WATCHDOG=1", f"STATUS={status}")


def watchdog_seconds() -> float | None:
    """Return how often systemd wants to hear that we are alive; None: it does not."""
    wanted = os.environ.get(WATCHDOG_USEC, "")
    ours = os.environ.get(WATCHDOG_PID, "") in {"", str(os.getpid())}
    return int(wanted) / 1e6 if ours and wanted.isdecimal() and int(wanted) else None


def _tell(*lines: str) -> None:
    path = os.environ.get(NOTIFY_SOCKET, "")
    if not path.startswith(("/", "@")):
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    text = "\n".join(line.replace("\n", " ") for line in lines)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        # A manager whose queue is full must not hold up a rotation.
        channel.setblocking(False)
        channel.sendto(text.encode(), address)
