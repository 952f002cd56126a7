"""The configuration: TOML in, frozen dataclasses out, every problem at once.

Relative paths are relative to the configuration file. Unknown keys are errors, because
a misspelt `max_size` that is silently ignored is found only when the disk is full.
"""

import difflib
import shlex
import socket
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from archiver.config.retention import read_policy
from archiver.config.schedule import Every, Schedule
from archiver.config.targets import S3Target, Target, read_target
from archiver.config.telling import (
    Hooks,
    Log,
    Metrics,
    Notify,
    read_hooks,
    read_log,
    read_metrics,
    read_notify,
)
from archiver.config.toml_lines import lines_of_keys
from archiver.config.toml_tables import (
    Table,
    TomlReader,
    clock,
    duration_in_seconds,
    share,
    size_in_bytes,
)
from archiver.errors import ConfigError
from archiver.maillog.kinds import KINDS
from archiver.policy.conflicts import Lock
from archiver.policy.rules import Policy
from archiver.system.zone import DAY_SECONDS, zone_named

SCHEMA = 1
REOPEN_KINDS = ("pidfile", "systemctl", "command", "none")
COEXIST = ("refuse", "adopt")


@dataclass(frozen=True)
class Host:
    name: str
    zone: ZoneInfo
    state_dir: Path
    spool_dir: Path

    @property
    def catalog(self) -> Path:
        return self.state_dir / "catalog.sqlite3"

    @property
    def work_dir(self) -> Path:
        """Where indexes are made that are not made together with their archive."""
        return self.state_dir / "indexing"


@dataclass(frozen=True)
class Reopen:
    """How the log's writer is told to open its log anew: a kind of REOPEN_KINDS, its argument."""

    kind: str
    argument: str = ""


@dataclass(frozen=True)
class Source:
    """One log. mode, owner, group: of the new log; None: as the old one. Sizes in bytes.

    reopen_timeout: seconds. coexist: what to do if another rotator rotates it, too: "refuse", or
    "adopt" the files that it leaves.
    """

    name: str
    path: Path
    reopen: Reopen
    reopen_timeout: float = 30.0
    mode: int | None = None
    owner: str | None = None
    group: str | None = None
    min_size: int = 0
    max_size: int = 0
    coexist: str = COEXIST[0]


@dataclass(frozen=True)
class Compress:
    level: int = 10
    frame_size: int = 4 * 2**20


@dataclass(frozen=True)
class Index:
    """The kinds of keys that archives are indexed by; none: no index. See `maillog.kinds.KINDS`."""

    keys: tuple[str, ...] = ("message_id", "queue_id", "qp", "address", "domain", "user", "ip")


@dataclass(frozen=True)
class Storage:
    targets: tuple[Target, ...]
    required: int


@dataclass(frozen=True)
class Config:
    path: Path
    host: Host
    sources: tuple[Source, ...]
    compress: Compress
    index: Index
    storage: Storage
    retention: Policy = field(default_factory=Policy)
    schedule: Schedule = field(default_factory=Schedule)
    notify: Notify = field(default_factory=Notify)
    hooks: Hooks = field(default_factory=Hooks)
    metrics: Metrics = field(default_factory=Metrics)
    log: Log = field(default_factory=Log)


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Raises: ConfigError: it cannot be read, or has problems: the message names each
    with file and line.
    """
    return parse(text_of(path), path)


def text_of(path: Path) -> str:
    """Return the text of a configuration file. Raises: ConfigError: it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"no configuration at {path}",
            hint=f"write one with `archiver -c {path} config init`",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}",
            hint="check that it is a file in UTF-8 that you may read",
        ) from error


def parse(text: str, path: Path) -> Config:
    """Check the text of a configuration file at `path`. Raises: ConfigError, as `load` does."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{path}: not TOML: {reason}", hint="mend that line") from error
    reader = _Document(lines_of_keys(text), path.absolute().parent)
    config = reader.config(document, path)
    if reader.problems or config is None:
        problems = sorted(reader.problems, key=lambda problem: problem.line)
        raise ConfigError(
            "\n".join(f"{path}:{problem.line}: {problem.message}" for problem in problems),
            hint=f"mend {'that line' if len(problems) == 1 else 'those lines'}, "
            f"then check with `archiver -c {path} config validate`",
        )
    return config


class _Document(TomlReader):
    """The whole configuration, table by table."""

    def config(self, document: dict[str, Any], path: Path) -> Config | None:
        top = Table(self, (), document)
        schema = top.take("schema", int, None)
        if schema != SCHEMA:
            self.problem(("schema",), f"`schema = {SCHEMA}` is needed, not {schema!r}")
        host = self.host(top.table("host"))
        sources = tuple(self.source(table) for table in top.tables("source"))
        if document.get("source") == []:
            top.problem("source", "there is no [[source]]: nothing would be rotated")
        for key in ("name", "path"):
            values = [getattr(source, key) for source in sources]
            for number, value in enumerate(values):
                if value in values[:number]:
                    self.problem(("source", number, key), f"two sources with {key} {str(value)!r}")
        named = not self.problems
        compress = self.compress(top.table("compress", optional=True))
        index = self.index(top.table("index", optional=True))
        storage = self.storage(top.table("storage"))
        schedule = self.schedule(top.table("schedule", optional=True))
        retention = read_policy(
            top.table("retention", optional=True),
            host=host.name,
            sources=[source.name for source in sources],
            named=named,
            locks=self.locks(storage),
        )
        notify = read_notify(top.table("notify", optional=True))
        hooks = read_hooks(top.table("hooks", optional=True))
        metrics = read_metrics(top.table("metrics", optional=True))
        log = read_log(top.table("log", optional=True))
        top.finish()
        if self.problems:
            return None
        return Config(
            path=path.absolute(),
            host=host,
            sources=sources,
            compress=compress,
            index=index,
            storage=storage,
            retention=retention,
            schedule=schedule,
            notify=notify,
            hooks=hooks,
            metrics=metrics,
            log=log,
        )

    def host(self, table: Table) -> Host:
        # Only if no name is configured: while the name service is down, this would wait for it.
        name = table.name("name", None if "name" in table.rest else socket.getfqdn())
        zone = table.checked("timezone", "system", zone_named)
        state_dir = table.path("state_dir")
        spool_dir = table.path("spool_dir")
        table.finish()
        return Host(name, zone or ZoneInfo("UTC"), state_dir, spool_dir)

    def source(self, table: Table) -> Source:
        timeout = table.checked("reopen_timeout", "30s", duration_in_seconds, int)
        source = Source(
            name=table.name("name", None),
            path=table.path("path"),
            reopen=table.checked("reopen", None, self.reopen) or Reopen("none"),
            reopen_timeout=30.0 if timeout is None else timeout,
            mode=table.take("mode", int, None, optional=True),
            owner=table.take("owner", str, None, optional=True),
            group=table.take("group", str, None, optional=True),
            min_size=table.checked("min_size", "0B", size_in_bytes, int) or 0,
            max_size=table.checked("max_size", "0B", size_in_bytes, int) or 0,
            coexist=table.one_of("coexist", COEXIST),
        )
        if not 0.001 <= source.reopen_timeout <= DAY_SECONDS:
            table.problem("reopen_timeout", "reopen_timeout must lie between 1ms and 1d")
        if source.mode is not None and not 0o200 <= source.mode <= 0o777:
            table.problem("mode", f"{source.mode:#o} is not a mode for a log, such as 0o640")
        if source.max_size and source.min_size > source.max_size:
            table.problem("min_size", "min_size must not be greater than max_size")
        table.finish()
        return source

    def reopen(self, text: str) -> Reopen:
        kind, _, argument = text.partition(":")
        if "\0" in text:
            raise ValueError(f"{text!r} holds a NUL character")
        if kind not in REOPEN_KINDS or (kind == "none") != (argument == ""):
            raise ValueError(
                f"{text!r} is not pidfile:PATH, systemctl:UNIT, command:COMMAND or none"
            )
        if kind == "pidfile":
            argument = str(self.base / argument)
        if kind == "command" and not shlex.split(argument):
            raise ValueError("after command: there must be a command")
        return Reopen(kind, argument)

    def compress(self, table: Table) -> Compress:
        level = table.take("level", int, 10)
        frame_size = table.checked("frame_size", "4MiB", size_in_bytes, int) or 0
        if not 1 <= level <= 19:
            table.problem("level", f"level {level} is not between 1 and 19")
        if not 2**14 <= frame_size <= 2**23:
            table.problem("frame_size", "frame_size must lie between 16KiB and 8MiB")
        table.finish()
        return Compress(level, frame_size)

    def index(self, table: Table) -> Index:
        keys = table.take("keys", list, list(Index.keys))
        table.finish()
        for key in keys:
            if key not in KINDS:
                near = difflib.get_close_matches(str(key), KINDS, n=1)
                meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
                table.problem("keys", f"`index.keys`: {key!r} is not a kind of key; {meant}")
        return Index(tuple(kind for kind in KINDS if kind in keys))

    def schedule(self, table: Table) -> Schedule:
        usual = Schedule()
        at = table.checked("at", usual.at.isoformat(), clock)
        jitter = table.checked("jitter", "0s", duration_in_seconds, int)
        hang_after = table.checked("hang_after", "6h", duration_in_seconds, int)
        scrub = table.checked("scrub", usual.scrub.value, self.every)
        sample = table.checked("scrub_sample", "5%", share, int)
        catch_up = table.take("catch_up", bool, True)
        if jitter is not None and jitter > DAY_SECONDS / 2:
            table.problem("jitter", "jitter must be at most 12h, or nights would run into days")
        if hang_after is not None and not 1 <= hang_after <= 7 * DAY_SECONDS:
            table.problem("hang_after", "hang_after must lie between 1s and 7d")
        table.finish()
        return Schedule(
            at=at or usual.at,
            jitter=jitter or 0.0,
            catch_up=catch_up,
            scrub=scrub or usual.scrub,
            scrub_sample=sample or usual.scrub_sample,
            hang_after=hang_after or usual.hang_after,
        )

    def every(self, text: str) -> Every:
        try:
            return Every(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is not one of {', '.join(Every)}") from error

    def storage(self, table: Table) -> Storage:
        required = table.take("required", int, 1)
        named = table.table("target")
        targets = tuple(read_target(named.table(name), name) for name in list(named.rest))
        table.finish()
        if not 1 <= required <= max(len(targets), 1):
            table.problem(
                "required", f"required = {required}, but there are {len(targets)} targets"
            )
        lasting = [target for target in targets if getattr(target, "keep", None) is None]
        if targets and required > len(lasting):
            table.problem(
                "required",
                f"required = {required}, but only {len(lasting)} targets keep archives for good; "
                "the others have a `keep`",
            )
        places = [target.place for target in targets]
        for number, target in enumerate(targets):
            if places[number] in places[:number]:
                where = ("storage", "target", target.name, target.placed_by)
                self.problem(where, "two targets in one place would hold one copy, not two")
        if not targets:
            table.problem("target", "there is no [storage.target.NAME]: nothing could be stored")
        return Storage(targets, required)

    def locks(self, storage: Storage) -> list[Lock]:
        """Return the locks of the targets that have one."""
        buckets = [target for target in storage.targets if isinstance(target, S3Target)]
        return [
            Lock(target.name, target.object_lock, target.lock_for)
            for target in buckets
            if target.object_lock != "off"
        ]
