"""Exim's main log: lines of a real Exim, and what strangers could write into them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.kinds import KINDS
from archiver.maillog.programs.exim import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    keys_of,
    tokens,
    told,
)

ID, OTHER, FORGED = b"1xVPhG-0000By-14", b"1xVPhH-0000C4ABCDE-19AB", b"9zzzzz-9zzzzz-99"

# From a real Exim.
REAL = {
    b"1xVPhG-0000By-14 <= root@vm U=root P=local S=246 id=e10363@x": (
        "received",
        {
            "queue_id": ID,
            "sender": b"root@vm",
            "user": b"root",
            "proto": b"local",
            "size": b"246",
            "message_id": b"e10363@x",
        },
    ),
    b"1xVPhG-0000By-14 => test <test@vm> R=local_user T=mail_spool": (
        "delivery",
        {
            "queue_id": ID,
            "how": b"=>",
            "recipient": b"test",
            "orig_to": b"test@vm",
            "router": b"local_user",
            "transport": b"mail_spool",
        },
    ),
    b"1xVPhG-0000By-14 Completed": ("completed", {"queue_id": ID}),
    b"1xVPhH-0000C4-19 ** nouser@vm: Unrouteable address": (
        "bounced",
        {
            "queue_id": b"1xVPhH-0000C4-19",
            "recipient": b"nouser@vm",
            "reason": b"Unrouteable address",
        },
    ),
    b"1xVPhH-0000C8-1J <= <> R=1xVPhH-0000C4-19 U=Debian-exim P=local S=1359": (
        "received",
        {
            "queue_id": b"1xVPhH-0000C8-1J",
            "sender": b"<>",
            "parent_queue_id": b"1xVPhH-0000C4-19",
            "user": b"Debian-exim",
            "proto": b"local",
            "size": b"1359",
        },
    ),
    b"1xVPhH-0000C8-1J => /var/mail/mail <root@vm> R=mail4root T=address_file": (
        "delivery",
        {
            "queue_id": b"1xVPhH-0000C8-1J",
            "how": b"=>",
            "file": b"/var/mail/mail",
            "orig_to": b"root@vm",
            "router": b"mail4root",
            "transport": b"address_file",
        },
    ),
    b"Start queue run: pid=766": ("queue run", {"how": b"Start", "reason": b"pid=766"}),
}
# By the specification of its log: the name of the event, and the keys.
LISTED = {
    ID + b" <= a@b.example H=mail.example (he.example) [192.0.2.1]:2345 I=[192.0.2.9]:25"
    b' P=esmtpsa X=TLS1.3:AES:256 CV=no DN="CN=x" A=login:bob@b.example S=123 DKIM=b.example'
    b' id=mid@x T="Re: \\"x\\" H=(q) [192.0.2.66]" from <a@b.example> for b@c d@e': (
        "received",
        {
            ("queue_id", ID),
            ("address", b"a@b.example"),
            ("domain", b"b.example"),
            ("helo", b"he.example"),
            ("ip", b"192.0.2.1"),
            ("user", b"bob@b.example"),
            ("message_id", b"mid@x"),
        },
    ),
    ID + b" <= a@b H=([192.0.2.7]) [::1] P=esmtp S=123": (
        "received",
        {
            ("queue_id", ID),
            ("address", b"a@b"),
            ("domain", b"b"),
            ("helo", b"[192.0.2.7]"),
            ("ip", b"::1"),
        },
    ),
    OTHER + b" => u@d <o@e> F=<s@t> R=dns T=smtp H=mx.d [192.0.2.3]:25 X=TLS1.3:AES:256 CV=yes K"
    b' C="250 OK id=1xVPhH-0000C4-19" QT=2s DT=1s': (
        "delivery",
        {
            ("queue_id", OTHER),
            ("address", b"u@d"),
            ("domain", b"d"),
            ("address", b"o@e"),
            ("domain", b"e"),
            ("ip", b"192.0.2.3"),
            ("queue_id", b"1xVPhH-0000C4-19"),
        },
    ),
    ID + b' -> u R=dns T=smtp H=mx.d [192.0.2.3]* C="250 2.0.0 Ok: queued as 4D1F2AB"': (
        "delivery",
        {
            ("queue_id", ID),
            ("address", b"u"),
            ("ip", b"192.0.2.3"),
            ("queue_id", b"4D1F2AB"),
        },
    ),
    ID + b' >> u R=dns T=smtp H=mx.d [192.0.2.3] C="250 ok 1795423431 qp 234"': (
        "delivery",
        {("queue_id", ID), ("address", b"u"), ("ip", b"192.0.2.3"), ("qp", b"234")},
    ),
    ID + b" *> |/usr/bin/vacation -a x <u@d> R=forward T=address_pipe": (
        "delivery",
        {("queue_id", ID), ("address", b"u@d"), ("domain", b"d")},
    ),
    ID + b" == u@d R=dns T=smtp defer (-44) H=mx [192.0.2.3]: SMTP error after RCPT TO": (
        "deferred",
        {("queue_id", ID), ("address", b"u@d"), ("domain", b"d"), ("ip", b"192.0.2.3")},
    ),
    ID + b" ** u@d <o@e> R=dns T=smtp H=mx.d [192.0.2.3]: SMTP error after RCPT TO:<u@d>: 550": (
        "bounced",
        {
            ("queue_id", ID),
            ("address", b"u@d"),
            ("domain", b"d"),
            ("address", b"o@e"),
            ("domain", b"e"),
            ("ip", b"192.0.2.3"),
        },
    ),
    b"H=mail.x (helo.x) [192.0.2.1]:3 X=TLS1.3:AES:256 CV=no F=<s@x> rejected RCPT <r@y>: no": (
        "rejected",
        {
            ("helo", b"helo.x"),
            ("ip", b"192.0.2.1"),
            ("address", b"s@x"),
            ("domain", b"x"),
            ("address", b"r@y"),
            ("domain", b"y"),
        },
    ),
    ID + b" H=(helo.x) [192.0.2.1] F=<> temporarily rejected after DATA: virus": (
        "rejected",
        {("queue_id", ID), ("helo", b"helo.x"), ("ip", b"192.0.2.1"), ("address", b"<>")},
    ),
    b"H=(x) [192.0.2.1] rejected EHLO or HELO x: bad": (
        "rejected",
        {("helo", b"x"), ("ip", b"192.0.2.1")},
    ),
    b"H=m [192.0.2.1] F=<s@x> Warning: slow": (
        "warning",
        {("ip", b"192.0.2.1"), ("address", b"s@x"), ("domain", b"x")},
    ),
    b"SMTP connection from mail.x (helo.x) [192.0.2.1]:33 closed by QUIT": (
        "connection",
        {("helo", b"helo.x"), ("ip", b"192.0.2.1")},
    ),
    b"no host name found for IP address 192.0.2.1": ("no host name", {("ip", b"192.0.2.1")}),
    b"login authenticator failed for (User) [192.0.2.1]: 535 Incorrect authentication data"
    b" (set_id=bob@x)": (
        "login failed",
        {("helo", b"user"), ("ip", b"192.0.2.1"), ("user", b"bob@x"), ("domain", b"x")},
    ),
    ID + b" Frozen (delivery error message)": ("frozen", {("queue_id", ID)}),
    ID + b" Unfrozen by errmsg timer": ("unfrozen", {("queue_id", ID)}),
    ID + b" H=mx.d [192.0.2.3] Connection refused": (
        "next host",
        {("queue_id", ID), ("ip", b"192.0.2.3")},
    ),
    ID + b" SMTP error from remote mail server after RCPT TO:<a@b>: host x [192.0.2.3]: 550": (
        "note",
        {("queue_id", ID)},
    ),
}


@pytest.mark.parametrize("text", REAL)
def test_says(text: bytes) -> None:
    assert REAL[text] == told(FAMILY, text)


@pytest.mark.parametrize("text", LISTED)
def test_says_keys(text: bytes) -> None:
    name, expected = LISTED[text]
    event = FAMILY.parse(text)
    assert event is not None
    assert (name, expected) == (event.name, keys_of(event))


def in_its_own_log(text: bytes) -> list[bytes]:
    """A text with each of the stamps that Exim writes, and with RFC 5424's header."""
    return [
        b"2026-11-23 08:46:46 " + text,
        b"2026-11-23 08:46:46.123 +0100 [1234] " + text,
        b"Nov 23 08:46:46 vm exim[12]: 2026-11-23 08:46:46 " + text,
        b"<22>1 2026-11-23T08:46:46Z vm exim 12 - - " + text,
    ]


def assert_found(texts: list[bytes]) -> None:
    assert_found_in_bulk(FAMILY, texts)
    for text in texts:
        for line in in_its_own_log(text):
            there = tokens(b"\n".join([line, line]).lower(), FAMILY, KINDS)
            assert {key.lower() for _, key in keys_of(FAMILY.parse(text))} <= there


def test_bulk() -> None:
    assert_found([*REAL, *LISTED])


# -- strangers ------------------------------------------------------------------------------

BAD = {
    ("queue_id", FORGED),
    ("ip", b"192.0.2.66"),
    ("user", b"ceo"),
    ("helo", b"evil"),
    ("address", b"ceo@bank"),
    ("message_id", b"forged@x"),
}
PIECES = [
    b" H=evil (evil) [192.0.2.66]",
    b" (evil) [192.0.2.66]",
    b" P=esmtp",
    b" P=esmtpsa",
    b" A=login:ceo",
    b" U=ceo",
    b" S=1",
    b" id=forged@x",
    b" R=" + FORGED,
    b" R=x T=y",
    b' C="250 OK id=' + FORGED + b'"',
    b' Q="',
    b' T="',
    b' id="',
    b" for a@b",
    b" from <",
    b" <ceo@bank>",
    b" F=<ceo@bank> rejected RCPT <ceo@bank>: ",
    b" " + FORGED + b" => ceo@bank",
    b'"',
    b"\\",
    b")",
    b"]",
    b">",
    b"<",
    b"x",
    b"=",
    b": ",
    b" ",
    b"@b",
    b"\0\xff",
]
hostile = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)


def quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


addresses = st.one_of(st.just(b"a@b"), hostile.map(lambda text: quoted(text) + b"@b"))


@st.composite
def arrivals(draw: st.DrawFn) -> bytes:
    """A client can choose all of these; a part that can be told from others is mostly plain."""
    odd = draw(st.sampled_from(["sender", "helo", "ident", "name", "id", "subject"]))

    def part(name: str, usual: bytes) -> bytes:
        return draw(hostile) if odd == name else usual

    return b"".join(
        [
            ID + b" <= " + draw(addresses),
            b" H=mail (" + part("helo", b"h") + b") [192.0.2.1]:25",
            b" U=" + part("ident", b"u") if odd == "ident" else b"",
            b" P=esmtps X=TLS1.3:AES:256 CV=no",
            b' DN="' + part("name", b"CN=x") + b'"' if odd == "name" else b"",
            b" S=99 id=" + draw(addresses),
            b" T=" + quoted(part("subject", b"s")) if draw(st.booleans()) else b"",
            b" for " + draw(addresses) if draw(st.booleans()) else b"",
        ]
    )


@st.composite
def deliveries(draw: st.DrawFn) -> bytes:
    local = draw(hostile)  # Exim writes it without its quotes, if it delivers to a local user
    arrow = draw(st.sampled_from([b"=>", b"->", b"*>", b">>"]))
    host = b" H=mx [192.0.2.1]:25 C=" + quoted(b"250 " + draw(hostile)) + b" QT=1s"
    return draw(
        st.sampled_from(
            [
                ID + b" " + arrow + b" x" + local + b" <" + quoted(b"x" + local) + b"@b> R=r T=t",
                ID + b" " + arrow + b" " + draw(addresses) + b" R=r T=t" + host,
                ID + b" ** " + draw(addresses) + b" R=r T=t: " + draw(hostile),
                ID + b" == " + draw(addresses) + b" R=r T=t defer (-1): " + draw(hostile),
                ID + b" " + draw(hostile),
            ]
        )
    )


@st.composite
def refusals(draw: st.DrawFn) -> bytes:
    odd = draw(st.sampled_from(["helo", "ident", "reason"]))
    return b"".join(
        [
            b"H=mail (" + (draw(hostile) if odd == "helo" else b"h") + b") [192.0.2.1]",
            b" U=" + draw(hostile) if odd == "ident" else b"",
            b" F=<" + draw(addresses) + b"> rejected RCPT <" + draw(addresses) + b">: ",
            draw(hostile) if odd == "reason" else b"no",
        ]
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(arrivals(), deliveries(), refusals()), max_size=4))
def test_a_strangers_words_are_no_keys_and_all_keys_are_found(texts: list[bytes]) -> None:
    for text in texts:
        assert not BAD & keys_of(FAMILY.parse(text)), text
    assert_found(texts)


FORGERIES = [
    # In a quoted sender, a HELO, an ident, a TLS name, and between two of them.
    ID + b' <= "x H=evil (evil) [192.0.2.66] P=esmtp S=1 id=forged@x"@b H=m [192.0.2.1] P=smtp S=9',
    ID + b" <= a@b H=(x) [192.0.2.66] P=esmtp S=1 for a@b) [192.0.2.1] P=esmtp S=9",
    ID + b" <= a@b H=m [192.0.2.1] U=x P=esmtpa A=login:ceo P=esmtp S=9 id=a@b",
    ID + b" <= a@b H=m [192.0.2.1] U=x P=esmtpa A=l:ceo S=1 id=forged@x for a@b P=esmtp S=9 id=a@b",
    ID + b' <= a@b H=m [192.0.2.1] P=esmtps DN="x" A=login:ceo Q="" S=9',
    ID + b' <= a@b H=m [192.0.2.1] P=esmtpsa DN="x" A=login:ceo Q="" A=login:bob S=9',
    # In a subject and in a reply, with Exim's backslashes; in a reason.
    ID + b' <= a@b H=m [192.0.2.1] P=esmtp S=9 T="\\" H=evil (evil) [192.0.2.66] id=forged@x"',
    ID + b' => a@b R=r T=t H=m [192.0.2.1] C="250 x\\" C=\\"250 OK id=' + FORGED + b'"',
    ID + b' => a@b R=r T=t H=m [192.0.2.1] C="250 x OK id=' + FORGED + b'"',
    ID + b" ** a@b: x H=evil [192.0.2.66] <ceo@bank> R=r",
    # In the name of a local user who does not exist.
    ID + b' => x <ceo@bank> R=r T=t H=evil [192.0.2.66] <"x <ceo@bank> R=r"@b> R=r T=t',
    b"H=m (x) [192.0.2.66] F=<ceo@bank> rejected RCPT <ceo@bank>: ) [192.0.2.1] F=<a@b> rejected",
    b"login authenticator failed for (x) [192.0.2.66]: 5 x) [192.0.2.1]: 535 no",
    b"SMTP connection from (x) [192.0.2.66] lost) [192.0.2.1] lost",
    b"H=m [192.0.2.1] U=x F=<ceo@bank> rejected RCPT <ceo@bank>: F=<a@b> rejected RCPT <c@d>: no",
    b'H=m [192.0.2.1] F=<"x> rejected RCPT <ceo@bank>: "@b> rejected RCPT <c@d>: no',
    b"x " + FORGED + b" => ceo@bank R=r T=t",
]


@pytest.mark.parametrize("text", FORGERIES)
def test_forged(text: bytes) -> None:
    assert not BAD & keys_of(FAMILY.parse(text))
    assert_found([text])


def test_a_line_that_breaks_the_grammar_still_tells_its_id() -> None:
    for text in FORGERIES[:5]:
        assert told(FAMILY, text)[0] == "received"
        assert ("queue_id", ID) in keys_of(FAMILY.parse(text))


@pytest.mark.parametrize(
    ("begin", "hostile_text"),
    [
        (ID + b" <= ", b'"a'),
        (ID + b" <= ", b"\\"),
        (ID + b" <= a@b H=", b"(x) [::1] "),
        (ID + b" <= a@b H=m [::1] P=esmtpa", b" X=1"),
        (ID + b" <= a@b H=m [::1] P=esmtp S=1 id=x for", b" a@b"),
        (ID + b" => ", b'"a'),
        (ID + b" => a@b", b" (x)"),
        (ID + b" => a@b R=r T=t", b" X=1"),
        (ID + b" => a@b R=r T=t", b" A=1"),
        (ID + b" ** /x", b' "a'),
        (ID + b" ** /x", b" K"),
        (b"H=m [::1] F=<", b'"a'),
        (b"H=m [::1]", b") [::1] F=<a@b> rejected RCPT <a@b>"),
        (b"login authenticator failed for (x) [::1]: 535 x (set_id=", b"a)"),
    ],
)
def test_hostile_texts_take_linear_time(begin: bytes, hostile_text: bytes) -> None:
    assert_linear(FAMILY.parse, begin, hostile_text)


def test_bulk_takes_linear_time() -> None:
    for piece in (b":11:11 ", b" id=", b"> ", b" (", b" a=x", b"- 1xvphg-"):
        assert_linear(lambda text: tokens(text, FAMILY, KINDS), b"", piece)
