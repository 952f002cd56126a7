"""What can go wrong, what it means for the log, and what to try.

    ArchiverError            1  unexpected
    ├── UsageError           2  the command line cannot be carried out
    ├── WorkKeptError        3  a step failed; everything is kept, the next run goes on
    │   ├── DiskError        3  the system refused a file operation
    │   ├── ClockError       3  the clock is wrong, or may be
    │   ├── IndexFailedError 3  an index could not be made, or is damaged; nothing needs it
    │   ├── MovedAsideError  3  the log was taken away while it was being rotated
    │   ├── JobError         3  a job of the service hung, or was ended from outside
    │   ├── NewerVersionError 3 a newer version of this program wrote it
    │   ├── HookError        3  a hook failed; the job it ran beside did not
    │   └── NotToldError     3  a mail, ping, webhook or metric was not delivered
    ├── NotFoundError        4  nothing is stored for what was asked
    │   ├── LogMissingError  4  a configured log does not exist
    │   ├── SyslogDoubtError 4  it is unclear where mail is logged; only ever a warning
    │   └── ExpiredError     4  it was archived, and then destroyed: its retention is over
    ├── IntegrityError       5  stored bytes have changed; never retried
    │   ├── SpoolDamagedError 5 a sealed archive in the spool has changed since
    │   ├── ChainError       5  a manifest that the chain needs cannot be read
    │   └── DamagedInputError 5 a file to import cannot be read to its end
    ├── RefusedError         6  retention, a hold or a lock forbids it
    │   └── LockedError      6  a lock or a hold on the store does
    ├── ConfigError         10  the configuration cannot be used (every problem at once)
    │   ├── UnsafeLogError  10  the log, or the directory it lies in, could be a trap
    │   └── SecondRotatorError 10 another program rotates the log, too
    ├── LockHeldError       11  another archiver is at work
    ├── StoreError          12  a store could not be reached; retried by the next run
    │   ├── StoreAwayError  12  a store that had archives is empty: not mounted
    │   ├── StoreRefusedError 12 a store answers, and refuses: bucket, credentials, clock
    │   └── ColdError       12  an object must be restored before it can be read
    ├── ReopenError         13  the writer could not be told to reopen its log
    │   └── WriterHoldsError 13 the writer got the signal, and keeps the old file open
    ├── NoSpaceError        14  a disk is full
    └── InterruptedRunError 130 a person or the system stopped the command

Each class is one kind of failure with one exit status, so that a script can tell
them apart. Every error carries a `hint`: the operator's next step.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import overload


class ArchiverError(Exception):
    """A failure that an operator can meet.

    message: what happened, and to what. hint: what to try. key: of the stored object that it is
    about, if it is about one.
    """

    exit_status = 1
    code = "unexpected"
    retryable = False
    key = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ArchiverError):
    exit_status = 2
    code = "usage"


class WorkKeptError(ArchiverError):
    exit_status = 3
    code = "work_kept"
    retryable = True


class DiskError(WorkKeptError):
    code = "disk"


class ClockError(WorkKeptError):
    code = "clock"


class IndexFailedError(WorkKeptError):
    """Without an index, a search reads a whole archive instead of some kilobytes of it."""

    code = "index_failed"


class MovedAsideError(WorkKeptError):
    code = "moved_aside"


class JobError(WorkKeptError):
    code = "job"


class NewerVersionError(WorkKeptError):
    """Nothing is damaged, and waiting does not help: the program has to be upgraded."""

    code = "newer_version"
    retryable = False

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} was written by a newer version of archiver",
            hint="install that version here, too: `archiver --version` says which one this is",
        )


class HookError(WorkKeptError):
    code = "hook"


class NotToldError(WorkKeptError):
    code = "not_told"


class NotFoundError(ArchiverError):
    exit_status = 4
    code = "not_found"


class LogMissingError(NotFoundError):
    code = "log_missing"


class SyslogDoubtError(NotFoundError):
    code = "syslog_doubt"


class ExpiredError(NotFoundError):
    """The ledger records what was destroyed, and by what authority."""

    code = "expired"


class IntegrityError(ArchiverError):
    exit_status = 5
    code = "integrity"


class SpoolDamagedError(IntegrityError):
    code = "spool_damaged"


class ChainError(IntegrityError):
    """key: of the manifest that cannot be read."""

    code = "chain"

    def __init__(self, message: str, *, hint: str, key: str) -> None:
        super().__init__(message, hint=hint)
        self.key = key


class DamagedInputError(IntegrityError):
    code = "damaged_input"


class RefusedError(ArchiverError):
    """Retrying does not help until the minimum, the hold or the lock is over."""

    exit_status = 6
    code = "refused"


class LockedError(RefusedError):
    code = "locked"


class ConfigError(ArchiverError):
    exit_status = 10
    code = "config"


class UnsafeLogError(ConfigError):
    code = "unsafe_log"


class SecondRotatorError(ConfigError):
    """Waiting does not help: somebody has to configure which of the two rotates the log."""

    code = "second_rotator"


class LockHeldError(ArchiverError):
    exit_status = 11
    code = "lock_held"
    retryable = True


class StoreError(ArchiverError):
    exit_status = 12
    code = "store"
    retryable = True


class StoreAwayError(StoreError):
    """store: its name."""

    code = "store_away"

    def __init__(self, message: str, *, hint: str, store: str) -> None:
        super().__init__(message, hint=hint)
        self.store = store


class StoreRefusedError(StoreError):
    """Final: nothing changes until somebody changes the bucket, the credentials or the clock."""

    code = "store_refused"
    retryable = False


class ColdError(StoreError):
    """key: of the object that must be restored first, in that store."""

    code = "cold"

    def __init__(self, message: str, *, hint: str, key: str, store: str) -> None:
        super().__init__(message, hint=hint)
        self.key = key
        self.store = store


class ReopenError(ArchiverError):
    exit_status = 13
    code = "reopen"
    retryable = True


class WriterHoldsError(ReopenError):
    code = "writer_holds"


class NoSpaceError(ArchiverError):
    exit_status = 14
    code = "no_space"
    retryable = True


class InterruptedRunError(ArchiverError):
    exit_status = 130
    code = "interrupted"
    retryable = True


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def from_os_error(error: OSError, doing: str) -> ArchiverError:
    """Return the ArchiverError that says what `error` means to an operator.

    doing: a phrase such as "archiving maillog", which completes "no space left while …".
    """
    path = f" {error.filename}" if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return NoSpaceError(
            f"no space left while {doing}{path}",
            hint="free some space on that file system; the next run goes on where this one stopped",
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        hint = (
            "run as the user who owns the log, the spool and the store (usually root); "
            "a read-only file system must be mounted read-write"
        )
    else:
        hint = (
            "look for disk errors in the system log; nothing was deleted, the next run tries again"
        )
    return DiskError(f"{reason} while {doing}{path}", hint=hint)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn a bare OSError raised inside into an ArchiverError.

    A broken pipe passes: it is not a failure, the reader has only seen enough.

    doing: see `from_os_error`.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise from_os_error(error, doing) from error


class Problems(Sequence[ArchiverError]):
    """What went wrong with work that went on all the same, in the order in which it was met.

    The same message is kept once: several stages may meet the same intent that cannot be read.
    """

    def __init__(self, *problems: ArchiverError) -> None:
        self._by_message: dict[str, ArchiverError] = {}
        self.add(*problems)

    def add(self, *problems: ArchiverError) -> None:
        for problem in problems:
            self._by_message.setdefault(problem.message, problem)

    @property
    def worst(self) -> int:
        """One exit status for all; 0 if there are none.

        5 if anything that is stored has changed: that is never hidden by something else. Else
        theirs if they share one, beside those of status 3, which say that work is left; else 3.
        """
        statuses = {problem.exit_status for problem in self}
        if IntegrityError.exit_status in statuses:
            return IntegrityError.exit_status
        kept = WorkKeptError.exit_status
        # A run that was stopped is no news by itself: not if something failed, too.
        causes = statuses - {kept}
        if len(causes) == 1 and (
            len(statuses) == 1 or InterruptedRunError.exit_status not in causes
        ):
            return causes.pop()
        return kept if statuses else 0

    @overload
    def __getitem__(self, index: int) -> ArchiverError: ...

    @overload
    def __getitem__(self, index: slice) -> list[ArchiverError]: ...

    def __getitem__(self, index: int | slice) -> ArchiverError | list[ArchiverError]:
        return list(self._by_message.values())[index]

    def __len__(self) -> int:
        return len(self._by_message)

    def __iter__(self) -> Iterator[ArchiverError]:
        return iter(list(self._by_message.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows
