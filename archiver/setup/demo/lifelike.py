"""Make a lifelike mail log of any size, the same everywhere for the same seed.

Pure: no clock, no disk, no network. A session (a connection, a message in a queue, a login) is a
generator that yields its next line together with the microseconds until the one after it. The
sessions under way are in one heap, so their lines interleave as under load, and what sessions
share (delivery numbers, `status: local 3/10`, reused message numbers) fits the order of the lines.
"""

import datetime as dt
import itertools
import random
from base64 import b64encode
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush, heapreplace
from typing import TypeVar

T = TypeVar("T")
Session = Iterator[tuple[str, str, int]]  # tag, text, microseconds until this session's next line

SECOND = 1_000_000
MINUTE = 60 * SECOND
SPLOGGED = frozenset({"qmail", "splogger"})  # splogger puts its own stamp before their text
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# How much mail arrives in each hour of local time.
HOURLY = (9, 7, 6, 5, 6, 8, 14, 28, 62, 88, 92, 90, 74, 66, 80, 86, 82, 70, 50, 36, 28, 22, 17, 12)
SYLLABLES = "al ba co da em fi go hu in ka lo mi net or pra que ri sol tec ur ve web xi za"
NAMES = """mario luca anna giulia paolo marta franco elena sara john mary peter susan karl inge hans
    olga maria jose rossi russo ferrari bianchi ricci greco smith mueller dubois novak silva"""
MESSAGE_IDS = ("CA{token}{token}@{domain}", "{n}.{hex}.{second}@{domain}", "{hex}-{n}@{domain}")
REPLIES = (  # the first ones far more often, see `pick`
    ("sent", "250 2.0.0 OK  {second} {token}asi{n}ejc - gsmtp"),
    ("sent", "250 2.0.0 Ok: queued as {hex}"),
    ("sent", "250 2.6.0 <{hex}@{mx}> [InternalId={n}] Queued mail for delivery"),
    ("sent", "250 2.0.0 {token} Message accepted for delivery"),
    ("sent", "250 2.0.0 from MTA(smtp:[{mx}]:10025): 250 2.0.0 Ok: queued as {hex}"),
    ("sent", "250 2.1.5 <{to}> ok {second} qp {n}"),
    ("deferred", "451 4.7.1 <{to}>: Recipient address rejected: Greylisted, see http://{mx}/{n}"),
    ("deferred", "421 4.7.0 [{own}] Our system has detected an unusual rate of mail ({token})"),
    ("bounced", "550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual table"),
    ("bounced", "554 5.7.1 Service unavailable; Client host [{own}] blocked; see {mx}, ref {n}"),
)
QMAIL_WORD = {"sent": "success", "deferred": "deferral", "bounced": "failure"}


class _Server:
    """One mail server: its people and peers, its counters, the sessions under way."""

    def __init__(self, rng: random.Random, people: random.Random, host: str, limit: int) -> None:
        self.rng, self.roll, self.people = rng, rng.random, people
        self.name, self.own, self.limit, self.now = f"{host}.example.net", self.ip(), limit, 0
        self.under_way: list[tuple[int, int, Session]] = []
        self.order, self.deliveries = itertools.count(), itertools.count(1)
        self.pids, self.inodes = itertools.count(people.randrange(9000)), itertools.count(2_360_559)
        self.free: list[int] = []  # message numbers are inode numbers: the last one freed is next
        self.local = self.remote = self.connections = 0
        words, names, choices = SYLLABLES.split(), NAMES.split(), people.choices
        domains = ["".join(choices(words, k=n % 3 + 2)) + ".example" for n in range(3000)]
        self.peers = [(f"mx{n % 9}.{domain}", self.ip()) for n, domain in enumerate(domains)]
        boxes = [f"{'.'.join(choices(names, k=2))}{n % 83 or ''}" for n in range(17_000)]
        self.strangers = [f"{box}@{domains[n % 3000]}" for n, box in enumerate(boxes)]
        self.users = [(f"{box}@{domains[n % 59]}", self.ip()) for n, box in enumerate(boxes[:5000])]

    def ip(self) -> str:
        a, b, c, d = self.people.randbytes(4)
        return f"{a % 222 + 1}.{b}.{c}.{d}"

    def start(self, session: Session, after: int = 0) -> None:
        heappush(self.under_way, (self.now + after, next(self.order), session))

    def gap(self, typical: int) -> int:
        """Return microseconds: about `typical`, now and then many times that."""
        return int(typical * (0.2 + 0.5 * self.roll() / (1.02 - self.roll())))

    def number(self, below: int) -> int:
        return int(self.roll() * below)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of `choices`, the first ones far more often."""
        return choices[int(len(choices) * self.roll() ** 3)]

    def token(self, length: int) -> str:
        return b64encode(self.rng.randbytes(length), b"+_")[:length].decode()

    def fill(self, template: str, **fields: str) -> str:
        """Fill in `template`: the given fields, and numbers that no two messages share."""
        fields["hex"], fields["token"] = f"{self.rng.getrandbits(44):011X}", self.token(20)
        n = self.number(10**8)
        return template.format(n=n, second=self.now // SECOND, own=self.own, **fields)

    def reply(self, to: str, mx: str) -> tuple[str, str]:
        """Return what becomes of a message sent to another server, and that server's reply."""
        outcome, template = self.pick(REPLIES)
        return outcome, self.fill(template, to=to, mx=mx)

    def status(self) -> str:
        return f"status: local {self.local}/{self.limit // 2} remote {self.remote}/{self.limit}"

    def daemon(self, program: str) -> str:
        """Return a Postfix program's tag: a dozen pids at a time, others later in the day."""
        return f"postfix/{program}[{self.now // (17 * MINUTE) % 499 * 61 + self.number(12)}]"

    def queue_id(self) -> str:
        """Return a long queue id: seconds, microseconds in base 52, `z`, the inode in base 51."""
        seconds, micros = divmod(self.now, SECOND)
        return f"{_digits(seconds, 52)}{_digits(micros, 52):0>4}z{_digits(9**6 + micros, 51)}"


def _digits(number: int, base: int) -> str:
    letters = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
    return (_digits(number // base, base) if number >= base else "") + letters[number % base]


def _tcpserver(s: _Server) -> Session:
    """An SMTP connection to qmail-smtpd that brings a message, incoming or outgoing."""
    (mx, ip), pid, port, remote = s.pick(s.peers), next(s.pids), s.number(65_536), s.roll() < 0.3
    (user, _), stranger, many = s.pick(s.users), s.pick(s.strangers), s.pick((1, 1, 1, 2, 6))
    s.connections += 1
    yield "splogger", f"tcpserver: status: {s.connections}/{2 * s.limit}", s.gap(1500)
    yield "splogger", f"tcpserver: pid {pid} from {ip}", s.gap(90)
    sender, to = (user, [stranger]) if remote else (stranger, [user])
    to += [s.pick(s.strangers) if remote else s.pick(s.users)[0] for _ in range(many - 1)]
    s.start(_qmail(s, sender, to, next(s.pids), remote=remote), s.gap(40_000))
    yield "splogger", f"tcpserver: ok {pid} {s.name}:{s.own}:25 {mx}:{ip}::{port}", s.gap(90_000)
    yield "splogger", f"tcpserver: end {pid} status {s.pick((0, 0, 256))}", s.gap(70)
    s.connections -= 1
    yield "splogger", f"tcpserver: status: {s.connections}/{2 * s.limit}", 0


def _qmail(s: _Server, sender: str, to: list[str], qp: int, *, remote: bool = False) -> Session:
    """A message in qmail's queue, from `new msg` to `end msg`, and its bounce."""
    msg, failed = s.free.pop() if s.free else next(s.inodes), False
    yield "qmail", f"new msg {msg}", s.gap(70)
    uid, size = 1001 + bool(sender) + remote, 600 + s.gap(4000)
    yield "qmail", f"info msg {msg}: bytes {size} from <{sender}> qp {qp} uid {uid}", s.gap(4000)
    while to:
        deliveries = []
        for address in to:
            while (s.remote >= s.limit) if remote else (s.local >= s.limit // 2):
                yield "", "", SECOND
            number = next(s.deliveries)
            deliveries.append((number, address, *_qmail_result(s, sender, address, remote=remote)))
            where = f"remote {address}" if remote else f"local {address}"
            s.remote, s.local = s.remote + remote, s.local + (not remote)
            yield "qmail", f"starting delivery {number}: msg {msg} to {where}", s.gap(80)
            yield "qmail", s.status(), s.gap(900_000 if remote else 9_000)
        for number, _, outcome, text in deliveries:
            yield "qmail", f"delivery {number}: {QMAIL_WORD[outcome]}: {text}/", s.gap(150)
            s.remote, s.local = s.remote - remote, s.local - (not remote)
            yield "qmail", s.status(), s.gap(100)
        failed |= any(outcome == "bounced" for _, _, outcome, _ in deliveries)
        to = [address for _, address, outcome, _ in deliveries if outcome == "deferred"]
        yield "", "", 400 * SECOND if to else 0
    bounce = next(s.pids)
    if failed:
        yield "qmail", f"bounce msg {msg} qp {bounce}", s.gap(80)
    yield "qmail", f"end msg {msg}", s.gap(400)
    s.free.append(msg)
    if failed and sender:
        s.start(_qmail(s, "", [sender], bounce, remote=not remote))
    elif failed:  # a bounce that cannot be delivered either
        s.start(_qmail(s, "#@[]", [f"postmaster@{s.name}"], bounce))


def _qmail_result(s: _Server, sender: str, to: str, *, remote: bool) -> tuple[str, str]:
    """Return a delivery's outcome and text; a forwarded message starts a session of its own."""
    (mx, ip), chance = s.pick(s.peers), s.roll()
    if remote:
        outcome, reply = s.reply(to, mx)
        text = "accepted message." if outcome == "sent" else "does not like recipient."
        return outcome, f"{ip} {text}/Remote host said: {reply}".replace(" ", "_")
    if chance < 0.95 or sender == "#@[]":
        return "sent", "did_1+0+0"
    if chance < 0.97:
        return "bounced", "Sorry,_no_mailbox_here_by_that_name._(#5.1.1)"
    qp = next(s.pids)
    s.start(_qmail(s, sender, [s.pick(s.strangers)], qp, remote=True), s.gap(3000))
    return "sent", f"did_0+1+0/qp_{qp}"


def _postfix(s: _Server) -> Session:
    """An SMTP connection to Postfix: a stranger delivers mail, or one of our users submits some."""
    (mx, ip), smtpd, remote = s.pick(s.peers), s.daemon("smtpd"), s.roll() < 0.3
    (user, _), stranger = s.pick(s.users), s.pick(s.strangers)
    sender, to = (user, stranger) if remote else (f"news-{s.token(16)}-{stranger}", user)
    yield smtpd, f"connect from {mx}[{ip}]", s.gap(200_000)
    if s.roll() < 0.1:
        text = f"554 5.7.1 <{to}>: Relay access denied; from=<{sender}> to=<{to}> proto=ESMTP"
        yield smtpd, f"NOQUEUE: reject: RCPT from {mx}[{ip}]: {text} helo=<{mx}>", s.gap(80_000)
    else:
        queue_id, login = s.queue_id(), f", sasl_method=PLAIN, sasl_username={user}" * remote
        s.start(_postfix_queue(s, queue_id, sender, to, remote=remote), s.gap(20_000))
        yield smtpd, f"{queue_id}: client={mx}[{ip}]{login}", s.gap(90_000)
    yield smtpd, f"disconnect from {mx}[{ip}] ehlo=1 mail=1 rcpt=1 quit=1 commands=4", 0


def _postfix_queue(s: _Server, queue_id: str, sender: str, to: str, *, remote: bool) -> Session:
    """A message in Postfix's queue, from its message-id to `removed`, and its bounce."""
    qmgr, size, begin = "postfix/qmgr[1187]", 700 + s.gap(9000), s.now
    message_id = s.fill(s.pick(MESSAGE_IDS), domain=sender.partition("@")[2] or s.name)
    yield s.daemon("cleanup"), f"{queue_id}: message-id=<{message_id}>", s.gap(60_000)
    outcome = "deferred"
    while outcome == "deferred":
        text = f"{queue_id}: from=<{sender}>, size={size}, nrcpt=1 (queue active)"
        yield qmgr, text, s.gap(600_000 if remote else 20_000)
        if remote:
            mx, ip = s.pick(s.peers)
            agent, relay, (outcome, reply) = "smtp", f"{mx}[{ip}]:25", s.reply(to, mx)
        else:
            lmtp, session = 2000 + s.number(60), s.token(22)
            text = f"lmtp({to})<{lmtp}><{session}>: msgid=<{message_id}>: saved mail to INBOX"
            yield "dovecot", text, s.gap(400)
            agent, relay, outcome = "lmtp", f"{s.name}[private/dovecot-lmtp]", "sent"
            reply = f"250 2.0.0 <{to}> {session} Saved"
        spent = (s.now - begin) / SECOND
        delays = f"{spent:.2f}, delays=0.02/{spent / 9:.2f}/0.01/{spent * 0.8:.2f}"
        text = f"to=<{to}>, relay={relay}, delay={delays}, dsn={reply[4:9]}, status={outcome}"
        yield s.daemon(agent), f"{queue_id}: {text} ({reply})", s.gap(900)
        yield "", "", 300 * SECOND if outcome == "deferred" else 0
    if outcome == "bounced" and sender:
        notice = s.queue_id()
        s.start(_postfix_queue(s, notice, "", sender, remote=not remote))
        yield s.daemon("bounce"), f"{queue_id}: sender non-delivery notification: {notice}", 500
    yield qmgr, f"{queue_id}: removed", 0


def _courier(s: _Server) -> Session:
    """Somebody reads mail through Courier's imapd or pop3d, perhaps after wrong passwords."""
    (user, ip), tag, length = s.pick(s.users), s.pick(("imapd", "pop3d")), s.gap(20 * SECOND)
    mine = f"user={user}, ip=[::ffff:{ip}], port=[{1024 + s.number(64_000)}]"
    yield tag, f"Connection, {mine[mine.index('ip=') :]}", s.gap(60_000)
    for _ in range(s.pick((0, 0, 0, 0, 0, 0, 0, 0, 1, 9))):
        yield tag, f"LOGIN FAILED, {mine}", s.gap(20)
    yield tag, f"LOGIN, {mine}{', protocol=IMAP' if tag == 'imapd' else ''}", length
    read = f"headers={s.gap(900)}, body={s.gap(9000)}, rcvd={s.gap(300)}, sent={s.gap(12_000)}"
    yield tag, f"{s.pick(('LOGOUT', 'DISCONNECTED'))}, {mine}, {read}, time={length // SECOND}", 0


def _dovecot(s: _Server) -> Session:
    """A user reads mail through Dovecot."""
    (user, ip), program = s.pick(s.users), s.pick(("imap", "imap", "pop3"))
    pid, session = next(s.pids), s.token(16)
    text = f"user=<{user}>, method=PLAIN, rip={ip}, lip={s.own}, mpid={pid}, TLS"
    yield "dovecot", f"{program}-login: Login: {text}, session=<{session}>", s.gap(60 * SECOND)
    text = f"Logged out in={s.gap(500)} out={s.gap(6000)} deleted={s.number(3)} expunged=0"
    yield "dovecot", f"{program}({user})<{pid}><{session}>: Disconnected: {text}", 0


def _clients(s: _Server, begin: int, end: int, zone: dt.tzinfo, messages: int) -> Session:
    """Start the day's sessions, more by day than by night; this one itself writes nothing."""
    minutes = [dt.datetime.fromtimestamp(t // SECOND, zone) for t in range(begin, end, MINUTE)]
    load = list(itertools.accumulate(HOURLY[minute.hour] for minute in minutes))
    for before, past in itertools.pairwise([0, *load]):
        for _ in range(messages * past // load[-1] - messages * before // load[-1]):
            s.start(s.pick((_tcpserver, _postfix, _postfix))(s), s.number(MINUTE))
            s.start(s.pick((_courier, _dovecot))(s), s.number(MINUTE))
        yield "", "", MINUTE


def _syslogd(s: _Server, end: int, zone: dt.tzinfo, host: str) -> Iterator[bytes]:
    """Yield all sessions' lines in one order; repeats of a line are counted, not written."""
    second, head, before, repeats = -1, "", ("nothing yet", ""), 0
    while s.under_way[0][0] < end:
        s.now, _, session = s.under_way[0]
        tag, text, gap = next(session, ("", "", -1))
        if gap < 0:
            heappop(s.under_way)
        else:
            heapreplace(s.under_way, (s.now + gap, next(s.order), session))
        if (tag, text) == before:
            repeats += 1
        elif tag:
            if repeats:
                yield f"{head}last message repeated {repeats} times\n".encode()
            before, repeats = (tag, text), 0
            if s.now // SECOND != second:
                second = s.now // SECOND
                wall = dt.datetime.fromtimestamp(second, zone)
                head = f"{MONTHS[wall.month - 1]} {wall.day:2} {wall:%H:%M:%S} {host} "
            stamp = f"{second}.{s.now % SECOND:06} " if tag in SPLOGGED else ""
            yield f"{head}{tag}: {stamp}{text}\n".encode()


def day(
    date: dt.date, zone: dt.tzinfo, *, seed: int, messages: int, host: str = "mx1"
) -> Iterator[bytes]:
    """Yield the lines that `host` logs on one local day, in order, each with its newline.

    messages: how many arrive; each makes about 1.6 kB of log, logins included. With the same
    `seed`, the same people appear every day, and do something else each day. The headers show the
    wall clock of `zone`, splogger's stamps show true seconds. What a session would log after
    midnight is left out.
    """
    midnights = (dt.datetime.combine(date + dt.timedelta(n), dt.time(), zone) for n in range(2))
    begin, end = (int(midnight.timestamp()) * SECOND for midnight in midnights)
    rng, people = random.Random(f"{seed} {host} {date} {messages}"), random.Random(f"{seed} {host}")
    server = _Server(rng, people, host, 20 + messages // 5000)
    server.now = begin
    server.start(_clients(server, begin, end, zone, messages))
    return _syslogd(server, end, zone, host)
