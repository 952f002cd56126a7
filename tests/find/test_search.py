"""Whatever is looked for is found: each line that a scan of everything would find, and no other."""

import random
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime

import pytest

from archiver.config.settings import load
from archiver.errors import Problems
from archiver.find.lookup import Cost
from archiver.find.search import Context, Search
from archiver.find.snapshot import Window, catalogued
from archiver.maillog.kinds import KINDS
from archiver.maillog.lines import LAST_REPEATED, keys_of
from archiver.maillog.match import Wanted
from archiver.maillog.record import SyslogRecord, record
from archiver.setup.demo import lifelike
from archiver.stores import open_stores
from tests.world.host import MONDAY, ROME, Host, after

Key = tuple[str, bytes]
EVER = Window(0, 2**40)
LATER = int(1e10)


# -- the scan of everything, which knows nothing of frames, archives and indexes -------------------


def scanned(lines: Iterable[bytes]) -> dict[Key, list[int]]:
    """Return, for each key, the numbers of the lines that tell it: by themselves, as pieces of
    what splogger broke, or as a repetition of the line before them.
    """
    found: dict[Key, set[int]] = defaultdict(set)
    last: dict[bytes, set[Key]] = {}
    broken: dict[tuple[bytes, bytes, bytes], list[tuple[int, bytes]]] = {}
    for number, line in enumerate(lines):
        of = record(line)
        if of is None:
            continue
        if not of.program and LAST_REPEATED.fullmatch(of.text):
            told = last.get(of.host, set())
        else:
            told = last[of.host] = keys_of(line)
            _piece(broken, number, line, of)
        for key in told:
            found[key].add(number)
    for pieces in broken.values():
        if len(pieces) > 1:
            for key in keys_of(b"".join(text for _, text in pieces)):
                found[key].update(number for number, _ in pieces)
    return {key: sorted(numbers) for key, numbers in found.items()}


def _piece(
    broken: dict[tuple[bytes, bytes, bytes], list[tuple[int, bytes]]],
    number: int,
    line: bytes,
    of: SyslogRecord,
) -> None:
    name = (of.host, of.program, of.logged)
    if of.continues and name in broken:
        broken[name].append((number, of.text))
    elif of.logged and not of.continues:
        broken[name] = [(number, line.removesuffix(b"\n"))]


# -- a host with some archives ---------------------------------------------------------------------


def head_of(line: bytes) -> bytes:
    """Stamp and host, as they stand in a line."""
    return line[:15] + b" mx1 "


def busy(day: date, messages: int = 60) -> list[bytes]:
    """A day's lines with many repetitions and broken records between them."""
    lines = []
    for number, line in enumerate(lifelike.day(day, ROME, seed=3, messages=messages)):
        lines.append(line)
        head = head_of(line)
        if number % 7 == 0:
            lines.append(head + b"last message repeated 2 times\n")
        if number % 11 == 0:
            wall = datetime.strptime(f"{day.year} {line[:15].decode()}", "%Y %b %d %H:%M:%S")
            stamp = b"qmail: %d.%06d" % (wall.replace(tzinfo=ROME).timestamp(), number)
            rest = b"a" * 700 + b"%d@far%d.example" % (number, day.day)
            lines += [
                head + stamp + b" info msg %d: bytes 7 from <" % (number + 90_000) + rest[:300],
                b"\n" + head + b"imapd: Connection, ip=[::ffff:198.51.100.%d]\n" % (number % 250),
                head + stamp + b"+" + rest[300:600] + b"\n",
                head + stamp + b"+" + rest[600:] + b"> qp %d uid 7\n" % (number + 50_000),
            ]
    return b"".join(lines).splitlines(keepends=True)


def indexed_by(host: Host, *kinds: str) -> None:
    """Have an index of these kinds made from now on."""
    text = host.toml.read_text().partition("[index]")[0]
    host.toml.write_text(f"{text}[index]\nkeys = {list(kinds)}\n".replace("'", '"'))
    host.config = load(host.toml)


def archived(host: Host, days: int, *, at_once: bool = False) -> list[bytes]:
    """Archive some days of busy lines, each night or all in one; return them."""
    every = []
    for ahead in range(days):
        lines = busy(after(MONDAY, ahead))
        every += lines
        host.write(b"".join(lines))
        if not at_once or ahead == days - 1:
            assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    return every


@pytest.fixture
def searched(host: Host) -> "Searched":
    return Searched(host)


class Searched:
    """Searches a host's archives."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.problems = Problems()
        self.cost = Cost()

    def lines(
        self,
        wanted: Wanted,
        *,
        window: Window = EVER,
        context: Context = Context(),  # noqa: B008 (it is immutable)
        archived: bool = True,
        now: int = LATER,
    ) -> list[bytes]:
        self.problems, self.cost = Problems(), Cost()
        config = self.host.config
        with catalogued(config, Problems()) as catalog:
            search = Search(
                config,
                open_stores(config.storage),
                wanted,
                now,
                archived=archived,
                context=context,
                problems=self.problems,
                cost=self.cost,
            )
            return [line.data for line in search.lines(catalog, self.host.source, window)]

    def key(self, kind: str, key: bytes, *, archived: bool = True) -> list[bytes]:
        return self.lines(wanting(kind, key), archived=archived)

    def assert_all_found(self, lines: list[bytes], keys: Iterable[Key]) -> None:
        """Each key gives the lines that the scan finds, in order, and no problem is met."""
        every = scanned(lines)
        wrong = [
            (kind, key, sorted(set(every[kind, key]) - set(where(lines, self.key(kind, key)))))
            for kind, key in keys
            if self.key(kind, key) != [lines[number] for number in every[kind, key]]
        ]
        assert wrong == []
        assert self.problems == []


def where(lines: list[bytes], found: list[bytes]) -> list[int]:
    """The numbers of lines, to tell which of them are missing."""
    return [number for number, line in enumerate(lines) if line in found]


def wanting(kind: str, *keys: bytes) -> Wanted:
    return Wanted(((kind, frozenset(keys)),))


def some_of(every: dict[Key, list[int]], count: int) -> list[Key]:
    """Some keys of each kind that there is."""
    rng = random.Random(7)
    by_kind = [[key for key in sorted(every) if key[0] == kind] for kind in KINDS]
    return [key for keys in by_kind for key in rng.sample(keys, min(count, len(keys)))]


def borders(host: Host, lines: list[bytes]) -> list[int]:
    """The numbers of the lines that begin a frame."""
    at, starts = 0, []
    for manifest in host.manifests():
        for frame in manifest.frames:
            starts.append(at)
            at += frame.lines
    assert at == len(lines)
    return starts


# -- recall ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [False, True])
def test_every_kind_of_key(searched: Searched, *, at_once: bool) -> None:
    """Over archives, their frames and midnights, whether days came by themselves or at once."""
    indexed_by(searched.host, *KINDS)
    lines = archived(searched.host, 3, at_once=at_once)
    searched.assert_all_found(lines, some_of(scanned(lines), 12))
    assert {kind for kind, _ in scanned(lines)} == set(KINDS)


def test_what_lies_across_the_borders_of_frames(searched: Searched) -> None:
    """The keys of the lines around every border, those that belong together among them."""
    lines = archived(searched.host, 2)
    every = scanned(lines)
    near = {
        number + step for number in borders(searched.host, lines) for step in range(-4, 5)
    } - set(range(-4, 0))
    keys = {key for key, numbers in every.items() if near & set(numbers) and key[0] != "helo"}
    rare = sorted(key for key in keys if len(every[key]) < 20)
    assert len(rare) > 50
    searched.assert_all_found(lines, rare[:: len(rare) // 50])


REPEATED = b"last message repeated 3 times\n"
LOGIN = b"imapd: LOGIN FAILED, user=night@owl.example, ip=[::ffff:192.0.2.200]\n"
OWL = ("user", b"night@owl.example")
BEGUN = b"qmail: 1777931999.000001 info msg 7: bytes 7 from <night@ow\n"
GOES_ON = b"qmail: 1777931999.000001+l.example> qp 7 uid 7\n"


@pytest.mark.parametrize("how", ["one segment", "two segments", "spool", "live"])
@pytest.mark.parametrize(
    ("evening", "morning", "key", "expected"),
    [(LOGIN, REPEATED, OWL, 1), (BEGUN, GOES_ON, ("address", b"night@owl.example"), 0)],
)
def test_each_archive_is_understood_by_itself(
    searched: Searched, how: str, evening: bytes, morning: bytes, key: Key, expected: int
) -> None:
    """What would belong to a line of the day before tells nothing, nor does half a record."""
    host = searched.host
    first, second = b"May  4 23:59:59 mx1 ", b"May  5 00:10:00 mx1 "
    lines = [*busy(MONDAY, 20), first + evening, second + morning]
    lines += [second + b"imapd: Connection, ip=[::ffff:192.0.2.1]\n"] * 8
    host.write(b"".join(lines[:-9]))
    if how != "one segment":
        assert host.night(after(MONDAY)).exit_status == 0
    host.write(b"".join(lines[-9:]))
    if how in {"one segment", "two segments"}:
        assert host.night(after(MONDAY, 2)).exit_status == 0
    if how == "spool":
        host.store.rename(host.directory / "away")
        host.store.write_bytes(b"")
        host.night(after(MONDAY, 2))
        host.store.unlink()
        (host.directory / "away").rename(host.store)
    assert searched.key(*key, archived=False) == lines[-10 : -10 + expected]


@pytest.mark.parametrize(("evening", "morning"), [(LOGIN, REPEATED), (BEGUN, GOES_ON)])
def test_what_lies_across_the_beginning_of_a_window(
    searched: Searched, evening: bytes, morning: bytes
) -> None:
    """Of a time that begins between a line and its repetition, the repetition is found."""
    host = searched.host
    evening, morning = (text.replace(b"1777931999", b"1777888799") for text in (evening, morning))
    early, late = b"May  4 11:59:59 mx1 ", b"May  4 12:00:01 mx1 "
    other = b"other imapd: Connection, ip=[::ffff:192.0.2.1]\n"
    lines = [early[:-4] + other] * 200 + [early + evening]
    # So that a frame ends between the two.
    lines.insert(0, early[:-4] + b"other imapd: ")
    lines[0] += b"x" * (16_384 - sum(map(len, lines)) - 1) + b"\n"
    lines += [late + morning] + [late[:-4] + other] * 200
    host.write(b"".join(lines))
    assert host.night(after(MONDAY)).exit_status == 0
    assert borders(host, lines)[1] == 202
    key = OWL if morning == REPEATED else ("address", b"night@owl.example")
    window = Window(host.at(MONDAY, "12:00"), host.at(MONDAY, "13:00"))
    assert searched.lines(wanting(*key), window=window) == [late + morning]


def test_many_archives(searched: Searched) -> None:
    """Merged indexes are asked first, for keys of one day, of two days, of all days and of none."""
    host, lines = searched.host, []
    for ahead in range(22):
        day = after(MONDAY, ahead)
        head = f"{day:%b} {day.day:2} 09:00:00 mx1 imapd: LOGIN, user=".encode()
        names = [b"all", b"day%d@d.example" % ahead, b"two%d" % (ahead // 2)]
        of_day = [head + name + b", ip=[::ffff:192.0.2.1]\n" for name in names]
        lines += of_day
        host.write(b"".join(of_day))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    searched.assert_all_found(lines, sorted(scanned(lines)))
    assert "merged index" in searched.cost.answered
    assert searched.key("user", b"nobody") == []
    assert searched.cost.opened == 0


# -- precision -------------------------------------------------------------------------------------


FORGED = b"forged@victim.example"


@pytest.mark.parametrize(
    "line",
    [
        b"postfix/cleanup[1]: ABCDEF1: message-id=<x: to=<" + FORGED + b">, relay=none, delay=1,"
        b" dsn=5.0.0, status=sent (x)@y>",
        b"postfix/smtpd[1]: warning: header Subject: from=<" + FORGED + b">, size=1, nrcpt=1",
        b"postfix/smtp[1]: ABCDEF1: to=<a@b>, relay=h[192.0.2.1]:25, delay=1, dsn=5.0.0,"
        b" status=bounced (host said: 550 to=<" + FORGED + b">, relay=none)",
        b"qmail: 1092664405.519292 delivery 1: failure: <" + FORGED + b">_user=" + FORGED,
        b"imapd: LOGIN FAILED, method=<" + FORGED + b">, ip=[192.0.2.1]",
    ],
)
def test_what_a_stranger_wrote_is_no_key(searched: Searched, line: bytes) -> None:
    """But it is found as text."""
    line = b"May  4 12:00:00 mx1 " + line + b"\n"
    searched.host.write(line)
    searched.host.night(after(MONDAY))
    for kind in ("address", "user", "message_id"):
        assert searched.key(kind, FORGED) == []
    assert searched.key("domain", b"victim.example") == []
    pattern = re.compile(FORGED.replace(b".", rb"\."))
    assert searched.lines(Wanted((), pattern)) == [line]


def test_keys_together(searched: Searched) -> None:
    """Of one kind, either; of two kinds, both in one line; and the pattern, too."""
    head = b"May  4 12:00:00 mx1 imapd: LOGIN, user=%s, ip=[::ffff:192.0.2.%d]\n"
    a1, a2, b1 = head % (b"a", 1), head % (b"a", 2), head % (b"b", 1)
    searched.host.write(a1 + a2 + b1)
    searched.host.night(after(MONDAY))
    user, ip = ("user", frozenset({b"a"})), ("ip", frozenset({b"192.0.2.1"}))
    assert searched.lines(Wanted((user, ip))) == [a1]
    assert searched.lines(wanting("user", b"a", b"b")) == [a1, a2, b1]
    assert searched.lines(Wanted((user,), re.compile(rb"2\]$"))) == [a2]


# -- ids that tell when they were made -------------------------------------------------------------


def test_the_number_of_a_file_is_found_at_all_times(searched: Searched) -> None:
    """Though it looks like an id of Sendmail's, made between two messages that bore it."""
    line = b"%s mx1 qmail: 1092664405.519292 new msg 6440000012345\n"
    lines = [line % b"2026-05-03T12:00:00+02:00", line % b"2026-05-04T22:00:00+02:00"]
    searched.host.write(b"".join(lines))
    assert searched.host.night(after(MONDAY)).exit_status == 0
    now = searched.host.at(after(MONDAY))
    assert searched.lines(wanting("queue_id", b"6440000012345"), now=now) == lines


def postfix_id(made: int) -> bytes:
    """A long queue id of that second."""
    queue_id, rest = b"", made
    letters = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
    while rest:
        queue_id, rest = letters[rest % 52 : rest % 52 + 1] + queue_id, rest // 52
    return queue_id + b"0HDszKn0L"


@pytest.mark.parametrize(
    ("again", "end", "asked"),
    [
        ("12:00:07", "12:00:08", {"the id itself"}),
        ("12:05:01", "12:05:02", {"the id itself"}),
        ("12:05:01", "17:20:00", {"the id itself", "index"}),
        ("12:05:01", None, {"the id itself", "index"}),
    ],
)
def test_a_message_that_is_tried_again(
    searched: Searched, again: str, end: str | None, asked: set[str]
) -> None:
    """An index is asked only if no end was seen when the queue had been looked through again."""
    host = searched.host
    queue_id = postfix_id(host.at(MONDAY, "12:00"))
    lines = [
        b"May  4 12:00:00 mx1 postfix/smtpd[1]: %s: client=h[127.0.0.1]\n" % queue_id,
        b"May  4 %s mx1 postfix/qmgr[1]: %s: from=<a@b>, size=1, nrcpt=1 (queue active)\n"
        % (again.encode(), queue_id),
    ]
    if end:
        lines.append(b"May  4 %s mx1 postfix/qmgr[1]: %s: removed\n" % (end.encode(), queue_id))
    others = [
        b"May  4 1%d:%02d:30 mx1 imapd: Connection, ip=[192.0.2.1] %040d\n" % (hour, minute, n)
        for hour in range(2, 9)
        for minute in range(60)
        for n in range(60)
    ]
    host.write(b"".join(sorted([*lines, *others])))
    assert host.night(after(MONDAY)).exit_status == 0
    assert len(host.manifests()[0].frames) > 100
    assert searched.key("queue_id", queue_id) == lines
    assert set(searched.cost.answered) == asked


def test_a_frame_is_not_looked_through_twice(searched: Searched) -> None:
    """A quiet log: what was tried again would stand in the same frame."""
    queue_id = postfix_id(searched.host.at(MONDAY, "12:00"))
    line = b"May  4 12:00:00 mx1 postfix/smtpd[1]: %s: client=h[127.0.0.1]\n" % queue_id
    searched.host.write(line)
    assert searched.host.night(after(MONDAY)).exit_status == 0
    assert searched.key("queue_id", queue_id) == [line]
    assert searched.cost.answered == {"the id itself": 1, "index": 1}


def test_an_id_that_tells_its_time_is_looked_for_until_its_end(searched: Searched) -> None:
    """What names it much later, when the message is long gone, is found as text only."""
    host = searched.host
    queue_id = postfix_id(host.at(MONDAY, "12:00"))
    lines = [
        b"May  4 12:00:00 mx1 postfix/smtpd[1]: %s: client=h[127.0.0.1]\n" % queue_id,
        b"May  4 12:00:01 mx1 postfix/qmgr[1]: %s: removed\n" % queue_id,
        *[b"May  4 12:10:00 mx1 imapd: Connection, ip=[192.0.2.1] %04d\n" % n for n in range(600)],
        b"May  4 12:20:00 mx1 postfix/smtp[1]: ABCDEF1: to=<a@b>, relay=h[127.0.0.1]:10024,"
        b" delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %s)\n" % queue_id,
    ]
    host.write(b"".join(lines))
    assert host.night(after(MONDAY)).exit_status == 0
    assert searched.key("queue_id", queue_id) == lines[:2]
    assert searched.lines(Wanted((), re.compile(queue_id))) == [*lines[:2], lines[-1]]


# -- lines beside ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "behind"), [(0, 1), (2, 0), (3, 3), (0, 400), (400, 0)])
def test_context_is_what_stands_beside(searched: Searched, before: int, behind: int) -> None:
    """As grep gives it, each line once, over the borders of frames."""
    lines = archived(searched.host, 1)
    every = scanned(lines)
    starts = borders(searched.host, lines)
    rare = [key for key in every if len(every[key]) < 4 and key[0] in {"user", "message_id"}]
    near = sorted(
        (min(abs(number - start) for number in every[key] for start in starts), key) for key in rare
    )
    for _, key in near[:6]:
        numbers = {
            other
            for number in every[key]
            for other in range(number - before, number + behind + 1)
            if 0 <= other < len(lines)
        }
        found = searched.lines(wanting(*key), context=Context(before, behind))
        assert found == [lines[number] for number in sorted(numbers)]
