"""A configuration made of a store's address alone: to read on a machine that has nothing else.

    s3://BUCKET/PREFIX?endpoint_url=URL     what follows ? are keys of [storage.target.NAME];
    DIRECTORY                               credentials as AWS's own tools find them

Which hosts and sources there are, and a host's zone, the store itself tells.
"""

import os
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from archiver.archives.manifest import decode
from archiver.archives.names import MANIFEST_SUFFIX, host_prefix, parse
from archiver.config.settings import Compress, Config, Host, Index, Reopen, Source, Storage
from archiver.config.targets import Target, read_target
from archiver.config.toml_tables import Table, TomlReader
from archiver.errors import NotFoundError, UsageError
from archiver.stores import Store, open_store
from archiver.system.zone import zone_named

HINT = "s3://BUCKET/PREFIX?endpoint_url=URL, or a directory"
# No file is ever there: what is archived is all that can be read.
NOWHERE = Path(os.devnull, "nowhere")


def config_of(address: str, host: str | None) -> Config:
    """Return what it takes to read one host's archives from a store.

    host: None if there is only one there. Raises: UsageError: the address is none, or there are
    several hosts. NotFoundError: the store has nothing of that host.
    """
    target = target_of(address)
    store = open_store(target)
    name, keys = _host(store, address, host)
    try:
        zone = zone_named(decode(b"".join(store.stream(keys[-1]))).timezone)
    except ValueError as error:
        raise NotFoundError(
            f"{keys[-1]} does not tell the zone of {name}: {error}",
            hint="read with a configuration (-c) instead",
        ) from error
    sources = {parse(key).source for key in keys}
    return Config(
        NOWHERE,
        Host(name, zone, NOWHERE, NOWHERE),
        tuple(Source(each, NOWHERE, Reopen("none")) for each in sorted(sources - {""})),
        Compress(),
        Index(),
        Storage((target,), 1),
    )


def _host(store: Store, address: str, wanted: str | None) -> tuple[str, list[str]]:
    """Return the name of the host to read, and its manifests' keys, in order."""
    found: dict[str, list[str]] = {}
    for each in store.listed(host_prefix(wanted) if wanted else "host="):
        if each.key.endswith(MANIFEST_SUFFIX):
            found.setdefault(parse(each.key).host, []).append(each.key)
    if not found:
        raise NotFoundError(
            f"{address}: there is nothing of {f'host {wanted}' if wanted else 'any host'}",
            hint="is the prefix the one under [storage.target.NAME] of that host?",
        )
    if len(found) > 1:
        raise UsageError(
            f"{address}: several hosts are archived there", hint=f"--host {' or '.join(found)}"
        )
    return next(iter(found.items()))


def target_of(address: str) -> Target:
    """Read an address as the table of a target would be read, with the same checks.

    Raises: UsageError: it is none.
    """
    parts = urlsplit(address)
    if "://" not in address:
        settings = {"type": "local", "path": address}
    elif parts.scheme == "s3":
        prefix = parts.path.strip("/")
        settings = {"type": "s3", "bucket": parts.netloc, "prefix": f"{prefix}/" if prefix else ""}
        settings |= dict(parse_qsl(parts.query))
    else:
        raise UsageError(f"--store: {address!r} is neither a directory nor s3://…", hint=HINT)
    reader = TomlReader({}, Path.cwd())
    target = read_target(Table(reader, (), settings), "store")
    if reader.problems:
        problems = "; ".join(problem.message for problem in reader.problems)
        raise UsageError(f"--store: {problems}", hint=HINT)
    return target
