r"""Amavis, the content filter: one line gives its verdict on a message, and both queue ids of it.

A message is named by the child process that checks it and a count: the `(pid-nn)` at the start of
the line is the session. `Queue-ID:` is the queue id under which the message came in, `queued_as:`
the one under which it went on. `mail_id` is Amavis's own.

Traps. The administrator may change the template; the parts known here must stand together and in
order. The sender chooses addresses, Message-IDs and names of attachments. So no value may hold
`<` or `>`, and `Hits` may stand only once after them: a forged rest of a line would have to swallow
the true one, and cannot. The second `[ip]` is from `Received:` headers: the sender may have
invented it. A long line is logged in pieces, with `...` where it was cut: the first one says what
stood before the cut, the others only whose they are.
"""

from archiver.maillog.facts import Family, events, passes

SESSION = rb"\((?P<session>\d+-\d+(?:-\d+)?)\) "
ADDRESS = rb"(?:IPv6:)?[0-9A-Fa-f.:]{2,45}"
MAILBOX = rb"(?:[^\s<>,@]*@[^\s<>,]*)"
VERDICT = (
    rb"(?P<verdict>Passed|Blocked) (?P<content>[A-Z][\w-]*)(?: \((?P<found>[^<>]*)\))?"
    rb"(?: \{(?P<actions>[\w,:-]*)\})?,(?: (?P<policy>[A-Z][\w./+:-]*))?(?: LOCAL)?"
    rb"(?: \[(?P<ip>" + ADDRESS + rb")\](?::\d+)?)?(?: \[(?P<traced_ip>" + ADDRESS + rb")\])?"
    # The verbose template names the protocols.
    rb"(?: (?P<protocols>[A-Z]+/[A-Z]+))?"
)
ENVELOPE = (
    rb" <(?P<sender>" + MAILBOX + rb"?)>"
    rb" -> (?P<recipients><" + MAILBOX + rb">(?:,<" + MAILBOX + rb">)*)"
    rb"(?:, \([A-Z]+://[^\s()<>]*\))?"
)
NAMES = (
    rb"(?:, quarantine: (?P<quarantine>[^\s<>,]+))?(?:, Queue-ID: (?P<queue_id>[\w-]+))?"
    rb"(?:, Message-ID: <?(?P<message_id>(?<=<)[^\s<>@]*@[^\s<>]*(?=>)|[^\s<>,]*)>?)?"
    rb"(?:, Resent-Message-ID: <?(?P<resent>[^\s<>]*)>?)?"
)
OWN = rb"(?:, mail_id: (?P<mail_id>[\w+-]+))?(?:, b: [\w+-]+)?"
OUTCOME = OWN + (
    rb", Hits: (?P<hits>[\d.+-]+), [Ss]ize: (?P<size>\d+)(?:, pt: \w+)?"
    rb"(?:, queued_as: (?:(?P<new_queue_id>[0-9A-Za-z]+)(?:/[0-9A-Za-z]+)*"
    rb"|[^,<>]*))?"
)
CUT = rb"(?P<rest>, (?!.*, Hits: ).*)\.\.\."
REST = rb"(?!.*, Hits: )(?P<rest>.*), (?P<milliseconds>\d+) ms(?:, Tests: \[[^\[\]<>]*\])?"

FAMILY = Family(
    name="amavis",
    tags=frozenset({b"amavis", b"amavisd", b"amavisd-new"}),
    events=events(
        ("checked", SESSION + VERDICT + ENVELOPE + NAMES + OUTCOME + REST),
        *(
            ("checked", SESSION + VERDICT + ENVELOPE + whole + CUT)
            for whole in (NAMES + OUTCOME, NAMES + OWN, NAMES, rb"")
        ),
        # Any other line: free text, of which only the session is certain.
        ("note", SESSION + rb"(?P<text>.*)"),
    ),
    passes=passes(
        ("session", rb"\((\d+-[\d-]+)\) "),
        ("queue_id", rb"queue-id: ([\w-]+)"),
        ("queue_id", rb"queued_as: ([0-9a-z]+)"),
        ("ip", rb"\[ipv6:([0-9a-f.:]+)\]"),
        ("message_id", rb"message-id: <?([^\s<>,]*)"),
    ),
)
