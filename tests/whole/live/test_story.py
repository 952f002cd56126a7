"""The story of the first evening: write, rotate, write, rotate, write, ask for today."""

import subprocess
from pathlib import Path

import pytest

from archiver.setup.syslogconf import look
from tests.whole.live.host import Host
from tests.world.system import need


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    return on_disk


@pytest.mark.system
def test_today_holds_archives_and_live_log(host: Host) -> None:
    """Logged by the system's own `logger` around two rotations: every line, once, in order."""
    logger, syslogd = need("logger"), host.syslogd

    def log(text: str) -> None:
        subprocess.run(
            [logger, "-u", str(syslogd.socket), "-p", "mail.info", "-t", "test", text],
            env=syslogd.environment,
            check=True,
            timeout=30,
        )
        syslogd.sent.append(f"test: {text}")

    for evening in range(3):
        if evening:
            host.archiver("run", "--force")
        for number in range(1, 4):
            log(f"line {3 * evening + number}")
        syslogd.wait_for(syslogd.sent[-1])

    assert len(host.archives()) == 2
    assert host.fetch() == ["maillog: ready", *(f"test: line {n}" for n in range(1, 10))]


@pytest.mark.system
def test_the_log_is_found_in_syslogds_own_configuration(host: Host, tmp_path: Path) -> None:
    """What a real syslogd was started with names the file that it really writes."""
    own = host.syslogd.directory
    name = "rsyslog.conf" if (own / "rsyslog.conf").exists() else "syslog.conf"
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc" / name).write_bytes((own / name).read_bytes())
    host.syslogd.write(["where does it go"])
    (log,) = look(tmp_path / "root").mail_logs
    assert Path(log.path) == host.syslogd.log
    assert b"where does it go" in Path(log.path).read_bytes()
