"""vchkpw's lines, as its source writes them."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.programs.vpopmail import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

WHO = {"user": b"user@dom.example", "ip": b"192.0.2.1"}
POP3 = {"service": b"vchkpw-pop3"}
TEXTS = {
    b"vchkpw-pop3: (PLAIN) login success user@dom.example:192.0.2.1": (
        "login",
        {**POP3, **WHO, "method": b"PLAIN"},
    ),
    b"(CRAM-MD5) login success user@dom.example:192.0.2.1": (
        "login",
        {**WHO, "method": b"CRAM-MD5"},
    ),
    b"vchkpw: login success user@dom.example:192.0.2.1": ("login", {**WHO, "service": b"vchkpw"}),
    b"vchkpw-pop3: system password login success user:192.0.2.1": (
        "login",
        {**POP3, **WHO, "user": b"user"},
    ),
    b"vchkpw-pop3: password fail user@dom.example:192.0.2.1": (
        "login failed",
        {**POP3, **WHO, "reason": b"password fail"},
    ),
    b"vchkpw-2525: password fail (pass: 'x') user@dom.example:192.0.2.1": (
        "login failed",
        {**WHO, "service": b"vchkpw-2525", "reason": b"password fail"},
    ),
    b"vchkpw-pop3: system password fail (pass: 'x') user:192.0.2.1": (
        "login failed",
        {**POP3, **WHO, "user": b"user", "reason": b"system password fail"},
    ),
    b"vchkpw-pop3: vpopmail user not found user@:192.0.2.1": (
        "login failed",
        {**POP3, **WHO, "user": b"user@", "reason": b"vpopmail user not found"},
    ),
    b"vchkpw-pop3: system user shadow entry not found user:192.0.2.1": (
        "login failed",
        {**POP3, **WHO, "user": b"user", "reason": b"system user shadow entry not found"},
    ),
    b"null password given user@dom.example:::ffff:192.0.2.1": (
        "login failed",
        {**WHO, "ip": b"::ffff:192.0.2.1", "reason": b"null password given"},
    ),
    b"vchkpw-pop3: null user name given :192.0.2.1": (
        "login failed",
        {**POP3, **WHO, "user": b"", "reason": b"null user name given"},
    ),
    b"vchkpw-pop3: invalid user/domain characters a b:192.0.2.1": (
        "login failed",
        {**POP3, **WHO, "user": b"a b", "reason": b"invalid user/domain characters"},
    ),
    b"vchkpw-pop3: pop access denied user@dom.example:2001:db8::1": (
        "login failed",
        {**POP3, **WHO, "ip": b"2001:db8::1", "reason": b"pop access denied"},
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    assert TEXTS[text] == told(FAMILY, text)


@pytest.mark.parametrize(
    ("text", "user"),
    [
        (b"password fail (pass: 'a') victim@dom:9.9.9.9') me@dom:192.0.2.1", b"me@dom"),
        (b"password fail (pass: '') me@dom:192.0.2.1", b"me@dom"),
        (b"null password given a:9.9.9.9:192.0.2.1", b"a:9.9.9.9"),
        (b"null password given a:ab:192.0.2.1", b"a:ab"),
        (b"null password given a:2001:db8::9:192.0.2.1", b"a:2001:db8::9"),
        (b"null password given login success a:9.9.9.9:192.0.2.1", b"login success a:9.9.9.9"),
    ],
)
def test_what_a_stranger_types_forges_no_address(text: bytes, user: bytes) -> None:
    assert {("user", user), ("ip", b"192.0.2.1")} == {
        key for key in keys_of(FAMILY.parse(text)) if key[0] != "domain"
    }
    assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize(
    "text",
    [
        b"password fail (pass: 'a') b@dom:9.9.9.9 c@dom:192.0.2.1",
        b"null password given a:2001:fe80::1",  # `a` from 2001:…, or `a:2001` from fe80::1?
        b"vchkpw-pop3: null password given a:192.0.2.1 ",
        b"x vchkpw-pop3: password fail a:192.0.2.1",
        b"vchkpw-pop3: password fail a:",
    ],
)
def test_what_cannot_be_told_makes_no_keys(text: bytes) -> None:
    event = FAMILY.parse(text)
    assert ("user", b"a:2001") not in keys_of(event)
    assert not keys_of(event) or event == FAMILY.parse(b"null password given a:2001:fe80::1")


def test_no_password_is_a_field() -> None:
    assert (
        b"secret" not in told(FAMILY, b"password fail (pass: 'secret') a@b:192.0.2.1")[1].values()
    )


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


TYPED = st.lists(
    st.one_of(
        st.sampled_from([b":9.9.9.9", b"') ", b"(pass: '", b"A@b.example", b":", b"::ffff:", b" "]),
        st.binary(max_size=6).map(lambda piece: piece.translate(None, b"\n\t\r\v\f<>")),
    ),
    max_size=5,
).map(b"".join)


@settings(max_examples=80, deadline=None)
@given(TYPED, TYPED, st.ip_addresses(v=4).map(lambda ip: str(ip).encode()))
def test_whatever_a_stranger_types(user: bytes, password: bytes, ip: bytes) -> None:
    plain = bytes(byte for byte in user if byte not in b" \t\r\v\f")
    for text, typed in (
        (b"vchkpw-imap: null password given %s:%s" % (user, ip), user),
        (b"vchkpw-imap: invalid user/domain characters %s:%s" % (user, ip), user),
        (b"password fail (pass: '%s') %s:%s" % (password, plain, ip), plain),
    ):
        fields = told(FAMILY, text)[1]
        # A `::ffff:` that the user ends in may go to either; the address is the same.
        assert typed + b":" + ip == fields["user"] + b":" + fields["ip"]
        assert fields["ip"].endswith(ip)
        assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize(
    "hostile", [b"') ", b"')", b":1", b"::", b":1.1.1.1", b"given ", b"fail (pass: '"]
)
def test_hostile_names_take_linear_time(hostile: bytes) -> None:
    for begin in (b"null password given ", b"password fail (pass: '", b"login success "):
        assert_linear(FAMILY.parse, begin, hostile, b"!")
        assert_linear(partial(in_bulk, FAMILY), begin, hostile, b"!")
