"""Dovecot 2.2 to 2.4: logins, what becomes of a session, and what becomes of a message.

A session is named by the text between `<` and `>`: at the end of a login line and after the process
of a mail line (2.3), or before the message's id (LMTP of 2.2). Postfix logs LMTP's session in the
reply. A message is named by its Message-ID as its header has it: without brackets, with blanks,
cut off, or `unspecified`. Each thing that Sieve does with it is an event: `stored`, `forwarded`,
`discarded`; only the last means that nobody will see the message.

Strangers choose: the user of a login line, so that line is read from its end; the method; the
Message-ID; and the mailbox, where a `+detail` names it. Of the parts that `: ` separates, the last
one says what happened; where a name holds `: ` itself, only user and session are read. A user
in parentheses holds none of `(),<>`, as Dovecot's auth_username_chars has it unless changed: the
first `)` ends it. A password that auth logs may hold anything: it never ends a field.
"""

from collections.abc import Iterator

from archiver.maillog.facts import Family, events, passes

LEVEL = rb"(?:(?:Debug|Info|Warning|Error|Fatal): )?"  # in Dovecot's own log files
IP = rb"[0-9A-Fa-f.:]{2,45}"
SESSION = rb"(?!\d+>)(?P<session>[^\s<>@]+)"
USER = rb"(?P<user>[^(),<>]+)"

# -- login processes: what happened, then who it was

LOGIN = rb"(?:(?P<protocol>[a-z0-9]+)-login: )?" + LEVEL
# TLS may be followed by OpenSSL's own words. These hold commas, but never a second `, rip=`.
CLIENT = (
    rb": user=<(?P<user>.*)>(?:, method=(?P<method>[^,<>]*))?, rip=(?P<ip>" + IP + rb")"
    rb"(?:, lip=(?P<lip>" + IP + rb"))?(?:, mpid=(?P<mpid>\d+))?"
    rb"(?:, (?:secured|TLS(?:(?!, rip=)[^<>])*))?(?:, session=<" + SESSION + rb">)?"
)

# -- mail processes: who and which session, then what happened

PROCESS = (
    rb"(?:imap|pop3|lmtp|lda|dovecot-lda|deliver|managesieve|submission|indexer-worker|doveadm)?"
)
NEW = PROCESS + rb"\(" + USER + rb"\)<(?P<pid>\d+)>(?:<(?:" + SESSION + rb")?>)?: " + LEVEL
# A number alone is a process: `lmtp(3502): Connect from …`.
OLD = PROCESS + rb"\((?:(?P<pid>\d+), )?(?!\d+\))" + USER + rb"\): " + LEVEL
LMTP = rb"(?:lmtp)?\((?P<pid>\d+)\): " + LEVEL
PEER = rb"(?:local|(?P<ip>" + IP + rb"))"
OLD_SESSION = rb"(?:(?!sieve: )(?P<session>[\w+/]+(?::\w+)*): )?"

# -- what becomes of a message

PART = rb"(?:(?!: ).)*"  # one of the parts that `: ` separates
LAST = rb"(?:(?!: )[^\n])*$"  # the last part of a line, for the passes
ACTION = rb": (?:[A-Za-z]+ action: )?"
MSGID = rb"msgid=(?:unspecified|(?:\? )?(?P<message_id>.*?))" + ACTION
STORED = rb"stored mail into mailbox '"
SAVED = rb"saved mail to "
# A line that says so twice has one from a stranger: that it was stored is certain, no more.
ONCE = rb"(?!.*(?:" + STORED + rb"|" + SAVED + rb").*(?:" + STORED + rb"|" + SAVED + rb"))"
NEVER = rb"(?!.*(?:" + STORED + rb"|" + SAVED + rb"))"
ADDRESS = rb"[^\s<>]+@[^\s<>]+"
DELIVERIES = (
    (
        "discarded",
        rb"sieve: " + MSGID + rb"[Mm]arked message to be discarded if not explicitly delivered"
        rb" \(discard action\)",
    ),
    ("forwarded", rb"sieve: " + MSGID + rb"forwarded to <(?P<recipient>" + ADDRESS + rb")>"),
    (
        "forward skipped",  # already forwarded: the same message came twice
        rb"sieve: " + MSGID + rb"discarded duplicate forward to <(?P<recipient>" + ADDRESS + rb")>",
    ),
    (
        "rejected",
        rb"sieve: " + MSGID + rb"rejected message from <(?P<sender>" + ADDRESS + rb")>"
        rb"(?: \([a-z ]+\))?",
    ),
    (
        "answered",
        rb"sieve: " + MSGID + rb"sent vacation response to <(?P<recipient>" + ADDRESS + rb")>",
    ),
    (
        "stored",
        ONCE + rb"sieve: " + MSGID + STORED + rb"(?P<mailbox>" + PART + rb")'(?: \([^()]*\))?",
    ),
    ("stored", ONCE + MSGID + SAVED + rb"(?P<mailbox>" + PART + rb")"),
    ("stored", rb"sieve: msgid=.*" + ACTION + STORED + PART + rb"'(?: \([^()]*\))?"),
    ("stored", rb"msgid=.*" + ACTION + SAVED + PART),
    (
        "store failed",
        NEVER + rb"(?:sieve: )?" + MSGID + rb"(?:failed to store into mailbox '|save failed to )"
        rb"(?P<mailbox>(?:(?!'?: ).)*)'?: (?P<reason>" + PART + rb")",
    ),
)


# The mail_log plugin. A user names mailboxes: where `msgid=` stands twice, neither is believed.
MAIL_LOG = (
    rb"(?!.*msgid=.*msgid=)(?P<action>expunge|(?:un)?delete|copy|save|append|flag_change)"
    rb"(?: from [^:]*)?: (?P<what>.*?)msgid=<?(?P<message_id>[^<>,]*)>?(?P<rest>,.*)?"
)


def _deliveries() -> Iterator[tuple[str, bytes]]:
    for name, text in DELIVERIES:
        yield name, NEW + text
        yield name, OLD + OLD_SESSION + text


# -- auth: `passwd-file(user,ip,<session>): …`, since 2.4 `auth(user,ip,sasl:plain)<session>: …`

HEAD = rb"(?:auth(?:-worker)?(?:\(\d+\))?: )?" + LEVEL
WORKER = rb"(?:conn unix:\S+ \(pid=\d+,uid=\d+\): auth-worker<\d+>: )?"
# The session stands before the `)` or, since 2.4, after it and the process of a worker.
AUTH = (
    HEAD + WORKER + rb"[a-z0-9-]*\((?:\?|" + USER + rb"),(?P<ip>" + IP + rb")"
    rb"(?:,sasl:(?P<method>[^(),<>]*))?(?:,master)?"
    rb"(?:(?:,|\)(?:<\d+>)?)<"
    + SESSION
    + rb">)?(?:\)|(?<=>)): "
    + LEVEL
    + rb"(?:request \[\d+\]: )?"
)
# Another `)` that looks like a head's end is part of a user or a password.
REST = rb"(?:(?!\)[:<]).)*"
FAILURE = (
    rb"(?:[a-z0-9-]+: )?(?:[Uu]nknown user|[Pp]assword mismatch|[Ii]nvalid credentials"
    rb"|pam_authenticate\(\) failed: |[Uu]ser is disabled|[Pp]assword expired)"
)

FAMILY = Family(
    name="dovecot",
    tags=frozenset(
        b"dovecot imap-login pop3-login managesieve-login submission-login imap pop3 lmtp lda"
        b" dovecot-lda deliver managesieve submission auth auth-worker master".split()
    ),
    events=events(
        ("login", LOGIN + rb"(?:Login|Logged in)" + CLIENT),
        (
            "proxied",
            LOGIN
            + rb"(?P<reason>proxy\([^<>]*\): [Ss]tarted proxying(?: to <[^\s<>@]*>)?[^<>]*)"
            + CLIENT,
        ),
        ("login failed", LOGIN + rb"(?=[^<>]*auth failed)(?P<reason>[^<>]+)" + CLIENT),
        ("disconnected", LOGIN + rb"(?P<reason>[^<>]+)" + CLIENT),
        ("connected", LMTP + rb"Connect from " + PEER),
        ("disconnected", LMTP + rb"Disconnect from " + PEER + rb"(?:: (?P<reason>.*))?"),
        *_deliveries(),
        *(("mailbox", who + MAIL_LOG) for who in (NEW, OLD)),
        *(
            ("logout", who + rb"(?P<reason>(?:Disconnected|Connection closed|Logged out)\b.*)")
            for who in (NEW, OLD)
        ),
        ("login failed", AUTH + rb"(?P<reason>" + FAILURE + REST + rb")"),
        ("note", AUTH + rb"(?P<reason>" + REST + rb")"),
        ("note", NEW + rb"(?P<reason>.*)"),
        ("note", OLD + rb"(?P<reason>.*)"),
    ),
    passes=passes(
        # Sessions, and the users and Message-IDs that look like one.
        ("session message_id user", rb"<(?!\d+>)([^\s<>@]+)>"),
        ("session", rb"\): (?:[a-z]+: )?(?!sieve: )([\w+/]+(?::\w+)*): (?:sieve: )?msgid="),
        # `|[^\n]*` here and below takes the rest of a line for nothing: no line is searched twice.
        (
            "user domain",
            rb"user=<(?:([^\n]*)>(?:, method=[^\n,<>]*)?, rip=|[^\n]*)",
        ),
        (
            "user domain",
            rb"\((?:\d+, )?(?!\d+\): )([^(),<>\n]+)(?:\)<\d|\): |,[0-9a-f.:]{2,45}[,)])",
        ),
        ("ip", rb",(?: rip=)?([0-9a-f.:]{2,45})(?:[,)]|$)"),
        ("ip", rb"onnect from ([0-9a-f.:]{2,45}?)(?:: |$)"),
        ("message_id domain", rb"msgid=(?:\? )?(?:([^\n]*?)" + ACTION + LAST + rb"|[^\n]*)"),
        ("message_id domain", rb"msgid=<?([^<>,\n]*)>?(?:,|$)"),
        (
            "message_id domain",
            rb"msgid=(?:\? )?(?:([^\n]*?)"
            + ACTION
            + rb"(?:failed to store into mailbox|save failed to) "
            rb"(?:(?!: )[^\n])*: " + LAST + rb"|[^\n]*)",
        ),
    ),
    usual=rb"[a-z0-9]+-login: login: user=<(?P<bracketed>[^\s<>\[]*)>, method=[\w-]+"
    rb", rip=(?P<ip>[0-9a-f.:]+), lip=[0-9a-f.:]+, mpid=\d+(?:, secured|, tls)?"
    rb", session=<(?P<session>[^\s<>\[]+)>"
    rb"|[a-z0-9]+\((?P<user>[^(),<>\[\n]+)\)<\d+><(?P<session>[^\s<>\[]+)>: "
    rb"(?:disconnected: [^<\[\n]*|msgid=<(?P<bracketed>[^\s<>\[]*)>: saved mail to [^<\[\n:]*)",
)
