"""What a power cut could take is made durable before anything relies on it.

SIGKILL leaves what was written in the kernel's hands, so no kill sweep can miss an fsync.
Instead the calls of one real run are read, and each rule says which must follow which.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests import TOP
from tests.whole.crash import trace
from tests.whole.crash.sandbox import DRIVER, MARK, Bench, Sandbox
from tests.whole.crash.trace import Call
from tests.world.system import need

pytestmark = pytest.mark.system

Kind = Callable[[Call], bool]


def call(name: str, path: str = "", args: str = "") -> Kind:
    """Successful calls of that name, whose last path ends so. All are regular expressions."""
    names, paths, arguments = re.compile(name), re.compile(f"(?:{path})$"), re.compile(args)

    def matches(one: Call) -> bool:
        last = one.paths[-1] if one.paths else ""
        return bool(
            one.ok
            and names.fullmatch(one.name)
            and paths.search(last)
            and arguments.search(one.args)
        )

    return matches


def fsync(path: str) -> Kind:
    return call("fsync|fdatasync", path)


def write(path: str) -> Kind:
    return call("write|pwrite64", path)


def rename(to: str) -> Kind:
    return call("rename|renameat2?", to)


def link(to: str) -> Kind:
    return call("link|linkat", to)


def unlink(path: str) -> Kind:
    return call("unlink|unlinkat", path)


def create(path: str) -> Kind:
    return call("openat", path, "O_CREAT")


def mkdir(path: str) -> Kind:
    return call("mkdir|mkdirat", path)


HOST = "/host"
LOG = HOST + "/maillog"
SPOOL = HOST + "/spool/maillog"
NEW_LOG = HOST + r"/\.maillog\.archiver-new"
ENTRY = SPOOL + r"/[^/.]+"
SEALING = ENTRY + r"\.sealing"
DATE = HOST + "/store/host=mx1/source=maillog/date=[^/]+"
STORED = DATE + r"/[^/]+"
CATALOG = HOST + r"/state/catalog\.sqlite3(?:-wal)?"
TOLD = call("kill", args="SIGHUP")
LEASED = call("fcntl", args="F_SETLEASE, F_RDLCK")

# The last call of a rule's first kind is followed by one of each kind in turn, and the
# first call of its last kind comes only then.
Rule = tuple[Kind, ...]
RULES: dict[str, Rule] = {
    "an intent holds its words before it has its name": (
        write(ENTRY + r"\.intent\.tmp"),
        fsync(ENTRY + r"\.intent\.tmp"),
        rename(ENTRY + r"\.intent"),
    ),
    "an intent has its name before the log is touched": (
        rename(ENTRY + r"\.intent"),
        fsync(SPOOL),
        link(ENTRY + r"\.open"),
    ),
    "the log has its second name before it loses the first": (
        link(ENTRY + r"\.open"),
        fsync(SPOOL),
        rename(LOG),
    ),
    "the new log has its mode before it is the log": (
        call("fchmod", NEW_LOG),
        fsync(NEW_LOG),
        rename(LOG),
    ),
    "the new log has its name before its writer is told": (rename(LOG), fsync(HOST), TOLD),
    "no segment is closed before its release is proven": (TOLD, LEASED, rename(ENTRY + r"\.log")),
    "a segment is closed before anything is made of it": (
        rename(ENTRY + r"\.log"),
        fsync(SPOOL),
        mkdir(SEALING),
    ),
    "what is sealed has its names inside before outside": (
        create(SEALING + r"/[^/]+"),
        fsync(SEALING),
        rename(ENTRY + r"\.sealed"),
    ),
    "what is sealed has its name before it is copied": (
        rename(ENTRY + r"\.sealed"),
        fsync(SPOOL),
        create(STORED + r"\.partial"),
    ),
    "a new date has its name in the store before the segment goes": (
        mkdir(DATE),
        fsync(HOST + "/store/host=mx1/source=maillog"),
        unlink(ENTRY + r"\.log"),
    ),
    "the catalog knows of every copy before the segment goes": (
        link(STORED),
        write(CATALOG),
        fsync(CATALOG),
        unlink(ENTRY + r"\.log"),
    ),
    "a segment is gone before its intent is": (
        unlink(ENTRY + r"\.log"),
        fsync(SPOOL),
        unlink(ENTRY + r"\.intent"),
    ),
}


def rules_of_each_archive(number: int) -> dict[str, Rule]:
    """number: in the sealing directory an archive is first called by it."""
    archive = f"{SEALING}/{number}\\.archive"
    return {
        f"archive {number} is whole before it is sealed": (
            write(archive),
            fsync(archive),
            rename(ENTRY + r"\.sealed"),
        ),
    }


def rules_of_each_manifest(name: str) -> dict[str, Rule]:
    """name: without a directory, of the manifest; its archive's goes with it."""
    manifest, archive = re.escape(name), re.escape(name.replace(".manifest.json", ".log.zst"))
    rules: dict[str, Rule] = {
        f"{name} is whole before it is sealed": (
            write(f"{SEALING}/{manifest}"),
            fsync(f"{SEALING}/{manifest}"),
            rename(ENTRY + r"\.sealed"),
        ),
        f"{name} is stored only behind its archive": (
            link(f"{DATE}/{archive}"),
            fsync(DATE),
            link(f"{DATE}/{manifest}"),
        ),
    }
    for each in (manifest, archive):
        rules[f"a copy of {each} is whole before it has its name"] = (
            write(f"{DATE}/{each}\\.[0-9a-f]+\\.partial"),
            fsync(f"{DATE}/{each}\\.[0-9a-f]+\\.partial"),
            link(f"{DATE}/{each}"),
        )
        rules[f"a copy of {each} has its name before the segment goes"] = (
            link(f"{DATE}/{each}"),
            fsync(DATE),
            unlink(ENTRY + r"\.log"),
        )
    return rules


def violation(calls: Sequence[Call], rule: Rule) -> str | None:
    """Return what is wrong with these calls under a rule; None if it holds."""
    first, *between, final = rule
    begun = [one for one in calls if first(one)]
    ends = [one for one in calls if final(one)]
    if not begun or not ends:
        return f"no call of kind {1 if not begun else len(rule)}"
    now = max(begun, key=lambda one: one.left)
    for number, kind in enumerate(between, start=2):
        following = [one for one in calls if kind(one) and one.entered > now.left]
        if not following:
            return f"no call of kind {number} after {now}"
        now = min(following, key=lambda one: one.left)
    end = min(ends, key=lambda one: one.entered)
    return None if end.entered > now.left else f"{end} comes before {now}"


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Every call of one real run, that archives two days."""
    directory = tmp_path_factory.mktemp("order")
    output = directory / "trace"
    with closing(Bench(directory / "bench")) as bench:
        box = Sandbox(bench, directory / "host")
        box.write(100, days_ago=1)
        box.write(100)
        run = [sys.executable, DRIVER, MARK, "--", *box.argv("run", "--force")]
        command = [need("strace"), "-f", "-y", "-s", "4096", "-o", str(output), *run]
        ended = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=120, cwd=TOP
        )
        assert ended.returncode == 0, ended.stderr
    with output.open(encoding="utf-8", errors="replace") as lines:
        return trace.after(trace.read(lines), MARK)


@pytest.fixture(scope="module")
def rules(calls: list[Call]) -> dict[str, Rule]:
    """The rules, those of each archive and manifest of this run included."""
    stored = [Path(one.paths[-1]).name for one in calls if link(STORED)(one)]
    manifests = [name for name in stored if name.endswith(".manifest.json")]
    assert len(manifests) == 2, stored
    every = dict(RULES)
    for number in range(1, len(manifests) + 1):
        every |= rules_of_each_archive(number)
    for name in manifests:
        every |= rules_of_each_manifest(name)
    return every


def test_each_step_is_durable_before_the_next_relies_on_it(
    calls: list[Call], rules: dict[str, Rule]
) -> None:
    broken = {name: wrong for name, rule in rules.items() if (wrong := violation(calls, rule))}
    assert broken == {}


def test_every_rule_fails_without_any_of_its_steps(
    calls: list[Call], rules: dict[str, Rule]
) -> None:
    for name, rule in rules.items():
        for kind in rule:
            without = [one for one in calls if not kind(one)]
            assert violation(without, rule), f"{name}: a missing call goes unseen"


def test_no_rule_holds_backwards(calls: list[Call], rules: dict[str, Rule]) -> None:
    backwards = [replace(one, entered=-one.left, left=-one.entered) for one in reversed(calls)]
    for name, rule in rules.items():
        assert violation(backwards, rule), f"{name}: the wrong order goes unseen"
