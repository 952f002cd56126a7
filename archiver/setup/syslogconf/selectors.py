"""Which messages a selector such as `*.info;mail.none` means: facilities and levels.

Pure. Two families of syslogd differ where a selector names a facility twice: on FreeBSD only the
last one counts (syslog.conf(5)); sysklogd, rsyslog and GNU inetutils add them up, and subtract
for `!` and `none`.
"""

import re
from dataclasses import dataclass
from functools import cached_property

# syslog(3), RFC 5424 6.2.1. `security` is an old name of auth; on FreeBSD it is one of its own.
FACILITIES = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    "ntp": 12,
    "security": 13,
    "audit": 13,
    "console": 14,
    "alert": 14,
    "clock": 15,
    "mark": 24,
} | {f"local{number}": 16 + number for number in range(8)}
LEVELS = {
    "emerg": 0,
    "panic": 0,
    "alert": 1,
    "crit": 2,
    "err": 3,
    "error": 3,
    "warning": 4,
    "warn": 4,
    "notice": 5,
    "info": 6,
    "debug": 7,
}
LEVEL_NAMES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
MAIL = FACILITIES["mail"]
INFO = LEVELS["info"]
Pair = tuple[int, int]  # facility, level
ALL = frozenset((facility, level) for facility in range(24) for level in range(8))


@dataclass(frozen=True)
class Match:
    """yes: pairs of which all messages match. possible: those of which some may; includes `yes`."""

    yes: frozenset[Pair]
    possible: frozenset[Pair]

    def __and__(self, other: "Match") -> "Match":
        return Match(self.yes & other.yes, self.possible & other.possible)

    def __or__(self, other: "Match") -> "Match":
        return Match(self.yes | other.yes, self.possible | other.possible)

    def __invert__(self) -> "Match":
        return Match(ALL - self.possible, ALL - self.yes)

    @cached_property
    def mail(self) -> frozenset[int]:
        """The levels at which all mail matches."""
        return frozenset(level for facility, level in self.yes if facility == MAIL)

    @cached_property
    def some_mail(self) -> frozenset[int]:
        """The levels at which some mail may match."""
        return frozenset(level for facility, level in self.possible if facility == MAIL)

    @cached_property
    def others(self) -> bool:
        """Whether messages of other facilities may match as well."""
        return any(facility != MAIL for facility, _ in self.possible)


EVERYTHING = Match(ALL, ALL)
NOTHING = Match(frozenset(), frozenset())
# A condition on something other than facility and level: it may match none, some or all messages.
UNKNOWN = Match(frozenset(), ALL)


def exactly(pairs: frozenset[Pair]) -> Match:
    return Match(pairs, pairs)


def selected(selector: str, *, last_counts: bool) -> Match:
    """Return what a selector means. last_counts: of a facility named twice, as on FreeBSD.

    Raises: ValueError: it is not a selector.
    """
    chosen: dict[int, frozenset[int]] = {}
    parts = [part for part in re.split(r"[;\s]+", selector.strip()) if part]
    for part in parts:
        names, point, level = part.rpartition(".")
        if not point:
            raise ValueError(f"{part!r} is not FACILITY.LEVEL")
        numbers = [number for name in names.split(",") for number in _facility(name)]
        for number in numbers:
            before = chosen.get(number, frozenset())
            chosen[number] = _by_bsd(level) if last_counts else _by_linux(level, before)
    if not parts:
        raise ValueError("it has no selector")
    return exactly(frozenset((f, level) for f in chosen for level in chosen[f]) & ALL)


def _facility(name: str) -> range:
    if name == "*":
        return range(24)
    if re.fullmatch(r"\d{1,2}", name, re.ASCII):  # rsyslog takes numbers as well
        number = int(name)
    else:
        number = FACILITIES.get(name.lower(), -1)
    if not 0 <= number <= 24:
        raise ValueError(f"{name!r} is not a facility")
    return range(number, number + 1)


def _level(name: str) -> int:
    if re.fullmatch(r"[0-7]", name, re.ASCII):
        return int(name)
    if name.lower() not in LEVELS:
        raise ValueError(f"{name!r} is not a level")
    return LEVELS[name.lower()]


def _by_bsd(text: str) -> frozenset[int]:
    """Return the levels of `[!][<=>]level`; a more severe level is greater, its number smaller."""
    found = re.fullmatch(r"(!?)([<=>]*)(\S+)", text)
    if found is None:
        raise ValueError(f"{text!r} is not a level")
    inverted, comparison, name = found.groups()
    if name == "*":
        return frozenset(range(8))
    if name.lower() == "none":
        return frozenset()
    number = _level(name)
    signs = comparison or ">="
    levels = frozenset(
        level
        for level in range(8)
        if (level == number and "=" in signs)
        or (level < number and ">" in signs)
        or (level > number and "<" in signs)
    )
    return frozenset(range(8)) - levels if inverted else levels


def _by_linux(text: str, before: frozenset[int]) -> frozenset[int]:
    """Return the levels after one more word, `[!][=]level`. before: the levels before it."""
    found = re.fullmatch(r"(!?)(=?)(\S+)", text)
    if found is None:
        raise ValueError(f"{text!r} is not a level")
    inverted, single, name = found.groups()
    if name in {"*", "none"}:
        return frozenset() if (name == "none") != bool(inverted) else frozenset(range(8))
    number = _level(name)
    levels = frozenset({number} if single else range(number + 1))
    return before - levels if inverted else before | levels


def spelt(levels: frozenset[int]) -> str:
    """Write levels in words: `info and above`, `all levels`, `info, notice`."""
    if len(levels) == 8:
        return "all levels"
    if levels and levels == frozenset(range(max(levels) + 1)):
        return f"{LEVEL_NAMES[max(levels)]} and above" if max(levels) else LEVEL_NAMES[0]
    return ", ".join(LEVEL_NAMES[level] for level in sorted(levels, reverse=True))
