"""Behaviours x phases as a heat map: what each lie led to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from protocol_sim.pictures.canvas import Plot, plot
from protocol_sim.pictures.style import (
    BLUE,
    GREEN,
    GRID,
    INK,
    PALE_BLUE,
    PALE_GREEN,
    PALE_RED,
    PAPER,
    RED,
)

if TYPE_CHECKING:
    from protocol_sim.liars.cells import Cell


class Ending(Enum):
    """What became of a lie."""

    NAMED = "ended in a named error"
    SUM = "ended in the exact sum"
    BROKEN = "ended as it must not"


@dataclass(frozen=True, slots=True)
class Square:
    """One cell of the map.

    Attributes:
        row: behaviour.
        panel: scheme.
        column: phase.
        ending: its colour.
        text: name of the error, "sum", or what is broken.
    """

    row: str
    panel: str
    column: str
    ending: Ending
    text: str


_COLOURS: Final = {
    Ending.NAMED: (PALE_BLUE, BLUE),
    Ending.SUM: (PALE_GREEN, GREEN),
    Ending.BROKEN: (PALE_RED, RED),
}
_TALL: Final = 29
"""Points of a row: two lines of letters."""
_WIDE: Final = 70
"""Of a column: eleven letters."""
_NAMES: Final = 190
"""Of the names of the rows."""
_LETTERS: Final = 9.5


def heat_map(squares: Sequence[Square], phases: Mapping[str, Sequence[str]]) -> Plot:
    """The picture, one panel a scheme; rows in the order they first appear.

    Args:
        squares: the cells, at least one.
        phases: panel -> its columns in order; those without a cell are left out.
    """
    rows = list(dict.fromkeys(each.row for each in squares))
    present = {(each.panel, each.column) for each in squares}
    panels = {
        panel: [column for column in columns if (panel, column) in present]
        for panel, columns in phases.items()
        if any(panel == shown for shown, _ in present)
    }
    counts = {ending: sum(each.ending is ending for each in squares) for ending in Ending}
    said = "; ".join(f"{count} {ending.value}" for ending, count in counts.items())
    return plot(
        "matrix",
        "Behaviours x phases",
        lambda axes: _fill(axes, squares, rows, panels),
        alt=f"Heat map of {len(rows)} behaviours by phase and scheme: {said}.",
        caption="A cell is one lie, told to one gateway in that phase: the error that this gateway "
        "named, or else how the round ended. It is empty where there is nothing to lie about.",
        width=_NAMES + _WIDE * sum(map(len, panels.values())),
        height=140 + _TALL * len(rows),
    )


def _fill(
    axes: Axes, squares: Sequence[Square], rows: list[str], panels: dict[str, list[str]]
) -> None:
    lefts: dict[str, float] = {}
    left = 0.0
    for panel, columns in panels.items():
        lefts[panel] = left
        axes.text(left, -1.0, panel, weight="bold", va="bottom", color=INK)
        for index, column in enumerate(columns):
            axes.text(
                left + index + 0.5,
                -0.12,
                folded(column),
                ha="center",
                va="bottom",
                fontsize=_LETTERS,
                color=INK,
                linespacing=1.0,
            )
            axes.text(
                left + index + 0.5,
                len(rows) + 0.12,
                folded(column),
                ha="center",
                va="top",
                fontsize=_LETTERS,
                color=INK,
                linespacing=1.0,
            )
            for row in range(len(rows)):
                axes.add_patch(
                    Rectangle(
                        (left + index, row), 1, 1, facecolor=PAPER, edgecolor=GRID, linewidth=0.5
                    )
                )
        left += len(columns) + 0.25
    for each in squares:
        x = lefts[each.panel] + panels[each.panel].index(each.column)
        _square(axes, each, x, rows.index(each.row))
    axes.set_xlim(0, left - 0.25)
    axes.set_ylim(len(rows) + 1.1, -1.6)
    axes.set_yticks([place + 0.5 for place in range(len(rows))], rows)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    axes.figure.legend(
        handles=[
            Patch(facecolor=pale, edgecolor=strong, label=ending.value)
            for ending, (pale, strong) in _COLOURS.items()
        ],
        loc="outside lower center",
        ncols=3,
    )


def _square(axes: Axes, each: Square, x: float, y: float) -> None:
    pale, strong = _COLOURS[each.ending]
    axes.add_patch(
        Rectangle(
            (x + 0.02, y + 0.04),
            0.96,
            0.92,
            facecolor=pale,
            edgecolor=strong,
            linewidth=2 if each.ending is Ending.BROKEN else 0.6,
        )
    )
    axes.text(
        x + 0.5,
        y + 0.5,
        folded(each.text),
        ha="center",
        va="center",
        color=INK,
        fontsize=_LETTERS,
        linespacing=1.05,
    )


def folded(name: str) -> str:
    """A name on two lines of about equal length, cut where its words meet."""
    words = re.findall(r"[A-Z]?[^A-Z_ ]+[_ ]?|[A-Z]", name)
    if len(words) < 2 or len(name) < 9:
        return name
    cut = min(
        range(1, len(words)),
        key=lambda at: max(len("".join(words[:at])), len("".join(words[at:]))),
    )
    return f"{''.join(words[:cut]).strip()}\n{''.join(words[cut:])}"


def squares(cells: Iterable[Cell]) -> list[Square]:
    """The cells of a matrix as squares of the map.

    Args:
        cells: that were played.
    """
    return [
        Square(
            row=cell.behaviour,
            panel=cell.scheme,
            column=cell.phase,
            ending=ending_of(cell),
            text=cell.outcome.partition(",")[0],
        )
        for cell in cells
    ]


def ending_of(cell: Cell) -> Ending:
    """Whether a cell is as it must be, and how."""
    if not cell.fine:
        return Ending.BROKEN
    return Ending.SUM if cell.outcome == "sum" else Ending.NAMED
