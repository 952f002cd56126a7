"""Look at a system, below / or another root: which syslogd, its rules, how it is told to reopen.

The only module here that reads files. Nothing that it finds is an error: what it cannot read or
understand is noted as a doubt.
"""

import glob
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from archiver.setup.syslogconf import classic, rsyslog
from archiver.setup.syslogconf.routes import ConfigLine, MailFile, Route, Rules, Unread, mail_logs

LARGEST = 2**18  # bytes of one file; nobody writes longer ones by hand
RSYSLOG = ("/etc/rsyslog.conf", "/usr/local/etc/rsyslog.conf")
CLASSIC = "/etc/syslog.conf"
OTHERS = ("/etc/syslog-ng/syslog-ng.conf", "/usr/local/etc/syslog-ng.conf")
PID_FILES = {
    "rsyslog": ("/run/rsyslogd.pid", "/var/run/rsyslogd.pid"),
    "FreeBSD syslogd": ("/var/run/syslog.pid",),
    "syslogd": ("/run/syslogd.pid", "/var/run/syslogd.pid", "/run/syslog.pid"),
}
UNITS = {"rsyslog": ("rsyslog",), "syslogd": ("inetutils-syslogd", "syslogd")}
UNIT_DIRECTORIES = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")


@dataclass(frozen=True)
class SyslogConfig:
    """What a system's files say. daemon: "rsyslog", "FreeBSD syslogd", "syslogd"; "": none found.

    root: the directory that was looked at; all other paths are as seen from there. reopen: the
    value for the configuration's key of that name. reopen_why: why that one. host: the machine's
    name; "" if unknown.
    """

    root: str
    daemon: str
    files: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    unread: tuple[Unread, ...] = ()
    reopen: str = ""
    reopen_why: str = ""
    host: str = ""

    @property
    def mail_logs(self) -> tuple[MailFile, ...]:
        """The fewest files that together hold all logged mail, the fullest first."""
        return mail_logs(self.routes)

    @property
    def freebsd(self) -> bool:
        return self.daemon == "FreeBSD syslogd"


def look(root: Path) -> SyslogConfig:
    """Read the configuration of the syslogd below `root`. Never raises for what it finds."""
    return _Look(root).reading()


class _Look:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.rules = Rules()

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str | None:
        """Return a file's text, invalid UTF-8 as surrogates; None: not there, or unreadable."""
        try:
            descriptor = os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError("it is not a plain file")
                content = file.read(LARGEST + 1)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.rules.unread.append(Unread(ConfigLine(path, 1, ""), f"cannot be read: {reason}"))
            return None
        if len(content) > LARGEST:
            self.rules.unread.append(
                Unread(
                    ConfigLine(path, 1, ""),
                    f"is longer than {LARGEST} bytes; the rest was not read",
                )
            )
        return content[:LARGEST].decode("utf-8", errors="surrogateescape").replace("\r\n", "\n")

    def matching(self, pattern: str) -> list[tuple[str, str]]:
        """Return name and text of the files of a pattern, sorted by name, as rsyslog does."""
        if not pattern.startswith("/") or "\0" in pattern:
            return []
        pattern += "*" if pattern.endswith("/") else ""
        found = sorted(glob.glob(glob.escape(str(self.root)).rstrip("/") + pattern))
        names = ["/" + os.path.relpath(each, self.root) for each in found if os.path.isfile(each)]
        return [(name, text) for name in names if (text := self.text(name)) is not None]

    def in_directory(self, directory: str) -> list[tuple[str, str]]:
        return self.matching(directory.rstrip("/") + "/*.conf")

    # -- which syslogd ---------------------------------------------------------------------

    def reading(self) -> SyslogConfig:
        files = [path for path in (*RSYSLOG, CLASSIC) if os.path.lexists(self.at(path))]
        daemon = ""
        for path in self.by_what_runs(files):
            text = self.text(path)
            if text is None:
                continue
            daemon = "rsyslog" if path in RSYSLOG else self.flavour(text)
            if daemon == "rsyslog":
                rsyslog.read(path, text, self.rules, self.matching)
            else:
                self.classic(path, text, bsd=daemon == "FreeBSD syslogd")
            break
        else:
            for path in OTHERS:
                if os.path.lexists(self.at(path)):
                    self.rules.unread.append(
                        Unread(
                            ConfigLine(path, 1, ""), "syslog-ng's configuration cannot be read here"
                        )
                    )
        reopen, reopen_why = self.reopen(daemon) if daemon else ("", "")
        return SyslogConfig(
            str(self.root),
            daemon,
            tuple(self.rules.files),
            tuple(self.rules.routes),
            tuple(self.rules.unread),
            reopen,
            reopen_why,
            self.host(),
        )

    def by_what_runs(self, files: list[str]) -> list[str]:
        """Order the files by which syslogd runs: a machine that changed its syslogd has both."""
        if CLASSIC not in files or len(files) == 1:
            return files
        classic_pids = (*PID_FILES["FreeBSD syslogd"], *PID_FILES["syslogd"])
        runs_rsyslog = self.first(PID_FILES["rsyslog"]) or self.unit("rsyslog")
        if not runs_rsyslog and self.first(classic_pids):
            files = [CLASSIC]
        chosen = files[0]
        for path in {*RSYSLOG, CLASSIC} - {chosen}:
            if os.path.lexists(self.at(path)):
                reason = f"was not read: {chosen} seems to be the one in use"
                self.rules.unread.append(Unread(ConfigLine(path, 1, ""), reason))
        return files

    def flavour(self, text: str) -> str:
        bsd = any(
            self.at(path).exists() for path in ("bin/freebsd-version", "etc/defaults/rc.conf")
        )
        return "FreeBSD syslogd" if bsd or "$FreeBSD" in text else "syslogd"

    def classic(self, path: str, text: str, *, bsd: bool) -> None:
        classic.read(path, text, self.rules, self.in_directory, bsd=bsd)
        if bsd:
            return  # on FreeBSD, the file itself names what it includes
        for name, more in self.matching("/etc/syslog.d/*"):  # inetutils' --rcdir
            classic.read(name, more, self.rules, None, bsd=False)

    # -- how it is told to reopen -----------------------------------------------------------------

    def reopen(self, daemon: str) -> tuple[str, str]:
        unit = self.unit(daemon)
        if unit and self.at("run/systemd/system").is_dir():
            return f"systemctl:{unit}", f"systemd runs, and has {unit}.service"
        pids = PID_FILES[daemon]
        if pid_file := self.first(pids):
            return f"pidfile:{pid_file}", "this file exists"
        if unit:
            return f"systemctl:{unit}", f"there is {unit}.service"
        return f"pidfile:{pids[0]}", f"the usual one of {daemon}; the file does not exist now"

    def unit(self, daemon: str) -> str:
        for unit in UNITS.get(daemon, ()):
            if any(self.at(f"{d}/{unit}.service").exists() for d in UNIT_DIRECTORIES):
                return unit
        return ""

    def first(self, paths: tuple[str, ...]) -> str:
        """Return the first that exists. /var/run is often an absolute link to /run, which below
        another root would lead out of that root.
        """
        linked = self.at("var/run").is_symlink()
        for path in paths:
            inside = path.removeprefix("/var") if linked else path
            if self.at(inside).exists():
                return path
        return ""

    def host(self) -> str:
        """Return the machine's name; "": no file has it."""
        if self.root == Path("/"):
            return socket.gethostname()
        text = self.text("/etc/hostname") or ""
        if name := text.strip():
            return name
        found = re.search(r"(?m)^hostname=[\"']?([\w.-]+)", self.text("/etc/rc.conf") or "")
        return found[1] if found else ""
