"""Turns a matplotlib figure into a part of a page: its fonts, its colours, its own ids."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

from secagg.errors import ConfigurationError, install_hint
from secagg.pages.colours import GRID, INK, MUTED, STAND_INS, variables

try:
    import matplotlib as mpl
except ModuleNotFoundError as missing:
    raise ConfigurationError(f"pages need {missing.name}: {install_hint('pages')}") from None
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH: Final = 380
FONT: Final = 13
"""Points, in a picture `WIDTH` points wide: shown 330 pixels wide, letters are 11 pixels high."""
HEIGHT: Final = 230
_SHARE: Final = 0.72
"""Share of the height that title and labels leave to the axes."""

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
_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture.

    Attributes:
        name: unique in a page; every id inside the picture begins with it.
        title: what it shows.
        caption: how to read it; may be empty.
        alt: what a reader who does not see it should know.
        svg: for a page, whose style sheet has the colours.
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
        opening, body = self.svg.split(">", 1)
        style = f"<style>{variables('svg')} svg{{font-family:sans-serif}}</style>"
        ground = '<rect width="100%" height="100%" rx="8" fill="var(--card)"/>'
        return f'{opening} xmlns="http://www.w3.org/2000/svg">{style}{ground}{body}\n'.encode()


def plot(
    name: str,
    title: str,
    draw: Callable[[Axes], None],
    *,
    alt: str,
    caption: str = "",
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Plot:
    """Let `draw` fill one pair of axes; equal drawings give equal text.

    Args:
        name: unique in the page.
        title: what it shows.
        draw: fills the axes.
        alt: the picture in words.
        caption: how to read it.
        width: points.
        height: points.
    """
    with mpl.rc_context({**_RC, "svg.hashsalt": name}):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata=_NO_METADATA)
    return Plot(name, title, caption, alt, _inline(text.getvalue(), name, alt), width > WIDTH)


def _inline(svg: str, name: str, alt: str) -> str:
    """The picture without namespaces, metadata and rules that would hold for the whole page."""
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
        given = {key.rpartition("}")[2]: value for key, value in each.attrib.items()}
        each.attrib.clear()
        each.attrib.update({key: _attribute(key, value, name) for key, value in given.items()})
        for part in each.findall("{*}metadata") + each.findall("{*}defs[{*}style]"):
            each.remove(part)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": alt,
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    return ET.tostring(root, encoding="unicode").strip()


def _attribute(key: str, value: str, name: str) -> str:
    """Ids are the picture's own: two pictures of one page both have a "figure_1"."""
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return value.replace("#", f"#{name}-", 1)
    value = value.replace("url(#", f"url(#{name}-")
    value = re.sub(r"'DejaVu Sans'(, [^;]*)?", "system-ui, 'Liberation Sans', sans-serif", value)
    for colour, stand_in in STAND_INS.items():
        value = value.replace(stand_in, f"var(--{colour})")
    return value


def name_lines(
    axes: Axes, last: float, ends: Sequence[tuple[float, str, str]], height: float = HEIGHT
) -> None:
    """Write each line's name beside its end, moved apart where they would overlap.

    Args:
        axes: their limits are final.
        last: where on the x-axis the lines end.
        ends: (value at the end, name, colour of the line).
        height: of the whole picture, points.
    """
    gap = FONT * 1.2 / (height * _SHARE)
    scale = axes.transScale + axes.transLimits
    right = float(scale.transform((last, ends[0][0]))[0])
    ends = sorted((float(scale.transform((1, end))[1]), label, ink) for end, label, ink in ends)
    heights = _apart([place for place, _, _ in ends], gap)
    for (place, label, colour), moved in zip(ends, heights, strict=True):
        axes.plot(
            [right + 0.02, 1.035],
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
        while len(groups) > 1 and _low(groups[-1], gap) < _next(groups[-2], gap):
            last = groups.pop()
            groups[-1] += last
    return [_low(group, gap) + gap * index for group in groups for index in range(len(group))]


def _low(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _next(group: Sequence[float], gap: float) -> float:
    return _low(group, gap) + gap * len(group)
