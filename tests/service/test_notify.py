"""Being told: mail, webhook and ping; when, when not, and that nothing of it changes a run."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config.telling import Notify
from archiver.errors import ArchiverError, StoreError
from archiver.service import notify
from archiver.service.jobs import Job
from tests.world.host import MONDAY, Host, Said, after, lines
from tests.world.served import Served
from tests.world.told import Sendmail, Web, web

HOUR = 3600


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as one:
        yield one


@pytest.fixture
def sendmail(host: Host) -> Sendmail:
    return Sendmail.at(host.directory)


def configure(host: Host, *rows: str, more: str = "") -> None:
    host.configure(tables="[notify]\n" + "".join(f"{row}\n" for row in rows) + more)


def everything(host: Host, server: Web, sendmail: Sendmail) -> None:
    configure(
        host,
        'mail_to = ["root", "post@example.org"]',
        'mail_from = "archiver@example.org"',
        f'sendmail = "{sendmail.program}"',
        f'ping_url = "{server.address}/ping/x?a=b"',
        f'webhook_url = "{server.address}/hook"',
    )


def run(host: Host, hours: float, *words: str) -> Said:
    now = host.at(after(MONDAY), "00:05") + int(hours * HOUR)
    return host.archiver(*words, "run", now=now)


def test_a_failure_is_told_once_then_daily_and_its_end_once(
    host: Host, server: Web, sendmail: Sendmail
) -> None:
    everything(host, server, sendmail)
    host.write(lines(MONDAY, "09:00"))
    assert run(host, 0).status == 0
    assert server.paths == ["/ping/x/start?a=b", "/ping/x/0?a=b"]
    assert sendmail.mails == []
    host.write(lines(after(MONDAY), "09:00"))
    host.take_away()
    for hours in (24, 25, 30):
        assert run(host, hours).status == 12
    assert sendmail.subjects[0].startswith("archiver on mx1: run failed: ")
    assert len(sendmail.mails) == 1
    assert run(host, 49).status == 12
    assert len(sendmail.mails) == 2, "each day"
    host.bring_back()
    assert run(host, 50).status == 0
    assert run(host, 51).status == 0
    assert sendmail.subjects[2:] == ["archiver on mx1: run succeeded again"]
    hooked = [each.document for each in server.asked if each.method == "POST"]
    assert [each["event"] for each in hooked] == ["failure", "failure", "recovery"]
    assert (hooked[0]["exit_code"], hooked[0]["host"], hooked[0]["job"]) == (12, "mx1", "run")
    assert hooked[1]["failing_since"] == hooked[0]["failing_since"] == hooked[0]["time"]
    pings = [path for path in server.paths if path.startswith("/ping")]
    assert (
        pings[2:]
        == ["/ping/x/start?a=b", "/ping/x/12?a=b"] * 4
        + [
            "/ping/x/start?a=b",
            "/ping/x/0?a=b",
        ]
        * 2
    )


def test_a_mail_is_one_that_people_and_programs_understand(
    host: Host, server: Web, sendmail: Sendmail
) -> None:
    everything(host, server, sendmail)
    host.write(lines(MONDAY, "09:00"))
    host.take_away()
    said = run(host, 0)
    (mail,) = sendmail.mails
    assert mail["To"] == "root, post@example.org"
    assert mail["From"] == "archiver@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    words = (host.directory / "words").read_text().split()
    assert words == ["-t", "-oi", "-f", "archiver@example.org"]
    body = mail.get_content()
    for failure in said.err.splitlines():
        if failure.startswith("archiver: "):
            assert failure.removeprefix("archiver: ") in body
    assert "exit status:  12" in body


def test_another_kind_of_failure_is_news(host: Host, sendmail: Sendmail) -> None:
    configure(host, 'mail_to = ["root"]', f'sendmail = "{sendmail.program}"')
    host.write(lines(MONDAY, "09:00"))
    host.take_away()
    assert run(host, 0).status == 12
    host.log.unlink()
    assert run(host, 1).status == 3
    assert run(host, 2).status == 3
    assert len(sendmail.mails) == 2
    host.log.touch(0o640)
    assert run(host, 3).status == 12
    assert len(sendmail.mails) == 2, "what fails now so, now so, is no news each time"


def test_another_one_at_work_is_no_news(host: Host, server: Web, sendmail: Sendmail) -> None:
    everything(host, server, sendmail)
    from archiver.system.files import exclusive  # noqa: PLC0415

    host.config.host.state_dir.mkdir()
    with exclusive(host.config.host.state_dir / "lock"):
        assert run(host, 0).status == 11
    assert sendmail.mails == []
    assert [path for path in server.paths if "start" not in path] == []


@pytest.mark.parametrize("answers", [500, 404, 302, "close", "hang"])
def test_a_server_that_fails_changes_nothing(host: Host, server: Web, answers: int | str) -> None:
    """A warning each; and nobody is asked elsewhere."""
    configure(
        host,
        f'ping_url = "{server.address}/ping"',
        f'webhook_url = "{server.address}/hook"',
        'timeout = "0.3s"',
    )
    server.answers = answers
    host.write(lines(MONDAY, "09:00"))
    said = run(host, 0, "--json")
    answer = json.loads(said.out)
    assert (said.status, answer["ok"], answer["error"]) == (0, True, None)
    assert [each["code"] for each in answer["warnings"]] == ["not_told", "not_told"]
    assert server.address not in said.out.decode(), "who knows the address can use it"
    assert "/elsewhere" not in server.paths
    host.take_away()
    host.write(lines(after(MONDAY), "09:00"))
    answer = json.loads(run(host, 24, "--json").out)
    assert answer["exit_code"] == 12
    assert [each["code"] for each in answer["warnings"]].count("not_told") == 3
    # It reached nobody, so it is still to be told.
    server.answers = 200
    assert run(host, 25).status == 12
    assert server.asked[-2].document["event"] == "failure"


@pytest.mark.parametrize(
    "then", ["exit 75", "echo 'no\nroute' >&2; exit 1", "read x <fifo", "gone"]
)
def test_a_sendmail_that_fails_changes_nothing(host: Host, then: str) -> None:
    made = Sendmail.at(host.directory, f"cd {host.directory}; {then}")
    configure(host, 'mail_to = ["root"]', f'sendmail = "{made.program}"', 'timeout = "0.5s"')
    import os  # noqa: PLC0415

    os.mkfifo(host.directory / "fifo")
    if then == "gone":
        made.program.unlink()
    host.write(lines(MONDAY, "09:00"))
    host.take_away()
    said = run(host, 0)
    assert said.status == 12
    assert "archiver: mail: " in said.err
    assert said.err.isprintable() or "\n" in said.err


@given(st.text(), st.text(), st.text())
def test_a_forged_message_forges_no_mail(message: str, hint: str, host: str) -> None:
    """Whatever a log, a store or a file name brought into it: one subject, no other header."""
    failure = StoreError(f"a\r\nBcc: x@example.org\n\n{message}", hint=hint)
    event = notify.Notice(notify.FAILURE, "mx1", "run", 0, 12, 0, (failure,))
    assert "\n" not in event.subject
    assert "\r" not in event.subject
    assert len(event.subject) <= 200
    assert json.loads(json.dumps(event.document))["failures"][0]["hint"] == hint
    assert event.text.isprintable() or set(event.text) >= {"\n"}
    assert host is not None


def test_a_forged_message_has_one_recipient(host: Host, sendmail: Sendmail) -> None:
    settings = Notify(mail_to=("root",), sendmail=sendmail.program)
    failure = StoreError("é\r\nBcc: x@example.org\n\n\0\x1b[31m", hint="\ud800")
    event = notify.Notice(notify.FAILURE, "mx1", "run", 0, 12, 0, (failure,))
    assert notify.tell(settings, event) == []
    (mail,) = sendmail.mails
    assert sorted(mail.keys()) == sorted(
        [
            *("To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"),
            *("Content-Type", "Content-Transfer-Encoding"),
        ]
    )
    assert "\x1b" not in mail.get_content()
    assert host.directory


@pytest.mark.parametrize(
    "text",
    [
        "",
        "novel",
        "[]",
        '{"run": 5}',
        '{"run": {"since": "x"}}',
        '{"run": {"since": 1, "at": 1, "codes": [{}]}}',
        "\0",
    ],
)
def test_spoilt_notes_only_tell_once_more(host: Host, sendmail: Sendmail, text: str) -> None:
    configure(host, 'mail_to = ["root"]', f'sendmail = "{sendmail.program}"')
    host.write(lines(MONDAY, "09:00"))
    host.take_away()
    run(host, 0)
    (host.config.host.state_dir / notify.FILE).write_text(text)
    run(host, 1)
    run(host, 2)
    assert len(sendmail.mails) == 2


def test_a_clock_that_was_ahead_keeps_nobody_silent(host: Host, sendmail: Sendmail) -> None:
    configure(host, 'mail_to = ["root"]', f'sendmail = "{sendmail.program}"')
    host.write(lines(MONDAY, "09:00"))
    host.take_away()
    run(host, 24 * 20)
    run(host, 0)
    assert len(sendmail.mails) == 2


def test_two_tell_of_one_thing_once(host: Host, sendmail: Sendmail) -> None:
    """The service, and a run by hand."""
    configure(host, 'mail_to = ["root"]', f'sendmail = "{sendmail.program}"')
    failures: list[ArchiverError] = [StoreError("away", hint="wait")]
    threads = [
        threading.Thread(target=notify.ended, args=(host.config, "run", 1000, 12, failures))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sendmail.mails) == 1


def test_secrets_are_read_where_they_are(host: Host, server: Web) -> None:
    (host.directory / "url").write_text(f"{server.address}/secret\n")
    configure(host, 'ping_url = "file:url"')
    assert run(host, 0).status == 0
    assert server.paths == ["/secret/start", "/secret/0"]
    (host.directory / "url").write_text("ftp://novel")
    said = run(host, 1)
    assert said.status == 0
    assert "ping: not delivered: its address should be at 'file:" in said.err
    assert "novel" not in said.err
    (host.directory / "url").unlink()
    assert "No such file" in run(host, 2).err


def test_notify_test(host: Host, server: Web, sendmail: Sendmail) -> None:
    """Each way, and what became of it; with nobody to tell, a usage error."""
    assert host.archiver("notify", "test").status == 2
    everything(host, server, sendmail)
    said = host.archiver("notify", "test")
    assert (said.status, said.err) == (0, "")
    assert sendmail.subjects == ["archiver on mx1: notify test works"]
    assert sorted(server.paths) == ["/hook", "/ping/x/log?a=b"]
    server.answers = 404
    said = host.archiver("--json", "notify", "test")
    answer = json.loads(said.out)
    assert said.status == answer["exit_code"] == 3
    ways = {each["way"]: each["ok"] for each in answer["data"]["ways"]}
    assert ways == {"mail": True, "webhook": False, "ping": False}
    assert not (host.config.host.state_dir / notify.FILE).exists()


def test_what_the_service_alone_knows_is_told(host: Host, sendmail: Sendmail) -> None:
    """A job that hangs, from the service itself; and that the next one went well, from that."""
    script = host.directory / "reopen.sh"
    script.write_text(
        f"#!/bin/sh\ncd {host.directory}\ntest -e once || {{ : >once; kill -STOP $PPID; }}\n"
    )
    script.chmod(0o755)
    host.configure(
        reopen=f"command:{script}",
        tables=f'[notify]\nmail_to = ["root"]\nsendmail = "{sendmail.program}"\n'
        '[schedule]\nhang_after = "2s"\n',
    )
    host.write(lines(MONDAY, "09:00"))
    with Served(host.toml, hasty=True) as served:
        served.logs("night: done")
        served.signal(15)
        assert served.ended() == 0
    assert len(sendmail.mails) == 2, sendmail.subjects
    assert "(schedule.hang_after)" in sendmail.subjects[0]
    assert sendmail.subjects[1] == "archiver on mx1: run succeeded again"
    assert Job.NIGHT.value in sendmail.mails[0].get_content()
    assert Path(host.directory / "once").exists()
