"""Completion, asked for as a person does: by a real shell."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.world.host import ARCHIVER, Host, command
from tests.world.system import need

SHELLS = ("bash", "zsh", "fish")


def words_of(host: Host, line: str) -> list[str]:
    """What bash offers at the end of a line."""
    script = command("completion", "bash").out.decode()
    words = line.split(" ")
    array = " ".join(f"'{word}'" for word in words)
    ask = f"""
{script}
COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; COMP_LINE='{line}'; COMP_POINT={len(line)}
complete -p archiver >/dev/null || exit 9
function=$(complete -p archiver | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function archiver '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    path = f"{Path(ARCHIVER).parent}:/usr/bin:/bin"
    ended = subprocess.run(
        [need("bash"), "-c", ask],
        capture_output=True,
        check=True,
        env={"PATH": path, "ARCHIVER_CONFIG": str(host.toml)},
        timeout=60,
    )
    assert ended.stderr == b""
    return ended.stdout.decode().split()


@pytest.mark.system
def test_verbs_options_and_names(host: Host) -> None:
    host.configure(sources=("maillog", "authlog"), targets=("store", "second"))
    assert words_of(host, "archiver re") == ["repair", "retention"]
    assert words_of(host, "archiver retention e") == ["expire"]
    assert words_of(host, "archiver run --no") == ["--no-expiry"]
    assert words_of(host, "archiver run --source ") == ["maillog", "authlog"]
    assert words_of(host, "archiver run --source a") == ["authlog"]
    assert words_of(host, "archiver sync --refill ") == ["store", "second"]
    assert words_of(host, "archiver store probe s") == ["store", "second"]


@pytest.mark.system
@pytest.mark.parametrize("text", ["", "[", "\0", "schema = 1"])
def test_what_cannot_be_read_is_passed_over(host: Host, text: str) -> None:
    """Nothing is said in the middle of what is being typed."""
    host.toml.write_text(text)
    assert words_of(host, "archiver run --source ") == []
    assert "run" in words_of(host, "archiver r")
    host.toml.unlink()
    assert words_of(host, "archiver hold release ") == []


@pytest.mark.system
@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_reads_its_script(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(command("completion", shell).out)
    words = [need(shell), "-n", str(script)]
    ended = subprocess.run(words, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_another_shell_is_refused() -> None:
    assert command("completion", "csh").status == 2
    answer = json.loads(command("--json", "completion", "bash").out)
    assert "COMPLETE" in json.dumps(answer["data"])
    assert sys.executable
