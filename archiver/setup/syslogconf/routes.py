"""Where mail goes: the files that syslogd's rules name, and which of them are the mail log.

Pure. A pipe, another host, a terminal and the users who are logged in are no logs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import normpath

from archiver.setup.syslogconf.selectors import INFO, Match

NEEDED = frozenset(range(INFO + 1))  # nobody misses mail.debug


@dataclass(frozen=True)
class ConfigLine:
    """Something that stands in a file. file: its name, below the root that was looked at."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Unread:
    """A rule, or a file, that is not understood, and why."""

    told: ConfigLine
    reason: str


@dataclass(frozen=True)
class Route:
    """A rule that writes into a file. only: what it is restricted to besides, such as a program.

    owner, group, mode: of a new file, if the rule's syslogd was told; each with its place.
    """

    path: str
    match: Match
    told: ConfigLine
    only: str = ""
    modes: dict[str, tuple[str, ConfigLine]] = field(default_factory=dict, hash=False)


@dataclass
class Rules:
    """What files say, collected while they are read."""

    files: list[str] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


@dataclass(frozen=True)
class MailFile:
    """A file that mail goes into. levels: surely. perhaps: some of it, or under a condition that
    is not understood. shared: with other facilities. routes: the rules that say so.
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
    """Return the fewest files that together hold what is logged of mail, the fullest first.

    Files for mail alone are preferred; one that holds other things too is taken only if mail at
    info or above would be missing otherwise.
    """
    every = [log for log in logs(routes) if log.levels]
    own = [log for log in every if not log.shared]
    reachable = NEEDED & frozenset[int]().union(*(log.levels for log in every))
    if reachable <= frozenset[int]().union(*(log.levels for log in own)):
        return _fewest(own, frozenset())
    return _fewest(every, reachable)


def _fewest(every: Sequence[MailFile], wanted: frozenset[int]) -> tuple[MailFile, ...]:
    """wanted: these levels are enough; none: all that any of the logs holds."""
    wanted = wanted or frozenset[int]().union(*(log.levels for log in every))
    chosen: list[MailFile] = []
    while wanted:
        # The first of equals: an administrator writes the most important rule first.
        best = max(every, key=lambda log: (len(log.levels & wanted), not log.shared))
        if not best.levels & wanted:
            break
        chosen.append(best)
        wanted -= best.levels
    return tuple(chosen)


def file_of(action: str) -> str | None:
    """Return the file that an action means, `/var/log/maillog` or `-/var/log/maillog`; None: it is
    no file but a pipe, another host, a terminal, a device or users.

    Raises: ValueError: it is a file, with a name that a configuration cannot hold.
    """
    path = action.removeprefix("-").strip()
    if not path.startswith("/"):
        return None
    if not path.isprintable():
        raise ValueError("the file's name holds control characters, or is not UTF-8")
    path = re.sub("^/+", "/", normpath(path))
    return None if path == "/dev" or path.startswith("/dev/") else path
