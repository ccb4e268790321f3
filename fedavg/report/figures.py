"""Draws the plots of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import floor, isfinite
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    StrMethodFormatter,
)

from fedavg.experiment import Report
from fedavg.orchestrator import Round
from fedavg.report import words
from secagg.pages.colours import GRID, PAPER, SERIES
from secagg.pages.plots import FONT, Plot, name_lines, plot
from secagg.pages.round import phase_seconds
from secagg.schemes import BY_NAME
from secagg.schemes.masks import Masks

_GRID_GATEWAYS: Final = 20
_GRID_ROUNDS: Final = 40
"""Up to here every gateway and round has its own dot; beyond, the dropped are counted."""
_MARKS: Final = ("o", "s", "^", "D", "v")
"""One for each phase of a scheme: shapes tell apart what colours may not."""


def plots(report: Report) -> Iterator[Plot]:
    """Every plot that has something to show."""
    yield accuracy(report)
    if report.settings.scheme != "plain":
        yield deviation(report)
    yield traffic(report)
    if any(each.phases for each in report.rounds):
        yield phase_seconds(
            [each.phases for each in report.rounds],
            "Mean over the rounds, all gateways together, one after another in this process; "
            "training is not counted.",
        )
    if any(each.dropped for each in report.rounds):
        yield absences(report)


def accuracy(report: Report) -> Plot:
    """Accuracy per round beside that of the same rounds in the clear."""
    numbers = [each.number for each in report.rounds]
    secure = [each.accuracy for each in report.rounds]
    plain = report.comparison.history
    compared = report.settings.scheme != "plain"
    style = markers(len(numbers))

    def draw(axes: Axes) -> None:
        if compared:
            broad: dict[str, Any] = {
                "linewidth": 7,
                "alpha": 0.45,
                "solid_capstyle": "round",
                "markersize": 10,
            }
            axes.plot(numbers, plain, color=SERIES[1], label="in the clear", **broad, **style)
        name = "secure" if compared else "in the clear"
        axes.plot(numbers, secure, color=SERIES[0], label=name, **style)
        axes.set_title("right answers on the holdout set")
        in_percent(axes, [*secure, *plain])
        axes.legend(loc="lower right")
        over_rounds(axes, len(numbers))

    ending = f"{secure[-1]:.1%} after the last round"
    beside = (
        "The thin line is this run, the broad one behind it the same rounds without protection. "
    )
    return plot(
        "accuracy",
        "Accuracy",
        draw,
        alt=f"Line plot of accuracy over {len(numbers)} rounds: from {secure[0]:.1%} to {ending}"
        + (f"; in the clear {plain[-1]:.1%}." if compared else "."),
        caption=(f"{beside}{words.difference(report)} " if compared else "")
        + f"The axis starts at {bottom_of([*secure, *plain]):.0%}.",
    )


def deviation(report: Report) -> Plot:
    """How far each mean was off, below the bound stated for it."""
    numbers = [each.number for each in report.rounds]
    found = [each.largest for each in report.comparison.deviations]
    bounds = [each.bound for each in report.comparison.deviations]
    # A logarithmic axis has no place for zero; a hundredth of the bound is off the scale already.
    finite = [bound for bound in bounds if isfinite(bound)]
    floor = min(finite, default=1.0) / 1e6

    def draw(axes: Axes) -> None:
        axes.set_yscale("log")
        shown = [max(each, floor) for each in found]
        axes.plot(numbers, bounds, color=SERIES[1], linestyle=(0, (4, 2)), **markers(len(numbers)))
        axes.plot(numbers, shown, color=SERIES[0], **markers(len(numbers)))
        low, high = min(shown + finite) / 2, max(shown + finite) * 2
        axes.set_ylim(low, high)
        axes.set_title("of the model's coordinates, logarithmic")
        axes.yaxis.set_major_locator(
            LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=8)
        )
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0e}"))
        axes.yaxis.set_minor_locator(NullLocator())
        over_rounds(axes, len(numbers))
        ends = [(bounds[-1], "stated", SERIES[1]), (shown[-1], "found", SERIES[0])]
        name_lines(axes, len(numbers), [each for each in ends if isfinite(each[0])])

    return plot(
        "deviation",
        "Largest error of the mean",
        draw,
        alt=f"Line plot, logarithmic: the largest error found, at most {max(found):.1e}, beside "
        f"the bound stated for each round, at least {min(bounds):.1e}.",
        caption="Each secure mean against the exact mean of the same updates; the solid line has "
        "to stay below the broken one"
        + (", which ends where coordinates were cut off." if len(finite) < len(bounds) else "."),
    )


def traffic(report: Report) -> Plot:
    """Bytes of the busiest gateway per round."""
    numbers = [each.number for each in report.rounds]
    up = [each.bytes_up for each in report.rounds]
    down = [each.bytes_down for each in report.rounds]
    unit, name = (1e6, "MB") if max(up + down) >= 1e6 else (1e3, "KB")

    def draw(axes: Axes) -> None:
        for values, colour, style in ((up, SERIES[0], "-"), (down, SERIES[1], (0, (4, 2)))):
            axes.plot(
                numbers,
                [value / unit for value in values],
                color=colour,
                linestyle=style,
                **markers(len(numbers)),
            )
        axes.set_ylim(0, 1.15 * max(up + down) / unit)
        axes.set_title(f"{name}, the busiest gateway")
        over_rounds(axes, len(numbers))
        ends = [(up[-1] / unit, "sent", SERIES[0]), (down[-1] / unit, "received", SERIES[1])]
        name_lines(axes, len(numbers), ends)

    return plot(
        "traffic",
        "Bytes per gateway and round",
        draw,
        alt=f"Line plot: a gateway sent at most {max(up) / unit:,.1f} {name} in a round and "
        f"received at most {max(down) / unit:,.1f} {name}.",
        caption="Received includes the global model; framing, keys and shares are counted.",
    )


def absences(report: Report) -> Plot:
    """Who was dropped when, or how many where there are too many to show."""
    names = sorted({name for each in report.rounds for name in each.asked}, key=str)
    few = len(names) <= _GRID_GATEWAYS and len(report.rounds) <= _GRID_ROUNDS
    total = sum(len(each.dropped) for each in report.rounds)
    places = _places(report)
    present = sorted(set(_phases(report.rounds)), key=places.__getitem__)

    def draw(axes: Axes) -> None:
        if few:
            _dots(axes, report.rounds, [str(name) for name in names], places)
        else:
            _counts(axes, report.rounds, {phase: places[phase] for phase in present})
        over_rounds(axes, len(report.rounds))
        axes.figure.legend(
            handles=[
                _mark(places[phase], hollow=False, shape="" if few else "s") for phase in present
            ],
            labels=present,
            loc="outside lower center",
            ncols=2,
            columnspacing=1.2,
        )

    return plot(
        "absences",
        "Who was dropped, and in which phase",
        draw,
        alt=f"{total} times a gateway was dropped in {len(report.rounds)} rounds.",
        caption="Filled: left out of the mean. Hollow: dropped after its upload and still counts. "
        "Small dots took part."
        if few
        else "Gateways that were dropped in each round, by phase.",
        height=(95 + 19 * len(names) if few else 240) + FONT * 1.6 * ((len(present) + 1) // 2),
    )


def _places(report: Report) -> dict[str, int]:
    """Phase -> its mark and colour; in the clear gateways vanish in phases of masks."""
    steps = BY_NAME.get(report.scheme, Masks).steps
    return {step.name: place for place, step in enumerate(steps)}


def _phases(rounds: tuple[Round, ...]) -> Iterator[str]:
    return (gone.phase for each in rounds for gone in each.dropped.values())


def _mark(place: int, *, hollow: bool, shape: str = "") -> Line2D:
    colour = SERIES[place]
    return Line2D(
        [],
        [],
        linestyle="",
        marker=shape or _MARKS[place],
        markersize=8,
        markeredgewidth=2,
        markeredgecolor=colour,
        markerfacecolor=PAPER if hollow else colour,
    )


def _dots(axes: Axes, rounds: tuple[Round, ...], names: list[str], places: dict[str, int]) -> None:
    for each in rounds:
        for name in each.asked:
            height = names.index(str(name))
            if name in each.dropped:
                mark = _mark(places[each.dropped[name].phase], hollow=name in each.included)
                mark.set_data([each.number], [height])
                axes.add_line(mark)
            else:
                axes.plot(each.number, height, marker="o", markersize=2.5, color=GRID)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False)


def _counts(axes: Axes, rounds: tuple[Round, ...], places: dict[str, int]) -> None:
    numbers = [each.number for each in rounds]
    below = [0] * len(rounds)
    for phase, place in places.items():
        here = [sum(gone.phase == phase for gone in each.dropped.values()) for each in rounds]
        axes.bar(numbers, here, bottom=below, width=0.9, color=SERIES[place])
        below = [low + more for low, more in zip(below, here, strict=True)]
    axes.set_title("gateways")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def over_rounds(axes: Axes, rounds: int) -> None:
    """Whole rounds from left to right."""
    axes.set_xlim(0.5 if rounds == 1 else 1 - 0.02 * rounds, rounds + max(0.5, 0.02 * rounds))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.set_xlabel("round")
    axes.grid(visible=False, axis="x")


def in_percent(axes: Axes, shares: Iterable[float]) -> None:
    """Shares from bottom to top, from a round number below the lowest."""
    axes.set_ylim(bottom_of(shares), 1.01)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}%"))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def bottom_of(shares: Iterable[float]) -> float:
    """Where an axis of shares starts: at a multiple of 5% with a little room below the lowest."""
    return max(0.0, floor(20 * min(shares) - 0.2) / 20)


def markers(rounds: int) -> dict[str, Any]:
    """Dots where they would not melt into one another."""
    return {"marker": "o"} if rounds <= 30 else {}
