"""Understand lines: one by itself, and those that only make sense with the ones before them.

Pure. Most lines stand alone. Three kinds do not:

    last message repeated 4 times        means the line before it, of the same host
    1092664405.519292+rest of a text     goes on where that host's splogger broke off
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
# How far apart lines may stand that belong together.
NEAR = 2**14
# A stamp may stand in what somebody wrote, too, over and over.
MOST_TRIES = 8
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fact:
    """One record and what it says. family: whose pattern told. times: how often it happened."""

    record: SyslogRecord
    family: str
    event: Event
    times: int = 1


def facts(line: bytes) -> tuple[Fact, ...]:
    """Return what a line says by itself: mostly one fact, two if two records ran together,
    none if no family understands it.
    """
    first = record(line)
    if first is None:
        return ()
    if fact := _fact(first):
        return (fact,)
    # The line as a whole makes no sense. Does it up to where another header stands?
    embedded = EMBEDDED.search(first.text)
    if embedded is None:
        return ()
    before = _fact(replace(first, text=first.text[: embedded.start()]))
    following = record(first.text[embedded.end() :])
    after = _fact(following) if before and following else None
    return (before, after) if before and after and before.record.host == after.record.host else ()


def _fact(of: SyslogRecord) -> Fact | None:
    if of.continues:
        return None  # it may begin anywhere in what somebody else wrote
    if not of.program and (repeated := LAST_REPEATED.fullmatch(of.text)):
        return Fact(of, "syslogd", Event("repeated"), int(repeated["times"]))
    times, text = 1, of.text
    if of.program and (repeated := RSYSLOG_REPEATED.fullmatch(text)):
        times, text = int(repeated["times"]), repeated["text"]
        if own := SPLOGGER.match(text):
            of, text = replace(of, logged=own["stamp"]), text[own.end() :]
    families = SPLOGGED if of.logged or of.stamp.startswith(b"@") else family_of(of.program)
    for family in families:
        if event := family.parse(text):
            return Fact(of, family.name, event, times)
    return None


def keys_of(line: bytes) -> set[tuple[str, bytes]]:
    """Return the keys that a line tells by itself: kind and normal form."""
    return {key for fact in facts(line) for key in keys(fact.event)}


# -- lines that belong together -------------------------------------------------------------


def line_at(text: bytes, at: int) -> Span:
    """Return where the line around a place begins, and where it ends, behind its newline."""
    end = text.find(b"\n", at) + 1
    return text.rfind(b"\n", 0, at) + 1, end or len(text)


def lines_with(
    pattern: re.Pattern[bytes], text: bytes, begin: int = 0, end: int | None = None
) -> Iterator[Span]:
    """Yield the lines in which a pattern is found within begin <= at < end, each once.

    pattern: never matches nothing.
    """
    end = len(text) if end is None else end
    while found := pattern.search(text, begin, end):
        span = line_at(text, found.start())
        begin = span[1]
        yield span


def continued(text: bytes) -> Iterator[tuple[list[Span], bytes]]:
    """Yield each record that splogger had to break: its lines, and the whole as one line.

    Only those whose beginning stands in the text too, not too far before.
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
    """Find the line that the first `+` line after it goes on with."""
    at, nearest = before, max(before - NEAR, 0)
    for _ in range(MOST_TRIES):
        at = text.rfind(b" " + name[2] + b" ", nearest, at)
        if at < 0:
            break
        span = line_at(text, at)
        of = record(text[slice(*span)])
        if of and not of.continues and (of.host, of.program, of.logged) == name:
            return span, of
    return None


def repeated_after(text: bytes, span: Span) -> Iterator[Span]:
    """Yield the lines that say that the line at `span` came again: the very next of its host."""
    of = record(text[slice(*span)])
    begin, furthest = span[1], span[1] + NEAR
    while of and begin < min(len(text), furthest):
        here = line_at(text, begin)
        begin = here[1]
        following = record(text[slice(*here)])
        if following is None or following.host != of.host:
            continue
        if not _is_repetition(following):
            return
        yield here


def repeated_before(text: bytes, begin: int) -> Span | None:
    """Return the line that a "last message repeated" line at `begin` means, if it is near."""
    of = record(text[slice(*line_at(text, begin))])
    if of is None or not _is_repetition(of):
        return None
    furthest = max(begin - NEAR, 0)
    while begin > furthest:
        here = line_at(text, begin - 1)
        begin = here[0]
        before = record(text[slice(*here)])
        if before is None or before.host != of.host:
            continue
        if not _is_repetition(before):
            return here
    return None


def repeated_across(text: bytes, begin: int, end: int) -> Iterator[tuple[Span, Span]]:
    """Yield each "last message repeated" line not far behind `begin`, and before `end`, with the
    line that it means, if that stands before `begin`.
    """
    for span in lines_with(REPEATED, text, begin, min(end, begin + NEAR)):
        meant = repeated_before(text, span[0])
        if meant and meant[0] < begin:
            yield span, meant


def _is_repetition(of: SyslogRecord) -> bool:
    return not of.program and LAST_REPEATED.fullmatch(of.text) is not None
