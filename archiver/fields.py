"""Frozen dataclasses as JSON documents, and back: every field under its own name.

Pure. An instant (seconds since 1970 UTC) is written as RFC 3339, a day as YYYY-MM-DD, a period as
ISO 8601. Fields that are not known are passed over; one that lacks is an error, unless the class
has a default for it: so documents of older and of newer versions can be read.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from archiver.period import Period
from archiver.zone import parse_rfc3339, rfc3339

Instant = Annotated[int, rfc3339]


def as_json(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields as JSON has them."""
    return {name: _written(getattr(value, name), hint) for name, hint in _hints(value.__class__)}


def from_json(kind: Any, document: object) -> Any:
    """Return the instance that a document tells of.

    Raises: ValueError, TypeError: it is not one, in any of many ways.
    """
    if not isinstance(document, Mapping):
        raise TypeError(f"{document!r} is not an object")
    defaults = {field.name for field in fields(kind) if field.default is not MISSING}
    found = {}
    for name, hint in _hints(kind):
        if name in document:
            found[name] = _read(document[name], hint)
        elif name not in defaults:
            raise ValueError(f"there is no {name!r}")
    return kind(**found)


@cache
def _hints(kind: Any) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((field.name, hints[field.name]) for field in fields(kind))


def _written(value: Any, hint: Any) -> Any:
    if value is None:
        return None
    if Instant in (hint, *get_args(hint)):
        return rfc3339(value)
    if isinstance(value, tuple):
        (each, _) = get_args(hint)
        return [_written(part, each) for part in value]
    if isinstance(value, (date, Period)):
        return str(value)
    return as_json(value) if is_dataclass(value) else value


def _read(value: Any, hint: Any) -> Any:
    if get_origin(hint) is UnionType or NoneType in get_args(hint):
        (hint,) = [each for each in get_args(hint) if each is not NoneType]
        if value is None:
            return None
    if hint is Instant:
        return parse_rfc3339(_plain(value, str))
    if get_origin(hint) is tuple:
        (each, _) = get_args(hint)
        return tuple(_read(part, each) for part in _plain(value, list))
    if hint is date:
        return date.fromisoformat(_plain(value, str))
    if hint is Period:
        return Period.parse(_plain(value, str))
    return from_json(hint, value) if is_dataclass(hint) else _plain(value, hint)


def _plain(value: Any, kind: Any) -> Any:
    # A bool is an int, but not here.
    if type(value) is not kind or (kind is int and not -(2**63) <= value < 2**63):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
