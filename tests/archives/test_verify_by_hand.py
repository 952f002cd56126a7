"""What docs/format.md says to type, twenty years on, without this program: it works."""

import re
import subprocess

import pytest

from tests import TOP
from tests.world.host import MONDAY, Host, after, flip, lines
from tests.world.system import need

PAGE = (TOP / "docs/format.md").read_text(encoding="utf-8")
# Two of them: one for jq, and one for machines that have Python only.
CHAIN = re.findall(r"^\$ cat chain\.sh\n(.*?)^\$ sh chain\.sh$", PAGE, re.MULTILINE | re.DOTALL)
LOOPS = [
    re.sub(r"^[$>] ", "", loop, flags=re.MULTILINE)
    for loop in re.findall(r"^\$ for [am] in date.*\n(?:> .*\n)+", PAGE, re.MULTILINE)
]

pytestmark = pytest.mark.system


@pytest.fixture
def host(host: Host) -> Host:
    """A host that has archived a day, one without a line, and another day."""
    for program in ("jq", "zstd", "sha256sum", "python3"):
        need(program)
    for ahead in range(4):
        if ahead in {0, 3}:
            host.write(lines(after(MONDAY, ahead), "09:00:00", "21:00:00"))
        assert host.night(after(MONDAY, ahead + 1)).exit_status == 0
    return host


def typed(host: Host, script: str) -> list[str]:
    """Return the verdicts that a shell gives where the page says to type it."""
    where = host.store / "host=mx1/source=maillog"
    done = subprocess.run(
        ["sh", "-c", script], cwd=where, capture_output=True, text=True, check=False
    )
    return re.findall(r"^(?:ok|BROKEN|BAD|head)|(?:OK|FAILED)$", done.stdout, re.MULTILINE)


def test_the_page_has_them_all() -> None:
    """Two ways to check the chain, and two loops over the archives."""
    assert (len(CHAIN), len(LOOPS)) == (2, 2)


@pytest.mark.parametrize("script", CHAIN, ids=["jq", "json.tool"])
def test_the_chain(host: Host, script: str) -> None:
    """Whole it is ok; a manifest that was changed or taken out breaks it at the next one."""
    assert typed(host, script) == ["ok", "ok", "ok", "head"]
    second = host.store / host.manifests()[1].manifest_key
    sound = second.read_bytes()
    second.chmod(0o640)
    second.write_bytes(sound.replace(b'"lines": 0', b'"lines": 1'))
    assert typed(host, script) == ["ok", "ok", "BROKEN", "head"]
    second.unlink()
    assert typed(host, script) == ["ok", "BROKEN", "head"]


@pytest.mark.parametrize("number", [0, 1], ids=["as stored", "as logged"])
def test_the_digests(host: Host, number: int) -> None:
    """Of the archives as stored, and of the logs that they give back; a flipped bit shows."""
    sound, damaged = [("OK", "FAILED"), ("ok", "BAD")][number]
    assert typed(host, LOOPS[number]) == [sound, sound]
    flip(host.store / host.manifests()[0].archive_key, 40)
    assert typed(host, LOOPS[number]) == [damaged, sound]
