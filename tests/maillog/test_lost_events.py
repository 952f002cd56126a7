"""Lines of real servers that were once not understood: what each must be found by."""

import pytest

from archiver.maillog.bulk import KeyReader
from archiver.maillog.facts import normal
from archiver.maillog.kinds import KINDS
from archiver.maillog.lines import keys_of

HEAD = b"Nov 23 09:41:07 mx1 "
SAID = {
    # An SMTP proxy filter: no client, and after its answer Postfix's own fields.
    b"postfix/smtpd[9]: proxy-reject: END-OF-MESSAGE: 550 5.7.1 No; from=<a@s.example>"
    b" to=<b@r.example> proto=SMTP helo=<h.s.example>": "address a@s.example, address b@r.example,"
    " helo h.s.example",
    b"postfix/smtpd[9]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 from MTA(smtp:[127.0.0.1]:10025):"
    b" 250 2.0.0 Ok: queued as 37ABA23820; from=<a@s.example> to=<b@r.example> proto=ESMTP"
    b" helo=<h>": "queue_id 37ABA23820, address a@s.example, helo h",
    # header_checks on what was submitted on the machine itself.
    b"postfix/cleanup[9]: 9C21F4A07: warning: header Subject: x from local; from=<a@s.example>"
    b" to=<b@r.example>": "queue_id 9C21F4A07, address a@s.example, address b@r.example",
    # Cut off by syslogd: what stands before the cut is whole.
    b"postfix/smtp[9]: 9C21F4A07: to=<b@r.example>, relay=mx.r.example[198.51.100.4]:25, delay=1,"
    b" delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.r.example[198.51.100.4] said: 550 no su":
    "queue_id 9C21F4A07, address b@r.example, ip 198.51.100.4",
    # Exim from 4.98 on: `Ci=`, `L.`, and a blank before the colon.
    b"exim[9]: 1vcXYZ-000000005vi-2abc <= a@s.example H=mx [198.51.100.5]:4711 Ci=99 P=esmtps S=12"
    b" id=m@s.example": "message_id m@s.example, ip 198.51.100.5, address a@s.example",
    b"exim[9]: 1vcXYZ-000000005vi-2abc <= a@s.example H=mx [198.51.100.5] P=esmtps L. S=12"
    b" id=m@s.example": "message_id m@s.example, ip 198.51.100.5",
    b"exim[9]: 1vcXYZ-000000005vi-2abc ** b@r.example R=dns T=smtp H=mx.r.example [198.51.100.6] :"
    b" SMTP error: 550 no": "address b@r.example, ip 198.51.100.6",
    b"exim[9]: 1vcXYZ-000000005vi-2abc == b@r.example R=dns T=smtp defer (-44) H=mx [198.51.100.6]:"
    b" SMTP error: 451 later": "address b@r.example, ip 198.51.100.6",
    b'exim[9]: SMTP protocol error in "AUTH LOGIN" H=(bot) [198.51.100.7] AUTH not advertised':
    "ip 198.51.100.7, helo bot",
    b'exim[9]: SMTP syntax error in "HELO x y" H=[198.51.100.7] too many arguments':
    "ip 198.51.100.7",
    b"exim[9]: SMTP call from (bot) [198.51.100.8] dropped: too many syntax or protocol errors":
    "ip 198.51.100.8",
    # Dovecot 2.3.18 and later.
    b"dovecot: imap-login: proxy(u@r.example,192.0.2.30:143): Started proxying to <192.0.2.30>"
    b" (0.048 secs): user=<u@r.example>, method=PLAIN, rip=198.51.100.9, lip=192.0.2.1, TLS,"
    b" session=<q1+w2/e3>": "user u@r.example, ip 198.51.100.9, session q1+w2/e3",
    b"dovecot: pop3-login: Logged in: user=<u@r.example>, method=PLAIN, rip=198.51.100.9,"
    b" lip=192.0.2.1, mpid=7, TLS, session=<q1+w2>": "user u@r.example, session q1+w2",
    b"dovecot: lmtp(u@r.example)<7><q1w2>: msgid=? <m@s.example>: saved mail to INBOX":
    "message_id m@s.example, user u@r.example",
    b"dovecot: imap(u@r.example)<7><q1w2>: expunge: box=INBOX, uid=3, msgid=<m@s.example>, size=9":
    "message_id m@s.example, user u@r.example, session q1w2",
    b"dovecot: imap(u)<7><q1w2>: copy from INBOX: box=Old, uid=3, msgid=<no.domain>, size=9":
    "message_id no.domain, user u",
    b"courier-imapd: LOGIN, user=u@r.example, ip=[::ffff:198.51.100.9], port=[7], protocol=IMAP":
    "user u@r.example, ip 198.51.100.9",
}  # fmt: skip


@pytest.mark.parametrize("text", SAID, ids=range(len(SAID)))
def test_it_is_found(text: bytes) -> None:
    wanted = set()
    for each in SAID[text].split(","):
        kind, key = each.split()
        wanted.add((kind, normal(kind, key.encode())))
    line = HEAD + text + b"\n"
    assert wanted <= keys_of(line)
    low = KeyReader(frozenset(KINDS)).keys(line)
    assert {key.lower() for _, key in keys_of(line)} <= low


@pytest.mark.parametrize(
    ("text", "forged"),
    [
        # The far server's words, before Postfix's own: they are no fields.
        (
            b"postfix/smtpd[9]: proxy-reject: END-OF-MESSAGE: 550 x; from=<v@victim> to=<w@victim>"
            b" proto=ESMTP helo=<z>; from=<a@s.example> to=<b@r.example> proto=SMTP helo=<h>",
            ("address", b"a@s.example"),
        ),
        # A mailbox may be named so.
        (
            b"dovecot: imap(u)<7><q>: expunge: box=a, msgid=<v@victim>, uid=3, msgid=<m@s>, size=9",
            ("message_id", b"v@victim"),
        ),
        (
            b'exim[9]: SMTP protocol error in "x" H=(y) [198.51.100.7] z" H=(a) [203.0.113.9] AUTH',
            ("ip", b"203.0.113.9"),
        ),
    ],
)
def test_what_a_stranger_wrote_is_not_believed(text: bytes, forged: tuple[str, bytes]) -> None:
    assert forged not in keys_of(HEAD + text + b"\n")
