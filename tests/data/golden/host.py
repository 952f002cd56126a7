"""The golden host: a directory, and a command line that is told what time it is.

Only the command line is used, which is the same in every version, and Python's own library. What
tells of the machine, or of chance, is pinned, for it is part of what is stored: where the host
lies (by a name that is the same wherever that is), who runs the program, how segments are named.
"""

import hashlib
import importlib
import io
import os
import pwd
import secrets
import signal
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, redirect_stdout
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.data.golden.logged import instant

# The directory that the process is in: with this, no byte tells where the host lies. Linux has it.
HERE = "/proc/self/cwd"
STORES = ("store", "second")
CONFIG = """\
schema = 1
[host]
name = "mx1"
timezone = "Europe/Rome"
state_dir = "state"
spool_dir = "spool"
[compress]
level = 5
frame_size = "16KiB"
[index]
keys = ["message_id", "queue_id", "session", "address", "user", "ip", "helo"]
[notify]
mail_to = ["postmaster@example.org"]
sendmail = "/usr/bin/true"
[[source]]
name = "maillog"
path = "maillog"
reopen = "none"
[[source]]
name = "authlog"
path = "authlog"
reopen = "none"
coexist = "adopt"
[storage]
required = 1
[storage.target.store]
type = "local"
path = "store"
[storage.target.second]
type = "local"
path = "second"
[[retention.rule]]
name = "mail"
minimum = "{mail}"
maximum = "P2Y"
immediate = "P3M"
basis = "the contract with the customers, § 7"
[retention.rule.match]
source = "maillog"
[[retention.rule]]
name = "logins"
minimum = "P1D"
maximum = "{logins}"
basis = "GDPR, Art. 5(1)(e)"
expire = "auto"
[retention.rule.match]
source = "auth*"
"""
KEEPER = SimpleNamespace(pw_name="keeper")
SPACE = SimpleNamespace(
    f_bavail=2**20, f_blocks=2**21, f_frsize=4096, f_favail=2**20, f_files=2**21
)


@contextmanager
def pinned(directory: Path) -> Iterator[None]:
    """Be in that directory, and have nothing tell of this machine or of chance."""
    real, environment = os.path.realpath, dict(os.environ)
    environment.pop("SUDO_USER", None)

    def realpath(path: Any, **how: Any) -> Any:
        return os.fspath(path) if os.fspath(path).startswith(HERE) else real(path, **how)

    before = os.getcwd()
    with ExitStack() as stack:
        os.chdir(directory)
        stack.callback(os.chdir, before)
        for patch in (
            mock.patch.object(os.path, "realpath", realpath),
            mock.patch.object(secrets, "token_hex", lambda size: ("1b2c3d4e" * size)[: 2 * size]),
            mock.patch.object(pwd, "getpwuid", return_value=KEEPER),
            mock.patch.object(os, "statvfs", return_value=SPACE),
            mock.patch.dict(os.environ, environment, clear=True),
        ):
            stack.enter_context(patch)
        yield


class Host:
    """The directory that the process is in. said: how each command ended, and what it said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def archiver(self, at: str, *words: str) -> dict[str, Any]:
        """Give the command line these words, at that wall clock."""
        main: Any = importlib.import_module("archiver.cli.main")
        known = {"root": Path(HERE, "root"), "now": instant(at)}
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        status: Any = None
        try:
            with (
                mock.patch.object(sys, "argv", ["archiver", "-c", f"{HERE}/archiver.toml", *words]),
                mock.patch.object(main, "Invocation", partial(main.Invocation, **known)),
                redirect_stdout(out),
                redirect_stderr(err),
            ):
                main.main()
        except SystemExit as ended:
            status = ended.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out.flush()
        told = out.buffer.getvalue().decode("latin-1")
        return {"at": at, "words": words, "status": status, "out": told, "err": err.getvalue()}

    def do(self, at: str, *words: str, status: int = 0) -> None:
        """Give a command that changes something; it has to end so."""
        ended = self.archiver(at, *words)
        self.said.append(ended)
        # Of a night in which a store was away, later versions tell the cause.
        if ended["status"] not in {status, 12 if status == 3 else status}:
            raise AssertionError(ended)

    def night(self, day: date, clock: str = "00:05", *, status: int = 0) -> None:
        self.do(f"{day} {clock}", "-v", "run", status=status)

    def write(self, log: str, text: bytes) -> None:
        """Append to a log, as long ago as can be."""
        with open(log, "ab") as file:
            file.write(text)
        os.utime(log, (0, 0))

    def configure(self, at: str, mail: str, logins: str) -> None:
        """Write the configuration; the ledger tells when that was."""
        Path("archiver.toml").write_text(CONFIG.format(mail=mail, logins=logins), encoding="utf-8")
        os.utime("archiver.toml", (instant(at),) * 2)

    @contextmanager
    def away(self, *stores: str) -> Iterator[None]:
        """These stores can neither be read nor written."""
        for name in stores:
            os.rename(name, f"{name}.away")
            Path(name).write_bytes(b"not a directory")
        yield
        for name in stores:
            os.unlink(name)
            os.rename(f"{name}.away", name)


def rows() -> dict[str, list[list[Any]]]:
    """Return all that stands in the catalog, but the checksums, by table."""
    found = {}
    with closing(sqlite3.connect("file:state/catalog.sqlite3?mode=ro", uri=True)) as catalog:
        tables = catalog.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (table,) in sorted(tables.fetchall()):
            told = catalog.execute(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608
            names = [each[0] for each in told.description]
            found[table] = [
                [
                    # zlib's own bytes are not the same with each version of it.
                    zlib.decompress(value).decode() if isinstance(value, bytes) else value
                    for name, value in zip(names, row, strict=True)
                    if name != "checksum"
                ]
                for row in told
            ]
    return found


def digests() -> dict[str, str]:
    """Return the digest of each file that is stored, or waits in the spool."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in (*STORES, "spool")
        for path in sorted(Path(name).rglob("*"))
        if path.is_file()
    }
