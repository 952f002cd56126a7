"""Read /etc/syslog.conf: of FreeBSD's syslogd, of GNU inetutils', and of those between.

Pure. syslog.conf(5) of FreeBSD:

    mail.info       /var/log/maillog      selector, blanks or tabs, action; `-/file`: without fsync
    !ppp            until the next such line: only that program; `!*`: all again
    +host           only that host; `+*`: all again; `#!` and `#+` mean the same
    :msg, contains, "x"                   only such messages; `:*`: all again
    include /etc/syslog.d                 its *.conf files; restrictions do not carry over into them

inetutils joins lines that end in a backslash, and has no comments after a rule.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from archiver.setup.syslogconf.routes import ConfigLine, Route, Rules, Unread, file_of
from archiver.setup.syslogconf.selectors import selected

# Takes a directory; returns the name and text of each of its files, sorted by name.
Include = Callable[[str], Sequence[tuple[str, str]]]
RULE = re.compile(r"(?P<selector>\S+(?:(?<=[;,])[ \t]+\S+)*)[ \t]+(?P<action>[^ \t].*)")
BLOCK = re.compile(r"#?(?P<kind>[!+-])[ \t]*(?P<names>.*)")
INCLUDE = re.compile(r"include[ \t]+(?P<where>/\S+)")
NOT_ESCAPED = re.compile(r"(?<!\\)#.*")


def read(name: str, text: str, rules: Rules, include: Include | None, *, bsd: bool) -> None:
    """Collect the rules of a file. bsd: as FreeBSD reads it. include: None in an included file."""
    rules.files.append(name)
    only: dict[str, str] = {}
    for number, row in _rows(text, joined=not bsd):
        where = ConfigLine(name, number, row[:200])
        if block := _block(row):
            kind, restriction = block
            only[kind] = restriction
        elif row.startswith(":"):
            only[":"] = "" if row[1:].strip() == "*" else f"messages with {row[1:].strip()[:80]}"
        elif not row.startswith("#"):
            bare = NOT_ESCAPED.sub("", row).rstrip() if bsd else row
            if found := INCLUDE.fullmatch(bare):
                if include is None:
                    rules.unread.append(
                        Unread(where, "syslogd ignores an include inside an included file")
                    )
                    continue
                for inner, inner_text in include(found["where"]):
                    read(inner, inner_text, rules, None, bsd=bsd)
            elif bare:
                restricted = ", ".join(each for each in only.values() if each)
                _rule(bare, where, rules, restricted, bsd=bsd)


def _rows(text: str, *, joined: bool) -> Iterator[tuple[int, str]]:
    """Yield lines that are not empty, stripped, each with its number. joined: at backslashes."""
    begun, before = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):
        row = line.strip(" \t\r\f\v")
        if joined and row.endswith("\\") and not row.startswith("#"):
            begun, before = begun or number, before + row[:-1] + " "
            continue
        if row := (before + row).strip():
            yield begun or number, row
        begun, before = 0, ""
    if before.strip():
        yield begun, before.strip()


def _block(row: str) -> tuple[str, str] | None:
    """Return the kind of a line such as `!ppp`, and what it restricts rules to; "": no restriction.

    A rule for all programs but some counts as one for mail: in all files seen so far, the programs
    left out, such as `!-devd`, have nothing to do with mail.
    """
    found = BLOCK.fullmatch(row)
    if found is None or (row.startswith("#") and re.match(r"#[!+-]\S", row) is None):
        return None
    kind, names = found["kind"], found["names"].strip()
    if row.startswith("#") and (" " in names or not names):
        return None  # prose, such as `#- see below`
    if kind == "!":
        restricts = names not in {"*", ""} and not names.startswith("-")
        return "!", f"program {names.removeprefix('+')}" if restricts else ""
    restricts = kind == "+" and names not in {"*", "@", ""}
    return "+", f"host {names}" if restricts else ""


def _rule(row: str, where: ConfigLine, rules: Rules, only: str, *, bsd: bool) -> None:
    found = RULE.fullmatch(row)
    if found is None:
        rules.unread.append(Unread(where, "it is not a selector with an action"))
        return
    try:
        match = selected(found["selector"], last_counts=bsd)
        path = file_of(found["action"])
    except ValueError as error:
        rules.unread.append(Unread(where, str(error)))
        return
    if path is not None:
        rules.routes.append(Route(path, match, where, only))
