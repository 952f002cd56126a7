"""Every form of header that real programs and collectors write: who, when and what are the same."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.maillog.bulk import KeyReader
from archiver.maillog.clock import Clock
from archiver.maillog.kinds import KINDS
from archiver.maillog.lines import keys_of
from archiver.maillog.record import record
from tests.maillog.programs.contract import assert_linear

ZONE = ZoneInfo("Europe/Rome")
AT = int(datetime(2026, 11, 23, 9, 41, 7, tzinfo=ZONE).timestamp())
TEXTS = (
    b"9C21F4A07: client=relay.sender.example[198.51.100.7]",
    b"4jXzxh0HDszKn0L: message-id=<one.two@sender.example>",
    b"NOQUEUE: reject: RCPT from a.sender.example[198.51.100.8]: 450 4.7.1 try later;"
    b" from=<ann@sender.example> to=<bob@receiver.example> proto=ESMTP helo=<a.sender.example>",
)
# HOST, TAG (with its process) and TEXT are filled in.
FORMS = {
    "rfc 3164": b"Nov 23 09:41:07 HOST TAG: TEXT",
    "freebsd -v": b"Nov 23 09:41:07 <2.6> HOST TAG: TEXT",
    "freebsd -vv": b"Nov 23 09:41:07 <mail.info> HOST TAG: TEXT",
    "busybox": b"Nov 23 09:41:07 HOST mail.info TAG: TEXT",
    "aix": b"Nov 23 09:41:07 HOST mail:info TAG: TEXT",
    "local facility": b"Nov 23 09:41:07 HOST local0.warn TAG: TEXT",
    "solaris": b"Nov 23 09:41:07 HOST TAG: [ID 197553 mail.info] TEXT",
    "no blank": b"Nov 23 09:41:07 HOST TAG:TEXT",
    "two blanks": b"Nov 23 09:41:07 HOST TAG:  TEXT",
    "many blanks": b"Nov 23 09:41:07 HOST TAG:     TEXT",
    "windows": b"Nov 23 09:41:07 HOST TAG: TEXT\r",
    "trailing blanks": b"Nov 23 09:41:07 HOST TAG: TEXT  ",
    "short-precise": b"Nov 23 09:41:07.123456 HOST TAG: TEXT",
    "short-full": b"Mon 2026-11-23 09:41:07 CET HOST TAG: TEXT",
    "short-full, UTC": b"Mon 2026-11-23 08:41:07 UTC HOST TAG: TEXT",
    "short-unix": b"%d.123456 HOST TAG: TEXT" % AT,
    "iso": b"2026-11-23T09:41:07.123456+01:00 HOST TAG: TEXT",
    "iso with a blank": b"2026-11-23 09:41:07 HOST TAG: TEXT",
    "docker": b"2026-11-23T08:41:07.123456789Z Nov 23 09:41:07 HOST TAG: TEXT",
    "cri": b"2026-11-23T09:41:07.123456789+01:00 stdout F Nov 23 09:41:07 HOST TAG: TEXT",
    "compose": b"mail-1  | Nov 23 09:41:07 HOST TAG: TEXT",
    "rfc 5424": b"<22>1 2026-11-23T08:41:07Z HOST postfix/smtpd 4711 - - TEXT",
}
HOSTS = st.sampled_from(
    [b"mx1", b"mail.receiver.example", b"mx_1", b"2001:db8::25", b"fe80::1", b"10.0.0.1"]
)
TAGS = st.builds(
    b"%s[%d]".__mod__, st.tuples(st.sampled_from([b"postfix/smtpd"]), st.integers(1, 4194304))
)


def line(form: bytes, host: bytes, tag: bytes, text: bytes) -> bytes:
    return form.replace(b"HOST", host).replace(b"TAG", tag).replace(b"TEXT", text) + b"\n"


def bulk(*lines: bytes) -> set[bytes]:
    return KeyReader(frozenset(KINDS)).keys(b"".join(lines))


@pytest.mark.parametrize("form", FORMS)
@given(host=HOSTS, tag=TAGS, text=st.sampled_from(TEXTS))
def test_a_form_changes_nothing_of_what_is_said(
    form: str, host: bytes, tag: bytes, text: bytes
) -> None:
    odd, usual = (line(FORMS[each], host, tag, text) for each in (form, "rfc 3164"))
    expected = keys_of(usual)
    assert expected
    assert keys_of(odd) == expected
    parsed = record(odd)
    assert parsed
    assert parsed.host == host
    low = {key.lower() for _, key in expected}
    assert low <= bulk(odd)
    # Among usual lines of another program and host, which set the columns.
    other = line(FORMS["rfc 3164"], b"mx2", b"dovecot", b"auth: Debug: nothing")
    assert low <= bulk(*[other] * 3, odd, *[other] * 3)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_tells_the_time(form: str) -> None:
    """RFC 5424's and the collectors' own stamps included: they are the same second here."""
    text = line(FORMS[form], b"mx1", b"postfix/smtpd[7]", TEXTS[0])
    clock = Clock(ZONE, written=AT + 3600)
    assert [time for _, time in clock.lines(text * 3)] == [AT] * 3
    survey = Clock(ZONE, written=AT + 3600).survey(text * 3)
    assert (survey.first, survey.last, survey.newlines) == (AT, AT, 3)


def test_dovecots_own_file() -> None:
    """It has no host, and the level stands after the process."""
    said = (
        b"user=<ann@receiver.example>, method=PLAIN, rip=198.51.100.9, lip=192.0.2.1, mpid=77, TLS,"
    )
    for stamp in (b"Nov 23 09:41:07", b"2026-11-23 09:41:07"):
        own = stamp + b" imap-login: Info: Login: " + said + b" session=<q1w2/e3>\n"
        syslog = (
            b"Nov 23 09:41:07 mx1 dovecot: imap-login: Login: " + said + b" session=<q1w2/e3>\n"
        )
        assert keys_of(own) == keys_of(syslog) != set()
        assert {key.lower() for _, key in keys_of(own)} <= bulk(own)
        assert {key.lower() for _, key in keys_of(own)} <= bulk(*[syslog] * 3, own)


@pytest.mark.parametrize("hostile", [b" ", b"\r", b" \r", b" x", b"\rx"])
def test_blanks_and_returns_take_linear_time(hostile: bytes) -> None:
    """Wherever they stand: a stranger may have logged them."""
    begin = line(FORMS["rfc 3164"], b"mx1", b"postfix/smtpd[7]", TEXTS[0])
    assert_linear(bulk, begin + b"Nov 23 09:41:07 mx1 postfix/smtpd[7]: \r", hostile, b"x\n")


def test_with_a_blank_in_its_stamp_a_line_is_exims() -> None:
    """Unless host and program follow."""
    text = b"1vcXYZ-000000005vi-2abc <= ann@sender.example H=mx [198.51.100.3] P=esmtps S=12\n"
    parsed = record(b"2026-11-23 09:41:07 " + text)
    assert parsed
    assert parsed.program == b"exim"
    assert ("address", b"ann@sender.example") in keys_of(b"2026-11-23 09:41:07 " + text)
    assert ("ip", b"198.51.100.3") in keys_of(b"2026-11-23 09:41:07.123 [77] " + text)


@pytest.mark.parametrize(
    ("text", "year"),
    [
        # Sendmail writes the year modulo 60.
        (b"Nov 23 09:41:07 mx1 postfix/qmgr[1]: 4jXzxh0HDszKn0L: removed\n", 2026),
        (b"Jan  6 09:41:07 mx1 exim[1]: 1vcXYZ-000000005vi-2abc Completed\n", 2026),
        (b"Nov 23 09:49:07 mx1 sm-mta[1]: 6AN8n359000932: from=<a@b.example>, size=1\n", 2026),
    ],
)
def test_an_id_tells_the_year_of_a_log_that_was_copied_without_its_time(
    text: bytes, year: int
) -> None:
    copied = int(datetime(2031, 3, 1, tzinfo=ZONE).timestamp())
    other = text[:15] + b" mx1 dovecot: auth: Debug: nothing\n"
    clock = Clock(ZONE, written=copied)
    times = [time for _, time in clock.lines(other + text)]
    assert {datetime.fromtimestamp(time, ZONE).year for time in times} == {year}


def test_an_id_of_another_day_tells_nothing() -> None:
    """A stranger's text, or a queue file that was restored: its month is not the line's."""
    text = b"Jun 23 09:41:07 mx1 postfix/qmgr[1]: 4jXzxh0HDszKn0L: removed\n"
    copied = int(datetime(2031, 9, 1, tzinfo=ZONE).timestamp())
    ((_, time),) = Clock(ZONE, written=copied).lines(text)
    assert datetime.fromtimestamp(time, ZONE).year == 2031
