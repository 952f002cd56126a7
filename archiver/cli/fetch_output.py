"""Where `archiver fetch` writes: stdout, a device, or a file that appears whole or not at all."""

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from archiver.config.settings import Config
from archiver.config.targets import LocalTarget
from archiver.errors import UsageError, explained
from archiver.system.files import remove

Pieces = Generator[bytes, None, None]


class Output:
    """Writes pieces under names, and counts. files: those that were made. bytes: all written."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.files: list[str] = []
        self.bytes = 0

    def write(self, name: str, pieces: Pieces) -> None:
        """Write pieces, each as it comes. name: of a file, or "-" for stdout."""
        with self._opened(name) as out, closing(pieces):
            for piece in pieces:
                out.write(piece)
                self.bytes += len(piece)

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        if name == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        path = Path(os.path.realpath(name))
        self._refuse_own(path)
        with explained(f"writing {name}"):
            if path.exists() and not path.is_file():
                # Such as /dev/null: it is written to, not replaced.
                with open(path, "wb") as device:
                    yield device
                return
            before = self.bytes
            partial = path.with_name(f".{path.name}.archiver-partial")
            try:
                with open(partial, "wb") as file:
                    yield file
                if self.bytes > before:
                    os.replace(partial, path)
                    self.files.append(name)
            finally:
                remove(partial)

    def _refuse_own(self, path: Path) -> None:
        """Never write over a log, nor into the directories that the lines come from."""
        host, storage = self._config.host, self._config.storage
        logs = [os.path.realpath(source.path) for source in self._config.sources]
        stores = [target.path for target in storage.targets if isinstance(target, LocalTarget)]
        own = [host.spool_dir, host.state_dir, *stores]
        if str(path) in logs or any(
            path.is_relative_to(os.path.realpath(directory)) for directory in own
        ):
            raise UsageError(
                f"{path} is a log, or inside the spool, the state directory or a store",
                hint="name a file or a directory somewhere else",
            )
