"""The options that say which lines `archiver fetch` looks for, and their meaning."""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

import click

from archiver.errors import UsageError
from archiver.maillog.facts import normal
from archiver.maillog.match import Wanted

KEYS = (
    ("message_id", "ID", "A Message-ID, with or without <>."),
    ("queue_id", "ID", "A queue id of any program, or qmail's message number."),
    ("qp", "PID", "The process that queued a message (qmail's qp)."),
    ("session", "ID", "A session of Dovecot, OpenSMTPD or Amavis, or tcpserver's process."),
    ("address", "ADDR", "A sender or recipient; <> is the empty sender."),
    ("domain", "NAME", "Any address or user of exactly this domain."),
    ("user", "NAME", "Who logged in, or tried to."),
    ("ip", "IP", "A client or relay, IPv4 or IPv6."),
    ("helo", "NAME", "What a client called itself."),
)


def looked_for_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which lines are looked for to a command."""
    options = [
        click.option(f"--{kind.replace('_', '-')}", kind, multiple=True, metavar=metavar, help=text)
        for kind, metavar, text in KEYS
    ]
    options += [
        click.option("--grep", metavar="RE", help="Lines that match this regular expression."),
        click.option("--text", metavar="TEXT", help="Lines that contain this text."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def wanted_by(*, grep: str | None, text: str | None, **keys: tuple[str, ...]) -> tuple[Wanted, str]:
    """Return what these options ask for, and the same in words. keys: by kind, the values given.

    Raises: UsageError: a value that cannot be such a key, or a pattern that is none.
    """
    wanted, words = [], []
    for kind, _, _ in KEYS:
        if values := keys[kind]:
            wanted.append((kind, frozenset(_keys(kind, values))))
            words.append(f"{kind} {' or '.join(values)}")
    if grep and text:
        raise UsageError("--grep and --text cannot be combined", hint="put both into one --grep")
    if grep == "" or text == "":
        raise UsageError("--grep and --text need something to look for", hint="--text 'disk full'")
    if grep or text:
        words.append(f"{grep or text!r} in it")
    pattern = grep or (text and re.escape(text))
    return Wanted(tuple(wanted), _compiled(pattern) if pattern else None), " and ".join(words)


def _keys(kind: str, values: Iterable[str]) -> Iterable[bytes]:
    for value in values:
        key = normal(kind, _bytes(value)) if value.strip() else None
        if key is None or b"\n" in key or (kind == "ip" and not _is_ip(key)):
            option = f"--{kind.replace('_', '-')}"
            hint = {
                "ip": "such as 192.0.2.1 or 2001:db8::1",
                "address": "for the empty sender: '<>'",
            }
            raise UsageError(
                f"{option}: {value!r} is not a valid value",
                hint=hint.get(kind, "copy it from a line of the log"),
            )
        yield key


def _is_ip(key: bytes) -> bool:
    try:
        ipaddress.ip_address(key.decode())
    except ValueError:
        return False
    return True


def _compiled(pattern: str) -> re.Pattern[bytes]:
    try:
        return re.compile(_bytes(pattern), re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"--grep: {error}: {pattern!r}", hint="use --text to look for plain text"
        ) from error


def _bytes(text: str) -> bytes:
    """Return the bytes that were typed: a log may hold some that are not UTF-8."""
    return text.encode(errors="surrogateescape")
