"""The spam filters rspamd and spamd (SpamAssassin's).

rspamd says everything about a message in one line: its Message-ID, the queue id that the mail
server gave it, and the verdict. spamd logs only the Message-ID, and the user it checked for.

Traps. A Message-ID may hold `>, qid: <…>, ip: …, (default: …`, and the options of an rspamd symbol
may hold words of the message, even `), len: …, digest: <…>, rcpts: <…>`. Which of them rspamd
wrote cannot be decided: a line with two of `(default:` is no verdict, and no recipients are read
from one with two digests. `undef` and `(unknown)` are not Message-IDs: as keys, they would join
unrelated messages. spamd writes `_` for a blank in a Message-ID, and `?` for a bracket.
"""

from archiver.maillog.facts import Family, events, passes

NAME = rb"[^\s<>]+"
ADDRESS = rb"[^\s<>,(){};@]*@[^\s<>,(){};]*"
IP = rb"(?P<ip>[0-9A-Fa-f.:]{2,45})"

# -- rspamd ---------------------------------------------------------------------------------

TASK = rb"(?:\(\w+\) )?<(?P<task>\w*)>; (?P<part>\w+); "
MESSAGE_ID = rb"<(?:undef|(?P<message_id>" + NAME + rb"))?>"
QUEUE_ID = rb"<(?:undef|(?P<queue_id>" + NAME + rb"))>"
VERDICT = (
    (rb"(?!.*\(default: .*\(default: )" + TASK + rb"rspamd_task_write_log: id: " + MESSAGE_ID)
    + (rb",(?: qid: " + QUEUE_ID + rb",)?(?: ip: (?:" + IP + rb"|unix[^\s,]*|undef),)?")
    + (rb"(?: user: (?P<user>[^\s,<>]+),)?(?: from: <(?P<sender>|" + ADDRESS + rb")>,)?")
    + (rb" \(default: (?P<spam>\w) \((?P<action>[\w ]+)\): \[(?P<score>[^\s\[\]/]+)/[^\s\[\]]+\]")
)
DIGEST = rb"(?!.*, digest: <.*, digest: <).*, digest: <\w+>,?"
RECIPIENTS = rb" rcpts: <(?P<recipients>" + ADDRESS + rb"(?:," + ADDRESS + rb")*)>"

# -- spamd ----------------------------------------------------------------------------------

UNKNOWN = rb"\(unknown\)"
MID = rb"(?:<(?P<message_id>" + NAME + rb")>|" + UNKNOWN + rb")"
USER = rb"(?:" + UNKNOWN + rb"|(?P<user>[^\s:,<>()]+))"
FOR = rb" for " + USER + rb":(?P<uid>\d+)"

FAMILY = Family(
    name="spam",
    tags=frozenset({b"rspamd", b"spamd", b"spamd-child"}),
    events=events(
        ("checked", VERDICT + DIGEST + RECIPIENTS + rb".*"),
        ("checked", VERDICT + rb".*"),
        (
            "loaded",
            (TASK + rb"rspamd_message_parse: loaded message; id: " + MESSAGE_ID)
            + (rb"; queue-id: " + QUEUE_ID + rb"; size: (?P<size>\d+); checksum: <\w+>"),
        ),
        ("note", TASK + rb"(?P<reason>.*)"),
        ("connected", rb"spamd: connection from (?P<host>\S+) \[" + IP + rb"\](?P<reason>[: ].*)"),
        (
            "checking",
            rb"spamd: (?:processing|checking) message " + MID + rb"(?: aka <[^<>]*>)?" + FOR,
        ),
        (
            "checked",
            (rb"spamd: (?P<verdict>identified spam|clean message) \((?P<score>[-\d.]+)/[-\d.]+\)")
            + (FOR + rb" in (?P<delay>[\d.]+) seconds, (?P<size>\d+) bytes\."),
        ),
        (
            "checked",
            (rb"spamd: result: (?P<verdict>[Y.]) +(?P<score>-?\d+) - (?P<tests>\S*) ")
            + (
                rb"scantime=[\d.]+,size=(?P<size>\d+),user="
                + USER
                + rb",uid=(?P<uid>\d+),required_score=[-\d.]+"
            )
            + (rb",rhost=(?P<host>[^\s,]*),raddr=" + IP + rb",rport=[^\s,]*,mid=" + MID)
            + rb"(?P<rest>,.*)?",
        ),
    ),
    passes=passes(
        ("message_id queue_id", rb"id: <([^\s<>]+)>"),
        ("message_id", rb",mid=<([^\s<>]+)>"),
        ("message_id", rb" message <([^\s<>]+)>"),
        ("ip", rb" ip: ([0-9a-f.:]+),"),
        ("ip", rb",raddr=([0-9a-f.:]+),"),
        ("user domain", rb" user: ([^\s,<>]+),"),
        ("user domain", rb",user=([^\s:,<>()]+),"),
        ("user domain", rb" for ([^\s:,<>()]+):\d"),
        # A single recipient is found by its brackets. These find the first of several, and the
        # others.
        ("address domain", rb"rcpts: <([^\s<>,]+),"),
        ("address domain", rb",([^\s<>,(){};@]*+@[^\s<>,(){};]*)"),
    ),
)
