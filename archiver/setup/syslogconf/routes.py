"""Where mail goes: the files that syslogd's rules name, and which of them are the mail log.

Pure. A pipe, another host, a terminal and logged-in users do not count as logs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import normpath

from archiver.setup.syslogconf.selectors import INFO, Match

NEEDED = frozenset(range(INFO + 1))  # all levels but debug, which nobody misses


@dataclass(frozen=True)
class ConfigLine:
    """A line of a file. file: its name, as seen from the root that was looked at. line: from 1."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Unread:
    """A rule that is not understood, or a file that is not read, and why."""

    where: ConfigLine
    reason: str


@dataclass(frozen=True)
class Route:
    """A rule that writes into a file. only: a further restriction, such as to one program.

    modes: "owner", "group" and "mode" of a new file, where they are configured: value and place.
    """

    path: str
    match: Match
    where: ConfigLine
    only: str = ""
    modes: dict[str, tuple[str, ConfigLine]] = field(default_factory=dict, hash=False)


@dataclass
class Rules:
    """What the files say, collected while they are read."""

    files: list[str] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


@dataclass(frozen=True)
class MailFile:
    """A file that mail goes into. levels: those of which it gets all mail. perhaps: those of which
    it may get some. shared: it gets other facilities, too. routes: the rules that say so.
    """

    path: str
    levels: frozenset[int]
    perhaps: frozenset[int]
    shared: bool
    routes: tuple[Route, ...]


def logs(routes: Sequence[Route]) -> tuple[MailFile, ...]:
    """Return the files that mail goes into, or may, in the order of the rules."""
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, []).append(route)
    found = []
    for path, its in by_path.items():
        surely = frozenset[int]().union(*(route.match.mail for route in its if not route.only))
        perhaps = frozenset[int]().union(*(route.match.some_mail for route in its))
        about_mail = tuple(route for route in its if route.match.some_mail)
        if about_mail:
            shared = any(route.match.others for route in its)
            found.append(MailFile(path, surely, perhaps, shared, about_mail))
    return tuple(found)


def mail_logs(routes: Sequence[Route]) -> tuple[MailFile, ...]:
    """Return the fewest files that together hold all logged mail, the fullest first.

    Files for mail alone are preferred. One that is shared is taken only if mail at level info or
    above would be missing otherwise.
    """
    every = [log for log in logs(routes) if log.levels]
    own = [log for log in every if not log.shared]
    reachable = NEEDED & frozenset[int]().union(*(log.levels for log in every))
    if reachable <= frozenset[int]().union(*(log.levels for log in own)):
        return _fewest(own, frozenset())
    return _fewest(every, reachable)


def _fewest(every: Sequence[MailFile], wanted: frozenset[int]) -> tuple[MailFile, ...]:
    """Choose the fewest logs that hold the wanted levels; none wanted: all that any log holds."""
    wanted = wanted or frozenset[int]().union(*(log.levels for log in every))
    chosen: list[MailFile] = []
    while wanted:
        # Of equals, max() takes the first: administrators write the most important rule first.
        best = max(every, key=lambda log: (len(log.levels & wanted), not log.shared))
        if not best.levels & wanted:
            break
        chosen.append(best)
        wanted -= best.levels
    return tuple(chosen)


def file_of(action: str) -> str | None:
    """Return the file of an action, such as `/var/log/maillog` or `-/var/log/maillog`; None: the
    action is a pipe, another host, a terminal, a device or users.

    Raises: ValueError: it is a file whose name cannot stand in a configuration.
    """
    path = action.removeprefix("-").strip()
    if not path.startswith("/"):
        return None
    if not path.isprintable():
        raise ValueError("the file's name holds control characters, or is not UTF-8")
    path = re.sub("^/+", "/", normpath(path))
    return None if path == "/dev" or path.startswith("/dev/") else path
