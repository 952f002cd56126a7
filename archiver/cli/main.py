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
from archiver.cli.answer import Answer, Invocation, give
from archiver.errors import ArchiverError, InterruptedRunError, UsageError, from_os_error

VERBS = {
    "run": ("archiver.cli.run:run", "Rotate, archive and copy what is due."),
    "serve": ("archiver.cli.serve:serve", "Be the service that runs each night by itself."),
    "fetch": ("archiver.cli.fetch:fetch", "Give back lines: by date, by a key, by their text."),
    "list": ("archiver.cli.list_:list_archives", "What is archived, and where."),
    "status": ("archiver.cli.status:status", "Whether all is well, for people and monitoring."),
    "import": ("archiver.cli.import_:import_files", "Adopt logs that others rotated."),
    "sync": ("archiver.cli.sync:sync", "Bring every store what it lacks."),
    "repair": ("archiver.cli.sync:repair", "Read every copy back; replace what is damaged."),
    "retention": ("archiver.cli.retention:retention", "How long archives are kept, and why."),
    "hold": ("archiver.cli.hold:hold", "Keep archives for a case, whatever the rules say."),
    "store": ("archiver.cli.store:store", "Check what a store really enforces."),
    "doctor": (
        "archiver.cli.doctor:doctor",
        "What would go wrong tonight, and what to do about it.",
    ),
    "catalog": ("archiver.cli.catalog:catalog", "Rebuild the catalog from the stores."),
    "notify": ("archiver.cli.notify:notify_", "Try whether anybody would be told."),
    "config": ("archiver.cli.config:config", "Write, check and show the configuration."),
    "service": ("archiver.cli.service:service", "Let the system run it: systemd, timer, rc.d."),
    "completion": (
        "archiver.cli.completion:completion",
        "Let a shell complete verbs, options and names.",
    ),
    "demo": ("archiver.cli.demo:demo", "See it work: 30 days, a live log, a flipped byte."),
}
DEFAULT_CONFIG = (
    "/usr/local/etc/archiver/archiver.toml"
    if sys.platform.startswith("freebsd")
    else "/etc/archiver/archiver.toml"
)


class LazyGroup(click.Group):
    """A group whose commands are found by name, and imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The verbs, none of which is imported for it, and the options."""
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
@click.option("--store", metavar="URL|DIR", help="Read this store, without a configuration.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but failures.")
@click.option("-v", "--verbose", count=True, help="Say more; a failure of ours with its traceback.")
@click.option("--no-color", is_flag=True, help="No colours (as with NO_COLOR set).")
@click.option("--no-progress", is_flag=True, help="No progress bars.")
@click.option("--config-on-stdin", is_flag=True, hidden=True)  # a job of the service: `child.py`
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
    """Run the command line, and end the process with the exit status of what happened."""
    # An answer is made of many small things that live to its end: to look through them for cycles
    # each time there are 700 more takes a tenth of the time.
    gc.set_threshold(100_000)
    open_closed_streams()
    invocation = Invocation(Path(DEFAULT_CONFIG))
    if asked := os.environ.get("_ARCHIVER_COMPLETE"):
        from archiver.cli.completion import complete  # noqa: PLC0415 (a shell asks for it alone)

        complete(cli, invocation, asked)
        sys.exit(0)
    signal.signal(signal.SIGTERM, partial(_terminate, invocation))
    # Options after `--` are names; and a usage error comes before click has parsed --json.
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    try:
        status = cli.main(prog_name="archiver", standalone_mode=False, obj=invocation)
    except Exception as error:  # noqa: BLE001 (the last resort: a traceback is a bug)
        if invocation.verbose:
            traceback.print_exc()
        invocation.json = invocation.json or "--json" in words
        failure = explain(error)
        status = say(invocation, failure)
    except KeyboardInterrupt:
        failure = InterruptedRunError(
            "interrupted", hint="nothing is lost; the next run goes on from here"
        )
        status = say(invocation, failure)
    # What could not be written is told above; at exit it must not be tried again.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)


def say(invocation: Invocation, failure: ArchiverError) -> int:
    """Tell of a failure, if there is still somewhere to tell it, and return its exit status."""
    with suppress(OSError):
        give(invocation, Answer(failures=[failure]))
    return failure.exit_status


def open_closed_streams() -> None:
    """A daemon's child may have none (`>&-`); then what is said goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def explain(error: Exception) -> ArchiverError:
    """Return the error of ours that says what an exception means to an operator."""
    if isinstance(error, ArchiverError):
        return error
    if isinstance(error, click.Abort):
        return InterruptedRunError("interrupted", hint="nothing is lost; run again to go on")
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "archiver"
        return UsageError(error.format_message(), hint=f"{path} --help")
    if isinstance(error, OSError):
        return from_os_error(error, "working")
    return ArchiverError(
        f"unexpected: {type(error).__name__}: {error}",
        hint="this is a mistake in archiver; nothing was deleted. Please report it with what "
        "`archiver -v` prints for the same command",
    )


def _terminate(invocation: Invocation, _signal: int, _frame: FrameType | None) -> None:
    """End; a job of the service after the step that it is making, unless it is told twice."""
    if invocation.config_text is None or invocation.stopping:
        raise KeyboardInterrupt
    invocation.stopping = True
