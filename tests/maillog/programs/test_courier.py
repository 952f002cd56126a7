"""Courier's lines, from the founding document and from a real Courier."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.programs.courier import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

MAPPED, LOCAL = b"::ffff:192.168.0.1", b"::ffff:127.0.0.1"
TEXTS = {
    b"LOGIN, user=test, ip=[::ffff:192.168.0.1], protocol=IMAP": (
        "login",
        {"user": b"test", "ip": MAPPED, "protocol": b"IMAP"},
    ),
    b"DISCONNECTED, user=test, ip=[::ffff:192.168.0.1], headers=0, body=0": (
        "disconnected",
        {"user": b"test", "ip": MAPPED, "headers": b"0", "body": b"0"},
    ),
    b"Connection, ip=[::ffff:127.0.0.1], port=[34768]": (
        "connected",
        {"ip": LOCAL, "port": b"34768"},
    ),
    b"LOGIN, user=test, ip=[::ffff:127.0.0.1], port=[34768], protocol=IMAP": (
        "login",
        {"user": b"test", "ip": LOCAL, "port": b"34768", "protocol": b"IMAP"},
    ),
    b"LOGOUT, user=test, ip=[::ffff:127.0.0.1], port=[34768], headers=0, body=46, rcvd=60,"
    b" sent=545, time=0": (
        "logout",
        {
            "user": b"test",
            "ip": LOCAL,
            "port": b"34768",
            "headers": b"0",
            "body": b"46",
            "rcvd": b"60",
            "sent": b"545",
            "time": b"0",
        },
    ),
    b"LOGIN FAILED, user=test, ip=[::ffff:127.0.0.1], port=[34778]": (
        "login failed",
        {"user": b"test", "ip": LOCAL, "port": b"34778"},
    ),
    b"Disconnected, ip=[::ffff:127.0.0.1], port=[34778], time=7": (
        "disconnected",
        {"ip": LOCAL, "port": b"34778", "time": b"7"},
    ),
    b"LOGIN, user=test, ip=[::ffff:127.0.0.1], port=[50386]": (
        "login",
        {"user": b"test", "ip": LOCAL, "port": b"50386"},
    ),
    b"LOGOUT, user=test, ip=[::ffff:127.0.0.1], port=[50386], top=0, retr=23, rcvd=20, sent=153,"
    b" time=0, stls=1": (
        "logout",
        {
            "user": b"test",
            "ip": LOCAL,
            "port": b"50386",
            "top": b"0",
            "retr": b"23",
            "rcvd": b"20",
            "sent": b"153",
            "time": b"0",
        },
    ),
    b"Disconnected, ip=[::ffff:127.0.0.1], port=[50394]": (
        "disconnected",
        {"ip": LOCAL, "port": b"50394"},
    ),
    b"LOGIN FAILED, method=PLAIN, ip=[2001:db8::1]": (
        "login failed",
        {"method": b"PLAIN", "ip": b"2001:db8::1"},
    ),
    b"LOGIN FAILED, ip=[::ffff:127.0.0.1]": ("login failed", {"ip": LOCAL}),
    b"INFO: TIMEOUT, user=a@b.example, ip=[192.0.2.1], headers=0, body=0, rcvd=1, sent=2,"
    b" time=3600, starttls=1": (
        "timeout",
        {
            "user": b"a@b.example",
            "ip": b"192.0.2.1",
            "headers": b"0",
            "body": b"0",
            "rcvd": b"1",
            "sent": b"2",
            "time": b"3600",
        },
    ),
    b"TIMEOUT, ip=[192.0.2.1], time=60": ("timeout", {"ip": b"192.0.2.1", "time": b"60"}),
    b"LOGIN: DEBUG: ip=[::ffff:127.0.0.1], username=test": (
        "debug",
        {"reason": b"ip=[::ffff:127.0.0.1], username=test"},
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    assert TEXTS[text] == told(FAMILY, text)


@pytest.mark.parametrize(
    "user",
    [
        b"a, ip=[9.9.9.9]",
        b"a, ip=[9.9.9.9], port=[1]",
        b"a, ip=[9.9.9.9], port=[1], time=0",
        b"a, ip=[9.9.9.9], x=, ip=[8.8.8.8], protocol=IMAP",
    ],
)
@pytest.mark.parametrize(
    "event", [b"LOGIN", b"LOGIN FAILED", b"LOGOUT", b"DISCONNECTED", b"TIMEOUT"]
)
@pytest.mark.parametrize("tail", [b"", b", port=[5]", b", port=[5], time=7"])
def test_a_user_that_holds_an_address_is_a_user(event: bytes, user: bytes, tail: bytes) -> None:
    text = event + b", user=" + user + b", ip=[192.0.2.1]" + tail
    assert {("user", user.lower()), ("ip", b"192.0.2.1")} == keys_of(FAMILY.parse(text))
    assert_found_in_bulk(FAMILY, [text])


def test_a_method_is_typed_by_the_client_too() -> None:
    text = b"LOGIN FAILED, method=X, ip=[9.9.9.9], port=[1], ip=[192.0.2.1], port=[2]"
    assert {("ip", b"192.0.2.1")} == keys_of(FAMILY.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        b"x LOGIN, user=a, ip=[9.9.9.9]",
        b"LOGIN, user=a, ip=[9.9.9.9] x",
        b"LOGIN, user=a, ip=[9.9.9.9], x",
        b"LOGIN, user=a, ip=[9.9.9.9], x=[1]",
        b"Connection, ip=[9.9.9.9], user=a, ip=[9.9.9.8]",
        b"LOGIN: DEBUG: LOGIN, user=a, ip=[9.9.9.9]",
        b'modules="authpam", daemons=5',
    ],
)
def test_what_is_not_couriers_own_makes_no_keys(text: bytes) -> None:
    assert not keys_of(FAMILY.parse(text))


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


USERS = st.lists(
    st.one_of(
        st.sampled_from([b", ip=[9.9.9.9]", b", port=[1]", b"user=", b", time=0", b"A@b.example"]),
        st.binary(max_size=8).map(lambda piece: piece.translate(None, b"\n\t\r\v\f<>")),
    ),
    max_size=5,
).map(b"".join)


@settings(max_examples=80, deadline=None)
@given(
    USERS,
    st.ip_addresses().map(lambda ip: str(ip).encode()),
    st.sampled_from([b"LOGIN", b"LOGIN FAILED", b"LOGOUT", b"DISCONNECTED", b"TIMEOUT"]),
    st.sampled_from([b"", b", port=[5]", b", port=[5], headers=0, body=1, rcvd=2, sent=3, time=4"]),
)
def test_whatever_a_stranger_types(user: bytes, ip: bytes, event: bytes, tail: bytes) -> None:
    text = b"%s, user=%s, ip=[%s]%s" % (event, user, ip, tail)
    fields = told(FAMILY, text)[1]
    assert (user, ip) == (fields["user"], fields["ip"])
    assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize(
    "hostile", [b", ip=[1.1.1.1]", b", a=b", b", time=0", b"user=", b"[1", b","]
)
def test_hostile_users_take_linear_time(hostile: bytes) -> None:
    for begin in (b"LOGIN, user=", b"LOGOUT, user=", b"LOGIN FAILED, method=", b"Connection, ip=["):
        assert_linear(FAMILY.parse, begin, hostile, b"!")
        assert_linear(partial(in_bulk, FAMILY), begin, hostile, b"!")
