"""`archiver service`: put the files there that make it part of a system, and take them away."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.errors import UsageError, explained
from archiver.setup.units import KINDS, Kind, Shipped, is_ours, place
from archiver.system.files import fsync_directory, make_directory, remove, write_whole

# Of the service ProtectHome= hides them; pipx installs there unless told otherwise.
HOMES = ("/root", "/home", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (not used, refused)


@click.group(short_help="Install what lets the system run it, or take that away.")
def service() -> None:
    """Files for systemd or rc(8). One that somebody has edited is neither replaced nor removed."""


def _kinds(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--systemd", "kind", flag_value="systemd", help="A service under systemd."),
        click.option("--timer", "kind", flag_value="timer", help="A timer under systemd instead."),
        click.option("--rcd", "kind", flag_value="rcd", help="An rc(8) service, for FreeBSD."),
        click.option(
            "--root",
            metavar="DIR",
            default="/",
            type=click.Path(path_type=Path),
            help="Below this directory, as if it were /.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@service.command(short_help="Put the files of the service where the system looks for them.")
@_kinds
@click.option("--print", "only_print", is_flag=True, help="Print them instead; write nothing.")
@click.option("--program", metavar="PATH", help="The archiver to be run. Default: this one.")
@verb
def install(
    invocation: Invocation, kind: str | None, root: Path, only_print: bool, program: str | None
) -> Answer:
    """Write the units, or the rc.d script, with this program and the configuration of -c in them.

    Starts nothing: the commands to give next are printed.
    """
    chosen = KINDS[kind or _usual()]
    # The usual path of the system that it is for, unless another one was named.
    named = click.get_current_context().find_root().get_parameter_source("config_path")
    asked = named is not None and named.name != "DEFAULT"
    config = str(invocation.config_path.absolute()) if asked else chosen.config
    texts = chosen.texts(_program(program, chosen), _plain(config))
    if only_print:
        shown = [f"# {each.path}\n{text}" for each, text in texts]
        data = [{"path": each.path, "text": text} for each, text in texts]
        return Answer(data={"kind": chosen.name, "files": data}, text="\n".join(shown).rstrip("\n"))
    _refuse_edited(root, chosen.files, "replaced")
    said = [(path, _write(path, text, each.mode)) for each, path, text in _placed(root, texts)]
    return _answer(chosen, said, chosen.begin)


@service.command(short_help="Remove the files that `service install` has written.")
@_kinds
@verb
def uninstall(_invocation: Invocation, kind: str | None, root: Path) -> Answer:
    """Remove them, if they are as they were written. Configuration, state and archives stay.

    Refused while a unit is enabled: disable it first, which also stops it.
    """
    chosen = KINDS[kind or _usual()]
    needed = {
        each
        for other in KINDS.values()
        if other is not chosen and place(root, other.files[-1]).exists()
        for each in other.files
    }
    files = [each for each in chosen.files if each not in needed]
    _refuse_edited(root, files, "removed")
    for each in files:
        wants = list(place(root, each).parent.glob(f"*.wants/{Path(each.path).name}"))
        if wants:
            name = Path(each.path).name
            raise UsageError(
                f"{name} is still enabled ({wants[0]}); nothing was removed",
                hint=f"systemctl disable --now {name}",
            )
    said = []
    for each in files:
        path = place(root, each)
        if path.exists():
            with explained(f"removing {path}"):
                remove(path)
                fsync_directory(path.parent)
            said.append((path, "removed"))
    return _answer(chosen, said, chosen.end if said else ())


def _usual() -> str:
    return "rcd" if sys.platform.startswith("freebsd") else "systemd"


def _program(asked: str | None, kind: Kind) -> str:
    """Return the path of the program that the service is to start."""
    if asked:
        return _plain(asked)
    called = Path(sys.argv[0])
    usual = called if called.name == "archiver" else Path(sys.executable).with_name("archiver")
    path = usual if usual.exists() else Path(shutil.which("archiver") or usual)
    path = path.absolute()
    if not os.access(path, os.X_OK):
        raise UsageError(f"there is no program {path}", hint="name it with --program PATH")
    for each in (str(path), os.path.realpath(path), sys.prefix):
        if kind.name != "rcd" and each.startswith(tuple(f"{home}/" for home in HOMES)):
            raise UsageError(
                f"{each} lies where the service may not look",
                hint="install it elsewhere (pipx: PIPX_HOME=/opt/pipx "
                "PIPX_BIN_DIR=/usr/local/bin), or name another with --program PATH",
            )
    return _plain(str(path))


def _plain(path: str) -> str:
    """Refuse what systemd and the shell would each read in their own way."""
    if not re.fullmatch(r"/[\w@+.,/-]+", path):
        raise UsageError(
            f"{path!r} cannot stand in a unit",
            hint="a full path of letters, digits and _ @ + . , - without blanks",
        )
    return path


def _placed(root: Path, texts: Sequence[tuple[Shipped, str]]) -> list[tuple[Shipped, Path, str]]:
    return [(each, place(root, each), text) for each, text in texts]


def _refuse_edited(root: Path, files: Sequence[Shipped], what: str) -> None:
    """Look at all of them before anything is done."""
    edited = []
    for each in files:
        path = place(root, each)
        with explained(f"reading {path}"):
            if not os.path.lexists(path):
                continue
            plain = path.is_file() and not path.is_symlink()
            if not (plain and is_ours(path.read_bytes())):
                edited.append(path)
    if edited:
        names = ", ".join(map(str, edited))
        raise UsageError(
            f"{names}: edited, or not written by this command; nothing was {what}",
            hint="move it away and try again; changes to units belong into `systemctl edit`, "
            "to the rc.d script into rc.conf",
        )


def _write(path: Path, text: str, mode: int) -> str:
    with explained(f"writing {path}"):
        before = path.read_bytes() if path.exists() else None
        if before == text.encode() and path.stat().st_mode & 0o777 == mode:
            return "unchanged"
        make_directory(path.parent, 0o755)
        write_whole(path, text.encode(), mode)
        path.chmod(mode)  # whatever the umask
    return "written" if before is None else "replaced"


def _answer(kind: Kind, said: list[tuple[Path, str]], following: Sequence[str]) -> Answer:
    lines = [f"{what}: {path}" for path, what in said] or ["nothing is installed"]
    if following:
        lines += ["now:", *(f"  {command}" for command in following)]
    files = [{"path": str(path), "done": what} for path, what in said]
    return Answer(
        data={"kind": kind.name, "files": files, "next": list(following)}, text="\n".join(lines)
    )
