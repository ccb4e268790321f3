"""Writes words and numbers under a heading: for a page, a terminal, Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

T = TypeVar("T")
Cell = str | int | float
"""Text; in a page also markup."""
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading; the first cell of a row is its name.

    Attributes:
        title: what the table is.
        heading: one cell a column.
        rows: cells.
    """

    title: str
    heading: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @classmethod
    def of(cls, title: str, columns: Mapping[str, Callable[[T], Cell]], each: Iterable[T]) -> Self:
        """One row for each of some things; a column has its heading and makes its cell of one."""
        rows = [tuple(cell(one) for cell in columns.values()) for one in each]
        return cls(title, tuple(columns), rows)

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds nothing but numbers; the names of the rows do not."""
        columns = zip(*self.rows, strict=True) if self.rows else [[""]] * len(self.heading)
        return [place > 0 and all(map(is_number, each)) for place, each in enumerate(columns)]

    def lines(self) -> Iterator[str]:
        """Columns as wide as they need to be: every digit is there; numbers to the right."""
        rows = [list(map(str, row)) for row in (self.heading, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = zip(row, widths, self.numeric, strict=True)
            shown = (
                cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells
            )
            yield _GAP.join(shown).rstrip()

    def markdown(self) -> str:
        """The table as Markdown, without the title."""
        lines = [self.heading, ["---"] * len(self.heading), *self.rows]
        return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


class Section:
    """Paragraphs and tables under a heading.

    Args:
        title: the heading.
        parts: in order.
    """

    def __init__(self, title: str, *parts: str | Table) -> None:
        self.title = title
        self.parts = parts


def is_number(cell: Cell) -> bool:
    """Whether a cell may stand in a column of numbers: 1,024, +3%, 2.5 ms, - or nothing."""
    if not isinstance(cell, str):
        return True
    return cell in {"", "-"} or cell.lstrip("+-")[:1].isdecimal()


def quantity(value: float, unit: str) -> str:
    """A number with its unit, in the power of a thousand that suits it.

    Args:
        value: zero or more.
        unit: "s" or "B".
    """
    steps = (
        (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0))
        if unit == "s"
        else (("B", 1.0), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("PB", 1e15))
    )
    name, size = next((step for step in reversed(steps) if value >= step[1]), steps[0])
    shown = value / size
    return f"{shown:,.0f} {name}" if shown >= 100 else f"{shown:.3g} {name}"
