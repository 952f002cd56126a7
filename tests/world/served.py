"""A real `archiver serve`, a child of the test, heard where systemd would listen."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.world.syslogds import eventually

# The service of a man in a hurry: the same code, with shorter waits.
HASTY = """\
import sys
from archiver.service import jobs, serve
from archiver.cli import main, serve as process
serve.SOON, process.TICK, jobs.FIRST_PAUSE = 0.0, 0.05, 0.1
sys.exit(main.main())
"""


class Served:
    """The service of a configuration. environment: besides ours."""

    def __init__(
        self, configuration: Path, *, hasty: bool = False, environment: Mapping[str, str] = {}
    ) -> None:
        self.directory = configuration.parent
        self.said = self.directory / "serve.stderr"
        words = ["-c", HASTY] if hasty else ["-m", "archiver"]
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.directory / "notify.sock"
        path.unlink(missing_ok=True)
        self.channel.bind(str(path))
        self.channel.settimeout(30)
        with open(self.said, "ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *words, "--config", str(configuration), "serve"],
                env={**os.environ, "NOTIFY_SOCKET": str(path), **environment},
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self.hears("READY=1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.channel.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def next(self) -> dict[str, str]:
        """Return what the service manager is told next, within 30 seconds."""
        lines = self.channel.recv(65536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def hears(self, wanted: str) -> dict[str, str]:
        """Listen until it is told that; return what else it is told along with it."""
        key, value = wanted.split("=", 1)
        while (heard := self.next()).get(key) != value:
            pass
        return heard

    def logs(self, text: str, times: int = 1) -> None:
        """Wait until the service's log has it so many times."""
        eventually(
            lambda: self.log.count(text) >= times,
            f"the service logs {text!r} {times} times",
            within=60,
        )

    @property
    def log(self) -> str:
        return self.said.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        return self.process.wait(60)
