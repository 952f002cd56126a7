"""config/qmail: the name of a POP3 user reaches the log, and `fetch --user` finds it.

The shell scripts, tcpserver and the syslogd are real. Of qmail there are stand-ins, a few lines
each, that do what its man page says: qmail-popup(8), checkpassword's interface, splogger(8).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests import TOP
from tests.whole.live.host import Host
from tests.world.syslogds import eventually
from tests.world.system import need

PYTHON = f"#!{sys.executable}\n"
# qmail-popup host subprogram: takes USER and PASS, hands them to the subprogram on descriptor 3.
POPUP = """
import os, sys
def say(text): os.write(1, text.encode() + b"\\r\\n")
def hear(word):
    line = sys.stdin.buffer.readline().rstrip(b"\\r\\n")
    return line.partition(b" ")[2]
say("+OK <1.2@" + sys.argv[1] + ">")
user = hear("USER"); say("+OK")
password = hear("PASS")
reader, writer = os.pipe()
child = os.fork()
if not child:
    os.close(writer)
    os.dup2(reader, 3)
    os.set_inheritable(3, True)
    os.execv(sys.argv[2], sys.argv[2:])
os.close(reader)
os.write(writer, user + b"\\0" + password + b"\\0stamp\\0")
os.close(writer)
_, status = os.waitpid(child, 0)
if status: say("-ERR authorization failed")
"""
CHECKPASSWORD = """
import os, sys
user, password, _ = os.read(3, 512).split(b"\\0", 2)
os.close(3)
if password != b"right": sys.exit(1)
os.environb[b"USER"] = user
os.execv(sys.argv[1], sys.argv[1:])
"""
POP3D = """
import os, sys
assert sys.argv[1:] == ["Maildir"], sys.argv
try:
    os.fstat(7)
    os.write(1, b"-ERR descriptor 7 is open\\r\\n")
except OSError:
    os.write(1, b"+OK\\r\\n")
"""
SPLOGGER = """
import socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect({socket!r})
for number, line in enumerate(sys.stdin.buffer):
    stamp = b"1092664405.%06d" % number
    log.send(b"<22>" + sys.argv[1].encode() + b": " + stamp + b" " + line.rstrip(b"\\n"))
"""


@dataclass
class Pop3:
    """A service on a port of this machine."""

    host: Host
    port: int

    def login(self, user: bytes, password: bytes) -> bytes:
        """Return the last line that the server says."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=30)) as channel:
            answers = channel.makefile("rb")
            answers.readline()
            channel.sendall(b"USER " + user + b"\r\n")
            answers.readline()
            channel.sendall(b"PASS " + password + b"\r\n")
            return answers.readline()

    def logged(self, text: str) -> None:
        log = self.host.syslogd.log
        eventually(lambda: text.encode() in log.read_bytes(), f"{text!r} is logged")


@pytest.fixture
def pop3(host: Host) -> Iterator[Pop3]:
    qmail = host.directory / "qmail"
    qmail.mkdir()
    programs = {
        "qmail-popup": POPUP,
        "checkpassword": CHECKPASSWORD,
        "qmail-pop3d": POP3D,
        "splogger": SPLOGGER.format(socket=str(host.syslogd.socket)),
    }
    for name, text in programs.items():
        (qmail / name).write_text(PYTHON + text)
        (qmail / name).chmod(0o755)
    shutil.copy(TOP / "config/qmail/qmail-pop3d-wrapper.sh", qmail)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HOST": "server.example.org",
        "TCPSERVER": need("tcpserver"),
        "CHECKPASSWORD": str(qmail / "checkpassword"),
        "QMAIL": str(qmail),
        "ADDRESS": "127.0.0.1",
        "PORT": str(port),
    }
    script = subprocess.Popen(
        ["sh", "-c", f". {TOP}/config/qmail/pop3.sh; wait"],
        env=environment,
        start_new_session=True,
    )
    try:
        made = Pop3(host, port)
        made.logged("tcpserver: status: 0/40")
        yield made
    finally:
        os.killpg(script.pid, signal.SIGTERM)
        script.wait()


@pytest.mark.system
def test_who_has_logged_in_is_found(pop3: Pop3) -> None:
    """Those with the right password, and no others; and what a user sends forges no line."""
    assert pop3.login(b"olga", b"right") == b"+OK\r\n"
    pop3.logged("user olga logged in from 127.0.0.1:")
    assert pop3.login(b"karl", b"wrong").startswith(b"-ERR")
    assert pop3.login(b"x\\nqmail-pop3d: user karl\tlogged in", b"right") == b"+OK\r\n"
    pop3.logged("user x\\nqmail-pop3d: user karl?logged in logged in from")
    host = pop3.host
    host.archiver("run", "--force")
    found = host.archiver("fetch", "--user", "olga").out.decode().splitlines()
    assert len(found) == 1
    assert "qmail-pop3d: user olga logged in from 127.0.0.1:" in found[0]
    host.archiver("fetch", "--user", "karl", status=4)
