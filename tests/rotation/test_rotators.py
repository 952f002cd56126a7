"""Other rotators are found by their configurations: as those read them, whatever stands there."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.rotation.others import cron_lines as cronlines
from archiver.rotation.others import rotator_files
from archiver.rotation.others.rotators import Rotators
from tests import TOP
from tests.world.system import need

LOG = Path("/var/log/maillog")


def below(root: Path, **files: str) -> Rotators:
    """A root with these files, whose names have `__` for a slash, and with both programs."""
    for name in ("newsyslog", "logrotate"):
        (root / "usr/sbin").mkdir(parents=True, exist_ok=True)
        (root / "usr/sbin" / name).touch()
    return more(root, {name.replace("__", "/"): text for name, text in files.items()})


def more(root: Path, files: dict[str, str]) -> Rotators:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.fsencode(text))
    return Rotators(root)


def told(rotators: Rotators, log: Path = LOG) -> list[str]:
    return [f"{each}{' ?' if each.doubt else ''}" for each in rotators.of(log)]


@pytest.mark.parametrize(
    ("row", "finds"),
    [
        ("/var/log/maillog\t\t\t640  7\t   *\t@T00  JC", True),
        ("/var/log/maillog root:wheel 640 7 * @T00 JC /var/run/x.pid 30", True),
        ("  /var/log/maillog 640 7 100 * -  # ours", True),
        ("/var/log/mail* 640 7 * @T00 GJC", True),
        ("/var/log/mail* root:wheel 640 7 * @T00 GJC", True),
        ("/var/log/mail* 640 7 * @T00 JC", False),
        ("/var/log/*/maillog 640 7 * @T00 G", False),
        ("# /var/log/maillog 640 7 * @T00 JC", False),
        ("/var/log/maillog2 640 7 * @T00 JC", False),
        ("<default> 640 7 * @T00 JC", False),
    ],
)
def test_newsyslog(tmp_path: Path, row: str, finds: bool) -> None:
    found = told(more(tmp_path, {"etc/newsyslog.conf": f"# head\n{row}\n"}))
    assert found == (["newsyslog (/etc/newsyslog.conf:2) ?"] if finds else [])


def test_newsyslog_includes(tmp_path: Path) -> None:
    """As FreeBSD's own file does; what no file includes is a doubt."""
    line = "/var/log/maillog 640 7 * @T00 JC\n"
    found = below(
        tmp_path,
        **{"etc__newsyslog.conf": "<include> /etc/newsyslog.conf.d/[!.]*.conf\n"},
    )
    found = more(
        tmp_path,
        {f"etc/newsyslog.conf.d/{name}": line for name in ("a.conf", ".b.conf", "c.off")},
    )
    assert told(found) == [
        "newsyslog (/etc/newsyslog.conf.d/a.conf:1)",
        "newsyslog (/etc/newsyslog.conf.d/c.off:1) ?",
    ]


def test_what_is_not_installed_is_a_doubt(tmp_path: Path) -> None:
    found = more(tmp_path, {"etc/logrotate.conf": f"{LOG} {{\n}}\n"})
    (each,) = found.of(LOG)
    assert each.doubt == "logrotate is not installed"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0 * * * root mv /var/log/maillog /var/log/maillog.0", "cron: mv"),
        ("@daily root cd /var/log && mv maillog maillog.0; kill -HUP 1", "cron: mv"),
        ("0 0 * * * root savelog -c 7 /var/log/maillog", "cron: savelog"),
        ("0 0 * * * root cat /dev/null > /var/log/maillog", "cron: >"),
        ("0 0 * * * root : > /var/log/maillog", "cron: >"),
        ("0 0 * * * root /opt/rotate-logs /var/log/maillog", "cron: a command ?"),
        ("0 0 * * * root grep mv /var/log/maillog", "cron: a command ?"),
        ("0 0 * * * root tail /var/log/maillog | mail root", ""),
        ("# 0 0 * * * root mv /var/log/maillog /var/log/maillog.0", ""),
        ("0 0 * * * root mv /var/log/maillogs /tmp", ""),
    ],
)
def test_crontabs(tmp_path: Path, line: str, says: str) -> None:
    found = below(tmp_path, etc__crontab=f"SHELL=/bin/sh\n{line}\n")
    wanted = re.sub(r"( \?)?$", r" (/etc/crontab:2)\1", says, count=1)
    assert told(found) == ([wanted] if says else [])


def test_scripts_of_cron(tmp_path: Path) -> None:
    """With a variable, a directory, and configurations of their own."""
    found = more(
        tmp_path,
        {
            "usr/sbin/logrotate": "",
            "etc/cron.daily/a": "#!/bin/sh\nLOG=/var/log/maillog\nmv $LOG ${LOG}.0\n",
            "etc/cron.daily/b": "#!/bin/sh\ncd /var/log\nmv maillog maillog.0\n",
            "etc/cron.daily/c": "#!/bin/sh\nlogrotate -s /var/state /opt/mine.conf\n",
            "opt/mine.conf": f"\n{LOG} {{\n}}\n",
            "var/spool/cron/crontabs/root": "0 0 * * * rm /var/log/maillog\n",
        },
    )
    assert sorted(told(found)) == [
        "cron: mv (/etc/cron.daily/a:3)",
        "cron: mv (/etc/cron.daily/b:3)",
        "cron: rm (/var/spool/cron/crontabs/root:1)",
        "logrotate (/opt/mine.conf:2)",
    ]


def test_a_log_behind_a_symbolic_link(tmp_path: Path) -> None:
    """The same log, by another name of its directory."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = more(tmp_path / "root", {"etc/newsyslog.conf": f"{tmp_path}/real/maillog 640 7 * * -"})
    assert len(told(found, tmp_path / "link/maillog")) == 1


def test_files_that_are_none(tmp_path: Path) -> None:
    """A FIFO, a directory, a loop of links, a file that includes itself: nothing waits or fails."""
    found = more(tmp_path, {"etc/logrotate.conf": "include /etc/logrotate.conf\ninclude /etc/d\n"})
    os.mkfifo(tmp_path / "etc/newsyslog.conf")
    (tmp_path / "etc/d").symlink_to("d")
    (tmp_path / "etc/cron.d/x").mkdir(parents=True)
    assert told(found) == []


# -- logrotate itself is the judge ------------------------------------------------------------

CASES = {
    "one": "X/a.log {\n weekly\n}\n",
    "several, quoted, commented": '# head\n"X/with blank.log" X/a.log\n# between\nX/b.log\n{\n}\n',
    "wildcards": "X/*.log {\n}\nX/m?il[lm]og {\n}\n",
    "scripts": "X/a.log {\n postrotate\n  echo X/b.log {\n }\n endscript\n}\nX/b.log { daily\n}\n",
    "an included directory": "include X/d\nX/b.log {\n}\n",
    "global words": "weekly\ncompress\nolddir X/old\nX/a.log {\n rotate 3\n}\n",
    "a tab and a brace": "X/a.log\t{\n}\nX/maillog{\n}\n",
    "single quotes": "'X/with blank.log' {\n}\n",
}


@pytest.mark.system
@pytest.mark.parametrize("case", CASES)
def test_logrotate_reads_it_likewise(tmp_path: Path, case: str) -> None:
    """Of the logs that are there, `logrotate -d` considers those that we say it would."""
    names = ["a.log", "b.log", "with blank.log", "maillog", ".hidden.log"]
    for name in [*names, "d/x"]:
        more(tmp_path, {name: "line\n"})
    (tmp_path / "old").mkdir()
    for name, log in (("d/in", "maillog"), ("d/off.disabled", "b.log"), ("d/x~", "a.log")):
        more(tmp_path, {name: f"{tmp_path}/{log} {{\n}}\n"})
    (tmp_path / "d/x").unlink()
    conf = tmp_path / "conf"
    conf.write_text(CASES[case].replace("X", str(tmp_path)))
    for path in (tmp_path, tmp_path / "d", conf, *tmp_path.glob("d/*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    done = subprocess.run(
        [need("logrotate"), "-d", "-s", str(tmp_path / "state"), str(conf)],
        capture_output=True,
        text=True,
        check=False,
    )
    theirs = set(re.findall(r"^considering log (.*)$", done.stderr, re.MULTILINE))
    root = tmp_path / "root"
    more(root, {"etc/crontab": f"0 0 * * * root logrotate {conf}\n", "usr/sbin/logrotate": ""})
    for path in (conf, *tmp_path.glob("d/*")):
        more(root, {str(path).lstrip("/"): path.read_text()})
    ours = {str(tmp_path / name) for name in names if Rotators(root).of(tmp_path / name)}
    assert theirs, done.stderr
    assert ours == theirs & {str(tmp_path / name) for name in names}


# -- whatever stands there ----------------------------------------------------------------------

PIECES = st.lists(
    st.sampled_from(
        ["/var/log/maillog", "/var/log/*", "{", "}", "\n", " ", '"', "'", "\\", "#", "include ",
         "<include> ", "postrotate", "endscript", "olddir ", "tabooext + ", "640 7 * @T00 G", "[",
         "[!", "$(", "`", ">", "|", ";", "mv ", "cd ", "%", "0 0 * * * root ", "\0", "\udcff", "="]
    )
    | st.text(max_size=5),
    max_size=30,
).map("".join)  # fmt: skip


@given(PIECES)
def test_garbage_is_read_as_far_as_it_goes(text: str) -> None:
    """No text makes a reader fail, or find a line that is not there."""
    logs = frozenset({"/var/log/maillog"})
    count = text.count("\n") + 1
    for read in (rotator_files.newsyslog(text), rotator_files.logrotate(text)):
        for named in read.named:
            assert 1 <= named.line <= count
            named.is_for("/var/log/maillog")
    for table in (True, False):
        for claim in cronlines.claims(text, logs, table=table, user=table):
            assert 1 <= claim.line <= count
        list(cronlines.configurations(text, table=table, user=table))


@given(st.binary(max_size=300))
def test_files_of_any_bytes(content: bytes) -> None:
    """Below a root: the reader decodes whatever there is."""
    import tempfile  # noqa: PLC0415 (a fixture would be shared by all examples)

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("newsyslog.conf", "logrotate.conf", "crontab"):
            more(root, {f"etc/{name}": ""})
            (root / "etc" / name).write_bytes(b"/var/log/maillog\n" + content)
        assert all(each.line >= 1 for each in Rotators(root).of(LOG))


def test_the_snippets_hand_the_log_over(tmp_path: Path) -> None:
    """In their places nobody else rotates the mail log; with the stock lines somebody does."""
    config = TOP / "config"
    theirs = (config / "newsyslog.conf").read_text()
    name = "etc__newsyslog.conf"
    assert told(below(tmp_path / "a", **{name: theirs.replace("\n#/var", "\n/var")}))
    assert told(below(tmp_path / "b", **{name: theirs})) == []
    rsyslog = (config / "logrotate-rsyslog").read_text()
    files = {"etc/logrotate.conf": "include /etc/logrotate.d\n", "etc/logrotate.d/rsyslog": rsyslog}
    mail_log = Path("/var/log/mail.log")
    below(tmp_path / "c")
    assert told(more(tmp_path / "c", files), mail_log) == []
    stock = rsyslog.replace("/var/log/kern.log", "/var/log/mail.log\n/var/log/kern.log")
    below(tmp_path / "d")
    assert told(more(tmp_path / "d", {**files, "etc/logrotate.d/rsyslog": stock}), mail_log)
