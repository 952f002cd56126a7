"""Which messages rsyslog's `if … then` lets through, as far as that depends on facility and level.

Pure. `$syslogfacility-text == 'mail' and $syslogseverity <= 6`, `prifilt('mail.*')`, `not`, `or`
and parentheses are understood. Anything else, such as `$programname == 'x'`, may be true for any
message.
"""

import operator
import re
from collections.abc import Callable

from archiver.setup.syslogconf.selectors import (
    ALL,
    FACILITIES,
    LEVELS,
    UNKNOWN,
    Match,
    exactly,
    selected,
)

DEEPEST = 30  # parentheses inside one another
TOKEN = re.compile(
    r"""\s+|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>\d{1,9})"""
    r"""|(?P<word>[$A-Za-z_][\w!.$-]*)|(?P<sign>==|!=|<>|<=|>=|[^\s\w'"])""",
    re.DOTALL,
)
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
# Of each property: its place in a Pair (0: facility, 1: level), and the numbers of its names.
PROPERTIES = {
    "$syslogfacility": (0, FACILITIES),
    "$syslogfacility-text": (0, FACILITIES),
    "$syslogseverity": (1, LEVELS),
    "$syslogseverity-text": (1, LEVELS),
    "$syslogpriority": (1, LEVELS),
    "$syslogpriority-text": (1, LEVELS),
}


def condition(text: str) -> Match:
    """Return what a condition means; UNKNOWN if it is not understood. Never raises."""
    words, at = [], 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            return UNKNOWN
        if token.group().strip():
            words.append(token.group())
        at = token.end()
    try:
        reader = _Condition(words)
        meant = reader.either(0)
    except ValueError:
        return UNKNOWN
    return UNKNOWN if reader.words else meant


class _Condition:
    """Takes words from the front. Raises ValueError where it does not understand them."""

    def __init__(self, words: list[str]) -> None:
        self.words = words[::-1]

    def next(self) -> str:
        return self.words[-1].lower() if self.words else ""

    def take(self) -> str:
        if not self.words:
            raise ValueError("it ends too early")
        return self.words.pop()

    def either(self, depth: int) -> Match:
        meant = self.both(depth)
        while self.next() == "or":
            self.take()
            meant |= self.both(depth)
        return meant

    def both(self, depth: int) -> Match:
        meant = self.single(depth)
        while self.next() == "and":
            self.take()
            meant &= self.single(depth)
        return meant

    def single(self, depth: int) -> Match:
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if self.next() == "not":
            self.take()
            return ~self.single(depth + 1)
        if self.next() == "(":
            self.take()
            meant = self.either(depth + 1)
            if self.take() != ")":
                raise ValueError("a parenthesis is missing")
            return meant
        if self.next() == "prifilt":
            opened, selector, closed = (self.take(), self.take(), self.take(), self.take())[1:]
            if (opened, closed) != ("(", ")"):
                raise ValueError("prifilt has no argument")
            return selected(selector[1:-1], last_counts=False)
        return self.comparison()

    def comparison(self) -> Match:
        """PROPERTY SIGN VALUE; or anything else up to the next `and` or `or`, which is unknown."""
        taken = []
        while self.words and self.next() not in {"and", "or", "(", ")"}:
            taken.append(self.take())
        if not taken or self.next() == "(":
            raise ValueError("it is a function call")
        if len(taken) != 3 or taken[0].lower() not in PROPERTIES or taken[1] not in COMPARE:
            return UNKNOWN
        which, names = PROPERTIES[taken[0].lower()]
        value = taken[2].strip("'\"").lower()
        number = int(value) if re.fullmatch(r"\d{1,3}", value, re.ASCII) else names.get(value)
        # `<` and `>` on texts compare letters, not levels.
        ordered = taken[1] in {"==", "!=", "<>"} or not taken[0].lower().endswith("-text")
        if number is None or not ordered:
            return UNKNOWN
        compare = COMPARE[taken[1]]
        return exactly(frozenset(pair for pair in ALL if compare(pair[which], number)))
