from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.live.host import Host, noon
from tests.world.syslogds import SYSLOGDS, Syslogd


@pytest.fixture(params=SYSLOGDS, ids=[kind.name for kind in SYSLOGDS])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A host with a running syslogd; each test sees each kind of syslogd."""
    kind: type[Syslogd] = request.param
    var_log = tmp_path / "log"
    var_log.mkdir()
    offset = noon()
    # A zone spelled out needs no zone files, which the C library would silently do without.
    with kind(var_log, f"here{-offset}") as syslogd:
        yield Host(tmp_path, syslogd, offset)
