"""The promise under load: every line in exactly one archive, or in the live log."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.whole.live.host import Host, messages
from tests.world.syslogds import Syslogd, eventually

ROTATIONS = int(os.environ.get("ARCHIVER_ROTATIONS", "50"))


@contextmanager
def repeating(step: Callable[[], None], pause: float = 0) -> Iterator[None]:
    """Repeat *step* beside the body, with a *pause* between, until the body ends."""
    enough = threading.Event()

    def repeat() -> None:
        while not enough.wait(pause):
            step()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@contextmanager
def sending(syslogd: Syslogd) -> Iterator[None]:
    """Keep sending numbered lines, some 2,000 a second, while the body runs."""
    numbers = iter(range(2**63))

    def ten() -> None:
        syslogd.send([f"number {next(numbers)}" for _ in range(10)])

    with repeating(ten, pause=0.005):
        yield


def wait_for_more(syslogd: Syslogd) -> None:
    """Wait until something more was sent: a rotation that meets no line proves nothing."""
    so_far = len(syslogd.sent)
    eventually(lambda: len(syslogd.sent) > so_far, "the sender goes on")


@pytest.mark.system
def test_every_line_once_under_load(host: Host) -> None:
    """Rotated again and again while syslogd writes: each line once, in order, none missing."""
    syslogd = host.syslogd
    with sending(syslogd):
        for rotation in range(ROTATIONS):
            wait_for_more(syslogd)
            host.archiver("run", "--force")
            assert host.spooled() == [], f"after rotation {rotation}"
    syslogd.write(["the end"])

    fetched = host.fetch()
    assert len(fetched) == len(syslogd.sent)
    assert fetched == syslogd.sent
    assert len(host.archives()) == ROTATIONS

    host.archiver("catalog", "rebuild")
    assert host.fetch() == fetched


@pytest.mark.system
def test_fetch_under_load_sees_one_instant(host: Host) -> None:
    """Fetched while runs follow one another: a beginning of what was sent, with no hole."""
    syslogd = host.syslogd
    newest = 0

    def rotate() -> None:
        host.archiver("run", "--force")

    with sending(syslogd), repeating(rotate):
        for _ in range(max(20, ROTATIONS // 5)):
            wait_for_more(syslogd)
            # rsyslogd writes 4 KiB at a time, wherever that cuts a line.
            fetched = messages(host.archiver("fetch", "--date", "today").out)
            assert len(fetched) >= newest, "time goes on"
            assert fetched == syslogd.sent[: len(fetched)]
            newest = len(fetched)
