"""An object that lives in a process of its own: what Python does there costs this one no time.

    worker = Elsewhere(Hashes, host, kinds)               made there, of the same arguments
    worker.call("hashes", before, frame, after, False)    its method, called there; errors come back

The other process lives no longer than this one: when this one ends, however it ends, the
connection does, and that is what the other waits on.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Self

from archiver.errors import ArchiverError


class Worker:
    """make: what makes the object there; it and its arguments must be picklable."""

    def __init__(self, make: Callable[..., object], *arguments: object) -> None:
        self._connection, theirs = Pipe()
        argv = [sys.executable, "-m", "archiver.system.workers", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        self._send(make, arguments)

    def call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 (whatever it returns)
        """Return what the method returns, or raise what it raises."""
        self._send(method, arguments)
        try:
            fine, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise _ended(error) from error
        if fine:
            return answer
        raise answer if isinstance(answer, ArchiverError) else ArchiverError(str(answer))

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        """End the other process at once, even one that is stopped; it has nothing to lose."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.end()
        self._connection.close()

    def _send(self, what: object, arguments: tuple[object, ...]) -> None:
        try:
            self._connection.send((what, arguments))
        except OSError as error:
            raise _ended(error) from error


def _ended(error: Exception) -> ArchiverError:
    return ArchiverError(
        f"a process of this command has ended: {error or 'killed'}", hint="was there memory enough?"
    )


class Workers:
    """Several objects that can do the same: whoever is free does what is asked next.

    count: how many, each in a process of its own; 0: one, in this process.
    """

    def __init__(self, count: int, make: Callable[..., object], *arguments: object) -> None:
        self._made = make, arguments
        self._there: list[Worker] = []
        self._free: SimpleQueue[Worker | _Here] = SimpleQueue()
        for _ in range(max(count, 1)):
            self._free.put(self._another(there=count > 0))
        self._pool = ThreadPoolExecutor(max(count, 1), "crew")

    def _another(self, *, there: bool) -> "Worker | _Here":
        make, arguments = self._made
        with suppress(OSError, ArchiverError):  # no room for one more process: it is done here
            if there:
                self._there.append(Worker(make, *arguments))
                return self._there[-1]
        return _Here(make(*arguments))

    @property
    def is_elsewhere(self) -> bool:
        return bool(self._there)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._there:
            each.end()  # whoever waits for its answer, waits no longer
        self._pool.shutdown(cancel_futures=True)
        for each in self._there:
            each.close()

    def ask(self, method: str, *arguments: object) -> Future[Any]:
        """Have a method called, and what it returns, or raises, in a future."""
        return self._pool.submit(self._call, method, *arguments)

    def _call(self, method: str, *arguments: object) -> object:
        worker = self._free.get()
        try:
            return worker.call(method, *arguments)
        finally:
            if isinstance(worker, Worker) and worker.has_ended:
                worker = self._another(there=True)
            self._free.put(worker)


@dataclass(frozen=True)
class _Here:
    """The same, without another process."""

    served: object

    def call(self, method: str, *arguments: object) -> object:
        return getattr(self.served, method)(*arguments)


def serve(connection: Connection) -> None:
    """Make what is asked for, and call its methods, until nobody is there any more."""
    make, arguments = connection.recv()
    served = make(*arguments)
    while True:
        method, arguments = connection.recv()
        try:
            answer = True, getattr(served, method)(*arguments)
        except ArchiverError as error:
            answer = False, error
        except Exception as error:  # noqa: BLE001 (it is told where it was asked for)
            answer = False, repr(error)
        connection.send(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a keyboard tells both; the other one hangs up
    try:
        with Connection(int(sys.argv[1])) as to_the_other:
            serve(to_the_other)
    except (EOFError, OSError):
        pass
