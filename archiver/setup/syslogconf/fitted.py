"""The configuration that fits what was read: the default one, its [[source]] filled in. Pure."""

import re

from archiver.archives.names import NAME
from archiver.setup.syslogconf.reading import SyslogConfig
from archiver.setup.syslogconf.routes import MailFile, logs
from archiver.setup.syslogconf.selectors import spelt

SOURCE = re.compile(r"(?s)\[\[source\]\].*?\n(?=\n)")


def fitted(default: str, reading: SyslogConfig) -> str:
    """Return the text of a configuration. default: the commented one that is shipped.

    Without a log of mail it is the default one, but for what else is known.
    """
    text = default
    if re.fullmatch(NAME, reading.host):
        text = _set(text, "name", _quoted(reading.host), "as this machine is called")
    if reading.freebsd:
        text = _set(text, "state_dir", '"/var/db/archiver"', "as is usual on FreeBSD")
    found = reading.mail_logs
    if not found:
        return text
    directory = found[0].path.rpartition("/")[0] or "/"
    spool = f"{directory.rstrip('/')}/.archiver"
    text = _set(text, "spool_dir", _quoted(spool), "on the log's own file system")
    block = SOURCE.search(text)
    if block is None:
        return text
    names: list[str] = []
    blocks = []
    for number, log in enumerate(found):
        names.append(_name(log, names))
        blocks.append(_source(block.group(), log, names[-1], reading, whole=number == 0))
    blocks[0] = _told(reading) + blocks[0]
    return text[: block.start()] + "\n".join(blocks) + text[block.end() :]


def _told(reading: SyslogConfig) -> str:
    """Say what the files said, as comments above the first source."""
    chosen = [log.path for log in reading.mail_logs]
    rows = [f"Found for {reading.daemon}, in {', '.join(reading.files[:5])}:"]
    for log in logs(reading.routes):
        levels = spelt(log.levels) if log.levels else "some, or only perhaps"
        shared = ", among other things" if log.shared else ""
        use = "" if log.path in chosen else "; not archived, for what is needed is in the others"
        rows += [f"  {log.path}: mail, {levels}{shared}{use}"]
        rows += [f"    {route.told}: {route.told.text}" for route in log.routes]
    if len(chosen) > 1:
        rows += ["No one of the files holds all of it: so there are several sources."]
    if any(log.shared for log in reading.mail_logs):
        rows += ["No file is for mail alone: what else is in it is archived with it."]
    return "".join(f"# {_plain(row)}\n" for row in rows)


def _source(block: str, log: MailFile, name: str, reading: SyslogConfig, *, whole: bool) -> str:
    """Fill in a [[source]]. whole: with all its comments; else what is needed alone."""
    told = ", ".join(str(route.told) for route in log.routes if route.match.mail)
    block = _set(block, "name", _quoted(name), "")
    block = _set(block, "path", _quoted(log.path), told)
    block = _set(block, "reopen", _quoted(reading.reopen), reading.told_by)
    for key, (value, where) in log.routes[0].modes.items():
        if key == "mode" and re.fullmatch(r"0?[2-7][0-7]{2}", value):
            block = _set(block, key, f"0o{value.lstrip('0')}", str(where))
        elif key != "mode" and re.fullmatch(r"[A-Za-z_][\w.-]*\$?", value, re.ASCII):
            block = _set(block, key, _quoted(value), str(where))
    if not whole:
        block = "".join(row for row in block.splitlines(True) if not row.startswith("#"))
    return block


def _set(text: str, key: str, value: str, why: str) -> str:
    """Set the first such key, be it in a comment, and say why behind it."""
    comment = f"  # {_plain(why)}" if why else ""
    row = f"{key} = {value}".ljust(34 if why else 0) + comment
    return re.sub(rf"(?m)^(?:# )?{key} = .*$", lambda _: row, text, count=1)


def _name(log: MailFile, taken: list[str]) -> str:
    """Name the first source as everywhere, and others as their files."""
    if not taken:
        return "maillog"
    name = re.sub(r"[^A-Za-z0-9._-]", "-", log.path.rpartition("/")[2]).lstrip("._-")[:60] or "log"
    return next(n for n in (name, *(f"{name}-{k}" for k in range(2, 99))) if n not in taken)


def _quoted(text: str) -> str:
    """As TOML has it; what is not printable never comes here."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """Make a comment of what somebody else wrote: no control character ends it."""
    return "".join(c if c.isprintable() else "?" if c != "\t" else " " for c in text)[:300]
