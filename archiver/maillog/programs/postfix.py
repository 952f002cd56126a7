r"""Postfix: all of its daemons, told apart by what they say.

A message is named by its queue id. Short ids are hexadecimal and used again; long ones hold their
time of birth and are not. `NOQUEUE` means that there is no message yet. Several Message-IDs may be
logged for one id, and `<>` for a message without one.

Traps. Strangers choose addresses, HELO names, SASL names, Message-IDs, header lines and the
replies of far servers; any of these may look like the rest of a line:
- Where free text comes before Postfix's own fields, only the FIRST place where those fields can
  begin counts, `(?>…)`, and no value in them may hold `<` or `>`: a forged field list would have to
  swallow the true one, and cannot.
- An id is taken out of a reply only if the reply consists of nothing but the sentence with the id.
  It is still only the far server's word.
- A text that is odd in this way gives a poorer event (queue id, IP), not a wrong one.
"""

from archiver.maillog.facts import Family, events, passes

ID = (
    rb"(?:[0-9A-F]{6,21}"
    rb"|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,11}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,12})"
)
QID = rb"(?P<queue_id>" + ID + rb"): "
QID_OR_NONE = rb"(?:NOQUEUE|(?P<queue_id>" + ID + rb")): "
ADDRESS = rb"(?:IPv6:)?[0-9A-Fa-f.:]{2,45}"
PORT = rb"(?::\d+)?"
# `host[ip]`, `unknown[unknown]`, `[ip]:port` of postscreen; a relay may be `host[private/lmtp]`.
CLIENT = rb"[^\s\[\]]*\[(?:(?P<ip>" + ADDRESS + rb")|[^\s\[\]]*)\]" + PORT
ORIGIN = rb"[^\s\[\]]*\[(?:(?P<orig_ip>" + ADDRESS + rb")|[^\s\[\]]*)\]" + PORT
FAR = rb"[^\s\[\]]*\[(?:(?P<relay_ip>" + ADDRESS + rb")|[^\s\[\]]*)\]" + PORT
# The text in <…>. It neither begins nor ends with a character that keys are stripped of.
INNER = rb"(?:[^\s<>](?:[^<>]*[^\s<>])?)?"
USER = rb"(?P<user>[^\s<>,](?:[^,]*[^\s<>,])?)"

# -- rejects and other verdicts: QID: reject: RCPT from host[ip]: reason; from=<> to=<> … --------

TO = rb"to=<(?P<recipient>" + INNER + rb")>,? "  # postscreen writes the commas, smtpd does not
PEER = rb"proto=(?P<proto>\w+)(?:,? helo=<(?P<helo>" + INNER + rb")>)?"
SENDER = rb"(?P<sender>" + INNER + rb")>,? "
# An SMTP content filter in front of the queue: its answer names the message it queued.
QUEUED = (
    rb"(?:250 2\.\d\.\d (?:Ok, id=[\w-]+, )?from MTA(?:\([^\s()]*\))?: )?"
    rb"250 (?:2\.\d\.\d )?(?i:ok): queued as "
)
WITH_RECIPIENT = (
    rb"(?P<stage>RCPT|DATA|BDAT|END-OF-MESSAGE) from " + CLIENT + rb": "
    rb"(?>(?P<reason>" + QUEUED + rb"(?P<new_queue_id>[\w-]+)|.*?); from=<)" + SENDER + TO + PEER
)
WITHOUT_RECIPIENT = (
    rb"(?P<stage>[A-Z-]+) from " + CLIENT + rb": "
    rb"(?>(?P<reason>.*?); (?=from=<|proto=))(?:from=<" + SENDER + rb")?" + PEER
)
ODD = rb"(?P<stage>[A-Z-]+) from " + CLIENT + rb": (?P<reason>.*)"
# header_checks and body_checks: up to 200 bytes of the message come first.
CONTENT = (
    rb"(?P<part>header|body|content) (?>(?P<content>.*?) from "
    + CLIENT
    + rb"; from=<)"
    + SENDER
    + TO
    + PEER
    + rb"(?:: (?P<reason>[^<>]*))?"
)
# What was submitted on the machine itself has no client, and no HELO.
LOCAL_CONTENT = (
    rb"(?P<part>header|body|content) (?>(?P<content>.*?) from local; from=<)"
    + SENDER
    + rb"to=<(?P<recipient>"
    + INNER
    + rb")>(?: "
    + PEER
    + rb")?(?:: (?P<reason>[^<>]*))?"
)
# What an SMTP proxy filter in front of the queue answered; also without the client.
PROXIED = (
    rb"(?:" + QID_OR_NONE + rb")?(?P<action>proxy-(?:accept|reject)): (?P<stage>[A-Z-]+)"
    rb": (?>(?P<reason>" + QUEUED + rb"(?P<new_queue_id>[\w-]+)|.*?); from=<)" + SENDER + TO + PEER
)
ODD_CONTENT = rb"(?P<part>header|body|content) (?P<content>.*)"
VERDICTS = tuple(
    (name, QID_OR_NONE + rb"(?P<action>" + action + rb"): " + rest)
    for name, action in (("rejected", rb"(?:[a-z]+-)*reject"), ("checked", rb"[a-z_-]+"))
    for rest in (WITH_RECIPIENT, WITHOUT_RECIPIENT, ODD, CONTENT, LOCAL_CONTENT, ODD_CONTENT)
)

# -- deliveries: QID: to=<>, relay=host[ip]:port, delay=, dsn=, status=sent (reply) --------------

DELIVERED = QID + (
    rb"to=<(?P<recipient>" + INNER + rb")>, (?:orig_to=<(?P<orig_to>" + INNER + rb")>, )?relay="
)
TIMES = (
    rb"(?:, conn_use=(?P<conn_use>\d+))?, delay=(?P<delay>[\d.]+)(?:, delays=(?P<delays>[\d./]+))?"
    rb"(?:, tls=(?P<tls>[^\s,]*))?(?:, dsn=(?P<dsn>[\d.]+))?, status=(?P<status>[\w-]+) "
)
RELAY = rb"(?P<relay>[^\s,\[\]]+|" + FAR + rb")" + TIMES
NOWHERE = rb"(?P<relay>none)" + TIMES
# `forwarded as` is local(8)'s own; then Exim, qmail, and Dovecot's LMTP with its session.
REPLY = (
    rb"(?:" + QUEUED + rb"|forwarded as |250 OK id=)(?P<new_queue_id>[\w-]+)"
    rb"|250 ok \d+ qp (?P<new_qp>\d+)"
    rb"|250 2\.0\.0 <[^<>]*> (?P<session>[^\s()<>]+) Saved"
)
# Older versions do not quote: a recipient that holds `>, relay=…` would end among these words.
WORDS = rb"(?!.*>, relay=).*"
# Stripped from a Message-ID's key. Possessive (`*+`): never tried again with fewer characters.
TRIMMED = rb"[ \t\r\v\f<>]*+"

FAMILY = Family(
    name="postfix",
    tags=frozenset({b"postfix"}),
    events=events(
        ("removed", QID + rb"removed"),
        ("canceled", QID + rb"canceled(?P<reason>[ :,;(].*)?"),
        (
            "message-id",
            QID
            + rb"(?P<header>(?:resent-)?message-id)="
            + TRIMMED
            + rb"(?P<message_id>.*[^\s<>])?"
            + TRIMMED,
        ),
        (
            "queued",
            # The sender may hold anything, even `>, size=1`: only the last is Postfix's own.
            QID + rb"from=<(?P<sender>(?:[^\s<>](?:.{0,318}[^\s<>])?)?)>, size=(?P<size>\d+)"
            rb", nrcpt=(?P<nrcpt>\d+) \(queue (?P<queue>\w+)\)",
        ),
        ("delivery", DELIVERED + RELAY + rb"\((?P<reason>" + REPLY + rb")\)"),
        (
            "delivery",  # to Sendmail and OpenSMTPD
            DELIVERED + RELAY + rb"\((?P<reason>250 2\.0\.0 (?P<new_queue_id>\w+)"
            rb" Message accepted for delivery)\)",
        ),
        (
            "delivery",
            DELIVERED + NOWHERE + rb"\((?P<reason>connect to " + FAR + rb": " + WORDS + rb")\)",
        ),
        ("delivery", DELIVERED + RELAY + rb"\((?P<reason>" + WORDS + rb")\)"),
        # syslogd cut the line off: what stood before is whole.
        ("delivery", DELIVERED + RELAY + rb"\((?P<reason>" + WORDS + rb")"),
        ("delivery", QID + rb"(?P<unclear>to=<.*)"),
        (
            "received",
            # sasl_sender is the client's word (MAIL FROM AUTH=): nothing after it is certain.
            QID_OR_NONE + rb"client=" + CLIENT + rb"(?:, sasl_method=(?P<sasl_method>[\w-]+))?"
            rb"(?:, sasl_username=" + USER + rb")?(?:, sasl_sender=(?P<sasl_sender>.*)"
            rb"|(?:, orig_queue_id=(?P<orig_queue_id>"
            + ID
            + rb"))?(?:, orig_client="
            + ORIGIN
            + rb")?)",
        ),
        ("received", QID_OR_NONE + rb"client=" + CLIENT + rb"(?P<rest>, .*)"),
        (
            "picked up",
            QID + rb"uid=(?P<uid>\d+) from=<(?P<sender>" + INNER + rb")>"
            rb"(?: orig_id=(?P<orig_queue_id>" + ID + rb"))?",
        ),
        (
            "expired",
            QID + rb"from=<" + SENDER + rb"status=(?P<status>[\w-]+), (?P<reason>[\w, -]+)",
        ),
        (
            "notification",
            QID + rb"(?P<reason>(?:sender|postmaster) [a-z -]*notification)"
            rb": (?P<new_queue_id>" + ID + rb")",
        ),
        (
            "passed on",
            QID + rb"passing <(?P<recipient>[^\s<>@]*@[^\s<>]*)> to transport=(?P<transport>\S+)",
        ),
        (
            "far server",
            QID
            + rb"(?P<what>host|lost connection with|conversation with) "
            + FAR
            + rb" (?P<reason>(?:said|refused|timed out|while).*)",
        ),
        ("connection failed", rb"connect to " + FAR + rb": (?P<reason>.*)"),
        ("connected", rb"(?:connect|CONNECT) from " + CLIENT + rb"(?: to \[[^\s\[\]]*\]:\d+)?"),
        ("disconnected", rb"disconnect from " + CLIENT + rb"(?P<commands>(?: [a-z_]+=[\d/]+)*)"),
        (
            "connection lost",
            rb"(?:" + QID_OR_NONE + rb")?(?P<reason>(?:lost connection|timeout|too many errors"
            rb"|improper command pipelining)) after (?P<stage>[A-Z-]+(?: \([^()]*\))?)"
            rb" from " + CLIENT + rb"(?:: (?P<text>.*))?",
        ),
        (
            "login failed",
            rb"warning: " + CLIENT + rb": SASL (?P<sasl_method>[\w-]+) authentication failed: "
            rb"(?>(?P<reason>.*?), sasl_username=)(?!\(unavailable\))" + USER,
        ),
        (
            "login failed",
            rb"warning: " + CLIENT + rb": SASL (?P<sasl_method>[\w-]+) authentication"
            rb" (?P<reason>(?:failed|aborted).*)",
        ),
        ("warning", rb"warning: " + CLIENT + rb": (?P<reason>.*)"),
        (
            "warning",
            rb"warning: (?P<reason>[A-Za-z][\w -]*(?:: \d+)?) from "
            + CLIENT
            + rb"(?P<rest>[ :].*)?",
        ),
        (
            "warning",
            rb"warning: (?P<reason>hostname \S+ does not resolve to address)"
            rb" (?P<ip>[0-9A-Fa-f.:]*[0-9A-Fa-f])(?P<rest>: .*)?",
        ),
        (
            "warning",
            rb"warning: (?P<ip>[0-9A-Fa-f.:]*[0-9A-Fa-f]): "
            rb"(?P<reason>(?:hostname|address not listed for hostname) .*)",
        ),
        ("proxied", PROXIED),
        *VERDICTS,
        (
            "tls",
            rb"(?P<trust>[A-Z][a-z]+) TLS connection (?:established|reused)"
            rb" (?:from " + CLIENT + rb"|to " + FAR + rb"): (?P<tls>.*)",
        ),
        (
            "tls failed",
            rb"SSL_(?:accept error from " + CLIENT + rb"|connect error to " + FAR + rb"): "
            rb"(?P<reason>.*)",
        ),
        ("postscreen", rb"DNSBL rank (?P<rank>\d+) for " + CLIENT),
        (
            "postscreen",  # PASS NEW [ip]:port, PREGREET 11 after 0.2 from [ip]:port: text, …
            rb"(?P<verdict>[A-Z][A-Z -]*[A-Z])(?: \d+)?(?: after [\d.]+)?(?: from)? (?=\[)"
            + CLIENT
            + rb"(?P<rest>[ :].*)?",
        ),
        (
            "listed",
            rb"addr (?P<ip>[0-9A-Fa-f.:]*[0-9A-Fa-f]) (?:listed|blocked) by domain (?P<list>\S+).*",
        ),
        (
            "statistics",
            rb"statistics: max (?P<reason>[a-z ]+ \d+(?:/\d+s)?) for"
            rb" \([\w.-]+:(?P<ip>[0-9A-Fa-f.:]+)\) at .*",
        ),
        ("service", rb"(?P<text>(?:daemon started|reload|terminating on signal) .*)"),
        ("service", rb"(?P<text>(?:starting|stopping|refreshing) the Postfix mail system)"),
        ("warning", rb"warning: " + QID + rb"(?P<reason>.*)"),
        ("warning", rb"(?:warning|error|fatal|panic): (?P<reason>.*)"),
        ("note", QID + rb"(?P<text>.*)"),
    ),
    passes=passes(
        ("queue_id", rb": ([0-9a-z]{6,})(?:: |$)"),
        ("queue_id", rb"- +([0-9a-z]{6,}): "),  # RFC 5424: no colon before the text
        ("queue_id", rb"ed as ([\w-]+)"),
        ("queue_id", rb"orig_(?:queue_)?id=([0-9a-z]+)"),
        # The replies of Exim, qmail, Dovecot, Sendmail and OpenSMTPD; it also finds "ok".
        (
            "queue_id qp session",
            rb"\(250 (?:2\.0\.0 )?(?:ok id=|ok \d+ qp |<[^<>\n]*> )?([^\s()<>]+)",
        ),
        ("message_id", rb"message-id=" + TRIMMED + rb"([^\n]*[^\s<>])"),
        ("address domain", rb"from=<([^\n]{0,320}(?=>, size=\d)|[^<>\n]*(?=>))"),
        ("address domain", rb"to=<([^<>\n]*)>"),
        ("helo", rb"helo=<([^<>\n]*)>"),
        ("user domain", rb"sasl_username=([^,\n]*)"),
        ("ip", rb"addr(?:ess)? ([0-9a-f.:]*[0-9a-f])"),
        ("ip queue_id", rb"warning: ([0-9a-z.:]*[0-9a-z]): "),
        ("ip", rb"for \([\w.-]+:([0-9a-f.:]+)\)"),
    ),
    usual=rb"(?:dis)?connect from [^\s<\[]*\[(?:ipv6:)?(?P<ip>[0-9a-f.:]+)\](?: [a-z][^<\[\n:]*)?"
    rb"|(?P<queue_id>[0-9a-z]{6,}): (?:removed"
    rb"|client=[^\s<\[]*\[(?:ipv6:)?(?P<ip>[0-9a-f.:]+)\]"
    rb"(?:, sasl_method=[\w-]+, sasl_username=(?P<user>[^\s<>\[,]+))?"
    rb"|message-id=<(?P<bracketed>[^\s<>\[]+)>"
    rb"|from=<(?P<bracketed>[^\s<>\[]*)>, size=\d+, nrcpt=\d+ \(queue \w+\)"
    rb"|to=<(?P<bracketed>[^\s<>\[]*)>, relay=[^\s<\[,]*"
    rb"(?:\[(?:(?:ipv6:)?(?P<ip>[0-9a-f.:]+)|[\w/-]+)\](?::\d+)?)?"
    rb", delay=[\d.]+, delays=[\d./]+, dsn=[\d.]+, status=[a-z]+ \((?:"
    rb"250 (?:2\.\d\.\d )?ok: queued as (?P<queue_id>[\w-]+)"
    rb"|250 2\.0\.0 <(?P<bracketed>[^\s<>\[]*)> (?P<session>[^\s()<>\[]+) saved"
    rb"|250 2\.0\.0 (?P<queue_id>\w+) message accepted for delivery"
    # Other replies, unless they hold an id.
    rb"|(?!250 |.*ed as )[^<\[\n]*(?:<(?P<bracketed>[^\s<>\[]*)>[^<\[\n]*)?)\))",
)
