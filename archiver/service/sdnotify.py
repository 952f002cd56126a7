"""Tell the service manager how the service is doing: sd_notify(3), without a library for it.

One datagram of `KEY=VALUE` lines to the socket that $NOTIFY_SOCKET names. Without that, as on
FreeBSD, nothing is sent. What goes wrong here is ignored: systemd restarts a service from which it
no longer hears anything.
"""

import os
import socket
import time
from contextlib import suppress

NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


def ready(status: str) -> None:
    _send("READY=1", f"STATUS={status}")


def reloading() -> None:
    """It lasts until the next `ready`. systemd 253 and later also wants to know when it began."""
    _send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    _send("STOPPING=1", "STATUS=stopping")


def alive(status: str) -> None:
    _send("WATCHDOG=1", f"STATUS={status}")


def watchdog_seconds() -> float | None:
    """Return within how many seconds systemd wants a sign of life; None: it wants none."""
    wanted = os.environ.get(WATCHDOG_USEC, "")
    ours = os.environ.get(WATCHDOG_PID, "") in {"", str(os.getpid())}
    return int(wanted) / 1e6 if ours and wanted.isdecimal() and int(wanted) else None


def _send(*lines: str) -> None:
    path = os.environ.get(NOTIFY_SOCKET, "")
    if not path.startswith(("/", "@")):
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    text = "\n".join(line.replace("\n", " ") for line in lines)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        # A manager whose queue is full must not hold up a rotation.
        channel.setblocking(False)
        channel.sendto(text.encode(), address)
