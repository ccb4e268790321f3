"""Attacks x phases in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocol_sim.pictures.matrix import Ending, ending_of, folded, matrices

if TYPE_CHECKING:
    from protocol_sim.attacks import Cell

_STYLES: Final = {Ending.NAMED: "", Ending.SUM: "green", Ending.BROKEN: "bold white on red"}
_WIDE: Final = 150
"""Columns in which almost every name stands on one line."""
_PIPE: Final = 250
"""Columns in which all of them do: what comes after a pipe reads lines."""


def show(console: Console, cells: Sequence[Cell]) -> None:
    """Print a table for each scheme.

    Args:
        console: where; in a narrow terminal names are folded where their words meet.
        cells: that were played.
    """
    if not console.is_terminal:
        console = Console(file=console.file, width=_PIPE)
    for table in _tables(cells, narrow=console.width < _WIDE):
        console.print(table)


def _tables(cells: Sequence[Cell], *, narrow: bool) -> Iterator[Table]:
    for matrix in matrices(cells):
        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            title=matrix.scheme,
            title_justify="left",
            title_style="bold",
        )
        for name in ("attack", *matrix.phases):
            table.add_column(folded(name) if narrow else name)
        for name, found in matrix.rows:
            table.add_row(name, *(_shown(each, narrow=narrow) for each in found))
        yield table


def _shown(cell: Cell | None, *, narrow: bool) -> Text:
    if cell is None:
        return Text("")
    words = [folded(each) if narrow else each for each in cell.outcome.split(", ")]
    return Text((",\n" if narrow else ", ").join(words), _STYLES[ending_of(cell)])
