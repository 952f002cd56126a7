"""Read the names of logs in newsyslog.conf and logrotate.conf.

Pure: texts in, entries out. A text is read as far as it is understood, and never raises an error:
half of a damaged file still names logs that somebody else rotates.

    newsyslog.conf(5)   logfilename [owner:group] mode count size when flags [pidfile] [signal]
                        <include> PATTERN
    logrotate(8)        NAME "NAME WITH BLANKS" … { keywords }
                        include FILE or DIRECTORY
"""

import fnmatch
import os
import re
from dataclasses import dataclass, field

# newsyslog.c: an unescaped # ends the line, and \# is a #.
COMMENT = re.compile(r"(?<!\\)#.*")
# logrotate's config.c, "taboo extensions": such files in an included directory are not read.
TABOO: tuple[str, ...] = (
    "*,v", "*.bak", "*.cfsaved", "*.disabled", "*.dpkg-bak", "*.dpkg-del", "*.dpkg-dist",
    "*.dpkg-new", "*.dpkg-old", "*.dpkg-tmp", "*.rhn-cfg-tmp-*", "*.rpmnew", "*.rpmorig",
    "*.rpmsave", "*.swp", "*.ucf-dist", "*.ucf-new", "*.ucf-old", "*~", "*.cfsaved",
)  # fmt: skip
SCRIPTS = frozenset({"firstaction", "lastaction", "postrotate", "preremove", "prerotate"})
GLOB = re.compile(r"[*?[]")
NAMES_BEGIN = frozenset("/\"'~")


@dataclass(frozen=True)
class Named:
    """A log that a configuration names. line: from 1. pattern: the name may hold wildcards.

    directory: where its rotated files go, if not beside it; relative to the log.
    """

    name: str
    line: int
    pattern: bool = False
    directory: str = ""

    def is_for(self, path: str) -> bool:
        """Whether this is about the log of that path. It need not exist."""
        return matches(path, self.name) if self.pattern else os.path.normpath(self.name) == path


@dataclass
class Read:
    """The logs that a text names, and the files that it includes: pattern, and its line.

    taboo: patterns of files in included directories that are not read.
    """

    named: list[Named] = field(default_factory=list)
    includes: list[tuple[str, int]] = field(default_factory=list)
    taboo: tuple[str, ...] = TABOO


def matches(path: str, pattern: str) -> bool:
    """Whether glob(3) could find the path by the pattern: component by component."""
    wanted, given = pattern.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        fnmatch.fnmatchcase(name, part.replace("[^", "[!"))
        # A leading dot is only matched by a dot.
        and (part.startswith(".") or not name.startswith("."))
        for name, part in zip(given, wanted, strict=True)
    )


# -- newsyslog ----------------------------------------------------------------------------


def newsyslog(text: str) -> Read:
    """Read a newsyslog.conf(5). A name is a pattern if the flags hold a G."""
    found = Read()
    for number, row in enumerate(text.split("\n"), start=1):
        fields = COMMENT.sub("", row).replace("\\#", "#").split()
        if not fields or fields[0].lower() == "<default>":
            continue
        if fields[0].lower() == "<include>":
            found.includes += [(name, number) for name in fields[1:2]]
            continue
        found.named.append(Named(fields[0], number, pattern="G" in _flags(fields).upper()))
    return found


def _flags(fields: list[str]) -> str:
    """Return the field of flags; "" if it is `-` or missing."""
    rest = fields[1:]
    # owner:group, or owner.group as it was once written, may stand before the mode.
    if rest and not rest[0].isdecimal():
        rest = rest[1:]
    return rest[4] if len(rest) > 4 and rest[4].isalpha() else ""


# -- logrotate ----------------------------------------------------------------------------


def logrotate(text: str) -> Read:
    """Read a logrotate.conf, or a file that it includes. All names are patterns."""
    return _Logrotate(text).read()


class _Logrotate:
    """Walks the text as logrotate's config.c does: a line begins with a keyword, or with names,
    which go on until a brace opens.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = Read()
        # Where the names of the open block begin in found.named; None outside a block.
        self.block: int | None = None
        # The olddir of the open block, and the one outside of blocks.
        self.directory = ""
        self.default_directory = ""

    def read(self) -> Read:
        while self.at < len(self.text):
            char = self.text[self.at]
            if char.isspace() or char == "{":
                self.at += 1
            elif char == "}":
                self.close()
                self.at += 1
            elif char in NAMES_BEGIN and self.block is None:
                self.names()
            elif char.isalpha():
                self.keyword(self.rest_of_line())
            else:
                self.rest_of_line()
        self.close()
        return self.found

    def rest_of_line(self) -> str:
        """Return the rest of the line, and go on behind it."""
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = end
        return line

    def names(self) -> None:
        end = self.text.find("{", self.at)
        end = len(self.text) if end < 0 else end
        self.block, self.directory = len(self.found.named), self.default_directory
        line = self.text.count("\n", 0, self.at) + 1
        for row in self.text[self.at : end].split("\n"):
            if not row.lstrip().startswith("#"):
                named = [Named(name, line, pattern=True) for name in words(row)]
                self.found.named += named
            line += 1
        self.at = end + 1

    def keyword(self, row: str) -> None:
        word, *rest = words(row) or [""]
        word, equals, value = word.partition("=")
        argument = value if equals and value else next((each for each in rest if each != "="), "")
        if word in SCRIPTS:
            ends = re.compile(r"^[ \t]*endscript\b", re.MULTILINE).search(self.text, self.at)
            self.at = ends.end() if ends else len(self.text)
        elif word == "include" and self.block is None and argument:
            line = self.text.count("\n", 0, self.at) + 1
            self.found.includes.append((argument, line))
        elif word in {"olddir", "noolddir"}:
            self.directory = argument if word == "olddir" else ""
            if self.block is None:
                self.default_directory = self.directory
        elif word in {"tabooext", "taboopat"}:
            self.found.taboo = _taboo(word, [each for each in rest if each], self.found.taboo)

    def close(self) -> None:
        """End the block: its olddir holds for all its names."""
        if self.block is not None and self.directory:
            self.found.named[self.block :] = [
                Named(named.name, named.line, named.pattern, self.directory)
                for named in self.found.named[self.block :]
            ]
        self.block = None


def _taboo(word: str, rest: list[str], before: tuple[str, ...]) -> tuple[str, ...]:
    """Return the patterns after `tabooext [+] LIST` or `taboopat [+] LIST`."""
    adds = rest[:1] == ["+"]
    given = [each for row in (rest[1:] if adds else rest) for each in row.split(",") if each]
    new = tuple(f"*{each}" if word == "tabooext" else each for each in given)
    return before + new if adds else new


def words(row: str) -> list[str]:
    """Split into words as popt(3) does: quotes of both kinds, and backslashes."""
    found: list[str] = []
    word, quote, escaped = "", "", False
    inside = False
    for char in row:
        if escaped:
            word, escaped = word + char, False
        elif char == "\\":
            escaped = inside = True
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "\"'":
            quote, inside = char, True
        elif char.isspace():
            found += [word] if inside else []
            word, inside = "", False
        else:
            word, inside = word + char, True
    return [*found, word] if inside else found
