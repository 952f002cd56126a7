r"""OpenDKIM, OpenDMARC and OpenARC: filters that a mail server asks while a message comes in.

They have no ids of their own: a line begins with the mail server's queue id (Postfix's or
Sendmail's). The sender chooses signatures, domains and the From: header. These become fields, but
only a value that stands alone in its place becomes a key.
"""

from archiver.maillog.facts import Family, events, passes

# Postfix: short or long. Sendmail: 14 characters. The filter's own words hold no digit.
QID = rb"(?P<queue_id>[0-9A-F]{6,21}|(?=[A-Za-z]*\d)[0-9A-Za-z]{6,24})"
ADDRESS = rb"(?:IPv6:)?[0-9A-Fa-f.:]{2,45}"
MAILBOX = rb"[^\s<>@]*@[^\s<>]*"
NAME = rb"[\w.-]+"  # of a domain or a host

FAMILY = Family(
    name="milters",
    tags=frozenset({b"opendkim", b"opendmarc", b"openarc"}),
    events=events(
        (
            "signed",
            QID + rb": (?P<header>[A-Za-z]+-[A-Za-z]+) (?:field|header) added"
            rb" \(s=(?P<selector>[\w.-]+), d=(?P<signer>" + NAME + rb")\)",
        ),
        (
            "signature",
            QID + rb": s=(?P<selector>\S*) d=(?P<signer>\S*)(?: a=(?P<algorithm>\S*))? SSL"
            rb"(?P<reason> .*)?",
        ),
        ("not internal", QID + rb": (?P<host>\S+) \[(?P<ip>" + ADDRESS + rb")\] not internal"),
        (
            "not signed",
            QID + rb": no signing table match for '(?P<sender>" + MAILBOX + rb")'",
        ),
        (
            "spf",
            QID
            + rb": SPF\(mailfrom\): (?:(?P<sender>"
            + MAILBOX
            + rb")|(?P<domain>"
            + NAME
            + rb")) (?P<result>[a-z]+)",
        ),
        ("spf", QID + rb": SPF\(helo\): (?P<helo>" + NAME + rb") (?P<result>[a-z]+)"),
        ("dmarc", QID + rb": (?P<domain>" + NAME + rb") (?P<result>pass|fail|none|[a-z]+error)"),
        ("note", QID + rb":? (?P<text>ignoring Authentication-Results .*)"),
        ("note", QID + rb": (?P<text>.*)"),
    ),
    passes=passes(
        ("queue_id", rb": ([0-9a-z]{6,24})(?:: | ignoring )"),
        ("queue_id", rb"- +([0-9a-z]{6,24})(?:: | ignoring )"),  # RFC 5424: no colon before it
        ("address domain", rb"match for '(\S+)'$"),
        ("address domain helo", rb"spf\((?:mailfrom|helo)\): (\S+)"),
    ),
)
