"""Attacks x phases in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from protocol_sim.pictures.matrix import Ending, Matrix, ending_of, folded, matrices
from secagg.console import in_terminal

if TYPE_CHECKING:
    from protocol_sim.attacks import Cell

_STYLES: Final = {Ending.NAMED: "", Ending.SUM: "green", Ending.BROKEN: "bold white on red"}
_PIPE: Final = 250
"""Columns in which every name stands on one line: what comes after a pipe reads lines."""


def show(console: Console, cells: Sequence[Cell]) -> None:
    """Print a table for each scheme.

    Args:
        console: where; if a table has no room in a terminal, its names are folded where their
            words meet.
        cells: that were played.
    """
    if not in_terminal(console):
        console = Console(file=console.file, width=_PIPE)
    for matrix in matrices(cells):
        whole = _table(matrix, narrow=False)
        fits = console.measure(whole, options=console.options.update(width=_PIPE)).maximum
        console.print(whole if fits <= console.width else _table(matrix, narrow=True))


def _table(matrix: Matrix, *, narrow: bool) -> Table:
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
    return table


def _shown(cell: Cell | None, *, narrow: bool) -> Text:
    if cell is None:
        return Text("")
    words = [folded(each) if narrow else each for each in cell.outcome.split(", ")]
    return Text((",\n" if narrow else ", ").join(words), _STYLES[ending_of(cell)])
