"""A writer that treats its log as FreeBSD's syslogd does.

It holds the log open for appending. SIGHUP makes it flush what it still holds back, into
the OLD file, and then open the path again WITHOUT O_CREAT: a missing file means that it
has nowhere to write. Each line carries a number of its own, in order, and a number counts
only when its whole line has been written.

`Writer` starts one in a process of its own; run as a script, this file is that process.
Its name is syslogd, for an archiver that looks whom it is about to signal.
"""

import base64
import contextlib
import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

PR_SET_NAME = 15
# Between closing and opening syslogd reads its configuration again. In these seconds
# nobody holds the file, which proves nothing about a file that is still the log.
PAUSE = 0.02
NUMBER = re.compile(rb"number=(\d{6})\.")


class Syslogd:
    """The writing side: one open log, and the number of the last line in it.

    Its clock stands still between requests: `moment` is that of the last one.
    """

    def __init__(self) -> None:
        self.path = ""
        self.fd: int | None = None
        self.last = 0
        self.error = ""
        self.moment = datetime.now().astimezone()

    def open(self, path: str) -> None:
        """Turn to another log, whose lines are numbered from 1."""
        self.path, self.last, self.error = path, 0, ""
        self._reopen()

    def hup(self) -> None:
        if self.fd is not None:
            self._write("last message repeated 1 time")
        self._reopen()

    def put(self, count: int, moment: str, filler: str) -> int:
        self.moment = datetime.fromisoformat(moment)
        text = f"queued mail {filler}".rstrip()
        done = 0
        while done < count and self._write(text):
            done += 1
        return done

    def _reopen(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
            time.sleep(PAUSE)
        try:
            self.fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            self.error = str(error)

    def _write(self, text: str) -> bool:
        if self.fd is None:
            return False
        if "%" in text:
            text = text.replace("%", base64.b64encode(os.urandom(240)).decode())
        stamp = f"{self.moment:%b} {self.moment.day:2} {self.moment:%H:%M:%S}"
        line = f"{stamp} mx1 qmail[77]: {text} number={self.last + 1:06}.\n".encode()
        end = os.fstat(self.fd).st_size
        try:
            whole = os.write(self.fd, line) == len(line)
        except OSError as error:
            self.error = str(error)
            return False
        if not whole:
            os.ftruncate(self.fd, end)
            self.error = "the disk took only part of a line"
            return False
        self.last, self.error = self.last + 1, ""
        return True


def main() -> None:
    """Obey requests, one JSON array a line, and SIGHUP, each answer after its deed."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"syslogd", 0, 0, 0)
    syslogd = Syslogd()
    wakeup, notify = os.pipe()
    os.set_blocking(notify, False)
    signal.set_wakeup_fd(notify)
    signal.signal(signal.SIGHUP, lambda *_: None)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([0, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 512)
            syslogd.hup()
        if 0 in ready:
            line = os.read(0, 65536)
            if not line:
                return
            verb, *rest = json.loads(line)
            done = syslogd.put(*rest) if verb == "put" else 0
            if verb == "open":
                syslogd.open(*rest)
            print(
                json.dumps([done, syslogd.last, syslogd.error, syslogd.fd is not None]), flush=True
            )


class Writer:
    """A syslogd of our own, and what it says of itself."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.pid = process.pid
        self.last = 0
        self.error = ""
        self.is_open = False

    def open(self, path: Path) -> None:
        self._ask("open", str(path))

    def put(self, count: int, moment: datetime, filler: str = "") -> int:
        """Have it log lines stamped so. Returns how many it could write.

        filler: more text for each line; a "%" in it becomes 320 random letters.
        """
        return self._ask("put", count, moment.isoformat(), filler)

    def tell(self) -> int:
        """Return the number of the last line written so far."""
        self._ask("tell")
        return self.last

    def _ask(self, *request: object) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        done, self.last, self.error, self.is_open = json.loads(self.process.stdout.readline())
        return int(done)


@contextmanager
def writer() -> Iterator[Writer]:
    with subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Writer(process)
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()


def numbers(log: bytes) -> list[int]:
    """Return the numbers of all whole lines, as they stand."""
    return [int(number) for number in NUMBER.findall(log)]


if __name__ == "__main__":
    main()
