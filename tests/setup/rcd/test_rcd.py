"""rc.d/archiver and the daily script, under POSIX shells, with stand-ins for rc.subr and daemon(8).

The service is the real one, and so is what it archives.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from archiver.rotation import last_run
from archiver.system.zone import rfc3339
from tests import TOP
from tests.world.host import ARCHIVER, MONDAY, Host, lines
from tests.world.syslogds import eventually
from tests.world.system import need

HERE = Path(__file__).parent
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}


@dataclass
class Rc:
    """The script of a host, with its paths below a directory."""

    host: Host
    shell: list[str]

    def __post_init__(self) -> None:
        self.top = self.host.directory / "freebsd"
        self.top.mkdir()
        self.run_dir = self.top / "run"
        self.run_dir.mkdir()
        daemon = self.top / "daemon"
        daemon.write_text(f"#!{sys.executable}\n{(HERE / 'daemon.py').read_text()}")
        daemon.chmod(0o755)
        text = (TOP / "rc.d/archiver").read_text()
        places = {
            "/etc/rc.subr": str(HERE / "rc.subr"),
            "/usr/sbin/daemon": str(daemon),
            "/var/run/": f"{self.run_dir}/",
        }
        for path, other in places.items():
            assert path in text
            text = text.replace(path, other)
        self.script = self.top / "archiver"
        self.script.write_text(text)
        self.configure(enable="YES")

    def configure(self, enable: str) -> None:
        (self.top / "rc.conf").write_text(
            f'archiver_enable="{enable}"\n'
            f'archiver_config="{self.host.toml}"\n'
            f'archiver_command="{ARCHIVER}"\n'
        )

    def __call__(self, verb: str) -> tuple[int, str]:
        """Return the script's status, and all that it says."""
        said = self.top / "said"
        environment = {
            "PATH": "/usr/bin:/bin",
            "RC_CONF": str(self.top / "rc.conf"),
            "DAEMON_LOG": str(self.log),
        }
        with open(said, "wb") as out:
            ended = subprocess.run(
                [*self.shell, str(self.script), verb],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
                timeout=60,
            )
        return ended.returncode, said.read_text()

    @property
    def log(self) -> Path:
        return self.top / "log"

    def pid(self, which: str) -> int:
        """Wait until there is one."""
        path = self.run_dir / f"{which}.pid"
        eventually(lambda: path.exists() and path.read_text() != "", f"{path} is written")
        return int(path.read_text())

    def logs(self, text: str, times: int = 1) -> None:
        eventually(
            lambda: self.log.exists() and self.log.read_text().count(text) >= times,
            f"the service logs {text!r}",
            within=60,
        )


@pytest.fixture(params=SHELLS)
def rc(request: pytest.FixtureRequest, host: Host) -> Iterator[Rc]:
    need(SHELLS[request.param][0])
    host.write(lines(MONDAY, "09:00"))
    made = Rc(host, SHELLS[request.param])
    yield made
    if (made.run_dir / "archiver-supervisor.pid").exists():
        assert made("onestop")[0] == 0


@pytest.mark.system
def test_started_reloaded_and_stopped(rc: Rc) -> None:
    """HUP reaches the service and not its supervisor; the service comes back if it dies."""
    assert rc("status") == (1, "archiver is not running.\n")
    assert rc("start") == (0, "Starting archiver.\n")
    rc.logs("serving")
    supervisor, child = rc.pid("archiver-supervisor"), rc.pid("archiver")
    assert rc("status") == (0, f"archiver is running as pid {supervisor}.\n")
    status, said = rc("start")
    assert (status, "already running" in said) == (1, True)
    rc.logs("night: done")
    assert rc("reload") == (0, "")
    rc.logs("reloaded")
    assert (rc.pid("archiver-supervisor"), rc.pid("archiver")) == (supervisor, child)
    good = rc.host.toml.read_text()
    rc.host.toml.write_text("novel")
    status, said = rc("reload")
    assert (status, "not TOML" in said) == (1, True)
    status, said = rc("restart")
    assert status == 1, "what runs is not stopped for what would not start"
    rc.host.toml.write_text(good)
    assert rc("status")[0] == 0
    assert rc("stop") == (0, "Stopping archiver.\n")
    rc.logs("stopped")
    assert rc("status")[0] == 1
    assert not Path(f"/proc/{child}").exists()
    assert len(rc.host.content()) == 1


@pytest.mark.system
def test_what_is_not_enabled_or_not_right_does_not_start(rc: Rc) -> None:
    rc.configure(enable="NO")
    status, said = rc("start")
    assert (status, "Set archiver_enable to YES" in said) == (1, True)
    rc.configure(enable="YES")
    good = rc.host.toml.read_text()
    rc.host.toml.write_text(good.replace("spool_dir", "spol_dir"))
    status, said = rc("start")
    assert (status, "did you mean `spool_dir`?" in said) == (1, True)
    status, said = rc("configtest")
    assert (status != 0, "spol_dir" in said) == (True, True)
    rc.host.toml.unlink()
    status, said = rc("start")
    assert (status, "is not readable" in said) == (1, True)
    rc.host.toml.write_text(good)
    assert rc("configtest") == (0, "")
    assert list(rc.run_dir.iterdir()) == []
    assert "archiver_enable" in rc("rcvar")[1]
    assert rc("dance")[0] == 1


@pytest.mark.system
def test_without_the_variables_it_is_off(rc: Rc) -> None:
    """As it comes: nothing in rc.conf."""
    (rc.top / "rc.conf").write_text("")
    status, said = rc("start")
    assert (status, "Set archiver_enable to YES" in said) == (1, True)


@pytest.mark.system
@pytest.mark.parametrize("shell", SHELLS)
def test_the_daily_script(host: Host, shell: str) -> None:
    """periodic(8): 0 nothing to see, 2 it cannot be told, 3 somebody has to look."""
    need(SHELLS[shell][0])
    script = host.directory / "400.archiver"
    conf = host.directory / "periodic.conf"
    text = (TOP / "rc.d/400.archiver").read_text()
    defaults = host.directory / "defaults"
    defaults.write_text(f"source_periodic_confs() {{ . {conf}; }}\n")
    assert "/etc/defaults/periodic.conf" in text
    script.write_text(text.replace("/etc/defaults/periodic.conf", str(defaults)))

    def daily(enable: str = "YES", command: str = ARCHIVER) -> tuple[int, str]:
        conf.write_text(
            f'daily_status_archiver_enable="{enable}"\n'
            f'daily_status_archiver_config="{host.toml}"\n'
            f'daily_status_archiver_command="{command}"\n'
        )
        ended = subprocess.run(
            [*SHELLS[shell], str(script)],
            env={"PATH": os.defpath},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert ended.stderr == b""
        return ended.returncode, ended.stdout.decode()

    assert daily("NO") == (0, "")
    status, said = daily()
    assert (status, "no run has been made yet" in said) == (3, True)
    host.write(lines(MONDAY, "09:00"))
    assert host.process("run").status == 0
    status, said = daily()
    assert status == 0
    assert re.search(r"(?m)^\nMail log archives:\nmaillog", said)
    last = last_run.load(host.config.host.state_dir)
    assert last.succeeded
    yesterday = last.succeeded - 27 * 3600
    late = replace(last, succeeded=yesterday, passed={"maillog": yesterday})
    last_run.save(host.config.host.state_dir, late)
    status, said = daily()
    assert (status, rfc3339(yesterday) in said) == (3, True)
    assert daily(command="/nonexistent")[0] == 2
    host.toml.write_text("novel")
    status, said = daily()
    assert (status, "not TOML" in said) == (2, True)
