"""Courier's IMAP and POP3 servers.

A connection is named by its address and port. Old versions log no port, and no version logs a
session id. A user is what a stranger typed: it may hold `, ip=[192.0.2.1], time=0`. So the user
extends to the last ` ip=[` of a line; what follows is Courier's own: pairs with `=`, no brackets.

`LOGOUT`, `DISCONNECTED` (the client went away) and `TIMEOUT` end a session with a login;
`Disconnected` ends a connection that never had one.
"""

from archiver.maillog.facts import Family, events, passes

LEVEL = rb"(?:(?:INFO|DEBUG|NOTICE|WARN|ERR): )?"  # courierlogger usually removes it
USER = rb"user=(?P<user>.*)"
IP = rb"ip=\[(?P<ip>[0-9A-Fa-f.:]{2,45})\](?:, port=\[(?P<port>\d+)\])?"
FIELD = rb"(?:, [a-z]+=[^,\[\]]*)*"  # any more fields, which nobody asks for
# The counters of IMAP and POP3, in the order in which either of them, old or new, logs them.
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
            b"imaplogin-ssl",
            b"pop3login-ssl",
            b"courier-imapd",
            b"courier-imapd-ssl",
            b"courier-pop3d",
            b"courier-pop3d-ssl",
            b"courier-imaplogin",
            b"courier-pop3login",
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
        # The client chose the method as well: it may hold anything.
        ("login failed", LEVEL + rb"LOGIN FAILED, method=(?P<method>.*), " + IP + FIELD),
        ("login failed", LEVEL + rb"LOGIN FAILED, " + IP + FIELD),
        ("logout", LEVEL + rb"LOGOUT, " + USER + rb", " + IP + COUNTS),
        ("disconnected", LEVEL + rb"DISCONNECTED, " + USER + rb", " + IP + COUNTS),
        ("timeout", LEVEL + rb"TIMEOUT, " + USER + rb", " + IP + COUNTS),
        # No user in the line: nobody logged in on this connection, whatever the event is called.
        ("disconnected", LEVEL + rb"(?:Disconnected|DISCONNECTED), " + IP + COUNTS),
        ("timeout", LEVEL + rb"TIMEOUT, " + IP + COUNTS),
        # Logged if DEBUG_LOGIN is set, with passwords: nothing of it becomes a key.
        ("debug", rb"LOGIN: DEBUG: (?P<reason>.*)"),
    ),
    passes=passes(
        # Addresses stand in brackets: a pass for all families finds them. The second alternative
        # takes the rest of a line for nothing, so that no line is searched twice.
        ("user domain", rb"user=(?:([^\n]*), ip=\[|[^\n]*)"),
    ),
    usual=rb"[a-z ]+, (?:user=(?P<user>[^,<\[\n]*), )?"
    rb"ip=\[(?:::ffff:(?=[\d.]*\.[\d.]*\]))?(?P<ip>[0-9a-f.:]+)\](?:, port=\[\d+\])?[^<\[\n:]*",
)
