"""Notify people and monitoring of how a job went: by mail, ping and webhook.

    a job fails         mail and webhook, at once; again if it fails in another way, too, and every
                        `remind` while it keeps failing
    it succeeds again   mail and webhook, once
    a run begins/ends   ping: start, then its exit status; monitoring alarms if none comes for a day

A notification that fails is only a warning: the job's own exit status stays as it was. What was
sent is noted in a small file in the state directory; if that is lost or damaged, it counts as
empty, and a failure is sent once more.
"""

import fcntl
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archiver import __version__
from archiver.config.secret_refs import REFERENCE, remedy, resolved
from archiver.config.settings import Config
from archiver.config.telling import Notify, demand_url
from archiver.errors import ArchiverError, NotToldError
from archiver.policy.as_json import as_json, from_json
from archiver.system import programs, state_files
from archiver.system.files import make_directory
from archiver.system.zone import rfc3339

FILE = "told.json"
FAILURE, RECOVERY, TEST = "failure", "recovery", "test"
# Nobody reads a mail that is longer. Characters.
LONGEST = 100_000


@dataclass(frozen=True)
class Notice:
    """What is to be sent. job: a verb, such as run. now, since: instants; the latter is when the
    job began to fail.
    """

    kind: str
    host: str
    job: str
    now: int
    exit_status: int = 0
    since: int | None = None
    failures: tuple[ArchiverError, ...] = ()

    @property
    def subject(self) -> str:
        how = {FAILURE: "failed", RECOVERY: "succeeded again", TEST: "works"}[self.kind]
        first = f": {self.failures[0].message}" if self.failures else ""
        # A message may quote what strangers logged. One line, and no longer than people read:
        # RFC 5322, 2.1.1 forbids more than 998 characters.
        return _plain(" ".join(f"archiver on {self.host}: {self.job} {how}{first}".split()))[:200]

    @property
    def text(self) -> str:
        """The body of a mail."""
        lines = [f"host:         {self.host}", f"command:      archiver {self.job}"]
        lines += [f"time:         {rfc3339(self.now)}", f"exit status:  {self.exit_status}"]
        if self.since is not None:
            lines.append(f"failing since {rfc3339(self.since)}")
        for failure in self.failures:
            lines += ["", *failure.message.splitlines(), f"  try: {failure.hint}"]
        if self.kind == FAILURE:
            lines += [
                "",
                "What could not be archived is kept where it is, and the next run continues",
            ]
            lines += ["from there. `archiver status` shows what is waiting, and what is wrong."]
        if self.kind == TEST:
            lines += ["", "This is a test: nothing is wrong."]
        return "\n".join(map(_plain, lines))[:LONGEST] + "\n"

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document for the webhook. Keys are only ever added."""
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
class Notified:
    """What was sent about a failing job. since: when that began. at: when it was last sent; both
    instants. codes: of the failures that were sent.
    """

    since: int
    at: int
    codes: tuple[str, ...] = ()


def ended(
    config: Config, job: str, now: int, exit_status: int, failures: Sequence[ArchiverError]
) -> list[ArchiverError]:
    """Notify of how a job ended, if that is news; return what went wrong with that.

    now: an instant. failures: none if the job went well, whatever its warnings were.
    """
    settings = config.notify
    if not (settings.mail_to or settings.webhook_url):
        return []
    file = config.host.state_dir / FILE
    try:
        with _alone(config.host.state_dir):
            noted = load(config.host.state_dir)
            event = news(config, noted, job, now, exit_status, failures)
            if event is None:
                return []
            problems = tell(settings, event)
            # What reached nobody is not noted, so it is sent again after the next run.
            if len(problems) < len(ways(settings, event)):
                save(config.host.state_dir, noted)
            return problems
    except OSError as error:
        return [
            NotToldError(
                f"{file}, which notes what was sent, could not be used: {error.strerror}",
                hint="is the disk full? The next run sends the same again",
            )
        ]


def news(
    config: Config,
    noted: dict[str, "Notified"],
    job: str,
    now: int,
    exit_status: int,
    failures: Sequence[ArchiverError],
) -> Notice | None:
    """Return what to send about how a job ended, if it is news; change `noted` accordingly."""
    host = config.host.name
    if failures:
        before = noted.get(job, Notified(now, now))
        since = min(before.since, now)
        codes = {each.code for each in failures}
        if 0 <= now - before.at < config.notify.remind:
            if codes <= set(before.codes):
                return None
            # A job that fails now in one way, now in another, is not reported each time.
            codes.update(before.codes)
        noted[job] = Notified(since, now, tuple(sorted(codes)))
        return Notice(FAILURE, host, job, now, exit_status, since, tuple(failures))
    # When it went well for all sources, failures that were about some of them are over, too.
    over = [name for name in noted if name == job or name.startswith(f"{job} ")]
    if not over:
        return None
    since = min(noted.pop(name).since for name in over)
    return Notice(RECOVERY, host, job, now, exit_status, since)


def tell(settings: Notify, event: Notice) -> list[ArchiverError]:
    """Send it in every way that is configured; return what went wrong."""
    tried = (attempted(way, act, settings) for way, act in ways(settings, event).items())
    return [problem for problem in tried if problem]


def ways(settings: Notify, event: Notice) -> dict[str, Callable[[], None]]:
    """Return the ways that are configured, by name, each with a function that sends."""
    found: dict[str, Callable[[], None]] = {}
    if settings.mail_to:
        found["mail"] = lambda: mail(settings, event)
    if settings.webhook_url:
        found["webhook"] = lambda: post(settings, event.document)
    return found


def ping(settings: Notify, what: str) -> list[ArchiverError]:
    """Request `ping_url/WHAT`: start, or an exit status. Return what went wrong."""
    if not settings.ping_url:
        return []
    problem = attempted("ping", lambda: ask(settings, what), settings)
    return [problem] if problem else []


def ask(settings: Notify, what: str) -> None:
    """Request `ping_url/WHAT`. Raises: ValueError, OSError: why that failed."""
    path, mark, query = _address(settings.ping_url).partition("?")
    _request(f"{path.rstrip('/')}/{what}{mark}{query}", settings.timeout)


def mail(settings: Notify, event: Notice) -> None:
    """Hand a mail to the local sendmail. Raises: ValueError, OSError: why that failed."""
    # Imported here, as urllib below: they take a tenth of a second, and most verbs send nothing.
    from datetime import UTC, datetime  # noqa: PLC0415
    from email.message import EmailMessage  # noqa: PLC0415
    from email.utils import format_datetime, make_msgid  # noqa: PLC0415

    message = EmailMessage()
    message["To"] = ", ".join(settings.mail_to)
    if settings.mail_from:
        message["From"] = settings.mail_from
    message["Subject"] = event.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(event.now, UTC))
    message["Message-ID"] = make_msgid(domain=event.host)
    # RFC 3834: vacation programs leave it alone.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(event.text, cte="quoted-printable")
    words = [str(settings.sendmail), "-t", "-oi"]
    if settings.mail_from:
        words += ["-f", settings.mail_from]
    with tempfile.TemporaryFile() as output:
        given = message.as_bytes()
        status = programs.run_program(words, settings.timeout, given=given, says=output)
        output.seek(0)
        text = _plain(" ".join(output.read(500).decode("utf-8", "replace").split()))
    if status:
        raise ValueError(f"{settings.sendmail} ended with {status}: {text or 'it printed nothing'}")


def post(settings: Notify, document: Mapping[str, Any]) -> None:
    """POST a document to the webhook. Raises: ValueError, OSError: why that failed."""
    body = json.dumps(document).encode()
    _request(_address(settings.webhook_url), settings.timeout, body)


def _address(text: str) -> str:
    if not REFERENCE.fullmatch(text):
        return text
    try:
        return demand_url(resolved(text))
    except ValueError as why:
        raise ValueError(f"its address should be at {text!r}, but {why}; {remedy(text)}") from None


def _request(address: str, timeout: float, body: bytes | None = None) -> None:
    """GET an address, or POST a body to it; any answer that is a success will do.

    Redirects are not followed: only the addresses in the configuration get to know anything.
    """
    from urllib import request  # noqa: PLC0415
    from urllib.error import HTTPError  # noqa: PLC0415

    class Nowhere(request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Follow none: the answer stays an error, of status 3xx."""

    headers = {"User-Agent": f"archiver/{__version__}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    asking = request.Request(address, body, headers)  # noqa: S310 (`demand_url` has checked it)
    try:
        with request.build_opener(Nowhere).open(asking, timeout=timeout) as answer:
            answer.read(1)
    except HTTPError as error:
        error.close()
        raise ValueError(f"the server answered {error.code}") from None


def attempted(way: str, act: Callable[[], None], settings: Notify) -> ArchiverError | None:
    """Send; return what went wrong, without the address: whoever knows that can misuse it."""
    failures: list[Exception] = []

    def acting() -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 (a thread has nobody to raise it to)
            failures.append(error)

    # In a thread that can be abandoned: to look up a name, or to wait for an answer that comes byte
    # by byte, takes as long as others like. One second more, so that the request's own timeout,
    # which gives a better reason, comes first.
    thread = threading.Thread(target=acting, daemon=True)
    thread.start()
    thread.join(settings.timeout + 1)
    hint = "check [notify] in the configuration; `archiver notify test` sends a test"
    if thread.is_alive() or any(isinstance(each, TimeoutError) for each in failures):
        return NotToldError(f"{way}: no answer within {settings.timeout:g} s", hint=hint)
    if not failures:
        return None
    return NotToldError(f"{way}: not delivered: {_why(failures[0])}", hint=hint)


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, FileNotFoundError) and reason.filename:
        return f"there is no {reason.filename}"
    return _plain(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)


def _plain(text: str) -> str:
    """Replace characters that are not printable: no header or terminal should get those."""
    return "".join(c if c.isprintable() else "?" for c in text)


# -- what was sent -----------------------------------------------------------------------------


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Hold the lock. Whoever holds it now lets go soon: each way of sending has its timeout."""
    make_directory(state_dir)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(state_dir / f"{FILE}.lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load(state_dir: Path) -> dict[str, Notified]:
    """Return what was sent about jobs that fail, by job; nothing if that cannot be read."""
    return state_files.load(state_dir / FILE, _read) or {}


def _read(document: Any) -> dict[str, Notified]:  # noqa: ANN401 (JSON, not checked yet)
    return {job: from_json(Notified, sent) for job, sent in document.items()}


def save(state_dir: Path, noted: Mapping[str, Notified]) -> None:
    state_files.save(state_dir / FILE, {job: as_json(sent) for job, sent in noted.items()})
