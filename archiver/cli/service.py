"""`archiver service`: write the files that make it a service of the system, or remove them."""

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

# ProtectHome= hides them from the service; pipx installs there by default.
HOMES = ("/root", "/home", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (not used, refused)


@click.group(short_help="Install it as a service (systemd, rc.d), or remove it.")
def service() -> None:
    """Files for systemd or rc(8). A file that was edited is neither replaced nor removed."""


def _kind_and_root(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which files are meant, and below which root."""
    options = (
        click.option("--systemd", "kind", flag_value="systemd", help="A service under systemd."),
        click.option(
            "--timer", "kind", flag_value="timer", help="A timer under systemd, without a service."
        ),
        click.option("--rcd", "kind", flag_value="rcd", help="An rc(8) service, for FreeBSD."),
        click.option(
            "--root",
            metavar="DIR",
            default="/",
            type=click.Path(path_type=Path),
            help="Use this directory as if it were /.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@service.command(short_help="Write the files of the service where the system looks for them.")
@_kind_and_root
@click.option("--print", "only_print", is_flag=True, help="Print the files; write nothing.")
@click.option(
    "--program", metavar="PATH", help="The archiver to run, by full path. Default: this one."
)
@verb
def install(
    invocation: Invocation, kind: str | None, root: Path, only_print: bool, program: str | None
) -> Answer:
    """Write the units, or the rc.d script, for this program and the configuration of -c.

    Starts nothing: it prints the commands to run next.
    """
    chosen = KINDS[kind or _usual_kind()]
    # Without -c: the usual path on the system that the files are for.
    given_by = click.get_current_context().find_root().get_parameter_source("config_path")
    is_given = given_by is not None and given_by.name != "DEFAULT"
    config = str(invocation.config_path.absolute()) if is_given else chosen.config
    texts = chosen.texts(_program(program, chosen), _plain_path(config))
    if only_print:
        shown = [f"# {file.path}\n{text}" for file, text in texts]
        data = [{"path": file.path, "text": text} for file, text in texts]
        return Answer(data={"kind": chosen.name, "files": data}, text="\n".join(shown).rstrip("\n"))
    _refuse_edited(root, chosen.files, "replaced")
    placed = [(file, place(root, file), text) for file, text in texts]
    done = [(path, _write(path, text, file.mode)) for file, path, text in placed]
    return _answer(chosen, done, chosen.begin)


@service.command(short_help="Remove the files that `service install` has written.")
@_kind_and_root
@verb
def uninstall(_invocation: Invocation, kind: str | None, root: Path) -> Answer:
    """Remove these files, unless they were edited. Configuration, state and archives stay.

    Refused while a unit is enabled: disable it first, with --now, which also stops it.
    """
    chosen = KINDS[kind or _usual_kind()]
    needed = {
        file
        for other in KINDS.values()
        if other is not chosen and place(root, other.files[-1]).exists()
        for file in other.files
    }
    files = [file for file in chosen.files if file not in needed]
    _refuse_edited(root, files, "removed")
    for file in files:
        name = Path(file.path).name
        wants = list(place(root, file).parent.glob(f"*.wants/{name}"))
        if wants:
            raise UsageError(
                f"{name} is still enabled ({wants[0]}); nothing was removed",
                hint=f"systemctl disable --now {name}",
            )
    done = []
    for file in files:
        path = place(root, file)
        if path.exists():
            with explained(f"removing {path}"):
                remove(path)
                fsync_directory(path.parent)
            done.append((path, "removed"))
    return _answer(chosen, done, chosen.end if done else ())


def _usual_kind() -> str:
    return "rcd" if sys.platform.startswith("freebsd") else "systemd"


def _program(given: str | None, kind: Kind) -> str:
    """Return the path of the program that the service is to start."""
    if given:
        return _plain_path(given)
    called = Path(sys.argv[0])
    usual = called if called.name == "archiver" else Path(sys.executable).with_name("archiver")
    path = usual if usual.exists() else Path(shutil.which("archiver") or usual)
    path = path.absolute()
    if not os.access(path, os.X_OK):
        raise UsageError(f"{path} is not a program", hint="name the archiver with --program PATH")
    for needed in (str(path), os.path.realpath(path), sys.prefix):
        if kind.name != "rcd" and needed.startswith(tuple(f"{home}/" for home in HOMES)):
            raise UsageError(
                f"{needed} is in a directory that the service cannot see",
                hint="install archiver elsewhere (pipx: PIPX_HOME=/opt/pipx "
                "PIPX_BIN_DIR=/usr/local/bin), or name another with --program PATH",
            )
    return _plain_path(str(path))


def _plain_path(path: str) -> str:
    """Return the path. Raises: UsageError: systemd and the shell might read it differently."""
    if not re.fullmatch(r"/[\w@+.,/-]+", path):
        raise UsageError(
            f"{path!r} cannot be written into a unit",
            hint="use a full path of letters, digits and _ @ + . , - without blanks",
        )
    return path


def _refuse_edited(root: Path, files: Sequence[Shipped], what: str) -> None:
    """Check all files before anything is done. Raises: UsageError: one is not as written."""
    edited = []
    for file in files:
        path = place(root, file)
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
            hint="move it away and try again; change units with `systemctl edit`, "
            "and the rc.d script through rc.conf",
        )


def _write(path: Path, text: str, mode: int) -> str:
    with explained(f"writing {path}"):
        before = path.read_bytes() if path.exists() else None
        if before == text.encode() and path.stat().st_mode & 0o777 == mode:
            return "unchanged"
        make_directory(path.parent, 0o755)
        write_whole(path, text.encode(), mode)
        path.chmod(mode)  # the umask may have taken bits away
    return "written" if before is None else "replaced"


def _answer(kind: Kind, done: list[tuple[Path, str]], following: Sequence[str]) -> Answer:
    lines = [f"{what}: {path}" for path, what in done] or ["nothing is installed"]
    if following:
        lines += ["now run:", *(f"  {command}" for command in following)]
    files = [{"path": str(path), "done": what} for path, what in done]
    return Answer(
        data={"kind": kind.name, "files": files, "next": list(following)}, text="\n".join(lines)
    )
