"""syslogd's configuration: which files mail goes into, and what is doubtful about it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.setup.syslogconf import doubts, look
from archiver.setup.syslogconf.classic import read as read_classic
from archiver.setup.syslogconf.conditions import condition
from archiver.setup.syslogconf.reading import SyslogConfig
from archiver.setup.syslogconf.routes import Rules, mail_logs
from archiver.setup.syslogconf.rsyslog import read as read_rsyslog
from archiver.setup.syslogconf.selectors import selected

ALL = set(range(8))
# The founding document's, as it stands there.
FOUNDING = """\
# $FreeBSD: src/etc/syslog.conf,v 1.13.2.4 2003/05/12 13:59:23 yar Exp $
*.err;kern.debug;auth.notice;mail.crit /dev/console
*.notice;authpriv.none;kern.debug;lpr.info;mail.crit;news.err /var/log/messages
mail.info /var/log/maillog
*.emerg *
"""


def system(root: Path, **files: str) -> SyslogConfig:
    """Look at a system that has these files in its /etc."""
    for name, text in files.items():
        path = root / "etc" / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return look(root)


def chosen(reading: SyslogConfig) -> list[str]:
    return [log.path for log in reading.mail_logs]


@pytest.mark.parametrize(
    ("selector", "bsd", "linux"),
    [
        ("mail.info", set(range(7)), set(range(7))),
        ("mail.*", ALL, ALL),
        ("*.info;mail.none", set(), set()),
        ("news,mail.err", {0, 1, 2, 3}, {0, 1, 2, 3}),
        ("mail.=info;mail.=err", {3}, {3, 6}),
        ("mail.*;mail.!notice", {6, 7}, {6, 7}),
        ("MAIL.Info", set(range(7)), set(range(7))),
        ("kern.*", set(), set()),
    ],
)
def test_selectors(selector: str, bsd: set[int], linux: set[int]) -> None:
    assert selected(selector, last_counts=True).mail == bsd
    assert selected(selector, last_counts=False).mail == linux


@pytest.mark.parametrize(("sign", "levels"), [("<=", {6, 7}), (">", set(range(6))), ("<", {7})])
def test_comparisons_of_freebsd(sign: str, levels: set[int]) -> None:
    """More severe is greater."""
    assert selected(f"mail.{sign}info", last_counts=True).mail == levels


def test_the_founding_document(tmp_path: Path) -> None:
    """Its mail log, with nothing doubtful; a console and users are no logs."""
    reading = system(tmp_path, syslog_conf=FOUNDING)
    assert chosen(reading) == ["/var/log/maillog"]
    assert reading.reopen == "pidfile:/var/run/syslog.pid"
    assert doubts(reading, ["/var/log/maillog"]) == []


def test_blocks_restrict(tmp_path: Path) -> None:
    text = "$FreeBSD$\n!ppp\n*.*\t/var/log/ppp.log\n#!x\n*.*\t/a\n!*\n+h\nmail.*\t/b\n"
    text += "+*\nmail.*\t-/c\n"
    assert chosen(system(tmp_path, syslog_conf="# " + text)) == ["/c"]


def test_freebsd_includes_and_comments(tmp_path: Path) -> None:
    text = "# $FreeBSD$\ninclude /etc/syslog.d\nmail.=err /e # why\n"
    reading = system(tmp_path, syslog_conf=text, syslog_d__m_conf="mail.info /var/log/m\n")
    assert chosen(reading) == ["/var/log/m"]
    assert reading.routes[1].path == "/e"


def test_lines_that_go_on(tmp_path: Path) -> None:
    """As inetutils' own file has them."""
    text = "*.=info;*.=warn;\\\n\tauth.none;\\\n\tmail.none\t-/m\nmail.warn /w\nmail.=info |/p\n"
    reading = system(tmp_path, syslog_conf=text)
    assert [route.path for route in reading.routes] == ["/m", "/w"]
    assert reading.routes[1].where.line == 4
    assert "mail.info is not logged" in doubts(reading, ())[0].sentence


def test_split_over_files(tmp_path: Path) -> None:
    """The fullest one, if there is one; else as many as are needed."""
    text = "mail.info /i\nmail.* /all\nmail.err /e\n"
    assert chosen(system(tmp_path, syslog_conf=text)) == ["/all"]
    assert chosen(system(tmp_path, syslog_conf="mail.=info /i\nmail.notice /n\n")) == ["/n", "/i"]


RSYSLOG = {
    "mail.* -/m;Template\n& stop\n*.* /all\n": ["/m"],
    "if $syslogfacility-text == 'mail' then /m\n": ["/m"],
    'if prifilt(\'mail.*\') then { action(type="omfile" file="/m") stop }\n*.* /all\n': ["/m"],
    "if $syslogfacility == 2 and $syslogseverity <= 6 then /m\n": ["/m"],
    "if not ($syslogfacility-text == 'mail') then stop\n*.* /m\n": ["/m"],
    "if $programname == 'x' then { mail.* /x\n stop }\nmail.* /m\n": ["/m"],
    "if $syslogfacility-text == 'kern' then /k\nelse /m\n": ["/m"],
    "mail.* stop\n*.* /all\n": [],
    "mail.* @far\nmail.* |/pipe\nmail.* root,me\nmail.* :omusrmsg:*\nmail.* /dev/tty8\n": [],
    'ruleset(name="r"){ mail.* /m\n }\n': [],
    'ruleset(name="r"){ mail.* /m\n }\ncall r\n': ["/m"],
    'module(load="imuxsock") # so\n$ModLoad imklog\n/* mail.* /x */ mail.* /m\n': ["/m"],
}


@pytest.mark.parametrize("text", RSYSLOG)
def test_rsyslog(tmp_path: Path, text: str) -> None:
    reading = system(tmp_path, rsyslog_conf=text)
    assert chosen(reading) == RSYSLOG[text]
    assert reading.unread == ()


def test_rsyslog_includes(tmp_path: Path) -> None:
    """By directive and by call; a loop is a doubt, and ends."""
    text = '$IncludeConfig /etc/rsyslog.d/*.conf\ninclude(file="/etc/b")\n'
    loop = "mail.err /e\n$IncludeConfig /etc/rsyslog.conf\n"
    reading = system(tmp_path, rsyslog_conf=text, rsyslog_d__a_conf="mail.* /m\n", b=loop)
    assert chosen(reading) == ["/m"]
    assert ["includes itself" in each.reason for each in reading.unread] == [True]


def test_what_is_not_understood_is_a_doubt(tmp_path: Path) -> None:
    reading = system(tmp_path, rsyslog_conf='mail.* ?Daily\nfoo("x")\nmail.nolevel /m\n')
    assert [each.where.line for each in reading.unread] == [1, 2, 3]
    assert chosen(reading) == []


def test_doubts_about_sources(tmp_path: Path) -> None:
    reading = system(tmp_path, syslog_conf="mail.info /m\n*.info /all\nkern.* /k\n")
    told = [doubt.sentence for doubt in doubts(reading, ["/k", "/none"])]
    assert ["several files" in told[0], "no [[source]]" in told[1]] == [True, True]
    assert ["only other things" in told[2], "writes nothing" in told[3]] == [True, True]
    assert len(told) == 4
    assert doubts(look(tmp_path / "nowhere"), ())[0].sentence.startswith("nothing below")


def test_strange_files(tmp_path: Path) -> None:
    """NUL, invalid UTF-8, a directory, a FIFO: doubts, at once."""
    reading = system(tmp_path, syslog_conf="mail.* /a\udcff\nmail.* /b\0\nmail.* /c\n")
    assert (chosen(reading), len(reading.unread)) == (["/c"], 2)
    assert all(doubt.sentence.isascii() for doubt in doubts(reading, ()))
    (tmp_path / "etc/rsyslog.conf").mkdir()
    assert chosen(look(tmp_path)) == ["/c"]


WORDS = st.sampled_from(
    [
        *("mail", "*.*", ".", ";", ",", "{", "}", "(", ")", "if", "then", "else", "&", "stop", "~"),
        *("call", "ruleset(", "action(", "include(", 'file="/x"', '"', "'", "/var/log/m", "\n"),
        *("$IncludeConfig", "$RuleSet", "!p", "+h", "#", "\\", ":", "not", "prifilt", "==", " "),
        *("\0", "mail.* /m", 'name="r"'),
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=3), max_size=60).map(" ".join)
NESTED = st.integers(0, 3000).map(lambda n: "if (" + "(" * n + "{ if x then { " * n)


@given(TEXTS | NESTED | st.binary(max_size=200).map(lambda b: b.decode(errors="surrogateescape")))
def test_never_an_exception(text: str) -> None:
    for bsd in (True, False):
        rules = Rules()
        read_classic("/f", text, rules, lambda _: [("/f", text)], bsd=bsd)
        mail_logs(rules.routes)
    read_rsyslog("/f", text, rules := Rules(), lambda _: [("/f", text), ("/g", text)])
    mail_logs(rules.routes)
    condition(text)
