"""What is installed is what is here."""

import tomllib

from tests import TOP


def test_every_package_is_installed() -> None:
    """A package that pyproject.toml does not name is here, and missing where it is installed."""
    named = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    here = {
        ".".join(each.parent.relative_to(TOP).parts) for each in TOP.glob("archiver/**/__init__.py")
    }
    assert here == set(named)
