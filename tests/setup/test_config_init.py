"""`config init`: the configuration that fits what syslogd's own says."""

import json
from pathlib import Path

import pytest

from archiver.config.settings import load
from tests import TOP
from tests.world.host import Said, command

FREEBSD = """\
# $FreeBSD$
*.err;kern.warning;auth.notice;mail.crit\t\t/dev/console
*.notice;authpriv.none;kern.debug;lpr.info;mail.crit;news.err\t/var/log/messages
mail.info\t\t\t\t\t/var/log/maillog
!ppp
*.*\t\t\t\t\t\t/var/log/ppp.log
"""
DEBIAN = """\
module(load="imuxsock")
$FileOwner root
$FileGroup adm
$FileCreateMode 0640
$IncludeConfig /etc/rsyslog.d/*.conf
*.*;auth,authpriv.none;mail.none\t-/var/log/syslog
mail.*\t\t\t\t-/var/log/mail.log
*.emerg\t\t\t\t:omusrmsg:*
"""


def init(tmp_path: Path, name: str, text: str | bytes, *words: str) -> tuple[Said, Path]:
    root, toml = tmp_path / "root", tmp_path / "archiver.toml"
    (root / "etc").mkdir(parents=True, exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    (root / "etc" / name).write_bytes(content)
    said = command("-c", toml, *words, "config", "init", "--root", str(root))
    return said, toml


def test_freebsd(tmp_path: Path) -> None:
    """The founding document's own: mail.info by syslogd, whose pid file is FreeBSD's."""
    (tmp_path / "root/var/run").mkdir(parents=True)
    (tmp_path / "root/var/run/syslog.pid").write_text("314\n")
    said, toml = init(tmp_path, "syslog.conf", FREEBSD)
    assert (said.status, said.err) == (0, "")
    (source,) = load(toml).sources
    assert str(source.path) == "/var/log/maillog"
    assert source.reopen.kind == "pidfile"
    assert source.reopen.argument == "/var/run/syslog.pid"
    assert "/etc/syslog.conf:4" in toml.read_text(), "who says so"


def test_debian(tmp_path: Path) -> None:
    (tmp_path / "root/etc/rsyslog.d").mkdir(parents=True)
    said, toml = init(tmp_path, "rsyslog.conf", DEBIAN)
    assert (said.status, said.err) == (0, "")
    (source,) = load(toml).sources
    assert str(source.path) == "/var/log/mail.log"
    assert source.reopen.kind in {"systemctl", "pidfile"}
    assert (source.mode, source.owner, source.group) == (0o640, "root", "adm")


def test_a_program_that_is_taken_away_changes_nothing(tmp_path: Path) -> None:
    """As many have in rsyslog.d, before the rule for mail."""
    text = ':programname, isequal, "haproxy" stop\nif $msg contains "x" then stop\n' + DEBIAN
    said, toml = init(tmp_path, "rsyslog.conf", text)
    assert said.status == 0
    assert [str(each.path) for each in load(toml).sources] == ["/var/log/mail.log"]


@pytest.mark.parametrize("text", ["", "novel", "mail.*\t@loghost\n", b"\0\xff\n" * 1000])
def test_where_nothing_says_it_there_is_a_warning_and_the_default(
    tmp_path: Path, text: str | bytes
) -> None:
    said, toml = init(tmp_path, "syslog.conf", text)
    assert said.status == 0
    assert "try: " in said.err
    assert str(load(toml).sources[0].path) == "/var/log/maillog"


def test_warnings_are_in_the_document_too(tmp_path: Path) -> None:
    said, toml = init(tmp_path, "syslog.conf", "mail.warning /var/log/maillog\n", "--json")
    answer = json.loads(said.out)
    assert (said.status, answer["ok"], answer["error"]) == (0, True, None)
    assert any("mail.info is not logged" in each["message"] for each in answer["warnings"])
    assert answer["data"]["syslogd"]
    assert load(toml)


def test_several_files_become_several_sources(tmp_path: Path) -> None:
    """Old Debian's, if none of them has everything."""
    text = "mail.=info -/var/log/mail.info\nmail.notice -/var/log/mail.notice\n"
    said, toml = init(tmp_path, "rsyslog.conf", text)
    assert said.status == 0
    sources = load(toml).sources
    assert {str(each.path) for each in sources} == {"/var/log/mail.info", "/var/log/mail.notice"}
    assert len({each.name for each in sources}) == 2


def test_plain_looks_at_nothing_and_a_root_must_be_there(tmp_path: Path) -> None:
    toml = tmp_path / "plain.toml"
    assert command("-c", toml, "config", "init", "--plain").status == 0
    default = TOP / "archiver/config/default.toml"
    assert toml.read_bytes() == default.read_bytes()
    said = command("-c", tmp_path / "x", "config", "init", "--root", str(tmp_path / "none"))
    assert said.status == 4
    assert not (tmp_path / "x").exists()
