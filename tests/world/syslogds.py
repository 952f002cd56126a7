"""Real syslog daemons, each alone in a directory of its own.

A daemon here listens on a socket in its directory, writes `maillog` beside it, and knows
nothing of the machine's own logging. What was sent is remembered: it is the truth that
a test compares with.
"""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from typing import ClassVar, Self

from tests.world.system import need

MAIL_INFO = 22  # RFC 3164, section 4.1.1: facility mail (2) * 8 + severity info (6)


def eventually(condition: Callable[[], bool], what: str, within: float = 60) -> None:
    """Return as soon as *condition* holds; fail with *what* was awaited when it never does."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(0.005)


class Syslogd(ABC):
    """A syslog daemon that runs in the foreground, as our child, until the `with` ends."""

    name: ClassVar[str]
    process_name: ClassVar[str]

    def __init__(self, directory: Path, tz: str) -> None:
        """Prepare to run in *directory* with TZ=*tz*, in whose time the log is written."""
        self.directory = directory
        self.log = directory / "maillog"
        self.pidfile = directory / "syslogd.pid"
        self.socket = directory / "log.sock"
        self.sent: list[str] = []  # `tag: text`, in the order in which they were sent
        self.environment = {**os.environ, "TZ": tz}
        self._daemon: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> list[str]:
        """Write the configuration; return the command that runs in the foreground."""

    @property
    def pid(self) -> int:
        """The process id, which is also what the pid file says."""
        assert self._daemon is not None, "started"
        return self._daemon.pid

    def __enter__(self) -> Self:
        # FreeBSD's syslogd creates no log; with the log there from the start, all are alike.
        self.log.touch(0o640)
        command = self.prepare()
        with open(self.directory / "syslogd.output", "wb") as output:
            self._daemon = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            eventually(self._is_listening, f"{self.name} listens: {' '.join(command)}")
            self.write(["ready"])
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_listening(self) -> bool:
        assert self._daemon is not None, "started"
        status = self._daemon.poll()
        if status is not None:
            said = (self.directory / "syslogd.output").read_text(errors="replace")
            raise AssertionError(f"{self.name} ended with {status}: {said}")
        try:
            agreed = int(self.pidfile.read_text()) == self.pid
        except (FileNotFoundError, ValueError):
            return False
        with suppress(OSError), self.connected():
            return agreed
        return False

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """Give a socket whose `send` waits for a slow daemon: the kernel drops nothing."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(30)  # a test that stops the daemon shall not wait for ever
            connection.connect(str(self.socket))
            yield connection

    def send(self, texts: Sequence[str]) -> None:
        """Log each text to mail.info. Texts must differ: daemons collapse what repeats."""
        with self.connected() as connection:
            for text in texts:
                message = f"maillog: {text}"
                self.sent.append(message)
                connection.send(f"<{MAIL_INFO}>{message}".encode())

    def write(self, texts: Sequence[str]) -> None:
        """Send *texts*, and wait until they stand in the live log."""
        self.send(texts)
        self.wait_for(f"maillog: {texts[-1]}")

    def wait_for(self, message: str) -> None:
        """Wait until *message* (`tag: text`) and all sent before it stand in the live log."""
        line = f" {message}\n".encode()
        eventually(lambda: line in self.log.read_bytes(), f"{self.name} writes {message!r}")

    def pause(self) -> None:
        """Stop the daemon where it stands, and wait until all of its threads stand."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let it run on."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the daemon, paused or not; it is our own child and no other is touched."""
        daemon, self._daemon = self._daemon, None
        if daemon is None:
            return
        daemon.send_signal(signal.SIGCONT)
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


class Inetutils(Syslogd):
    """GNU inetutils' syslogd: one thread, writes as it reads, the nearest to FreeBSD's."""

    name = "inetutils"
    process_name = "syslogd"

    def prepare(self) -> list[str]:
        rules = self.directory / "syslog.conf"
        rules.write_text(f"mail.*\t-{self.log}\n")
        more_rules = self.directory / "syslog.d"
        more_rules.mkdir()
        return [
            need("inetutils-syslogd"),
            "--no-detach",
            "--no-klog",
            "--no-forward",
            f"--rcfile={rules}",
            f"--rcdir={more_rules}",
            f"--pidfile={self.pidfile}",
            f"--socket={self.socket}",
        ]


class Rsyslog(Syslogd):
    """rsyslogd: threads and a queue between the socket and the file; opens lazily."""

    name = "rsyslog"
    process_name = "rsyslogd"

    def prepare(self) -> list[str]:
        program = need("rsyslogd")
        rules = self.directory / "rsyslog.conf"
        # A full queue must hold the sender up; rsyslog's own answer is to discard after 2 s.
        rules.write_text(
            f"""\
global(workDirectory="{self.directory}" net.enableDNS="off")
main_queue(queue.timeoutEnqueue="600000")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{self.socket}" RateLimit.Interval="0")
$RepeatedMsgReduction off
$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat
mail.* -{self.log}
"""
        )
        command = [program, "-n", "-f", str(rules), "-i", str(self.pidfile)]
        # Unpacked instead of installed, it has its libraries and modules beside it.
        for modules in glob(f"{Path(program).parents[2]}/usr/lib/*/rsyslog"):
            self.environment["LD_LIBRARY_PATH"] = str(Path(modules).parent)
            command += ["-M", modules]
        return command


SYSLOGDS: tuple[type[Syslogd], ...] = (Inetutils, Rsyslog)
