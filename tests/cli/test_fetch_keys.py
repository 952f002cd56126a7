"""The command line finds lines by their keys and by their text, wherever they are."""

import csv
import io
import json

import pytest

from archiver.maillog.born import born
from archiver.rotation.spool import Journal
from tests.world.host import MONDAY, Host, Said, after

LINES = [
    b"postfix/smtpd[11]: 4g8HFD0HDszKn0L: client=mx.a.example[192.0.2.1]",
    b"postfix/cleanup[12]: 4g8HFD0HDszKn0L: message-id=<One@a.example>",
    b"postfix/qmgr[13]: 4g8HFD0HDszKn0L: from=<Sender@a.example>, size=7, nrcpt=1 (queue active)",
    b"postfix/smtpd[11]: NOQUEUE: reject: RCPT from mx.a.example[2001:db8::1]: 554 5.7.1 no;"
    b" from=<x@c.example> to=<y@d.example> proto=ESMTP helo=<HELO.example>",
    b"dovecot: lmtp(mario)<77><SeSSion+1>: msgid=<One@a.example>: saved mail to INBOX",
    b"imapd: LOGIN, user=Anna@b.example, ip=[::ffff:192.0.2.9]",
    b"qmail: 1092664963.150677 info msg 139804: bytes 1360 from <> qp 663 uid 0",
    b"qmail: 1092664963.150678 warning: <One@a.example> in a text\xff\xfe",
]
DAYS = 5


def of_day(ahead: int) -> list[bytes]:
    day = after(MONDAY, ahead)
    head = f"{day:%b} {day.day:2} 12:00:".encode()
    return [head + b"%02d mx1 " % n + text + b"\n" for n, text in enumerate(LINES)]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Three archived days, one in the spool, one live."""
    host = Host(tmp_path_factory.mktemp("week"))
    host.log.touch(0o640)
    for ahead in range(DAYS):
        host.write(b"".join(of_day(ahead)))
        if ahead == DAYS - 2:
            host.store.rename(host.directory / "away")
            host.store.write_bytes(b"")
        if ahead < DAYS - 1:
            host.night(after(MONDAY, ahead + 1))
    host.store.unlink()
    (host.directory / "away").rename(host.store)
    return host


def fetch(host: Host, *words: str) -> Said:
    return host.archiver("fetch", *words, now=host.at(after(MONDAY, DAYS - 1), "23:00"))


def every(*numbers: int, days: range = range(DAYS)) -> bytes:
    return b"".join(of_day(ahead)[number] for ahead in days for number in numbers)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (("--message-id", "One@a.example"), (1, 4)),
        (("--message-id", "<One@a.example>"), (1, 4)),
        (("--queue-id", "4g8HFD0HDszKn0L"), (0, 1, 2)),
        (("--queue-id", "139804"), (6,)),
        (("--qp", "663"), (6,)),
        (("--session", "SeSSion+1"), (4,)),
        (("--address", "sender@A.example"), (2,)),
        (("--address", "<sender@a.example>"), (2,)),
        (("--address", "<>"), (6,)),
        (("--domain", "A.EXAMPLE"), (2,)),
        (("--user", "anna@b.example"), (5,)),
        (("--domain", "b.example"), (5,)),
        (("--ip", "192.0.2.9"), (5,)),
        (("--ip", "::ffff:192.0.2.9"), (5,)),
        (("--ip", "2001:DB8:0::1"), (3,)),
        (("--helo", "helo.EXAMPLE"), (3,)),
        (("--qp", "663", "--queue-id", "139804"), (6,)),
        (("--qp", "663", "--qp", "664"), (6,)),
        (("--ip", "192.0.2.1", "--ip", "192.0.2.9"), (0, 5)),
        (("--text", "<One@a.example>"), (1, 4, 7)),
        (("--grep", "^May .* (imapd|qmail): .*(ip|qp)"), (5, 6)),
        (("--message-id", "One@a.example", "--text", "msgid"), (4,)),
        (("--message-id", "One@a.example", "--grep", "dovecot"), (4,)),
        (("--grep", r"\xff\xfe$"), (7,)),
        (("--text", "\udcff\udcfe"), (7,)),
    ],
)
def test_what_is_found(week: Host, words: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    """In the archives, the spool and the live log, in order; and on the days asked for."""
    said = fetch(week, *words)
    assert (said.status, said.err, said.out) == (0, "", every(*numbers))
    said = fetch(week, *words, "--archived")
    assert said.out == every(*numbers, days=range(3))
    said = fetch(week, *words, "--date", "2026-05-05..2026-05-07")
    assert said.out == every(*numbers, days=range(1, 4))
    said = fetch(week, *words, "--source", "maillog", "--host", "mx1", "--from", "2026-05-08")
    assert said.out == every(*numbers, days=range(4, 5))
    said = fetch(week, *words, "--count")
    assert (said.status, said.out) == (0, b"%d\n" % (DAYS * len(numbers)))


@pytest.mark.parametrize(
    "words",
    [
        ("--message-id", "two@a.example"),
        ("--message-id", "one@a.example"),
        ("--queue-id", "4G8HFD0HDSZKN0L"),
        ("--address", "One@a.example"),
        ("--ip", "192.0.2.10"),
        ("--qp", "663", "--ip", "192.0.2.9"),
        ("--text", "no such text"),
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "ndjson", "csv"])
def test_what_is_not_there(week: Host, words: tuple[str, ...], form: str) -> None:
    """4, whatever the form; and what was looked for, and where."""
    said = fetch(week, *words, "--format", form)
    assert said.status == 4
    assert words[1].lower() in said.err.lower()
    assert "maillog" in said.err
    assert "3 archives" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("--grep", "("),
        ("--grep", "[z-a]"),
        ("--grep", ""),
        ("--text", ""),
        ("--grep", "a{99999999999999999999}"),
        ("--grep", "(" * 3000 + ")" * 3000),
        ("--grep", "a", "--text", "b"),
        ("--ip", "192.0.2"),
        ("--ip", "999.0.2.1"),
        ("--ip", "host.example"),
        ("--message-id", ""),
        ("--message-id", "<>"),
        ("--queue-id", " "),
        ("--queue-id", "a\nb"),
        ("--address", ""),
        ("--user", "x", "--raw"),
        ("--user", "x", "--count", "--format", "json"),
        ("--user", "x", "-A", "-1"),
        ("--user", "x", "--format", "xml"),
        ("--explain",),
        ("-A", "1"),
    ],
)
def test_what_cannot_be_asked(week: Host, words: tuple[str, ...]) -> None:
    """2, and why; never a traceback."""
    said = fetch(week, *words)
    assert (said.status, said.out) == (2, b"")
    assert "Traceback" not in said.err
    assert said.err


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (("-A", "1"), (4, 5)),
        (("-B", "2"), (2, 3, 4)),
        (("-C", "1"), (3, 4, 5)),
        (("-C", "1", "-A", "0"), (3, 4)),
        (("-C", "1", "-B", "2"), (2, 3, 4, 5)),
    ],
)
def test_lines_beside(week: Host, words: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    """Before, after, or both; the one that is said in particular counts."""
    said = fetch(week, "--session", "SeSSion+1", *words)
    assert (said.status, said.out) == (0, every(*numbers))


def test_lines_beside_end_with_the_archive(week: Host) -> None:
    """What the day before ended with does not stand beside a day's first line."""
    said = fetch(week, "--queue-id", "4g8HFD0HDszKn0L", "--text", "client=", "-B", "1")
    assert said.out == every(0)


def test_forms_tell_the_same(week: Host) -> None:
    """JSON, a JSON document a line, and CSV."""
    words = ("--session", "SeSSion+1", "-A", "3", "--date", str(MONDAY))
    array = json.loads(fetch(week, *words, "--format", "json").out)
    lines = fetch(week, *words, "--format", "ndjson").out.splitlines()
    rows = list(csv.DictReader(io.StringIO(fetch(week, *words, "--format", "csv").out.decode())))
    assert [json.loads(line) for line in lines] == array
    assert [row["line"] for row in rows] == [each["line"] for each in array]
    expected = [line.removesuffix(b"\n") for line in of_day(0)[4:]]
    assert [each["line"].encode() for each in array[:3]] == expected[:3]
    assert array[3]["line"].endswith(r"a text\xff\xfe")
    assert [each["matches"] for each in array] == [True, False, False, False]
    first = array[0]
    assert (first["time"], first["source"]) == ("2026-05-04T10:00:04Z", "maillog")
    assert (first["host"], first["program"], first["pid"]) == ("mx1", "dovecot", None)
    assert first["facts"][0]["fields"]["session"] == "SeSSion+1"


def test_explained(week: Host) -> None:
    """An absent key costs no archive; a present one only those that hold it."""
    said = fetch(week, "--message-id", "two@a.example", "--explain", "--archived")
    assert "3 archives considered, 0 opened" in said.err
    said = fetch(week, "--message-id", "One@a.example", "--explain", "--archived")
    assert "3 archives considered, 3 opened" in said.err
    assert "3 index" in said.err


def test_a_key_on_another_host_of_the_same_stores(week: Host) -> None:
    said = fetch(week, "--qp", "663", "--host", "mx2")
    assert said.status == 4


def test_into_a_directory(week: Host) -> None:
    """A file for each day."""
    target = week.directory / "found"
    said = fetch(week, "--qp", "663", "--date", "2026-05-04..2026-05-05", "-o", f"{target}/")
    assert said.status == 0
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        f"maillog-{after(MONDAY, ahead)}.log": of_day(ahead)[6] for ahead in range(2)
    }


IDS = [
    ("4g8HFD0HDszKn0L", b"postfix/smtp[1]: %s: host mx[192.0.2.1] said: 451 later"),
    ("1wJq5o-0000By-14", b"exim[1]: %s == a@b R=r T=t defer (-1): later"),
    ("644A00359000932", b"sm-mta[1]: %s: to=<a@b>, delay=00:00:01, stat=Deferred"),
]


@pytest.mark.parametrize(("queue_id", "text"), IDS)
@pytest.mark.parametrize("clocks", [("12:00:00", "12:00:01"), ("10:00:00", "12:00:01")])
def test_ids_that_tell_their_day(
    host: Host, queue_id: str, text: bytes, clocks: tuple[str, ...]
) -> None:
    """They are found days later, too; and earlier, where a program in a jail logs another zone's
    time: of a chrooted smtpd that is usual.
    """
    made = [f"May  4 {clock} mx1 ".encode() + text % queue_id.encode() + b"\n" for clock in clocks]
    host.write(b"".join(made))
    assert host.night(after(MONDAY)).exit_status == 0
    for ahead in (2, 4):
        day = after(MONDAY, ahead)
        head = f"{day:%b} {day.day:2} 12:00:00 mx1 ".encode()
        made.append(head + text % queue_id.encode() + b"\n")
        host.write(made[-1])
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    assert born(queue_id.encode(), near=host.at(MONDAY)) == host.at(MONDAY, "12:00")
    said = host.archiver("fetch", "--queue-id", queue_id, now=host.at(after(MONDAY, 5)))
    assert (said.status, said.out) == (0, b"".join(made))


@pytest.mark.parametrize("name", ["", "x" * 65, "../x", "a b"])
def test_what_is_no_hosts_name(week: Host, name: str) -> None:
    said = fetch(week, "--host", name, "--user", "anna")
    assert (said.status, said.out) == (2, b"")
    assert "--host" in said.err


def test_a_text_in_what_stands_before_the_text(host: Host) -> None:
    """In RFC 5424's structured data, or a tag: with brackets as without them."""
    line = b'<22>1 2026-05-04T10:00:00Z mx1 x 1 - [a b="<a@b.example>" c="[192.0.2.9]"] y\n'
    host.write(line + line.replace(b" x ", b" <t@b.example> "))
    assert host.night(after(MONDAY)).exit_status == 0
    for text in ("<a@b.example>", "[192.0.2.9]"):
        assert fetch(host, "--text", text, "--archived").out.count(b"\n") == 2
    assert fetch(host, "--text", "<t@b.example>", "--archived").out.count(b"\n") == 1


def test_an_id_that_tells_its_time_is_given_once(host: Host) -> None:
    """Killed when all was catalogued, and the segment is still in the spool."""
    host.write(b"May  4 12:00:00 mx1 postfix/smtpd[1]: 4g8HFD0HDszKn0L: client=a[192.0.2.1]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "end", _killed)
        with pytest.raises(KeyboardInterrupt):
            host.night(after(MONDAY))
    assert fetch(host, "--queue-id", "4g8HFD0HDszKn0L").out.count(b"\n") == 1
    assert fetch(host, "--text", "4g8HFD0HDszKn0L").out.count(b"\n") == 1


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
