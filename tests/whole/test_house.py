"""The house is as the documents draw it, and each name in it means one thing."""

import ast
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import TOP

MODULES = sorted((TOP / "archiver").rglob("*.py"))
PACKAGES = [path for path in MODULES if path.name == "__init__.py"]
DOCUMENTS = sorted([*TOP.glob("*.md"), *TOP.glob("docs/*.md"), *TOP.glob("*/README.md")])
CONTRACTS = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
# A file or folder of ours: from the top, or from the package, as it is named in the design.
ROOMS = "|".join(
    sorted(
        path.name
        for place in (TOP, TOP / "archiver")
        for path in place.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    )
)
PATH = re.compile(rf"`((?:archiver/)?(?:{ROOMS})/[\w./-]*)(?:::[^`]*)?`")
# Archives, copies of them, and merged indexes.
DESTROYING = {
    "archiver/retention/expire.py",
    "archiver/retention/evict.py",
    "archiver/index/merge.py",
}


def name(path: Path) -> str:
    return str(path.relative_to(TOP))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def calls(method: str) -> set[str]:
    """Return the modules that call a method of that name on anything."""
    return {
        name(path)
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
    }


def test_the_layers_are_as_drawn() -> None:
    """One table, in CONTRIBUTING.md; and it is the contract that the tool keeps."""
    (contract,) = [each for each in CONTRACTS if each["type"] == "layers"]
    below = (TOP / "CONTRIBUTING.md").read_text().partition("## Layers")[2].partition("\n## ")[0]
    drawn = [
        re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.*?) \|", below, re.MULTILINE)
    ]
    assert drawn == [re.findall(r"\w+", layer) for layer in contract["layers"]]
    assert contract["exhaustive"] is True
    there = {
        path.stem
        for path in (TOP / "archiver").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {room for layer in drawn for room in layer} == there - {"__init__", "__main__"}


def test_a_class_name_means_one_thing() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_a_module_is_called_by_its_own_name() -> None:
    """But where a verb of the command line has the name of what it calls: run_, plan_."""
    aliases = [
        f"{name(path)}: {each.name} as {each.asname}"
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("archiver")
        for each in node.names
        if each.asname and each.asname != each.name + "_"
        if (TOP / node.module.replace(".", "/") / f"{each.name}.py").exists()
    ]
    assert aliases == []


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_a_package_says_what_is_in_it(path: Path) -> None:
    """In 3 to 10 lines; the package above them all has one for the program."""
    if path.parent.name == "archiver":
        return
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert 3 <= len(text.splitlines()) <= 10, text


def test_only_three_have_a_store_destroy_anything() -> None:
    assert calls("destroy") == DESTROYING


def test_all_sql_stands_in_one_room() -> None:
    rooms = {path.rsplit("/", 1)[0] for path in calls("execute") | calls("executemany")}
    assert rooms == {"archiver/catalog"}


def test_every_path_in_a_document_exists() -> None:
    missing = [
        f"{name(document)}: {path}"
        for document in DOCUMENTS
        for path in PATH.findall(document.read_text())
        if not any(os.path.exists(top / path) for top in (TOP, TOP / "archiver"))
    ]
    assert missing == []


def test_a_path_that_does_not_exist_is_found() -> None:
    assert PATH.findall("`archiver/nowhere/x.py` `tests/no.py::test_x[a]` `store/x` `a/b`") == [
        "archiver/nowhere/x.py",
        "tests/no.py",
    ]
