"""A configuration made from a store's address alone, for reading on any other machine.

    s3://BUCKET/PREFIX?endpoint_url=URL     after the ?: keys of [storage.target.NAME];
    DIRECTORY                               credentials as AWS's own tools find them

Hosts, sources and a host's zone are read from the store itself.
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
# A path at which there can be no file: only archives are read.
NOWHERE = Path(os.devnull, "nowhere")


def config_of(address: str, host: str | None) -> Config:
    """Return a configuration for reading one host's archives from a store.

    host: None: the only host on the store. Raises: UsageError: not an address, or the store has
    several hosts. NotFoundError: the store has nothing of that host, or its zone is unknown.
    """
    target = target_of(address)
    store = open_store(target)
    name, keys = _host(store, address, host)
    try:
        zone = zone_named(decode(b"".join(store.stream(keys[-1]))).timezone)
    except ValueError as error:
        raise NotFoundError(
            f"the time zone of {name} cannot be read from {keys[-1]}: {error}",
            hint="use -c with a configuration of that host instead of --store",
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
    """Return the name of the host to read, and the keys of its manifests, in order."""
    found: dict[str, list[str]] = {}
    for stored in store.listed(host_prefix(wanted) if wanted else "host="):
        if stored.key.endswith(MANIFEST_SUFFIX):
            found.setdefault(parse(stored.key).host, []).append(stored.key)
    if not found:
        raise NotFoundError(
            f"{address} holds no archives of {f'host {wanted}' if wanted else 'any host'}",
            hint="compare path or prefix with [storage.target.NAME] in that host's configuration",
        )
    if len(found) > 1:
        raise UsageError(
            f"{address} holds archives of several hosts", hint=f"--host {' or '.join(found)}"
        )
    return next(iter(found.items()))


def target_of(address: str) -> Target:
    """Return the target at an address, checked as a table [storage.target.NAME] is.

    Raises: UsageError: not an address.
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
