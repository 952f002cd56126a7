"""The manifest: what an archive holds, its digests, and the link to the manifest before it.

Pure. One JSON document per archive, and per day without lines; docs/format.md
specifies every field. The next manifest of the same host and source holds the SHA-256
of this one's bytes as `previous`: so nothing before a manifest can be removed or
changed unnoticed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from archiver.archives.names import (
    ARCHIVE_SUFFIX,
    DATE,
    INDEX_SUFFIX,
    MANIFEST_SUFFIX,
    NAME,
    date_prefix,
)
from archiver.errors import NewerVersionError
from archiver.system.zone import compact, parse_rfc3339, rfc3339

SCHEMA = 1
TOOL = "maillog-archiver"
KIND = r"[a-z][a-z0-9-]{0,63}"
DIGEST = r"[0-9a-f]{64}"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Frame:
    """One frame of an archive.

    offset, size: bytes in the archive. raw_size: bytes of log. lines: how many lines end in
    it. first, last: the earliest and latest instant in force in it. before, newest: the
    clock's state (`maillog.clock.State`) before it. continues: it begins in the middle of a
    line.
    """

    offset: int
    size: int
    raw_size: int
    lines: int
    first: int
    last: int
    before: int
    newest: int
    continues: bool = False


@dataclass(frozen=True)
class Segment:
    """The closed piece of log that an archive was made from.

    name: unique for its host and source. origin: "run" or "import". path: where the log lay.
    written: the instant at which it was rotated, or its file last written. sha256: of the whole
    segment. part, parts: which of the segment's archives (one per log date) this is, from 1.
    """

    name: str
    origin: str
    path: str
    written: int
    sha256: str
    part: int = 1
    parts: int = 1


@dataclass(frozen=True)
class Manifest:
    """What one archive holds, or that one day had no lines (archive size 0, no segment).

    first_line: the instant of the first line, which is part of the archive's name. earliest,
    latest: the instants of any line; where lines stand out of order, the first line need not be
    the earliest. raw_size, raw_sha256: of the log; size, sha256: of the archive. level: of zstd.
    All instants are whole seconds since 1970 UTC; all sizes are bytes.
    """

    host: str
    source: str
    date: date
    timezone: str
    sequence: int
    previous: str | None
    first_line: int
    earliest: int
    latest: int
    lines: int
    raw_size: int
    raw_sha256: str
    size: int
    sha256: str
    level: int
    frames: tuple[Frame, ...]
    segment: Segment | None
    sealed_at: int
    tool_version: str

    @property
    def is_empty_day(self) -> bool:
        return self.segment is None

    @property
    def stem(self) -> str:
        """The key of the archive and its companions, without their suffixes."""
        name = f"{self.source}-{compact(self.first_line)}-{self.sequence:06d}"
        return f"{date_prefix(self.host, self.source, self.date)}{name}"

    @property
    def archive_key(self) -> str:
        return self.stem + ARCHIVE_SUFFIX

    @property
    def manifest_key(self) -> str:
        return self.stem + MANIFEST_SUFFIX

    @property
    def index_key(self) -> str:
        return self.stem + INDEX_SUFFIX


@dataclass(frozen=True)
class Head:
    """The newest manifest of a host's source, which the next one is chained to."""

    sequence: int = 0
    digest: str | None = None


def digest(document: bytes) -> str:
    """Return a manifest's SHA-256 in hex, which the next one of the chain holds as `previous`."""
    return hashlib.sha256(document).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as the JSON document that is stored."""
    segment = manifest.segment
    document = {
        "schema": SCHEMA,
        "kind": "empty-day" if segment is None else "archive",
        "host": manifest.host,
        "source": manifest.source,
        "date": manifest.date.isoformat(),
        "timezone": manifest.timezone,
        "sequence": manifest.sequence,
        "previous": manifest.previous,
        "first_line": rfc3339(manifest.first_line),
        "earliest": rfc3339(manifest.earliest),
        "latest": rfc3339(manifest.latest),
        "lines": manifest.lines,
        "raw": {"size": manifest.raw_size, "sha256": manifest.raw_sha256},
        "archive": segment
        and {"size": manifest.size, "sha256": manifest.sha256, "level": manifest.level},
        "segment": segment
        and {
            "name": segment.name,
            "origin": segment.origin,
            "path": segment.path,
            "written": rfc3339(segment.written),
            "sha256": segment.sha256,
            "part": segment.part,
            "parts": segment.parts,
        },
        "frames": [
            {
                "offset": frame.offset,
                "size": frame.size,
                "raw_size": frame.raw_size,
                "lines": frame.lines,
                "first": rfc3339(frame.first),
                "last": rfc3339(frame.last),
                "before": rfc3339(frame.before),
                "newest": rfc3339(frame.newest),
                "continues": frame.continues,
            }
            for frame in manifest.frames
        ],
        "sealed_at": rfc3339(manifest.sealed_at),
        "tool": {"name": TOOL, "version": manifest.tool_version},
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def decode(document: bytes) -> Manifest:
    """Read what `encode` wrote; unknown fields are ignored.

    Raises: ValueError: not a manifest, or one that contradicts itself. NewerVersionError: it is of
    a later schema.
    """
    try:
        fields = json.loads(document.decode(), parse_constant=_refuse_constant)
        if type(fields["schema"]) is int and SCHEMA < fields["schema"] < 2**63:
            raise NewerVersionError(f"a manifest of schema {fields['schema']}")
        if fields["schema"] is not SCHEMA:
            raise ValueError(f"schema {fields['schema']!r} is not {SCHEMA}")
        manifest = _decode(fields)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a manifest: {error!r}") from error
    _check(manifest)
    return manifest


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _decode(fields: Mapping[str, Any]) -> Manifest:
    segment, archive, tool = fields["segment"], fields["archive"], fields["tool"]
    kinds = {"archive": (True, True), "empty-day": (False, False)}
    kind = _text(fields["kind"])
    if kind not in kinds and re.fullmatch(KIND, kind):
        raise NewerVersionError(f"a manifest of kind {kind!r}")
    if kinds.get(kind) != (segment is not None, archive is not None):
        raise ValueError(f"kind {fields['kind']!r} contradicts the other fields")
    _text(tool["name"])
    return Manifest(
        host=_text(fields["host"], NAME),
        source=_text(fields["source"], NAME),
        date=date.fromisoformat(_text(fields["date"], DATE)),
        timezone=_text(fields["timezone"]),
        sequence=_count(fields["sequence"]),
        previous=None if fields["previous"] is None else _text(fields["previous"], DIGEST),
        first_line=_instant(fields["first_line"]),
        earliest=_instant(fields["earliest"]),
        latest=_instant(fields["latest"]),
        lines=_count(fields["lines"]),
        raw_size=_count(fields["raw"]["size"]),
        raw_sha256=_text(fields["raw"]["sha256"], DIGEST),
        size=_count(archive["size"]) if archive else 0,
        sha256=_text(archive["sha256"], DIGEST) if archive else EMPTY_SHA256,
        level=_count(archive["level"]) if archive else 0,
        frames=tuple(_decode_frame(frame) for frame in _list(fields["frames"])),
        segment=_decode_segment(segment) if segment is not None else None,
        sealed_at=_instant(fields["sealed_at"]),
        tool_version=_text(tool["version"]),
    )


def _decode_frame(frame: Mapping[str, Any]) -> Frame:
    if not isinstance(frame["continues"], bool):
        raise TypeError(f"{frame['continues']!r} is neither true nor false")
    return Frame(
        offset=_count(frame["offset"]),
        size=_count(frame["size"]),
        raw_size=_count(frame["raw_size"]),
        lines=_count(frame["lines"]),
        first=_instant(frame["first"]),
        last=_instant(frame["last"]),
        before=_instant(frame["before"]),
        newest=_instant(frame["newest"]),
        continues=frame["continues"],
    )


def _decode_segment(segment: Mapping[str, Any]) -> Segment:
    return Segment(
        name=_text(segment["name"]),
        origin=_text(segment["origin"]),
        path=_text(segment["path"]),
        written=_instant(segment["written"]),
        sha256=_text(segment["sha256"], DIGEST),
        part=_count(segment["part"]),
        parts=_count(segment["parts"]),
    )


def _check(manifest: Manifest) -> None:
    """Raise ValueError unless the frames follow each other and their sizes and lines add up."""
    offset = 0
    for frame in manifest.frames:
        if frame.offset != offset:
            raise ValueError(f"a frame starts at {frame.offset} instead of {offset}")
        offset += frame.size
    sums = (sum(f.raw_size for f in manifest.frames), sum(f.lines for f in manifest.frames))
    if offset > manifest.size or sums != (manifest.raw_size, manifest.lines):
        raise ValueError("the frames do not add up to the archive")
    if manifest.sequence < 1:
        raise ValueError("a chain begins with sequence 1")


def _text(value: object, form: str = r"(?s:.*)") -> str:
    if not isinstance(value, str) or not re.fullmatch(form, value, re.ASCII):
        raise TypeError(f"{value!r} is not text of the right form")
    return value


def _instant(value: object) -> int:
    return parse_rfc3339(_text(value))


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise TypeError(f"{value!r} is not a count")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value
