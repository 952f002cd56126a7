"""Find what is odd about where mail is logged, and what to do about it. Pure."""

import os
from collections.abc import Iterable, Iterator
from os.path import normpath
from typing import NamedTuple

from archiver.setup.syslogconf.reading import SyslogConfig
from archiver.setup.syslogconf.routes import MailFile, logs
from archiver.setup.syslogconf.selectors import INFO, spelt


class Doubt(NamedTuple):
    """sentence: what was found. remedy: what to do."""

    sentence: str
    remedy: str


def doubts(reading: SyslogConfig, paths: Iterable[str | os.PathLike[str]]) -> list[Doubt]:
    """Return what is doubtful, the worst first; none if all is well.

    paths: the absolute paths of the logs that are archived; none if that is not known yet.
    """
    archived = [normpath(os.fspath(path)) for path in paths]
    if not reading.daemon:
        return [_nothing(reading), *_unread(reading)]
    every = logs(reading.routes)
    informed = [log for log in every if INFO in log.levels]
    return [
        *_unlogged(reading, every, informed),
        *_several(informed, archived),
        *(_not_archived(informed, archived) if archived else ()),
        *_no_mail(reading, every, archived),
        *_unread(reading),
    ]


def _nothing(reading: SyslogConfig) -> Doubt:
    return Doubt(
        f"nothing below {reading.root} that was understood says where syslogd writes mail",
        "find out where it goes, and set `path` and `reopen` by hand (journald alone writes no "
        "file: install rsyslog)",
    )


def _unlogged(
    reading: SyslogConfig, every: tuple[MailFile, ...], informed: list[MailFile]
) -> Iterator[Doubt]:
    if informed:
        return
    file = reading.files[0]
    most = max(every, key=lambda log: (len(log.levels), len(log.perhaps)), default=None)
    found = "no rule sends it to a file"
    if most and most.levels:
        found = f"{most.path} gets {spelt(most.levels)} only ({most.routes[0].where})"
    elif most:
        found = f"{most.path} gets only some of it, or perhaps none ({most.routes[0].where})"
    yield Doubt(
        f"mail.info is not logged by {reading.daemon}: {found}",
        f"add `mail.info\t/var/log/maillog` to {file}, create that log, and have syslogd read its "
        "configuration again: deliveries and logins are logged at level info",
    )


def _several(informed: list[MailFile], archived: list[str]) -> Iterator[Doubt]:
    if len(informed) < 2:
        return
    names = " and ".join(f"{log.path} ({log.routes[0].where})" for log in informed)
    if all(log.path in archived for log in informed):
        remedy = "archive only one of them: otherwise lines are kept, and found, more than once"
    else:
        remedy = (
            "one is enough to archive; but the same lines stay in the others, where no retention "
            "rule reaches them: add `mail.none` to the rules of those"
        )
    yield Doubt(f"mail.info is logged into several files: {names}", remedy)


def _not_archived(informed: list[MailFile], archived: list[str]) -> Iterator[Doubt]:
    if informed and not any(log.path in archived for log in informed):
        log = informed[0]
        yield Doubt(
            f"mail.info is logged into {log.path} ({log.routes[0].where}), which no [[source]] has "
            "as its path",
            f'add a [[source]] with path = "{log.path}", or correct the path of the present one',
        )


def _no_mail(
    reading: SyslogConfig, every: tuple[MailFile, ...], archived: list[str]
) -> Iterator[Doubt]:
    mailed = {log.path for log in every}
    for path in archived:
        other = next((route for route in reading.routes if route.path == path), None)
        # A log of something else may be archived besides, but not instead of the mail log.
        if path in mailed or (other and mailed.intersection(archived)):
            continue
        found = f"only other things ({other.where})" if other else "nothing"
        yield Doubt(
            f"{reading.daemon} writes {found} into {path}, which is configured as a log",
            "correct `path`; or if another program writes that file itself, let `reopen` tell "
            "that program, not syslogd",
        )


def _unread(reading: SyslogConfig) -> Iterator[Doubt]:
    for unread in reading.unread:
        rule = f" ({unread.where.text})" if unread.where.text else ""
        shown = (str(unread.where) + rule).encode("ascii", "backslashreplace").decode()
        yield Doubt(
            f"{shown} is not understood: {unread.reason}" if rule else f"{shown}: {unread.reason}",
            "see whether it sends mail anywhere, and whether `path` is right all the same",
        )
