"""The documents tell of everything there is, and of nothing that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from archiver import errors
from archiver.cli.main import cli
from archiver.errors import ArchiverError
from archiver.maillog import clock
from archiver.setup.demo.play import DemoError
from tests import TOP

DOCUMENTS = sorted([*TOP.glob("*.md"), *TOP.glob("docs/*.md"), *TOP.glob("[a-z]*/README.md")])


def text(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def every(pattern: str, document: str) -> list[Any]:
    """Return what a pattern finds; ^ and $ stand at lines."""
    return re.findall(pattern, document, re.MULTILINE)


def section(document: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of its level."""
    level = heading.split(" ", maxsplit=1)[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)",
        document,
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"no heading {heading!r}"
    return found[1]


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(commands(cli))


def options(command: click.Command) -> set[str]:
    shown = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    every = [p.opts + p.secondary_opts for p in shown]
    return {name for names in every for name in names}


def documented_options(below: str) -> set[str]:
    """Return the options that the tables of a section tell of."""
    rows = every(r"^\| ((?:`-[^|]*`(?:, )?)+)", below.replace(r"\|", "/"))
    return {word for row in rows for word in re.findall(r"(?<![\w-])--?[a-zA-Z][a-z0-9-]*", row)}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_documented(path: tuple[str, ...]) -> None:
    """Each verb has its section, which lists the options that it has, and no others."""
    below = section(text("docs/commands.md"), f"## archiver {' '.join(path)}")
    assert options(COMMANDS[path]) == documented_options(below)


def test_every_global_option_is_documented() -> None:
    """Those of the command itself, and --help, which click adds."""
    below = section(text("docs/commands.md"), "## Global options")
    assert options(cli) | {"-h", "--help"} == documented_options(below)


def test_no_section_tells_of_a_verb_that_is_not_there() -> None:
    told = every(r"^## archiver (.*)$", text("docs/commands.md"))
    assert {" ".join(path) for path in COMMANDS} == set(told)


def test_every_command_explains_itself() -> None:
    """--help says more than a name, and the list of verbs says the same as each verb."""
    for path, command in COMMANDS.items():
        assert command.help, path
        assert command.short_help, path


# -- failures ------------------------------------------------------------------------------


def kinds(base: type[ArchiverError] = ArchiverError) -> Iterator[type[ArchiverError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def test_every_failure_says_what_it_means_and_what_to_do() -> None:
    """Each code has a section with its exit status, and no section is left over."""
    headings = re.findall(
        r"^### `(\w+)` \(exit status (\d+)\)$", text("docs/operations.md"), re.MULTILINE
    )
    assert {(kind.code, str(kind.exit_status)) for kind in kinds()} == set(headings)


def test_the_table_of_exit_statuses_is_right() -> None:
    """Every status with all its codes, and whether the next run tries again."""
    below = section(text("docs/commands.md"), "## Exit statuses")
    told = {}
    for status, codes, again in re.findall(
        r"^\| (\d+) \|[^|]*\| ([^|]*)\| (\w+) \|", below, re.MULTILINE
    ):
        for code in re.findall(r"`(\w+)`", codes):
            told[code] = (int(status), again == "yes")
    assert told == {kind.code: (kind.exit_status, kind.retryable) for kind in kinds()}


def test_the_tree_of_failures_is_as_drawn() -> None:
    """The head of errors.py shows every class there, at its place, with its status."""
    drawn = re.findall(
        r"^ {4}[│ ]*(?:[├└]── )?(\w+Error) +(\d+)", errors.__doc__ or "", re.MULTILINE
    )
    own = [kind for kind in kinds() if kind is not DemoError]
    assert [(kind.__name__, str(kind.exit_status)) for kind in own] == drawn


# -- formats -------------------------------------------------------------------------------


def test_the_stamps_are_those_that_are_read() -> None:
    """docs/format.md gives the very patterns that the clock uses."""
    told = dict(
        line.split(maxsplit=1)
        for line in section(text("docs/format.md"), "### Stamps").split("```")[1].splitlines()[1:]
    )
    bsd = clock.BSD.decode()
    assert told == {
        "BEFORE": clock.BEFORE.decode(),
        "BSD": bsd,
        "ISO": clock.ISO.decode(),
        "TAI": clock.TAI.decode(),
        "UNIX": clock.UNIX.decode(),
        "SPLOGGER": clock.SPLOGGER.pattern.decode().replace(f"({bsd})", "(BSD)"),
        "WITH_ID": clock.WITH_ID.pattern.decode().replace(f"({bsd})", "(BSD)"),
    }


# -- the documents themselves --------------------------------------------------------------


def anchors(document: str) -> set[str]:
    """Return the anchors that a page's headings have where such pages are shown."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", document, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path: Path) -> None:
    """To a file of this project, and to a heading in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_documents_are_finished() -> None:
    """No gap is left to be filled in."""
    for path in DOCUMENTS:
        assert re.findall(r"@[A-Z]+@|TODO|FIXME", path.read_text(encoding="utf-8")) == [], path


def test_the_readme_shows_the_demonstration() -> None:
    """Its commands are those that `make demo` runs, in that order."""
    shown = every(r"^ +\$ archiver -c … (?:-v )?(\w+)", text("README.md"))
    played = re.findall(r'archiver\((?:"-v", )?"(\w+)"', text("archiver/setup/demo/play.py"))
    twice = played.index("run")
    assert [*played[:twice], "run", *played[twice:]] == shown
