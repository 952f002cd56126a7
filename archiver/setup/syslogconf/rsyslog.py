"""Read rsyslog.conf in its three styles at once, since distributions mix them.

Pure, except that `include` returns the text of other files.

    mail.*  -/var/log/mail.log                                   a selector, and an action
    & stop                                                       another action, same selector
    $IncludeConfig /etc/rsyslog.d/*.conf                         a directive
    if $syslogfacility-text == 'mail' then { action(type="omfile" file="…") stop }

A first pass makes statements of the text. A second follows the messages through them: those that
reach a `stop` reach nothing that comes after it. What is not understood is noted, never guessed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archiver.setup.syslogconf.conditions import condition
from archiver.setup.syslogconf.routes import ConfigLine, Route, Rules, Unread, file_of
from archiver.setup.syslogconf.selectors import EVERYTHING, NOTHING, UNKNOWN, Match, selected

# Takes a pattern; returns name and text of each file that it means and that can be read.
Include = Callable[[str], Sequence[tuple[str, str]]]
# Bounds for files that include or call each other, or that are nested on purpose.
DEEPEST = 30
MOST_FILES = 500
DEEPEST_CALL, MOST_CALLS = 10, 500
DEFAULT = "RSYSLOG_DefaultRuleset"

BLANK = re.compile(r"(?:\s+|#[^\n]*|/\*.*?\*/)+", re.DOTALL)
DIRECTIVE = re.compile(r"\$(?P<name>\w+)[ \t]*(?P<value>[^\n]*)")
CALL = re.compile(r"(?P<name>[a-z_]+)\s*\(", re.IGNORECASE)
PARAMETER = re.compile(r"""([\w.]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)')""", re.DOTALL)
IF = re.compile(r"if\b", re.IGNORECASE)
THEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\bthen\b|[\w$-]+|.""", re.DOTALL)
ELSE = re.compile(r"else\b", re.IGNORECASE)
# In every style, a filter by facility or level contains one of these.
FACILITY = re.compile(r"facility|severity|pri", re.IGNORECASE)
STOP = re.compile(r"(?:stop\b|~)[ \t]*(?:;\w+)?")
GO_ON = re.compile(r"continue\b")
JUMP = re.compile(r"call[ \t]+(?P<name>[\w.-]+)")
SETS = re.compile(r"""(?:set|unset|reset)\s(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^;"'])*;""")
SELECTOR = re.compile(r"[a-zA-Z0-9*][\w*,]*\.[\w*,;.=!]+(?:(?<=[;,])[ \t]+[\w*][\w*,;.=!]+)*(?=\s)")
PROPERTY = re.compile(r':[ \t]*[\w$!.-]+[ \t]*,[ \t]*!?\w+[ \t]*,?[ \t]*"(?:[^"\\]|\\.)*"')
FILE = re.compile(r"-?/[^\s;{}]*(?:;[^\s{}]+)?")
USERS = re.compile(r"(?!(?:stop|continue)\b)[A-Za-z_][\w,-]*[ \t]*(?=\n|\Z)")
ELSEWHERE = re.compile(r"[@|*^>:?~%][^\n}]*")
# Known blocks and calls that do not send messages anywhere.
SETTINGS = frozenset(
    {
        *("module", "input", "global", "main_queue", "parser", "timezone", "lookup_table"),
        *("template", "property", "constant", "dyn_stats", "percentile_stats", "ratelimit"),
    }
)
# Settings for new files: directives, and parameters of an action or of the module.
MODES = {"fileowner": "owner", "filegroup": "group", "filecreatemode": "mode"}


@dataclass(frozen=True)
class _File:
    route: Route


@dataclass(frozen=True)
class _Stop:
    pass


@dataclass(frozen=True)
class _Jump:
    name: str


@dataclass
class _Filter:
    """match: the facilities and levels that it lets through. picks: it chooses by a message's text
    or program instead.
    """

    match: Match
    picks: bool = False
    then: list["_Statement"] = field(default_factory=list)
    otherwise: list["_Statement"] = field(default_factory=list)


_Statement = _File | _Stop | _Jump | _Filter


def read(name: str, text: str, rules: Rules, include: Include) -> None:
    """Collect the rules of a file and of all that it includes."""
    whole = _Whole(rules, include)
    whole.file(name, text)
    _Flow(whole.rulesets, rules).through(DEFAULT, EVERYTHING)


class _Whole:
    """The state that all files share while they are read."""

    def __init__(self, rules: Rules, include: Include) -> None:
        self.rules = rules
        self.include = include
        self.rulesets: dict[str, list[_Statement]] = {DEFAULT: []}
        self.ruleset = DEFAULT  # the one that statements go into now; $RuleSet changes it
        self.modes: dict[str, tuple[str, ConfigLine]] = {}
        self.open_files: list[str] = []

    def file(self, name: str, text: str) -> None:
        self.rules.files.append(name)
        self.open_files.append(name)
        _Reader(self, name, text).top()
        self.open_files.pop()

    def included(self, pattern: str, where: ConfigLine, *, optional: bool) -> None:
        found = self.include(pattern)
        if not found and not optional and "*" not in pattern and not pattern.endswith("/"):
            self.rules.unread.append(Unread(where, f"{pattern} does not exist, or cannot be read"))
        for name, text in found:
            if name in self.open_files or len(self.rules.files) >= MOST_FILES:
                self.rules.unread.append(
                    Unread(where, f"{name} includes itself, or there are too many files")
                )
            else:
                self.file(name, text)


class _Reader:
    """Reads one file, statement by statement."""

    def __init__(self, whole: _Whole, name: str, text: str) -> None:
        self.whole = whole
        self.name = name
        self.text = text
        self.at = 0
        self.counted = (0, 1)  # a position in the text, and the line that it is in

    def where(self, at: int) -> ConfigLine:
        """Return the line of a position in the text."""
        before, line = self.counted
        line += self.text.count("\n", before, at) if at >= before else 0
        if at < before:
            line = self.text.count("\n", 0, at) + 1
        self.counted = (at, line)
        return ConfigLine(self.name, line, self.text[at : at + 200].split("\n")[0].strip())

    def unread(self, at: int, reason: str) -> None:
        self.whole.rules.unread.append(Unread(self.where(at), reason))

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def rest_of_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def top(self) -> None:
        last: _Filter | None = None
        while True:
            self.take(BLANK)
            if self.at >= len(self.text):
                return
            into = self.whole.rulesets.setdefault(self.whole.ruleset, [])
            last = self.statement(into, last, 0)

    def block(self, into: list[_Statement], depth: int) -> None:
        """Read statements up to the closing brace."""
        begun, last = self.at, None
        while True:
            self.take(BLANK)
            if self.at >= len(self.text):
                self.unread(max(begun - 1, 0), "a brace is not closed")
                return
            if self.text[self.at] == "}":
                self.at += 1
                return
            last = self.statement(into, last, depth)

    def statement(self, into: list[_Statement], last: _Filter | None, depth: int) -> _Filter | None:
        """Read a statement; return its filter, if any. last: the filter before it, for `&`."""
        begun = self.at
        if depth > DEEPEST:
            self.unread(begun, "it is nested too deeply")
            self.at = len(self.text)
            return None
        if found := self.take(DIRECTIVE):
            self.directive(found["name"].lower(), found["value"].strip(), self.where(begun))
            return None
        if self.text[begun] == "&":
            self.at += 1
            self.take(BLANK)
            self.action(into if last is None else last.then, depth)
            return last
        filtered = self.filter(depth)
        if filtered is not None:
            into.append(filtered)
            return filtered
        if self.at == begun:
            self.action(into, depth)
        return None

    def filter(self, depth: int) -> _Filter | None:
        """Read an `if`, a selector or a property filter, with its actions; None: it is another."""
        begun = self.at
        if self.take(IF):
            return self.condition(begun, depth)
        if found := self.take(PROPERTY):
            filtered = _Filter(UNKNOWN, picks=not FACILITY.search(found.group()))
        elif found := self.take(SELECTOR):
            try:
                filtered = _Filter(selected(found.group(), last_counts=False))
            except ValueError as error:
                self.unread(begun, str(error))
                filtered = _Filter(UNKNOWN)
        else:
            return None
        self.take(BLANK)
        if not self.take(USERS):
            self.action(filtered.then, depth)
        return filtered

    def condition(self, begun: int, depth: int) -> _Filter | None:
        start = self.at
        while token := self.take(THEN):
            if token.group().lower() == "then":
                break
        else:
            self.unread(begun, "it is an `if` without `then`")
            self.at = start
            self.rest_of_line()
            return None
        text = self.text[start : token.start()]
        filtered = _Filter(condition(text), picks=not FACILITY.search(text))
        self.branch(filtered.then, depth)
        self.take(BLANK)
        if self.take(ELSE):
            self.branch(filtered.otherwise, depth)
        return filtered

    def branch(self, into: list[_Statement], depth: int) -> None:
        self.take(BLANK)
        if self.at < len(self.text):
            self.statement(into, None, depth + 1)

    def action(self, into: list[_Statement], depth: int) -> None:
        begun = self.at
        if begun >= len(self.text):
            return
        if self.text[begun] == "{":
            self.at += 1
            self.block(into, depth + 1)
        elif self.take(STOP):
            into.append(_Stop())
        elif self.take(GO_ON) or self.take(SETS):
            pass
        elif found := self.take(JUMP):
            into.append(_Jump(found["name"]))
        elif found := self.take(CALL):
            self.call(found["name"].lower(), begun, into, depth)
        elif found := self.take(FILE):
            self.log(found.group().partition(";")[0], begun, self.whole.modes, into)
        elif found := self.take(ELSEWHERE):
            if found.group().startswith("?"):
                self.unread(begun, "a template makes the file's name")
        else:
            self.unread(begun, "it is not a known kind of rule")
            self.rest_of_line()

    def log(
        self,
        path: str,
        begun: int,
        modes: dict[str, tuple[str, ConfigLine]],
        into: list[_Statement],
    ) -> None:
        try:
            file = file_of(path)
        except ValueError as error:
            self.unread(begun, str(error))
            return
        if file is not None:
            into.append(_File(Route(file, NOTHING, self.where(begun), modes=dict(modes))))

    def call(self, kind: str, begun: int, into: list[_Statement], depth: int) -> None:
        """Read `kind(…)`: what is between the parentheses, and the block after it, if any."""
        start = self.at
        while token := self.take(THEN):
            if token.group() == ")":
                break
        else:
            self.unread(begun, "a parenthesis is not closed")
            self.at = start
            self.rest_of_line()
            return
        where = self.where(begun)
        values = {
            name.lower(): one or other
            for name, one, other in PARAMETER.findall(self.text[start : token.start()])
        }
        if kind == "include":
            optional = values.get("mode", "required") == "optional"
            self.whole.included(values.get("file", ""), where, optional=optional)
        elif kind == "ruleset":
            self.take(BLANK)
            body = self.whole.rulesets.setdefault(values.get("name", ""), [])
            if self.text[self.at : self.at + 1] == "{":
                self.at += 1
                self.block(body, depth + 1)
        elif kind == "action":
            self.configured(values, begun, into)
        elif kind in SETTINGS:
            if values.get("load") == "builtin:omfile":
                self.whole.modes |= _modes(values, where)
            self.take(BLANK)
            if kind == "template" and self.text[self.at : self.at + 1] == "{":
                self.at += 1
                self.block([], depth + 1)
        else:
            self.unread(begun, f"`{kind}(…)` is not known")

    def configured(self, values: dict[str, str], begun: int, into: list[_Statement]) -> None:
        if values.get("type", "").removeprefix("builtin:") != "omfile":
            return
        if "file" in values:
            modes = self.whole.modes | _modes(values, self.where(begun))
            self.log(values["file"], begun, modes, into)
        else:
            self.unread(begun, "a template makes the file's name")

    def directive(self, name: str, value: str, where: ConfigLine) -> None:
        if name == "includeconfig":
            self.whole.included(value, where, optional=False)
        elif name == "ruleset":
            self.whole.ruleset = value or DEFAULT
        elif name in MODES:
            self.whole.modes |= _modes({name: value}, where)


def _modes(values: dict[str, str], where: ConfigLine) -> dict[str, tuple[str, ConfigLine]]:
    return {MODES[name]: (values[name], where) for name in values if name in MODES}


class _Flow:
    """Follows messages through the statements, and notes which of them reach which file."""

    def __init__(self, rulesets: dict[str, list[_Statement]], rules: Rules) -> None:
        self.rulesets = rulesets
        self.rules = rules
        self.active: list[str] = []
        self.calls = 0

    def through(self, ruleset: str, flow: Match) -> Match:
        """Return what a ruleset stops, and what thus goes no further. flow: what enters it."""
        self.calls += 1
        if ruleset in self.active or len(self.active) > DEEPEST_CALL or self.calls > MOST_CALLS:
            return NOTHING
        self.active.append(ruleset)
        stopped = self.walk(self.rulesets.get(ruleset, []), flow)
        self.active.pop()
        return stopped

    def walk(self, statements: Sequence[_Statement], flow: Match) -> Match:
        stopped = NOTHING
        for statement in statements:
            left = flow & ~stopped
            if not left.possible:
                break
            if isinstance(statement, _File):
                found = statement.route
                self.rules.routes.append(Route(found.path, left, found.where, modes=found.modes))
            elif isinstance(statement, _Stop):
                stopped |= left
            elif isinstance(statement, _Jump):
                # Whether a `stop` in a called ruleset ends more than the call depends on queues.
                inner = self.through(statement.name, left)
                stopped |= Match(NOTHING.yes, inner.possible)
            else:
                gone = self.walk(statement.then, left & statement.match)
                # That only some program's messages are stopped does not change where mail goes.
                stopped |= Match(gone.yes, gone.yes) if statement.picks else gone
                stopped |= self.walk(statement.otherwise, left & ~statement.match)
        return stopped
