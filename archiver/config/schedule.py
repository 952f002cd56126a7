"""[schedule]: when the service runs its jobs."""

from dataclasses import dataclass
from datetime import time
from enum import StrEnum


class Every(StrEnum):
    NEVER = "never"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True)
class Schedule:
    """at: wall clock in the host's zone. jitter, hang_after: seconds. scrub_sample: above 0, to 1.

    catch_up: whether a night that was missed while nothing ran is made up for at the start.
    """

    at: time = time(0, 0, 5)
    jitter: float = 0.0
    catch_up: bool = True
    scrub: Every = Every.WEEKLY
    scrub_sample: float = 0.05
    hang_after: float = 6 * 3600.0
