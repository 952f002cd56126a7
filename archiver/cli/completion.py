"""`archiver completion`, and the answers to a shell that asks how a line may go on.

The shell's function calls `archiver` itself at each press of TAB, with COMPLETE in its environment.
So only the verb on the line is imported, no store is asked, and whatever goes wrong gives no answer
rather than a message in the middle of what is being typed.
"""

import os
import tomllib
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from archiver.cli.answer import Answer, Invocation, verb
from archiver.errors import Problems

COMPLETE = "_ARCHIVER_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print shell completion for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@verb
def completion(_invocation: Invocation, shell: str) -> Answer:
    """Print a script that makes a shell complete verbs, options, and names of the configuration.

    Let the shell read it when it starts: put `source <(archiver completion bash)` into ~/.bashrc,
    or the same with `zsh` into ~/.zshrc.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 (click has these three)
    # Not kind.source(): that runs bash to find out its version.
    shell_complete = kind(click.Command("archiver"), {}, "archiver", COMPLETE)
    script = shell_complete.source_template % shell_complete.source_vars()
    return Answer(data={"shell": shell, "script": script}, text=script.rstrip("\n"))


def complete(command: click.Command, invocation: Invocation, instruction: str) -> None:
    """Print how the line in COMP_WORDS may go on, in the form that the shell's script wants.

    instruction: such as "bash_complete", from COMPLETE.
    """
    try:
        kind = get_completion_class(instruction.removesuffix("_complete"))
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
            if kind is not None:
                words = kind(command, {"obj": invocation}, "archiver", COMPLETE).complete()
                click.echo(words)
    except (Exception, SystemExit):  # noqa: BLE001 (half a line is mostly an error)
        return


# -- names ---------------------------------------------------------------------------------


def sources(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the configured sources, for `shell_complete=`."""
    return _beginning_with(begun, (each["name"] for each in _configured(context)["source"]))


def targets(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the configured stores."""
    return _beginning_with(begun, _configured(context)["storage"]["target"])


def cases(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the cases that have a hold in force, by the local catalog: no store is asked."""
    from archiver.config.settings import load  # noqa: PLC0415
    from archiver.retention.gather import inventory_of  # noqa: PLC0415
    from archiver.stores.catch_up import readable  # noqa: PLC0415 (other verbs do not need it)

    config = load(_file(context))
    if not config.host.catalog.exists():
        return []
    with readable(config.host.catalog, config.host.name, (), Problems()) as catalog:
        holds = inventory_of(config, catalog, now=context.find_root().obj.now).holds
    return _beginning_with(begun, sorted({each.case for each in holds if each.released is None}))


def _file(context: click.Context) -> Path:
    return Path(context.find_root().params["config_path"])


def _configured(context: click.Context) -> dict[str, Any]:
    """Return the file's TOML unchecked: it may be half edited."""
    return tomllib.loads(_file(context).read_text("utf-8"))


def _beginning_with(begun: str, names: Any) -> list[str]:  # noqa: ANN401 (whatever a file holds)
    return [name for name in names if isinstance(name, str) and name.startswith(begun)]
