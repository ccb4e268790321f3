"""Draws lines that a formula gives, and dots that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from secagg.pages.colours import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, RED
from secagg.pages.plots import Plot, plot
from secagg.pages.tables import quantity

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a picture.

    Attributes:
        name: of the line.
        formula: (x, y), joined; may be empty.
        measured: (x, y), dots.
    """

    name: str
    formula: Points
    measured: Points = ()


_STYLES: Final[tuple[tuple[str, str, Any], ...]] = (
    (BLUE, "o", "-"),
    (ORANGE, "s", (0, (5, 2))),
    (GREEN, "^", (0, (1.5, 1.5))),
    (MUTED, "v", (0, (3, 1, 1, 1))),
    (RED, "D", "-."),
)


def costs(
    name: str, title: str, unit: str, lines: Sequence[Curve], *, across: str = "gateways n"
) -> Plot:
    """Something that grows over several powers of ten, both axes logarithmic.

    Args:
        name: of the picture.
        title: what grows.
        unit: of it: "s" or "B".
        lines: no more than five.
        across: what it grows with.
    """

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        _lines(axes, lines)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(numticks=9))
            axis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_count))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: quantity(y, unit)))
        axes.set_xlabel(across)

    found = "; ".join(
        f"{each.name} {quantity(y, unit)} at {x:,.0f}"
        for each in lines
        for x, y in (each.formula or each.measured)[-1:]
    )
    return plot(
        name,
        title,
        draw,
        alt=f"Lines, both axes logarithmic: {found}.",
        caption=f"{_CAPTION} Each step of a grid line is a power of ten, on both axes.",
        height=300,
    )


def _count(number: float, _place: object) -> str:
    """Short enough to stand beside the tick before."""
    return f"{number:,.0f}" if number < 1e6 else f"{number / 1e6:,.0f}M"


def rates(name: str, title: str, unit: str, lines: Sequence[Curve], *, across: str) -> Plot:
    """Something that depends on a share, from zero on.

    Args:
        name: of the picture.
        title: of the picture.
        unit: of what depends: "s" or "B".
        lines: no more than five.
        across: the share.
    """

    def draw(axes: Axes) -> None:
        _lines(axes, lines)
        axes.set_ylim(0, 1.12 * max(y for each in lines for _, y in each.formula + each.measured))
        axes.xaxis.set_major_formatter(FuncFormatter(_percent))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: quantity(y, unit)))
        axes.set_xlabel(across)

    ends = [(each.name, each.formula[0], each.formula[-1]) for each in lines]
    found = "; ".join(
        f"{name} from {quantity(first, unit)} at {begin:.0%} to {quantity(last, unit)} at {end:.0%}"
        for name, (begin, first), (end, last) in ends
    )
    return plot(name, title, draw, alt=f"Lines: {found}.", caption=_CAPTION, height=300)


def _percent(share: float, _place: object) -> str:
    return f"{100 * share:.3g}%"


def shares(name: str, title: str, lines: Sequence[Curve], *, across: str, caption: str) -> Plot:
    """Shares from 0 to 1 over a rate from 0 to 1.

    Args:
        name: of the picture.
        title: what has the share.
        lines: no more than five.
        across: the rate.
        caption: of the picture.
    """

    def draw(axes: Axes) -> None:
        _lines(axes, lines)
        axes.set_ylim(-0.03, 1.04)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_percent))
        axes.set_xlabel(across)

    at = [f"{each.name} {100 * y:.0f}% at {x:.0%}" for each in lines for x, y in each.measured]
    alt = f"Lines: {'; '.join(at)}."
    return plot(name, title, draw, alt=alt, caption=caption, height=300)


_CAPTION: Final = "Hollow dots were measured in this run; lines are the cost model."


def _lines(axes: Axes, lines: Sequence[Curve]) -> None:
    handles = []
    for each, (colour, shape, dashes) in zip(lines, _STYLES, strict=False):
        if each.formula:
            x, y = zip(*each.formula, strict=True)
            axes.plot(x, y, color=colour, linestyle=dashes)
        if each.measured:
            x, y = zip(*each.measured, strict=True)
            axes.plot(x, y, color=colour, linestyle="", **_dot(shape))
        line: Any = dashes if each.formula else ""
        mark = _dot(shape) if each.measured else {}
        handles.append(Line2D([], [], color=colour, linestyle=line, label=each.name, **mark))
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=2)
    axes.tick_params(length=0, labelcolor=INK)


def _dot(shape: str) -> dict[str, Any]:
    return {"marker": shape, "markersize": 7, "markerfacecolor": PAPER, "markeredgewidth": 1.8}


def bars(name: str, title: str, rows: Sequence[tuple[str, float, str]], *, caption: str) -> Plot:
    """How often what happened.

    Args:
        name: of the picture.
        title: of the picture.
        rows: (what, how often, "good", "bad" or "").
        caption: of the picture.
    """
    colours = {"good": GREEN, "bad": RED, "": BLUE}
    largest = max((count for _, count, _ in rows), default=1.0)

    def draw(axes: Axes) -> None:
        places = range(len(rows))
        axes.barh(
            places,
            [count for _, count, _ in rows],
            color=[colours[kind] for _, _, kind in rows],
            height=0.62,
        )
        for place, (_, count, _) in enumerate(rows):
            axes.text(count + 0.015 * largest, place, f"{count:,.0f}", va="center")
        axes.set_yticks(places, [what for what, _, _ in rows])
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlim(0, 1.2 * largest)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0, labelcolor=INK)

    said = ", ".join(f"{what} {count:,.0f}" for what, count, _ in rows)
    return plot(
        name, title, draw, alt=f"Bars: {said}.", caption=caption, height=60 + 26 * len(rows)
    )
