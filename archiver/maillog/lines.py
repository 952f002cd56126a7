"""Understand lines: one by itself, and those that only make sense with the ones before them.

Pure. Most lines are one record each. Three kinds are not:

    last message repeated 4 times        stands for the line before it, of the same host
    1092664405.519292+rest of a text     continues a line that the host's splogger broke off
    … status 256 Aug 16 15:53:25 server splogger: …      holds two records
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from archiver.maillog.facts import Event, keys
from archiver.maillog.programs import SPLOGGED, family_of
from archiver.maillog.record import SPLOGGER, SyslogRecord, record

REPEATED = re.compile(rb" last message repeated \d")
LAST_REPEATED = re.compile(rb"last message repeated (?P<times>\d{1,9}) times?")
RSYSLOG_REPEATED = re.compile(rb"message repeated (?P<times>\d{1,9}) times: \[ ?(?P<text>.*)\]")
EMBEDDED = re.compile(rb" (?=[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d \S+ [^\s:\[\]]+(?:\[\d+\])?: )")
CONTINUES = re.compile(rb"\+(?<= \d{10}\.\d{6}\+)|\+(?<= \d{9}\.\d{6}\+)")
# How many bytes apart lines that belong together may stand.
NEAR = 2**14
# A stranger's text may repeat a stamp, too, over and over.
MOST_TRIES = 8
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fact:
    """One record and what it says. family: whose pattern matched. times: how often it happened."""

    record: SyslogRecord
    family: str
    event: Event
    times: int = 1


def facts(line: bytes) -> tuple[Fact, ...]:
    """Return the facts of a line by itself: mostly one, two if two records ran together, none if
    no family understands it.
    """
    first = record(line)
    if first is None:
        return ()
    if fact := _fact(first):
        return (fact,)
    # The line as a whole is not understood. Are both parts of it, if another header follows?
    embedded = EMBEDDED.search(first.text)
    if embedded is None:
        return ()
    before = _fact(replace(first, text=first.text[: embedded.start()]))
    following = record(first.text[embedded.end() :])
    after = _fact(following) if before and following else None
    return (before, after) if before and after and before.record.host == after.record.host else ()


def _fact(parsed: SyslogRecord) -> Fact | None:
    if parsed.continues:
        return None  # it may begin in the middle of a stranger's text
    if not parsed.program and (repeated := LAST_REPEATED.fullmatch(parsed.text)):
        return Fact(parsed, "syslogd", Event("repeated"), int(repeated["times"]))
    times, text = 1, parsed.text
    if parsed.program and (repeated := RSYSLOG_REPEATED.fullmatch(text)):
        times, text = int(repeated["times"]), repeated["text"]
        if own := SPLOGGER.match(text):
            parsed, text = replace(parsed, logged=own["stamp"]), text[own.end() :]
    is_splogged = parsed.logged or parsed.stamp.startswith(b"@")
    # What a copy through Windows, or a careless editor, leaves at the end is not the program's.
    text = text.rstrip(b" \r")
    for family in SPLOGGED if is_splogged else family_of(parsed.program):
        if event := family.parse(text):
            return Fact(parsed, family.name, event, times)
    return None


def keys_of(line: bytes) -> set[tuple[str, bytes]]:
    """Return the keys in a line by itself, as pairs of kind and normal form."""
    return {key for fact in facts(line) for key in keys(fact.event)}


# -- lines that belong together -------------------------------------------------------------


def line_at(text: bytes, at: int) -> Span:
    """Return the line around offset `at`: where it begins, and where it ends after its newline."""
    end = text.find(b"\n", at) + 1
    return text.rfind(b"\n", 0, at) + 1, end or len(text)


def lines_with(
    pattern: re.Pattern[bytes], text: bytes, begin: int = 0, end: int | None = None
) -> Iterator[Span]:
    """Yield the lines in which a pattern is found within begin <= at < end, each once.

    pattern: it must not match the empty string.
    """
    end = len(text) if end is None else end
    while found := pattern.search(text, begin, end):
        span = line_at(text, found.start())
        begin = span[1]
        yield span


def continued(text: bytes) -> Iterator[tuple[list[Span], bytes]]:
    """Yield each record that splogger had to break: its lines, and the whole as one line.

    A record is left out if its first line is not in `text`, or stands too far before the next.
    """
    groups: dict[tuple[bytes, bytes, bytes], list[tuple[Span, SyslogRecord]]] = {}
    for span in lines_with(CONTINUES, text):
        piece = record(text[slice(*span)])
        if piece is None or not piece.continues:
            continue
        name = (piece.host, piece.program, piece.logged)
        if name not in groups and (begun := _begun(text, span[0], name)):
            groups[name] = [begun]
        if name in groups:
            groups[name].append((span, piece))
    for pieces in groups.values():
        (begin, end), _ = pieces[0]
        rest = b"".join(piece.text for _, piece in pieces[1:])
        yield [span for span, _ in pieces], text[begin:end].removesuffix(b"\n") + rest


def _begun(
    text: bytes, before: int, name: tuple[bytes, bytes, bytes]
) -> tuple[Span, SyslogRecord] | None:
    """Find the line that the `+` line at offset `before` continues."""
    at, nearest = before, max(before - NEAR, 0)
    for _ in range(MOST_TRIES):
        at = text.rfind(b" " + name[2] + b" ", nearest, at)
        if at < 0:
            break
        span = line_at(text, at)
        begun = record(text[slice(*span)])
        if begun and not begun.continues and (begun.host, begun.program, begun.logged) == name:
            return span, begun
    return None


def repeated_after(text: bytes, span: Span) -> Iterator[Span]:
    """Yield the "last message repeated" lines that mean the line at `span`: the next ones of its
    host.
    """
    meant = record(text[slice(*span)])
    begin, furthest = span[1], span[1] + NEAR
    while meant and begin < min(len(text), furthest):
        next_span = line_at(text, begin)
        begin = next_span[1]
        following = record(text[slice(*next_span)])
        if following is None or following.host != meant.host:
            continue
        if not _is_repetition(following):
            return
        yield next_span


def repeated_before(text: bytes, begin: int) -> Span | None:
    """Return the line that a "last message repeated" line at `begin` means, if it is near."""
    repetition = record(text[slice(*line_at(text, begin))])
    if repetition is None or not _is_repetition(repetition):
        return None
    furthest = max(begin - NEAR, 0)
    while begin > furthest:
        span = line_at(text, begin - 1)
        begin = span[0]
        before = record(text[slice(*span)])
        if before is None or before.host != repetition.host:
            continue
        if not _is_repetition(before):
            return span
    return None


def repeated_across(text: bytes, begin: int, end: int) -> Iterator[tuple[Span, Span]]:
    """Yield each "last message repeated" line not far after `begin`, and before `end`, that means
    a line before `begin`; with that line.
    """
    for span in lines_with(REPEATED, text, begin, min(end, begin + NEAR)):
        meant = repeated_before(text, span[0])
        if meant and meant[0] < begin:
            yield span, meant


def _is_repetition(parsed: SyslogRecord) -> bool:
    return not parsed.program and LAST_REPEATED.fullmatch(parsed.text) is not None
