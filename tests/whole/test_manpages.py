"""The manual pages: as the documents and the commands are now, and good mdoc(7)."""

import re
import subprocess
from pathlib import Path

import pytest

from docs import manpages
from tests import TOP
from tests.config.test_settings import TYPES
from tests.whole.test_docs import COMMANDS, options
from tests.world.system import need

MAN = TOP / "docs/man"
PAGES = sorted(MAN.glob("*.[15]"))


def rendered(page: Path) -> str:
    """What a terminal shows of a page."""
    words = [need("mandoc"), "-T", "ascii", "-O", "width=200", str(page)]
    shown = subprocess.run(words, capture_output=True, check=True).stdout.decode()
    return re.sub(r".\x08", "", shown)


def test_they_are_as_they_would_be_made_now() -> None:
    """`make man` changes nothing: byte for byte, none missing, none left over."""
    made = manpages.pages()
    assert {path.name: path.read_text(encoding="utf-8") for path in PAGES} == made


def test_there_is_one_for_each_verb() -> None:
    wanted = {f"archiver-{'-'.join(path)}.1" for path in COMMANDS} | {"archiver.1"}
    assert {path.name for path in PAGES} == wanted | {"archiver.toml.5"}


@pytest.mark.system
def test_mandoc_finds_nothing_to_mend() -> None:
    words = [need("mandoc"), "-T", "lint", "-W", "warning", *map(str, PAGES)]
    said = subprocess.run(words, capture_output=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


@pytest.mark.system
@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_page_tells_of_every_option(path: tuple[str, ...]) -> None:
    """As a terminal shows it, with the dashes that a shell understands."""
    shown = rendered(MAN / f"archiver-{'-'.join(path)}.1")
    assert " ".join(path) in shown
    missing = {name for name in options(COMMANDS[path]) if name not in shown}
    assert missing - {"--help", "-h"} == set()


@pytest.mark.system
def test_the_page_of_the_configuration_tells_of_every_key() -> None:
    shown = rendered(MAN / "archiver.toml.5")
    names = {key.replace(".local", ".NAME").replace(".offsite", ".NAME") for key in TYPES}
    assert {key for key in names if key not in shown} == set()


@pytest.mark.system
def test_groff_reads_them_too() -> None:
    """As man-db on Debian does."""
    for page in PAGES:
        words = [need("groff"), "-mandoc", "-Tutf8", "-ww", str(page)]
        said = subprocess.run(words, capture_output=True, check=True)
        assert said.stderr == b"", page
