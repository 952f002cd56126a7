"""Secrets by reference: `cred:NAME`, `file:PATH` or `env:NAME` says where a secret is.

The secret itself never stands in the configuration. If somebody put one there by mistake, no
message repeats it.
"""

import os
import re
from pathlib import Path

from archiver.config.toml_tables import Table

# A credential's name is that of a file in one directory (systemd.exec(5), LoadCredential=).
REFERENCE = re.compile(
    r"(?:cred:(?!\.{1,2}\Z)[ -.0-9;-~]{1,255}|file:[^\0]+|env:[A-Za-z_][A-Za-z0-9_]*)?"
)
LONGEST = 65_536
# A secret goes into a header. http.client prints a header that it refuses, secret and all.
VISIBLE = re.compile(r"[!-~]+")


def read_reference(table: Table, key: str) -> str:
    """Take a reference, or ""; its path is relative to the configuration file, as all paths are."""

    def read(text: str) -> str:
        if not REFERENCE.fullmatch(text):
            raise ValueError(
                "it must be cred:NAME, file:PATH or env:NAME: where the secret is, "
                "never the secret itself"
            )
        return absolute(text, table.reader.base)

    return table.checked(key, "", read) or ""


def absolute(reference: str, base: Path) -> str:
    """Make the path of a `file:` reference absolute; the others stay as they are."""
    kind, _, name = reference.partition(":")
    return f"file:{os.path.normpath(base / name)}" if kind == "file" else reference


def resolved(reference: str) -> str:
    """Return the secret that a reference leads to: one word of visible ASCII.

    Raises: ValueError: it cannot be read, or is not such a word; says why, never what it holds.
    """
    kind, _, name = reference.partition(":")
    try:
        text = os.environ[name] if kind == "env" else _content(kind, name)
    except KeyError as missing:
        raise ValueError(f"{missing.args[0]} is not set") from None
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be read") from None
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    text = text.rstrip("\r\n")
    if not VISIBLE.fullmatch(text):
        reason = "it holds blanks, several lines, or more than ASCII" if text else "it is empty"
        raise ValueError(reason)
    return text


def remedy(reference: str) -> str:
    """Return what to do where `resolved` finds none."""
    if reference.startswith("cred:"):
        return "add LoadCredential= for it to the systemd unit, then `systemctl daemon-reload`"
    return "make it readable for the user who runs the archiver, and for nobody else"


def _content(kind: str, name: str) -> str:
    """Read a file; systemd says where those of `cred:` are (systemd.exec(5), CREDENTIALS)."""
    path = Path(os.environ["CREDENTIALS_DIRECTORY"], name) if kind == "cred" else Path(name)
    with open(path, encoding="ascii") as file:
        return file.read(LONGEST)
