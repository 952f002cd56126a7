"""The sources that a command line names."""

from collections.abc import Sequence

from archiver.config.settings import Config, Source
from archiver.errors import UsageError


def named(config: Config, names: Sequence[str]) -> list[Source]:
    """Return the sources of these names, as configured; all of them, if none is named.

    Raises: UsageError: there is no such source.
    """
    known = {source.name: source for source in config.sources}
    for name in names:
        if name not in known:
            raise UsageError(
                f"no source {name!r} in {config.path}", hint=f"there are: {', '.join(known)}"
            )
    return [source for source in config.sources if not names or source.name in names]
