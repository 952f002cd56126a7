"""An object that lives in a process of its own: its Python code takes no time from this process.

    worker = Worker(Hashes, host, kinds)                  makes Hashes(host, kinds) there
    worker.call("hashes", before, frame, after, False)    calls its method there; errors come back

The other process lives no longer than this one. It waits on the connection to this process, and
the connection ends with this process, however that ends.
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
    """make: returns the object, when called there; it and its arguments must be picklable."""

    def __init__(self, make: Callable[..., object], *arguments: object) -> None:
        self._connection, theirs = Pipe()
        argv = [sys.executable, "-m", "archiver.system.workers", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        self._send(make, arguments)

    def call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 (whatever it returns)
        """Return what the method returns, or raise what it raises, as an ArchiverError."""
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
        """Kill the other process at once, even if it is stopped; nothing is lost with it."""
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
        f"a worker process of this command has ended: {str(error) or 'killed'}",
        hint="look in the system log whether memory ran out (dmesg), then run the command again",
    )


class Workers:
    """Several equal objects; the next call goes to one that is free.

    count: how many, each in a process of its own; 0: one, in this process.
    """

    def __init__(self, count: int, make: Callable[..., object], *arguments: object) -> None:
        self._made = make, arguments
        self._processes: list[Worker] = []
        self._free: SimpleQueue[Worker | _InProcess] = SimpleQueue()
        for _ in range(max(count, 1)):
            self._free.put(self._another(elsewhere=count > 0))
        self._pool = ThreadPoolExecutor(max(count, 1), "crew")

    def _another(self, *, elsewhere: bool) -> "Worker | _InProcess":
        make, arguments = self._made
        with suppress(OSError, ArchiverError):  # no room for another process: work in this one
            if elsewhere:
                self._processes.append(Worker(make, *arguments))
                return self._processes[-1]
        return _InProcess(make(*arguments))

    @property
    def is_elsewhere(self) -> bool:
        """Whether at least one object is in another process."""
        return bool(self._processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.end()  # now no call waits for its answer any longer
        self._pool.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    def ask(self, method: str, *arguments: object) -> Future[Any]:
        """Have a method called; the future holds what it returns or raises."""
        return self._pool.submit(self._call, method, *arguments)

    def _call(self, method: str, *arguments: object) -> object:
        worker = self._free.get()
        try:
            return worker.call(method, *arguments)
        finally:
            if isinstance(worker, Worker) and worker.has_ended:
                worker = self._another(elsewhere=True)
            self._free.put(worker)


@dataclass(frozen=True)
class _InProcess:
    """Like a Worker, but with the object in this process."""

    served: object

    def call(self, method: str, *arguments: object) -> object:
        return getattr(self.served, method)(*arguments)


def serve(connection: Connection) -> None:
    """Make the object and call its methods as asked.

    Raises: EOFError, OSError: the other side has ended.
    """
    make, arguments = connection.recv()
    served = make(*arguments)
    while True:
        method, arguments = connection.recv()
        try:
            answer = True, getattr(served, method)(*arguments)
        except ArchiverError as error:
            answer = False, error
        except Exception as error:  # noqa: BLE001 (it is raised again on the other side)
            answer = False, repr(error)
        connection.send(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the other side hangs up
    try:
        with Connection(int(sys.argv[1])) as to_the_other:
            serve(to_the_other)
    except (EOFError, OSError):
        pass
