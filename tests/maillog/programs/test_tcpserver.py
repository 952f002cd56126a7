"""tcpserver's lines, from the founding document and from a real tcpserver, and its companions'."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.programs.tcpserver import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

ENDS = {"server": b"", "lip": b"192.168.0.2", "lport": b"110", "client": b"", "ident": b""}
TEXTS = {
    b"tcpserver: status: 1/40": ("status", {"status": b"1/40"}),
    b"tcpserver: pid 590 from 192.168.0.1": (
        "connected",
        {"session": b"590", "ip": b"192.168.0.1"},
    ),
    b"tcpserver: ok 590 :192.168.0.2:110 :192.168.0.1::3173": (
        "accepted",
        {**ENDS, "session": b"590", "ip": b"192.168.0.1", "port": b"3173"},
    ),
    b"tcpserver: ok 632 server.rete.dom:127.0.0.1:25 :127.0.0.1::41268": (
        "accepted",
        {
            **ENDS,
            "session": b"632",
            "server": b"server.rete.dom",
            "lip": b"127.0.0.1",
            "lport": b"25",
            "ip": b"127.0.0.1",
            "port": b"41268",
        },
    ),
    b"tcpserver: deny 6944 a.example:192.168.1.13:25 b.example:192.0.2.74:root:40714": (
        "denied",
        {
            "session": b"6944",
            "server": b"a.example",
            "lip": b"192.168.1.13",
            "lport": b"25",
            "client": b"b.example",
            "ip": b"192.0.2.74",
            "ident": b"root",
            "port": b"40714",
        },
    ),
    b"tcpserver: end 590 status 256": ("end", {"session": b"590", "status": b"256"}),
    b"tcpserver: warning: dropping connection, unable to fork: temporary failure": (
        "warning",
        {"reason": b"dropping connection, unable to fork: temporary failure"},
    ),
    b"tcpserver: fatal: unable to bind: address already used": (
        "fatal",
        {"reason": b"unable to bind: address already used"},
    ),
    b"rblsmtpd: 192.0.2.7 pid 590: 451 http://list.example/?192.0.2.7": (
        "blocked",
        {"ip": b"192.0.2.7", "session": b"590", "reason": b"451 http://list.example/?192.0.2.7"},
    ),
    b"rblsmtpd: 192.0.2.7 pid 590 list.example: 451 no": (
        "blocked",
        {"ip": b"192.0.2.7", "session": b"590", "list": b"list.example", "reason": b"451 no"},
    ),
    b"qmail-pop3d: user test logged in from 192.168.0.1:3173": (
        "login",
        {"user": b"test", "ip": b"192.168.0.1", "port": b"3173"},
    ),
    # Where syslog took the name for the tag.
    b"ok 590 :192.168.0.2:110 :192.168.0.1::3173": (
        "accepted",
        {**ENDS, "session": b"590", "ip": b"192.168.0.1", "port": b"3173"},
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    assert TEXTS[text] == told(FAMILY, text)


@pytest.mark.parametrize(
    ("end", "ip", "ident"),
    [
        (b":::ffff:192.0.2.1::3173", b"::ffff:192.0.2.1", b""),
        (b":2001:db8::1::3173", b"2001:db8::1", b""),
        (b":2001:db8::1:dead:3173", b"2001:db8::1", b"dead"),
        (b":fe80:::bob:3173", b"fe80::", b"bob"),
        (b":::1::3173", b"::1", b""),
    ],
)
def test_an_ipv6_address_ends_two_colons_before_the_line(
    end: bytes, ip: bytes, ident: bytes
) -> None:
    text = b"tcpserver: ok 5 :::1:25 " + end
    fields = told(FAMILY, text)[1]
    assert (ip, ident, b"3173") == (fields["ip"], fields["ident"], fields["port"])
    assert_found_in_bulk(FAMILY, [text])


def test_a_user_that_looks_like_the_end_of_its_line_is_a_user() -> None:
    text = b"qmail-pop3d: user a logged in from 9.9.9.9:1 logged in from 192.0.2.1:2"
    assert keys_of(FAMILY.parse(text)) == {
        ("user", b"a logged in from 9.9.9.9:1"),
        ("ip", b"192.0.2.1"),
    }
    assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize(
    "text",
    [
        b"tcpserver: ok 5 :192.0.2.2:25 a:9.9.9.9:x y:192.0.2.1::7",  # a client's name has no colon
        b"tcpserver: ok 5 :192.0.2.2:25 :192.0.2.1:x:9.9.9.9:y:7",  # nor has an ident answer
        b"tcpserver: ok 5 :192.0.2.2:25 :192.0.2.1:a b:7",  # nor a blank
        b"tcpserver: ok 5 :192.0.2.2:25 :192.0.2.1:b:c:7",
        b"tcpserver: end 590 status 256 tcpserver: status: 0/40",
        b"tcpserver: pid 5 from 192.0.2.1 ",
        b"x tcpserver: pid 5 from 192.0.2.1",
        b"pid 5 from a.example",
        b"tcpserver: warning: pid 5 from 192.0.2.1",
        b"rblsmtpd: 192.0.2.1 x pid 5: 451 no",
        b"qmail-pop3d: user a logged in from 192.0.2.1:2 x",
        b"qmail-pop3d: user a logged in from b:2001:db8::1:2",
    ],
)
def test_what_is_not_its_own_makes_no_keys(text: bytes) -> None:
    assert not keys_of(FAMILY.parse(text))


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


WORDS = st.binary(max_size=12).map(
    lambda name: bytes(byte if 32 < byte < 127 and byte != 58 else 63 for byte in name)
)
IPV4 = st.ip_addresses(v=4).map(lambda ip: str(ip).encode())
IP = st.ip_addresses().map(lambda ip: str(ip).encode())
NUMBER = st.integers(0, 99_999).map(lambda number: b"%d" % number)
USERS = st.one_of(
    st.binary(max_size=30).map(lambda user: user.translate(None, b"\n\t\r\v\f<>")),
    st.sampled_from([b"a logged in from 9.9.9.9:1", b"qmail-pop3d: user ", b"pid 1 from ::1", b""]),
)


@settings(max_examples=80, deadline=None)
@given(WORDS, WORDS, WORDS, IP, IPV4, NUMBER, NUMBER, USERS)
def test_whatever_the_far_end_says(
    server: bytes,
    client: bytes,
    ident: bytes,
    ip: bytes,
    ipv4: bytes,
    session: bytes,
    port: bytes,
    user: bytes,
) -> None:
    ends = b"%s %s:%s:25 %s:%s:%s:%s" % (session, server, ip, client, ip, ident, port)
    texts = [
        b"tcpserver: pid %s from %s" % (session, ip),
        b"tcpserver: ok " + ends,
        b"tcpserver: deny " + ends,
        b"rblsmtpd: %s pid %s: 451 %s" % (ip, session, user),
    ]
    for text in texts:
        fields = told(FAMILY, text)[1]
        assert (ip, session) == (fields["ip"], fields["session"])
    texts += [b"qmail-pop3d: user %s logged in from %s:%s" % (user, ipv4, port)]
    fields = told(FAMILY, texts[-1])[1]
    assert (user, ipv4, port) == (fields["user"], fields["ip"], fields["port"])
    assert_found_in_bulk(FAMILY, texts)


@pytest.mark.parametrize(
    "hostile", [b" logged in from 1.1.1.1:1", b":1", b"1.", b"::", b"qmail-pop3d: user ", b"ok 1 "]
)
def test_hostile_names_take_linear_time(hostile: bytes) -> None:
    for begin in (
        b"qmail-pop3d: user ",
        b"tcpserver: ok 5 :192.0.2.2:25 ",
        b"tcpserver: ok 5 :192.0.2.2:25 a:",
        b"rblsmtpd: 192.0.2.7 pid 5: ",
    ):
        assert_linear(FAMILY.parse, begin, hostile, b"!")
        assert_linear(partial(in_bulk, FAMILY), begin, hostile, b"!")
