"""The command as a process: what cron, a terminal, a signal and a dry run see of it."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from archiver.rotation import rotate
from archiver.stores import copy
from tests.world.host import ARCHIVER, MONDAY, Host, after, lines

# -- who is told what -------------------------------------------------------------------------


def on_a_terminal(host: Host, *words: str | Path, **environment: str) -> tuple[int, str]:
    """Run the command with stdout and stderr on a terminal; return its status and what it said."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        host.argv(*words),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env | {"TERM": "xterm"} | environment,
    ) as process:
        os.close(theirs)
        said = b""
        # Linux answers with EIO once nobody has the other end any more.
        with suppress(OSError):
            while data := os.read(ours, 10_000):
                said += data
    os.close(ours)
    return process.returncode, said.decode()


def test_run_says_nothing_under_cron(host: Host) -> None:
    """Whether there was something to do or not: cron mails whatever is printed."""
    host.write(lines(MONDAY, "12:00:00"))
    for _ in range(2):
        said = host.process("run")
        assert (said.status, said.out, said.err) == (0, b"", "")
    assert [(str(MONDAY), 1)] == host.dates()


def test_run_tells_on_a_terminal(host: Host) -> None:
    """And with -v anywhere; and with -q nowhere, but for failures."""
    status, said = on_a_terminal(host, "run")
    assert (status, "maillog: left alone (the log is empty)\r\n") == (0, said)
    assert on_a_terminal(host, "-q", "run") == (0, "")
    assert b"left alone" in host.archiver("-v", "run").out
    host.log.unlink()
    assert "does not exist" in on_a_terminal(host, "-q", "run")[1]


def test_quiet_leaves_failures_and_lines(host: Host) -> None:
    """-q is for messages: not for what was asked for, nor for what went wrong."""
    host.write(lines(MONDAY, "12:00:00"))
    host.night(after(MONDAY))
    assert (host.archiver("-q", "status").out, host.archiver("-q", "list").out) == (b"", b"")
    said = host.archiver("-q", "fetch", "--date", str(MONDAY))
    assert lines(MONDAY, "12:00:00") == said.out
    assert "no line" in host.archiver("-q", "fetch", "--date", "2020-01-01").err


def failing(host: Host) -> tuple[str, ...]:
    """The log is missing: an answer with a failure in it."""
    host.log.unlink()
    return ("run",)


def unusable(host: Host) -> tuple[str, ...]:
    """No configuration: an error before there is any answer."""
    host.toml.unlink()
    return ("run",)


@pytest.mark.parametrize("trouble", [failing, unusable])
def test_colours_are_for_terminals_that_want_them(
    host: Host, trouble: Callable[[Host], tuple[str, ...]]
) -> None:
    """On a terminal only, and there neither with NO_COLOR set nor with --no-color."""
    words = trouble(host)
    assert "\33[" in on_a_terminal(host, *words)[1]
    assert "\33[" not in on_a_terminal(host, *words, NO_COLOR="1")[1]
    assert "\33[" not in on_a_terminal(host, "--no-color", *words)[1]
    assert "\33" not in host.archiver(*words).err


def test_a_bar_only_on_a_terminal(host: Host) -> None:
    """An import shows how far it is to who watches, and to nobody else."""
    old = host.directory / "old"
    old.write_bytes(lines(MONDAY, "12:00:00"))
    os.utime(old, (host.at(after(MONDAY)),) * 2)
    status, said = on_a_terminal(host, "import", old)
    assert status == 0
    assert "archiving maillog" in said
    assert "100%" in said
    for quiet in ("--no-progress", "--json"):
        status, said = on_a_terminal(host, quiet, "import", old)
        assert status == 0
        assert "100%" not in said
    assert host.archiver("import", old).err == ""


# The command, which tells at its end what it has imported.
TELLING = """\
import sys
from archiver.cli.main import main
try:
    main()
except SystemExit as ended:
    print(ended.code or 0, *sys.modules, file=sys.stderr)
"""
BOTO3 = {"boto3", "botocore", "s3transfer", "urllib3"}


def imported(*words: str | Path) -> set[str]:
    """Return the modules that a command has imported, which went well."""
    argv = [sys.executable, "-c", TELLING, *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    status, *loaded = done.stderr.splitlines()[-1].split()
    assert status == "0"
    return set(loaded)


def test_help_imports_nothing_heavy() -> None:
    """`archiver --help` is instant: no compressor, no database, no pools, no verb's module."""
    loaded = imported("--help")
    assert "archiver.cli.main" in loaded
    heavy = {"zstandard", "sqlite3", "concurrent.futures", "archiver.cli.run"} | BOTO3
    assert set() == loaded & heavy


def test_only_a_bucket_imports_boto3(host: Host) -> None:
    """Half a second and more, for which whoever has directories only need not wait."""
    host.write(lines(MONDAY, "12:00:00"))
    for words in (("run",), ("fetch", "--date", str(MONDAY)), ("list",)):
        loaded = imported("-c", host.toml, *words)
        assert "archiver.stores.local" in loaded
        assert set() == loaded & BOTO3
    assert [(str(MONDAY), 1)] == host.dates()


def test_the_module_is_the_command(host: Host) -> None:
    """`python -m archiver` and `archiver` are one."""
    argv = [sys.executable, "-m", "archiver", *host.argv("status", "--json")[1:]]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
    assert Path(ARCHIVER).exists()


def test_the_configuration_can_come_from_the_environment(host: Host) -> None:
    """ARCHIVER_CONFIG stands in for -c."""
    with mock.patch.dict(os.environ, ARCHIVER_CONFIG=str(host.toml)):
        done = subprocess.run([ARCHIVER, "config", "validate"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert str(host.toml).encode() in done.stdout


# -- signals ----------------------------------------------------------------------------------

# The command, which sends itself a signal just before the nth call of a function. What a shell
# has started in the background, and all that comes of it, ignores SIGINT until told otherwise.
SIGNALLED = """\
import importlib, os, sys
from signal import SIGINT, default_int_handler, signal as handle
handle(SIGINT, default_int_handler)
module, name, nth, signal = sys.argv[1:5]
del sys.argv[1:5]
owner = importlib.import_module(module)
real, calls = getattr(owner, name), []
def replaced(*given, **named):
    calls.append(name)
    if len(calls) == int(nth):
        os.kill(os.getpid(), int(signal))
    return real(*given, **named)
setattr(owner, name, replaced)
from archiver.cli.main import main
main()
"""
INSTANTS = [
    ("archiver.rotation.seal", "cut", 1),
    ("archiver.rotation.seal", "_publish", 1),
    ("archiver.stores.copy", "receipt", 1),
    ("archiver.stores.copy", "receipt", 2),
]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("instant", INSTANTS, ids=lambda instant: f"{instant[1]}-{instant[2]}")
def test_interrupted_import(
    host: Host, number: signal.Signals, instant: tuple[str, str, int]
) -> None:
    """130 and one message; a run leaves no strays, and the import is done once at last."""
    old = host.directory / "old"
    old.write_bytes(lines(MONDAY, "12:00:00") + lines(after(MONDAY), "12:00:00"))
    os.utime(old, (host.at(after(MONDAY, 2)),) * 2)
    ended = subprocess.run(
        [
            *(sys.executable, "-c", SIGNALLED, instant[0], instant[1], str(instant[2])),
            *(str(int(number)), *host.argv("--json", "import", "--remove", old)[1:]),
        ],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 130
    said = json.loads(ended.stdout)
    assert (said["exit_code"], said["error"]["code"]) == (130, "interrupted")
    assert b"Traceback" not in ended.stderr
    assert old.exists()
    assert host.night(after(MONDAY, 2)).exit_status == 0
    assert host.spooled() == []
    assert list(host.store.rglob("*.partial")) == []
    assert host.archiver("import", old, now=host.at(after(MONDAY, 2))).status == 0
    assert [(str(after(MONDAY, ahead)), 1) for ahead in range(2)] == host.dates()


# -- the dry run ------------------------------------------------------------------------------


def nothing(_: Host) -> None:
    """An empty log, and no run before."""


def due(host: Host) -> None:
    host.write(lines(MONDAY, "12:00:00"))


def done(host: Host) -> None:
    due(host)
    host.night(after(MONDAY))


def not_due(host: Host) -> None:
    done(host)
    host.write(lines(after(MONDAY), "00:04:00"))


def late_lines(host: Host) -> None:
    done(host)
    host.write(lines(MONDAY, "23:59:59"))


def no_catalog(host: Host) -> None:
    late_lines(host)
    host.config.host.catalog.unlink()


def ruined_catalog(host: Host) -> None:
    late_lines(host)
    host.config.host.catalog.write_bytes(b"garbage")


def no_directories(host: Host) -> None:
    due(host)
    assert not host.config.host.spool_dir.exists()


def missing_log(host: Host) -> None:
    host.log.unlink()


def unsafe_place(host: Host) -> None:
    due(host)
    host.directory.chmod(0o777)


def writer_gone(host: Host) -> None:
    due(host)
    host.configure(reopen="pidfile:syslogd.pid")


def garbage_intent(host: Host) -> None:
    due(host)
    host.journal().prepare()
    (host.config.host.spool_dir / "maillog/x.intent").write_bytes(b"garbage")


def store_away(host: Host) -> None:
    """One night's segment is sealed, another's only closed."""
    host.store.write_bytes(b"")
    for ahead in range(2):
        host.write(lines(after(MONDAY, ahead - 1), "12:00:00"))
        host.night(after(MONDAY, ahead))
    host.store.unlink()


def killed(host: Host, stage: str) -> None:
    due(host)
    with (
        mock.patch.object(rotate, stage, side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        host.night(after(MONDAY), "00:04")


def killed_before_linking(host: Host) -> None:
    killed(host, "_link")


def killed_before_renaming(host: Host) -> None:
    killed(host, "_rename_over")


def killed_before_delivery(host: Host) -> None:
    due(host)
    with (
        mock.patch.object(copy, "copy", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        host.night(after(MONDAY), "00:04")


SITUATIONS: list[Callable[[Host], Any]] = [
    nothing,
    due,
    done,
    not_due,
    late_lines,
    no_catalog,
    ruined_catalog,
    no_directories,
    missing_log,
    unsafe_place,
    writer_gone,
    garbage_intent,
    store_away,
    killed_before_linking,
    killed_before_renaming,
    killed_before_delivery,
]


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("options", [(), ("--force",)], ids=["", "--force"])
def test_a_dry_run_tells_what_the_run_then_does(
    host: Host, situation: Callable[[Host], Any], options: tuple[str, ...]
) -> None:
    """The same rotation for the same reason, and the entries it would finish; and touches nothing.

    What can only be known by doing it, such as a store's failure, is not foretold.
    """
    situation(host)
    now = host.at(after(MONDAY))
    before = host.tree()
    told = host.archiver("run", "--dry-run", *options, "--json", now=now)
    assert before == host.tree()
    waiting = {entry for entry in host.spooled() if entry.endswith(".intent")}
    ran = host.archiver("run", *options, "--json", now=now)
    (foretold,), (found,) = (json.loads(said.out)["data"]["sources"] for said in (told, ran))
    for key in ("rotated", "reason", "failed"):
        assert found[key] == foretold[key], key
    assert told.status == ran.status
    finished = waiting - set(host.spooled())
    assert {entry.removesuffix(".intent") for entry in finished} == set(foretold["pending"])
