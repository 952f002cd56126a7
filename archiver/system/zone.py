"""Dates, instants and the host's zone.

Pure, except `zone_named`, which reads the system's zone files.
An instant is an int: whole seconds since 1970-01-01T00:00:00Z. No finer time is needed for logs.
"""

import os
import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY = timedelta(days=1)
DAY_SECONDS = 86_400


def zone_named(name: str) -> ZoneInfo:
    """Return the zone of an IANA name, or the machine's own for "system".

    Raises: ValueError: there is no such zone, or the machine's own has no name
    that could stand in a manifest.
    """
    wanted = _system_zone() if name == "system" else name
    # These mean something on this machine only, or count leap seconds; a manifest outlives both.
    if re.match(r"(localtime|posixrules)$|(right|posix)/", wanted):
        raise ValueError(f"{wanted!r} is not an IANA time zone name such as Europe/Rome")
    try:
        return ZoneInfo(wanted)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"no time zone named {wanted!r}") from error


def _system_zone() -> str:
    """Return the zone name behind /etc/localtime: where that is a link, its target holds the name
    (localtime(5)); else FreeBSD writes it to /var/db/zoneinfo, Debian to /etc/timezone.
    """
    link = os.path.realpath("/etc/localtime")
    if (at := link.find("/zoneinfo/")) >= 0:
        return re.sub(r"^(posix|right)/", "", link[at + len("/zoneinfo/") :])
    for path in ("/var/db/zoneinfo", "/etc/timezone"):
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                return file.read().strip()
    if not os.path.exists("/etc/localtime"):
        return "UTC"
    raise ValueError(
        "the name of this machine's time zone is not known: set one, such as Europe/Rome"
    )


def day_start(day: date, zone: ZoneInfo) -> int:
    """Return the instant at which `day` begins in `zone`.

    Where a clock change skips midnight, the day begins with the change; where it
    repeats midnight, with the first one (PEP 495, fold=0).
    """
    return int(datetime.combine(day, time.min, tzinfo=zone).timestamp())


def day_end(day: date, zone: ZoneInfo) -> int:
    """Return the first instant after `day` in `zone`."""
    return 2**62 if day == date.max else day_start(day + DAY, zone)


@lru_cache(maxsize=4096)  # the lines of one second come together
def local_date(instant: int, zone: ZoneInfo) -> date:
    """Return the date of an instant in `zone`."""
    return datetime.fromtimestamp(instant, zone).date()


def rfc3339(instant: int) -> str:
    """Write an instant as RFC 3339 in UTC: 2004-08-16T13:53:25Z."""
    return datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")


def parse_rfc3339(text: str) -> int:
    """Read what `rfc3339` wrote, and no other form. Raises: ValueError."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text, re.ASCII):
        raise ValueError(f"{text!r} is not an instant such as 2004-08-16T13:53:25Z")
    return int(datetime.fromisoformat(text).timestamp())


def compact(instant: int) -> str:
    """Write an instant as it stands in file names: 20040816T135325Z."""
    return rfc3339(instant).replace("-", "").replace(":", "")
