"""Frozen dataclasses as JSON documents, and back: every field under its own name.

Pure. An instant (seconds since 1970 UTC) is written as RFC 3339, a day as YYYY-MM-DD, a period as
ISO 8601. Fields that are not known are passed over; one that lacks is an error, unless the class
has a default for it: so documents of older and of newer versions can be read.
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
    """Return a dataclass's fields as JSON has them."""
    return {name: write(getattr(value, name)) for name, write, _, _ in _fields(value.__class__)}


def from_json(kind: Any, document: object) -> Any:
    """Return the instance of a dataclass that a document tells of.

    Raises: ValueError, TypeError: it is not one, in any of many ways.
    """
    if not isinstance(document, dict):
        raise TypeError(f"{document!r} is not an object")
    found = {}
    for name, _, read, is_needed in _fields(kind):
        if name in document:
            found[name] = read(document[name])
        elif is_needed:
            raise ValueError(f"there is no {name!r}")
    return kind(**found)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Convert, Convert, bool], ...]:
    """Return of each field its name, how it is written and read, and whether it must be there."""
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
        each = _writer(get_args(hint)[0])
        return lambda value: [each(part) for part in value]
    if get_origin(hint) is Mapping:
        part = _writer(get_args(hint)[1])
        return lambda value: {key: part(under) for key, under in value.items()}
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
        each = _reader(get_args(hint)[0])
        return lambda value: tuple([each(part) for part in _plain(value, list)])
    if get_origin(hint) is Mapping:
        part = _reader(get_args(hint)[1])
        return lambda value: {key: part(under) for key, under in _plain(value, dict).items()}
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
    # A bool is an int, but not here.
    if type(value) is not kind or (kind is int and not -(2**63) <= value < 2**63):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
