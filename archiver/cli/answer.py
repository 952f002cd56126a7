"""What every verb gets and returns: an Invocation in, an Answer out.

The answer is printed as text, or as one JSON document on stdout, after a failure too:

    {"schema", "command", "ok", "exit_code", "host", "started_at", "finished_at",
     "data", "warnings": [{code, message, hint}], "error": null | {code, message, hint, retryable}}

Keys are only ever added. Times are RFC 3339 in UTC, sizes are bytes.
"""

import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from archiver.config.settings import Config, load, parse
from archiver.errors import ArchiverError, UsageError
from archiver.system.files import ROOT
from archiver.system.streams import Advance
from archiver.system.zone import rfc3339

SCHEMA = 1
# The exit status of a program that SIGPIPE ended: `archiver fetch … | head` is not a failure.
BROKEN_PIPE = 128 + signal.SIGPIPE


@dataclass
class Invocation:
    """How the command was called. The clock is read once, here, for the whole command.

    root: the directory below which the configurations of other rotators are looked for.
    config_text: the configuration, if not what its file holds now (for jobs of the service).
    stopping: SIGTERM has come; the step at work is the last one.
    """

    config_path: Path
    store: str | None = None
    quiet: bool = False
    verbose: int = 0
    json: bool = False
    progress: bool = True
    color: bool = field(default_factory=lambda: not os.environ.get("NO_COLOR"))
    command: str = ""
    host: str | None = None
    now: int = field(default_factory=lambda: int(time.time()))
    root: Path = ROOT
    config_text: str | None = None
    stopping: bool = False

    def asked_to_stop(self) -> bool:
        return self.stopping

    def config(self) -> Config:
        if self.store is not None:
            raise UsageError(
                f"`archiver {self.command}` needs a configuration: --store is only for reading",
                hint="leave out --store, which is for `fetch`, `list` and the like",
            )
        text = self.config_text
        config = load(self.config_path) if text is None else parse(text, self.config_path)
        self.host = config.host.name
        return config

    def config_to_read(self, host: str | None = None) -> Config:
        """Return the configuration, or one made from --store. host: which host of that store."""
        if self.store is None:
            return self.config()
        from archiver.find.address import config_of  # noqa: PLC0415 (`--help` must be quick)

        config = config_of(self.store, host)
        self.host = config.host.name
        return config

    @contextmanager
    def meter(self, label: str, total: int) -> Iterator[Advance]:
        """Show a progress bar, but only on a terminal: cron mails whatever is printed."""
        if not self.progress or self.quiet or self.json or not sys.stderr.isatty():
            yield lambda _bytes: None
            return
        with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
            yield bar.update


@dataclass
class Answer:
    """data: for the JSON document. text: for people. failures: for stderr, the worst first.

    exit_status: None takes the first failure's. chatty: the text is left out where no terminal
    watches, as under cron.
    """

    data: Any = None
    text: str = ""
    failures: Sequence[ArchiverError] = ()
    exit_status: int | None = None
    chatty: bool = False

    @property
    def status(self) -> int:
        if self.exit_status is not None:
            return self.exit_status
        return self.failures[0].exit_status if self.failures else 0


def verb(function: Callable[..., Answer]) -> Callable[..., None]:
    """Make a click callback of a function of (Invocation, options) that returns an Answer."""

    @functools.wraps(function)
    def callback(context: click.Context, /, as_json: bool, **options: Any) -> None:  # noqa: ANN401
        invocation: Invocation = context.obj
        invocation.json = invocation.json or as_json
        invocation.command = context.command_path.split(" ", 1)[-1]
        try:
            answer = function(invocation, **options)
            print_answer(invocation, answer)
            sys.stdout.flush()
        except BrokenPipeError:
            # Nobody reads any more: nothing may be flushed at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)
        context.exit(answer.status)

    option = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
    )
    return option(click.pass_context(callback))


def print_answer(invocation: Invocation, answer: Answer) -> None:
    """Print an answer, as text or as the JSON document."""
    if invocation.json:
        click.echo(json.dumps(document(invocation, answer), indent=1))
        return
    watched = sys.stdout.isatty() or invocation.verbose
    if answer.text and not invocation.quiet and (watched or not answer.chatty):
        click.echo(answer.text)
    for failure in answer.failures:
        print_failure(failure, color=invocation.color)


def print_failure(failure: ArchiverError, *, color: bool) -> None:
    """Print on stderr what went wrong, and what to try."""
    name = click.style("archiver: ", fg="red")
    # With None, click checks whether stderr is a terminal.
    click.echo(name + failure.message, err=True, color=None if color else False)
    if failure.hint:
        click.echo(f"  try: {failure.hint}", err=True)


def document(invocation: Invocation, answer: Answer) -> dict[str, Any]:
    """Return the JSON document of an answer, as described at the head of this module."""
    error = answer.failures[0] if answer.failures and answer.status else None
    warnings = [failure for failure in answer.failures if failure is not error]
    return {
        "schema": SCHEMA,
        "command": invocation.command,
        "ok": answer.status == 0,
        "exit_code": answer.status,
        "host": invocation.host,
        "started_at": rfc3339(invocation.now),
        "finished_at": rfc3339(int(time.time())),
        "data": answer.data,
        "warnings": [_failure_data(warning) for warning in warnings],
        "error": {**_failure_data(error), "retryable": error.retryable} if error else None,
    }


def _failure_data(failure: ArchiverError) -> dict[str, str]:
    return {"code": failure.code, "message": failure.message, "hint": failure.hint}


def human_size(size: int) -> str:
    """Write a number of bytes for people: 1.5 MB (units of 1000)."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def count(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun: 1 archive, 2 archives. many: if it is not `one` and an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows under a header, each column as wide as it needs."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in lines
    )
