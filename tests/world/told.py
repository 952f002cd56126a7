"""Those who are told: a web server on this machine, and a program in sendmail's place."""

import email
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Web:
    """What it was asked; answers: an HTTP status, or "hang" or "close"."""

    address: str
    answers: int | str = 200
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.asked]


@contextmanager
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made.asked.append(Asked(self.command, self.path, body))
            if made.answers == "hang":
                made.over.wait(60)
            if isinstance(made.answers, str):
                self.close_connection = True
                return
            self.send_response(made.answers)
            if made.answers == 302:
                self.send_header("Location", f"{made.address}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 (the library's name)

        def log_message(self, *_: object) -> None:
            """The test is told by `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Web(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Sendmail:
    """A program that keeps each mail, and with what words it was called."""

    program: Path
    box: Path

    @classmethod
    def at(cls, directory: Path, then: str = "exit 0") -> "Sendmail":
        """then: what it does afterwards, in shell."""
        box = directory / "box"
        box.mkdir(exist_ok=True)
        program = directory / "sendmail"
        program.write_text(
            f'#!/bin/sh\nnumber=$(ls {box} | wc -l)\necho "$*" >"{directory}/words"\n'
            f'cat >"{box}/$(printf %03d $number)"\n{then}\n'
        )
        program.chmod(0o755)
        return cls(program, box)

    @property
    def mails(self) -> list[EmailMessage]:
        paths = sorted(self.box.iterdir())
        read = (email.message_from_bytes(each.read_bytes(), policy=default) for each in paths)
        return list(read)

    @property
    def subjects(self) -> list[str]:
        return [str(each["Subject"]) for each in self.mails]
