"""[notify], [hooks], [metrics] and [log]: to whom the program reports, and how.

One dataclass for each table; what is wrong with one is noted in its table.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from archiver.config.secret_refs import REFERENCE, absolute
from archiver.config.toml_tables import Table, duration_in_seconds
from archiver.system.zone import DAY_SECONDS

# An address that may stand in a mail's header as it is (RFC 5322, 3.4.1, without quotes and
# comments). A local name such as root is one, too; none may look like an option of sendmail.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\]|\[IPv6:[0-9A-Fa-f:.]+\]"
ADDRESS = re.compile(rf"(?!-)(?=.{{1,254}}\Z){_ATOM}(?:\.{_ATOM})*(?:@(?:{_DOMAIN}))?")
URL = re.compile(r"https?://[!-~]{1,2000}")
# The facilities of syslog(3) that this program may log to: not mail, which it archives.
FACILITIES = ("daemon", "cron", "user", *(f"local{number}" for number in range(8)))


@dataclass(frozen=True)
class Notify:
    """mail_to: whom to mail failures and recoveries; mail_from: "" is sendmail's own choice.

    ping_url, webhook_url: a URL, or a reference to one (`secret_refs`), since whoever knows it may
    speak in our name. timeout: seconds for each. remind: seconds after which a failure that lasts
    is reported again.
    """

    mail_to: tuple[str, ...] = ()
    mail_from: str = ""
    sendmail: Path = Path("/usr/sbin/sendmail")
    ping_url: str = ""
    webhook_url: str = ""
    timeout: float = 10.0
    remind: float = float(DAY_SECONDS)


@dataclass(frozen=True)
class Hooks:
    """Commands, without a shell: program and arguments. timeout: seconds for each."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    on_failure: tuple[str, ...] = ()
    timeout: float = 300.0


@dataclass(frozen=True)
class Metrics:
    """textfile: rewritten after each run. listen: host:port where the service answers, or ""."""

    textfile: Path | None = None
    listen: str = ""

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port of `listen`, which must not be empty."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Log:
    """Where the service logs to: "stderr" or "syslog", and then with which facility."""

    to: str = "stderr"
    format: str = "plain"
    facility: str = "daemon"


def read_notify(table: Table) -> Notify:
    usual = Notify()
    mail_to = _texts(table, "mail_to")
    for address in mail_to:
        if not ADDRESS.fullmatch(address):
            table.problem("mail_to", f"`notify.mail_to`: {address!r} is not a mail address")
    found = Notify(
        mail_to=mail_to,
        mail_from=table.like("mail_from", re.compile(f"(?:{ADDRESS.pattern})?"), "a mail address"),
        sendmail=table.path("sendmail") if "sendmail" in table.rest else usual.sendmail,
        ping_url=_url(table, "ping_url"),
        webhook_url=_url(table, "webhook_url"),
        timeout=_seconds(table, "timeout", "10s", 0.1, 300),
        remind=_seconds(table, "remind", "1d", 60, 366 * DAY_SECONDS),
    )
    table.known.append("sendmail")
    table.finish()
    return found


def read_hooks(table: Table) -> Hooks:
    hooks = Hooks(
        before=_texts(table, "before"),
        after=_texts(table, "after"),
        on_failure=_texts(table, "on_failure"),
        timeout=_seconds(table, "timeout", "5m", 0.1, DAY_SECONDS),
    )
    table.finish()
    return hooks


def read_metrics(table: Table) -> Metrics:
    metrics = Metrics(
        textfile=table.optional_path("textfile"),
        listen=table.checked("listen", "", _loopback) or "",
    )
    table.finish()
    return metrics


def read_log(table: Table) -> Log:
    log = Log(
        to=table.one_of("to", ("stderr", "syslog")),
        format=table.one_of("format", ("plain", "logfmt", "json")),
        facility=table.checked("facility", "daemon", _facility) or "daemon",
    )
    table.finish()
    return log


def _texts(table: Table, key: str) -> tuple[str, ...]:
    """Take a list of texts: a command with its arguments, or mail addresses."""
    found: list[Any] = table.take(key, list, [])
    if not all(isinstance(each, str) and "\0" not in each for each in found):
        table.problem(key, f"`{table.place[-1]}.{key}` must be a list of texts")
        return ()
    if found and not found[0]:
        table.problem(key, f"`{table.place[-1]}.{key}` must not begin with an empty text")
    return tuple(found)


def _url(table: Table, key: str) -> str:
    """Take a URL, or a reference to one. A wrong one may be a secret: it is not repeated."""

    def read(text: str) -> str:
        if REFERENCE.fullmatch(text):
            return absolute(text, table.reader.base)
        return demand_url(text)

    return table.checked(key, "", read) or ""


def demand_url(text: str) -> str:
    """Return an http(s) URL that holds no password. Raises: ValueError: it is not one."""
    try:
        parts = urlsplit(text)
        # A library may print the URL in its own messages, and a password with it.
        plain = parts.hostname and parts.port != 0 and "@" not in parts.netloc
        if URL.fullmatch(text) and plain:
            return text
    except ValueError:
        pass
    raise ValueError("it must be http://… or https://…, or say where that is: file:, env:, cred:")


def _seconds(table: Table, key: str, default: str, least: float, most: float) -> float:
    found: float | None = table.checked(key, default, duration_in_seconds, int)
    if found is not None and not least <= found <= most:
        table.problem(key, f"`{table.place[-1]}.{key}` must lie between {least:g} s and {most:g} s")
    return duration_in_seconds(default) if found is None else found


def _loopback(text: str) -> str:
    """Metrics are for this machine alone; a scraper elsewhere needs a proxy in front."""
    match = re.fullmatch(r"(?:([\d.]{7,15})|\[([\da-fA-F:]{2,39})\]):(\d{1,5})", text, re.ASCII)
    if text and not (
        match
        and ipaddress.ip_address(match[1] or match[2]).is_loopback
        and 0 < int(match[3]) < 2**16
    ):
        raise ValueError(f"{text!r} is not a loopback address and port such as 127.0.0.1:9762")
    return text


def _facility(text: str) -> str:
    if text == "mail":
        raise ValueError("'mail' is what is archived: what this program logs must not go there")
    if text not in FACILITIES:
        raise ValueError(f"{text!r} is not one of {', '.join(FACILITIES)}")
    return text
