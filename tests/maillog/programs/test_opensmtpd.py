"""OpenSMTPD's lines, in the forms of its versions, and what strangers could write into them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.kinds import KINDS
from archiver.maillog.programs.opensmtpd import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    keys_of,
    tokens,
    told,
)

SESSION, FORGED = b"5df87c903d709659", b"6666666666666666"
MTA = SESSION + b" mta delivery evpid=3d4c4a424797fe79 from=<a@b> to=<c@d> rcpt=<-> "
OLD = b"4296f49012345678: "
IN = {("session", SESSION)}
CLIENT = {*IN, ("ip", b"192.0.2.1")}
OWN = {*IN, ("queue_id", b"3d4c4a42")}
ENVELOPE = {("address", b"a@b"), ("domain", b"b"), ("address", b"c@d"), ("domain", b"d")}
OLD_OWN = {("queue_id", b"4296f490"), *ENVELOPE}

TEXTS = {
    SESSION + b" smtp connected address=192.0.2.1 host=poolp.org": ("connected", CLIENT),
    SESSION + b" smtp connected address=[fe80::1] host=<unknown>": (
        "connected",
        {*IN, ("ip", b"fe80::1")},
    ),
    SESSION + b" smtp connected address=local host=poolp.org": ("connected", IN),
    SESSION + b" smtp message msgid=3d4c4a42 size=303 nrcpt=1 proto=ESMTP": ("received", OWN),
    SESSION + b" smtp envelope evpid=3d4c4a424797fe79 from=<> to=<c@d>": (
        "received",
        {*OWN, ("address", b"<>"), ("address", b"c@d"), ("domain", b"d")},
    ),
    SESSION + b" smtp event=message address=192.0.2.1 host=h msgid=3d4c4a42 from=<a@b> to=<c@d>"
    b" size=303 ndest=1 proto=ESMTP": ("received", {*OWN, *CLIENT, *ENVELOPE}),
    SESSION + b" mda delivery evpid=3d4c4a424797fe79 from=<a@b> to=<c@d> rcpt=<c@d> user=gilles"
    b" delay=0s result=Ok stat=Delivered": ("delivery", {*OWN, *ENVELOPE, ("user", b"gilles")}),
    SESSION + b" mta connecting address=smtp://192.0.2.1:25 host=mx.d": ("connecting", CLIENT),
    SESSION + b" mta connecting address=smtp+tls://[2001:db8::1]:25 host=mx.d": (
        "connecting",
        {*IN, ("ip", b"2001:db8::1")},
    ),
    MTA + b'source="192.0.2.9" relay="192.0.2.1 (mx.d)" delay=0s result="Ok"'
    b' stat="250 2.0.0: f6e94209 Message accepted for delivery"': (
        "delivery",
        {*OWN, *CLIENT, *ENVELOPE, ("queue_id", b"f6e94209")},
    ),
    MTA + b'source=192.0.2.9 relay="[2001:db8::1] (mx.d)" delay=1m2s result=Ok'
    b' stat="250 2.0.0 Ok: queued as 4D1F2AB"': (
        "delivery",
        {*OWN, ("ip", b"2001:db8::1"), *ENVELOPE, ("queue_id", b"4D1F2AB")},
    ),
    MTA + b'source="-" relay="192.0.2.1 (mx.d)" delay=0s result="Ok" stat="250 ok 1795 qp 234"': (
        "delivery",
        {*OWN, *CLIENT, *ENVELOPE, ("qp", b"234")},
    ),
    MTA + b'source="-" relay="<unknown>" delay=0s result="TempFail" stat="Network error"': (
        "delivery",
        {*OWN, *ENVELOPE},
    ),
    SESSION + b" smtp authentication user=bob@d result=ok": (
        "login",
        {*IN, ("user", b"bob@d"), ("domain", b"d")},
    ),
    SESSION + b" smtp event=authentication user=bob address=192.0.2.1 host=h result=permfail": (
        "login",
        {*CLIENT, ("user", b"bob")},
    ),
    SESSION + b' smtp failed-command command="RCPT TO:<x@y>" result="550 Invalid"': ("refused", IN),
    SESSION + b' smtp event=failed-command address=192.0.2.1 host=h command="X" result="500"': (
        "refused",
        CLIENT,
    ),
    SESSION + b" smtp disconnected reason=quit": ("disconnected", IN),
    SESSION + b" smtp tls ciphers=TLSv1.3": ("session", IN),
    b"smtp-in: New session " + SESSION + b" from host mail.x [192.0.2.1]": ("connected", CLIENT),
    b"smtp-in: Accepted message 4296f490 on session " + SESSION + b": from=<a@b>, to=<c@d>, size=1,"
    b" ndest=1, proto=ESMTP": ("received", {*IN, *OLD_OWN}),
    b"smtp-in: Accepted message 4296f490 on session " + SESSION + b": from=<>, size=1, nrcpts=1,"
    b" proto=SMTP": ("received", {*IN, ("queue_id", b"4296f490"), ("address", b"<>")}),
    b"smtp-in: Closing session " + SESSION: ("session", IN),
    b"smtp-out: Connected on session " + SESSION: ("session", IN),
    b"delivery: Ok for " + OLD + b"from=<a@b>, to=<c@d>, user=bob, method=mbox, delay=1s, stat=x": (
        "delivery",
        {*OLD_OWN, ("user", b"bob")},
    ),
    b"relay: Ok for " + OLD + b"session=" + SESSION + b", from=<a@b>, to=<c@d>, rcpt=<->,"
    b" source=192.0.2.9, relay=192.0.2.1 (mx.d), delay=1s, stat=250 2.0.0 Ok: queued as 4D1F2AB": (
        "delivery",
        {*CLIENT, *OLD_OWN, ("queue_id", b"4D1F2AB")},
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    name, expected = TEXTS[text]
    assert (name, expected) == (told(FAMILY, text)[0], keys_of(FAMILY.parse(text)))


def test_says_more() -> None:
    assert told(
        FAMILY, MTA + b'source="-" relay="192.0.2.1 (mx.d)" delay=1s result="Ok" stat="250"'
    ) == (
        "delivery",
        {
            "session": SESSION,
            "queue_id": b"3d4c4a42",
            "sender": b"a@b",
            "recipient": b"c@d",
            "source": b"-",
            "relay_ip": b"192.0.2.1",
            "relay": b"mx.d",
            "delay": b"1s",
            "result": b"Ok",
            "status": b"250",
        },
    )


def assert_found(texts: list[bytes]) -> None:
    assert_found_in_bulk(FAMILY, texts)
    for text in texts:
        line = b"<22>1 2026-11-23t08:46:46z vm smtpd 12 - - " + text
        there = tokens(line.lower(), FAMILY, KINDS)
        assert {key.lower() for _, key in keys_of(FAMILY.parse(text))} <= there


def test_bulk() -> None:
    assert_found(list(TEXTS))


# -- strangers ------------------------------------------------------------------------------

BAD = {
    ("session", FORGED),
    ("queue_id", FORGED[:8]),
    ("ip", b"192.0.2.66"),
    ("user", b"ceo"),
    ("address", b"ceo@bank"),
}
PIECES = [
    b" address=192.0.2.66 host=evil",
    b" user=ceo",
    b" result=ok",
    b" smtp event=authentication",
    FORGED + b" smtp connected",
    b" session=" + FORGED,
    b" on session " + FORGED,
    b" from=<ceo@bank> to=<ceo@bank>",
    b" evpid=" + FORGED,
    b' relay="192.0.2.66 (evil)" delay=1s result="Ok" stat="250',
    b" Ok: queued as " + FORGED[:8],
    b' command="x" result="y"',
    b" [192.0.2.66]",
    b'"',
    b">",
    b" ",
    b": ",
    b"x",
    b"\0\xff",
]
hostile = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Strangers choose their host's name, their commands, and replies; OpenSMTPD takes care that
    addresses hold no blank or bracket, and names of users no blank.
    """
    odd = draw(hostile)
    word = odd.translate(None, b" \t<>")
    sender = draw(st.sampled_from([b"", b"a@b", word + b"@b"]))
    return draw(
        st.sampled_from(
            [
                SESSION + b" smtp connected address=192.0.2.1 host=" + odd,
                SESSION + b" smtp envelope evpid=3d4c4a424797fe79 from=<" + sender + b"> to=<c@d>",
                SESSION + b" smtp authentication user=" + word + b" result=permfail",
                SESSION + b' smtp failed-command command="' + odd + b'" result="550 ' + odd + b'"',
                MTA + REPLIED + b'"250 x' + odd + b'"',
                SESSION + b" mta connecting address=smtp://192.0.2.1:25 host=" + odd,
                b"smtp-in: New session " + SESSION + b" from host " + odd + b" [192.0.2.1]",
                b"smtp-in: Failed command on session " + SESSION + b': "' + odd + b'" => 500',
                b"relay: Ok for " + OLD + b"from=<" + sender + b">, to=<c@d>, relay=192.0.2.1 (mx),"
                b" delay=1s, stat=250 x" + odd,
            ]
        )
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(lines(), max_size=4))
def test_a_strangers_words_are_no_keys_and_all_keys_are_found(texts: list[bytes]) -> None:
    for text in texts:
        keys = keys_of(FAMILY.parse(text))
        assert not BAD & keys, text
        assert {("session", SESSION), ("queue_id", b"4296f490")} & keys, text
    assert_found(texts)


REPLIED = b'source="-" relay="192.0.2.1 (mx)" delay=1s result="Ok" stat='
FORGERIES = [
    SESSION + b" smtp connected address=192.0.2.1 host=x address=192.0.2.66 host=y",
    SESSION + b' smtp failed-command command="x" address=192.0.2.66 host=y result=ok',
    SESSION + b" smtp authentication user=x,user=ceo result=permfail",
    MTA + REPLIED + b'"250 x Ok: queued as 66666666"',
    MTA + REPLIED + b'"250 Ok: queued as 66666666" x"',
    MTA + REPLIED + b'"x" stat="250 Ok: queued as 66666666"',
    b"smtp-in: New session " + SESSION + b" from host x [192.0.2.66] [192.0.2.1]",
    b"smtp-in: x=y on session " + FORGED,
    b"x " + FORGED + b" smtp connected address=192.0.2.66 host=x",
]


@pytest.mark.parametrize("text", FORGERIES)
def test_forged(text: bytes) -> None:
    assert not BAD & keys_of(FAMILY.parse(text))
    assert_found([text])


@pytest.mark.parametrize(
    "hostile_text", [b"1.", b" address=192.0.2.1 host=x", b"[::1] ", b"session ", b'"']
)
@pytest.mark.parametrize(
    "begin",
    [
        SESSION + b" smtp connected address=",
        SESSION + b" smtp failed-command",
        MTA + b'source="-" relay="',
        b"smtp-in: New session " + SESSION + b" from host ",
        b"smtp-in: ",
        b"relay: Ok for " + OLD + b"from=<",
    ],
)
def test_hostile_texts_take_linear_time(begin: bytes, hostile_text: bytes) -> None:
    assert_linear(FAMILY.parse, begin, hostile_text)


def test_bulk_takes_linear_time() -> None:
    for piece in (b" smtp ", b" user=", b" address=a", b'stat="250 ', b"relay=1.", b"session "):
        assert_linear(lambda text: tokens(text, FAMILY, KINDS), b"", piece)
