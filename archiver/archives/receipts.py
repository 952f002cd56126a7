"""What is known of an object on a store: how it is protected, and that it was read back.

Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protection:
    """What keeps an object from being changed or removed, by anybody.

    mode: "governance" (few may lift it) or "compliance" (nobody may); "" for no lock. until: the
    instant the lock ends, in seconds since 1970 UTC. hold: besides, until it is lifted.
    """

    mode: str = ""
    until: int = 0
    hold: bool = False

    def covers(self, wanted: "Protection") -> bool:
        """Whether this is at least as strong, and as long."""
        strong_enough = self.mode in {wanted.mode, "compliance"} or not wanted.mode
        return strong_enough and self.until >= wanted.until and self.hold >= wanted.hold


UNPROTECTED = Protection()


@dataclass(frozen=True)
class Stored:
    """An object, as its store describes it.

    version: the store's own name for these bytes, if it keeps versions. cold: it must be restored
    before it can be read. thawing: that has been asked for.
    """

    key: str
    size: int
    version: str | None = None
    protection: Protection = UNPROTECTED
    cold: bool = False
    thawing: bool = False


@dataclass(frozen=True)
class Receipt:
    """That a copy was read back, and its SHA-256 found to be what it must be.

    key: of the object. at: when, in seconds since 1970 UTC. version, protection: as the store
    told then. sound: nothing that is known speaks against it since.
    """

    key: str
    target: str
    size: int
    sha256: str
    at: int
    version: str | None = None
    protection: Protection = UNPROTECTED
    sound: bool = True


@dataclass(frozen=True)
class Destroyed:
    """One version of an object that a store was made to destroy.

    version: the store's own name for it, if it keeps versions. marker: it only said that the
    object had been deleted. reply: what the store said.
    """

    version: str | None
    marker: bool
    reply: str
