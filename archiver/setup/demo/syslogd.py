"""Stands in for a syslogd: writes numbered lines into a log, and opens that anew on HUP.

Run as a program: LOG PIDFILE. It holds the log open, and opens it without O_CREAT, as FreeBSD's
syslogd does. It ends at SIGTERM, after the line that it is writing.
"""

import os
import signal
import sys
import time
from itertools import count
from pathlib import Path
from types import FrameType

received: set[int] = set()  # signals not yet acted on


def note(number: int, _frame: FrameType | None) -> None:
    received.add(number)


def main() -> None:
    log, pidfile = sys.argv[1:]
    signal.signal(signal.SIGHUP, note)
    signal.signal(signal.SIGTERM, note)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    Path(pidfile).write_text(f"{os.getpid()}\n", encoding="ascii")
    for number in count(1):
        stamp = time.strftime("%b %e %H:%M:%S")
        os.write(output, f"{stamp} mx1 demo: live line {number}\n".encode())
        if signal.SIGTERM in received:
            break
        if signal.SIGHUP in received:
            received.discard(signal.SIGHUP)
            os.close(output)
            output = os.open(log, os.O_WRONLY | os.O_APPEND)
        time.sleep(0.0005)


if __name__ == "__main__":
    main()
