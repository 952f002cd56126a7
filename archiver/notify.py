"""Tell people and monitoring how a job went: by mail, ping and webhook.

    a job fails         mail and webhook, at once; again each `remind` while it goes on failing
    it is well again    mail and webhook, once
    a run begins/ends   ping: START, then its exit status; who hears nothing for a day alarms

Telling may fail like anything else; then it is a warning, and the job's own end stays as it was.
What was told stands in a small file in the state directory; lost or damaged, it counts as empty,
and a failure is told once more.
"""

import json

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from archiver import __version__
from archiver.config import Config
from archiver.durable import write_whole
from archiver.errors import ArchiverError, NotToldError
from archiver.notices import Notify, demand_url
from archiver.secretref import REFERENCE, remedy, resolved
from archiver.zone import rfc3339

FILE = "told.json"
FAILURE, RECOVERY, TEST = "failure", "recovery", "test"
# A body of more than this is nobody's reading. Characters.
LONGEST = 100_000


@dataclass(frozen=True)
class Event:
    """What is to be told. job: night, expire or scrub. since: when it began to fail."""

    kind: str
    host: str
    job: str
    now: int
    exit_status: int = 0
    since: int | None = None
    failures: tuple[ArchiverError, ...] = ()

    @property
    def subject(self) -> str:
        how = {FAILURE: "FAILED", RECOVERY: "well again", TEST: "a test"}[self.kind]
        first = f": {self.failures[0].message}" if self.failures else ""
        # In one line and no longer than people read: RFC 5322, 2.1.1 forbids more than 998.
        return " ".join(f"archiver on {self.host}: {self.job} {how}{first}".split())[:200]

    @property
    def text(self) -> str:
        """The body of a mail."""
        lines = [f"host:         {self.host}", f"job:          {self.job}"]
        lines += [f"time:         {rfc3339(self.now)}", f"exit status:  {self.exit_status}"]
        if self.since is not None:
            lines.append(f"failing since {rfc3339(self.since)}")
        for failure in self.failures:
            lines += ["", failure.message, f"  try: {failure.hint}"]
        if self.kind == FAILURE:
            lines += ["", "Nothing was lost: what could not be done stays where it is, and the next"]
            lines += ["run goes on from there. `archiver status` tells how things stand."]
        if self.kind == TEST:
            lines += ["", "This is a test: nothing is wrong."]
        return "\n".join(lines)[:LONGEST] + "\n"

    @property
    def document(self) -> dict[str, Any]:
        """What a webhook gets. Keys are only ever added."""
        return {
            "schema": 1,
            "event": self.kind,
            "text": self.subject,
            "host": self.host,
            "job": self.job,
            "time": rfc3339(self.now),
            "exit_code": self.exit_status,
            "failing_since": rfc3339(self.since) if self.since is not None else None,
            "failures": [
                {"code": each.code, "message": each.message, "hint": each.hint}
                for each in self.failures
            ],
        }


@dataclass(frozen=True)
class Told:
    """What was told of a job that fails. since: when it began; at: when that was told last."""

    since: int
    at: int
    codes: tuple[str, ...] = ()


def ended(
    config: Config, job: str, now: int, exit_status: int, failures: Sequence[ArchiverError]
) -> list[ArchiverError]:
    """Tell how a job ended, if that is news; return what went wrong in telling.

    failures: none if it is well, whatever its warnings were.
    """
    told = load(config.host.state_dir)
    before = told.get(job)
    codes = tuple(sorted({each.code for each in failures}))
    if failures:
        since = before.since if before and before.since <= now else now
        lately = before and 0 <= now - before.at < config.notify.remind
        if before and lately and before.codes == codes:
            return []
        event = Event(FAILURE, config.host.name, job, now, exit_status, since, tuple(failures))
        told[job] = Told(since, now, codes)
    elif before:
        event = Event(RECOVERY, config.host.name, job, now, exit_status, before.since)
        del told[job]
    else:
        return []
    problems = tell(config.notify, event)
    try:
        save(config.host.state_dir, told)
    except OSError as error:
        problems.append(
            NotToldError(
                f"what was told could not be noted in {config.host.state_dir / FILE}: "
                f"{error.strerror}",
                hint="it is told again after the next run; is the disk full?",
            )
        )
    return problems


def tell(settings: Notify, event: Event) -> list[ArchiverError]:
    """Tell it in every way that is configured; return what went wrong."""
    return [problem for _, problem in tried(settings, event) if problem]


def tried(settings: Notify, event: Event) -> list[tuple[str, ArchiverError | None]]:
    """Tell it; return each way, and what went wrong with it."""
    ways: dict[str, Callable[[], None]] = {}
    if settings.mail_to:
        ways["mail"] = lambda: mail(settings, event)
    if settings.webhook_url:
        ways["webhook"] = lambda: post(settings, event.document)
    return [(way, _attempted(way, act)) for way, act in ways.items()]


def ping(settings: Notify, what: str) -> list[ArchiverError]:
    """Ask for `ping_url/WHAT`: start, or an exit status. Return what went wrong."""
    if not settings.ping_url:
        return []

    def act() -> None:
        address = _address(settings.ping_url)
        path, mark, query = address.partition("?")
        _asked(f"{path.rstrip('/')}/{what}{mark}{query}", settings.timeout)

    problem = _attempted("ping", act)
    return [problem] if problem else []


def mail(settings: Notify, event: Event) -> None:
    """Hand a mail to the local sendmail. Raises: ValueError, OSError: why it could not be."""
    # Imported here, as urllib below: they take a tenth of a second, and most verbs tell nobody.
    from email.message import EmailMessage  # noqa: PLC0415
    from email.policy import SMTP  # noqa: PLC0415
    from email.utils import format_datetime, make_msgid  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    message = EmailMessage(policy=SMTP.clone(linesep="\n"))
    message["To"] = ", ".join(settings.mail_to)
    if settings.mail_from:
        message["From"] = settings.mail_from
    # A message may quote what strangers logged: what is no text becomes a question mark.
    message["Subject"] = _plain(event.subject)
    message["Date"] = format_datetime(datetime.fromtimestamp(event.now, UTC))
    message["Message-ID"] = make_msgid(domain=event.host)
    # RFC 3834: vacation programs leave it alone.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(map(_plain, event.text.split("\n"))), cte="quoted-printable")
    words = [str(settings.sendmail), "-t", "-oi"]
    if settings.mail_from:
        words += ["-f", settings.mail_from]
    ended = subprocess.run(
        words,
        input=message.as_bytes(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=settings.timeout,
        check=False,
    )
    if ended.returncode:
        said = _plain(ended.stderr.decode("utf-8", "replace").strip()[:500])
        raise ValueError(f"{settings.sendmail} ended with {ended.returncode}: {said or 'no word'}")


def post(settings: Notify, document: Mapping[str, Any]) -> None:
    """POST a document to the webhook. Raises: ValueError, OSError: why it could not be."""
    body = json.dumps(document).encode()
    _asked(_address(settings.webhook_url), settings.timeout, body)


def _address(text: str) -> str:
    if not REFERENCE.fullmatch(text):
        return text
    try:
        return demand_url(resolved(text))
    except ValueError as why:
        raise ValueError(f"its address is to be found at {text!r}, but {why}") from None


def _asked(address: str, timeout: float, body: bytes | None = None) -> None:
    """Ask; what it answers does not matter, if it is a success.

    Redirects are not followed: who is told what is in the configuration, and nowhere else.
    """
    from urllib import request  # noqa: PLC0415
    from urllib.error import HTTPError  # noqa: PLC0415

    class Nowhere(request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Leave the answer as it is: an error, of status 3xx."""

    headers = {"User-Agent": f"archiver/{__version__}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        with request.build_opener(Nowhere).open(
            request.Request(address, body, headers), timeout=timeout
        ) as answer:
            answer.read(1)
    except HTTPError as error:
        error.close()
        raise ValueError(f"it answered {error.code}") from None


def _attempted(way: str, act: Callable[[], None]) -> ArchiverError | None:
    """Return what went wrong. The address is no part of that: who knows it can use it."""
    from http.client import HTTPException  # noqa: PLC0415

    hint = "`archiver notify test` tries it; see [notify] in the configuration"
    try:
        act()
    except subprocess.TimeoutExpired as error:
        return NotToldError(f"{way}: {error.cmd[0]} took longer than {error.timeout:g} s", hint=hint)
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        if isinstance(error, FileNotFoundError) and error.filename:
            why = f"no such file: {error.filename}"
        if reference := REFERENCE.fullmatch(why):
            hint = remedy(reference[0])
        return NotToldError(f"{way}: not delivered: {why}", hint=hint)
    return None


def _plain(text: str) -> str:
    """Without what no header or terminal should get."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text)


# -- what was told -----------------------------------------------------------------------------


def load(state_dir: Path) -> dict[str, Told]:
    try:
        found = json.loads((state_dir / FILE).read_bytes())
        told = {job: Told(**each) for job, each in found.items()}
        told = {job: replace(each, codes=tuple(each.codes)) for job, each in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    sound = all(type(each.since) is type(each.at) is int for each in told.values())
    return told if sound else {}


def save(state_dir: Path, told: Mapping[str, Told]) -> None:
    document = {job: asdict(each) for job, each in told.items()}
    write_whole(state_dir / FILE, (json.dumps(document, indent=1) + "\n").encode())


