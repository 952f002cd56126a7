"""The options of a question, the form of an answer, and what all questions need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from archiver.policy.inventory import Inventory, Summary

Cell = str | int | None


@dataclass(frozen=True)
class Asked:
    """The options of a question. first, last: log dates; None: no limit. within: days from today.
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
    """said: the answer in a sentence. rows: what it rests on. well: nothing in it needs attention.
    answered: the question can be answered at all.
    """

    said: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    well: bool = True
    answered: bool = True


def summaries(inventory: Inventory, asked: Asked) -> Iterator[Summary]:
    return (each for each in inventory.summaries if asked.has(each.date))


def archives(inventory: Inventory, asked: Asked) -> Iterator[Summary]:
    """The archives of those dates that are not destroyed, nor ordered to be."""
    return (each for each in inventory.archives if asked.has(each.date))


def rows_of(rows: Iterable[tuple[Cell, ...]]) -> tuple[tuple[Cell, ...], ...]:
    """Sort rows by their cells, as text, the first column first."""
    return tuple(sorted(rows, key=lambda row: tuple(str(cell) for cell in row)))


def count(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun: "1 copy", "2 copies". many: the plural, unless it adds an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
