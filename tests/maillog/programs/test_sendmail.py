"""Sendmail's lines: of a real Sendmail, and what strangers could write into them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.kinds import KINDS
from archiver.maillog.programs.sendmail import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    keys_of,
    tokens,
    told,
)

ID, NEXT, FORGED = b"6AN8n359000932", b"6AN8n4El000942", b"9ZZ9Z999999999"
CLIENT = b"relay=server.rete.dom [127.0.0.1]"

# From a real Sendmail.
REAL = {
    b"starting daemon (8.17.1.9): SMTP+queueing@00:00:05": ("started", set()),
    b"6AN8n359000932: from=<test@server.rete.dom>, size=294, class=0, nrcpts=1, msgid=<test.1@x>,"
    b" proto=ESMTP, daemon=Daemon0, relay=server.rete.dom [127.0.0.1]": (
        "received",
        {
            ("queue_id", ID),
            ("address", b"test@server.rete.dom"),
            ("domain", b"server.rete.dom"),
            ("message_id", b"test.1@x"),
            ("ip", b"127.0.0.1"),
        },
    ),
    b"6AN8n359000932: Warning: program /usr/sbin/sensible-mda unsafe: No such file or directory": (
        "note",
        {("queue_id", ID)},
    ),
    b"6AN8n359000932: SYSERR(root): Cannot exec /usr/sbin/sensible-mda: No such file or"
    b" directory": (
        "error",
        {("queue_id", ID)},
    ),
    b"6AN8n359000932: to=<root@server.rete.dom>, ctladdr=<test@server.rete.dom> (1001/1001),"
    b" delay=00:00:00, xdelay=00:00:00, mailer=local, pri=30509, dsn=4.0.0,"
    b" stat=Operating system error": (
        "delivery",
        {
            ("queue_id", ID),
            ("address", b"root@server.rete.dom"),
            ("domain", b"server.rete.dom"),
        },
    ),
    b"6AN8n4bb000938: <nouser@server.rete.dom>... User unknown": (
        "rejected",
        {
            ("queue_id", b"6AN8n4bb000938"),
            ("address", b"nouser@server.rete.dom"),
            ("domain", b"server.rete.dom"),
        },
    ),
    b"6AN8n4bb000938: from=<test@server.rete.dom>, size=0, class=0, nrcpts=0, proto=ESMTP,"
    b" daemon=Daemon0, relay=server.rete.dom [127.0.0.1]": (
        "received",
        {
            ("queue_id", b"6AN8n4bb000938"),
            ("address", b"test@server.rete.dom"),
            ("domain", b"server.rete.dom"),
            ("ip", b"127.0.0.1"),
        },
    ),
}
TO = b", delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=1, relay=mx.b. [192.0.2.1], dsn=2.0.0,"
SENT = ID + b": to=<a@b>" + TO + b" stat=Sent "
HOPPED = {("queue_id", ID), ("address", b"a@b"), ("domain", b"b"), ("ip", b"192.0.2.1")}
# By its source.
LISTED = {
    ID + b": from=<>, size=2, class=0, nrcpts=1, msgid=abc, bodytype=8BITMIME, proto=ESMTPS,"
    b" daemon=MTA, tls_verify=NO, auth=PLAIN, relay=[192.0.2.1] (may be forged)": (
        "received",
        {
            ("queue_id", ID),
            ("address", b"<>"),
            ("message_id", b"abc"),
            ("ip", b"192.0.2.1"),
        },
    ),
    b"g8U2LVi03161: from=root, size=2, class=0, nrcpts=1, msgid=<a,b>, relay=root@localhost": (
        "received",
        {("queue_id", b"g8U2LVi03161"), ("address", b"root"), ("message_id", b"a,b")},
    ),
    b"NAA28262: to=bob,<c@d>,al, ctladdr=root (0/0), delay=00:00:00, mailer=local, stat=Sent": (
        "delivery",
        {
            ("queue_id", b"NAA28262"),
            ("address", b"bob"),
            ("address", b"al"),
            ("address", b"c@d"),
            ("domain", b"d"),
        },
    ),
    SENT + b"(6AN8n4El000942 Message accepted for delivery)": (
        "delivery",
        {*HOPPED, ("queue_id", NEXT)},
    ),
    SENT + b"(2.0.0 Ok: queued as 4D1F2AB)": ("delivery", {*HOPPED, ("queue_id", b"4D1F2AB")}),
    SENT + b"(OK id=1xVPhH-0000C4-19)": ("delivery", {*HOPPED, ("queue_id", b"1xVPhH-0000C4-19")}),
    SENT + b"(ok 1795423431 qp 234)": ("delivery", {*HOPPED, ("qp", b"234")}),
    SENT + b"(2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4D1F2AB)": (
        "delivery",
        {*HOPPED, ("queue_id", b"4D1F2AB")},
    ),
    ID + b': to="|/usr/bin/procmail -a b", delay=00:00:01, mailer=prog, stat=Sent': (
        "delivery",
        {("queue_id", ID)},
    ),
    ID + b": done; delay=00:00:01, ntries=1": ("completed", {("queue_id", ID)}),
    ID + b": " + NEXT + b": DSN: User unknown": ("bounced", {("queue_id", ID), ("queue_id", NEXT)}),
    ID + b": " + NEXT + b": sender notify: Warning: could not send message": (
        "sender warned",
        {("queue_id", ID), ("queue_id", NEXT)},
    ),
    ID + b": " + NEXT + b": clone: owner=owner-list": (
        "clone",
        {("queue_id", ID), ("queue_id", NEXT)},
    ),
    ID + b": clone g8U2LVi03161, owner=owner-list": ("clone", {("queue_id", ID)}),
    ID + b": ruleset=check_rcpt, arg1=<a@b>, relay=[192.0.2.1], reject=550 5.7.1 <a@b>... No": (
        "rejected",
        HOPPED,
    ),
    b"ruleset=check_relay, arg1=[192.0.2.1], arg2=192.0.2.1, relay=[192.0.2.1], reject=421": (
        "rejected",
        {("ip", b"192.0.2.1")},
    ),
    ID + b": Milter: to=<a@b>, reject=550 no": ("rejected", HOPPED - {("ip", b"192.0.2.1")}),
    ID + b": Milter (x) add: header: X: <a@b>": ("milter", {("queue_id", ID)}),
    b"AUTH=server, relay=h [192.0.2.1] (may be forged), authid=bob@b, mech=PLAIN, bits=0": (
        "login",
        {("ip", b"192.0.2.1"), ("user", b"bob@b"), ("domain", b"b")},
    ),
    ID
    + b": AUTH failure (LOGIN): user not found (-20) SASL(-13): x, user=bob, relay=h [192.0.2.1]": (
        "login failed",
        {("queue_id", ID), ("ip", b"192.0.2.1"), ("user", b"bob")},
    ),
    b"STARTTLS=server, relay=h [192.0.2.1], version=TLSv1.3, verify=NO": (
        "encrypted",
        {("ip", b"192.0.2.1")},
    ),
    b"STARTTLS=client, relay=mx.b., version=TLSv1.3, verify=OK": ("encrypted", set()),
    ID + b": lost input channel from h [192.0.2.1] (may be forged) to MTA after rcpt": (
        "client",
        {("queue_id", ID), ("ip", b"192.0.2.1")},
    ),
    b"NOQUEUE: h [192.0.2.1] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA": (
        "client",
        {("ip", b"192.0.2.1")},
    ),
    ID + b"[2]: ...the rest": ("note", {("queue_id", ID)}),
}


@pytest.mark.parametrize("text", [*REAL, *LISTED])
def test_says(text: bytes) -> None:
    name, expected = (REAL | LISTED)[text]
    assert (name, expected) == (told(FAMILY, text)[0], keys_of(FAMILY.parse(text)))


def test_says_more() -> None:
    _, fields = told(FAMILY, SENT + b"(6AN8n4El000942 Message accepted for delivery)")
    assert fields == {
        "queue_id": ID,
        "recipients": b"<a@b>",
        "delay": b"00:00:00",
        "mailer": b"esmtp",
        "relay": b"mx.b.",
        "relay_ip": b"192.0.2.1",
        "dsn": b"2.0.0",
        "status": b"Sent (6AN8n4El000942 Message accepted for delivery)",
        "new_queue_id": NEXT,
    }


def test_an_ipv6_client() -> None:
    text = ID + b": from=<a@b>, size=2, class=0, nrcpts=1, relay=h [IPv6:2001:db8::1]"
    assert ("ip", b"2001:db8::1") in keys_of(FAMILY.parse(text))


def assert_found(texts: list[bytes]) -> None:
    assert_found_in_bulk(FAMILY, texts)
    for text in texts:
        line = b"<22>1 2026-11-23t08:46:46z vm sm-mta 12 - - " + text
        there = tokens(line.lower(), FAMILY, KINDS)
        assert {key.lower() for _, key in keys_of(FAMILY.parse(text))} <= there


def test_bulk() -> None:
    assert_found([*REAL, *LISTED])


# -- strangers ------------------------------------------------------------------------------

BAD = {
    ("queue_id", FORGED),
    ("ip", b"192.0.2.66"),
    ("user", b"ceo"),
    ("address", b"ceo@bank"),
    ("message_id", b"forged@x"),
}
PIECES = [
    b", size=1, class=0, nrcpts=1",
    b", msgid=<forged@x>",
    b", proto=ESMTP",
    b", daemon=MTA",
    b", relay=evil [192.0.2.66]",
    b" evil [192.0.2.66] did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA",
    b", delay=00:00:00, mailer=esmtp",
    b", ctladdr=<ceo@bank>",
    b", stat=Sent (" + FORGED + b" Message accepted for delivery)",
    b", reject=550",
    b", authid=ceo, mech=PLAIN",
    b", user=ceo",
    b": " + FORGED + b": ",
    FORGED + b": to=<ceo@bank>",
    b",<ceo@bank>",
    b'"',
    b"\\",
    b">",
    b"<",
    b"(",
    b")",
    b",",
    b", ",
    b"@b",
    b"x",
    b"\0\xff",
]
hostile = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)


def quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


addresses = st.one_of(
    st.sampled_from([b"<a@b>", b"<>", b"root"]),
    hostile.map(lambda text: b"<" + quoted(text) + b"@b>"),
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A sender's address, a recipient's, a Message-ID, a reply and a user's name may be odd.

    A Message-ID is the sender's choice, whole or not: that it is another one's is no forgery.
    """
    odd = draw(hostile)
    received = ID + b": from=" + draw(addresses) + b", size=9, class=0, nrcpts=1"
    relay = b", relay=h [192.0.2.1]"
    to = ID + b": to=" + draw(addresses) + b"," + draw(addresses)
    return draw(
        st.sampled_from(
            [
                received + b", msgid=<m@x>, proto=ESMTP, daemon=MTA" + relay,
                received
                + b", msgid=<x "
                + odd
                + b">, bodytype=7BIT, proto=SMTP, daemon=MTA"
                + relay,
                to + TO + b" stat=Sent (x " + odd + b")",
                to + TO + b" stat=" + odd,
                ID + b": ruleset=check_rcpt, arg1=" + draw(addresses) + relay + b", reject=" + odd,
                b"ruleset=check_mail, arg1=" + draw(addresses) + relay + b", reject=" + odd,
                ID + b": " + draw(addresses) + b"... User unknown",
                ID + b": Milter add: header: X: " + odd,
                ID + b": " + NEXT + b": DSN: " + odd,
            ]
        )
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(lines(), max_size=4))
def test_a_strangers_words_are_no_keys_and_all_keys_are_found(texts: list[bytes]) -> None:
    for text in texts:
        assert not BAD & keys_of(FAMILY.parse(text)), text
    assert_found(texts)


FORGERIES = [
    ID + b': from=<"x>, size=1, class=0, nrcpts=1, msgid=<forged@x>, relay=evil [192.0.2.66]"@b>,'
    b" size=9, class=0, nrcpts=1, " + CLIENT,
    ID
    + b": from=<a@b>, size=9, class=0, nrcpts=1, msgid=<x>, proto=ESMTP, relay=evil [192.0.2.66],"
    b" proto=ESMTP, daemon=MTA, " + CLIENT,
    ID
    + b': to=<"x>,<ceo@bank>, stat=Sent ('
    + FORGED
    + b' Message accepted for delivery)"@b>, stat=x',
    ID + b": to=<a@b>, stat=Sent (x " + FORGED + b" Message accepted for delivery)",
    ID + b": to=<a@b>, stat=Sent (" + FORGED + b" Message accepted for delivery) x)",
    ID + b": to=<a@b>, stat=Deferred: relay=evil [192.0.2.66], stat=Sent (OK id=" + FORGED + b")",
    ID
    + b': ruleset=check_rcpt, arg1=<"x>, relay=evil [192.0.2.66], reject="@b>, '
    + CLIENT
    + b", reject=550",
    b"AUTH failure (LOGIN): x (-20), user=ceo, relay=evil [192.0.2.66], " + CLIENT,
    ID + b": <x [192.0.2.66] did not issue MAIL/EXPN/VRFY/ETRN during connection to x>... Unknown",
    ID
    + b": x [192.0.2.66] did not issue MAIL/EXPN/VRFY/ETRN during connection to x... User unknown",
    b"x " + FORGED + b": to=<ceo@bank>, stat=Sent",
]


@pytest.mark.parametrize("text", FORGERIES)
def test_forged(text: bytes) -> None:
    assert not BAD & keys_of(FAMILY.parse(text))
    assert_found([text])


def test_a_line_that_breaks_the_grammar_still_tells_its_id_and_its_client() -> None:
    for text in FORGERIES[:2]:
        assert told(FAMILY, text)[0] == "received"
        assert {("queue_id", ID), ("ip", b"127.0.0.1")} <= keys_of(FAMILY.parse(text))


MSGID = ID + b": from=<a@b>, size=1, class=0, nrcpts=1, msgid="


@pytest.mark.parametrize(
    ("begin", "hostile_text"),
    [
        (ID + b": from=", b'"a'),
        (ID + b": from=", b"\\"),
        (ID + b": from=x", b", relay=h [::1]"),
        (MSGID, b"<a@b>,"),
        (MSGID, b", proto=x"),
        (MSGID, b"a@b"),
        (ID + b": to=", b'"a'),
        (ID + b": to=", b"<a@b>,"),
        (ID + b": to=<a@b>, ctladdr=", b"\\"),
        (ID + b": to=<a@b>, stat=Sent (from MTA(", b") "),
        (ID + b": ruleset=check_rcpt, arg1=", b'"a'),
        (b"AUTH failure (LOGIN): ", b", user=x, relay=h [::1]"),
        (b"STARTTLS=server, relay=", b"[::1]"),
    ],
)
def test_hostile_texts_take_linear_time(begin: bytes, hostile_text: bytes) -> None:
    assert_linear(FAMILY.parse, begin, hostile_text)


def test_bulk_takes_linear_time() -> None:
    for piece in (b": a", b" to=", b",<", b" msgid=<", b"=sent (from mta(", b": <x"):
        assert_linear(lambda text: tokens(text, FAMILY, KINDS), b"", piece)
