"""The command line: `archiver -c FILE VERB …`.

Each verb's module is imported when it is called, so that `archiver --help` is instant.
"""

import gc
import importlib
import os
import signal
import sys
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

import click
from click.shell_completion import CompletionItem

from archiver import __version__
from archiver.cli.answer import Answer, Invocation, print_answer
from archiver.errors import ArchiverError, InterruptedRunError, UsageError, from_os_error

VERBS = {
    "run": ("archiver.cli.run:run", "Rotate, archive and copy what is due."),
    "serve": (
        "archiver.cli.serve:serve",
        "Run as a service that does each night's work by itself.",
    ),
    "fetch": ("archiver.cli.fetch:fetch", "Get lines back: by date, by key or by text."),
    "list": ("archiver.cli.list_:list_archives", "List what is archived, and where."),
    "status": (
        "archiver.cli.status:status",
        "Show whether all is well, for people and monitoring.",
    ),
    "import": ("archiver.cli.import_:import_files", "Archive logs that another program rotated."),
    "sync": ("archiver.cli.sync:sync", "Copy to every store what it is missing, and update locks."),
    "repair": ("archiver.cli.sync:repair", "Read every copy back, and replace damaged ones."),
    "retention": (
        "archiver.cli.retention:retention",
        "Show and apply the rules on how long archives are kept.",
    ),
    "hold": ("archiver.cli.hold:hold", "Keep archives for a case, whatever the rules say."),
    "store": ("archiver.cli.store:store", "Check what a store really enforces."),
    "doctor": (
        "archiver.cli.doctor:doctor",
        "Check what would go wrong tonight, and what to do about it.",
    ),
    "catalog": ("archiver.cli.catalog:catalog", "Rebuild the catalog from the stores."),
    "notify": ("archiver.cli.notify:notify_", "Send a test notification."),
    "config": ("archiver.cli.config:config", "Write, check and show the configuration."),
    "service": (
        "archiver.cli.service:service",
        "Install it as a service (systemd, rc.d), or remove it.",
    ),
    "completion": (
        "archiver.cli.completion:completion",
        "Print shell completion for bash, zsh or fish.",
    ),
    "demo": ("archiver.cli.demo:demo", "See it work: 30 days, a live log, a flipped byte."),
}
DEFAULT_CONFIG = (
    "/usr/local/etc/archiver/archiver.toml"
    if sys.platform.startswith("freebsd")
    else "/etc/archiver/archiver.toml"
)


class LazyGroup(click.Group):
    """A group whose commands are found by name, and imported only when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the verbs, none of which is imported for this, and the options."""
        verbs = [
            CompletionItem(name, help=help_)
            for name, (_, help_) in VERBS.items()
            if name.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl([(name, help_) for name, (_, help_) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "config_path",
    envvar="ARCHIVER_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file.",
)
@click.option("--store", metavar="URL|DIR", help="Read this store alone, without a configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but failures.")
@click.option("-v", "--verbose", count=True, help="Print more; after a bug, also the traceback.")
@click.option("--no-color", is_flag=True, help="No colours (as with NO_COLOR set).")
@click.option("--no-progress", is_flag=True, help="No progress bars.")
# Used by the jobs of the service: see service/child.py.
@click.option("--config-on-stdin", is_flag=True, hidden=True)
@click.version_option(__version__, prog_name="archiver")
@click.pass_context
def cli(
    context: click.Context,
    config_path: str,
    store: str | None,
    as_json: bool,
    quiet: bool,
    verbose: int,
    no_color: bool,
    no_progress: bool,
    config_on_stdin: bool,
) -> None:
    """Every line your mail server logged: in exactly one archive, found in a second."""
    context.obj.color = context.obj.color and not no_color
    context.color = None if context.obj.color else False
    context.obj.config_path = Path(config_path)
    context.obj.store = store
    context.obj.quiet = quiet
    context.obj.verbose = verbose
    context.obj.json = as_json
    context.obj.progress = not no_progress
    if config_on_stdin:
        context.obj.config_text = sys.stdin.buffer.read().decode()


def main() -> None:
    """Run the command line, and end the process with its exit status."""
    # An answer is made of many small objects that live to its end. To look for cycles among them
    # after each 700 new ones takes a tenth of the time.
    gc.set_threshold(100_000)
    open_closed_streams()
    invocation = Invocation(Path(DEFAULT_CONFIG))
    if asked := os.environ.get("_ARCHIVER_COMPLETE"):
        from archiver.cli.completion import complete  # noqa: PLC0415 (only a shell asks for it)

        complete(cli, invocation, asked)
        sys.exit(0)
    signal.signal(signal.SIGTERM, partial(_terminate, invocation))
    # --json is looked for here, too: a usage error comes before click has parsed it. What follows
    # `--` is a name, not an option.
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    try:
        status = cli.main(prog_name="archiver", standalone_mode=False, obj=invocation)
    except Exception as error:  # noqa: BLE001 (the last resort)
        if invocation.verbose:
            traceback.print_exc()
        invocation.json = invocation.json or "--json" in words
        failure = failure_of(error)
        status = report(invocation, failure)
    except KeyboardInterrupt:
        failure = InterruptedRunError(
            "interrupted", hint="nothing is lost; run it again: it goes on from here"
        )
        status = report(invocation, failure)
    # A failure to write was reported above; the interpreter must not try again at exit.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)


def report(invocation: Invocation, failure: ArchiverError) -> int:
    """Print a failure, if stdout or stderr can still be written to; return its exit status."""
    with suppress(OSError):
        print_answer(invocation, Answer(failures=[failure]))
    return failure.exit_status


def open_closed_streams() -> None:
    """Open /dev/null where stdout or stderr is missing: a daemon's child may have none (`>&-`)."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def failure_of(error: Exception) -> ArchiverError:
    """Return the ArchiverError that says what an exception means to an operator."""
    if isinstance(error, ArchiverError):
        return error
    if isinstance(error, click.Abort):
        return InterruptedRunError("interrupted", hint="nothing is lost; run it again to go on")
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "archiver"
        return UsageError(error.format_message(), hint=f"{path} --help")
    if isinstance(error, OSError):
        return from_os_error(error, "working")
    return ArchiverError(
        f"unexpected: {type(error).__name__}: {error}",
        hint="this is a bug in archiver; nothing was deleted. Please report it, with what the same "
        "command prints after `archiver -v`",
    )


def _terminate(invocation: Invocation, _signal: int, _frame: FrameType | None) -> None:
    """End at once; a job of the service after the step at work, or at once if asked twice."""
    if invocation.config_text is None or invocation.stopping:
        raise KeyboardInterrupt
    invocation.stopping = True
