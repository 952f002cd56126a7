r"""Sendmail, which FreeBSD has by default.

A message's queue id is the time when it came in (year, month, day, hour, minute and second, one
character each), two more characters and the process: 6AN8n359000932. Processes had five digits
before 8.12, and ids began with three letters before 8.10. A message from the local command gets
another id from the daemon: `stat=Sent (NEW Message accepted for delivery)`. A bounce is a message
of its own, and so is a clone for another owner: `OLD: NEW: DSN: …`.

Traps. Commas separate the fields, and Message-IDs, replies and addresses in quotes may hold commas
and even whole fields: `<"x>, relay=y [192.0.2.1]"@dom>`. Those become fields (odd_...), but not
keys. The last field, relay= or the reply, is whole. Message-IDs are cut after 100 characters.
Lines too long for syslog continue as `ID[2]: …`: of these only the id is read.
ctladdr= says on whose behalf: the alias that a recipient came from, or the local sender.
"""

from archiver.maillog.facts import Family, events, passes

ID = rb"(?:[0-9A-Za-z]{7,8}\d{5,7}|[A-Z]{3}\d{5})"
QID = rb"(?P<queue_id>" + ID + rb")(?:\[\d+\])?: "
ANY = rb"(?:" + QID + rb"|NOQUEUE: )?"
QUOTED = rb'"(?:[^"\\]++|\\.)*+"'
# Addresses in two forms: one that can be a key, and one that may hold anything in quotes.
PLAIN = rb'[^\s",<>\\|]+'
ODD = rb'(?:<(?:[^<>"\\]++|\\.|' + QUOTED + rb')*+>|(?:[^\s",<>\\]++|\\.|' + QUOTED + rb")++)"
FULL = rb'[^\s",<>\\|]*@[^\s",<>\\|]*'
SENDER = rb"(?:<?(?P<sender>" + PLAIN + rb"|(?<=<)(?=>))>?|(?P<odd_sender>" + ODD + rb"))"
RECIPIENT = rb"(?:<?(?P<recipient>" + PLAIN + rb")>?|(?P<odd_recipient>" + ODD + rb"))"
ONE = rb"(?:<" + PLAIN + rb">|" + PLAIN + rb")"
RECIPIENTS = (rb"(?:(?P<recipients>" + ONE + rb"(?:," + ONE + rb")*)") + (
    rb"|(?P<odd_recipients>" + ODD + rb"(?:," + ODD + rb")*))"
)

IP = rb"(?:IPv6:)?[0-9A-Fa-f.:]{2,45}"
# A client: `host [ip] (may be forged)`, `[ip]`, or the user who runs the local command.
HOST = rb"(?:[^\s,<>]+ )?\[(?P<ip>" + IP + rb")\](?: \(may be forged\))?"
RELAY = rb"relay=(?P<relay>" + HOST + rb"|[^\s,]+)"
NEXT_HOST = rb"relay=(?P<relay>[^\s,]+)(?: \[(?P<relay_ip>" + IP + rb")\])?"
MESSAGE_ID = (
    rb"msgid=(?:<?(?P<message_id>(?<=<)[^\s<>]++(?<!,)(?=>)|[^\s<>,]++)>?"
    rb"|(?P<odd_message_id>[^,]*+(?:,[^,]*+)*?))"
)
END = (
    rb"(?:, bodytype=[^\s,]+)?(?:, proto=(?P<proto>[^\s,]+))?(?:, daemon=[^\s,]+)?"
    rb"(?:, tls_verify=[^\s,]+)?(?:, auth=[^\s,]+)?, " + RELAY
)
# Between the recipients and stat=. Each may be missing.
HOW = (
    (rb"(?:, ctladdr=(?:<(?P<ctladdr>" + FULL + rb")>|" + ODD + rb")(?: \(\d+/\d+\))?)?")
    + (rb"(?:, delay=(?P<delay>[^\s,]+))?(?:, xdelay=[^\s,]+)?(?:, mailer=(?P<mailer>[^\s,]+))?")
    + (rb"(?:, pri=\d+)?(?:, " + NEXT_HOST + rb")?(?:, dsn=(?P<dsn>[\d.]+))?")
    + rb"(?:, (?:ntries|tls_verify)=[^\s,]+)*, stat="
)
# The next server's own id of the message, where the reply has a known program's form.
REPLY = (
    rb"Sent \((?:\d\.\d\.\d:? )?(?:from MTA\([^()]*\): 250 2\.0\.0 )?(?:"
    rb"(?:(?i:OK:? queued as |OK id=)|(?=[0-9A-Za-z]+ Message accepted for delivery\)))"
    rb"(?P<new_queue_id>[0-9A-Za-z-]+)(?: Message accepted for delivery)?"
    rb"|(?i:ok) \d+ qp (?P<new_qp>\d+))\)"
)
NEW = QID + rb"(?P<new_queue_id>" + ID + rb"): "
VERDICT = (
    rb"(?:, arg2=" + ODD + rb")?, " + RELAY + rb", (?P<reason>(?:reject|discard|quarantine).*)"
)
# Texts that stand before a client, or after one.
BEFORE = (
    rb"lost input channel from|timeout waiting for input from|rejecting commands from|connect from"
    rb"|Null connection from"
)
AFTER = (
    rb" did not issue MAIL/EXPN/VRFY/ETRN during connection to \S+"
    rb"|: possible SMTP attack: command=\S+, count=\d+|: (?:VRFY|EXPN|ETRN|vrfy|expn) .*"
)

FAMILY = Family(
    name="sendmail",
    tags=frozenset({b"sendmail", b"sm-mta", b"sm-msp-queue", b"sm-client", b"sendmail-in"}),
    events=events(
        (
            "received",
            (QID + rb"from=" + SENDER + rb", size=(?P<size>\d+), class=-?\d+")
            + (rb", nrcpts=(?P<nrcpts>\d+)(?:, " + MESSAGE_ID + rb")?" + END),
        ),
        ("received", QID + rb"from=(?P<odd>.*), " + RELAY),
        ("delivery", QID + rb"to=" + RECIPIENTS + HOW + rb"(?P<status>" + REPLY + rb"|.*)"),
        ("delivery", QID + rb"to=(?P<odd>.*)"),
        ("completed", QID + rb"done; delay=(?P<delay>[^\s,]+)(?P<rest>.*)"),
        ("bounced", NEW + rb"(?:DSN|return to sender|postmaster notify): (?P<reason>.*)"),
        ("sender warned", NEW + rb"sender notify: (?P<reason>.*)"),
        ("clone", NEW + rb"clone: owner=(?P<owner>.*)"),
        ("clone", QID + rb"clone (?P<clone_of>" + ID + rb"), owner=(?P<owner>.*)"),
        ("rejected", ANY + rb"ruleset=(?P<ruleset>check_rcpt), arg1=" + RECIPIENT + VERDICT),
        ("rejected", ANY + rb"ruleset=(?P<ruleset>check_mail), arg1=" + SENDER + VERDICT),
        ("rejected", ANY + rb"ruleset=(?P<ruleset>\w+), arg1=(?P<arg1>" + ODD + rb")?" + VERDICT),
        ("rejected", QID + rb"<(?P<recipient>" + FULL + rb")>\.\.\. (?P<reason>.*)"),
        ("rejected", QID + rb"Milter: to=" + RECIPIENT + rb", (?P<reason>.*)"),
        ("rejected", QID + rb"Milter: from=" + SENDER + rb", (?P<reason>.*)"),
        ("milter", QID + rb"(?P<reason>[Mm]ilter.*)"),
        (
            "login",
            (ANY + rb"AUTH=server, " + RELAY + rb", authid=(?P<user>[^\s,<>]+), ")
            + rb"mech=(?P<mech>[^\s,]+)(?P<rest>.*)",
        ),
        (
            "login failed",
            (ANY + rb"AUTH failure \((?P<mech>[^\s()]+)\): (?P<reason>[^,]*+(?:,[^,]*+)*?)")
            + (rb"(?:, user=(?P<user>[^\s,<>]+))?, " + RELAY),
        ),
        ("encrypted", ANY + rb"STARTTLS=server, " + RELAY + rb"(?P<reason>,.*)?"),
        ("encrypted", ANY + rb"STARTTLS=client, " + NEXT_HOST + rb"(?P<reason>,.*)?"),
        ("client", ANY + rb"(?P<what>" + BEFORE + rb") (?P<relay>" + HOST + rb")(?P<reason> .*)?"),
        ("client", ANY + rb"(?P<relay>" + HOST + rb")(?P<reason>" + AFTER + rb")"),
        ("error", ANY + rb"SYSERR(?:\((?P<account>[^()]*)\))?: (?P<reason>.*)"),
        ("started", rb"starting daemon (?P<reason>.*)"),
        ("note", QID + rb"(?P<reason>.*)"),
    ),
    passes=passes(
        # In `OLD: NEW: DSN: …` the colon after one id begins the next match.
        ("queue_id", rb": ([0-9a-z]{8,15}+)(?=: |\[\d)"),
        ("queue_id", rb"- +([0-9a-z]{8,15}+)(?=: |\[\d)"),  # RFC 5424: no colon before the text
        ("message_id", rb" msgid=<?([^\s<>]*[^\s<>,])"),
        ("address domain", rb' from=<?([^\s",<>\\|]+)'),
        ("address domain", rb' to=<?([^\s",<>\\|]+)'),
        ("address domain", rb',<?([^\s",<>\\|]+)'),
        ("address domain", rb' arg1=<?([^\s",<>\\|]+)'),
        ("user domain", rb", authid=([^\s,<>]+)"),
        ("user domain", rb", user=([^\s,<>]+)"),
        (
            "queue_id qp",
            rb"=sent \((?:\d\.\d\.\d:? )?(?:from mta\([^()\n]*\): 250 2\.0\.0 )?"
            rb"(?:ok:? queued as |ok id=|ok \d+ qp )?([0-9a-z-]+)",
        ),
    ),
)
