"""What the golden host logged: pure, and the same for ever."""

import hashlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

ROME = ZoneInfo("Europe/Rome")
FIRST, LAST = date(2026, 10, 3), date(2026, 10, 28)
# A message on its way through five programs, with the seconds at which they log.
MESSAGE = (
    (0, "postfix/smtpd[{pid}]: connect from mail.{domain}[192.0.2.{n}]"),
    (0, "postfix/smtpd[{pid}]: {queue}: client=mail.{domain}[192.0.2.{n}]"),
    (1, "postfix/cleanup[{pid}]: {queue}: message-id=<{n}.{day}@{domain}>"),
    (1, "postfix/qmgr[812]: {queue}: from=<{user}@{domain}>, size=24{n}, nrcpt=1 (queue active)"),
    (
        2,
        "postfix/lmtp[{pid}]: {queue}: to=<b{n}@example.org>, relay=127.0.0.1[127.0.0.1]:24, "
        "delay=0.12, delays=0.02/0.02/0.07/0.02, dsn=2.0.0, status=sent "
        "(250 2.0.0 <b{n}@example.org> {session} Saved)",
    ),
    (
        2,
        "dovecot: lmtp(b{n})<{pid}><{session}>: sieve: msgid=<{n}.{day}@{domain}>: "
        "stored mail into mailbox 'INBOX'",
    ),
    (2, "postfix/qmgr[812]: {queue}: removed"),
    (3, "splogger: {second}.519292 tcpserver: pid {pid} from 198.51.100.{n}"),
    (3, "splogger: {second}.606736 tcpserver: ok {pid} mx1:192.0.2.1:25 :198.51.100.{n}::3173"),
    (4, "qmail: {second}.146297 new msg {inode}"),
    (
        4,
        "qmail: {second}.150677 info msg {inode}: bytes 1360 from <{user}@{domain}> qp {pid} uid 0",
    ),
    (4, "qmail: {second}.161868 starting delivery {n}: msg {inode} to local b{n}@example.org"),
    (5, "qmail: {second}.192115 delivery {n}: success: did_1+0+0/"),
    (5, "qmail: {second}.200416 end msg {inode}"),
    (5, "splogger: {second}.894037 tcpserver: end {pid} status 256"),
    (
        6,
        "exim[{pid}]: {exim} <= {user}@{domain} H=mail.{domain} (helo{n}.{domain}) [192.0.2.{n}] "
        "P=esmtp S=246 id=x{n}.{day}@{domain}",
    ),
    (6, "exim[{pid}]: {exim} => b{n} <b{n}@example.org> R=local_user T=mail_spool"),
    (6, "exim[{pid}]: {exim} Completed"),
    (
        7,
        "dovecot: imap-login: Login: user=<b{n}>, method=PLAIN, rip=203.0.113.{n}, "
        "lip=192.0.2.1, mpid={pid}, secured, session=<{session}>",
    ),
)
LOGIN = (
    (0, "imapd: Connection, ip=[::ffff:203.0.113.{n}], port=[34768]"),
    (2, "imapd: LOGIN FAILED, user={user}, ip=[::ffff:203.0.113.{n}], port=[34768]"),
    (7, "imapd: Disconnected, ip=[::ffff:203.0.113.{n}], port=[34768], time=7"),
)
# What nobody should log: NUL, no UTF-8, carriage returns, no stamp, a line longer than a frame.
GARBAGE = (
    b"\0\0\0\0\0\0\0\0\n"
    b"\xff\xfe\x80 no UTF-8, no stamp\r\n"
    b"\n"
    b"Oct 32 25:61:00 mx1 no such time\n"
    b"Jan  1 00:00:03 mx1 a lost battery\n" + bytes(range(1, 256)) * 80 + b"\n"
)


def instant(wall: str) -> int:
    """Of a wall clock in Rome; of two equal ones, the first."""
    return int(datetime.fromisoformat(wall).replace(tzinfo=ROME).timestamp())


def lines(templates: tuple[tuple[int, str], ...], start: int, number: int) -> bytes:
    """What is logged of one message, or one login, from an instant on."""
    day = f"{datetime.fromtimestamp(start, ROME):%Y%m%d}"
    told = hashlib.sha256(f"{start} {number}".encode()).hexdigest()
    made = {
        "n": number,
        "day": day,
        "pid": 1000 + number * 7,
        "user": ("anna", "luca", "Marta.Rossi", "o'neil")[number % 4],
        "domain": ("sender.example", "shop.example", "lists.example")[number % 3],
        "queue": f"{digits(start, 52)}{digits(number, 52):0>4}z{digits(9**6 + number, 51)}",
        "exim": f"{digits(start, 62)}-{number:06d}-{number % 60:02d}",
        "session": told[:22],
        "inode": 139_800 + number,
    }
    text = b""
    for seconds, template in templates:
        at = start + seconds
        stamp = f"{datetime.fromtimestamp(at, ROME):%b %e %H:%M:%S}"
        text += f"{stamp} mx1 {template.format(second=at, **made)}\n".encode()
    return text


def digits(number: int, base: int) -> str:
    """A number as Postfix (base 51, 52) and Exim (62) write it."""
    letters = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
    if base == 62:
        letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return (digits(number // base, base) if number >= base else "") + letters[number % base]


def mail(day: date) -> bytes:
    """What maillog gets on a day: as a rule three messages."""
    morning = instant(f"{day} 01:30")
    if day == date(2026, 10, 9):
        return b""
    if day == date(2026, 10, 10):
        return b"".join(lines(MESSAGE, morning + 600 * n, n) for n in range(40))
    if day == date(2026, 10, 14):
        # What came before half past nine is logged by then: see `midnight`.
        return b"".join(lines(MESSAGE, morning + 30_600 + 9000 * n, n) for n in range(3))
    if day == date(2026, 10, 25):
        # The clocks are set back: an hour comes twice.
        return b"".join(lines(MESSAGE, morning + 1200 * n, n) for n in range(8))
    text = b"".join(lines(MESSAGE, morning + 25_000 * n, day.day + n) for n in range(3))
    if day == date(2026, 10, 11):
        return text[:3000] + GARBAGE + text[3000:].rstrip(b"\n")
    if day == date(2026, 10, 12):
        return b"\n" + text
    if day == date(2026, 10, 22):
        # The last message goes on after midnight, and comes along with the night's rotation.
        return text + lines(MESSAGE, instant(f"{day} 23:59:57"), 88)
    return text


def early(day: date) -> bytes:
    """What maillog gets in the morning after a night without a run."""
    return lines(MESSAGE, instant(f"{day} 08:00"), 99)


def logins(day: date) -> bytes:
    """What authlog gets: nothing every other day."""
    return lines(LOGIN, instant(f"{day} 11:00"), day.day) if day.day % 2 == 0 else b""


def older() -> bytes:
    """What another rotator has left of a day before all others."""
    return b"".join(lines(MESSAGE, instant(f"2026-09-28 10:{n}0"), n) for n in range(1, 4))


def days(first: date, last: date) -> Iterator[date]:
    """Yield each day, the last one included."""
    return (first + timedelta(ahead) for ahead in range((last - first).days + 1))
