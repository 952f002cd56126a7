"""Read what strace wrote.

strace prints a call on one line, or, when another thread comes between, on two:
`name(args <unfinished ...>` and `<... name resumed>args) = result`. Counting follows
`when=` of strace 6.1, as measured: each thread and each process counts its own calls of
each name, from the moment at which it was attached to or came into being.
"""

import os.path
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

BEGUN = re.compile(r"(\d+)\s+(\w+)\((.*)$")
RESUMED = re.compile(r"(\d+)\s+<\.\.\. (\w+) resumed>(.*)$")
UNFINISHED = " <unfinished ...>"
ENDED = re.compile(r"(.*)\)\s+= (.+)$")
# An open file with its path, as -y shows it, or a string.
PLACE = re.compile(r'(?:AT_FDCWD|\b\d+)<([^>]*)>|"((?:[^"\\]|\\.)*)"')
# These take a directory and a name in it.
TAKES_NAME = re.compile(r"at2?$|statx$")


@dataclass(frozen=True)
class Call:
    """One system call.

    k: the how-manieth of its name this is for its thread. entered, left: the lines of the
    trace on which it began and returned, so that `a.left < b.entered` means a was over.
    """

    pid: int
    name: str
    args: str
    k: int
    entered: int
    left: int
    result: str = "?"

    @property
    def ok(self) -> bool:
        return not self.result.startswith(("-1", "?"))

    @property
    def paths(self) -> list[str]:
        """The absolute paths that a call traced with -y names."""
        if (match := PLACE.match(self.args)) and match[1] and not TAKES_NAME.search(self.name):
            return [match[1]]
        places: list[str] = []
        directory = ""
        for match in PLACE.finditer(self.args):
            if match[2] is None:
                directory = match[1]
                places.append(directory)
            elif directory and places[-1] == directory:
                places[-1] = os.path.normpath(os.path.join(directory, match[2]))
                directory = ""
            else:
                places.append(match[2])
        return places

    def __str__(self) -> str:
        return f"{self.name}({self.args}) = {self.result}"


def read(lines: Iterable[str]) -> list[Call]:
    """Return the calls in the order in which they began."""
    calls: list[Call] = []
    counts: Counter[tuple[int, str]] = Counter()
    open_calls: dict[tuple[int, str], int] = {}
    for number, line in enumerate(lines):
        text = line.rstrip("\n")
        if begun := BEGUN.match(text):
            pid, name, rest = int(begun[1]), begun[2], begun[3]
            counts[pid, name] += 1
            ended = ENDED.match(rest)
            args = ended[1] if ended else rest.removesuffix(UNFINISHED)
            if ended is None:
                open_calls[pid, name] = len(calls)
            result = ended[2] if ended else "?"
            calls.append(Call(pid, name, args, counts[pid, name], number, number, result))
        elif resumed := RESUMED.match(text):
            index = open_calls.pop((int(resumed[1]), resumed[2]), None)
            ended = ENDED.match(resumed[3])
            if index is not None and ended:
                call = calls[index]
                args = call.args + ended[1]
                calls[index] = replace(call, args=args, left=number, result=ended[2])
    return calls


def after(calls: list[Call], mark: str) -> list[Call]:
    """Return the calls that follow the one that asks for `mark`."""
    at = next(
        (n for n, call in enumerate(calls) if call.name == "access" and mark in call.args), -1
    )
    if at < 0:
        raise ValueError(f"{mark} does not occur in the trace")
    return calls[at + 1 :]
