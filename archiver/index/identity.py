"""What the pages of a merged index are sealed with, by those who make it and those who read it."""

from archiver.catalog import Catalog
from archiver.index.spans import Span, key_of


def identity_of(catalog: Catalog, source: str, span: Span) -> bytes | None:
    """Return the bytes that the pages of a merged index are sealed with: its key, and the digest of
    its last archive's manifest, which the chain connects with all before it. None: the chain has a
    fork or a gap there.
    """
    if not catalog.is_one_chain(source, span.first, span.last):
        return None
    digest = catalog.digest_of(catalog.keys_of(source, span.last)[0])
    return f"{key_of(catalog.host, source, span)} {digest}".encode()
