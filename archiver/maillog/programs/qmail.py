"""qmail-send, as splogger or multilog records it.

A message is named by the number of its queue file, which is used again as soon as the file is
gone; `qp` is the process that queued it. qmail-send logs no Message-ID.
"""

from archiver.maillog.facts import Family, events, passes

RELAY = rb"(?:Connected_to_)?(?P<relay_ip>\d{1,3}(?:\.\d{1,3}){3})_"

FAMILY = Family(
    name="qmail",
    tags=frozenset({b"qmail", b"qmail-send"}),
    events=events(
        ("status", rb"status: local (?P<local>\d+/\d+) remote (?P<remote>\d+/\d+)(?: exitasap)?"),
        ("new", rb"new msg (?P<queue_id>\d+)"),
        (
            "queued",
            # The sender may hold anything, even "> qp 1 uid 0": only the last is qmail's own.
            rb"info msg (?P<queue_id>\d+): bytes (?P<size>\d+) from <(?P<sender>.*)>"
            rb" qp (?P<qp>\d+) uid (?P<uid>\d+)",
        ),
        (
            "delivery started",
            rb"starting delivery (?P<delivery>\d+): msg (?P<queue_id>\d+)"
            rb" to (?P<where>local|remote) (?P<recipient>.*)",
        ),
        (
            "delivery success",
            rb"delivery (?P<delivery>\d+): success: (?P<reason>did_\d+\+\d+\+\d+/"
            rb"(?:qp_(?P<new_qp>\d+)/)?)",
        ),
        (
            "delivery success",
            rb"delivery (?P<delivery>\d+): success: (?P<reason>(?:" + RELAY + rb")?.*)",
        ),
        (
            "delivery failure",
            rb"delivery (?P<delivery>\d+): failure: (?P<reason>(?:" + RELAY + rb")?.*)",
        ),
        (
            "delivery deferral",
            rb"delivery (?P<delivery>\d+): deferral: (?P<reason>(?:" + RELAY + rb")?.*)",
        ),
        ("delivery deferral", rb"delivery (?P<delivery>\d+): (?P<reason>report mangled.*)"),
        ("bounced", rb"bounce msg (?P<queue_id>\d+) qp (?P<new_qp>\d+)"),
        ("bounce discarded", rb"triple bounce: discarding bounce/(?P<queue_id>\d+)"),
        ("end", rb"end msg (?P<queue_id>\d+)"),
        ("exiting", rb"status: exiting"),
        ("warning", rb"warning: (?P<reason>.*)"),
        ("alert", rb"alert: (?P<reason>.*)"),
    ),
    passes=passes(
        ("queue_id", rb" msg (\d+)"),
        ("queue_id", rb"discarding bounce/(\d+)"),
        ("qp", rb" qp (\d+)"),
        ("qp", rb"qp_(\d+)/"),
        # Either alternative takes the whole line: a repeated "from <" is not tried again.
        ("address domain", rb" from <(?:(.*)> qp \d+ uid \d+$|.*)"),
        ("address domain", rb" to (?:local|remote) (.*)$"),
        ("ip", rb"delivery \d+: [a-z]+: (?:connected_to_)?(\d{1,3}(?:\.\d{1,3}){3})_"),
    ),
    usual=rb"status: local \d+/\d+ remote \d+/\d+"
    rb"|(?:starting delivery \d+: |new |info |bounce |end )msg (?P<queue_id>\d+)"
    rb"(?:: bytes \d+ from <(?P<bracketed>[^<>\[\n]*)>"
    rb"| to (?:local|remote) (?P<address>[^<\[\n]*))?"
    rb"(?: qp (?P<qp>\d+)(?: uid \d+)?)?"
    rb"|delivery \d+: (?:success|failure|deferral): "
    rb"(?:did_[\d+]+/(?:qp_(?P<qp>\d+)/)?|(?:connected_to_)?(?P<ip>\d{1,3}(?:\.\d{1,3}){3})_)?"
    rb"[^<\[\n]*(?:<(?P<bracketed>[^<>\[\s]*)>[^<\[\n]*)?",
)
