"""Walk a TOML document table by table, and note every problem with its line.

Keys are taken out of a table; a key that is left over is unknown, which is an error, too.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any

from archiver.archives import names
from archiver.config.toml_lines import Place

NAME = re.compile(names.NAME)
SIZE = re.compile(r"(\d{1,40})\s*(B|KiB|MiB|GiB|kB|KB|MB|GB)?", re.ASCII)
UNITS = {
    None: 1,
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
DURATION = re.compile(r"(\d{1,40}(?:\.\d{1,40})?)\s*(ms|s|m|h|d)?", re.ASCII)
SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
NAME_IN_WORDS = (
    "letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 64 in all"
)
# The types of TOML in words; any other value is a date or a time.
WORDS: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a point",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True)
class Problem:
    line: int
    message: str


def size_in_bytes(text: object) -> int:
    """Read "4MiB", "500 MB" or a plain number of bytes. Raises: ValueError."""
    match = SIZE.fullmatch(str(text))
    if match is None or isinstance(text, (bool, float)):
        raise ValueError(f"{text!r} is not a size such as 64KiB, 4MiB or 1GiB")
    return int(match[1]) * UNITS[match[2]]


def duration_in_seconds(text: object) -> float:
    """Read "30s", "10m", "26h" or a plain number of seconds. Raises: ValueError."""
    match = DURATION.fullmatch(str(text))
    if match is None or isinstance(text, bool):
        raise ValueError(f"{text!r} is not a duration such as 30s, 10m or 26h")
    return float(match[1]) * SECONDS[match[2]]


def clock(text: str) -> time:
    """Read "00:00:05" or "03:30". Raises: ValueError."""
    if not re.fullmatch(r"\d\d:\d\d(:\d\d)?", text, re.ASCII):
        raise ValueError(f"{text!r} is not a time of day such as 00:00:05")
    return time.fromisoformat(text)


def share(text: object) -> float:
    """Read "5%" or "100%": more than 0, at most 1. Raises: ValueError."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,10})?)\s*%", str(text), re.ASCII)
    if match is None or not 0 < float(match[1]) <= 100:
        raise ValueError(f"{text!r} is not a share such as 5%")
    return float(match[1]) / 100


class TomlReader:
    """Collects the problems of a whole document; it never stops at the first.

    lines: of each key. base: the directory that relative paths are relative to.
    """

    def __init__(self, lines: Mapping[Place, int], base: Path) -> None:
        self.lines = lines
        self.base = base
        self.problems: list[Problem] = []

    def problem(self, place: Place, message: str) -> None:
        """Note a problem at the line of its key, or else of the nearest table around that."""
        found = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in self.lines), ())
        self.problems.append(Problem(self.lines.get(found, 1), message))


class Table:
    """One table of the document, whose keys are taken out one by one.

    rest: the keys not taken yet. known: the keys that may be there. faulty: those with a problem.
    """

    def __init__(self, reader: TomlReader, place: Place, rest: dict[str, Any]) -> None:
        self.reader = reader
        self.place = place
        self.rest = dict(rest)
        self.known: list[str] = []
        self.faulty: set[str] = set()

    def problem(self, key: str, message: str) -> None:
        self.faulty.add(key)
        self.reader.problem((*self.place, key), message)

    def clash(self, keys: Sequence[str], message: str) -> None:
        """Note that some keys do not go together, at the first of them that is in the document.

        Not if one of them is wrong by itself: its value is not known then.
        """
        if not self.faulty.intersection(keys):
            present = [key for key in keys if (*self.place, key) in self.reader.lines]
            self.problem((present or keys)[0], message)

    def take(self, key: str, kind: type, default: Any, *, optional: bool = False) -> Any:
        """Take a value of a type; without a default it has to be there, unless it is optional."""
        self.known.append(key)
        if key not in self.rest:
            if default is None and not optional:
                self.problem(key, f"`{self._full(key)}` is missing")
            return default if default is not None or kind is not int or optional else 0
        value = self.rest.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            # Not the value itself: it may be a secret.
            found = WORDS.get(type(value), "a date or a time")
            self.problem(key, f"`{self._full(key)}` must be {WORDS[kind]}, not {found}")
            return default
        return value

    def checked(self, key: str, default: Any, read: Callable[[Any], Any], also: type = str) -> Any:
        """Take a text, or a value of the type `also`, and return what `read` makes of it.

        read: raises ValueError if it is wrong; that is noted, and None returned.
        """
        value = self.rest.get(key, default)
        if type(value) is also:
            self.known.append(key)
            self.rest.pop(key, None)
        else:
            value = self.take(key, str, default)
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            self.problem(key, f"`{self._full(key)}`: {error}")
            return None

    def like(self, key: str, pattern: re.Pattern[str], what: str, default: str | None = "") -> str:
        """Take a text that a pattern matches whole. what: what it has to be, in words."""

        def read(text: str) -> str:
            if not pattern.fullmatch(text):
                raise ValueError(f"{text!r} is not {what}")
            return text

        return self.checked(key, default, read) or ""

    def one_of(self, key: str, known: Sequence[str]) -> str:
        """Take one of some words; the first is the default."""

        def read(text: str) -> str:
            if text not in known:
                raise ValueError(f"{text!r} is not one of {', '.join(map(repr, known))}")
            return text

        return self.checked(key, known[0], read) or known[0]

    def name(self, key: str, default: str | None) -> str:
        """Take a name: a part of file names and of keys in stores."""
        value = self.take(key, str, default)
        if value is not None and not NAME.fullmatch(value):
            self.problem(key, f"`{self._full(key)}`: {value!r} must be {NAME_IN_WORDS}")
        return str(value)

    def path(self, key: str) -> Path:
        """Take a path, relative to the configuration file; return it absolute and normal."""
        value = self.take(key, str, None)
        if value is not None and (not value or "\0" in value):
            self.problem(key, f"`{self._full(key)}` is not a path")
        return Path(os.path.normpath(self.reader.base / (value or "").replace("\0", "")))

    def optional(self, key: str, read: Callable[[Any], Any], also: type = str) -> Any:
        """Return what `read` makes of a value; None if the key is not there."""
        if key in self.rest:
            return self.checked(key, None, read, also)
        self.known.append(key)
        return None

    def optional_path(self, key: str) -> Path | None:
        """Take a path; None if it is empty or not there."""
        if self.rest.get(key, "") == "":
            self.take(key, str, "")
            return None
        return self.path(key)

    def table(self, key: str, *, optional: bool = False) -> "Table":
        return Table(
            self.reader, (*self.place, key), self.take(key, dict, {} if optional else None) or {}
        )

    def tables(self, key: str) -> list["Table"]:
        items = self.take(key, list, None) or []
        if not all(isinstance(item, dict) for item in items):
            self.problem(key, f"`{self._full(key)}` must be written [[{self._full(key)}]]")
            return []
        return [Table(self.reader, (*self.place, key, n), item) for n, item in enumerate(items)]

    def finish(self) -> None:
        """Note each key that is left over, with the known one that it looks most like."""
        for key in self.rest:
            if key in self.known:
                continue
            near = difflib.get_close_matches(key, self.known, n=1)
            self.faulty.update(near)
            suggestion = f"; did you mean `{near[0]}`?" if near else ""
            self.problem(key, f"unknown key `{self._full(key)}`{suggestion}")

    def _full(self, key: str) -> str:
        return ".".join(str(part) for part in (*self.place, key) if not isinstance(part, int))
