"""Dovecot's lines: real ones of 2.3, and those of 2.2 and 2.4 as their sources write them."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.facts import Event
from archiver.maillog.programs.dovecot import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

HERE = b"127.0.0.1"
A, B = b"A9aJBlv9A2uuDQAAg+zDdQ", b"AAg1B1v9A2uwDQAAg+zDdQ"
REAL = {
    b"lmtp(3502): Connect from 127.0.0.1": ("connected", {"pid": b"3502", "ip": HERE}),
    b"lmtp(3502): Disconnect from 127.0.0.1: Logged out (state=READY)": (
        "disconnected",
        {"pid": b"3502", "ip": HERE, "reason": b"Logged out (state=READY)"},
    ),
    b"lmtp(test)<3502><A9aJBlv9A2uuDQAAg+zDdQ>: sieve: msgid=<plain.1@x>: stored mail into mailbox"
    b" 'INBOX'": (
        "stored",
        {
            "user": b"test",
            "pid": b"3502",
            "session": A,
            "message_id": b"<plain.1@x>",
            "mailbox": b"INBOX",
        },
    ),
    b"lmtp(test)<3504><AAg1B1v9A2uwDQAAg+zDdQ>: sieve: msgid=<fw.1@x>: redirect action: forwarded"
    b" to <other@localhost>": (
        "forwarded",
        {
            "user": b"test",
            "pid": b"3504",
            "session": B,
            "message_id": b"<fw.1@x>",
            "recipient": b"other@localhost",
        },
    ),
    b"lmtp(test)<3502><uEMOClv9A2uuDQAAg+zDdQ>: sieve: msgid=<drop.1@x>: discard action: Marked"
    b" message to be discarded if not explicitly delivered (discard action)": (
        "discarded",
        {
            "user": b"test",
            "pid": b"3502",
            "session": b"uEMOClv9A2uuDQAAg+zDdQ",
            "message_id": b"<drop.1@x>",
        },
    ),
    b"imap-login: Login: user=<test>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, mpid=3556,"
    b" secured, session=<IXnaoO1gnop/AAAB>": (
        "login",
        {
            "protocol": b"imap",
            "user": b"test",
            "method": b"PLAIN",
            "ip": HERE,
            "lip": HERE,
            "mpid": b"3556",
            "session": b"IXnaoO1gnop/AAAB",
        },
    ),
    b"imap(test)<3556><IXnaoO1gnop/AAAB>: Disconnected: Logged out in=58 out=4868 deleted=0": (
        "logout",
        {
            "user": b"test",
            "pid": b"3556",
            "session": b"IXnaoO1gnop/AAAB",
            "reason": b"Disconnected: Logged out in=58 out=4868 deleted=0",
        },
    ),
    b"imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<test>,"
    b" method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, secured, session=<MrXaoO1grIp/AAAB>": (
        "login failed",
        {
            "protocol": b"imap",
            "reason": b"Disconnected: Connection closed (auth failed, 1 attempts in 2 secs)",
            "user": b"test",
            "method": b"PLAIN",
            "ip": HERE,
            "lip": HERE,
            "session": b"MrXaoO1grIp/AAAB",
        },
    ),
    b"pop3(test)<3559><Fm75oO1gYqB/AAAB>: Disconnected: Logged out top=0/0, retr=1/512": (
        "logout",
        {
            "user": b"test",
            "pid": b"3559",
            "session": b"Fm75oO1gYqB/AAAB",
            "reason": b"Disconnected: Logged out top=0/0, retr=1/512",
        },
    ),
}
# Other versions and programs: the event, and the fields that are looked up or tell them apart.
OTHERS: dict[bytes, tuple[str, dict[str, bytes | None]]] = {
    b"lmtp(22587, a@b.example): 5GjrDafYTFE7WAAABf1gKA: msgid=<x@y>: saved mail to INBOX": (
        "stored",
        {"user": b"a@b.example", "session": b"5GjrDafYTFE7WAAABf1gKA", "message_id": b"<x@y>"},
    ),
    b"lmtp(u): SESS:2: sieve: msgid=<x@y>: stored mail into mailbox 'Junk'": (
        "stored",
        {"user": b"u", "session": b"SESS:2", "message_id": b"<x@y>", "mailbox": b"Junk"},
    ),
    b"lda(u)<12><Ab+/>: msgid=unspecified: saved mail to INBOX": (
        "stored",
        {"user": b"u", "session": b"Ab+/", "mailbox": b"INBOX", "message_id": None},
    ),
    b"deliver(u): sieve: msgid=no brackets here: fileinto action: stored mail into mailbox"
    b" 'a' (b)": (
        "stored",
        {"user": b"u", "message_id": b"no brackets here", "mailbox": b"a"},
    ),
    b"lda(u): sieve: msgid=<x@y>: marked message to be discarded if not explicitly delivered"
    b" (discard action)": ("discarded", {"user": b"u", "message_id": b"<x@y>"}),
    b"lda(u): sieve: msgid=<x@y>: discarded duplicate forward to <c@d.example>": (
        "forward skipped",
        {"message_id": b"<x@y>", "recipient": b"c@d.example"},
    ),
    b"lmtp(u)<1><S>: sieve: msgid=<x@y>: reject action: rejected message from <c@d> (reject)": (
        "rejected",
        {"message_id": b"<x@y>", "sender": b"c@d"},
    ),
    b"lmtp(u)<1><S>: sieve: msgid=<x@y>: sent vacation response to <c@d>": (
        "answered",
        {"message_id": b"<x@y>", "recipient": b"c@d"},
    ),
    b"lmtp(u)<1><S>: Error: sieve: msgid=<x@y>: failed to store into mailbox 'INBOX': Quota": (
        "store failed",
        {"message_id": b"<x@y>", "mailbox": b"INBOX", "reason": b"Quota"},
    ),
    b"lda(u): sieve: msgid=<x@y>: failed to store into mailbox 'INBOX': Quota": (
        "store failed",
        {"user": b"u", "session": None, "message_id": b"<x@y>"},
    ),
    b"lmtp(u)<1><S>: msgid=bare@y: save failed to INBOX: Quota exceeded": (
        "store failed",
        {"message_id": b"bare@y", "mailbox": b"INBOX", "reason": b"Quota exceeded"},
    ),
    b"imap(u@d.example): Logged out in=93 out=1020": ("logout", {"user": b"u@d.example"}),
    b"imap(u)<1><S>: Info: expunge: box=INBOX, uid=1": ("note", {"user": b"u", "session": b"S"}),
    b"imap(u): Error: something": ("note", {"user": b"u", "session": None}),
    b"imap-login: Info: Aborted login (no auth attempts in 0 secs): user=<>, rip=2001:db8::1,"
    b" lip=::1, TLS handshaking: SSL_accept() failed: error:1, error:2, session=<S>": (
        "disconnected",
        {"user": b"", "ip": b"2001:db8::1", "session": b"S"},
    ),
    b"Login: user=<u>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, TLS": (
        "login",
        {"user": b"u", "ip": b"192.0.2.1", "session": None},
    ),
    b"pop3-login: proxy(u): started proxying to 192.0.2.3:110: user=<u>, method=PLAIN,"
    b" rip=192.0.2.1, lip=192.0.2.2, session=<S>": ("proxied", {"user": b"u", "session": b"S"}),
    b"auth: passwd-file(u@d,192.0.2.1,<S>): unknown user": (
        "login failed",
        {"user": b"u@d", "ip": b"192.0.2.1", "session": b"S", "reason": b"unknown user"},
    ),
    b"auth-worker(72): sql(u,192.0.2.1,<S>): Password mismatch (given password: x)": (
        "login failed",
        {"user": b"u", "ip": b"192.0.2.1", "session": b"S"},
    ),
    b"auth-worker(7): conn unix:auth-worker (pid=6,uid=97): auth-worker<3>: sql(u,::1,<S>): unknown"
    b" user": ("login failed", {"user": b"u", "ip": b"::1", "session": b"S"}),
    b"auth(u,192.0.2.1,sasl:plain)<S>: request [1]: sql: Password mismatch": (
        "login failed",
        {"user": b"u", "ip": b"192.0.2.1", "session": b"S", "method": b"plain"},
    ),
    b"auth: login(?,192.0.2.1): Invalid username: a b": (
        "note",
        {"user": None, "ip": b"192.0.2.1", "session": None},
    ),
}


@pytest.mark.parametrize("text", REAL)
def test_says(text: bytes) -> None:
    assert REAL[text] == told(FAMILY, text)


@pytest.mark.parametrize("text", OTHERS)
def test_other_versions_say(text: bytes) -> None:
    name, fields = OTHERS[text]
    event = FAMILY.parse(text)
    assert isinstance(event, Event)
    assert (name, fields) == (event.name, {field: event.get(field) for field in fields})


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, [*REAL, *OTHERS])


TAIL = b">, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, TLS, session=<S>"


@pytest.mark.parametrize(
    "user",
    [
        b"a>, method=PLAIN, rip=9.9.9.9, lip=9.9.9.9, session=<F",
        b"a>, rip=9.9.9.9, lip=9.9.9.9",
        b"a>, rip=9.9.9.9, lip=9.9.9.9, TLS",
        b"): user=<a>, rip=9.9.9.9, lip=9.9.9.9, session=<F>: user=<b",
    ],
)
@pytest.mark.parametrize(
    "what", [b"Login", b"Aborted login (auth failed, 1 attempts in 2 secs)", b"Disconnected"]
)
def test_a_user_that_looks_like_a_client_is_a_user(user: bytes, what: bytes) -> None:
    text = b"imap-login: " + what + b": user=<" + user + TAIL
    fields = told(FAMILY, text)[1]
    assert (user, b"192.0.2.1", b"S") == (fields["user"], fields["ip"], fields["session"])
    assert_found_in_bulk(FAMILY, [text])


WHO = {("user", b"u"), ("session", b"S")}
SIEVE, PLAIN = b"lmtp(u)<1><S>: sieve: msgid=", b"lmtp(u)<1><S>: msgid="
STORED = b": stored mail into mailbox 'INBOX'"
FORWARDED = b": redirect action: forwarded to <c@d>"
DISCARDED = (
    b": discard action: Marked message to be discarded if not explicitly delivered (discard action)"
)
FAILED = b": failed to store into mailbox 'INBOX': Quota"
KINDS = {STORED: "stored", FORWARDED: "forwarded", DISCARDED: "discarded", FAILED: "store failed"}


@pytest.mark.parametrize("forged", KINDS)
@pytest.mark.parametrize("real", [STORED, FORWARDED, DISCARDED])
def test_a_message_id_that_tells_an_action_is_a_message_id(forged: bytes, real: bytes) -> None:
    text = SIEVE + b"<a@b" + forged + real
    event = FAMILY.parse(text)
    assert event is not None
    assert KINDS[real] == event.name
    assert event.get("message_id") in {b"<a@b" + forged, None}
    assert (forged, real) == (STORED, STORED) or event.get("message_id")
    assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize("forged", [STORED, FORWARDED, DISCARDED])
def test_a_mailbox_that_tells_an_action_tells_no_action(forged: bytes) -> None:
    text = SIEVE + b"<x@y>: stored mail into mailbox 'z" + forged + b"'"
    event = FAMILY.parse(text)
    assert event is not None
    assert event.name in {"stored", "note"}
    assert keys_of(event) == WHO


@pytest.mark.parametrize(
    "text",
    [
        PLAIN + b"<x@y>: saved mail to z: save failed to INBOX: Quota",
        PLAIN + b"<x@y>: saved mail to z" + DISCARDED,
        PLAIN + b"<x@y>: saved mail to z" + FORWARDED,
        SIEVE + b"<x@y>: failed to store into mailbox 'z" + STORED + b"': Quota",
        SIEVE + b"<x@y>" + STORED + b": piped message to program `x'",
        SIEVE + b"<x@y>: saved mail to INBOX: nobody knows this action",
        b"lmtp(u)<1><S>: save: " + SIEVE + b"<x@y>" + STORED,
    ],
)
def test_what_cannot_be_told_says_only_who(text: bytes) -> None:
    event = FAMILY.parse(text)
    assert event is not None
    assert (event.name, keys_of(event)) == ("note", WHO)


def test_the_kind_is_sure_where_a_line_says_it_twice() -> None:
    event = FAMILY.parse(PLAIN + b"<x@y>: saved mail to z: saved mail to INBOX")
    assert event is not None
    assert (event.name, keys_of(event)) == ("stored", WHO)


@pytest.mark.parametrize(
    "text",
    [
        # A method that the client typed; a user or a password that looks like a head of auth's.
        b"imap-login: Login: user=<a>, method=X, rip=9.9.9.9, lip=9.9.9.9, TLS, rip=192.0.2.1",
        b"auth: sql(a,9.9.9.9,<F>): unknown user (b,192.0.2.1,<S>): unknown user",
        b"auth: sql(a,192.0.2.1,<S>): unknown user (given password: x,9.9.9.9)<F>: unknown user)",
        b"auth: sql(a,b,192.0.2.1,<S>): unknown user",
        b"auth: imap(u)<1><S>: x",
        b"x imap(u)<1><S>: x",
        b"imap(u)<1><S> x",
        b"imap(a)b)<1><S>: x",
        b"master: Dovecot v2.3.19.1 (9b53102964) starting up for imap, pop3, lmtp",
        b"master: Warning: Killed with signal 15 (by pid=3570 uid=0 code=kill)",
        b"lmtp(3502): Disconnect from local: Connect from 9.9.9.9",
        b"lmtp(3502): Error: msgid=<x@y>: saved mail to INBOX",
    ],
)
def test_what_is_not_dovecots_own_makes_no_keys(text: bytes) -> None:
    assert not keys_of(FAMILY.parse(text))


def typed(*pieces: bytes) -> st.SearchStrategy[bytes]:
    other = st.binary(max_size=6).map(lambda piece: piece.translate(None, b"\n\t\r\v\f <>"))
    return st.lists(st.one_of(st.sampled_from(pieces), other), max_size=5).map(b"".join)


USERS = typed(b">, rip=9.9.9.9, lip=1.1.1.1", b", session=<F>", b"user=<", b"A@b", b">", b"<F>")
MESSAGE_IDS = typed(
    *KINDS,
    b"<A@b.example>",
    b": saved mail to x",
    b": ",
    b" action",
    b"msgid=",
    b"(a,1.1.1.1)",
)
IPS = st.ip_addresses().map(lambda ip: str(ip).encode())
SESSIONS = st.from_regex(rb"\A[A-Za-z+/][\w+/]{0,21}\Z")


@settings(max_examples=50, deadline=None)
@given(USERS, IPS, SESSIONS, st.sampled_from([b"Login", b"Disconnected (auth failed, 1 attempts)"]))
def test_whatever_a_client_types(user: bytes, ip: bytes, session: bytes, what: bytes) -> None:
    text = b"imap-login: %s: user=<%s>, method=PLAIN, rip=%s, lip=%s, TLS, session=<%s>" % (
        what,
        user,
        ip,
        ip,
        session,
    )
    fields = told(FAMILY, text)[1]
    assert (user, ip, session) == (fields["user"], fields["ip"], fields["session"])
    assert_found_in_bulk(FAMILY, [text])


@settings(max_examples=50, deadline=None)
@given(
    MESSAGE_IDS,
    st.sampled_from([STORED, FORWARDED, DISCARDED]),
    st.from_regex(rb"\A[a-z]{1,8}(@[a-z]{1,8})?\Z"),
    SESSIONS,
)
def test_whatever_a_message_id_says(
    message_id: bytes, real: bytes, user: bytes, session: bytes
) -> None:
    for head in (
        b"lmtp(%s)<1><%s>: sieve: " % (user, session),
        b"lmtp(2, %s): %s: sieve: " % (user, session),
    ):
        text = head + b"msgid=" + message_id + real
        name, fields = told(FAMILY, text)
        assert (KINDS[real], user, session) == (name, fields["user"], fields["session"])
        assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize(
    "hostile",
    [
        b">, rip=1.1.1.1",
        b">, method=X, rip=1.1.1.1, lip=1.1.1.1, TLS",
        b": user=<",
        b"auth failed",
        b": stored mail into mailbox '",
        b": saved mail to ",
        b": save failed to ",
        b"' (",
        b": a action",
        b"msgid=",
        b"): S: ",
        b"(a,1.1.1.1",
        b"):",
        b"<1><",
        b":a",
    ],
)
def test_hostile_texts_take_linear_time(hostile: bytes) -> None:
    for begin in (b"imap-login: Login: user=<", b"imap-login: ", SIEVE, b"auth: sql("):
        assert_linear(FAMILY.parse, begin, hostile, b"!")
    for begin in (b"imap-login: Login: user=<", SIEVE):
        assert_linear(partial(in_bulk, FAMILY), begin, hostile, b"!")
