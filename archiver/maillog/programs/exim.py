r"""Exim's main log: what follows the stamp that Exim itself writes before each line.

A message has an id of 6-6-2 characters (from 4.97: 6-11-4) whose first six are the second it came
in. It begins with `<=` and ends with `Completed`. In between each address has lines of its own:
`=>` and `->` (delivered), `>>` (while it came in), `*>` (only tried), `==` (deferred), `**`
(bounced). A bounce is a message of its own, from `<>`, whose R= is the id of its parent.

Traps. Addresses and Message-IDs may hold anything in quotes, even `"x H=y [192.0.2.1]"@dom`: such
ones are told (odd_...), but are no keys. HELO, U= of a client, DN=, SNI= and set_id= are a
stranger's words, too. So a line must follow Exim's grammar from its begin to its end, each field
in its place and once; of any other line only the id is believed. In T= (the subject) and C= (the
next server's reply) Exim writes a backslash before each quote.
Addresses after `for` are no keys: each of them has its own lines later.
"""

from archiver.maillog.facts import Family, events, passes

ID = rb"[0-9A-Za-z]{6}-[0-9A-Za-z]{6}(?:[0-9A-Za-z]{5})?-[0-9A-Za-z]{2,4}"
LOWER_ID = ID.replace(b"A-Za-z", b"a-z")
QID = rb"(?P<queue_id>" + ID + rb") "
IP = rb"[0-9A-Fa-f.:]{2,45}"
PORT = rb"(?::\d+)?"
QUOTED = rb'"(?:[^"\\]++|\\.)*+"'

# Each in two forms: what can be a key, and what may hold anything between quotes.
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

# More fields and flags, such as X=TLS1.3:… CV=no DN="…" PRDR K: none that has a place of its own.
MORE = rb'(?: (?!(?:[ACFHPRSTU]|id)=)[0-9A-Za-z]+=(?:"[^"]*"|[^\s"]+)| [A-Z]+\*?)*'
BEGIN = (
    QID + rb"<= " + SENDER + rb"(?:(?<= <>) R=(?P<parent_queue_id>" + ID + rb")| R=" + ID + rb")?"
)
# Only who has logged in has an A=, and a protocol that ends in -a (once it was asmtp).
FROM_HOST = (
    (rb" (?:DS )?H=" + CLIENT + rb'(?: TFO)?(?: U=(?P<ident>[^\s"]+))?(?= P=(?P<proto>[^\s"]+))')
    + (rb"(?: P=(?:asmtp|[\w-]*a)" + MORE + rb" A=[^\s:]+")
    + rb'(?::(?:(?P<user>[^\s:"<>]+)(?::[^\s"]*)?)?)?| P=[^\s"]+)'
)
FROM_USER = rb'(?: U=(?P<user>[^\s"<>]+))? P=(?P<proto>[^\s"]+)'
CONTENT = (
    (MORE + rb" S=(?P<size>\d+)" + MORE)
    + (rb"(?: id=(?:(?P<message_id>" + NAME + rb")|(?P<odd_message_id>" + ODD_NAME + rb")))?")
    + (rb"(?: T=(?P<subject>" + QUOTED + rb"))?(?: from <(?P<raw_sender>" + ODD_FULL + rb")>)?")
    # Each has a domain: `S=123`, left over from a forged beginning, is no recipient.
    + (rb"(?: for(?P<to>(?: (?:[^\s\"\\()<>:@]++|" + QUOTED + rb")++@[\w.:\[\]-]++)++))?")
)

# `local <a@b>`, `/var/mail/x <a@b>`, `a@b (via@x) <c@d>`.
ADDRESSEE = (
    (rb"(?:(?P<file>[/|][^\s<>]*(?: [^\s<>=]++(?=[ <>]|$))*+|:\w+:)|" + RECIPIENT + rb")")
    + (rb"(?: \(" + ODD + rb"\))*")
    + (rb"(?: <(?:(?P<orig_to>" + FULL + rb")|(?P<odd_orig_to>" + ODD_FULL + rb"))>)?")
    + (rb"(?: [FP]=<" + ODD_FULL + rb">)*")
    + (rb"(?: R=(?P<router>[\w.-]+))?(?: T=(?P<transport>[\w.-]+))?(?: S=\d+)?")
    + (rb"(?: " + NEXT_HOST + rb")?(?:" + MORE + rb" A=\S+)?")
)
# What the next server says, and where it speaks as its program does, what it calls the message.
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
# How texts begin that go on with a client.
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
        ("bounced", QID + rb"\*\* " + ADDRESSEE + MORE + rb": (?P<reason>.*)"),
        ("bounced", QID + rb"\*\* (?P<odd>.*)"),
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
        # What a client calls itself by U= may hold blanks, and then all that can follow it.
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
        ("no host name", rb"no host name found for IP address (?P<ip>" + IP + rb")"),
        ("queue run", rb"(?P<how>Start|End) (?:'[^']*' )?queue run: (?P<reason>.*)"),
    ),
    passes=passes(
        # With Exim's own stamp, milliseconds, zone and pid included; and where syslog has the time
        # (RFC 5424 has no colon before the text).
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
