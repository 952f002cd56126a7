"""Archives are plain zstd: any decoder gives the log back, and damage never passes for log."""

import hashlib
import io
import itertools
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.archives import reader as reading
from archiver.archives.manifest import Head, Manifest
from archiver.archives.seek_table import (
    FrameSize,
    decode_seek_table,
    encode_seek_table,
    seek_table_size,
)
from archiver.config.settings import Compress
from archiver.errors import Problems
from archiver.rotation import seal
from archiver.rotation.spool import Entry, Intent, Journal
from tests.world.system import need

ROME = ZoneInfo("Europe/Rome")
WRITTEN = int(datetime(2026, 3, 20, tzinfo=UTC).timestamp())
FRAME = 16 * 1024
U32 = st.integers(0, 2**32 - 1)
FRAMES = st.lists(st.builds(FrameSize, U32, U32), max_size=20)
# Whatever a log may hold, and days that change between one line and the next.
PIECES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [
            b"\n",
            b"\n\n\n",
            b"\0\0\0\n",
            b"\xff\xfe invalid \xc3\x28 UTF-8\n",
            b"\x28\xb5\x2f\xfd zstd's own magic number",
            b"endless " * (FRAME // 4) + b"\n",
            b"x" * FRAME,
            b"y" * (FRAME - 1) + b"\n",
        ]
    ),
    st.integers(1, 19).map(lambda day: b"Mar %2d 12:00:00 mx1 qmail: a line\n" % day),
)
LOGS = st.lists(PIECES, min_size=1, max_size=12).map(b"".join).filter(len)


class Sealed:
    """A segment as the nightly run seals it: frames, days, manifests, files in a directory."""

    def __init__(self, directory: Path, log: bytes) -> None:
        journal = Journal(directory, "maillog")
        journal.prepare()
        self.log = log
        self.entry: Entry = journal.begin(Intent("import", "maillog", WRITTEN))
        self.manifests: tuple[Manifest, ...] = seal.seal(
            self.entry,
            io.BytesIO(log),
            seal.Recipe(
                seal.Origin("mx1", "maillog", ROME),
                Compress(level=1, frame_size=FRAME),
                WRITTEN,
            ),
            Head(),
        )

    @cached_property
    def files(self) -> list[Path]:
        """The archives, oldest first."""
        return [self.entry.sealed / Path(each.archive_key).name for each in self.manifests]


class Held:
    """A store with one object, of any bytes."""

    name = "held"
    is_near = True

    def __init__(self, content: bytes) -> None:
        self.content = content

    def put(self, key: str, source: Path, sha256: str) -> None:
        raise NotImplementedError

    def size(self, key: str) -> int | None:
        raise NotImplementedError

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        assert key
        yield self.content[start:] if length is None else self.content[start : start + length]

    def keys(self, prefix: str = "") -> Iterator[str]:
        raise NotImplementedError


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """A small archive of several frames, all of one day."""
    lines = (b"Mar 19 12:%02d:%02d mx1 qmail: a line\n" % divmod(n, 60) for n in range(1200))
    return Sealed(tmp_path, b"".join(lines))


# -- the seek table ------------------------------------------------------------------------


@given(FRAMES, st.binary(max_size=100))
def test_a_table_gives_back_its_frames(frames: list[FrameSize], before: bytes) -> None:
    """Whatever stands before it: a reader fetches the last bytes, not knowing where it begins."""
    table = encode_seek_table(frames)
    assert seek_table_size(len(frames)) == len(table)
    assert tuple(frames) == decode_seek_table(before + table)


@given(FRAMES)
def test_a_decoder_skips_the_table(frames: list[FrameSize]) -> None:
    """It is a skippable frame of RFC 8878, so `zstd -dc` knows nothing of it."""
    content = zstandard.ZstdCompressor().compress(b"log\n")
    decoder = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    expected = b"log\n"
    assert expected == decoder.decompress(content + encode_seek_table(frames))


TABLE = encode_seek_table([FrameSize(100, 1000), FrameSize(70, 700), FrameSize(2**31, 1)])


@pytest.mark.parametrize("length", range(len(TABLE)))
def test_a_table_cut_short_is_refused(length: int) -> None:
    """At whichever byte, in front or behind."""
    for part in (TABLE[:length], TABLE[len(TABLE) - length :]):
        with pytest.raises(ValueError, match="seek table"):
            decode_seek_table(part)


@pytest.mark.parametrize("at", [*range(8), *range(len(TABLE) - 9, len(TABLE))])
def test_a_changed_header_or_footer_is_refused(at: int) -> None:
    """Or, in the two bits of the descriptor that mean nothing, gives the same frames."""
    expected = decode_seek_table(TABLE)
    for change in range(1, 256):
        changed = bytearray(TABLE)
        changed[at] ^= change
        try:
            frames = decode_seek_table(bytes(changed))
        except ValueError:
            continue
        assert expected == frames
        assert (at, change & 0b1111_1100) == (len(TABLE) - 5, 0)


@pytest.mark.parametrize("at", range(8, len(TABLE) - 9))
def test_a_changed_entry_shows_as_another_size(at: int) -> None:
    """Entries carry no checksum: only the comparison with the manifest's frames finds this."""
    changed = bytearray(TABLE)
    changed[at] ^= 0x55
    frames = decode_seek_table(bytes(changed))
    differing = [new != old for new, old in zip(frames, decode_seek_table(TABLE), strict=True)]
    assert sum(differing) == 1


# -- archives ------------------------------------------------------------------------------


def test_the_table_lists_the_frames_of_the_manifest(sealed: Sealed) -> None:
    """An archive without its manifest can still be read from the middle."""
    (manifest,), (file,) = sealed.manifests, sealed.files
    assert len(manifest.frames) > 2
    expected = tuple(FrameSize(frame.size, frame.raw_size) for frame in manifest.frames)
    assert expected == decode_seek_table(file.read_bytes())


def test_every_frame_stands_alone(sealed: Sealed) -> None:
    """Each decompresses from its own offset to its own lines."""
    (manifest,), (file,) = sealed.manifests, sealed.files
    content = file.read_bytes()
    starts = itertools.accumulate((frame.raw_size for frame in manifest.frames), initial=0)
    for frame, start in zip(manifest.frames, starts, strict=False):
        stored = content[frame.offset : frame.offset + frame.size]
        lines = zstandard.ZstdDecompressor().decompress(stored)
        assert sealed.log[start : start + frame.raw_size] == lines
        assert frame.lines == lines.count(b"\n")


def test_a_flipped_byte_never_passes_for_log(tmp_path: Path) -> None:
    """At every byte of an archive: the reader gives the very lines, or a problem and none."""
    sealed = Sealed(tmp_path, b"Mar 19 12:00:00 mx1 qmail: new msg 139804\n" * 3)
    (manifest,), (file,) = sealed.manifests, sealed.files
    content = file.read_bytes()
    harmless = 0
    for at in range(len(content)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(content)
            changed[at] ^= change
            problems = Problems()
            stores = [Held(bytes(changed))]
            part = reading.WantedFrames(manifest, manifest.frames, stores)
            found = list(reading.frames([part], problems))
            if problems:
                assert not found
                continue
            harmless += 1
            assert sealed.log == b"".join(data for _, _, data in found)
    table = 3 * seek_table_size(1)
    assert harmless >= table, "the table is not needed to read"
    assert harmless < table + len(content) / 4, "most damage is found"


@pytest.mark.parametrize("claimed", [0, 1, 2**20, 2**40, 2**63])
def test_a_frame_that_claims_another_size_asks_for_no_memory(sealed: Sealed, claimed: int) -> None:
    """Its header is compared with the manifest before anything is allocated for it."""
    (manifest,), (file,) = sealed.manifests, sealed.files
    first = manifest.frames[0]
    # RFC 8878: a single-segment frame whose content size is spelled out in eight bytes.
    header = b"\x28\xb5\x2f\xfd\xe4" + claimed.to_bytes(8, "little")
    content = header + file.read_bytes()[len(header) :]
    problems = Problems()
    part = reading.WantedFrames(manifest, [first], [Held(content)])
    assert not list(reading.frames([part], problems))
    expected = ["integrity"]
    assert expected == [problem.code for problem in problems]


@settings(max_examples=40, deadline=None)
@given(log=LOGS)
def test_zstd_gives_back_the_log(log: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`zstd -dc` of a segment's archives, day after day, is the segment, byte for byte."""
    zstd = need("zstd")
    sealed = Sealed(tmp_path_factory.mktemp("sealed"), log)
    subprocess.run([zstd, "-tq", *sealed.files], check=True)
    plain = subprocess.run([zstd, "-dcq", *sealed.files], check=True, capture_output=True)
    assert log == plain.stdout
    assert len(log) == sum(manifest.raw_size for manifest in sealed.manifests)
    assert all(frame.raw_size <= FRAME for each in sealed.manifests for frame in each.frames)


def test_several_days_concatenated_are_the_segment(tmp_path: Path) -> None:
    """A missed week comes back from its seven archives, by name order, or as one `cat`."""
    zstd = need("zstd")
    days = range(10, 17)
    log = b"".join(
        b"Mar %d %02d:30:00 mx1 imapd: LOGIN, user=test\n" % (day, hour)
        for day in days
        for hour in range(24)
    )
    sealed = Sealed(tmp_path, log)
    assert [f"2026-03-{day}" for day in days] == [str(each.date) for each in sealed.manifests]
    assert sealed.files == sorted(sealed.files)
    together = b"".join(file.read_bytes() for file in sealed.files)
    plain = subprocess.run([zstd, "-dcq"], input=together, check=True, capture_output=True)
    assert log == plain.stdout
    assert {hashlib.sha256(log).hexdigest()} == {
        manifest.segment.sha256 for manifest in sealed.manifests if manifest.segment
    }


@settings(max_examples=40, deadline=None)
@given(log=LOGS)
def test_the_digests_are_those_of_sha256sum(
    log: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each manifest's digests are its archive's, its log's and its segment's own."""
    sealed = Sealed(tmp_path_factory.mktemp("sealed"), log)
    at = 0
    for manifest, file in zip(sealed.manifests, sealed.files, strict=True):
        part = log[at : at + manifest.raw_size]
        at += len(part)
        content = file.read_bytes()
        assert len(content) == manifest.size
        assert hashlib.sha256(content).hexdigest() == manifest.sha256
        assert hashlib.sha256(part).hexdigest() == manifest.raw_sha256
        assert len(io.BytesIO(part).readlines()) == manifest.lines
        assert manifest.segment is not None
        assert hashlib.sha256(log).hexdigest() == manifest.segment.sha256
