"""`archiver completion`, and what a shell gets that asks how a line may go on.

The shell's function calls `archiver` itself with COMPLETE in its environment. It is asked at each
press of TAB: so no verb is imported but the one on the line, nothing is asked of a store, and
whatever goes wrong is no answer, never a message in the middle of what is being typed.
"""

import os
import tomllib
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from archiver.cli.answer import Answer, Invocation, verb

COMPLETE = "_ARCHIVER_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print what makes a shell complete verbs, options and names.")
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@verb
def completion(_invocation: Invocation, shell: str) -> Answer:
    """Print the script that makes a shell complete verbs, options, and names of the configuration.

    The shell reads it at its start: `source <(archiver completion bash)` in ~/.bashrc or ~/.zshrc.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 (click knows these three)
    # Not its source(), which runs bash to see how old it is.
    asked = kind(click.Command("archiver"), {}, "archiver", COMPLETE)
    script = asked.source_template % asked.source_vars()
    return Answer(data={"shell": shell, "script": script}, text=script.rstrip("\n"))


def complete(command: click.Command, invocation: Invocation, asked: str) -> None:
    """Print how the line in COMP_WORDS may go on, as the script of `asked` wants it."""
    try:
        kind = get_completion_class(asked.removesuffix("_complete"))
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
            if kind is not None:
                told = kind(command, {"obj": invocation}, "archiver", COMPLETE).complete()
                click.echo(told)
    except (Exception, SystemExit):  # noqa: BLE001 (half a line is mostly wrong)
        return


# -- names ---------------------------------------------------------------------------------


def sources(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of the configured sources, for `shell_complete=`."""
    return _beginning(begun, (each["name"] for each in _configured(context)["source"]))


def targets(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of the configured stores."""
    return _beginning(begun, _configured(context)["storage"]["target"])


def cases(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Cases with a hold in force, by the catalog here: no store is asked."""
    from archiver.config.settings import load  # noqa: PLC0415
    from archiver.retention.gather import inventory_of  # noqa: PLC0415
    from archiver.stores.catch_up import readable  # noqa: PLC0415 (other verbs need none of it)

    config = load(_file(context))
    if not config.host.catalog.exists():
        return []
    with readable(config.host.catalog, config.host.name, (), []) as catalog:
        holds = inventory_of(config, catalog, now=context.find_root().obj.now).holds
    return _beginning(begun, sorted({each.case for each in holds if each.released is None}))


def _file(context: click.Context) -> Path:
    return Path(context.find_root().params["config_path"])


def _configured(context: click.Context) -> dict[str, Any]:
    """What the file says, right or not: it may be just about to be corrected."""
    return tomllib.loads(_file(context).read_text("utf-8"))


def _beginning(begun: str, names: Any) -> list[str]:  # noqa: ANN401 (whatever a file holds)
    return [name for name in names if isinstance(name, str) and name.startswith(begun)]
