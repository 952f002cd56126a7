"""`archiver config`."""

import dataclasses
import importlib.resources
import json
from datetime import date, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.errors import NotFoundError, SyslogDoubtError, UsageError, explained
from archiver.policy.period import Period
from archiver.setup.syslogconf import SyslogConfig, doubts, fitted, look
from archiver.system.files import create_whole, make_directory


@click.group(short_help="Write, check and show the configuration.")
def config() -> None:
    """The configuration file is named by `archiver -c FILE`."""


@config.command(short_help="Write a commented configuration that fits this system.")
@click.option("--plain", is_flag=True, help="Look at nothing: write the default one.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default="/",
    help="Look at the system that lies below this directory. Default: /",
)
@verb
def init(invocation: Invocation, *, plain: bool, root: Path) -> Answer:
    """Write a commented configuration to the file of -c, which must not exist yet.

    Where mail is logged, and how its writer is told to reopen its log, is read from the
    configuration of rsyslog or syslogd.
    """
    path = invocation.config_path
    text = importlib.resources.files("archiver.config").joinpath("default.toml").read_text("utf-8")
    if not root.is_dir():
        raise NotFoundError(f"{root} is no directory", hint="name the root of a system")
    reading = None if plain else look(root)
    found = () if reading is None else doubts(reading, ())
    if reading is not None:
        text = fitted(text, reading)
    with explained(f"writing {path}"):
        make_directory(path.absolute().parent, 0o755)
        try:
            create_whole(path, text.encode(), 0o644)
        except FileExistsError as error:
            raise UsageError(
                f"{path} exists already", hint="name another file with -c, or edit that one"
            ) from error
    return Answer(
        data={"path": str(path), **(_told(reading) if reading else {})},
        text=f"wrote {path}; edit it, then: archiver -c {path} config validate",
        failures=[SyslogDoubtError(each.sentence, hint=each.remedy) for each in found],
        exit_status=0,
    )


def _told(reading: SyslogConfig) -> dict[str, Any]:
    return {
        "syslogd": reading.daemon or None,
        "read": list(reading.files),
        "logs": [log.path for log in reading.mail_logs],
        "reopen": reading.reopen or None,
    }


@config.command(short_help="Check the configuration; name every problem.")
@verb
def validate(invocation: Invocation) -> Answer:
    """Check the file of -c. Every problem is named at once, with file and line."""
    loaded = invocation.config()
    sources = [source.name for source in loaded.sources]
    told = loaded.retention.in_words(loaded.host.name, sources)
    return Answer(
        data={"path": str(loaded.path), "sources": sources, "retention": list(told)},
        text=("\n" if loaded.retention.rules else "; ").join((f"{loaded.path}: ok", *told)),
    )


@config.command(short_help="Show what is in force, defaults included.")
@verb
def show(invocation: Invocation) -> Answer:
    """Show every setting in force, defaults and absolute paths included."""
    loaded = invocation.config()
    settings = _plain(loaded)
    return Answer(data=settings, text="\n".join(_lines("", settings)))


def _plain(value: Any) -> Any:  # noqa: ANN401 (whatever a configuration holds)
    if isinstance(value, (Path, Period, date, time)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.key if isinstance(value, ZoneInfo) else value


def _lines(name: str, value: Any) -> list[str]:  # noqa: ANN401
    if isinstance(value, dict):
        return [
            line
            for key, item in value.items()
            for line in _lines(f"{name}.{key}" if name else key, item)
        ]
    if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
        return [f"{name} = {json.dumps(value)}"]
    if isinstance(value, list):
        return [line for n, item in enumerate(value) for line in _lines(f"{name}[{n}]", item)]
    if name.endswith(".mode") and value is not None:
        return [f"{name} = 0o{value:o}"]
    unset = "(as the log has it)" if name.startswith("sources") else "(none)"
    return [f"{name} = {unset if value is None else value}"]
