"""Make the configuration that fits: the default one with its [[source]] filled in. Pure."""

import re

from archiver.archives.names import NAME
from archiver.setup.syslogconf.reading import SyslogConfig
from archiver.setup.syslogconf.routes import MailFile, logs
from archiver.setup.syslogconf.selectors import spelt

SOURCE = re.compile(r"(?s)\[\[source\]\].*?\n(?=\n)")


def fitted(default: str, reading: SyslogConfig) -> str:
    """Return the text of a configuration. default: the commented one that is shipped.

    If no mail log was found, only the host's name and FreeBSD's directory are filled in.
    """
    text = default
    if re.fullmatch(NAME, reading.host):
        text = _set(text, "name", _quoted(reading.host), "the name of this machine")
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
    blocks[0] = _findings(reading) + blocks[0]
    return text[: block.start()] + "\n".join(blocks) + text[block.end() :]


def _findings(reading: SyslogConfig) -> str:
    """Return what the files say, as comments above the first source."""
    chosen = [log.path for log in reading.mail_logs]
    rows = [f"Found for {reading.daemon}, in {', '.join(reading.files[:5])}:"]
    for log in logs(reading.routes):
        levels = spelt(log.levels) if log.levels else "some messages, or perhaps none"
        shared = ", among other things" if log.shared else ""
        use = "" if log.path in chosen else "; not archived: the other files hold what is needed"
        rows += [f"  {log.path}: mail, {levels}{shared}{use}"]
        rows += [f"    {route.where}: {route.where.text}" for route in log.routes]
    if len(chosen) > 1:
        rows += ["No single file holds all of it, so there are several sources."]
    if any(log.shared for log in reading.mail_logs):
        rows += ["No file is for mail alone: what else is in it is archived, too."]
    return "".join(f"# {_plain(row)}\n" for row in rows)


def _source(block: str, log: MailFile, name: str, reading: SyslogConfig, *, whole: bool) -> str:
    """Fill in a [[source]]. whole: keep its comment lines."""
    rules = ", ".join(str(route.where) for route in log.routes if route.match.mail)
    block = _set(block, "name", _quoted(name), "")
    block = _set(block, "path", _quoted(log.path), rules)
    block = _set(block, "reopen", _quoted(reading.reopen), reading.reopen_why)
    for key, (value, where) in log.routes[0].modes.items():
        if key == "mode" and re.fullmatch(r"0?[2-7][0-7]{2}", value):
            block = _set(block, key, f"0o{value.lstrip('0')}", str(where))
        elif key != "mode" and re.fullmatch(r"[A-Za-z_][\w.-]*\$?", value, re.ASCII):
            block = _set(block, key, _quoted(value), str(where))
    if not whole:
        block = "".join(row for row in block.splitlines(True) if not row.startswith("#"))
    return block


def _set(text: str, key: str, value: str, why: str) -> str:
    """Set the first such key, even if commented out, and put the reason into a comment after it."""
    comment = f"  # {_plain(why)}" if why else ""
    row = f"{key} = {value}".ljust(34 if why else 0) + comment
    return re.sub(rf"(?m)^(?:# )?{key} = .*$", lambda _: row, text, count=1)


def _name(log: MailFile, taken: list[str]) -> str:
    """Name the first source `maillog`, as everywhere, and the others after their files."""
    if not taken:
        return "maillog"
    name = re.sub(r"[^A-Za-z0-9._-]", "-", log.path.rpartition("/")[2]).lstrip("._-")[:60] or "log"
    return next(n for n in (name, *(f"{name}-{k}" for k in range(2, 99))) if n not in taken)


def _quoted(text: str) -> str:
    """Quote a text as TOML does. It is printable: `file_of` refuses other names."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """Make a text from another file safe in a comment: no control character can end the line."""
    return "".join(c if c.isprintable() else "?" if c != "\t" else " " for c in text)[:300]
