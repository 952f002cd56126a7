"""Small JSON documents in the state directory, each written whole or not at all.

What they note is wanted again, but nothing rests on it: one that is gone, damaged, edited by
hand or written by another version counts as never written.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from archiver.system.files import write_whole

Content = TypeVar("Content")


def load(path: Path, read: Callable[[Any], Content]) -> Content | None:
    """Return what `read` makes of the document; None if there is none, or `read` refuses it.

    read: raises ValueError, TypeError, KeyError or AttributeError for what it does not know.
    """
    try:
        return read(json.loads(path.read_bytes()))
    # RecursionError: brackets in brackets, a thousand deep.
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def save(path: Path, document: object) -> None:
    """Raises: OSError."""
    write_whole(path, (json.dumps(document, indent=1) + "\n").encode())
