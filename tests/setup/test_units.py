"""What is installed is what the system expects, and nothing that somebody has edited is touched."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from archiver.setup.units import KINDS, PROGRAM, is_ours, place, signed
from tests import TOP
from tests.world.host import Said, command
from tests.world.system import need

UNITS = ("archiver.service", "archiver-run.service")


def service(root: Path, *words: str) -> Said:
    return command("service", *words, "--root", root)


def installed(root: Path, kind: str, program: str = "/usr/bin/true") -> dict[str, Path]:
    """Install a kind, and return its files by their names."""
    said = service(root, "install", f"--{kind}", "--program", program)
    assert (said.status, said.err) == (0, "")
    return {each.name: place(root, each) for each in KINDS[kind].files}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_installed_once_and_taken_away_whole(tmp_path: Path, kind: str) -> None:
    """Twice changes nothing; nothing is left; the commands to give next are told."""
    paths = installed(tmp_path, kind, "/opt/archiver/bin/archiver")
    first = {path: (path.read_bytes(), path.stat().st_ino) for path in paths.values()}
    again = service(tmp_path, "install", f"--{kind}", "--program", "/opt/archiver/bin/archiver")
    assert (again.status, again.out.count(b"unchanged")) == (0, len(paths))
    assert first == {path: (path.read_bytes(), path.stat().st_ino) for path in paths.values()}
    assert all(each.encode() in again.out for each in KINDS[kind].begin)
    assert all(PROGRAM not in path.read_text() for path in paths.values())
    for each in KINDS[kind].files:
        assert place(tmp_path, each).stat().st_mode & 0o777 == each.mode
    gone = service(tmp_path, "uninstall", f"--{kind}")
    assert (gone.status, [path for path in tmp_path.rglob("*") if path.is_file()]) == (0, [])
    assert service(tmp_path, "uninstall", f"--{kind}").out == b"nothing is installed\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["install", "uninstall"])
def test_what_was_edited_is_left_alone_and_all_else_too(
    tmp_path: Path, kind: str, word: str
) -> None:
    program = ("--program", "/usr/bin/true") if word == "install" else ()
    for name, path in installed(tmp_path, kind).items():
        good = path.read_bytes()
        for edited in (good.replace(b"archiver", b"archivist", 1), good + b"#\n", b"", good[:-70]):
            path.write_bytes(edited)
            before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
            said = service(tmp_path, word, f"--{kind}", *program)
            assert (said.status, str(path) in said.err) == (2, True), name
            assert before == {
                each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()
            }
        path.write_bytes(good)


def test_a_file_of_another_version_is_replaced(tmp_path: Path) -> None:
    path = installed(tmp_path, "systemd")["archiver.service"]
    new = path.read_bytes()
    path.write_text(signed("[Unit]\nDescription=of old\n"))
    assert installed(tmp_path, "systemd")["archiver.service"].read_bytes() == new


def test_a_link_in_a_file_s_place_is_not_followed(tmp_path: Path) -> None:
    path = installed(tmp_path, "systemd")["archiver.service"]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert service(tmp_path, "install", "--systemd", "--program", "/usr/bin/true").status == 2
    assert service(tmp_path, "uninstall", "--systemd").status == 2
    assert path.is_symlink()


def test_what_the_timer_needs_stays(tmp_path: Path) -> None:
    timer = installed(tmp_path, "timer")
    installed(tmp_path, "systemd")
    assert service(tmp_path, "uninstall", "--systemd").status == 0
    assert all(path.exists() for path in timer.values())
    assert not (tmp_path / "etc/systemd/system/archiver.service").exists()


def test_an_enabled_unit_is_not_taken_away(tmp_path: Path) -> None:
    """A link without its unit is told of at each boot."""
    path = installed(tmp_path, "systemd")["archiver.service"]
    wants = path.parent / "multi-user.target.wants" / path.name
    wants.parent.mkdir()
    wants.symlink_to(path)
    said = service(tmp_path, "uninstall", "--systemd")
    assert (said.status, path.exists()) == (2, True)
    assert "systemctl disable --now archiver.service" in said.err
    wants.unlink()
    assert service(tmp_path, "uninstall", "--systemd").status == 0


def test_another_configuration_and_program_are_named_in_it(tmp_path: Path) -> None:
    words = ("service", "install", "--systemd", "--print", "--root", tmp_path)
    said = command("-c", "/srv/a.toml", *words, "--program", "/opt/a")
    assert b"ExecStart=/opt/a -c /srv/a.toml serve\n" in said.out
    odd = f"{PROGRAM}.toml"  # what is named like the usual program stays what it is
    said = command("-c", odd, *words, "--program", "/opt/a")
    assert f"ExecStart=/opt/a -c {odd} serve\n".encode() in said.out
    assert list(tmp_path.iterdir()) == []
    for bad in ("relative", "/with blank", "/with%percent", "/with\nline", "/$HOME/a"):
        assert command(*words, "--program", bad).status == 2, bad


def test_a_program_that_the_service_could_not_see_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, pipx installs below /root, which ProtectHome= hides."""
    monkeypatch.setattr(sys, "prefix", "/root/.local/share/pipx/venvs/maillog-archiver")
    said = service(tmp_path, "install", "--systemd")
    assert (said.status, "the service cannot see" in said.err) == (2, True)
    assert service(tmp_path, "install", "--rcd").status == 0


def test_only_whole_texts_of_ours_are_ours() -> None:
    text = signed("a\n").encode()
    assert is_ours(text)
    assert not any(is_ours(each) for each in (b"", b"a\n", text[1:], text + b"\n", text[:-1]))


# -- systemd's own opinion -----------------------------------------------------------------


@pytest.mark.system
@pytest.mark.parametrize("kind", ["systemd", "timer"])
def test_systemd_understands_every_line(tmp_path: Path, kind: str) -> None:
    paths = installed(tmp_path, kind)
    units = [str(path) for path in paths.values() if path.suffix in {".service", ".timer"}]
    told = subprocess.run(
        [need("systemd-analyze"), "verify", "--recursive-errors=no", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.system
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_hardly_exposed(unit: str) -> None:
    """At most 2.5 by systemd's own measure."""
    told = subprocess.run(
        [
            need("systemd-analyze"),
            "security",
            "--offline=true",
            "--threshold=25",
            "--no-pager",
            str(TOP / "archiver/setup/shipped" / unit),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-300:]
    assert float(re.findall(r"exposure level for \S+: ([\d.]+)", told.stdout)[0]) <= 2.5


def test_both_units_have_one_sandbox() -> None:
    """From User= to the credentials."""
    both = [(TOP / "archiver/setup/shipped" / unit).read_text() for unit in UNITS]
    found = [
        re.findall(r"^User=.*?(?=\n\n\[Install\]|\n\Z)", t, re.DOTALL | re.MULTILINE) for t in both
    ]
    assert len(found[0][0].splitlines()) > 40
    assert found[0] == found[1]


# -- the wheel -----------------------------------------------------------------------------


def test_the_wheel_has_every_file(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, here)
    shutil.copytree(
        TOP / "archiver", here / "archiver", ignore=shutil.ignore_patterns("__pycache__")
    )
    words = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([sys.executable, *words, tmp_path, here], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {
        f"archiver/setup/shipped/{path.name}" for path in (TOP / "archiver/setup/shipped").iterdir()
    }
    assert len(wanted) == 7
    assert wanted <= set(names)
