"""Where the service logs what it does: stderr or syslog, one line each, in one of three forms.

Never to the facility `mail`: that is what is archived. Whatever a message holds, it stays one
line: control characters are written as escapes.
"""

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from archiver.config.telling import Log
from archiver.system.zone import rfc3339

# The numbers of syslog(3) and sd-daemon(3).
SEVERITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
WORDS = {2: "critical", 3: "error", 4: "warning", 6: "info", 7: "debug"}
FACILITIES = {"user": 1, "daemon": 3, "cron": 9, **{f"local{n}": 16 + n for n in range(8)}}
# Linux; FreeBSD, in all its versions.
SOCKETS = ("/dev/log", "/var/run/log")
# What every syslogd accepts as one line: bytes (FreeBSD's MAXLINE is 2048, before 12: 1024).
LONGEST = 1000
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def set_up(settings: Log) -> None:
    """Send everything that is logged where the configuration says, and nowhere else."""
    handler: logging.Handler = Stderr() if settings.to == "stderr" else Syslog(settings.facility)
    handler.setFormatter(Lines(settings.format))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, (Stderr, Syslog))]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def severity(record: logging.LogRecord) -> int:
    return SEVERITIES.get(record.levelno, 6)


def one_line(text: str) -> str:
    """Write each character that is not printable as an escape."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


class Lines(logging.Formatter):
    """Writes a record as one line. form: plain, logfmt or json."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            message += f": {type(error).__name__}: {error}"
        if self.form == "plain":
            return one_line(message)
        pairs = {
            "time": rfc3339(int(record.created)),
            "level": WORDS[severity(record)],
            "logger": record.name,
            "message": message,
        }
        # json.dumps writes ASCII only, which no reader mistakes for another encoding.
        if self.form == "json":
            return json.dumps(pairs)
        return logfmt(pairs)


def logfmt(pairs: Mapping[str, str]) -> str:
    """Write key=value pairs; a value is quoted unless it is one plain word."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


def _quoted(value: str) -> str:
    if value and value.isprintable() and not any(c in ' "=\\' for c in value):
        return value
    return '"' + one_line(value.replace("\\", r"\\").replace('"', r"\"")) + '"'


class Stderr(logging.Handler):
    """Logs to standard error; with priorities if that is the journal (sd-daemon(3))."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = is_journal(os.environ.get("JOURNAL_STREAM", ""))

    def emit(self, record: logging.LogRecord) -> None:
        priority = f"<{severity(record)}>" if self.journal else ""
        line = f"{priority}{self.format(record)}\n"
        # If stderr is closed, there is nowhere to report that, and the service goes on.
        with suppress(OSError, ValueError):
            sys.stderr.write(line.encode("utf-8", "backslashreplace").decode())
            sys.stderr.flush()


def is_journal(stream: str) -> bool:
    """Whether stderr is the very file that JOURNAL_STREAM names: it may have been redirected
    since, and children inherit the variable (systemd.exec(5)).
    """
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


class Syslog(logging.Handler):
    """Logs to the local syslogd. Lines that it does not accept go to stderr."""

    def __init__(self, facility: str, sockets: tuple[str, ...] = SOCKETS) -> None:
        super().__init__()
        self.facility = FACILITIES[facility]
        self.sockets = sockets
        self.socket: socket.socket | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        now = time.localtime(record.created)
        # As syslog(3) writes it, whatever the locale.
        stamp = f"{MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {time.strftime('%H:%M:%S', now)}"
        head = f"<{self.facility * 8 + severity(record)}>{stamp} archiver[{os.getpid()}]: "
        line = (head + text).encode("utf-8", "backslashreplace")
        if len(line) > LONGEST:
            line = line[: LONGEST - 3].decode("utf-8", "ignore").encode() + b"..."
        # Twice: a syslogd that was restarted has another socket.
        if not (self._sent(line) or self._sent(line)):
            with suppress(OSError, ValueError):
                sys.stderr.write(f"{one_line(text)}\n")
                sys.stderr.flush()

    def _sent(self, line: bytes) -> bool:
        try:
            self.socket = self.socket or self._connected()
            self.socket.send(line)
        except OSError:
            self.close_socket()
            return False
        return True

    def _connected(self) -> socket.socket:
        failure: OSError = FileNotFoundError("no socket of a syslogd")
        for path in self.sockets:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # A syslogd that hangs must not make the service hang.
            channel.settimeout(1)
            try:
                channel.connect(path)
            except OSError as error:
                channel.close()
                failure = error
            else:
                return channel
        raise failure

    def close_socket(self) -> None:
        if self.socket:
            self.socket.close()
            self.socket = None

    def close(self) -> None:
        self.close_socket()
        super().close()
