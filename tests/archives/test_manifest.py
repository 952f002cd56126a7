"""The manifest: what is stored is what was meant, never changes its form by accident, and a
document that is none is a ValueError, whatever became of it.
"""

import copy
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.archives.manifest import (
    EMPTY_SHA256,
    Frame,
    Manifest,
    Segment,
    decode,
    digest,
    encode,
)
from archiver.errors import NewerVersionError
from archiver.system.zone import day_start, local_date
from tests import DATA, TOP

GOLDEN = (DATA / "manifest.json").read_bytes()
ROME = ZoneInfo("Europe/Rome")
# Two frames of one part of a log that was rotated twice at once: every field has its own value.
FIXED = Manifest(
    host="mx1.example.org",
    source="maillog",
    date=date(2026, 11, 20),
    timezone="Europe/Rome",
    sequence=42,
    previous=hashlib.sha256(b"previous").hexdigest(),
    first_line=1795190591,
    earliest=1795190590,
    latest=1795215604,
    lines=7,
    raw_size=1003,
    raw_sha256=hashlib.sha256(b"raw").hexdigest(),
    size=405,
    sha256=hashlib.sha256(b"archive").hexdigest(),
    level=10,
    frames=(
        Frame(0, 180, 303, 4, 1795190591, 1795200000, 1795190592, 1795190593),
        Frame(180, 200, 700, 3, 1795190590, 1795215604, 1795200001, 1795200002, continues=True),
    ),
    segment=Segment(
        name="20261120T230500Z-000-f9edd1",
        origin="run",
        path='/var/log/mail "log" é',
        written=1795215900,
        sha256=hashlib.sha256(b"segment").hexdigest(),
        part=2,
        parts=3,
    ),
    sealed_at=1795215901,
    tool_version="0.1.0",
)
EMPTY = replace(
    FIXED,
    first_line=1795129200,
    earliest=1795129200,
    latest=1795129200,
    lines=0,
    raw_size=0,
    raw_sha256=EMPTY_SHA256,
    size=0,
    sha256=EMPTY_SHA256,
    level=0,
    frames=(),
    segment=None,
)

# -- any manifest ----------------------------------------------------------------------------

INSTANT = st.integers(0, int(day_start(date(2200, 1, 1), ROME)) - 1)
COUNT = st.integers(0, 2**62)
DIGEST = st.binary(max_size=8).map(lambda data: hashlib.sha256(data).hexdigest())
NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
FRAMES = st.lists(
    st.builds(
        Frame,
        offset=st.just(0),
        size=st.integers(1, 2**32 - 1),
        raw_size=st.integers(1, 2**24),
        lines=st.integers(0, 2**24),
        first=INSTANT,
        last=INSTANT,
        before=INSTANT,
        newest=INSTANT,
        continues=st.booleans(),
    ),
    max_size=5,
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """A manifest as `archive` or `empty days` make it: it does not contradict itself."""
    common: dict[str, Any] = {
        "host": draw(NAME),
        "source": draw(NAME),
        "date": draw(st.dates(date(1970, 1, 2), date(2199, 12, 31))),
        "timezone": draw(st.sampled_from(["Europe/Rome", "UTC", "Pacific/Apia"])),
        "sequence": draw(st.integers(1, 2**62)),
        "previous": draw(st.none() | DIGEST),
        "first_line": draw(INSTANT),
        "earliest": draw(INSTANT),
        "latest": draw(INSTANT),
        "sealed_at": draw(INSTANT),
        "tool_version": draw(st.text(max_size=20)),
    }
    if draw(st.booleans()):
        return replace(EMPTY, **common)
    frames: list[Frame] = []
    for frame in draw(FRAMES):
        frames.append(replace(frame, offset=frames[-1].offset + frames[-1].size if frames else 0))
    parts = draw(st.integers(1, 10_000))
    segment = Segment(
        name=draw(st.text(max_size=40)),
        origin=draw(st.sampled_from(["run", "import"])),
        path=draw(st.text(max_size=40)),
        written=draw(INSTANT),
        sha256=draw(DIGEST),
        part=draw(st.integers(1, parts)),
        parts=parts,
    )
    return replace(
        FIXED,
        **common,
        lines=sum(frame.lines for frame in frames),
        raw_size=sum(frame.raw_size for frame in frames),
        raw_sha256=draw(DIGEST),
        size=sum(frame.size for frame in frames) + draw(st.integers(0, 1000)),
        sha256=draw(DIGEST),
        level=draw(st.integers(1, 22)),
        frames=tuple(frames),
        segment=segment,
    )


@given(manifests())
def test_a_manifest_comes_back_as_it_was(manifest: Manifest) -> None:
    """Archives and empty days; and what is read and written again has the same bytes."""
    document = encode(manifest)
    assert manifest == decode(document)
    assert document == encode(decode(document))
    assert document.endswith(b"}\n")
    assert document.isascii(), "readable in whatever encoding a terminal has"


def test_the_stored_form_is_the_golden_one() -> None:
    """Byte for byte: another program's digests, and the chain's, are taken over these bytes."""
    assert encode(FIXED) == GOLDEN
    assert decode(GOLDEN) == FIXED


def test_the_chain_digest_is_that_of_sha256sum() -> None:
    """`sha256sum tests/data/manifest.json` gave this, and format.md's chain.sh will again."""
    expected = "02755b1d3a091bdf09d415e8ebe9403219f90bb5d2e8bd70288e9756072b344f"
    assert expected == digest(GOLDEN)


# -- keys ------------------------------------------------------------------------------------


def test_keys_tell_host_source_date_and_time() -> None:
    """The archive's, and its manifest's beside it; the time is the first line's, in UTC."""
    stem = "host=mx1.example.org/source=maillog/date=2026-11-20/maillog-20261120T160311Z-000042"
    assert f"{stem}.log.zst" == FIXED.archive_key
    assert f"{stem}.manifest.json" == FIXED.manifest_key
    assert (FIXED.is_empty_day, EMPTY.is_empty_day) == (False, True)
    million = replace(FIXED, sequence=1_234_567, source="a.b_c-d")
    assert million.archive_key.endswith("/a.b_c-d-20261120T160311Z-1234567.log.zst")


@given(
    st.lists(INSTANT, min_size=2, max_size=20, unique=True),
    st.sampled_from(["Europe/Rome", "UTC", "Pacific/Kiritimati", "Etc/GMT+12"]),
)
def test_keys_sort_in_the_order_of_their_first_lines(instants: list[int], zone: str) -> None:
    """Whatever place they have in the chain: an import adds old ones late."""
    at = {
        replace(
            FIXED, first_line=instant, sequence=number, date=local_date(instant, ZoneInfo(zone))
        ).manifest_key: instant
        for number, instant in enumerate(instants, start=1)
    }
    assert sorted(instants) == [at[key] for key in sorted(at)]


# -- docs/format.md --------------------------------------------------------------------------


def specified() -> dict[str, str]:
    """Return each field that format.md specifies, with its type there."""
    text = (TOP / "docs/format.md").read_text("utf-8")
    section = text.partition("\n## The manifest\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z0-9_.\[\]]+)` \| ([^|]+?) \|", section, re.MULTILINE))


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value of a document stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        yield (*place, key)
        if isinstance(item, (dict, list)):
            yield from places(item, (*place, key))


def field(place: tuple[Any, ...]) -> str:
    """Name a place as format.md does: frames[].offset."""
    return ".".join(str(part) for part in place).replace(".0.", "[].").replace(".1.", "[].")


def at(document: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        document = document[key]
    return document


DOCUMENT = json.loads(GOLDEN)
PLACES = {field(place): place for place in places(DOCUMENT) if place[-1] not in {0, 1}}
SPECIFIED = specified()


def test_the_fields_are_those_of_the_format() -> None:
    """Exactly: `raw` and `tool` are specified by what is in them, the rest each by itself."""
    assert SPECIFIED.keys() == PLACES.keys() - {"raw", "tool"}
    assert set(json.loads(encode(EMPTY))) == set(DOCUMENT)


def changed(place: tuple[Any, ...], *value: Any) -> bytes:
    """Return the golden document with another value at a place, or without it."""
    document = copy.deepcopy(DOCUMENT)
    holder = at(document, place[:-1])
    if value:
        holder[place[-1]] = value[0]
    else:
        del holder[place[-1]]
    return json.dumps(document).encode()


def refused(document: bytes) -> bool:
    """Whether decoding raises ValueError, or says that it is newer; anything else ends the test."""
    try:
        decode(document)
    except (ValueError, NewerVersionError):
        return True
    return False


@pytest.mark.parametrize("name", PLACES)
def test_a_missing_field_is_refused(name: str) -> None:
    """None has a default: under one schema, each has always been there."""
    assert refused(changed(PLACES[name]))


ANYTHING: list[Any] = [
    *(None, [], {}, -1, 0, 1, True, False, 1.0, 10**30, math.nan, "", "nonsense", [[]], {"a": 1}),
    *("a" * 64, "A" * 64, "2026-11-20", "20261120", "2026-W47-5", "2026-11-20T16:03:11Z"),
    *("2026-11-20T16:03:11", "2026-11-20T16:03:11+01:00", "2026-11-20T16:03:11.5Z"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "archive", "empty-day"),
]


def fits(kind: str, value: Any) -> bool:
    """Whether a value is of a type of format.md's tables."""
    if value is None:
        return kind.endswith(" or null")
    kind = kind.removesuffix(" or null")
    if isinstance(value, str):
        forms = {
            "text": r".*",
            "digest": r"[0-9a-f]{64}",
            "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
            "`YYYY-MM-DD`": r"\d{4}-\d\d-\d\d",
        }
        return bool(re.fullmatch(forms.get(kind, "(?!)"), value))
    if isinstance(value, bool):
        return kind == "true or false"
    if isinstance(value, int):
        # A JSON integer that RFC 8259, section 6, calls no longer interoperable is none.
        return kind == "count" and 0 <= value < 2**63
    return isinstance(value, list) and kind == "list"


@pytest.mark.parametrize("name", SPECIFIED)
def test_a_field_of_another_type_is_refused(name: str) -> None:
    """As format.md tells its type; null only where it says so, and no true for a 1."""
    for value in ANYTHING:
        if not fits(SPECIFIED[name], value):
            assert refused(changed(PLACES[name], value)), f"{name} = {value!r}"


CONTRADICTIONS = {
    "another schema": ("schema", 2),
    "an archive of an empty day": ("kind", "empty-day"),
    "another kind": ("kind", "index"),
    "no archive for a segment": ("archive", None),
    "no segment for an archive": ("segment", None),
    "no frames": ("frames", []),
    "a gap between frames": ("frames[].offset", 181),
    "more log in a frame": ("frames[].raw_size", 701),
    "more frames than archive": ("archive.size", 379),
    "more lines than in the frames": ("lines", 8),
    "the first of a chain is 1": ("sequence", 0),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_document_that_contradicts_itself_is_refused(what: str) -> None:
    """Each value is of its type, and the whole is no manifest."""
    name, value = CONTRADICTIONS[what]
    assert refused(changed(PLACES[name], value))


@pytest.mark.parametrize(("name", "value"), [("schema", 2), ("schema", 900), ("kind", "index-v2")])
def test_what_a_newer_version_wrote_is_no_damage(name: str, value: object) -> None:
    with pytest.raises(NewerVersionError, match=str(value)):
        decode(changed(PLACES[name], value))


@pytest.mark.parametrize(
    ("name", "value"), [("schema", 0), ("schema", 2**63), ("kind", ""), ("kind", "no kind!")]
)
def test_what_no_version_writes_is_damage(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(changed(PLACES[name], value))


def test_fields_of_later_versions_are_passed_over() -> None:
    """Anywhere in the document: under one schema number, fields are only added."""
    document = copy.deepcopy(DOCUMENT)
    holders = [document, *(at(document, place) for place in places(DOCUMENT))]
    for holder in holders:
        if isinstance(holder, dict):
            holder["later"] = {"than": ["this", 1, None]}
    assert decode(json.dumps(document).encode()) == FIXED


# -- whatever became of it -------------------------------------------------------------------

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(PLACES.values(), key=str)), JSON | st.sampled_from(ANYTHING))
def test_any_value_in_any_place(place: tuple[Any, ...], value: Any) -> None:
    """ValueError, or a manifest that has a key and can be written again."""
    document = changed(place, value)
    if not refused(document):
        manifest = decode(document)
        assert manifest == decode(encode(manifest))
        assert manifest.archive_key.startswith(f"host={manifest.host}/")


@settings(max_examples=300)
@given(st.data())
def test_any_damage_to_the_bytes(data: st.DataObject) -> None:
    """Cut short, overwritten, doubled: ValueError or a manifest, and nothing else."""
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(GOLDEN))] * 2)))
    refused(GOLDEN[:start] + data.draw(st.binary(max_size=20)) + GOLDEN[end:])


UNREADABLE = {
    "nothing": b"",
    "binary": bytes(range(256)),
    "not UTF-8": GOLDEN.replace(b"mx1", b"mx\xff"),
    "a lone surrogate": b'"\xed\xa0\x80"',
    "UTF-16": GOLDEN.decode().encode("utf-16"),
    "a number": b"7",
    "a list": b"[]",
    "null": b"null",
    "nested deeply": b"[" * 200_000,
    "nested deeply in a field": GOLDEN.replace(b"null", b"[" * 200_000 + b"]" * 200_000, 1)
    + b"[" * 200_000,
    "a number of 9999 digits": GOLDEN.replace(b'"lines": 7', b'"lines": ' + b"7" * 9999),
    "two documents": GOLDEN * 2,
    "cut short": GOLDEN[:-3],
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_no_document_is_refused(what: str) -> None:
    """ValueError, which says why in a line, and not RecursionError or UnicodeDecodeError alone."""
    with pytest.raises(ValueError, match=r"^[^\n]{5,}$"):
        decode(UNREADABLE[what])


def test_of_a_doubled_field_the_last_counts() -> None:
    """As in every common reader of JSON (RFC 8259, section 4): nobody sees another one."""
    doubled = GOLDEN.replace(b' "schema": 1', b' "schema": 2,\n "schema": 1')
    assert decode(doubled) == FIXED
    assert refused(GOLDEN.replace(b' "schema": 1', b' "schema": 1,\n "schema": 2'))


def test_every_byte_changes_the_digest() -> None:
    """A manifest cannot be changed without the next one of the chain saying so."""
    before = digest(GOLDEN)
    flipped = (GOLDEN[:n] + bytes([byte ^ 1]) + GOLDEN[n + 1 :] for n, byte in enumerate(GOLDEN))
    digests = [digest(each) for each in flipped]
    assert len(set(digests) | {before}) == len(GOLDEN) + 1
    assert all(one != other for one, other in pairwise(digests))
