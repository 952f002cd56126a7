"""Take a line apart: who wrote it, when (its stamp), and what it says.

Pure. The headers in mail logs:

    RFC 3164       Aug 16 15:53:25 server qmail[12]: text      [12] is optional
    syslogd -v     Aug 16 15:53:25 <2.6> server imapd: text                  (FreeBSD)
    syslogd -vv    Aug 16 15:53:25 <mail.info> server imapd: text            (FreeBSD)
    busybox, AIX   Aug 16 15:53:25 server mail.info imapd: text              or mail:info
    Solaris        Aug 16 15:53:25 server sendmail[12]: [ID 801593 mail.info] text
    rsyslog        2026-11-23T08:46:46.123456+01:00 server postfix/qmgr[1]: text
    RFC 5424       <22>1 2026-11-23T08:46:46Z server imapd 12 - - text
    multilog       @400000004120bc1f1ee2e234 text              no host, no program
    Exim           2026-11-23 08:46:46 [12] text               its own main log
    Dovecot        Nov 23 08:46:46 imap-login: Info: text      its own log_path
    journalctl     Nov 23 08:46:46.123456 server qmail[12]: text             -o short-precise
                   Mon 2026-11-23 08:46:46 CET server qmail[12]: text        -o short-full
                   1795419606.123456 server qmail[12]: text                  -o short-unix
    containers     2026-11-23T08:46:46.1Z Nov 23 08:46:46 server qmail[12]: text   docker logs -t
                   2026-11-23T08:46:46.1Z stdout F Nov 23 … text             CRI
                   mail-1  | Nov 23 08:46:46 server qmail[12]: text          docker compose logs
    lost month     16 15:53:25 server splogger: text           seen in the wild

and, inside the text, splogger's own stamp: `1092664405.519292 text`, or with `+` instead of
the blank where it continues a line that was too long for syslog.
"""

import re
from dataclasses import dataclass

PRIORITY = rb"(?:<\d{1,3}>)?"
BSD_STAMP = rb"(?:[A-Z][a-z][a-z] )?[ \d]?\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
ISO_STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[+-]\d\d:?\d\d|Z)?"
# systemd's short-full and short-unix. The zone's name says nothing that can be relied on.
DAY_STAMP = (
    rb"(?:[A-Z][a-z][a-z] )\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})? [A-Z][A-Z0-9+-]{1,5}"
)
UNIX_STAMP = rb"\d{9,10}\.\d{6}"
SPACED_STAMP = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
STAMP = b"|".join([BSD_STAMP, ISO_STAMP, DAY_STAMP, UNIX_STAMP])
LEVELS = rb"(?:emerg|alert|crit|err|error|warn|warning|notice|info|debug|panic)"
FACILITY = rb"[a-z]+\d?[.:]" + LEVELS + rb" "
# After a process id, the text may follow at once, or after several blanks.
TAG = (
    rb"(?P<program>[^\s:\[\]]+)(?:\[(?P<pid>\d+)\]: *|:(?: +|$))"
    rb"(?:\[ID \d+ [a-z]+\d?\." + LEVELS + rb"\] )?"
)
SYSLOG = re.compile(
    PRIORITY
    + rb"(?P<stamp>"
    + STAMP
    + rb") (?:<[a-z0-9]+\.[a-z0-9]+> )?(?P<host>[^\s:]\S*) (?:(?:"
    + FACILITY
    + rb")?"
    + TAG
    + rb")?"
)
# With a blank in its stamp, a line is Exim's own, unless host and program with its process follow.
SPACED = re.compile(
    rb"(?P<stamp>" + SPACED_STAMP + rb") (?P<host>[^\s:\[\]<>()]+|[0-9A-Fa-f]*:[0-9A-Fa-f.:]+) "
    rb"(?P<program>[^\s:\[\]]+)\[(?P<pid>\d+)\]: *"
)
DOVECOT = re.compile(
    rb"(?P<stamp>" + BSD_STAMP + rb"|" + SPACED_STAMP + rb") "
    rb"(?P<process>[a-z][\w-]*(?:\([^\s()]*\))?(?:<[^\s<>]*>)*): "
    rb"(?:Info: |(?=(?:Debug|Warning|Error|Fatal|Panic): ))"
)
# What those who collect the output of containers put before each line.
COLLECTED = re.compile(
    rb"(?:[\w.-]+ +\| )?(?:" + ISO_STAMP + rb" (?:std(?:out|err) [FP] )?)?"
    rb"(?=" + BSD_STAMP + rb" |" + ISO_STAMP + rb" |" + SPACED_STAMP + rb" )"
)
RFC5424 = re.compile(
    rb"<\d{1,3}>1 (?P<stamp>"
    + ISO_STAMP
    + rb") (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) \S+ (?:-|\[[^\n]*?\])(?: |$)"
    + rb"(?:\xef\xbb\xbf)? ?"
)
MULTILOG = re.compile(rb"(?P<stamp>@[0-9a-f]{24}) ")
EXIM = re.compile(
    rb"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})?(?: [+-]\d{4})?) (?:\[(?P<pid>\d+)\] )?"
)
SPLOGGER = re.compile(rb"(?P<stamp>\d{9,10}\.\d{6})(?P<kind>[ +])")
# Longer lines are archived and searched as text, but not taken apart.
LONGEST = 2**14


@dataclass(frozen=True, slots=True)
class SyslogRecord:
    """A line's header and its text. A part that the line does not have is empty.

    stamp: as written. logged: splogger's own stamp. continues: the text continues that of an
    earlier record with the same host, program and splogger stamp.
    """

    stamp: bytes
    host: bytes
    program: bytes
    pid: bytes
    text: bytes
    logged: bytes = b""
    continues: bool = False


def record(line: bytes) -> SyslogRecord | None:
    """Take one line apart, with or without its newline. None: no header that is known here, or
    longer than LONGEST bytes.
    """
    line = line.removesuffix(b"\n")
    if len(line) > LONGEST:
        return None
    if (collected := COLLECTED.match(line)) and collected.end():
        line = line[collected.end() :]
    if header := DOVECOT.match(line):
        text = header["process"] + b": " + line[header.end() :]
        return SyslogRecord(header["stamp"], b"", b"dovecot", b"", text)
    header = RFC5424.match(line) or SYSLOG.match(line) or SPACED.match(line)
    if header:
        program, pid = header["program"] or b"", header["pid"] or b""
        pid = b"" if pid == b"-" else pid
        return _with_splogger(header["stamp"], header["host"], program, pid, line[header.end() :])
    if header := MULTILOG.match(line):
        return SyslogRecord(header["stamp"], b"", b"", b"", line[header.end() :])
    if header := EXIM.match(line):
        text = line[header.end() :]
        return SyslogRecord(header["stamp"], b"", b"exim", header["pid"] or b"", text)
    return None


def _with_splogger(
    stamp: bytes, host: bytes, program: bytes, pid: bytes, text: bytes
) -> SyslogRecord:
    # splogger(8) never logs with a process id.
    own = None if pid or b"/" in program else SPLOGGER.match(text)
    if own is None:
        if program.startswith(b"exim") and (twice := EXIM.match(text)):
            text = text[twice.end() :]  # Exim's log_timestamp is on by default, for syslog too
        return SyslogRecord(stamp, host, program, pid, text)
    continues = own["kind"] == b"+"
    return SyslogRecord(stamp, host, program, pid, text[own.end() :], own["stamp"], continues)
