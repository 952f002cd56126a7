"""Where a run is struck: which system calls, and what each of them may answer.

Pure. A point is (name, k), as strace's `when=` counts: the k-th call of that name of
whichever thread comes to it first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.whole.crash.trace import Call


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A directory's entries change: the steps of every protocol. None of these is ever left out.
STEPS = words("link linkat mkdir mkdirat rename renameat renameat2 rmdir symlink unlink unlinkat")
# These change a file, make it durable, or lock or signal somebody.
CHANGES = STEPS | words(
    "chmod chown copy_file_range fallocate fchmod fchmodat fchown fchownat fdatasync flock fsync "
    "ftruncate kill pwrite64 pwritev sendfile truncate utimensat write writev"
)

# What the manual pages list, of "full", "broken" and "forbidden" (or their nearest).
FULL, BROKEN, FORBIDDEN = "ENOSPC", "EIO", "EACCES"
ERRORS = {
    "access": (FORBIDDEN,),
    "chdir": (FORBIDDEN,),
    "chmod": (BROKEN, FORBIDDEN),
    "copy_file_range": (FULL, BROKEN),
    "execve": (FORBIDDEN,),
    "fallocate": (FULL, BROKEN),
    "fchmod": (BROKEN,),
    "fchown": (BROKEN,),
    "fdatasync": (FULL, BROKEN),
    "flock": ("ENOLCK",),
    "fsync": (FULL, BROKEN),
    "ftruncate": (BROKEN,),
    "getdents64": (BROKEN,),
    "kill": ("EPERM",),
    "link": (FULL, BROKEN, FORBIDDEN),
    "linkat": (FULL, BROKEN, FORBIDDEN),
    "lstat": (FORBIDDEN,),
    "mkdir": (FULL, BROKEN, FORBIDDEN),
    "mkdirat": (FULL, BROKEN, FORBIDDEN),
    "newfstatat": (FORBIDDEN,),
    "openat": (BROKEN, FORBIDDEN),
    "pread64": (BROKEN,),
    "pwrite64": (FULL, BROKEN),
    "read": (BROKEN,),
    "readlink": (BROKEN, FORBIDDEN),
    "readlinkat": (BROKEN, FORBIDDEN),
    "rename": (FULL, BROKEN, FORBIDDEN),
    "renameat": (FULL, BROKEN, FORBIDDEN),
    "renameat2": (FULL, BROKEN, FORBIDDEN),
    "rmdir": (BROKEN, FORBIDDEN),
    "sendfile": (BROKEN,),
    "stat": (FORBIDDEN,),
    "statfs": (BROKEN, FORBIDDEN),
    "statx": (FORBIDDEN,),
    "unlink": (BROKEN, FORBIDDEN),
    "unlinkat": (BROKEN, FORBIDDEN),
    "utimensat": (FORBIDDEN,),
    "write": (FULL, BROKEN),
}
# Calls that no disk and no permission makes fail; to let them fail would test Python and libc.
CANNOT_FAIL = {
    "no I/O, or only of this process's own memory": "brk clock_nanosleep futex getcwd madvise mmap "
    "mprotect mremap munmap rseq sched_getaffinity sched_yield set_robust_list getrandom",
    "asks who we are": "getegid geteuid getgid getpgid getpid getppid gettid getuid geteuid uname "
    "sysinfo prlimit64 getrlimit getrusage umask times",
    "signals and threads of our own": "clone clone3 exit exit_group pidfd_open prctl "
    "rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigtimedwait restart_syscall tgkill "
    "vfork fork wait4 waitid setpgid setsid arch_prctl set_tid_address sigaltstack",
    "on Linux the file is closed even if close(2) says EIO; injected, it would stay open": "close "
    "close_range",
    "a name service, which need not be there": "bind connect recvfrom recvmsg sendto sendmmsg "
    "setsockopt socket",
    "of an open descriptor, without I/O": "dup dup2 dup3 fadvise64 fstat ioctl lseek pipe pipe2 "
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait eventfd2",
}
SPARED = words(" ".join(CANNOT_FAIL.values()))
# Nothing of the archiver's: what Python, the C library and the zones are made of.
FOREIGN = ("/lib/", "/lib64/", "/usr/", "/etc/", "site-packages", "zoneinfo", "/proc/self/")
# Of all the questions fcntl(2) asks, only these can be refused.
LOCKS = ("F_SETLEASE", "F_SETLK", "F_OFD_SETLK")


@dataclass(frozen=True)
class Point:
    """The k-th call of a name; `call` is the one that the baseline met there."""

    name: str
    k: int
    call: Call

    def __str__(self) -> str:
        return f"{self.name}:{self.k}"

    @property
    def changes(self) -> bool:
        if not self.call.ok:
            return False
        if self.name == "openat":
            return "O_CREAT" in self.call.args
        if self.name == "fcntl":
            return "F_SETLEASE" in self.call.args
        return self.name in CHANGES


def points(calls: Iterable[Call]) -> list[Point]:
    """Return every place where these calls can be struck, in their order."""
    found: dict[tuple[str, int], Point] = {}
    for call in calls:
        found.setdefault((call.name, call.k), Point(call.name, call.k, call))
    return list(found.values())


def shadowed(calls: Sequence[Call]) -> int:
    """How many calls cannot be struck: another thread comes first to that (name, k)."""
    return len(calls) - len(points(calls))


def reduced(every: Sequence[Point], limit: int) -> list[Point]:
    """Return about `limit` of the points that change something, all STEPS among them."""
    changing = [point for point in every if point.changes]
    steps = [point for point in changing if point.name in STEPS]
    others = [point for point in changing if point.name not in STEPS]
    room = min(max(limit - len(steps), 0), len(others))
    chosen = {*steps, *(others[n * len(others) // room] for n in range(room))}
    return [point for point in changing if point in chosen]


def errors(point: Point) -> tuple[str, ...]:
    """Return the errors that this call may meet on a bad day.

    Raises: ValueError: nobody has said so far what this call may answer.
    """
    call = point.call
    if point.name in SPARED or any(part in path for path in call.paths for part in FOREIGN):
        return ()
    if point.name == "fcntl":
        return (FORBIDDEN,) if any(lock in call.args for lock in LOCKS) else ()
    if point.name == "newfstatat" and "AT_EMPTY_PATH" in call.args:
        return ()
    if point.name not in ERRORS:
        raise ValueError(f"say in {__name__} how {point.name} may fail: {call}")
    if point.name == "openat" and "O_CREAT" in call.args:
        return (FULL, *ERRORS["openat"])
    return ERRORS[point.name]
