"""Ids that hold the time when they were made: a search for one knows where to begin.

Pure.

    Postfix   4jXzxh0HDszKn0L     seconds in base 52 (six digits or more), microseconds (four),
                                  z, the queue file's number in base 51 (long_queue_ids)
    Exim      1xVPhG-0000By-14    seconds in base 62, then process and fraction
    Sendmail  6AN8n359000932      year mod 60, month, day, hour, minute, second, in UTC
"""

import re
from calendar import timegm

BASE_52 = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
BASE_62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
POSTFIX = re.compile(rb"([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{6,8}?)[0-9B-Zb-z]{4}z[0-9B-Zb-y]+")
EXIM = re.compile(
    rb"([0-9A-Za-z]{6})-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"
)
SENDMAIL = re.compile(
    rb"([0-9A-Za-x])([0-9AB])([1-9A-V])([0-9A-N])([0-9A-Za-x]{2})[0-9A-Za-z]{2}\d{5,8}"
)
# Long queue ids came with Postfix 2.9 in 2012; nothing here is older, or of the next century.
EARLIEST, LATEST = 631_152_000, 4_102_444_800


def born(queue_id: bytes, *, near: int) -> int | None:
    """Return the instant (seconds since 1970 UTC) at which a queue id was made, or None if the id
    does not hold it.

    near: an instant within thirty years of it: Sendmail's ids hold the year modulo 60 only.
    """
    if queue_id.isdigit():
        return None  # most likely qmail's, the number of a file
    if found := EXIM.fullmatch(queue_id):
        return _plausible(_digits(found[1], BASE_62))
    if found := SENDMAIL.fullmatch(queue_id):
        return _sendmail(found, near)
    if found := POSTFIX.fullmatch(queue_id):
        return _plausible(_digits(found[1], BASE_52))
    return None


def _digits(text: bytes, alphabet: bytes) -> int:
    number = 0
    for digit in text:
        number = number * len(alphabet) + alphabet.index(digit)
    return number


def _plausible(instant: int) -> int | None:
    return instant if EARLIEST <= instant < LATEST else None


def _sendmail(found: re.Match[bytes], near: int) -> int | None:
    year, month, day, hour = (BASE_62.index(found[n]) for n in range(1, 5))
    minute, second = (BASE_62.index(digit) for digit in found[5])
    first = 1900 + year
    wall = (month + 1, day, hour, minute, second)
    candidates = [timegm((first + 60 * n, *wall)) for n in range(4)]
    return min(candidates, key=lambda instant: abs(instant - near))
