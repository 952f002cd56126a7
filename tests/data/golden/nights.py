"""The golden host's life: four weeks, which are its past, and two more nights."""

import bz2
import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.data.golden.host import HERE, STORES, Host, rows
from tests.data.golden.logged import (
    FIRST,
    LAST,
    days,
    digits,
    early,
    instant,
    logins,
    mail,
    older,
)

# After the past, and after the future.
ASKED, ASKED_AGAIN = "2026-10-29 12:00", "2026-10-31 12:00"


def past(host: Host) -> None:
    """Four weeks, from an empty directory on; the last night stops when all is sealed."""
    os.umask(0o022)
    host.configure("2026-10-03 08:00", "P5D", "P7D")
    for log in ("maillog", "authlog"):
        Path(log).touch(0o640)
    for name in ("usr/sbin", "etc"):
        os.makedirs(f"root/{name}")
    Path("root/usr/sbin/logrotate").touch(0o755)
    Path("root/etc/logrotate.conf").write_text(f"{HERE}/authlog {{\n daily\n}}\n", encoding="utf-8")
    for day in days(FIRST, LAST):
        host.write("maillog", mail(day))
        host.write("authlog", logins(day))
        during(host, day)
        midnight(host, day)


def during(host: Host, day: date) -> None:
    """What people do on a day."""
    noon, hold = f"{day} 12:00", ("hold", "add")
    if day == date(2026, 10, 6):
        host.do(noon, "store", "probe")
    if day in {date(2026, 10, 4), date(2026, 10, 6)}:
        if day.day == 6:
            os.rename("authlog.1", "authlog.2")
        os.utime("authlog", (instant(f"{day} 23:50"),) * 2)
        os.rename("authlog", "authlog.1")
        Path("authlog").touch(0o640)
    if day == date(2026, 10, 8):
        os.unlink("root/etc/logrotate.conf")
    if day == date(2026, 10, 12):
        Path("older.bz2").write_bytes(bz2.compress(older()))
        os.utime("older.bz2", (instant("2026-09-29 00:00"),) * 2)
        host.do(noon, "import", f"{HERE}/older.bz2", "--source", "maillog")
        why = ("--reason", "theft of a mailbox; letter of 10 October")
        scope = ("--from", "2026-10-07", "--to", "2026-10-08", "--source", "maillog")
        host.do(noon, *hold, "2026-117", *scope, *why)
        scope = ("--from", "2026-10-06", "--to", "2026-10-09", "--source", "authlog")
        host.do(noon, *hold, "2026-118", *scope, *why)
    if day == date(2026, 10, 16):
        host.configure(noon, "P4D", "P5D")
    if day == date(2026, 10, 18):
        host.do(noon, "hold", "release", "2026-118", "--reason", "case closed")
    if day == date(2026, 10, 20):
        host.do(noon, "repair")
        host.do(noon, "sync")
    if day == date(2026, 10, 27):
        words = ("--date", "2026-10-21", "--source", "maillog", "--yes")
        host.do(noon, "retention", "expire", *words)


def midnight(host: Host, day: date) -> None:
    """The night after a day, or what happened instead."""
    after = day + timedelta(1)
    if day == date(2026, 10, 7):
        with host.away("second"):
            host.night(after, status=12)
    elif day == date(2026, 10, 13):
        # The machine was off at midnight: the log is cut there.
        host.write("maillog", early(after))
        host.night(after, "09:30")
    elif day == date(2026, 10, 16):
        # Whatever new rules would destroy is only told of.
        host.night(after, status=3)
    elif day == LAST:
        with host.away(*STORES):
            host.night(after, status=3)
        host.write("maillog", mail(after))
        host.write("authlog", logins(after))
    else:
        host.night(after)


def future(host: Host) -> None:
    """Two more nights: what was left is finished, and what was begun goes on."""
    os.umask(0o022)
    host.night(date(2026, 10, 30))
    noon = "2026-10-30 12:00"
    host.do(noon, "hold", "release", "2026-117", "--reason", "case closed")
    host.do(noon, "hold", "add", "2026-119", "--from", "2026-10-15", "--reason", "a new case")
    words = ("--date", "2026-10-08", "--source", "maillog", "--yes")
    host.do(noon, "retention", "expire", *words)
    host.write("maillog", mail(date(2026, 10, 30)))
    host.write("authlog", logins(date(2026, 10, 30)))
    host.night(date(2026, 10, 31))
    host.do(ASKED_AGAIN, "repair")


def questions() -> Iterator[tuple[str, ...]]:
    """Yield what can be asked without changing anything."""
    yield from (("status",), ("--json", "status"), ("status", "--nagios"), ("list",))
    yield from (("--json", "list"), ("--json", "config", "show"), ("--json", "hold", "list"))
    yield from (("--json", "hold", "list", "--all"), ("--json", "status", "--all-hosts"))
    yield ("--json", "retention", "show", "--date", "2026-09-01..2026-10-31")
    yield from (("--json", "retention", "list"), ("--json", "retention", "plan"))
    asked = "complete empty expiring overdue held governing policy-changes deletions below-minimum"
    for question in f"{asked} locks verified copies readable proof".split():
        yield ("--json", "retention", "ask", question, "--all")
    for day in (date(2026, 9, 28), *days(FIRST, date(2026, 10, 31))):
        yield ("fetch", "--date", str(day))
    for source in ("maillog", "authlog"):
        yield ("fetch", "--source", source, "--from", "2025-01-01")
    find = ("fetch", "--explain")
    for day in (date(2026, 9, 28), date(2026, 10, 4), date(2026, 10, 17), LAST):
        number = 1 if day.month == 9 else day.day
        domain = ("sender.example", "shop.example", "lists.example")[number % 3]
        yield (*find, "--message-id", f"{number}.{day:%Y%m%d}@{domain}")
    yield (*find, "--message-id", "21.20261021@sender.example")  # destroyed
    yield (*find, "--message-id", "no.such@sender.example")
    yield from ((*find, "--address", "b17@example.org"), (*find, "--ip", "192.0.2.18", "--count"))
    yield from ((*find, "--user", "Anna"), (*find, "--user", "B17"))
    yield from ((*find, "--user", "o'neil"), (*find, "--helo", "helo39.sender.example"))
    yield from ((*find, "--qp", "1273"), (*find, "--session", "1273"))
    yield (*find, "--domain", "lists.example", "--date", "2026-10-10", "--count")
    yield (*find, "--text", "no UTF-8")
    born = instant("2026-10-05 01:30")
    queue = f"{digits(born, 52)}{digits(5, 52):0>4}z{digits(9**6 + 5, 51)}"
    yield (*find, "--queue-id", queue)
    yield ("fetch", "--queue-id", queue, "--format", "ndjson")
    # A store alone, without a configuration, and without a catalog.
    alone = ("--store", f"{HERE}/second")
    yield from ((*alone, "list"), (*alone, "--json", "retention", "ask", "deletions"))
    yield (*alone, *find, "--message-id", "17.20261017@lists.example")


def asked(host: Host, at: str) -> list[dict[str, Any]]:
    return [host.archiver(at, *words) for words in questions()]


def rebuilt(host: Host, *more: str) -> dict[str, list[list[Any]]]:
    """Return the catalog's rows after the stores made it anew."""
    host.do(ASKED, "catalog", "rebuild", *more)
    return rows()
