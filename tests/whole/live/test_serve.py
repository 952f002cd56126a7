"""The service beside a busy syslogd."""

import os
import signal
from pathlib import Path

import pytest

from tests.whole.live.host import Host
from tests.whole.live.test_load import sending
from tests.world.served import Served

HOUR_OF_LOOKS = 3600 // 5


@pytest.mark.long
@pytest.mark.system
def test_an_hour_of_looks_under_load_takes_no_more_of_anything(host: Host) -> None:
    """As many looks as in an hour, a night with each 64 KiB, while 2,000 lines a second come:
    neither memory nor descriptors grow, and each line is there once.
    """
    toml = host.directory / "archiver.toml"
    text = toml.read_text().replace("[storage]", 'max_size = "64KiB"\n[storage]', 1)
    toml.write_text(text + '[schedule]\nscrub = "never"\n')
    with Served(toml, hasty=True) as served, sending(host.syslogd):
        looks, before = 0, (0, 0)
        while looks < HOUR_OF_LOOKS:
            looks += "WATCHDOG" in served.next()
            if looks == HOUR_OF_LOOKS // 4:
                before = (_resident(served.pid), _descriptors(served.pid))
        after = (_resident(served.pid), _descriptors(served.pid))
        served.signal(signal.SIGTERM)
        assert served.ended() == 0
        nights = served.log.count("night: done")
    assert nights > 20
    assert after[1] <= before[1] + 4, "a job may be under way"
    assert after[0] < before[0] + 1024, (before, after)
    # The last night may have been stopped before it told syslogd of the new log; the next one does.
    host.archiver("run", "--force")
    host.syslogd.write(["the end"])
    assert host.fetch() == host.syslogd.sent


def _resident(pid: int) -> int:
    """KiB in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
