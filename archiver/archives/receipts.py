"""What is known about an object on a store: how it is protected, and that it was read back.

Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protection:
    """What keeps an object from being changed or removed, by anybody.

    mode: "governance" (few may lift it) or "compliance" (nobody may); "" for no lock. until: the
    instant at which the lock ends, in seconds since 1970 UTC. hold: whether a legal hold protects
    it besides, until that is lifted.
    """

    mode: str = ""
    until: int = 0
    hold: bool = False

    def covers(self, wanted: "Protection") -> bool:
        """Whether this is at least as strong as `wanted`, and lasts at least as long."""
        strong_enough = self.mode in {wanted.mode, "compliance"} or not wanted.mode
        return strong_enough and self.until >= wanted.until and self.hold >= wanted.hold


UNPROTECTED = Protection()


@dataclass(frozen=True)
class Stored:
    """An object, as its store describes it.

    size: in bytes. version: the store's own name for these bytes, if it keeps versions. cold: it
    must be restored before it can be read. thawing: a restore has been asked for.
    """

    key: str
    size: int
    version: str | None = None
    protection: Protection = UNPROTECTED
    cold: bool = False
    thawing: bool = False


@dataclass(frozen=True)
class Receipt:
    """A copy was read back, and its SHA-256 was the expected one.

    key: of the object. target: the store's name. size: in bytes. at: when, in seconds since 1970
    UTC. version, protection: as the store reported them then. sound: nothing found since says that
    the copy is damaged or gone.
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
    """One version of an object that a store has destroyed on request.

    version: the store's own name for it, if it keeps versions. marker: it was only a delete marker,
    without bytes. reply: the store's answer.
    """

    version: str | None
    marker: bool
    reply: str
