"""What `doctor` finds, what it says to do, and that it changes nothing."""

import json
import os
import time
from pathlib import Path

import pytest

from archiver.rotation.release import Proof
from archiver.setup.checks import CRITICAL, OK, WARNING, Finding, Patient
from archiver.setup.checks.system import synchronised
from archiver.setup.doctor import CHECKS, examine, examine_as, nagios
from archiver.system.files import exclusive
from tests.world.host import MONDAY, Host, after, lines

NOON = (after(MONDAY), "12:00")


def healthy(host: Host) -> Host:
    """A night was made, nobody else may look, and cron makes the next one."""
    host.log.chmod(0o640)
    host.toml.chmod(0o600)
    host.write(lines(MONDAY, "08:00:00"))
    assert host.night(after(MONDAY)).exit_status == 0
    for name in ("store", "spool", "state"):
        (host.directory / name).chmod(0o750)
    (host.root / "etc/cron.d").mkdir(parents=True)
    (host.root / "etc/cron.d/archiver").write_text("1 0 * * * root archiver run\n")
    os.utime(host.log, (0, 0))
    return host


def patient(host: Host, now: int | None = None) -> Patient:
    return Patient(host.config, host.at(*NOON) if now is None else now, host.root)


def of(host: Host, check: str, now: int | None = None) -> list[Finding]:
    """What one check finds that is not well; each says what to do."""
    found = examine(patient(host, now), [each for each in CHECKS if each[0] == check])
    assert found, "a check says so, if all is well"
    wrong = [each for each in found if each.level != OK]
    assert all(each.remedy and each.check == check for each in wrong)
    return wrong


@pytest.fixture
def safe(on_disk: Path) -> Host:
    host = Host(on_disk)
    host.log.touch(0o640)
    return host


def test_a_healthy_host(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """0, nothing changed, with a run under way; each check has said something."""
    healthy(host)
    monkeypatch.setattr("archiver.setup.checks.system.synchronised", lambda: True)
    with exclusive(host.config.host.state_dir / "lock"):
        before = host.tree()
        said = host.archiver("-v", "doctor", now=host.at(*NOON))
        assert (said.status, said.err) == (0, "")
        assert b"0 warnings, 0 critical" in said.out, said.out.decode()
        told = {each.check for each in examine(patient(host))}
        assert told == {name for name, _ in CHECKS} - {"mail", "secrets"}
        plugin = host.archiver("doctor", "--nagios", now=host.at(*NOON))
        assert plugin.status == 0
        assert plugin.out.startswith(b"OK: ")
        assert host.tree() == before


def test_exit_statuses_and_forms(host: Host) -> None:
    """3 with something critical; for monitoring 2; the document names check, level and remedy."""
    healthy(host)
    host.log.chmod(0o666)
    said = host.archiver("doctor", now=host.at(*NOON))
    assert said.status == 3
    assert f"try: chmod o-w {host.log}".encode() in said.out
    plugin = host.archiver("doctor", "--nagios", now=host.at(*NOON))
    assert plugin.status == 2
    assert plugin.out.startswith(b"CRITICAL: anybody may write to")
    document = json.loads(host.archiver("--json", "doctor", now=host.at(*NOON)).out)
    assert document["exit_code"] == 3
    worst = [each for each in document["data"]["findings"] if each["level"] == "critical"]
    assert [each["check"] for each in worst] == ["log"]
    host.toml.write_text("schema = 2")
    assert host.archiver("doctor", "--nagios").status == 3
    assert nagios([Finding(WARNING, "a|b\nc", "x")]) == (1, "WARNING: a/b c")


def test_a_check_that_fails_is_a_finding(host: Host) -> None:
    """And keeps neither what it had found, nor the others."""

    def broken(_: Patient) -> list[Finding]:
        raise ZeroDivisionError("nothing to divide by")

    found = examine(patient(host), [("broken", broken), ("start", dict(CHECKS)["start"])])
    assert [(each.level, each.check) for each in found] == [
        (WARNING, "broken"),
        (WARNING, "start"),
    ]
    assert "this check itself failed: ZeroDivisionError" in found[0].what


def test_without_anything(place: Path) -> None:
    """Not a log, not a directory, not a run: findings, and no check that fails."""
    found = examine(patient(Host(place)))
    assert CRITICAL in {each.level for each in found}
    assert [each.what for each in found if "this check itself failed" in each.what] == []


def test_second_rotator(host: Host) -> None:
    healthy(host)
    (host.root / "etc/logrotate.conf").write_text(f"{host.log} {{\n}}\n")
    assert [each.level for each in of(host, "rotator")] == [WARNING]  # not installed
    (host.root / "usr/sbin").mkdir(parents=True)
    (host.root / "usr/sbin/logrotate").touch()
    (each,) = of(host, "rotator")
    assert each.level == CRITICAL
    assert "/etc/logrotate.conf, line 1" in each.remedy
    host.configure(more='coexist = "adopt"')
    assert of(host, "rotator") == []


@pytest.mark.parametrize("name", ["store", "spool", "state", "archiver.toml"])
def test_what_others_may_write_to(host: Host, name: str) -> None:
    healthy(host)
    (host.directory / name).chmod(0o777)
    (each,) = of(host, "directories")
    assert (each.level, name in each.what) == (CRITICAL, True)


def test_room(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the growth of the last days: too little for a month is a warning, for days critical."""
    healthy(host)
    assert of(host, "room") == []
    real = os.statvfs(host.directory)
    daily = sum(each.raw_size + 2 * each.size for each in host.manifests())

    def free(size: int) -> None:
        figures = list(real)
        figures[0], figures[1], figures[4] = 1, 1, size
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(figures))

    monkeypatch.setattr("archiver.setup.checks.places.FULL", 0)
    free(daily * 20)
    assert {each.level for each in of(host, "room")} == {WARNING}
    free(daily * 2)
    assert {each.level for each in of(host, "room")} == {CRITICAL}


def test_the_spool_elsewhere(tmp_path: Path) -> None:
    """By the mount, not by the name: /proc is another one for sure."""
    host = Host(tmp_path, spool="/proc/nowhere")
    assert [each.level for each in of(host, "spool")] == [CRITICAL]


def test_the_writer(host: Host) -> None:
    """Whom `reopen` names has to be there; and whoever is there has to be named."""
    healthy(host)
    assert of(host, "reopen") == []
    with open(host.log, "ab"):
        (each,) = of(host, "reopen")
    assert (each.level, f"[{os.getpid()}]" in each.what) == (CRITICAL, True)
    for reopen in ("pidfile:nobody.pid", "command:/nowhere/reopen"):
        host.configure(reopen=reopen)
        assert [each.level for each in of(host, "reopen")] == [CRITICAL]


def test_the_proof(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where leases do not tell, and /proc does not either, nothing could ever be archived."""
    healthy(host)
    assert of(host, "release") == []
    monkeypatch.setattr(
        "archiver.rotation.release.look",
        lambda _: Proof(False),
    )
    assert [each.level for each in of(host, "release")] == [CRITICAL]


def test_what_a_killed_doctor_left_is_removed(host: Host) -> None:
    """Once it is sure that it is at work no more."""
    spool = host.config.host.spool_dir
    old, new = spool / ".doctor-old", spool / ".doctor-new"
    for left in (old, new):
        left.mkdir(parents=True)
        (left / "segment").touch()
    now = host.at(*NOON)
    os.utime(old, (now - 7200,) * 2)
    os.utime(new, (now - 60,) * 2)
    of(host, "release")
    assert [path.name for path in spool.iterdir()] == [new.name]


def test_the_clock(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(host)
    monkeypatch.setattr("archiver.setup.checks.system.synchronised", lambda: True)
    assert of(host, "clock") == []
    assert CRITICAL in {each.level for each in of(host, "clock", host.at(after(MONDAY, -5)))}
    monkeypatch.setattr("archiver.setup.checks.system.synchronised", lambda: False)
    assert [each.level for each in of(host, "clock")] == [WARNING]


def test_the_kernel_tells_of_its_clock() -> None:
    assert synchronised() in {True, False, None}


def test_stores(host: Host) -> None:
    """Away, or empty though it was not: both before the run that would meet it."""
    healthy(host)
    host.take_away()
    assert CRITICAL in {each.level for each in of(host, "stores")}
    host.bring_back()
    (host.directory / "store").rename(host.directory / "gone")
    (host.directory / "store").mkdir()
    (each,) = of(host, "stores")
    assert "sync --refill store" in each.remedy


def test_secrets(host: Host) -> None:
    """There, and for nobody else; what only the service has is not called missing."""
    table = """[storage.target.b]
type = "s3"
bucket = "archive"
access_key_id = "file:id"
secret_access_key = "cred:secret"
"""
    host.configure(tables=table)
    levels = [each.level for each in of(host, "secrets")]
    assert levels == [CRITICAL, WARNING]
    (host.directory / "id").write_text("AKIA\n")
    (host.directory / "id").chmod(0o644)
    assert "others may read" in of(host, "secrets")[0].what
    (host.directory / "id").chmod(0o600)
    assert [each.level for each in of(host, "secrets")] == [WARNING]


def test_days(host: Host) -> None:
    healthy(host)
    assert of(host, "days") == []
    assert [each.level for each in of(host, "days", host.at(after(MONDAY, 2)))] == [WARNING]
    (each,) = of(host, "days", host.at(after(MONDAY, 9)))
    assert (each.level, "and 5 more" in each.what) == (CRITICAL, True)


def test_what_starts_it(host: Host) -> None:
    """One way, not none and not two."""
    healthy(host)
    assert of(host, "start") == []
    wants = host.root / "etc/systemd/system/timers.target.wants"
    wants.mkdir(parents=True)
    (wants / "archiver-run.timer").touch()
    assert "several ways" in of(host, "start")[0].what
    (host.root / "etc/cron.d/archiver").unlink()
    assert of(host, "start") == []
    (wants / "archiver-run.timer").unlink()
    assert "nothing" in of(host, "start")[0].what
    (host.root / "etc/rc.conf").write_text('archiver_enable="YES"\n')
    assert of(host, "start") == []


def test_as_the_service(tmp_path: Path) -> None:
    """In a child that has become that user: what root may do tells nothing of what it may."""
    host = Host(tmp_path)
    host.log.touch()
    healthy(host)
    if os.geteuid() != 0:
        assert examine_as("root", patient(host))[0].what == "cannot act as root"
        return
    found = examine_as("nobody", patient(host))
    assert found[0].check == "user"
    assert CRITICAL in {each.level for each in found if each.check in {"log", "directories"}}
    assert os.geteuid() == 0
    (gone,) = examine_as("no-such-user", patient(host))
    assert gone.level == CRITICAL
    unit = host.root / "etc/systemd/system/archiver.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nUser=nobody\n")
    said = host.archiver("--json", "doctor", "--as-service", now=int(time.time()))
    assert json.loads(said.out)["data"]["as_user"] == "nobody"


def test_where_mail_is_logged(safe: Host) -> None:
    """By syslogd's own configuration, if it is syslogd that is told to reopen the log."""
    assert of(safe, "syslogd") == []
    safe.configure(reopen="pidfile:syslogd.pid")
    (wrong,) = of(safe, "syslogd")
    assert "says where syslogd writes mail" in wrong.what
    conf = safe.root / "etc/syslog.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(f"mail.info\t{safe.log}\nauth.*\t/var/log/auth.log\n")
    assert of(safe, "syslogd") == []
    conf.write_text(f"mail.warning\t{safe.log}\n")
    assert "mail.info is not logged" in of(safe, "syslogd")[0].what
    conf.write_text(f"mail.info\t{safe.log}\nmail.*\t/var/log/all\n")
    assert "mail.info is logged into several files" in of(safe, "syslogd")[0].what
    conf.write_text("mail.info\t/var/log/elsewhere\n")
    assert "which no [[source]] has" in of(safe, "syslogd")[0].what
