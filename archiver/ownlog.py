"""The service's own log: what it does, a line each, on stderr or by syslog.

Never in the mail facility, which it archives: it would rotate the log of its rotating.
"""

import json
import logging
import logging.handlers
import os
import re
import sys
from collections.abc import Mapping

from archiver.notices import Log
from archiver.zone import rfc3339

# syslog(3)'s priorities, which systemd reads at the beginning of a line (sd-daemon(3)).
PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
# Where syslogd listens: Linux, FreeBSD.
SOCKETS = ("/dev/log", "/var/run/log")


def begin(settings: Log) -> None:
    """Have everything that is logged go there. Called again, it goes there from then on."""
    handler = _to_syslog(settings.facility) if settings.to == "syslog" else None
    told = handler is None and settings.to == "syslog"
    if handler is None:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(settings.format, dated=settings.to != "syslog"))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # Others' libraries tell of their connections; whoever asked for ours did not ask for that.
    for name in ("botocore", "urllib3", "apscheduler"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if told:
        logging.getLogger("archiver").warning("no syslogd listens here: logging to stderr")


def _to_syslog(facility: str) -> logging.Handler | None:
    for path in SOCKETS:
        try:
            handler = _Syslog(path, facility=facility)
        except OSError:
            continue
        handler.ident = f"archiver[{os.getpid()}]: "
        handler.append_nul = False
        return handler
    return None


class _Syslog(logging.handlers.SysLogHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Syslogd is being restarted, maybe by us; the next record connects anew."""


class Lines(logging.Formatter):
    """One record, one line, whatever is in it. dated: syslog and journal have the time anyway."""

    def __init__(self, form: str, *, dated: bool) -> None:
        super().__init__()
        self.form = form
        journal = dated and "JOURNAL_STREAM" in os.environ
        self.prefixed = journal
        self.dated = dated and not journal

    def format(self, record: logging.LogRecord) -> str:
        line = self.line(record)
        return f"<{PRIORITIES.get(record.levelno, 5)}>{line}" if self.prefixed else line

    def line(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += " " + " ".join(self.formatException(record.exc_info).split())
        if self.form == "plain":
            return _printable(message)
        told = {"level": record.levelname.lower(), "part": record.name, "message": message}
        if self.dated:
            told = {"time": rfc3339(int(record.created)), **told}
        return json.dumps(told) if self.form == "json" else logfmt(told)


def logfmt(told: Mapping[str, str]) -> str:
    """Write `key=value` pairs; what holds more than letters and the like stands in quotes."""
    pairs = []
    for key, value in told.items():
        plain = re.fullmatch(r"[\w.:/+-]+", value, re.ASCII)
        quoted = json.dumps(_printable(value), ensure_ascii=False)
        pairs.append(f"{key}={value if plain else quoted}")
    return " ".join(pairs)


def _printable(text: str) -> str:
    """Write what would begin another line, or speak to a terminal, as Python writes it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
