"""README's way to install it, word by word, on a machine that has seen nothing of it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import TOP
from tests.world.system import need

# What pip needs of the surroundings; a new user has a registry, too.
KEPT = re.compile(r"PIP_\w+|\w+_proxy|\w+_PROXY|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|DEBIAN_FRONTEND")


def story() -> str:
    """The commands for Debian, as they stand there."""
    install = (TOP / "README.md").read_text().partition("\n## Install\n")[2]
    blocks: list[str] = re.findall(r"(?s)```sh\n(.*?)```", install.partition("\n## ")[0])
    (commands,) = blocks
    return commands


@pytest.mark.system
def test_a_new_user_follows_the_readme(tmp_path: Path) -> None:
    """From nothing to lines that come back, with a real rsyslogd, and none of this checkout."""
    for program in ("rsyslogd", "pipx", "unshare"):
        need(program)
    checkout = tmp_path / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (TOP / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_bytes((TOP / name).read_bytes())
    commands = tmp_path / "story.sh"
    commands.write_text(story())
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        **{key: value for key, value in os.environ.items() if KEPT.fullmatch(key)},
    }
    ended = subprocess.run(
        [
            "unshare",
            "-mpf",
            "--kill-child",
            "sh",
            TOP / "tests/whole/bare_root.sh",
            tmp_path,
            checkout,
            commands,
        ],
        env=environment,
        check=False,
        timeout=500,
        capture_output=True,
    )
    said = (tmp_path / "said").read_text(errors="replace") if (tmp_path / "said").exists() else ""
    assert ended.returncode == 0, f"{said}\n{ended.stderr.decode()}"
    left = tmp_path / "story"
    toml = (left / "archiver.toml").read_text()
    assert 'path = "/var/log/mail.log"' in toml, "what rsyslog.conf says"
    assert "enable --now archiver.service" in (left / "systemctl").read_text()
    assert "archiver.service" in (left / "units").read_text()
    fetched = (left / "fetched").read_text().splitlines()
    ours = [line for line in fetched if "postfix/qmgr" in line]
    assert [line.partition("qmgr: ")[2] for line in ours] == [
        "a mail of a new user",
        "and another one",
    ]
