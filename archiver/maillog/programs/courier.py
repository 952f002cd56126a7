"""Courier's IMAP and POP3 servers.

A connection is named by its address and port; the old versions log no port, and none logs a
session. A user is what a stranger typed: it may hold `, ip=[192.0.2.1], time=0`. So the user goes
up to the last ` ip=[` of a line, and what follows that is Courier's: pairs with `=`, no brackets.

`LOGOUT`, `DISCONNECTED` (the client went away) and `TIMEOUT` end a session with a login;
`Disconnected` ends a connection that never had one.
"""

from archiver.maillog.facts import Family, events, passes

LEVEL = rb"(?:(?:INFO|DEBUG|NOTICE|WARN|ERR): )?"  # courierlogger usually takes it off
USER = rb"user=(?P<user>.*)"
IP = rb"ip=\[(?P<ip>[0-9A-Fa-f.:]{2,45})\](?:, port=\[(?P<port>\d+)\])?"
FIELD = rb"(?:, [a-z]+=[^,\[\]]*)*"  # of those that nobody asks for
# What IMAP and POP3 have counted, in the order of the one or the other, old or new.
COUNTS = (
    rb"(?:, headers=(?P<headers>\d+))?(?:, body=(?P<body>\d+))?"
    rb"(?:, top=(?P<top>\d+))?(?:, retr=(?P<retr>\d+))?"
    rb"(?:, rcvd=(?P<rcvd>\d+))?(?:, sent=(?P<sent>\d+))?(?:, time=(?P<time>\d+))?" + FIELD
)

FAMILY = Family(
    name="courier",
    tags=frozenset(
        {
            b"imapd",
            b"imapd-ssl",
            b"imaplogin",
            b"pop3d",
            b"pop3d-ssl",
            b"pop3login",
            b"courierpop3d",
            b"courierpop3login",
            b"courierimapd",
            b"courierimaplogin",
            b"courierlogger",
            b"authdaemond",
            b"sqwebmaild",
            b"webmaild",
        }
    ),
    events=events(
        ("connected", LEVEL + rb"Connection, " + IP),
        (
            "login",
            LEVEL
            + rb"LOGIN, "
            + USER
            + rb", "
            + IP
            + rb"(?:, protocol=(?P<protocol>\w+))?"
            + FIELD,
        ),
        ("login failed", LEVEL + rb"LOGIN FAILED, " + USER + rb", " + IP + FIELD),
        # The client typed the method as well.
        ("login failed", LEVEL + rb"LOGIN FAILED, method=(?P<method>.*), " + IP + FIELD),
        ("login failed", LEVEL + rb"LOGIN FAILED, " + IP + FIELD),
        ("logout", LEVEL + rb"LOGOUT, " + USER + rb", " + IP + COUNTS),
        ("disconnected", LEVEL + rb"DISCONNECTED, " + USER + rb", " + IP + COUNTS),
        ("timeout", LEVEL + rb"TIMEOUT, " + USER + rb", " + IP + COUNTS),
        # A bare one: this connection has no user, whatever the name of the event.
        ("disconnected", LEVEL + rb"(?:Disconnected|DISCONNECTED), " + IP + COUNTS),
        ("timeout", LEVEL + rb"TIMEOUT, " + IP + COUNTS),
        # With DEBUG_LOGIN set, passwords and all: nothing of it is a key.
        ("debug", rb"LOGIN: DEBUG: (?P<reason>.*)"),
    ),
    passes=passes(
        # The addresses stand in brackets and are found everywhere. Either way a line is taken
        # whole, so that none is searched twice.
        ("user domain", rb"user=(?:([^\n]*), ip=\[|[^\n]*)"),
    ),
    usual=rb"[a-z ]+, (?:user=(?P<user>[^,<\[\n]*), )?"
    rb"ip=\[(?:::ffff:(?=[\d.]*\.[\d.]*\]))?(?P<ip>[0-9a-f.:]+)\](?:, port=\[\d+\])?[^<\[\n:]*",
)
