"""Frozen dataclasses as JSON documents, and back: every field under its own name.

Pure. An instant (seconds since 1970 UTC) is written as RFC 3339, a day as YYYY-MM-DD, a period as
ISO 8601. An unknown field is ignored; a missing one is an error, unless the class has a default
for it. So documents of older and of newer versions can be read.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from functools import cache, partial
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from archiver.policy.period import Period
from archiver.system.zone import parse_rfc3339, rfc3339

Instant = Annotated[int, rfc3339]
Convert = Callable[[Any], Any]


def as_json(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, each as a value that `json` can write."""
    return {name: write(getattr(value, name)) for name, write, _, _ in _fields(value.__class__)}


def from_json(kind: Any, document: object) -> Any:
    """Return the instance of the dataclass `kind` that a document describes.

    Raises: ValueError, TypeError: the document does not describe one.
    """
    if not isinstance(document, dict):
        raise TypeError(f"{document!r} is not an object")
    found = {}
    for name, _, read, is_required in _fields(kind):
        if name in document:
            found[name] = read(document[name])
        elif is_required:
            raise ValueError(f"{name!r} is missing")
    return kind(**found)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Convert, Convert, bool], ...]:
    """Return for each field its name, its writer, its reader, and whether it is required."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        (
            each.name,
            _writer(hints[each.name]),
            _reader(hints[each.name]),
            each.default is MISSING and each.default_factory is MISSING,
        )
        for each in fields(kind)
    )


def _writer(hint: Any) -> Convert:
    if NoneType in get_args(hint):
        write = _writer(_without_none(hint))
        return lambda value: None if value is None else write(value)
    if hint is Instant:
        return rfc3339
    if get_origin(hint) is tuple:
        write = _writer(get_args(hint)[0])
        return lambda value: [write(part) for part in value]
    if get_origin(hint) is Mapping:
        write_under = _writer(get_args(hint)[1])
        return lambda value: {key: write_under(part) for key, part in value.items()}
    if hint in {date, Period}:
        return str
    return as_json if is_dataclass(hint) else lambda value: value


def _reader(hint: Any) -> Convert:
    if NoneType in get_args(hint):
        read = _reader(_without_none(hint))
        return lambda value: None if value is None else read(value)
    if hint is Instant:
        return lambda value: parse_rfc3339(_plain(value, str))
    if get_origin(hint) is tuple:
        read = _reader(get_args(hint)[0])
        return lambda value: tuple([read(part) for part in _plain(value, list)])
    if get_origin(hint) is Mapping:
        read_under = _reader(get_args(hint)[1])
        return lambda value: {key: read_under(part) for key, part in _plain(value, dict).items()}
    if get_origin(hint) is Literal:
        return partial(_one_of, get_args(hint))
    if hint is date:
        return lambda value: date.fromisoformat(_plain(value, str))
    if hint is Period:
        return lambda value: Period.parse(_plain(value, str))
    return partial(from_json, hint) if is_dataclass(hint) else lambda value: _plain(value, hint)


def _without_none(hint: Any) -> Any:
    (other,) = [each for each in get_args(hint) if each is not NoneType]
    return other


def _one_of(words: tuple[str, ...], value: Any) -> Any:
    if value not in words:
        raise ValueError(f"{value!r} is not one of {', '.join(words)}")
    return value


def _plain(value: Any, kind: Any) -> Any:
    # In Python a bool is an int; in these documents it is not.
    if type(value) is not kind or (kind is int and not -(2**63) <= value < 2**63):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
