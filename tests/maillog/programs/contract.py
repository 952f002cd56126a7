"""What holds for every program family, whatever it understands."""

import time
from collections.abc import Callable, Collection, Iterable

from archiver.maillog.bulk import EVERYWHERE, KeyReader, finders, spelt, usual
from archiver.maillog.facts import EMPTY_SENDER, Event, Family, keys
from archiver.maillog.kinds import KINDS

SMALL, GROWTH = 20_000, 8


def told(family: Family, text: bytes) -> tuple[str, dict[str, bytes]]:
    """The event and the fields of a text, which must be understood."""
    event = family.parse(text)
    assert event is not None, text
    return event.name, dict(event.fields)


def keys_of(event: Event | None) -> set[tuple[str, bytes]]:
    return set(keys(event)) if event else set()


def tokens(text: bytes, family: Family, kinds: Collection[str]) -> set[bytes]:
    """The keys of these kinds that bulk passes find in lower-cased lines of the family."""
    found = {
        token for find in finders((*EVERYWHERE, *family.passes), kinds) for token in find(text)
    }
    return spelt(found, kinds) | ({EMPTY_SENDER} if EMPTY_SENDER in text else set())


def in_bulk(family: Family, text: bytes) -> None:
    """Look for the usual in a text, and run all of a family's passes over it."""
    for pattern in usual((family,), frozenset(KINDS), 0):
        pattern.split(b"\n: " + text.lower() + b"\n")
    for each in family.passes:
        each.pattern.compiled.findall(text.lower())


def assert_found_in_bulk(family: Family, texts: Iterable[bytes]) -> None:
    """Every key that a parse tells is found in bulk, for its kind alone and for all of them.

    By the passes, whatever is usual; and by all together.
    """
    texts = list(texts)
    header = b"Nov 23 08:41:24 host %s: " % min(family.tags)
    together = b"\n".join(b"nov 23 08:41:24 host tag: " + text for text in texts).lower()
    for text in texts:
        alone = (b"nov 23 08:41:24 host tag: " + text).lower()
        for kind, key in keys_of(family.parse(text)):
            assert key.lower() in tokens(alone, family, {kind}), (kind, key, text)
            assert key.lower() in tokens(together, family, KINDS), (kind, key, text)
            found = KeyReader(frozenset({kind})).keys(header + text + b"\n")
            assert key.lower() in found, (kind, key, text)


def assert_linear(
    work: Callable[[bytes], object], begin: bytes, hostile: bytes, end: bytes = b""
) -> None:
    """Eight times the hostile text takes about eight times as long, not sixty-four times.

    The best of a few: whatever else the machine does only adds to a time.
    """
    texts = [begin + hostile * (n // len(hostile)) + end for n in (SMALL, SMALL * GROWTH)]
    small, large = (min(_seconds(work, text) for _ in range(3)) for text in texts)
    assert large < max(small, 0.0005) * GROWTH * 4


def _seconds(work: Callable[[bytes], object], text: bytes) -> float:
    begin = time.process_time()
    work(text)
    return time.process_time() - begin
