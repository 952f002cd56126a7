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
    """These work on the file that `archiver -c FILE` names."""


@config.command(short_help="Write a commented configuration that fits this system.")
@click.option("--plain", is_flag=True, help="Write the default, without looking at this system.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default="/",
    help="Look at the system below this directory, such as a jail. Default: /",
)
@verb
def init(invocation: Invocation, *, plain: bool, root: Path) -> Answer:
    """Write a commented configuration to the file of -c, which must not exist yet.

    Where mail is logged, and how the log's writer is made to reopen it, is read from the
    configuration of rsyslog or syslogd.
    """
    path = invocation.config_path
    text = importlib.resources.files("archiver.config").joinpath("default.toml").read_text("utf-8")
    if not root.is_dir():
        raise NotFoundError(f"{root} is not a directory", hint="--root DIR, the root of a system")
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
                f"{path} exists already", hint="edit it, or name another file with -c"
            ) from error
    return Answer(
        data={"path": str(path), **(_reading_data(reading) if reading else {})},
        text=f"wrote {path}; edit it, then run: archiver -c {path} config validate",
        failures=[SyslogDoubtError(doubt.sentence, hint=doubt.remedy) for doubt in found],
        exit_status=0,
    )


def _reading_data(reading: SyslogConfig) -> dict[str, Any]:
    return {
        "syslogd": reading.daemon or None,
        "read": list(reading.files),
        "logs": [log.path for log in reading.mail_logs],
        "reopen": reading.reopen or None,
    }


@config.command(short_help="Check the configuration, and list every problem.")
@verb
def validate(invocation: Invocation) -> Answer:
    """Check the file of -c. All problems are listed at once, each with its line."""
    loaded = invocation.config()
    sources = [source.name for source in loaded.sources]
    rules = loaded.retention.in_words(loaded.host.name, sources)
    return Answer(
        data={"path": str(loaded.path), "sources": sources, "retention": list(rules)},
        text=("\n" if loaded.retention.rules else "; ").join((f"{loaded.path}: ok", *rules)),
    )


@config.command(short_help="Show every setting in force, defaults included.")
@verb
def show(invocation: Invocation) -> Answer:
    """Show every setting in force, defaults and absolute paths included."""
    settings = _as_json(invocation.config())
    return Answer(data=settings, text="\n".join(_lines("", settings)))


def _as_json(value: Any) -> Any:  # noqa: ANN401 (whatever a configuration holds)
    if isinstance(value, (Path, Period, date, time)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
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
