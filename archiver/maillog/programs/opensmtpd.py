r"""OpenSMTPD, which logs as smtpd: the forms of 6.4 and later, of 6.0 (event=…) and of 5.

A client's session id has 16 hex digits, and so has that of a delivery, which is another session. A
message id (msgid) has 8. Each of its envelopes (evpid) has 16 that begin with these 8: the 8 are
the queue id here. One session may bring several messages. OpenSMTPD logs no Message-ID.

Traps. It lets no blank or bracket into the addresses of an envelope, and writes those in a user's
name as \040. But names from DNS, refused commands and the next server's replies may hold anything:
they come last, and of a reply only the beginning is read, if it has a known program's form.
"""

from archiver.maillog.facts import Family, events, passes

SESSION = rb"(?P<session>[0-9a-f]{16})"
MSGID = rb"(?P<queue_id>[0-9a-f]{8})"
EVPID = MSGID + rb"[0-9a-f]{8}"
V4 = rb"\d{1,3}(?:\.\d{1,3}){3}"
V6 = rb"(?<=\[)(?:IPv6:)?[0-9A-Fa-f.:]{2,45}(?=\])"  # only between brackets
IP = rb"\[?(?P<ip>" + V4 + rb"|" + V6 + rb")\]?"
RELAY_IP = rb"\[?(?P<relay_ip>" + V4 + rb"|" + V6 + rb")\]?"
USER = rb"user=(?P<user>[^\s,<>]+)"
FROM = rb"from=<(?P<sender>|[^\s<>]*@[^\s<>]*)>"
TO = rb"to=<(?P<recipient>[^\s<>]*@[^\s<>]*)>"
RCPT = rb"rcpt=<[^\s<>]*>"
# 6.0 names the client in each line.
CLIENT = rb"(?: address=(?:" + IP + rb"|local) host=(?P<host>\S+))?"
# The next server's own id of the message, where the reply has a known program's form.
REPLY = (
    rb"(?:250 (?:\d\.\d\.\d:? )?(?:"
    rb"(?:(?i:OK:? queued as |OK id=)|(?=[0-9A-Za-z]+ Message accepted for delivery))"
    rb"(?P<new_queue_id>[0-9A-Za-z-]+)(?: Message accepted for delivery)?"
    rb"|(?i:ok) \d+ qp (?P<new_qp>\d+))|.*)"
)
RELAY = rb"(?:" + RELAY_IP + rb')?[^\s"()]*(?: \((?P<relay>[^\s()]*)\))?'
OUTCOME = rb' delay=(?P<delay>\w+) result="?(?P<result>\w+)"? stat='
ENVELOPE = rb"delivery evpid=" + EVPID + rb" " + FROM + rb" " + TO + rb"(?: " + RCPT + rb")? "
SMTP = SESSION + rb" smtp (?:event=)?"
# Of version 5.
OLD = rb"(?P<result>\w+) for " + EVPID + rb": (?:session=" + SESSION + rb", )?" + FROM + rb", " + TO
OLD_END = rb" delay=(?P<delay>\w+), stat="

FAMILY = Family(
    name="opensmtpd",
    tags=frozenset({b"smtpd"}),
    events=events(
        ("connected", SMTP + rb"connected address=(?:" + IP + rb"|local) host=(?P<host>.*)"),
        (
            "received",
            (SMTP + rb"message" + CLIENT + rb" msgid=" + MSGID)
            + (rb"(?: " + FROM + rb" " + TO + rb")?")
            + rb" size=(?P<size>\d+) (?:nrcpt|ndest)=(?P<nrcpts>\d+) proto=(?P<proto>\w+)",
        ),
        ("received", SMTP + rb"envelope evpid=" + EVPID + rb" " + FROM + rb" " + TO),
        ("login", SMTP + rb"authentication " + USER + CLIENT + rb" result=(?P<result>\w+)"),
        ("refused", SMTP + rb"(?:failed-command|bad-input)" + CLIENT + rb" (?P<reason>.*)"),
        ("disconnected", SMTP + rb"(?:disconnected|closed)" + CLIENT + rb" reason=(?P<reason>.*)"),
        (
            "delivery",
            SESSION + rb" mda (?:event=)?" + ENVELOPE + USER + OUTCOME + rb"(?P<status>.*)",
        ),
        (
            "delivery",
            (SESSION + rb" mta (?:event=)?" + ENVELOPE + rb'source="?(?P<source>[^\s"]*)"? ')
            + (rb'relay="?' + RELAY + rb'"?' + OUTCOME + rb'"(?P<status>' + REPLY + rb')"'),
        ),
        (
            "connecting",
            (SESSION + rb" mta (?:event=)?connecting address=(?:[\w+]+://)?" + RELAY_IP)
            + rb"(?::\d+)? host=(?P<relay>.*)",
        ),
        ("session", SESSION + rb" (?P<part>smtp|mta|mda) (?P<reason>.*)"),
        (
            "connected",
            rb"smtp-in: New session " + SESSION + rb" from host (?P<host>.*) \[+" + IP + rb"\]*",
        ),
        (
            "received",
            (rb"smtp-in: Accepted message " + MSGID + rb" on session " + SESSION + rb": " + FROM)
            + (rb"(?:, " + TO + rb")?, size=(?P<size>\d+), (?:nrcpts|ndest)=(?P<nrcpts>\d+)")
            + rb", proto=(?P<proto>\w+)",
        ),
        (
            "delivery",
            (rb"delivery: " + OLD + rb"(?:, " + RCPT + rb")?, " + USER)
            + (rb"(?:, method=(?P<method>\w+))?," + OLD_END + rb"(?P<status>.*)"),
        ),
        (
            "delivery",
            (rb"relay: " + OLD + rb"(?:, " + RCPT + rb")?(?:, source=(?P<source>[^\s,]*))?")
            + (rb", relay=" + RELAY + rb",?" + OLD_END + rb"(?P<status>" + REPLY + rb")"),
        ),
        # Before the session nothing is a stranger's: names of users hold no blanks.
        (
            "session",
            rb'smtp-(?P<part>in|out): (?P<what>[^"<>=:]*?)[Ss]ession '
            + SESSION
            + rb"(?P<reason>.*)",
        ),
    ),
    passes=passes(
        ("session", rb" smtp (?<=([0-9a-f]{16}) smtp )"),
        ("session", rb" m[dt]a (?<=([0-9a-f]{16}) m[dt]a )"),
        ("session", rb"session[ =]([0-9a-f]{16})"),
        ("queue_id", rb"id=([0-9a-f]{8})"),
        ("queue_id", rb"accepted message ([0-9a-f]{8})"),
        ("queue_id", rb" for ([0-9a-f]{8})[0-9a-f]{8}:"),
        ("user domain", rb" user=([^\s,<>]+)"),
        ("ip", rb" address=(?:[\w+]+://)?(" + V4 + rb")"),
        ("ip", rb'relay="?(' + V4 + rb")"),
        (
            "queue_id qp",
            rb'stat="?250 (?:\d\.\d\.\d:? )?(?:ok:? queued as |ok id=|ok \d+ qp )?([0-9a-z-]+)',
        ),
    ),
)
