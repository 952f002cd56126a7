r"""Exim's main log: what follows the stamp that Exim itself writes before each line.

A message has an id of 6-6-2 characters (from 4.97: 6-11-4); the first six give the second in which
it came in. It begins with `<=` and ends with `Completed`. In between, each address has lines of its
own: `=>` and `->` (delivered), `>>` (delivered while the message came in), `*>` (only tried), `==`
(deferred), `**` (bounced). A bounce is a message of its own, from `<>`; its R= is the parent's id.

Traps. Addresses and Message-IDs may hold anything in quotes, even `"x H=y [192.0.2.1]"@dom`: those
become fields (odd_...), but not keys. A stranger also chooses HELO, U= of a client, DN=, SNI= and
set_id=. So a line must follow Exim's grammar from its first byte to its last, each field in its
place and once; of any other line only the id is believed. In T= (the subject) and C= (the next
server's reply) Exim writes a backslash before each quote.
Addresses after `for` are not keys: each of them has lines of its own later.
"""

from archiver.maillog.facts import Family, events, passes

ID = rb"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}(?:[0-9A-Za-z]{5})?-[0-9A-Za-z]{2,4}"
LOWER_ID = ID.replace(b"A-Za-z", b"a-z")
QID = rb"(?P<queue_id>" + ID + rb") "
IP = rb"[0-9A-Fa-f.:]{2,45}"
PORT = rb"(?::\d+)?"
QUOTED = rb'"(?:[^"\\]++|\\.)*+"'

# Each in two forms: one that can be a key, and one that may hold anything between quotes.
PLAIN = rb'[^\s"\\()<>:]+'
ODD = rb'(?:[^\s"\\()<>:]++|' + QUOTED + rb")++"
SENDER = rb"(?:(?P<sender><>|" + PLAIN + rb")|(?P<odd_sender>" + ODD + rb"))"
RECIPIENT = rb"(?:(?P<recipient>" + PLAIN + rb")|(?P<odd_recipient>" + ODD + rb"))"
NAME = rb'[^\s"\\()<>]+'
ODD_NAME = rb'(?:[^\s"\\()<>]++|' + QUOTED + rb")++"
FULL = rb'[^\s"\\<>]*@[^\s"\\<>]*'  # between < and >
ODD_FULL = rb'(?:[^\s"\\<>]++|' + QUOTED + rb")*+"

# A client: `host (helo) [ip]:port I=[ip]:port`; a HELO may be an address in brackets.
CLIENT = (rb"(?:(?P<host>[^\s()\[\]<>]+) )?(?:\((?P<helo>[^\s()<>]+)\) )?") + (
    rb"\[(?P<ip>" + IP + rb")\]" + PORT + rb"(?: I=\[" + IP + rb"\]" + PORT + rb")?"
)
NEXT_HOST = rb"H=(?P<relay>[^\s()\[\]]+)(?: \[(?P<relay_ip>" + IP + rb")\]" + PORT + rb"\*?)?"

# More fields and flags, such as X=TLS1.3:… CV=no DN="…" PRDR K; not those that have a place of
# their own.
MORE = rb'(?: (?!(?:[ACFHPRSTU]|id)=)[0-9A-Za-z]+=(?:"[^"]*"|[^\s"]+)| [A-Z]+[*.]?)*'
BEGIN = (
    QID + rb"<= " + SENDER + rb"(?:(?<= <>) R=(?P<parent_queue_id>" + ID + rb")| R=" + ID + rb")?"
)
# Only a client that has logged in has A= and a protocol that ends in -a (once it was asmtp).
FROM_HOST = (
    (
        rb" (?:DS )?H="
        + CLIENT
        + rb'(?: TFO)?(?: U=(?P<ident>[^\s"]+))?(?: Ci=\d+)?(?= P=(?P<proto>[^\s"]+))'
    )
    + (rb"(?: P=(?:asmtp|[\w-]*a)" + MORE + rb" A=[^\s:]+")
    + rb'(?::(?:(?P<user>[^\s:"<>]+)(?::[^\s"]*)?)?)?| P=[^\s"]+)'
)
FROM_USER = rb'(?: U=(?P<user>[^\s"<>]+))? P=(?P<proto>[^\s"]+)'
CONTENT = (
    (MORE + rb" S=(?P<size>\d+)" + MORE)
    + (rb"(?: id=(?:(?P<message_id>" + NAME + rb")|(?P<odd_message_id>" + ODD_NAME + rb")))?")
    + (rb"(?: T=(?P<subject>" + QUOTED + rb"))?(?: from <(?P<raw_sender>" + ODD_FULL + rb")>)?")
    # Each has a domain: `S=123`, left over from a forged beginning, is not a recipient.
    + (rb"(?: for(?P<to>(?: (?:[^\s\"\\()<>:@]++|" + QUOTED + rb")++@[\w.:\[\]-]++)++))?")
)

# `local <a@b>`, `/var/mail/x <a@b>`, `a@b (via@x) <c@d>`.
ADDRESSED = (
    (rb"(?:(?P<file>[/|][^\s<>]*(?: [^\s<>=]++(?=[ <>]|$))*+|:\w+:)|" + RECIPIENT + rb")")
    + (rb"(?: \(" + ODD + rb"\))*")
    + (rb"(?: <(?:(?P<orig_to>" + FULL + rb")|(?P<odd_orig_to>" + ODD_FULL + rb"))>)?")
    + (rb"(?: [FP]=<" + ODD_FULL + rb">)*")
    + (rb"(?: R=(?P<router>[\w.-]+))?(?: T=(?P<transport>[\w.-]+))?(?: S=\d+)?")
)
ADDRESSEE = ADDRESSED + rb"(?: " + NEXT_HOST + rb")?(?:" + MORE + rb" A=\S+)?"
# The next server's reply, and its own id of the message where the reply has a known program's form.
REPLY = (
    rb"(?:" + MORE + rb' (?:C="250[ -](?:\d\.\d\.\d:? )?(?:'
    rb"(?:(?i:OK:? queued as |OK id=)|(?=[0-9A-Za-z]+ Message accepted for delivery))"
    rb"(?P<new_queue_id>[0-9A-Za-z-]+)(?: Message accepted for delivery)?"
    rb'|(?i:ok) \d+ qp (?P<new_qp>\d+))(?:\\n)?"|C=' + QUOTED + rb"))?"
)
# A HELO such as `x) [192.0.2.1] F=<…` cannot be told from what may follow: no second `) [`.
ONCE = rb"(?!.*\) \[.*\) \[)"
CALLED = ONCE + rb"(?:" + QID + rb")?(?:DS )?H=" + CLIENT
REFUSED = (
    (CALLED + MORE + rb"(?: A=\S+)?")
    + (rb"(?: F=<(?:(?P<sender>|" + FULL + rb")|(?P<odd_sender>" + ODD_FULL + rb"))>)?")
    + (rb"(?: A=\S+)? ")
)
# Beginnings of texts that continue with a client.
CONNECTION = (
    rb"(?:SMTP connection from|no MAIL in SMTP connection from|refused connection from"
    rb"|unexpected disconnection while reading SMTP command from"
    rb"|(?:TLS error|SMTP command timeout|SMTP data timeout \(message abandoned\)) on connection"
    rb" from)"
)

FAMILY = Family(
    name="exim",
    tags=frozenset({b"exim", b"exim4"}),
    events=events(
        ("received", BEGIN + FROM_HOST + CONTENT),
        ("received", BEGIN + FROM_USER + CONTENT),
        ("received", QID + rb"<= (?P<odd>.*)"),
        ("delivery", QID + rb"(?P<how>[-=*>]>) " + ADDRESSEE + REPLY + MORE),
        ("delivery", QID + rb"(?P<how>[-=*>]>) (?P<odd>.*)"),
        # From 4.99 on with a blank before the colon.
        ("bounced", QID + rb"\*\* " + ADDRESSEE + MORE + rb" ?: (?P<reason>.*)"),
        ("bounced", QID + rb"\*\* (?P<odd>.*)"),
        (
            "deferred",
            QID
            + rb"== "
            + ADDRESSED
            + MORE
            + rb" defer (?P<code>\(-?\d+\)) "
            + NEXT_HOST
            + MORE
            + rb" ?: (?P<reason>.*)",
        ),
        ("deferred", QID + rb"== " + ADDRESSEE + MORE + rb" defer (?P<reason>\(-?\d+\).*)"),
        ("deferred", QID + rb"== (?P<odd>.*)"),
        ("completed", QID + rb"Completed(?: QT=(?P<took>\S+))?"),
        ("frozen", QID + rb"(?:\*\*\* )?(?P<reason>(?:Frozen|Message is frozen).*)"),
        ("unfrozen", QID + rb"(?P<reason>(?:Unfrozen|unfrozen).*)"),
        (
            "rejected",
            REFUSED
            + rb"(?P<how>(?:temporarily )?rejected RCPT) <(?:(?P<recipient>"
            + FULL
            + rb")|(?P<odd_recipient>"
            + ODD_FULL
            + rb"))>(?P<reason>.*)",
        ),
        ("rejected", REFUSED + rb"(?P<how>(?:temporarily )?rejected) (?P<reason>.*)"),
        ("warning", REFUSED + rb"(?P<reason>(?:Warning|sender verify).*)"),
        # A client's U= may hold blanks, and then anything that can follow it.
        ("client", CALLED + rb"(?P<reason> U=.*)"),
        ("next host", QID + NEXT_HOST + rb":? (?P<reason>.*)"),
        ("note", QID + rb"(?P<reason>.*)"),
        (
            "login failed",
            ONCE
            + rb"(?P<mech>[\w-]+) authenticator failed for (?:H=)?"
            + CLIENT
            + rb"(?: U=\S+)?: (?P<reason>[^()]*)(?: \(set_id=(?:(?P<user>"
            + NAME
            + rb")|(?P<odd_user>.*))\)(?P<error>:.*)?)?",
        ),
        (
            "connection",
            ONCE + rb"(?P<how>" + CONNECTION + rb") " + CLIENT + rb"(?P<reason>[ :].*)?",
        ),
        (
            "refused",
            ONCE
            + rb"(?P<how>SMTP (?:protocol|syntax) error in "
            + QUOTED
            + rb"|SMTP protocol synchronization error \([^()]*\): rejected connection from"
            + rb"|SMTP call from) (?:H=)?"
            + CLIENT
            + rb"(?P<reason> .*)?",
        ),
        ("no host name", rb"no host name found for IP address (?P<ip>" + IP + rb")"),
        ("queue run", rb"(?P<how>Start|End) (?:'[^']*' )?queue run: (?P<reason>.*)"),
    ),
    passes=passes(
        # After Exim's own stamp with milliseconds, zone and pid; after syslog's tag; and after
        # RFC 5424's header, which has no colon before the text.
        ("queue_id", rb":\d\d:\d\d[-+.\d\[\] ]*? (" + LOWER_ID + rb")"),
        ("queue_id", rb": (" + LOWER_ID + rb")"),
        ("queue_id", rb"- +(" + LOWER_ID + rb")"),
        # Message-IDs, the next Exim's id in its reply, and set_id=.
        ("message_id queue_id user domain", rb'id=(?<!pid=)([^\s"\\()<>]+)'),
        ("address domain queue_id", rb'= (?<= [<=]= )(?:<> r=)?([^\s"\\()<>:]+)'),
        ("address domain", rb'> (?<= [-=*>]> )([^\s"\\()<>:]+)'),
        ("address domain", rb' \*\* ([^\s"\\()<>:]+)'),
        ("user domain", rb' a=[^\s:]+:([^\s:"<>]+)'),
        ("user domain", rb' u=([^\s"<>]+)'),
        (
            "queue_id qp",
            rb'c="250[ -](?:\d\.\d\.\d:? )?(?:ok:? queued as |ok \d+ qp )?([0-9a-z-]+)',
        ),
        ("helo", rb"\(([^\s()<>]+)\) \["),
        ("ip", rb"for ip address ([0-9a-f.:]+)"),
    ),
)
