"""Secrets by reference: `cred:NAME`, `file:PATH` or `env:NAME` says where one is to be found.

A secret never stands in the configuration, and what stands there in its place by mistake is no
part of any message.
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
# What goes into a header. http.client prints a header that it refuses, and with it the secret.
VISIBLE = re.compile(r"[!-~]+")


def read_reference(table: Table, key: str) -> str:
    """Take where a secret is; a path is relative to the configuration, as others are."""

    def read(text: str) -> str:
        if not REFERENCE.fullmatch(text):
            raise ValueError(
                "it must be cred:NAME, file:PATH or env:NAME, which say where the secret is; "
                "a secret does not stand in this file"
            )
        return absolute(text, table.reader.base)

    return table.checked(key, "", read) or ""


def absolute(reference: str, base: Path) -> str:
    kind, _, name = reference.partition(":")
    return f"file:{os.path.normpath(base / name)}" if kind == "file" else reference


def resolved(reference: str) -> str:
    """Return what a reference leads to: one word of visible ASCII.

    Raises: ValueError: why there is none.
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
        what = "it holds blanks, or several lines, or other than ASCII" if text else "it is empty"
        raise ValueError(what)
    return text


def remedy(reference: str) -> str:
    """What to do where there is none."""
    if reference.startswith("cred:"):
        return "add LoadCredential= for it to the systemd unit, then `systemctl daemon-reload`"
    return "give it to whoever runs the archiver, and to nobody else"


def _content(kind: str, name: str) -> str:
    """Read a file; those of `cred:` lie where systemd puts them (systemd.exec(5), CREDENTIALS)."""
    path = Path(os.environ["CREDENTIALS_DIRECTORY"], name) if kind == "cred" else Path(name)
    with open(path, encoding="ascii") as file:
        return file.read(LONGEST)
