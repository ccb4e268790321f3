"""From matplotlib to a picture that is part of a page: its fonts, its colours, its own ids."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fedavg.report.style import GRID, INK, MUTED, VARIABLES

WIDTH: Final = 380
FONT: Final = 13
"""In points of a picture `WIDTH` points wide: shown 330 pixels wide, letters are 11 pixels high."""
HEIGHT: Final = 230
_SHARE: Final = 0.72
"""Of the height: what title and labels leave to the axes."""

_RC: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    # Widths are reckoned in a font that ships with matplotlib and is wider than most.
    "font.family": ["DejaVu Sans"],
    "font.size": FONT,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": FONT,
    "axes.titlesize": FONT,
    "axes.titlecolor": MUTED,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": FONT,
    "ytick.labelsize": FONT,
    "legend.fontsize": FONT,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 2,
    "lines.markersize": 5,
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture of a page.

    Attributes:
        name: unique in the page; every id inside the picture begins with it.
        title: what it shows.
        caption: how to read it; may be empty.
        alt: what a reader who does not see it should know.
        svg: the picture, without prologue, metadata or addresses.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str


def plot(
    name: str,
    title: str,
    draw: Callable[[Axes], None],
    *,
    alt: str,
    caption: str = "",
    height: float = HEIGHT,
) -> Plot:
    """Let `draw` fill one pair of axes, `height` points high; equal drawings, equal text."""
    with mpl.rc_context({**_RC, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata=_NO_METADATA)
    return Plot(name, title, caption, alt, _inline(text.getvalue(), name, alt))


_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def _inline(svg: str, name: str, alt: str) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', body)
    if view is None:
        raise AssertionError("matplotlib writes a viewBox")
    opening = f'<svg {view[0]} role="img" aria-label="{escape(alt)}">'
    body = opening + body[body.index(">") + 1 :]
    # Two pictures of one page both have a "figure_1".
    for reference in ('id="', 'href="#', "url(#"):
        body = body.replace(reference, f"{reference}{name}-")
    body = re.sub(r"'DejaVu Sans'(, [^;\"]*)?", "system-ui, 'Liberation Sans', sans-serif", body)
    for stand_in, variable in VARIABLES.items():
        body = body.replace(stand_in, variable)
    return body.strip()


def over_rounds(axes: Axes, rounds: int) -> None:
    """Whole rounds from left to right."""
    axes.set_xlim(0.5 if rounds == 1 else 1 - 0.02 * rounds, rounds + max(0.5, 0.02 * rounds))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.set_xlabel("round")
    axes.grid(visible=False, axis="x")


def in_percent(axes: Axes) -> None:
    """Shares from bottom to top, with as many digits as they need."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}%"))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def markers(rounds: int) -> dict[str, Any]:
    """Dots where they would not melt into one another."""
    return {"marker": "o"} if rounds <= 30 else {}


def name_lines(
    axes: Axes, rounds: int, ends: Sequence[tuple[float, str, str]], height: float = HEIGHT
) -> None:
    """Write each line's name beside its end, moved apart where they would overlap.

    Args:
        axes: their limits are final.
        rounds: where the lines end.
        height: of the whole picture, points.
        ends: (value at the end, name, colour of the line).
    """
    gap = FONT * 1.2 / (height * _SHARE)
    scale = axes.transScale + axes.transLimits
    last = float(scale.transform((rounds, ends[0][0]))[0])
    ends = sorted((float(scale.transform((1, end))[1]), label, ink) for end, label, ink in ends)
    heights = _apart([place for place, _, _ in ends], gap)
    for (place, label, colour), moved in zip(ends, heights, strict=True):
        axes.plot(
            [last + 0.02, 1.035],
            [place, moved],
            transform=axes.transAxes,
            color=colour,
            linewidth=1,
            clip_on=False,
        )
        axes.text(1.05, moved, label, transform=axes.transAxes, va="center")


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places, at least `gap` apart, moved as a group about where they were."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _low(groups[-1], gap) < _high(groups[-2], gap) + gap:
            last = groups.pop()
            groups[-1] += last
    return [_low(group, gap) + gap * index for group in groups for index in range(len(group))]


def _low(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _high(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) + gap * (len(group) - 1) / 2
