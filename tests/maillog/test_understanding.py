"""Lines are understood alike whether they are read one by one or in bulk, and no line harms.

The key property: whatever a line tells by itself is among the keys of the frame that holds it.
"""

import re
import time
import tracemalloc
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.born import born
from archiver.maillog.bulk import EVERYWHERE, GROUP, KeyReader, finders, spelt, usual
from archiver.maillog.facts import EMPTY_SENDER, Family, Late
from archiver.maillog.facts import keys as keys_told
from archiver.maillog.kinds import KINDS
from archiver.maillog.lines import continued, facts, keys_of, repeated_after, repeated_before
from archiver.maillog.match import Wanted, keys_in
from archiver.maillog.programs import FAMILIES, SPLOGGED, family_of
from archiver.maillog.record import record
from archiver.setup.demo import lifelike
from tests import DATA
from tests.world.host import MONDAY, ROME

ALL = frozenset(KINDS)
CORPUS = [
    line
    for name in ("seed.maillog", "real.maillog", "families.maillog")
    for line in (DATA / name).read_bytes().splitlines(keepends=True)
]
# Enough for every reply that a far server gives there.
LIFELIKE = list(lifelike.day(MONDAY, ROME, seed=3, messages=1500))


def missed(lines: Iterable[bytes], kinds: frozenset[str] = ALL) -> list[tuple[bytes, str, bytes]]:
    """What the lines tell one by one, and the frame that they make up does not have."""
    lines = list(lines)
    found = KeyReader(kinds).keys(b"".join(lines))
    return [
        (line, kind, key)
        for line in lines
        for kind, key in sorted(keys_of(line))
        if kind in kinds and key.lower() not in found
    ]


# -- the key property -------------------------------------------------------------------------


def test_real_lines_alone() -> None:
    assert [missed([line]) for line in CORPUS if missed([line])] == []


def test_real_lines_together() -> None:
    """Programs, hosts and forms of header mixed, in either order."""
    assert missed(CORPUS) == []
    assert missed(reversed(CORPUS)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_by_itself(kind: str) -> None:
    """An index made for one kind of key alone has all of that kind."""
    assert missed(CORPUS, frozenset({kind})) == []


def test_every_family_is_among_the_lines() -> None:
    """And every kind of key."""
    told = [fact.family for line in CORPUS for fact in facts(line)]
    assert {family.name for family in FAMILIES} <= set(told)
    assert {kind for line in CORPUS for kind, _ in keys_of(line)} == set(KINDS)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A real line: as it is, with some bytes changed, or with words of another one."""
    any_line = st.one_of(st.sampled_from(CORPUS), st.sampled_from(LIFELIKE))
    line, other = (draw(any_line).removesuffix(b"\n") for _ in range(2))
    how = draw(st.sampled_from(["as it is", "changed", "words", "cut", "header", "inserted"]))
    if how == "changed":
        odd = st.sampled_from([b" ", b"<", b">", b"@", b":", b",", b"\0", b"\xff", b"\t", b"A"])
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(odd) + line[at + draw(st.integers(0, 1)) :]
    elif how == "words":
        words, others = line.split(b" "), other.split(b" ")
        first, then = (draw(st.integers(0, len(each))) for each in (words, others))
        line = b" ".join(words[:first] + others[then:])
    elif how == "cut":
        line = line[: draw(st.integers(0, len(line)))] + other
    elif how == "header":
        line = line.partition(b": ")[0] + b": " + other.partition(b": ")[2]
    elif how == "inserted":
        at = draw(st.integers(0, len(line)))
        line = line[:at] + other.partition(b": ")[2] + line[at:]
    return line + b"\n"


@settings(max_examples=400, deadline=None)
@given(st.lists(mangled(), min_size=1, max_size=6))
def test_mangled_lines(lines: list[bytes]) -> None:
    assert missed(lines) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(mangled(), min_size=1, max_size=3), st.binary(max_size=40))
def test_no_newline_at_the_end(lines: list[bytes], rest: bytes) -> None:
    last = lines[-1].removesuffix(b"\n")
    assert missed([*lines[:-1], last]) == []
    assert missed([*lines, rest.replace(b"\n", b"")]) == []


STRUCTURED = b'<22>1 2026-11-23T08:42:15Z mx1 postfix 12 - [meta id="7"] '


@pytest.mark.parametrize(
    "line",
    [
        # Without a pid, RFC 5424 has a `-` where splogger's stamp would be looked for.
        b"<22>1 2026-11-23T08:42:14Z mx1 splogger - - - 1795423334.519292 tcpserver: pid 590"
        b" from 192.0.2.77",
        b"<22>1 2026-11-23T08:42:14Z mx1 qmail - - - 1795423334.519292 tcpserver: pid 590"
        b" from 192.0.2.77",
        # Structured data, or a byte order mark, instead of the `- ` before the text.
        STRUCTURED + b"0413A61D: removed",
        b"<22>1 2026-11-23T08:42:15Z mx1 postfix 12 - - \xef\xbb\xbf0413A61D: removed",
        STRUCTURED.replace(b"postfix", b"opendkim") + b"0413A61D: no signature data",
        STRUCTURED.replace(b"postfix", b"sendmail") + b"6AN8n359000932: done; delay=1",
        STRUCTURED.replace(b"postfix", b"exim") + b"1xVPhG-0000By-14 Completed",
        # The founding document's odd sender.
        b"Aug 16 16:02:43 server qmail: 1092664963.150677 info msg 139804: bytes 1360"
        b" from < test@server.rete.dom > qp 663 uid 0",
        # Found by the tests above.
        b"Nov 23 08:41:57 mx1 vpopmail[9]: null password given a:0001:db8::9:192.0.2.1",
        b"Nov 23 08:41:48 mx1 vpopmail[9]: null password given user@dom.exampl :::ffff:192.0.2.1",
        b"Nov 23 08:41:48 mx1 dovecot: lmtp(test)<3504><AAg1B1v9A2uwDQAAg>: sieve: "
        b"msgid=<fw.1@x>: rAdirect action: forwarded to <other@localhost>",
    ],
)
def test_odd_lines(line: bytes) -> None:
    assert keys_of(line)
    assert missed([line + b"\n"]) == []


def test_a_place_in_a_line_is_no_header() -> None:
    """Where the others have their host and tag, this line has what a stranger typed."""
    first = b"<22>1 2026-11-23T08:46:46.123456+01:00 mx1 imapd - - - x\n"
    forged = b"Nov 23 08:46:46 q imapd: LOGIN, user=x mx1 qmail: y@z.example, ip=[192.0.2.1]\n"
    assert first.index(b" mx1 ") == forged.index(b" mx1 ")
    assert missed([first, forged]) == []
    first = b"2026-11-23T08:46:46.123456+01:00 mx1 imapd: x\n"
    forged = b"Nov 23 08:46:46 q dovecot: imap( mx1 qmail: y)<1><abc>: Disconnected: x\n"
    assert first.index(b" mx1 ") == forged.index(b" mx1 ")
    assert keys_of(forged)
    assert missed([first, forged]) == []


# -- the usual lines --------------------------------------------------------------------------

USUAL = [family for family in FAMILIES if family.usual]
SECOND = b" Aug 16 15:53:25 mx1 splogger: 1092664405.519292 tcpserver: pid 590 from 192.0.2.77\n"


@pytest.mark.parametrize("kinds", [KINDS, *((kind,) for kind in KINDS)], ids=" ".join)
def test_lifelike_lines(kinds: Collection[str]) -> None:
    assert missed(LIFELIKE, frozenset(kinds)) == []


def test_most_lines_are_usual() -> None:
    """Else the usual would be no shorter way."""
    found = 0
    for line in LIFELIKE:
        of = record(line)
        if of is None:
            continue
        families = (*family_of(of.program), *(SPLOGGED if of.logged else ()))
        text = b"\n: " + of.text.lower() + b"\n"
        found += any(pattern.search(text) for pattern in usual(families, ALL, 0))
    assert found > 0.9 * len(LIFELIKE)


@lru_cache
def any_case(family: Family) -> Family:
    """The same, of texts in lower case."""
    events = tuple((name, Late(each.text, re.IGNORECASE)) for name, each in family.events)
    return replace(family, events=events)


@pytest.mark.parametrize("family", USUAL, ids=lambda family: family.name)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_usual_text_holds_no_more_than_its_groups(family: Family, data: st.DataObject) -> None:
    """What may be searched for by its brackets, too, is found where nothing but the usual is."""
    grammar = re.compile(GROUP.sub(b"(?:", family.usual))
    text = data.draw(st.from_regex(grammar, fullmatch=True)).lower()
    (pattern,) = usual((family,), ALL, 0)
    before, *found, behind = pattern.split(b"\n: " + text + b"\n")
    assert (before, behind) == (b"", b"\n"), text
    keys = {key for each in found if each for key in spelt({each}, ALL)} | {EMPTY_SENDER}
    event = any_case(family).parse(text)
    assert {key.lower() for _, key in keys_told(event)} <= keys if event else True, text
    for find in finders(EVERYWHERE, ALL):
        assert spelt(set(find(text)), ALL) <= keys, text


@pytest.mark.parametrize("some", [CORPUS, LIFELIKE], ids=["real", "lifelike"])
def test_a_second_record_behind_any_line(some: list[bytes]) -> None:
    doubled = [line.removesuffix(b"\n") + SECOND for line in some if record(line)]
    assert [line for line in doubled if missed([line])] == []
    assert missed(doubled) == []


def test_what_stands_in_a_header_is_found_too() -> None:
    """Whoever searches for text in brackets, means the whole line."""
    for line in (
        b"Nov 23 08:41:24 [192.0.2.1] qmail: 1092664405.519292 new msg 1\n",
        b"Nov 23 08:41:24 mx1 <a@x.example>: 1092664405.519292 new msg 1\n",
        b"Nov 23 08:41:24 mx1 <a@x.e>: 1092664405.519292 new msg 1\n",
        b"Nov 23 08:41:24 <a@x.example> imapd: Connection, ip=[192.0.2.1]\n",
    ):
        keys = KeyReader(ALL).keys(line)
        assert keys & {b"192.0.2.1", b"a@x.example", b"a@x.e"}, line
        assert {key.lower() for _, key in keys_of(line)} <= keys


# -- whatever comes, nothing is raised ---------------------------------------------------------

WANTED = [
    Wanted((("address", frozenset({b"<>"})),)),
    Wanted((("ip", frozenset({b"2001:db8::9"})), ("queue_id", frozenset({b"0413A61D"})))),
    Wanted((("domain", frozenset({b"x"})),), re.compile(rb"[^a]")),
    Wanted((), re.compile(rb"x|$")),
    Wanted(),
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(mangled(), st.binary(max_size=60)), max_size=5).map(b"".join),
    st.sampled_from([0, 2**14 - 1, 2**14 + 1, 40_000]),
    st.data(),
)
def test_nothing_is_raised(text: bytes, padding: int, data: st.DataObject) -> None:
    """Also not by NUL, by bytes that are no UTF-8, by lines that are too long, or end nowhere."""
    at = data.draw(st.integers(0, len(text)))
    text = text[:at] + b"y" * padding + text[at:]
    begin, end = sorted(data.draw(st.integers(0, len(text))) for _ in range(2))
    for line in text.splitlines(keepends=True):
        facts(line)
    KeyReader(ALL).keys(text[begin:end], before=text[:begin], after=text[end:])
    for wanted in WANTED:
        spans = list(wanted.lines(text, begin, end))
        assert spans == sorted(set(spans))
        assert all(begin <= first < end for first, _ in spans)


# -- no line is expensive ----------------------------------------------------------------------

HOSTILE = [
    b"<@",
    b"<a@",
    b"[1.",
    b"[::ffff:",
    b" from <",
    b"user=",
    b": ",
    b":",
    b"<",
    b"> ",
    b" ",
    b"@",
    b"a@b,",
    b"msgid=<",
    b"message-id=<",
    b"id: <",
    b"to=<",
    b">, size=1",
    b"(a,1.1.1.1",
    b":00:00 ",
    b" mx1 imapd: ",
    b" Nov 23 08:41:24 mx1 qmail: ",
    b" last message repeated 4 times",
    b" 1092664405.519292+",
    b" 1092664405.519292 ",
    b" msg 1",
    b'C="250 OK id=',
    b"rcpts: <a@b,",
    b"password fail (pass: '",
]
TAGS = [
    b"postfix/smtpd[1]",
    b"imapd",
    b"dovecot",
    b"exim[1]",
    b"opendkim[1]",
    b"sm-mta[1]",
    b"smtpd[1]",
    b"rspamd[1]",
    b"vpopmail[1]",
    b"amavis[1]",
    b"qmail",
]
SMALL, GROWTH = 16_000, 8


def seconds(text: bytes) -> float:
    """The best of a few: whatever else the machine does only adds to a time."""
    wanted = Wanted((("user", frozenset({b"nobody else"})),))
    best = 1e9
    for _ in range(3):
        begin = time.process_time()
        KeyReader(ALL).keys(text)
        list(wanted.lines(text, 0, len(text)))
        best = min(best, time.process_time() - begin)
    return best


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_lines_take_linear_time(hostile: bytes) -> None:
    """A frame that is one long line; of one that is eight times as long, eight times the time."""
    for tag in TAGS:
        header = b"Nov 23 08:41:24 mx1 %s: " % tag
        small = header + hostile * (SMALL // len(hostile)) + b"!\n"
        large = header + hostile * (SMALL * GROWTH // len(hostile)) + b"!\n"
        assert seconds(large) < max(seconds(small), 0.001) * GROWTH * 3, tag


def test_a_line_that_looks_like_many_records_is_kept_once() -> None:
    """Not once for each place where a record might begin: 32 KiB would become 100 MiB."""
    text = b"Nov 23 08:41:24 mx1 imapd: " + b":00 a b: " * 3_600 + b" mx1 \n"
    tracemalloc.start()
    try:
        KeyReader(ALL).keys(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(text) * 64


def test_many_lines_at_once_take_linear_time() -> None:
    """Lines of a usual length, a thousand of them, that all look like two."""
    header = b"Nov 23 08:41:24 mx1 imapd: LOGIN, user="
    lines = [header + hostile * (900 // len(hostile)) + b"\n" for hostile in HOSTILE]
    small = b"".join(line * 8 for line in lines)
    assert seconds(small * GROWTH) < max(seconds(small), 0.001) * GROWTH * 3


# -- records -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Aug 16 15:53:25 h qmail[12]: x", (b"Aug 16 15:53:25", b"h", b"qmail", b"12", b"x")),
        (b"Aug  6 15:53:25 h imapd: x: y", (b"Aug  6 15:53:25", b"h", b"imapd", b"", b"x: y")),
        (b"Aug 16 15:53:25 h x y", (b"Aug 16 15:53:25", b"h", b"", b"", b"x y")),
        (b"Aug 16 15:53:25 <mail.info> h a: x", (b"Aug 16 15:53:25", b"h", b"a", b"", b"x")),
        (b"<22>Aug 16 15:53:25 h a: x", (b"Aug 16 15:53:25", b"h", b"a", b"", b"x")),
        (b"16 15:53:25 h a: x", (b"16 15:53:25", b"h", b"a", b"", b"x")),
        (b"2026-11-23T08:46:46Z h a: x", (b"2026-11-23T08:46:46Z", b"h", b"a", b"", b"x")),
        (
            b"<2>1 2026-11-23T08:46:46Z h a - - - x",
            (b"2026-11-23T08:46:46Z", b"h", b"a", b"", b"x"),
        ),
        (
            b'<2>1 2026-11-23T08:46:46Z h a 7 - [q r="s"] x',
            (b"2026-11-23T08:46:46Z", b"h", b"a", b"7", b"x"),
        ),
        (b"@400000004120bc1f1ee2e234 x", (b"@400000004120bc1f1ee2e234", b"", b"", b"", b"x")),
        (b"2026-11-23 08:46:46 [7] x", (b"2026-11-23 08:46:46", b"", b"exim", b"7", b"x")),
    ],
)
def test_headers(line: bytes, expected: tuple[bytes, ...]) -> None:
    found = record(line + b"\n")
    assert found is not None
    assert (found.stamp, found.host, found.program, found.pid, found.text) == expected
    assert found == record(line)


@pytest.mark.parametrize("line", [b"", b"\n", b"x", b"Aug 16", b"Foo", b"a" * 2**14 + b"b"])
def test_what_has_no_header(line: bytes) -> None:
    assert (record(line), facts(line), keys_of(line)) == (None, (), set())


def test_a_line_that_is_too_long_tells_nothing() -> None:
    line = b"Aug 16 15:53:25 h qmail: info msg 5: bytes 2 from <%s> qp 1 uid 2"
    rest = 2**14 - len(line % b"")
    assert keys_of(line % (b"a" * rest))
    assert keys_of(line % (b"a" * (rest + 1))) == set()


def test_two_records_in_one_line() -> None:
    """As in the founding document; but not where the second is another host's."""
    line = next(line for line in CORPUS if b"status 256 Aug" in line)
    assert [fact.event.name for fact in facts(line)] == ["end", "status"]
    assert facts(line.replace(b"25 server splogger: 1092664405.896271", b"25 other a: 1")) == ()


def test_repetitions_are_counted() -> None:
    (fact,) = facts(b"Nov 23 08:42:18 h qmail: message repeated 2 times: [ new msg 5]\n")
    assert (fact.times, fact.event.name) == (2, "new")
    (fact,) = facts(b"Nov 23 08:42:18 h last message repeated 4 times\n")
    assert (fact.times, fact.event.name) == (4, "repeated")


# -- lines that belong together ----------------------------------------------------------------

BROKEN = [
    b"Aug 16 15:53:25 h qmail: 1092664405.519292 info msg 7: bytes 1 from <aaa\n",
    b"Aug 16 15:53:25 h imapd: LOGOUT, ip=[192.0.2.1]\n",
    b"Aug 16 15:53:26 h qmail: 1092664405.519292+bbb\n",
    b"Aug 16 15:53:26 other qmail: 1092664405.519292+ccc\n",
    b"Aug 16 15:53:26 h qmail: 1092664405.519292+@x> qp 9 uid 0\n",
]


def test_what_splogger_broke_is_joined() -> None:
    """Of the same host, program and stamp only; the pieces, in their order."""
    text = b"".join(BROKEN)
    ((spans, line),) = continued(text)
    assert [text[slice(*span)] for span in spans] == [BROKEN[0], BROKEN[2], BROKEN[4]]
    assert line == BROKEN[0][:-1] + b"bbb@x> qp 9 uid 0"
    assert ("address", b"aaabbb@x") in keys_of(line)


def test_a_piece_by_itself_tells_nothing() -> None:
    """Where a text is broken is up to whoever wrote into it."""
    assert keys_of(b"Aug 16 15:53:26 h qmail: 1092664405.519292+new msg 7\n") == set()


@pytest.mark.parametrize("cut", range(1, len(BROKEN)))
def test_both_frames_have_what_was_broken_between_them(cut: int) -> None:
    """Each frame that holds a piece."""
    frames = b"".join(BROKEN[:cut]), b"".join(BROKEN[cut:])
    key = b"aaabbb@x"
    assert key in KeyReader(ALL).keys(frames[0], after=frames[1])
    assert (key in KeyReader(ALL).keys(frames[1], before=frames[0])) is True


def test_a_repetition_has_the_keys_of_the_line_before() -> None:
    """Of the same host, even in the frame before; but not of what stands before that."""
    line = b"Nov 23 08:41:24 h imapd: LOGIN FAILED, user=a, ip=[192.0.2.1]\n"
    other = b"Nov 23 08:41:24 k imapd: LOGIN FAILED, user=b, ip=[192.0.2.2]\n"
    again = b"Nov 23 08:41:25 h last message repeated 4 times\n"
    assert b"a" in KeyReader(ALL).keys(other + again, before=other + line)
    assert b"a" not in KeyReader(ALL).keys(other + again, before=line + line.replace(b"=a", b"=c"))
    text = line + other + again + again
    assert repeated_before(text, text.index(again)) == (0, len(line))
    assert len(list(repeated_after(text, (0, len(line))))) == 2
    assert list(repeated_after(text, (len(line), len(line + other)))) == []


# -- matching ----------------------------------------------------------------------------------


def given_back(wanted: Wanted, text: bytes, begin: int = 0) -> list[bytes]:
    return [text[slice(*span)] for span in wanted.lines(text, begin, len(text))]


AGAIN = b" last message repeated 4 times\n"


def test_repetitions_of_two_hosts_at_a_border() -> None:
    """Each belongs to its own host's line, wherever the other's stands."""
    line = b"Nov 23 08:41:24 k imapd: LOGIN FAILED, user=b, ip=[192.0.2.2]\n"
    other = b"Nov 23 08:41:24 h imapd: LOGIN FAILED, user=a, ip=[192.0.2.1]\n"
    piece = other + b"Nov 23 08:41:25 h" + AGAIN + b"Nov 23 08:41:25 k" + AGAIN
    wanted = Wanted((("user", frozenset({b"b"})),))
    assert given_back(wanted, line + piece, len(line)) == [b"Nov 23 08:41:25 k" + AGAIN]


def test_a_forged_repetition_is_none() -> None:
    """A stranger chose these words: the line is not given for the line before it."""
    line = b"Nov 23 08:41:24 h imapd: LOGIN FAILED, user=b, ip=[192.0.2.2]\n"
    forged = b"Nov 23 08:41:25 h imapd: LOGIN FAILED, user=x last message repeated 4 times\n"
    wanted = Wanted((("user", frozenset({b"b"})),))
    assert given_back(wanted, line + forged, len(line)) == []


def test_a_forged_repetition_hides_no_true_one() -> None:
    """Of another host, whose own line stands in the frame before."""
    line = b"Nov 23 08:41:24 k imapd: LOGIN FAILED, user=b, ip=[192.0.2.2]\n"
    forged = b"Nov 23 08:41:25 h imapd: LOGIN FAILED, user=x last message repeated 4 times\n"
    again = b"Nov 23 08:41:25 k" + AGAIN
    piece = b"Nov 23 08:41:25 h imapd: x\n" + forged + again
    wanted = Wanted((("user", frozenset({b"b"})),))
    assert given_back(wanted, line + piece, len(line)) == [again]


PATTERNS = [
    rb"\ANov",
    rb"^Nov",
    rb"25$",
    rb"25\Z",
    rb"(?<!\s)Nov",
    rb"x25(?!\s)",
    rb"x25(?![^,])",
    rb"(?s)a.*x25",
    rb"\s",
    rb"[^b]+x",
    rb"(?>[^b]+)$",
    rb"^$",
    rb"",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_sees_one_line_at_a_time(pattern: bytes) -> None:
    """As grep does: no line is missed or found because of what stands beside it."""
    lines = [b"Nov 23 a x25\n", b"Nov 23 b x\n", b"\n", b"Nov 24 a x25\n", b"y x25"]
    compiled = re.compile(pattern, re.MULTILINE)
    expected = [line for line in lines if compiled.search(line.removesuffix(b"\n"))]
    assert given_back(Wanted((), compiled), b"".join(lines)) == expected


def test_a_pattern_does_not_run_on_over_many_lines() -> None:
    """What excludes one character and forgets the newline is no reason to read all to the end."""
    wanted = Wanted((), re.compile(rb'to=<[^"]*"', re.MULTILINE))

    def spent(count: int) -> float:
        text = b"Nov 23 08:41:24 h postfix/smtp[1]: to=<a@b>, status=sent\n" * count
        begin = time.process_time()
        assert given_back(wanted, text) == []
        return time.process_time() - begin

    small, large = (min(spent(count) for _ in range(3)) for count in (500, 4_000))
    assert large < max(small, 0.005) * 8 * 3


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (rb"<A@b\.c>", {b"a@b.c"}),
        (rb"to=<a@b>, .* \[192\.0\.2\.1\]", {b"a@b", b"192.0.2.1"}),
        (rb"<a@b>|<a@c>", set()),
        (rb"<a@b>?", set()),
        (rb"(<a@b>)*", set()),
        (rb"(?i)<a@b>", set()),
        (rb"<a@.*>", set()),
        (rb"a@b", set()),
        (rb"\[::FFFF:192\.0\.2\.1\]", {b"192.0.2.1"}),
    ],
)
def test_keys_that_stand_in_a_pattern(pattern: bytes, expected: set[bytes]) -> None:
    """Those of all the lines that it finds, and as the index has them."""
    assert {key for _, key in keys_in(re.compile(pattern))} == expected


# -- ids that tell when they were made ---------------------------------------------------------

NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())


def made(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("queue_id", "expected"),
    [
        (b"1xVPhG-0000By-14", made(2026, 11, 23, 8, 46, 46)),
        (b"1xVPhG-000000000By-14AB", made(2026, 11, 23, 8, 46, 46)),
        (b"6AN8n359000932", made(2026, 11, 23, 8, 49, 3)),
        (b"0413A61D", None),
        (b"139804", None),
        (b"zzzzzz-0000By-14", None),
        (b"", None),
    ],
)
def test_ids_with_their_time(queue_id: bytes, expected: int | None) -> None:
    assert born(queue_id, near=NOW) == expected


def test_postfix_ids_with_their_time() -> None:
    """Whatever the second: six digits in base 52, then the microseconds."""
    letters = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
    for instant in range(made(2012, 1, 1), made(2040, 1, 1), 9_999_991):
        digits, rest = b"", instant
        while rest:
            digits, rest = letters[rest % 52 : rest % 52 + 1] + digits, rest // 52
        assert born(digits + b"0HDszKn0L", near=NOW) == instant


@pytest.mark.parametrize(
    "queue_id", [b"1099511639808", b"1152921504606846", b"12345678901234567890"]
)
def test_the_number_of_a_file_tells_no_time(queue_id: bytes) -> None:
    """Those of qmail are numbers of files, which are that long on some file systems."""
    assert born(queue_id, near=NOW) is None


@settings(max_examples=200, deadline=None)
@given(st.from_regex(rb"\A[0-9A-Za-z-]{6,24}\Z"))
def test_any_id_may_be_asked(queue_id: bytes) -> None:
    found = born(queue_id, near=NOW)
    assert found is None or abs(found - NOW) < 2**33


# -- hostile frames ------------------------------------------------------------------------------

POSTFIX = b"Nov 20 10:00:00 mx1 postfix/smtpd[1]: "
STAMP = b"1092664405.519292"
SPLOG = b"Nov 20 10:00:00 mx1 splogger: "


@pytest.mark.parametrize(
    ("line", "piece"),
    [
        (POSTFIX + b"warning: a[%s]\n", b":"),
        (POSTFIX + b"a[%s]\n", b"::1:"),
        (POSTFIX + b"from=<%s\n", b"@<"),
        (SPLOG + STAMP + b"+%s\n", b" " + STAMP + b" x"),
        (SPLOG + STAMP + b" x%s\n", b" " + STAMP + b"+"),
        (b"Nov 20 10:00:00 mx1 a: mx1 %s\n", b":00 h p: "),
        (SPLOG + STAMP + b" info msg 5: bytes 2%s\n", b" from <a> qp 1"),
    ],
)
@pytest.mark.parametrize("length", [900, 15_000, 100_000])
def test_hostile_frames_take_linear_time(line: bytes, piece: bytes, length: int) -> None:
    """Eight times the frame takes about eight times as long, however its lines are made."""
    of_it = line.replace(b"%s", piece * (length // len(piece)))

    def spent(size: int) -> float:
        frame = of_it * max(1, size // len(of_it))
        begin = time.process_time()
        KeyReader(frozenset(KINDS)).keys(frame, before=frame[-20_000:], after=frame[:20_000])
        list(Wanted((("queue_id", frozenset({b"5"})),)).lines(frame, 0, len(frame)))
        return time.process_time() - begin

    small, large = (min(spent(size) for _ in range(2)) for size in (100_000, 800_000))
    assert large < max(small, 0.02) * 8 * 3
