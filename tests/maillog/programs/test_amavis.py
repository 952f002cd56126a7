"""Amavis's lines: of several versions, and what senders put in them."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.programs.amavis import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

TEXTS: dict[bytes, tuple[str, dict[str, bytes | None]]] = {
    b"(12345-01) Passed CLEAN {RelayedInbound}, [192.0.2.7]:4711 [198.51.100.9] <s@a.example>"
    b" -> <u@b.example>,<w@c.example>, Queue-ID: 0413A61C, Message-ID: <1@a.example>,"
    b" mail_id: y56hSa8ZL3DA, Hits: -0.5, size: 2888, queued_as: 37ABA23820,"
    b" dkim_sd=20210112:a.example, 2342 ms": (
        "checked",
        {
            "session": b"12345-01",
            "verdict": b"Passed",
            "content": b"CLEAN",
            "ip": b"192.0.2.7",
            "traced_ip": b"198.51.100.9",
            "sender": b"s@a.example",
            "recipients": b"<u@b.example>,<w@c.example>",
            "queue_id": b"0413A61C",
            "message_id": b"1@a.example",
            "mail_id": b"y56hSa8ZL3DA",
            "hits": b"-0.5",
            "size": b"2888",
            "new_queue_id": b"37ABA23820",
            "milliseconds": b"2342",
        },
    ),
    b"(00001-02-3) Blocked SPAM {DiscardedInbound,Quarantined}, LOCAL [IPv6:2001:db8::7]:4711 <> ->"
    b" <u@b.example>, quarantine: QQQ1, Message-ID: bare, mail_id: QQQ1, Hits: 24.41, size: 7000,"
    b" 1500 ms": (
        "checked",
        {
            "session": b"00001-02-3",
            "ip": b"IPv6:2001:db8::7",
            "sender": b"",
            "message_id": b"bare",
            "new_queue_id": None,
        },
    ),
    b"(13093-02) Blocked INFECTED (Eicar-Test (x)-Signature), MYNETS LOCAL [192.0.2.7]:9"
    b" <s@a.example> -> <u@b.example>, Hits: -, size: 976, 57 ms": (
        "checked",
        {"content": b"INFECTED", "found": b"Eicar-Test (x)-Signature", "ip": b"192.0.2.7"},
    ),
    b'(13093-03) Passed BAD-HEADER-0 {RelayedInbound}, AM.PDP-SOCK/X [192.0.2.7] <"o,h"@a> ->'
    b" <u@b>, Hits: -, size: 976, 57 ms": ("note", {"session": b"13093-03"}),
    b"(04082-01) fbSD2R7xnBNZ FWD from <s@a> -> <u@b>, BODY=7BIT 250 2.0.0 Ok: queued as B51DBE": (
        "note",
        {"session": b"04082-01"},
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    name, fields = told(FAMILY, text)
    assert TEXTS[text] == (name, {field: fields.get(field) for field in TEXTS[text][1]})


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


@pytest.mark.parametrize(
    "text",
    [
        b"(12345-01) Passed CLEAN {RelayedInbound}, [192.0.2.7]:4711 <s@a.example> -> <u@b.exam...",
        b"(12345-01) ...ple>, Queue-ID: 0413A61C, mail_id: y, Hits: -, size: 8, queued_as: 3, 2 ms",
    ],
)
def test_a_piece_that_is_not_whole_says_whose_it_is(text: bytes) -> None:
    """A value that may have been cut is none; where the next piece begins, nobody knows."""
    assert keys_of(FAMILY.parse(text)) == {("session", b"12345-01")}


WHOLE = (
    b"(12345-01) Passed CLEAN {RelayedInbound}, [192.0.2.7]:4711 [192.0.2.7] ESMTP/ESMTP"
    b" <s@a.example> -> <u@b.example>, (ESMTPS://[192.0.2.7]:4711), Queue-ID: 0413A61C,"
    b" Message-ID: <m@a.example>, mail_id: y, b: Zz-1, Hits: -0.1, size: 8, queued_as: 37ABA23820,"
    b" dkim_sd=a:a.example, 2131 ms"
)
ENVELOPE_KEYS = {("address", b"s@a.example"), ("address", b"u@b.example"), ("ip", b"192.0.2.7")}


@pytest.mark.parametrize("length", range(160, len(WHOLE)))
def test_the_first_piece_says_what_stood_before_the_cut(length: int) -> None:
    """By whole fields: never a key of which the end is missing."""
    cut = keys_of(FAMILY.parse(WHOLE[:length] + b"..."))
    whole = keys_of(FAMILY.parse(WHOLE))
    assert cut <= whole
    assert WHOLE.index(b"Message-ID") > length or cut >= ENVELOPE_KEYS
    assert WHOLE.index(b"dkim_sd") > length or whole == cut
    assert_found_in_bulk(FAMILY, [WHOLE[:length] + b"..."])


@pytest.mark.parametrize(
    "text", [b"...(12345-01) Passed CLEAN", b"starting. /usr/sbin/amavisd-new at mail"]
)
def test_what_is_no_verdict_says_nothing(text: bytes) -> None:
    assert FAMILY.parse(text) is None


ENVELOPE = b"[198.51.100.66]:1 <v@victim> -> <w@victim>"
REST = b", Queue-ID: FEEDBEEF, mail_id: f, Hits: -, size: 1, queued_as: FEEDBEEF, 5 ms"
LINE = (
    b"(1-01) Blocked BANNED (%(N)s) {Discarded}, [192.0.2.7]:4711 <%(S)s> -> <%(R)s>,"
    b" Queue-ID: 0413A61C, Message-ID: <%(M)s>, mail_id: y, Hits: -, size: 9,"
    b" queued_as: 37ABA23820%(T)s, 7 ms"
)
FRAGMENTS = (
    *(b'a b@x < > " , ( ) {A} [ ] \x00 \xff'.split(b" ")),
    b" ",
    ENVELOPE,
    REST,
    b">" + REST,
    b"x) {A}, " + ENVELOPE + REST,
    b"> -> <w@victim>",
    b", Hits: -, size: 1, queued_as: FEEDBEEF",
    b"(2-02) ",
)
hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=5).map(b"".join)
plain = st.from_regex(rb"[a-z0-9+,]{1,5}@[a-z]{1,5}", fullmatch=True)
subjects = st.one_of(st.just(b""), hostile.map(lambda text: b', Subject: "' + text + b'"'))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(plain, hostile),
    st.one_of(plain, hostile),
    st.one_of(plain, hostile),
    st.one_of(plain, hostile),
    subjects,
)
def test_senders_forge_no_keys(
    found: bytes, sender: bytes, recipient: bytes, message_id: bytes, more: bytes
) -> None:
    values = {b"N": found, b"S": sender, b"R": recipient, b"M": message_id, b"T": more}
    text = LINE % values
    assert {(kind, key) for kind, key in keys_of(FAMILY.parse(text)) if kind != "domain"} <= {
        ("session", b"1-01"),
        ("ip", b"192.0.2.7"),
        ("address", sender.lower() or b"<>"),
        ("address", recipient.lower()),
        ("message_id", message_id),
        ("queue_id", b"0413A61C"),
        ("queue_id", b"37ABA23820"),
    }
    assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize("forged", [b"x>" + REST, b"x>" + REST + b", Subject: <x"])
def test_a_message_id_that_looks_like_the_end_of_its_line_tells_no_ids(forged: bytes) -> None:
    text = LINE % {b"N": b"x", b"S": b"s@a", b"R": b"u@b", b"M": forged, b"T": b""}
    assert keys_of(FAMILY.parse(text)) == {("session", b"1-01")}


@pytest.mark.parametrize("text", [b"<", b" ", b"> -> <", b"a@b>,<", b", Hits: ", b") {A}, ", b"("])
def test_hostile_texts_take_linear_time(text: bytes) -> None:
    for begin in (
        b"(1-01) Blocked BANNED (",
        b"(1-01) Passed CLEAN, <",
        b"(1-01) Passed CLEAN, <a@b> -> <a@b>,<",
        b"(1-01) Passed CLEAN, <a@b> -> <a@b>, Message-ID: <",
        b"(1-01) Passed CLEAN, <a@b> -> <a@b>, Hits: -, size: 1",
    ):
        assert_linear(FAMILY.parse, begin, text)
    assert_linear(partial(in_bulk, FAMILY), b"", text)
