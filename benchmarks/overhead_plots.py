"""Draws the plots of the overhead benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.overhead_cases import CUSTOMARY, LEAN, NVFLARE, PLAIN, SESSIONS
from benchmarks.overhead_facts import facts
from benchmarks.overhead_result import Cell, Overhead, parts_of
from benchmarks.overhead_tables import number
from secagg.pages.colours import INK, SERIES
from secagg.pages.plots import Plot, name_lines, plot

HIDDEN, READ = SERIES[2], SERIES[1]
"""Bars of schemes that hide single updates from all but more than C colluders, and of others."""
_PARTS: Final = {
    "encode": ("encode", SERIES[5]),
    "encrypt": ("encrypt or mask", SERIES[0]),
    "serialise": ("serialise", SERIES[4]),
    "add": ("add uploads", SERIES[5]),
    "open": ("unmask", SERIES[0]),
    "finish": ("decode or serialise", SERIES[4]),
    "other": ("other", SERIES[6]),
}
_LINES: Final = {
    "masks": ("masks", SERIES[0], "o"),
    "lattice": ("lattice", SERIES[2], "s"),
    "ckks": ("ckks", SERIES[3], "D"),
    LEAN: ("lean", SERIES[4], "v"),
    CUSTOMARY: ("customary", SERIES[1], "^"),
    PLAIN: ("plaintext", SERIES[6], "x"),
}
_CHEAP: Final = (PLAIN, "masks", "lattice")
_CKKS: Final = ("ckks", LEAN, CUSTOMARY, NVFLARE)
_LARGE: Final = 100
"""Gateways of the cohort in which dropouts weigh most."""
_ROW: Final = 27
"""Height of a bar with its space, points; two lines of a name fit."""
_REST: Final = 84
"""Height of title, axis and legend."""


def plots(run: Overhead) -> Iterator[Plot]:
    """Every plot that has something to show."""
    yield gateways(run)
    yield uploads(run)
    yield from parts(run)
    lines = (
        against_n(
            run,
            "gateway-n",
            "Gateway: cost against n",
            lambda cell: cell.upload,
            "Masks cost one keystream for each neighbour, here k = n - 1, at n = 100 k = 98. "
            "What is encrypted under a ring or a shared key does not depend on n.",
        ),
        against_n(
            run,
            "server-n",
            "Server: cost against n",
            lambda cell: cell.aggregate,
            "A whole round. Masks are taken off for each gateway; lattice and ckks are opened by "
            "one product a round.",
        ),
        against_dropouts(run),
    )
    yield from (each for each in lines if each is not None)


def gateways(run: Overhead, name: str = "gateways") -> Plot:
    """The whole cost of an upload."""
    cells = with_other_masks(run)
    values = [cell.upload for cell in cells]

    def draw(axes: Axes) -> None:
        _bars(axes, cells, values)
        axes.set_xscale("log")
        axes.set_xlim(min(value for value in values if value > 0) / 2, max(values) * 12)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_title("gateway, ns a coordinate, logarithmic")

    listed = "; ".join(f"{cell.title} {number(cell.upload)}" for cell in cells)
    return plot(
        name,
        "What an upload costs a gateway",
        draw,
        alt=f"Bars, nanoseconds a coordinate at a gateway: {listed}.",
        caption="Encode, encrypt or mask, serialise; one thread. Each step to the right is ten "
        "times as much.",
        height=_REST + _ROW * len(cells),
    )


def uploads(run: Overhead) -> Plot:
    """Bytes up, and bytes down in a lighter bar."""
    cells = [cell for cell in run.main() if cell.bytes_down is not None]

    def draw(axes: Axes) -> None:
        top = max(max(cell.bytes_up, cell.bytes_down or 0) for cell in cells)
        for shift, field, alpha in ((-0.19, "bytes_up", 1.0), (0.19, "bytes_down", 0.5)):
            values = [getattr(cell, field) for cell in cells]
            places = [place + shift for place in range(len(cells))]
            axes.barh(places, values, height=0.36, color=_colours(cells), alpha=alpha)
            for place, value in zip(places, values, strict=True):
                axes.text(value + top / 60, place, number(value), va="center", fontsize=11)
        _rows(axes, [cell.title for cell in cells])
        axes.set_xlim(0, top * 1.2)
        axes.set_title("bytes a coordinate")
        handles = [Patch(color=INK, label="up"), Patch(color=INK, alpha=0.5, label="down")]
        _legend(axes, handles)

    listed = "; ".join(
        f"{cell.title} {number(cell.bytes_up)} up, {number(cell.bytes_down)} down" for cell in cells
    )
    return plot(
        "bytes",
        "What it sends and receives",
        draw,
        alt=f"Bars, bytes a coordinate: {listed}.",
        caption="float32 is 4 bytes. With a shared key the encrypted sum travels back to every "
        "gateway; otherwise it is the mean in float32.",
        height=_REST + 1.25 * _ROW * len(cells),
    )


def parts(run: Overhead) -> Iterator[Plot]:
    """Where the time goes; two scales, as the schemes are far apart."""
    groups = (("cheap", "plaintext, masks, lattice", _CHEAP), ("ckks", "all CKKS", _CKKS))
    for name, title, schemes in groups:
        shown = [cell for cell in with_other_masks(run) if cell.scheme in schemes]
        if shown:
            caption = (
                "Numbers are of the whole upload. Parts are measured one by one and may add up to "
                "a little more. Mind the scales of this pair."
            )
            yield stacked(f"gateway-{name}", f"Gateway by part: {title}", shown, "gateway", caption)
    for name, title, schemes in groups:
        shown = [cell for cell in run.main() if cell.scheme in schemes and cell.aggregate]
        if shown:
            n = shown[0].gateways
            caption = f"A whole round of {n} gateways. Mind the scales of this pair."
            yield stacked(f"server-{name}", f"Server by part: {title}", shown, "server", caption)


def stacked(name: str, title: str, cells: Sequence[Cell], side: str, caption: str = "") -> Plot:
    """One bar a scheme, made of its parts; beside it the whole, which is measured by itself."""
    used = parts_of(cells, side)
    totals = [cell.upload if side == "gateway" else cell.aggregate or 0.0 for cell in cells]

    def draw(axes: Axes) -> None:
        left = [0.0] * len(cells)
        for part in used:
            label, colour = _PARTS[part]
            widths = [getattr(cell, side).get(part, 0.0) for cell in cells]
            axes.barh(range(len(cells)), widths, left=left, color=colour, label=label, height=0.62)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        # parts measured one by one may add up to more than the whole, on a busy machine to far more
        longest = max(*left, *totals)
        for place, (end, total) in enumerate(zip(left, totals, strict=True)):
            axes.text(end + longest / 60, place, number(total), va="center")
        _rows(axes, [cell.title for cell in cells])
        axes.set_xlim(0, longest * 1.22)
        axes.set_title("ns a coordinate")
        _legend(axes, axes.get_legend_handles_labels()[0])

    described = "; ".join(
        f"{cell.title}: " + ", ".join(f"{p} {number(getattr(cell, side)[p])}" for p in used)
        for cell in cells
    )
    return plot(
        name,
        title,
        draw,
        alt=f"Stacked bars, nanoseconds a coordinate: {described}.",
        caption=caption,
        height=_REST + 22 + _ROW * len(cells),
    )


def against_n(
    run: Overhead, name: str, title: str, value: Callable[[Cell], float | None], caption: str
) -> Plot | None:
    """One line a scheme, both axes logarithmic."""
    lines = {
        scheme: [
            (float(cell.gateways), found)
            for cell in sorted(run.find(scheme=scheme), key=lambda each: each.gateways)
            if (found := value(cell)) is not None
        ]
        for scheme in _LINES
    }
    return _line_plot(name, title, lines, caption, "gateways", logarithmic=True)


def against_dropouts(run: Overhead) -> Plot | None:
    """The server's round in the cohort that was measured with most rates."""
    sessions = [cell for cell in run.find(vanished=None) if cell.scheme in SESSIONS]
    largest = max((cell.gateways for cell in sessions if cell.vanished), default=_LARGE)
    lines = {
        scheme: [
            (100 * cell.rate, cell.aggregate)
            for cell in sorted(sessions, key=lambda each: each.vanished)
            if (cell.scheme, cell.gateways) == (scheme, largest) and cell.aggregate is not None
        ]
        for scheme in SESSIONS
    }
    return _line_plot(
        "dropouts",
        f"Server: cost against dropouts, n = {largest}",
        lines,
        "With masks, each gateway that vanishes leaves the masks of all its neighbours to take "
        "off; lattice and ckks open by one product whoever vanished. A shared key needs nothing.",
        "% of gateways vanished",
    )


def _line_plot(
    name: str,
    title: str,
    lines: dict[str, list[tuple[float, float]]],
    caption: str,
    across: str,
    *,
    logarithmic: bool = False,
) -> Plot | None:
    """One line a scheme; None where there are no two points."""
    if logarithmic:  # a cost below the clock's resolution has no place on such an axis
        lines = {
            scheme: [each for each in points if each[1] > 0] for scheme, points in lines.items()
        }
    shown = {scheme: points for scheme, points in lines.items() if points}
    ticks = sorted({x for points in shown.values() for x, _ in points})
    height = 290.0
    if len(ticks) < 2:
        return None

    def draw(axes: Axes) -> None:
        if logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
        for scheme, points in shown.items():
            _, colour, marker = _LINES[scheme]
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker)
        axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(across)
        axes.set_title("ns a coordinate" + ", logarithmic" * logarithmic)
        if not logarithmic:
            axes.set_ylim(bottom=0)
        ends = [(points[-1][1], *_LINES[scheme][:2]) for scheme, points in shown.items()]
        name_lines(axes, int(ticks[-1]), ends, height)

    described = "; ".join(
        f"{scheme}: " + ", ".join(f"{x:.0f}: {number(y)}" for x, y in points)
        for scheme, points in shown.items()
    )
    return plot(
        name,
        title,
        draw,
        alt=f"Lines over {across}, nanoseconds a coordinate: {described}.",
        caption=caption,
        height=height,
    )


def with_other_masks(run: Overhead) -> list[Cell]:
    """The comparison, and masks with every number of neighbours that was measured."""
    masks = sorted(run.find(scheme="masks"), key=lambda cell: cell.neighbours)
    others = [cell for cell in run.main() if cell.scheme != "masks"]
    plain = [cell for cell in others if cell.scheme == PLAIN]
    return [*plain, *masks, *(cell for cell in others if cell.scheme != PLAIN)]


def _bars(axes: Axes, cells: Sequence[Cell], values: Sequence[float]) -> None:
    axes.barh(range(len(cells)), values, color=_colours(cells), height=0.62)
    for place, value in enumerate(values):
        axes.text(value * 1.15, place, number(value), va="center")
    _rows(axes, [cell.title for cell in cells])
    _legend(
        axes,
        [
            Patch(color=HIDDEN, label="safe from C colluders"),
            Patch(color=READ, label="one reads all"),
        ],
    )


def _rows(axes: Axes, titles: Sequence[str]) -> None:
    axes.set_yticks(range(len(titles)), [_two_lines(title) for title in titles])
    axes.set_ylim(len(titles) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=12)


def _two_lines(title: str) -> str:
    """Names of shared keys and of NVFlare are too long for one."""
    return title if len(title) < 16 else re.sub(r"(, |'s )", r"\1\n", title, count=1)


def _colours(cells: Sequence[Cell]) -> list[str]:
    return [HIDDEN if facts(cell.scheme).private else READ for cell in cells]


def _legend(axes: Axes, handles: Sequence[object]) -> None:
    """Below the axes, where no bar is."""
    axes.figure.legend(
        handles=handles, loc="outside lower center", ncols=2, columnspacing=1.2, fontsize=12
    )
