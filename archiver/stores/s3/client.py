"""The connection to an S3 server, and the secrets it takes, each of which lies elsewhere.

A secret is read when it is first needed, is never printed, and is no part of any message.
"""

from functools import cache

from boto3.session import Session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session as Core

from archiver.config import secret_refs
from archiver.config.targets import S3Target
from archiver.errors import StoreRefusedError
from archiver.stores.s3.faults import FAULTS, explained, without_credentials

# Readers (16) and parts (4) at once; who finds the pool full would connect anew each time.
CONNECTIONS = 32
# Where the server has no regions: what S3-compatible ones take a signature to be for.
REGION = "us-east-1"


def connect(target: S3Target) -> BaseClient:
    """Return a client that threads may share. Nothing has been asked of the bucket yet.

    What the target does not say, boto3 finds where it finds it for every program: AWS_PROFILE,
    ~/.aws, AWS_ENDPOINT_URL, the machine's role. For some of that it asks AWS for credentials.

    Raises: StoreError: that cannot be asked now. StoreRefusedError: a secret is not where it was
    said to be, or is none; there are no credentials.
    """
    if target.ca_bundle is not None and not target.ca_bundle.is_file():
        raise StoreRefusedError(
            f"store {target.name!r}: ca_bundle {target.ca_bundle} is no file",
            hint="name a file with the certificates (PEM) that the server's is signed by",
        )
    try:
        session = _session(target)
        _demand_credentials(session, target)
        return session.client(
            "s3",
            endpoint_url=target.endpoint_url or None,
            verify=str(target.ca_bundle) if target.ca_bundle else None,
            config=_config(target),
        )
    except (*FAULTS, ValueError) as error:
        raise explained(error, target, "connecting") from error


def _session(target: S3Target) -> Session:
    """The target's own settings, where it has some; the rest is for boto3 to find."""
    core = Core()
    session = Session(
        aws_access_key_id=_secret(target, "access_key_id"),
        aws_secret_access_key=_secret(target, "secret_access_key"),
        aws_session_token=_secret(target, "session_token"),
        # Not only of the client: a role is asked for in a region, too.
        region_name=target.region or core.get_config_variable("region") or REGION,
        botocore_session=core,
    )
    # Not before: boto3 adds a directory to the loader that it finds, and this one is shared.
    core.register_component("data_loader", _models())
    return session


@cache
def _models() -> Loader:
    """What botocore knows of S3: read from its files once, not for each store."""
    return Loader()


def _config(target: S3Target) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": target.addressing},
        retries={"mode": "standard", "total_max_attempts": target.attempts},
        connect_timeout=target.connect_timeout,
        read_timeout=target.read_timeout,
        max_pool_connections=CONNECTIONS,
        # CRC32 in a trailer, boto3's default since 1.36, is refused by several S3-compatibles;
        # what is sent carries a digest of our own, and what is read is hashed by whoever reads.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _demand_credentials(session: Session, target: S3Target) -> None:
    """Without any, requests would be sent unsigned, or fail one by one."""
    try:
        found = session.get_credentials()
        frozen = found and found.get_frozen_credentials()
    except (OSError, ValueError) as error:
        # No network: botocore wraps that. It is a program or a file that a profile names.
        raise without_credentials(target, str(error)) from error
    except EOFError as error:
        why = "an MFA code is asked for, and nobody is there to type it"
        raise without_credentials(target, why) from error
    if not frozen or not frozen.access_key or not frozen.secret_key:
        raise StoreRefusedError(
            f"store {target.name!r}: there are no credentials for bucket {target.bucket!r}",
            hint="set access_key_id and secret_access_key of the target, or give them where "
            "AWS's own tools look: AWS_ACCESS_KEY_ID, AWS_PROFILE, ~/.aws, the instance's role",
        )


def _secret(target: S3Target, setting: str) -> str | None:
    """Return what a reference leads to; None if there is no reference."""
    reference: str = getattr(target, setting)
    if not reference:
        return None
    try:
        return secret_refs.resolved(reference)
    except ValueError as why:
        raise StoreRefusedError(
            f"store {target.name!r}: {setting} is to be found at {reference!r}, but {why}",
            hint=secret_refs.remedy(reference),
        ) from None
