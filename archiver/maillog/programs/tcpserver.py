"""tcpserver and what runs under it: rblsmtpd, and a wrapper around qmail-pop3d.

All write to one standard error, which splogger logs under any tag; each line begins with its
program's name. A connection is named by its process, field `session`. The number is used again
later, so `end` belongs to the last `pid` before it. tcpserver does not see what is said in it.

Names and ident answers come from the far end. tcpserver writes `?` for each blank, colon and
control character in them, so the colons are its own: an address, even an IPv6 one, lies between
the first colon and the last two. The user of qmail-pop3d may hold anything; the line's end is
certain.
"""

from archiver.maillog.facts import Family, events, passes

IPV4 = rb"(?:::[Ff]{4}:)?\d{1,3}(?:\.\d{1,3}){3}"
IP = rb"(?:" + IPV4 + rb"|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,40})"
TCPSERVER = rb"(?:tcpserver: )?"  # missing where syslog took the name for the tag
BOTH_ENDS = (
    rb"(?P<session>\d+) (?P<server>[^\s:]*):(?P<lip>" + IP + rb"):(?P<lport>\d+)"
    rb" (?P<client>[^\s:]*):(?P<ip>" + IP + rb"):(?P<ident>[^\s:]*):(?P<port>\d+)"
)
# The client's address in a line that names both ends, from the session's number on.
CLIENT = rb" \d+ \S* [^\s:]*:([0-9a-f.:]+):[^\s:]*:\d+$"

FAMILY = Family(
    name="tcpserver",
    tags=frozenset({b"tcpserver", b"rblsmtpd", b"qmail-pop3d"}),
    events=events(
        ("status", TCPSERVER + rb"status: (?P<status>\d+/\d+)"),
        ("connected", TCPSERVER + rb"pid (?P<session>\d+) from (?P<ip>" + IP + rb")"),
        ("accepted", TCPSERVER + rb"ok " + BOTH_ENDS),
        ("denied", TCPSERVER + rb"deny " + BOTH_ENDS),
        # The number is the status of wait(2): 256 means exit status 1.
        ("end", TCPSERVER + rb"end (?P<session>\d+) status (?P<status>\d+)"),
        ("warning", TCPSERVER + rb"warning: (?P<reason>.*)"),
        ("fatal", TCPSERVER + rb"fatal: (?P<reason>.*)"),
        (
            "blocked",
            # The reason is a list's TXT record; some patches name the list before it.
            rb"rblsmtpd: (?P<ip>" + IP + rb") pid (?P<session>\d+)(?: (?P<list>[^\s:]+))?:"
            rb" (?P<reason>.*)",
        ),
        (
            "login",
            # IPv4 only: in an IPv6 address, where the port begins would be a guess.
            rb"qmail-pop3d: user (?P<user>.*) logged in from (?P<ip>" + IPV4 + rb"):(?P<port>\d+)",
        ),
    ),
    passes=passes(
        ("session", rb"pid (\d+)"),
        ("session", rb"end (\d+) status "),
        ("session", rb"ok (\d+) "),
        ("session", rb"deny (\d+) "),
        ("ip", rb"from ((?:::ffff:)?\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]{2,45})(?::\d+)?$"),
        ("ip", rb"ok" + CLIENT),
        ("ip", rb"deny" + CLIENT),
        ("ip", rb"rblsmtpd: ([0-9a-f.:]+) pid "),
        # The second alternative takes the rest of a line for nothing: no line is searched twice.
        ("user domain", rb"pop3d: user (?:([^\n]*) logged in from |[^\n]*)"),
    ),
    usual=rb"tcpserver: (?:status: \d+/\d+|end (?P<session>\d+) status \d+"
    rb"|pid (?P<session>\d+) from (?P<ip>[0-9a-f.:]+)"
    rb"|ok (?P<session>\d+) [^\s:<\[]*:[0-9a-f.:]+:\d+ "
    rb"[^\s:<\[]*:(?P<ip>[0-9a-f.:]+):[^\s:<\[]*:\d+)",
)
