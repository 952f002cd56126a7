"""The command line: one JSON document for every ending, exit statuses, and who is told what."""

import fcntl
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest

from archiver.cli.answer import count
from archiver.cli.main import VERBS, cli
from archiver.config.settings import load
from tests.world.host import MONDAY, Host, Said, after, command, flip, lines

KEYS = {
    "schema",
    "command",
    "ok",
    "exit_code",
    "host",
    "started_at",
    "finished_at",
    "data",
    "warnings",
    "error",
}
ARCHIVE = {"key", "date", "lines", "raw_size", "size", "sha256", "sequence"}


def document(said: Said) -> dict[str, Any]:
    """The one document that a command gave, after a look at all that every one has."""
    found: dict[str, Any] = json.loads(said.out)
    assert found.keys() == KEYS
    assert (1, said.status) == (found["schema"], found["exit_code"])
    assert found["ok"] is (said.status == 0)
    for moment in ("started_at", "finished_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found[moment])
        datetime.fromisoformat(found[moment])
    for warning in found["warnings"]:
        assert {"code", "message", "hint"} == warning.keys()
    if found["ok"]:
        assert found["error"] is None
    elif found["error"]:
        assert {"code", "message", "hint", "retryable"} == found["error"].keys()
        assert all(found["error"][key] for key in ("code", "message", "hint"))
    assert said.err == ""
    return found


@pytest.fixture
def stored(host: Host) -> Host:
    """Monday is archived, and today's log is live."""
    host.write(lines(MONDAY, "12:00:00", "13:00:00"))
    assert host.night(after(MONDAY)).exit_status == 0
    return host


TUESDAY = "2026-05-05"

SUCCESSES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "run": (("run",), {"dry_run", "sources"}),
    "run -n": (("run", "-n"), {"dry_run", "sources"}),
    "fetch": (("fetch", "--date", str(MONDAY), "-o", "OUT"), {"bytes", "files", "archives"}),
    "list": (("list",), {"archives"}),
    "status": (("status",), {"problems", "retention", "last_run", "sources"}),
    "import": (("import", "OLD"), {"files"}),
    "config validate": (("config", "validate"), {"path", "sources"}),
    "config show": (("config", "show"), {"path", "host", "sources", "compress", "storage"}),
    "catalog rebuild": (("catalog", "rebuild"), {"manifests", "problems"}),
}


@pytest.mark.parametrize("case", SUCCESSES)
@pytest.mark.parametrize("first", [True, False], ids=["--json verb", "verb --json"])
def test_a_document_on_success(stored: Host, case: str, first: bool) -> None:
    """With --json before the verb or behind it: the same document, and `data` of a known shape."""
    (stored.directory / "OLD").write_bytes(lines(after(MONDAY, -1), "12:00:00"))
    words, keys = SUCCESSES[case]
    paths = {name: str(stored.directory / name) for name in ("OUT", "OLD")}
    words = tuple(paths.get(word, word) for word in words)
    words = ("--json", *words) if first else (*words, "--json")
    found = document(stored.archiver(*words, now=stored.at(TUESDAY, "09:00")))
    assert keys <= found["data"].keys()
    assert (case.removesuffix(" -n"), "mx1") == (found["command"], found["host"])
    assert found["started_at"] == "2026-05-05T07:00:00Z"
    assert found["warnings"] == []


def test_what_a_run_tells(stored: Host) -> None:
    """Per source: whether and why it was rotated, what was archived, what failed."""
    stored.write(lines(after(MONDAY), "12:00:00"))
    found = document(stored.archiver("run", "--json", now=stored.at("2026-05-06")))
    (source,) = found["data"]["sources"]
    assert {"source", "rotated", "reason", "pending", "archived", "failed"} <= source.keys()
    assert (source["source"], source["rotated"]) == ("maillog", True)
    (archived,) = source["archived"]
    assert archived.keys() == ARCHIVE
    assert (archived["date"], archived["lines"], archived["sequence"]) == (TUESDAY, 1, 2)


def test_what_a_list_tells(stored: Host) -> None:
    """An archive and a day without lines, each with its kind, its time and its copies."""
    stored.night("2026-05-07")
    found = document(stored.archiver("list", "--json"))["data"]["archives"]
    assert [each["kind"] for each in found] == ["archive", "empty-day"]
    assert (
        ARCHIVE
        | {"source", "kind", "earliest", "latest", "copies", "receipts", "order", "certificate"}
        == found[0].keys()
    )
    (receipt,) = found[0]["receipts"]
    assert (receipt["target"], receipt["sha256"]) == ("store", found[0]["sha256"])
    assert receipt["read_back_at"].startswith("2026-05-0")
    assert [each["copies"] for each in found] == [["store"], ["store"]]
    assert (found[0]["earliest"], found[0]["latest"]) == (
        "2026-05-04T10:00:00Z",
        "2026-05-04T11:00:00Z",
    )


def test_what_a_status_tells(stored: Host) -> None:
    """How much there is of each source, and what waits."""
    stored.store.rename(stored.directory / "away")
    stored.store.write_bytes(b"")
    stored.write(lines(after(MONDAY), "12:00:00"))
    stored.night("2026-05-06")
    said = stored.archiver("status", "--json")
    assert said.status == 3
    found = document(said)["data"]
    (source,) = found["sources"]
    (waiting,) = source["waiting"]
    assert {"name", "stage", "size", "written"} == waiting.keys()
    assert (source["archives"], source["lines"], source["live_size"]) == (1, 2, 0)
    assert (source["first_day"], source["last_day"]) == (str(MONDAY), str(MONDAY))
    assert found["last_run"]["exit_code"] == 12
    assert "keep" in found["retention"] or "kept" in found["retention"]
    assert found["problems"]


# -- failures ---------------------------------------------------------------------------------


def usage(_: Host) -> tuple[str, ...]:
    return ("fetch", "--date", "someday", "-o", "OUT")


def no_such_option(_: Host) -> tuple[str, ...]:
    return ("run", "--bogus")


def no_such_verb(_: Host) -> tuple[str, ...]:
    return ("rotate",)


def no_verb(_: Host) -> tuple[str, ...]:
    return ()


def no_value(_: Host) -> tuple[str, ...]:
    return ("import",)


def not_found(host: Host) -> tuple[str, ...]:
    return ("fetch", "--date", "2020-01-01", "-o", str(host.directory / "out"))


def log_missing(host: Host) -> tuple[str, ...]:
    host.log.unlink()
    return ("run",)


def damaged(host: Host) -> tuple[str, ...]:
    flip(host.store / host.manifests()[0].archive_key, 30)
    return ("fetch", "--date", str(MONDAY), "-o", str(host.directory / "out"))


def damaged_input(host: Host) -> tuple[str, ...]:
    (host.directory / "old").write_bytes(b"\x1f\x8b\x08 no gzip")
    return ("import", str(host.directory / "old"))


def bad_config(host: Host) -> tuple[str, ...]:
    host.toml.write_text("schema = 1\nunknown = 1\n")
    return ("run",)


def no_config(host: Host) -> tuple[str, ...]:
    host.toml.unlink()
    return ("list",)


def store_away(host: Host) -> tuple[str, ...]:
    host.store.rename(host.directory / "away")
    host.store.write_bytes(b"")
    host.write(lines(MONDAY, "23:00:00"))
    return ("run", "--force")


def writer_gone(host: Host) -> tuple[str, ...]:
    host.configure(reopen="pidfile:syslogd.pid")
    host.write(lines(MONDAY, "23:00:00"))
    return ("run", "--force")


def partial(host: Host) -> tuple[str, ...]:
    host.configure(sources=("gone", "directory", "maillog"))
    (host.directory / "directory").mkdir()
    return ("run",)


def existing_config(_: Host) -> tuple[str, ...]:
    return ("config", "init")


FAILURES = {
    usage: (2, "usage"),
    no_such_option: (2, "usage"),
    no_such_verb: (2, "usage"),
    no_verb: (2, "usage"),
    no_value: (2, "usage"),
    existing_config: (2, "usage"),
    partial: (3, "log_missing"),
    not_found: (4, "not_found"),
    log_missing: (4, "log_missing"),
    damaged: (5, "integrity"),
    damaged_input: (5, "damaged_input"),
    bad_config: (10, "config"),
    no_config: (10, "config"),
    store_away: (12, "store"),
    writer_gone: (13, "reopen"),
}


@pytest.mark.parametrize("trouble", FAILURES)
def test_a_document_on_failure(stored: Host, trouble: Any) -> None:
    """One document all the same, with the status, its code, and what to try."""
    words = trouble(stored)
    status, code = FAILURES[trouble]
    for position in ((*words, "--json"), ("--json", *words)):
        said = stored.archiver(*position)
        assert status == said.status
        found = document(said)
        assert found["error"]
        assert code == found["error"]["code"]
        assert isinstance(found["error"]["retryable"], bool)


@pytest.mark.parametrize("trouble", FAILURES)
def test_a_failure_for_people(stored: Host, trouble: Any) -> None:
    """On stderr, ending with what to try; never a traceback."""
    words = trouble(stored)
    said = stored.archiver(*words)
    assert FAILURES[trouble][0] == said.status
    assert said.err.startswith("archiver: ")
    assert "\n  try: " in said.err
    assert "Traceback" not in said.err
    assert said.out == b""


def test_words_behind_two_dashes_are_names(host: Host) -> None:
    """A file called `--json` does not turn the answer into a document."""
    said = host.archiver("import", "--", "--json")
    assert (said.status, said.out) == (4, b"")
    assert "--json does not exist" in said.err


def test_two_instances_at_once(stored: Host) -> None:
    """11 at once for whoever writes; who only reads does not wait."""
    (stored.directory / "old").write_bytes(b"x\n")
    with open(stored.directory / "state/lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = stored.tree()
        for words in (("run",), ("import", stored.directory / "old"), ("catalog", "rebuild")):
            said = stored.archiver(*words, "--json")
            assert said.status == 11
            found = document(said)
            assert (found["error"]["code"], found["error"]["retryable"]) == ("lock_held", True)
        assert before == stored.tree()
        for reading in (("list",), ("status",), ("run", "-n"), ("fetch", "--date", str(MONDAY))):
            assert stored.archiver(*reading, now=stored.at(TUESDAY)).status == 0


# -- help and configuration -------------------------------------------------------------------

EVERY = [
    (),
    *((verb,) for verb in VERBS),
    ("config", "init"),
    ("config", "validate"),
    ("config", "show"),
    ("catalog", "rebuild"),
]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(place: Path, words: tuple[str, ...], option: str) -> None:
    """Of every verb, without a configuration: 0, on stdout."""
    said = command("-c", place / "nowhere", *words, option)
    assert (said.status, said.err) == (0, "")
    assert said.out.decode().startswith(" ".join(["Usage: archiver", *words]))
    if not words:
        for verb, (_, short) in VERBS.items():
            assert re.search(rf"^  {verb} +{re.escape(short)}$", said.out.decode(), re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_says_what_each_verb_says(verb: str) -> None:
    """The list is made without importing the verbs, so it has their short help once more."""
    command_ = cli.get_command(click.Context(cli), verb)
    assert command_ is not None
    assert VERBS[verb][1] == command_.short_help


def test_one_is_not_some() -> None:
    """A number is written with the noun that goes with it."""
    assert [count(n, "archive") for n in range(3)] == ["0 archives", "1 archive", "2 archives"]
    assert [count(n, "log is", "logs are") for n in (1, 2)] == ["1 log is", "2 logs are"]


def test_version() -> None:
    """The version that manifests name."""
    assert re.fullmatch(rb"archiver, version \d+\.\d+.*\n", command("--version").out)


def test_config_init_validate_show(place: Path) -> None:
    """What init writes is valid as it is; it never overwrites; show tells defaults as well."""
    path = place / "etc/archiver.toml"
    assert command("-c", path, "config", "init").status == 0
    written = path.read_bytes()
    assert command("-c", path, "config", "init").status == 2
    assert written == path.read_bytes()
    said = command("-c", path, "config", "validate")
    assert said.status == 0
    assert b"kept" in said.out
    shown = command("-c", path, "config", "show").out.decode()
    assert f"sources[0].path = {load(path).sources[0].path}" in shown
    assert "compress.level = 10" in shown


def test_every_problem_of_a_configuration_at_once(host: Host) -> None:
    """With file and line, so that an editor can go there."""
    host.toml.write_text(host.toml.read_text().replace("level = 3", "level = 99\nlevell = 3"))
    said = host.archiver("config", "validate")
    assert said.status == 10
    assert {"8", "9"} <= set(re.findall(rf"{re.escape(str(host.toml))}:(\d+):", said.err))


# -- status and monitoring --------------------------------------------------------------------


def nagios(host: Host, *words: str, now: int) -> tuple[int, str]:
    said = host.archiver("status", "--nagios", *words, now=now)
    assert said.out.count(b"\n") == 1
    return said.status, said.out.decode().split(":")[0]


def test_nagios(host: Host) -> None:
    """0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, in one line."""
    tuesday, thursday = host.at(TUESDAY), host.at("2026-05-07")
    assert nagios(host, now=tuesday) == (3, "UNKNOWN")
    host.night(TUESDAY)
    assert nagios(host, now=tuesday) == (0, "OK")
    assert nagios(host, "--max-age", "26h", now=tuesday + 26 * 3600) == (0, "OK")
    assert nagios(host, "--max-age", "26h", now=tuesday + 26 * 3600 + 1) == (2, "CRITICAL")
    host.log.rename(host.directory / "away")
    assert nagios(host, now=tuesday) == (1, "WARNING")
    host.night("2026-05-07")
    assert nagios(host, now=thursday) == (2, "CRITICAL")
    host.toml.write_text("no configuration")
    assert nagios(host, now=thursday) == (3, "UNKNOWN")


def test_status_for_people(host: Host) -> None:
    """3 when there is something to look at, 0 when all is well; --max-age as for monitoring."""
    tuesday = host.at(TUESDAY)
    assert host.archiver("status", now=tuesday).status == 3
    host.night(TUESDAY)
    assert host.archiver("status", now=tuesday).status == 0
    assert host.archiver("status", "--max-age", "1h", now=tuesday + 3601).status == 3
    said = host.archiver("status", "--max-age", "soon")
    assert said.status == 2
    assert "--max-age" in said.err


def test_unexpected_failures_say_so(stored: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours: 1, one line, and the traceback only with -v."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(sys.modules["archiver.cli.run"], "run_", broken)
    said = stored.archiver("run")
    assert said.status == 1
    assert "Traceback" not in said.err
    assert "a mistake" in said.err
    assert "Traceback" in stored.archiver("-v", "run").err
    assert document(stored.archiver("run", "--json"))["error"]["code"] == "unexpected"
