"""What goes on around a run: hooks, the metrics' file, and the port that the service answers at."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from archiver.service import metrics
from tests import TOP
from tests.world.host import MONDAY, Host, Said, after, lines
from tests.world.served import Served
from tests.world.syslogds import eventually

DOCUMENT = (TOP / "docs/operations.md").read_text()


def run(host: Host, hours: float = 0, *words: str) -> Said:
    return host.archiver(*words, "run", now=host.at(after(MONDAY), "00:05") + int(hours * 3600))


# -- hooks -------------------------------------------------------------------------------------


def hooked(host: Host, script: str, *, timeout: str = "5m") -> None:
    """Have one script be called at every event."""
    path = host.directory / "hook"
    path.write_text(f"#!/bin/sh\ncd {host.directory}\n{script}\n")
    path.chmod(0o755)
    names = ("before", "after", "on_failure")
    rows = "".join(f'{name} = ["{path}", "two words", "$HOME"]\n' for name in names)
    host.configure(tables=f'[hooks]\n{rows}timeout = "{timeout}"\n')
    host.write(lines(MONDAY, "09:00"))


def test_hooks_are_told_what_happens_and_call_no_shell(host: Host) -> None:
    hooked(host, 'env | grep ^ARCHIVER_ | sort >"$ARCHIVER_EVENT"; echo "$*" >words')
    assert run(host).status == 0
    assert (host.directory / "words").read_text() == "two words $HOME\n"
    before, following = ((host.directory / name).read_text() for name in ("before", "after"))
    assert not (host.directory / "on_failure").exists()
    known = f"ARCHIVER_CONFIG={host.toml}\nARCHIVER_EVENT=before\nARCHIVER_HOST=mx1\n"
    assert before == known + "ARCHIVER_SOURCES=maillog\nARCHIVER_VERB=run\n"
    key = host.manifests()[0].archive_key
    assert f"ARCHIVER_ARCHIVES={key}\n" in following
    assert "ARCHIVER_EXIT_STATUS=0\n" in following
    host.take_away()
    host.write(lines(after(MONDAY), "09:00"))
    assert run(host, 24).status == 12
    assert "ARCHIVER_EXIT_STATUS=12\n" in (host.directory / "on_failure").read_text()
    host.bring_back()
    for words in (["sync"], ["repair", "--source", "maillog"], ["retention", "expire", "--auto"]):
        host.archiver(*words)
        verb = " ".join(words[: 1 + (words[0] == "retention")])
        assert f"ARCHIVER_VERB={verb}\n" in (host.directory / "after").read_text()
    documented = set(re.findall(r"`(ARCHIVER_[A-Z_]+)`", DOCUMENT))
    told = set(re.findall(r"(?m)^(ARCHIVER_[A-Z_]+)=", following))
    assert told <= documented


def test_what_hooks_print_is_no_part_of_the_answer(host: Host) -> None:
    hooked(host, "echo loud; echo louder >&2")
    ended = subprocess.run(host.argv("--json", "run"), capture_output=True, check=True, timeout=60)
    assert json.loads(ended.stdout)["ok"] is True
    assert ended.stderr.decode().splitlines() == ["loud", "louder"] * 2


@pytest.mark.parametrize("script", ["exit 3", "kill -9 $$", "exec /nonexistent"])
def test_a_hook_that_fails_is_a_warning(host: Host, script: str) -> None:
    """The log is rotated all the same."""
    hooked(host, script)
    said = run(host, 0, "--json")
    answer = json.loads(said.out)
    assert (said.status, answer["ok"]) == (0, True)
    assert [each["code"] for each in answer["warnings"]] == ["hook", "hook"]
    assert len(host.content()) == 1
    (host.directory / "hook").unlink()
    assert run(host, 1).status == 0


def test_a_hook_that_hangs_is_killed_with_all_it_started(host: Host) -> None:
    hooked(host, 'sh -c "echo \\$\\$ >child; read x <fifo" & wait', timeout="0.5s")
    os.mkfifo(host.directory / "fifo")
    said = run(host)
    assert said.status == 0
    assert said.err.count("longer than 0.5 s: killed") == 2
    child = int((host.directory / "child").read_text())

    def gone() -> bool:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"

    eventually(gone, "what the hook had started is gone")


# -- metrics -----------------------------------------------------------------------------------


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus's own parser makes of it."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type == "gauge" for family in families)
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in families
        for each in family.samples
    }


def of(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((f"archiver_{name}", tuple(sorted(labels.items()))))


def test_the_file_tells_how_things_stand(host: Host) -> None:
    host.configure(tables='[metrics]\ntextfile = "archiver.prom"\n', targets=("store", "second"))
    file = host.directory / "archiver.prom"
    os.umask(os.umask(0o077))
    host.write(lines(MONDAY, "09:00", "10:00"))
    assert run(host).status == 0
    assert file.stat().st_mode & 0o777 == 0o644
    text = file.read_text()
    then = host.at(after(MONDAY), "00:05")
    assert of(text, "last_success_timestamp_seconds", source="maillog") == then
    # What was before the first run is nobody's duty.
    begins = host.at(after(MONDAY, 2), "00:00")
    assert of(text, "incomplete_since_timestamp_seconds", source="maillog") == begins
    assert of(text, "archived_lines", source="maillog") == 2
    assert of(text, "copies_missing", source="maillog", target="second") == 0
    assert of(text, "last_run_exit_status") == 0
    host.take_away("second")
    host.write(lines(after(MONDAY), "09:00"))
    assert run(host, 24).status == 12
    text = file.read_text()
    assert of(text, "last_run_timestamp_seconds") == then + 24 * 3600
    assert of(text, "last_run_exit_status") == 12
    assert of(text, "last_success_timestamp_seconds", source="maillog") == then, "26 h: alarm"
    assert of(text, "copies_missing", source="maillog", target="second") == 1
    assert (of(text, "problems") or 0) >= 1


def test_every_metric_is_documented(host: Host) -> None:
    host.write(lines(MONDAY, "09:00"))
    run(host)
    names = {name for name, _ in samples(metrics.text(host.config, host.at(after(MONDAY))))}
    documented = set(re.findall(r"`(archiver_[a-z_]+)`", DOCUMENT))
    assert names <= documented
    source = Path(metrics.__file__).read_text()
    assert {name for name in documented if f'"{name.removeprefix("archiver_")}"' not in source} == (
        set()
    )


def test_without_a_run_or_a_catalog_there_are_metrics_too(host: Host) -> None:
    assert of(metrics.text(host.config, 0), "last_run_timestamp_seconds") is None
    host.write(lines(MONDAY, "09:00"))
    run(host)
    host.config.host.catalog.write_bytes(b"novel")
    text = metrics.text(host.config, 0)
    assert of(text, "last_run_exit_status") == 0
    assert of(text, "archives", source="maillog") is None


def test_a_file_that_cannot_be_written_is_a_warning(host: Host) -> None:
    host.configure(tables='[metrics]\ntextfile = "none/archiver.prom"\n')
    said = run(host)
    assert said.status == 0
    assert "archiver.prom was not written: No such file" in said.err


@pytest.fixture
def port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


@pytest.fixture
def served(host: Host, port: int) -> Iterator[Served]:
    host.configure(tables=f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    host.write(lines(MONDAY, "09:00"))
    with Served(host.toml) as one:
        one.logs("scrub: done")
        yield one
        one.signal(signal.SIGTERM)
        assert one.ended() == 0


def got(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text: str = answer.read().decode()
        return text


def test_the_service_answers_whatever_else_comes(host: Host, served: Served, port: int) -> None:
    """Garbage, other paths, and clients that never finish asking: it goes on, and so do others."""
    assert of(got(port), "job_last_exit_status", job="scrub") == 0
    with pytest.raises(HTTPError) as refused:
        got(port, "/etc/passwd")
    assert refused.value.code == 404
    refused.value.close()
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for garbage in (b"\0" * 70_000, b"GET", b"POST /metrics HTTP/1.1\r\n\r\n", b"\r\n\r\n"):
        with closing(socket.create_connection(("127.0.0.1", port))) as channel:
            channel.sendall(garbage)
    assert served.process.poll() is None

    def answered() -> bool:
        try:
            return bool(got(port))
        except OSError:
            time.sleep(0.1)
            return False

    eventually(answered, "those who never ask are shut out", within=30)
    for channel in slow:
        channel.close()
    assert "Traceback" not in served.log
    assert host.content()


def test_it_listens_where_the_configuration_says_now(host: Host, served: Served, port: int) -> None:
    text = host.toml.read_text()
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = taken.getsockname()[1]
        host.toml.write_text(text.replace(f":{port}", f":{other}"))
        served.signal(signal.SIGHUP)
        served.logs(f"cannot serve metrics at 127.0.0.1:{other}")
    with pytest.raises(OSError):
        got(port)
    host.toml.write_text(text)
    served.signal(signal.SIGHUP)
    served.logs(f"metrics at http://127.0.0.1:{port}/metrics", 2)
    assert got(port)
