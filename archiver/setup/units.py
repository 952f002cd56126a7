"""The files that install the archiver as a service.

Each is made from a text in `archiver/setup/shipped`, with the paths of this program and of its
configuration put in place of the usual ones. The last line is a digest of all lines before it: it
shows whether somebody has edited an installed file, whatever version it is from.

Nothing here writes: `cli.service` does.
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
    """One file. name: in `archiver/setup/shipped`. path: where it is installed, below --root."""

    name: str
    path: str
    mode: int = 0o644


@dataclass(frozen=True)
class Kind:
    """One way to run the archiver. files: the last one starts it, the others prepare for that.

    config: the configuration's path in the shipped texts. begin, end: the commands that an
    administrator types after installing the files, and after removing them.
    """

    name: str
    config: str
    files: tuple[Shipped, ...]
    begin: tuple[str, ...]
    end: tuple[str, ...]

    def texts(self, program: str, config: str) -> list[tuple[Shipped, str]]:
        """Return each file with its text, digest line included.

        program, config: the paths to put in.
        """
        return [(file, signed(self._text(file, program, config))) for file in self.files]

    def _text(self, shipped: Shipped, program: str, config: str) -> str:
        source = importlib.resources.files("archiver.setup").joinpath("shipped", shipped.name)
        usual = {PROGRAM: program, self.config: config}
        # In one pass: what replaces one of them may contain the other.
        either = re.compile("|".join(map(re.escape, usual)))
        return either.sub(lambda found: usual[found[0]], source.read_text("utf-8"))


ETC = "/etc/systemd/system"
SYSTEMD_COMMON = (
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
            (*SYSTEMD_COMMON, Shipped("archiver.service", f"{ETC}/archiver.service")),
            (*PREPARE, RELOAD, "systemctl enable --now archiver.service"),
            (RELOAD,),
        ),
        Kind(
            "timer",
            LINUX,
            (
                *SYSTEMD_COMMON,
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
    """Add the line that shows whether somebody has edited the text since."""
    return f"{text}{DIGEST}{hashlib.sha256(text.encode()).hexdigest()}\n"


def is_ours(content: bytes) -> bool:
    """Whether a file is unchanged since `signed` made it, in this version or another."""
    text, found, digest = content.rpartition(DIGEST.encode())
    return bool(found) and digest == f"{hashlib.sha256(text).hexdigest()}\n".encode()


def place(root: Path, shipped: Shipped) -> Path:
    """Return where a file is installed below `root`."""
    return root / shipped.path.lstrip("/")
