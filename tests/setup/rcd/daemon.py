"""FreeBSD's daemon(8), as far as rc.d/archiver uses it: -P, -p, -r, -R, -S, -T.

As daemon(8) with -r, -P or -p: a supervisor stays, starts the command again when it ends, hands
SIGTERM on and then goes; SIGHUP it swallows. Both pid files are removed at the end.
"""

import getopt
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main() -> None:
    options, words = getopt.getopt(sys.argv[1:], "P:p:rR:ST:")
    told = dict(options)
    if os.fork():
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    log = os.open(os.environ["DAEMON_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    supervise(Path(told["-P"]), Path(told["-p"]), words, float(told["-R"]))


def supervise(own: Path, childs: Path, words: list[str], pause: float) -> None:
    stopping = threading.Event()
    child: list[subprocess.Popen[bytes]] = []

    def stop(number: int, _frame: object) -> None:
        stopping.set()
        for each in child:
            each.send_signal(number)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    own.write_text(str(os.getpid()))
    while not stopping.is_set():
        # What is ignored stays so in a child, and the service has its own handler.
        child[:] = [subprocess.Popen(words)]
        childs.write_text(str(child[0].pid))
        child[0].wait()
        stopping.wait(pause)
    own.unlink()
    childs.unlink()


if __name__ == "__main__":
    main()
