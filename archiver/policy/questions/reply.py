"""What is asked besides the question itself, and what an answer looks like."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from archiver.policy.inventory import Inventory, Summary

Cell = str | int | None


@dataclass(frozen=True)
class Asked:
    """first, last: log dates; None: as far as there is anything. within: days from today on.
    everything: also what is as it should be, or over.
    """

    first: date | None = None
    last: date | None = None
    within: int = 30
    everything: bool = False

    def has(self, day: date) -> bool:
        return (self.first or date.min) <= day <= (self.last or date.max)


@dataclass(frozen=True)
class Reply:
    """said: the answer in a sentence. rows: what it rests on. well: nothing of it needs anybody's
    attention. answered: the question can be answered at all.
    """

    said: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    well: bool = True
    answered: bool = True


def summaries(inventory: Inventory, asked: Asked) -> Iterator[Summary]:
    return (each for each in inventory.summaries if asked.has(each.date))


def archives(inventory: Inventory, asked: Asked) -> Iterator[Summary]:
    """The archives of those dates that are there, and are to stay for now."""
    return (each for each in inventory.there if asked.has(each.date))


def rows_of(rows: Iterable[tuple[Cell, ...]]) -> tuple[tuple[Cell, ...], ...]:
    """Sort rows by what stands first in them."""
    return tuple(sorted(rows, key=lambda row: tuple(str(cell) for cell in row)))


def count(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"
