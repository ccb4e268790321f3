"""From matplotlib to a picture of a page or a file: its fonts, its colours, its own ids."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from protocol_sim.pictures.style import GRID, INK, MUTED, STAND_INS, variables

FONT: Final = 12
"""In points of a picture that is shown one pixel a point."""
WIDE: Final = 1100
NARROW: Final = 400

_RC: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    # Widths are reckoned in a font that ships with matplotlib and is wider than most.
    "font.family": ["DejaVu Sans"],
    "font.size": FONT,
    "axes.edgecolor": GRID,
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
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 2,
    "lines.markersize": 5,
}
_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture.

    Attributes:
        name: unique in a page; every id inside the picture begins with it.
        title: what it shows.
        caption: how to read it.
        alt: what a reader who does not see it should know.
        svg: for a page, whose stylesheet has the colours.
        wide: not to be shown smaller than it can be read; it scrolls instead.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    wide: bool

    @property
    def file(self) -> bytes:
        """The picture as a file by itself, on a ground of its own, light and dark."""
        style = f"<style>{variables('svg')} svg{{font-family:sans-serif}}</style>"
        ground = '<rect width="100%" height="100%" rx="8" fill="var(--card)"/>'
        opening, body = self.svg.split(">", 1)
        spaces = ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f"{opening}{spaces}>{style}{ground}{body}\n".encode()


def plot(
    name: str,
    title: str,
    draw: Callable[[Axes], None],
    *,
    alt: str,
    caption: str,
    width: float = NARROW,
    height: float = 300,
) -> Plot:
    """Let `draw` fill one pair of axes; equal drawings give equal text.

    Args:
        name: of the picture.
        title: of the picture.
        draw: fills the axes.
        alt: in words.
        caption: beside it.
        width: points.
        height: points.
    """
    with mpl.rc_context({**_RC, "svg.hashsalt": name}):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = _inline(text.getvalue(), name, alt)
    return Plot(name, title, caption, alt, svg, wide=width > NARROW)


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
    for colour, stand_in in STAND_INS.items():
        body = body.replace(stand_in, f"var(--{colour})")
    return body.strip()
