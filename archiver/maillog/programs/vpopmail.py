"""vchkpw, vpopmail's password checker, for POP3, SMTP AUTH and whatever runs under tcpserver.

It logs one line for each login, `NAME: what USER:IP`, without a session: find its connection by
address and time. NAME says which service: vchkpw-pop3, vchkpw-smtp, or vchkpw-2525 for another
port.

A stranger typed the user, and the password that some configurations log. The text ends with the
address, so it is read from its end. A colon in a user looks like one in an IPv6 address: such a
line is not understood. Passwords never become fields.
"""

from archiver.maillog.facts import Family, events, passes

NAME = rb"(?:(?P<service>vchkpw(?:-[a-z0-9]+)?): )?"
IPV4 = rb"(?:::[Ff]{4}:)?\d{1,3}(?:\.\d{1,3}){3}"
USER_AT_IPV4 = rb" (?P<user>.*?):(?P<ip>" + IPV4 + rb")"
USER_AT_IPV6 = rb" (?P<user>[^:]*):(?P<ip>[0-9A-Fa-f:]{2,39})"
REASON = (
    rb"(?P<reason>(?:system )?password fail(?! \(pass: ')"
    rb"|vpopmail user not found"
    rb"|system user (?:shadow entry )?not found"
    rb"|null (?:password|user name) given"
    rb"|invalid user/domain characters"
    rb"|(?:pop|smtp|imap|webmail) access denied)"
)
# The password may hold `') ` itself: the user after the last one has no blanks.
PASSWORD = rb"(?P<reason>(?:system )?password fail) \(pass: '.*'\)(?! \S*\s)"
SUCCESS = rb"(?:\((?P<method>[A-Z0-9-]+)\) |system password )?login success"

# For the passes: a user up to the address at the end of the line; else the rest of the line is
# taken for nothing, so that no line is searched twice.
ADDRESS = rb"(?:(?:::ffff:)?\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]{2,39}+)"
USER = rb"(?:([^\n]*?):" + ADDRESS + rb"$|[^\n]*)"

FAMILY = Family(
    name="vpopmail",
    tags=frozenset(
        {
            b"vpopmail",
            b"vchkpw",
            b"vchkpw-imap",
            b"vchkpw-imaps",
            b"vchkpw-pop3",
            b"vchkpw-pop3s",
            b"vchkpw-smtp",
            b"vchkpw-smtps",
            b"vchkpw-submission",
            b"vchkpw-webmail",
        }
    ),
    events=events(
        ("login", NAME + SUCCESS + USER_AT_IPV4),
        ("login", NAME + SUCCESS + USER_AT_IPV6),
        ("login failed", NAME + REASON + USER_AT_IPV4),
        ("login failed", NAME + REASON + USER_AT_IPV6),
        ("login failed", NAME + PASSWORD + USER_AT_IPV4),
        ("login failed", NAME + PASSWORD + USER_AT_IPV6),
    ),
    passes=passes(
        ("user domain", rb"login success " + USER),
        ("user domain", rb"password fail (?:\(pass: '[^\n]*'\) (?=\S*$))?" + USER),
        ("user domain", rb"not found " + USER),
        ("user domain", rb"given " + USER),
        ("user domain", rb"/domain characters " + USER),
        ("user domain", rb"access denied " + USER),
        ("ip", rb":(\d+\.\d+\.\d+\.\d+)$"),
        ("ip", rb":([0-9a-f:]{2,39}+)$"),
    ),
)
