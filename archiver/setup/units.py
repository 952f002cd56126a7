"""The files that make the service part of a system, as they are installed.

Each is a text in `archiver/setup/shipped`, in which the program and the configuration take the
place of the usual ones. Its last line is a digest of all before it: so an installed file that
somebody has edited is told from one of ours, of whatever version.

Pure: nothing here writes. `cli.service` does.
"""

import hashlib
import importlib.resources
import re
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "/usr/local/bin/archiver"
DIGEST = "# archiver service install: sha256 "


@dataclass(frozen=True)
class Shipped:
    """One file. name: in `archiver/setup/shipped`. path: where it goes, below --root."""

    name: str
    path: str
    mode: int = 0o644


@dataclass(frozen=True)
class Kind:
    """One way to be run. files: the last is what the others are for.

    config: what stands in the texts. begin, end: what an administrator types afterwards.
    """

    name: str
    config: str
    files: tuple[Shipped, ...]
    begin: tuple[str, ...]
    end: tuple[str, ...]

    def texts(self, program: str, config: str) -> list[tuple[Shipped, str]]:
        """Return each file with its text, digest and all."""
        return [(each, signed(self._text(each, program, config))) for each in self.files]

    def _text(self, shipped: Shipped, program: str, config: str) -> str:
        source = importlib.resources.files("archiver.setup").joinpath("shipped", shipped.name)
        usual = {PROGRAM: program, self.config: config}
        # All at once: the one may stand in the other.
        either = re.compile("|".join(map(re.escape, usual)))
        return either.sub(lambda found: usual[found[0]], source.read_text("utf-8"))


ETC = "/etc/systemd/system"
BESIDES = (
    Shipped("sysusers.conf", "/etc/sysusers.d/archiver.conf"),
    Shipped("tmpfiles.conf", "/etc/tmpfiles.d/archiver.conf"),
)
PREPARE = ("systemd-sysusers archiver.conf", "systemd-tmpfiles --create archiver.conf")
RELOAD = "systemctl daemon-reload"
LINUX, FREEBSD = "/etc/archiver/archiver.toml", "/usr/local/etc/archiver/archiver.toml"
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "systemd",
            LINUX,
            (*BESIDES, Shipped("archiver.service", f"{ETC}/archiver.service")),
            (*PREPARE, RELOAD, "systemctl enable --now archiver.service"),
            (RELOAD,),
        ),
        Kind(
            "timer",
            LINUX,
            (
                *BESIDES,
                Shipped("archiver-run.service", f"{ETC}/archiver-run.service"),
                Shipped("archiver-run.timer", f"{ETC}/archiver-run.timer"),
            ),
            (*PREPARE, RELOAD, "systemctl enable --now archiver-run.timer"),
            (RELOAD,),
        ),
        Kind(
            "rcd",
            FREEBSD,
            (
                Shipped("periodic.sh", "/usr/local/etc/periodic/daily/400.archiver", 0o755),
                Shipped("rcd.sh", "/usr/local/etc/rc.d/archiver", 0o755),
            ),
            (
                "sysrc archiver_enable=YES",
                "sysrc -f /etc/periodic.conf daily_status_archiver_enable=YES",
                "service archiver start",
            ),
            (
                "sysrc -x archiver_enable",
                "sysrc -f /etc/periodic.conf -x daily_status_archiver_enable",
            ),
        ),
    )
}


def signed(text: str) -> str:
    """Add the line that tells whether somebody has edited the text."""
    return f"{text}{DIGEST}{hashlib.sha256(text.encode()).hexdigest()}\n"


def is_ours(content: bytes) -> bool:
    """Whether a file is as `signed` made it, in this version or another."""
    text, found, digest = content.rpartition(DIGEST.encode())
    return bool(found) and digest == f"{hashlib.sha256(text).hexdigest()}\n".encode()


def place(root: Path, shipped: Shipped) -> Path:
    return root / shipped.path.lstrip("/")
