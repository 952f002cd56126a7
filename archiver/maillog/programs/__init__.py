"""Program families: who writes into a mail log, and what the lines say.

A family is a module with a `FAMILY`: the tags its programs log under, the patterns of its
events, and the passes that find the same keys in bulk. A family that fills most of a log also has
one pattern for its usual lines. To add one, write such a module and name it below.

Everything here is tables of patterns: no disk, no clock, no network.
"""

from archiver.maillog.facts import Family
from archiver.maillog.programs import (
    amavis,
    courier,
    dovecot,
    exim,
    milters,
    opensmtpd,
    policy_services,
    postfix,
    qmail,
    sendmail,
    spam,
    tcpserver,
    vpopmail,
)

FAMILIES: tuple[Family, ...] = tuple(
    module.FAMILY
    for module in (
        amavis,
        courier,
        dovecot,
        exim,
        milters,
        opensmtpd,
        policy_services,
        postfix,
        qmail,
        sendmail,
        spam,
        tcpserver,
        vpopmail,
    )
)
# Programs that write to standard output and are logged by splogger or multilog, under any tag.
SPLOGGED: tuple[Family, ...] = (tcpserver.FAMILY, qmail.FAMILY)

_BY_TAG = {tag: (family,) for family in FAMILIES for tag in family.tags}


def family_of(program: bytes) -> tuple[Family, ...]:
    """Return the family that logs under a tag such as `imapd` or `postfix/smtpd`, or () if no
    family is known by it.
    """
    tag = program.lower().partition(b"/")[0]
    if tag.startswith(b"postfix"):  # also its other instances, such as postfix-out/smtp
        return (postfix.FAMILY,)
    return _BY_TAG.get(tag, ())
