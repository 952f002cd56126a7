"""Postfix's lines: a real Postfix 3.7, what other versions say, and what strangers put in them."""

import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.facts import normal
from archiver.maillog.programs.postfix import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

# As a real Postfix logged them.
REAL: dict[bytes, tuple[str, dict[str, bytes | None]]] = {
    b"starting the Postfix mail system": ("service", {}),
    b"daemon started -- version 3.7.11, configuration /etc/postfix": ("service", {}),
    b"terminating on signal 15": ("service", {}),
    b"0413A61C: uid=0 from=<test@pf.example.net>": (
        "picked up",
        {"queue_id": b"0413A61C", "uid": b"0", "sender": b"test@pf.example.net"},
    ),
    b"0413A61C: message-id=<plain.1@x>": (
        "message-id",
        {"queue_id": b"0413A61C", "message_id": b"plain.1@x"},
    ),
    b"0413A61C: from=<test@pf.example.net>, size=243, nrcpt=1 (queue active)": (
        "queued",
        {"sender": b"test@pf.example.net", "size": b"243", "nrcpt": b"1", "queue": b"active"},
    ),
    b"2551D642: from=<>, size=2647, nrcpt=1 (queue active)": (
        "queued",
        {"queue_id": b"2551D642", "sender": b""},
    ),
    b"0413A61C: passing <test@localhost> to transport=lmtp": (
        "passed on",
        {"queue_id": b"0413A61C", "recipient": b"test@localhost", "transport": b"lmtp"},
    ),
    b"0413A61C: to=<test@localhost>, relay=127.0.0.1[127.0.0.1]:2424, delay=0.12,"
    b" delays=0.02/0.02/0.07/0.02, dsn=2.0.0, status=sent"
    b" (250 2.0.0 <test@localhost> A9aJBlv9A2uuDQAAg+zDdQ Saved)": (
        "delivery",
        {
            "queue_id": b"0413A61C",
            "recipient": b"test@localhost",
            "relay": b"127.0.0.1[127.0.0.1]:2424",
            "relay_ip": b"127.0.0.1",
            "delay": b"0.12",
            "dsn": b"2.0.0",
            "status": b"sent",
            "session": b"A9aJBlv9A2uuDQAAg+zDdQ",
        },
    ),
    b"2324063A: to=<other@localhost>, relay=127.0.0.1[127.0.0.1]:2424, delay=0.01,"
    b" delays=0/0/0/0, dsn=5.1.1, status=bounced (host 127.0.0.1[127.0.0.1] said: 550 5.1.1"
    b" <other@localhost> User doesn't exist: other@localhost (in reply to RCPT TO command))": (
        "delivery",
        {"recipient": b"other@localhost", "status": b"bounced"},
    ),
    b"2324063A: sender non-delivery notification: 2551D642": (
        "notification",
        {"queue_id": b"2324063A", "new_queue_id": b"2551D642"},
    ),
    b"0413A61C: removed": ("removed", {"queue_id": b"0413A61C"}),
}
SENT = b"4jXzxh0HDszKn0L: to=<u@a.example>, relay=mx[2001:db8::25]:25, delay=1, status=sent "
REJECT = b"NOQUEUE: reject: RCPT from mx.a.example[192.0.2.7]: 554 5.7.1 "
OTHERS: dict[bytes, tuple[str, dict[str, bytes | None]]] = {
    SENT + b"(250 2.0.0 Ok: queued as 4jXzxk3bSPzKn0M)": (
        "delivery",
        {"relay_ip": b"2001:db8::25", "new_queue_id": b"4jXzxk3bSPzKn0M"},
    ),
    SENT + b"(250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 74FF5220670)": (
        "delivery",
        {"new_queue_id": b"74FF5220670"},
    ),
    SENT + b"(250 ok 1795423431 qp 234)": ("delivery", {"new_qp": b"234"}),
    SENT + b"(forwarded as 2551D642)": ("delivery", {"new_queue_id": b"2551D642"}),
    SENT + b"(250 OK id=1tEXmp-000000001aB-2cDe)": (
        "delivery",
        {"new_queue_id": b"1tEXmp-000000001aB-2cDe"},
    ),
    SENT + b"(250 2.0.0 6AN8n359000932 Message accepted for delivery)": (
        "delivery",
        {"new_queue_id": b"6AN8n359000932"},
    ),
    b"B7DEA22066C: to=<root@a.example>, orig_to=<root>, relay=local, conn_use=2, delay=1.5, delays="
    b"1/0/0/0.5, tls=may/(disabled:tlsrpt), dsn=2.0.0, status=sent (delivered to mailbox)": (
        "delivery",
        {"orig_to": b"root", "relay": b"local", "conn_use": b"2", "tls": b"may/(disabled:tlsrpt)"},
    ),
    b"B7DEA22066C: to=<u@a.example>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1,"
    b" status=deferred (connect to mx.a.example[192.0.2.9]:25: Connection timed out)": (
        "delivery",
        {"relay": b"none", "relay_ip": b"192.0.2.9", "status": b"deferred"},
    ),
    b"B7DEA22066C: to=<u@a.example>, relay=h[private/lmtp], delay=0, dsn=2.1.5,"
    b" status=deliverable (250 ok)": ("delivery", {"relay": b"h[private/lmtp]"}),
    b"B7DEA22066C: from=<u@a.example>, status=expired, returned to sender": (
        "expired",
        {"sender": b"u@a.example", "status": b"expired"},
    ),
    b"B7DEA22066C: sender delivery status notification: 4jXzxk3bSPzKn0M": (
        "notification",
        {"new_queue_id": b"4jXzxk3bSPzKn0M"},
    ),
    b"B7DEA22066C: postmaster non-delivery notification: C7DEA22066C": (
        "notification",
        {"reason": b"postmaster non-delivery notification", "new_queue_id": b"C7DEA22066C"},
    ),
    b"B7DEA22066C: uid=33 from=<www-data> orig_id=A7DEA22066C": (
        "picked up",
        {"sender": b"www-data", "orig_queue_id": b"A7DEA22066C"},
    ),
    b"B7DEA22066C: resent-message-id=<5@x>": ("message-id", {"message_id": b"5@x"}),
    b"B7DEA22066C: message-id=<>": ("message-id", {"queue_id": b"B7DEA22066C"}),
    b"B7DEA22066C: message-id=no brackets": ("message-id", {"message_id": b"no brackets"}),
    b"B7DEA22066C: message-id=<<\t<odd> <ids@x>> ": ("message-id", {"message_id": b"odd> <ids@x"}),
    b"B7DEA22066C: client=h.a.example[192.0.2.7]:4711, sasl_method=PLAIN,"
    b" sasl_username=U@a.example": (
        "received",
        {"ip": b"192.0.2.7", "sasl_method": b"PLAIN", "user": b"U@a.example"},
    ),
    b"B7DEA22066C: client=localhost[127.0.0.1], orig_queue_id=4jXzxh0HDszKn0L,"
    b" orig_client=unknown[2001:db8::7]": (
        "received",
        {
            "ip": b"127.0.0.1",
            "orig_queue_id": b"4jXzxh0HDszKn0L",
            "orig_ip": b"2001:db8::7",
        },
    ),
    b"NOQUEUE: client=unknown[192.0.2.7]": ("received", {"ip": b"192.0.2.7"}),
    b"B7DEA22066C: host mx[192.0.2.9] said: 450 later (in reply to RCPT TO command)": (
        "far server",
        {"queue_id": b"B7DEA22066C", "relay_ip": b"192.0.2.9"},
    ),
    b"B7DEA22066C: conversation with mx[192.0.2.9] timed out while receiving the greeting": (
        "far server",
        {"relay_ip": b"192.0.2.9"},
    ),
    b"connect to mx[2001:db8::25]:25: Connection refused": (
        "connection failed",
        {"relay_ip": b"2001:db8::25"},
    ),
    b"connect from unknown[unknown]": ("connected", {}),
    b"connect from h[192.0.2.7]": ("connected", {"ip": b"192.0.2.7"}),
    b"CONNECT from [192.0.2.7]:4711 to [198.51.100.1]:25": ("connected", {"ip": b"192.0.2.7"}),
    b"disconnect from h[192.0.2.7] ehlo=1 auth=0/1 commands=1/2": (
        "disconnected",
        {"ip": b"192.0.2.7", "commands": b" ehlo=1 auth=0/1 commands=1/2"},
    ),
    b"lost connection after DATA (12 bytes) from h[192.0.2.7]": (
        "connection lost",
        {"reason": b"lost connection", "stage": b"DATA (12 bytes)", "ip": b"192.0.2.7"},
    ),
    b"B7DEA22066C: timeout after END-OF-MESSAGE from h[192.0.2.7]": (
        "connection lost",
        {"queue_id": b"B7DEA22066C", "reason": b"timeout", "ip": b"192.0.2.7"},
    ),
    b"NOQUEUE: lost connection after RCPT from h[192.0.2.7]": (
        "connection lost",
        {"ip": b"192.0.2.7"},
    ),
    b"B7DEA22066C: canceled": ("canceled", {"queue_id": b"B7DEA22066C"}),
    b"warning: h[192.0.2.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=bob": (
        "login failed",
        {"ip": b"192.0.2.7", "reason": b"UGFzc3dvcmQ6", "user": b"bob"},
    ),
    b"warning: h[192.0.2.7]: SASL PLAIN authentication failed: (reason unavailable),"
    b" sasl_username=(unavailable)": ("login failed", {"ip": b"192.0.2.7", "user": None}),
    b"warning: h[192.0.2.7]: SASL LOGIN authentication aborted": (
        "login failed",
        {"ip": b"192.0.2.7"},
    ),
    b"warning: hostname h.a.example does not resolve to address 2001:db8::7: Name not known": (
        "warning",
        {"ip": b"2001:db8::7"},
    ),
    b"warning: 192.0.2.7: hostname h.a.example verification failed: Name not known": (
        "warning",
        {"ip": b"192.0.2.7"},
    ),
    b"warning: Connection rate limit exceeded: 31 from h[192.0.2.7] for service smtp": (
        "warning",
        {"ip": b"192.0.2.7"},
    ),
    b"warning: non-SMTP command from h[192.0.2.7]: GET / HTTP/1.1": (
        "warning",
        {"ip": b"192.0.2.7"},
    ),
    b"warning: dict_nis_init: NIS domain name not set": ("warning", {}),
    REJECT + b"<u@b.example>: Relay access denied; from=<s@a.example> to=<u@b.example> proto=ESMTP"
    b" helo=<Mx>": (
        "rejected",
        {
            "action": b"reject",
            "stage": b"RCPT",
            "ip": b"192.0.2.7",
            "reason": b"554 5.7.1 <u@b.example>: Relay access denied",
            "sender": b"s@a.example",
            "recipient": b"u@b.example",
            "helo": b"Mx",
        },
    ),
    b"NOQUEUE: reject: RCPT from [192.0.2.7]:4711: 550 5.7.1 Service unavailable; client"
    b" [192.0.2.7] blocked using dnsbl.example; from=<s@a.example>, to=<root>, proto=ESMTP,"
    b" helo=<mx>": (
        "rejected",
        {"ip": b"192.0.2.7", "sender": b"s@a.example", "recipient": b"root", "helo": b"mx"},
    ),
    b"NOQUEUE: reject: CONNECT from h[192.0.2.7]: 554 5.7.1 Service unavailable; proto=SMTP": (
        "rejected",
        {"stage": b"CONNECT", "ip": b"192.0.2.7", "proto": b"SMTP"},
    ),
    b"NOQUEUE: reject: CONNECT from [192.0.2.7]:4711: all server ports busy": (
        "rejected",
        {"ip": b"192.0.2.7"},
    ),
    b"NOQUEUE: filter: RCPT from h[192.0.2.7]: <h[192.0.2.7]>: Client host triggers FILTER x:y;"
    b" from=<> to=<u@b.example> proto=SMTP helo=<h>": (
        "checked",
        {"action": b"filter", "sender": b"", "recipient": b"u@b.example"},
    ),
    b"B7DEA22066C: milter-reject: END-OF-MESSAGE from h[192.0.2.7]: 5.7.1 Spam message rejected;"
    b" from=<s@a.example> to=<u@b.example> proto=ESMTP helo=<h>": (
        "rejected",
        {"queue_id": b"B7DEA22066C", "action": b"milter-reject", "recipient": b"u@b.example"},
    ),
    b"NOQUEUE: proxy-accept: END-OF-MESSAGE from h[192.0.2.7]: 250 2.0.0 Ok: queued as 74FF5220670;"
    b" from=<s@a.example> to=<u@b.example> proto=ESMTP helo=<h>": (
        "checked",
        {"new_queue_id": b"74FF5220670", "sender": b"s@a.example"},
    ),
    b"B7DEA22066C: warning: header Subject: hello from h[192.0.2.7]; from=<s@a.example>"
    b" to=<u@b.example> proto=ESMTP helo=<h>: look": (
        "checked",
        {"ip": b"192.0.2.7", "content": b"Subject: hello", "sender": b"s@a.example"},
    ),
    b"B7DEA22066C: reject: header Subject: hello from local; from=<root>: 5.7.1 no": (
        "rejected",
        {"queue_id": b"B7DEA22066C"},
    ),
    b"Anonymous TLS connection established from h[192.0.2.7]: TLSv1.3 with cipher X (256 bits)": (
        "tls",
        {"ip": b"192.0.2.7", "trust": b"Anonymous"},
    ),
    b"Untrusted TLS connection established to mx[192.0.2.9]:25: TLSv1.3 with cipher X": (
        "tls",
        {"relay_ip": b"192.0.2.9"},
    ),
    b"SSL_accept error from h[192.0.2.7]: lost connection": ("tls failed", {"ip": b"192.0.2.7"}),
    b"PASS OLD [192.0.2.7]:4711": ("postscreen", {"verdict": b"PASS OLD", "ip": b"192.0.2.7"}),
    b"PREGREET 11 after 0.12 from [192.0.2.7]:4711: EHLO x\\r\\n": (
        "postscreen",
        {"verdict": b"PREGREET", "ip": b"192.0.2.7"},
    ),
    b"HANGUP after 0.1 from [2001:db8::7]:4711 in tests after SMTP handshake": (
        "postscreen",
        {"verdict": b"HANGUP", "ip": b"2001:db8::7"},
    ),
    b"DNSBL rank 6 for [192.0.2.7]:4711": ("postscreen", {"rank": b"6", "ip": b"192.0.2.7"}),
    b"addr 192.0.2.7 listed by domain dnsbl.example as 127.0.0.4": ("listed", {"ip": b"192.0.2.7"}),
    b"statistics: max connection rate 1/60s for (smtp:192.0.2.7) at Nov 23 08:40:00": (
        "statistics",
        {"ip": b"192.0.2.7"},
    ),
    b"B7DEA22066C: skipped, still being delivered": ("note", {"queue_id": b"B7DEA22066C"}),
    b"warning: B7DEA22066C: read timeout": ("warning", {"queue_id": b"B7DEA22066C"}),
}
TEXTS = REAL | OTHERS


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    name, fields = told(FAMILY, text)
    assert TEXTS[text] == (name, {field: fields.get(field) for field in TEXTS[text][1]})


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


def test_a_recipient_that_cannot_be_told_from_a_reply_is_not_told() -> None:
    text = b"B7DEA22066C: to=<a>, relay=x, delay=1, status=sent (y@a>, relay=none, delay=0)"
    assert told(FAMILY, text) == (
        "delivery",
        {"queue_id": b"B7DEA22066C", "unclear": text.removeprefix(b"B7DEA22066C: ")},
    )


# -- what strangers put there ---------------------------------------------------------------

TAIL = b"; from=<v@victim.example> to=<w@victim.example> proto=SMTP helo=<v"
FORGED_RELAY = (
    b">, relay=evil[198.51.100.66]:25, delay=1, status=sent (250 2.0.0 Ok: queued as FEEDBEEF)"
)
CASES: dict[bytes, set[tuple[str, bytes]]] = {
    b"B7DEA22066C: from=<a>, size=1, nrcpt=1 (queue active)>, size=9, nrcpt=2 (queue active)": {
        ("address", b"a>, size=1, nrcpt=1 (queue active)")
    },
    b"B7DEA22066C: message-id=<x>, relay=h[198.51.100.66] FEEDBEEF: removed": {
        ("message_id", b"x>, relay=h[198.51.100.66] FEEDBEEF: removed")
    },
    b'B7DEA22066C: to=<"' + FORGED_RELAY + b'"@a>, relay=none, delay=0, status=bounced (x)': set(),
    # A reply must be the sentence and nothing else.
    SENT + b"(250 2.0.0 Ok: queued as FEEDBEEF) (250 ok)": {("ip", b"2001:db8::25")},
    SENT + b"(host x said: 250 2.0.0 Ok: queued as FEEDBEEF)": {("ip", b"2001:db8::25")},
    SENT + b'(250 2.0.0 <"> FORGED Saved"@a> TRUE Saved)': {("ip", b"2001:db8::25")},
    SENT + b"(250 ok 1 qp 5 qp 6)": {("ip", b"2001:db8::25")},
    SENT + b"(xforwarded as FEEDBEEF)": {("ip", b"2001:db8::25")},
    # HELO comes last, and may hold the whole list again; so may the reason, which comes first.
    REJECT + b"no; from=<s@a> to=<u@b> proto=ESMTP helo=<x" + TAIL + b">": {("ip", b"192.0.2.7")},
    REJECT + b"<x" + TAIL + b">: no; from=<s@a> to=<u@b> proto=ESMTP helo=<h>": {
        ("ip", b"192.0.2.7")
    },
    b"NOQUEUE: reject: CONNECT from h[192.0.2.7]: no; proto=SMTP helo=<x" + TAIL + b">": {
        ("ip", b"192.0.2.7")
    },
    b"B7DEA22066C: reject: header X: y from evil[198.51.100.66]" + TAIL + b">: z from h[192.0.2.7];"
    b" from=<s@a> to=<u@b> proto=ESMTP helo=<h>": set(),
    b"B7DEA22066C: client=h[192.0.2.7], sasl_method=PLAIN, sasl_username=bob,"
    b" sasl_sender=x, orig_queue_id=FEEDBEEF, orig_client=v[198.51.100.66]": {
        ("ip", b"192.0.2.7"),
        ("user", b"bob"),
    },
    b'warning: h[192.0.2.7]: SASL "x authentication failed: y, sasl_username=v" authentication'
    b" failed: no, sasl_username=(unavailable)": {("ip", b"192.0.2.7")},
    b"warning: h[192.0.2.7]: SASL LOGIN authentication failed: no, sasl_username=a,"
    b" sasl_username=victim": {("ip", b"192.0.2.7")},
    b"improper command pipelining after HELO from h[192.0.2.7]: x from v[198.51.100.66]": {
        ("ip", b"192.0.2.7")
    },
    b"B7DEA22066C: to=<a" + FORGED_RELAY + b"@a>, relay=none, delay=0, status=bounced (x)": set(),
    b"B7DEA22066C: from=<v>, status=expired, x@a>, status=expired, returned to sender": set(),
    b'warning: h[192.0.2.7]: SASL "x authentication failed: y, sasl_username=v" authentication'
    b" failed: no": {("ip", b"192.0.2.7")},
    b"B7DEA22066C: passing <v@a> to transport=x> to transport=lmtp": set(),
    b"B7DEA22066C: from=<v@a>, size=1, nrcpt=1 (queue active)@a>": set(),
    b"x B7DEA22066C: removed": set(),
    b"B7DEA22066C: removed ": set(),
    b"Subject: B7DEA22066C: removed": set(),
}


@pytest.mark.parametrize("text", CASES)
def test_strangers_forge_no_keys(text: bytes) -> None:
    own = {(k, v) for k, v in keys_of(FAMILY.parse(text)) if k not in {"queue_id", "domain"}}
    told_ids = {v for k, v in keys_of(FAMILY.parse(text)) if k == "queue_id"}
    if text.startswith(SENT):
        own -= {("address", b"u@a.example")}
    assert own == CASES[text]
    assert told_ids <= {b"B7DEA22066C", b"4jXzxh0HDszKn0L"}
    assert not (text.startswith((b"x ", b"Subject")) and told_ids)
    assert_found_in_bulk(FAMILY, [text])


FRAGMENTS = (
    *(b"a b@ \t<> < > \" ' , ; : ( ) [ ] \x00 \xff \r".split(b" ")),
    b" ",
    b"v@victim.example",
    b"> to=<",
    b"; from=<",
    b", orig_to=<",
    b"> proto=SMTP helo=<",
    b"; proto=SMTP",
    b" from evil[198.51.100.66]; from=<",
    b">, relay=evil[198.51.100.66]:25, delay=1, status=sent (250 2.0.0 Ok: queued as FEEDBEEF)",
    b">, size=1, nrcpt=1 (queue active)",
    b" sasl_username=",
    b"FEEDBEEF: removed",
    b"message-id=<",
)
hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=7).map(b"".join)
plain = st.from_regex(rb"[A-Za-z0-9.+]{1,9}(@[a-z]{1,5}\.example)?", fullmatch=True)
# Postfix puts what is special in quotes, from version 3.5 on.
addresses = st.one_of(
    plain,
    st.just(b""),
    hostile.map(lambda text: b'"' + text + b'"@x.example'),
    hostile.map(lambda text: b"x" + text + b"@x.example"),
)
queue_ids = st.one_of(
    st.from_regex(rb"[0-9A-F]{6,12}", fullmatch=True),
    st.from_regex(rb"[0-9BCDb-df-h]{10}z[0-9Bb]{3,5}", fullmatch=True),
)
texts_and_truth = st.builds(
    lambda queue_id, sender, recipient, name, text, form: (
        form % {b"Q": queue_id, b"S": sender, b"R": recipient, b"H": name, b"T": text},
        {queue_id, sender, recipient, name, text, b"192.0.2.7"},
    ),
    queue_ids,
    addresses,
    addresses,
    st.one_of(plain, hostile),
    st.one_of(plain, hostile),
    st.sampled_from(
        (
            b"%(Q)s: uid=0 from=<%(S)s>",
            b"%(Q)s: message-id=%(T)s",
            b"%(Q)s: message-id=<%(T)s>",
            b"%(Q)s: from=<%(S)s>, size=5, nrcpt=1 (queue active)",
            b"%(Q)s: to=<%(R)s>, orig_to=<%(S)s>, relay=h[192.0.2.7]:25, delay=1, dsn=2.0.0,"
            b" status=bounced (host h[192.0.2.7] said: 550 %(T)s)",
            b"%(Q)s: reject: RCPT from h[192.0.2.7]: 554 <%(H)s>: %(T)s; from=<%(S)s> to=<%(R)s>"
            b" proto=ESMTP helo=<%(H)s>",
            b"NOQUEUE: reject: EHLO from h[192.0.2.7]: 504 <%(H)s>: %(T)s; proto=SMTP helo=<%(H)s>",
            b"NOQUEUE: reject: MAIL from h[192.0.2.7]: 554 <%(S)s>: no; from=<%(S)s> proto=SMTP",
            b"%(Q)s: warning: header %(T)s from h[192.0.2.7]; from=<%(S)s> to=<%(R)s> proto=ESMTP"
            b" helo=<%(H)s>: look",
            b"%(Q)s: client=h[192.0.2.7], sasl_method=PLAIN, sasl_username=bob, sasl_sender=%(T)s",
            b"warning: h[192.0.2.7]: SASL LOGIN authentication failed: no, sasl_username=%(H)s",
            b"warning: non-SMTP command from h[192.0.2.7]: %(T)s",
            b"%(Q)s: host h[192.0.2.7] said: 450 %(T)s",
        )
    ),
)


@settings(max_examples=250, deadline=None)
@given(texts_and_truth)
def test_only_what_is_true_is_told_and_all_of_it_found_in_bulk(
    text_and_truth: tuple[bytes, set[bytes]],
) -> None:
    text, values = text_and_truth
    truth = {normal(kind, value) for value in values for kind in ("queue_id", "address", "helo")}
    truth |= {re.sub(rb"^[\s<>]+|[\s<>]+$", b"", value) for value in values} | {b"bob"}
    event = FAMILY.parse(text)
    assert event is not None
    assert {key for kind, key in keys_of(event) if kind != "domain"} <= truth
    assert_found_in_bulk(FAMILY, [text])


@settings(max_examples=100, deadline=None)
@given(queue_ids, plain, plain, st.one_of(plain, hostile.filter(lambda t: b">, relay=" not in t)))
def test_plain_lines_tell_all_they_hold(
    queue_id: bytes, sender: bytes, recipient: bytes, reply: bytes
) -> None:
    text = (
        queue_id + b": to=<" + recipient + b">, orig_to=<" + sender + b">, relay=h[192.0.2.7]:25,"
        b" delay=1, dsn=5.0.0, status=bounced (host said: " + reply + b")"
    )
    assert {
        ("queue_id", queue_id),
        ("address", recipient.lower()),
        ("address", sender.lower()),
        ("ip", b"192.0.2.7"),
    } == {(kind, key) for kind, key in keys_of(FAMILY.parse(text)) if kind != "domain"}


HOSTILE = (b"<", b" ", b"a ", b"> to=<", b"; from=<", b" from h[1.1.1.1]; from=<", b">, size=1")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "begin",
    [
        b"B7DEA22066C: message-id=",
        b"B7DEA22066C: from=<",
        b"B7DEA22066C: to=<",
        SENT + b"(250 2.0.0 ",
        REJECT,
        b"B7DEA22066C: warning: header ",
        b"warning: ",
        b"warning: h[192.0.2.7]: SASL LOGIN authentication failed: ",
    ],
)
def test_hostile_texts_take_linear_time(begin: bytes, text: bytes) -> None:
    assert_linear(FAMILY.parse, begin, text, b"x\x00")


@pytest.mark.parametrize("text", [*HOSTILE, b"message-id=<", b"from=<", b"(250 <", b": aaaaaa"])
def test_hostile_texts_are_read_in_bulk_in_linear_time(text: bytes) -> None:
    assert_linear(partial(in_bulk, FAMILY), b"", text)
