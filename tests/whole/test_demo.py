"""The demonstration: what it claims holds, it can be repeated, and it takes nobody's place."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from archiver.setup.demo import play
from tests.world.host import ARCHIVER, Said, command, tree


def demo(*words: str | Path) -> Said:
    ended = subprocess.run(
        [ARCHIVER, "demo", *words], capture_output=True, timeout=120, check=False
    )
    return Said(ended.returncode, ended.stdout, ended.stderr.decode())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """The demonstration, played once for all of these tests."""
    directory = tmp_path_factory.mktemp("demo") / "of archiver"
    return directory, demo(directory)


def test_it_plays(played: tuple[Path, Said]) -> None:
    """0, in a directory that it makes, and it says what it does."""
    directory, said = played
    assert (said.status, said.err) == (0, "")
    told = said.out.decode()
    for step in range(1, 6):
        assert re.search(rf"^{step}\. ", told, re.MULTILINE)
    assert f"Everything is in {directory}" in told
    assert (directory / ".archiver-demo").exists()


def test_what_it_claims_holds(played: tuple[Path, Said]) -> None:
    """Thirty days and a piece of 2004 are archived, and lines in archives and log are unbroken."""
    directory, said = played
    told = said.out.decode()
    toml = directory / "archiver.toml"
    stored = {path.name for path in directory.glob("store/*/*/date=*")}
    assert len(stored) >= 31
    assert "date=2004-08-16" in stored
    claimed = re.search(r"(\d+) lines from two archives and the live log", told)
    assert claimed
    days = re.search(r"fetch --date (\S+) \| tail", told)
    assert days
    lines = command("-c", toml, "fetch", "--date", days[1]).out.splitlines()
    numbers = [int(line.rsplit(b" ", 1)[1]) for line in lines]
    assert list(range(1, len(numbers) + 1)) == numbers
    assert len(numbers) >= int(claimed[1])
    assert "(exit status 5)" in told


def test_what_it_leaves_is_whole(played: tuple[Path, Said]) -> None:
    """The flipped byte is flipped back; nothing waits; its writer has ended."""
    directory, _ = played
    toml = directory / "archiver.toml"
    said = command("-c", toml, "fetch", "--date", "2000-01-01..today")
    assert said.status == 0
    assert [row for row in said.err.splitlines() if "had to be destroyed" in row]
    assert command("-c", toml, "repair").status == 0
    assert command("-c", toml, "status").status == 0
    assert os.listdir(directory / "spool/maillog") == []
    pid = int((directory / "syslogd.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_it_says_to_try_next_works(played: tuple[Path, Said]) -> None:
    """Every command it names, as a shell would run it."""
    directory, said = played
    _, _, following = said.out.decode().partition("Try next:\n")
    assert following.strip()
    for words in following.strip().splitlines():
        done = subprocess.run(words, shell=True, capture_output=True, check=False)  # noqa: S602
        assert (done.returncode, done.stderr) == (0, b""), words
    assert directory.exists()


def test_a_second_time(played: tuple[Path, Said], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the directory of the first: made anew, as if it were the first."""
    monkeypatch.setattr(play, "DAYS", 24)
    directory, _ = played
    said = command("demo", directory)
    assert (said.status, said.err) == (0, "")
    assert len(list(directory.glob("store/*/*/date=*"))) < 30


def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    """2, and nothing there is touched; an empty one is welcome to it."""
    (tmp_path / "mine").write_bytes(b"mine")
    before = tree(tmp_path)
    said = command("demo", tmp_path)
    assert said.status == 2
    assert "not empty" in said.err
    assert before == tree(tmp_path)
    said = command("demo", tmp_path / "mine")
    assert said.status in {2, 3}
    assert before == tree(tmp_path)


def test_it_notices_when_it_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that does not hold ends it: here no byte is flipped, so there is no damage."""
    monkeypatch.setattr(play, "DAYS", 3)
    monkeypatch.setattr(play, "_flip_a_byte", lambda _: None)
    said = command("demo", tmp_path / "demo")
    assert said.status == 1
    assert re.search(r"`fetch --date \S+` ended with exit status 0, not 5", said.err)
