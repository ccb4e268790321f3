"""Makes compare.html and compare.json, of runs that differ in one setting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from matplotlib.axes import Axes

from fedavg.report import words
from fedavg.report.figures import bottom_of, in_percent, markers, over_rounds
from fedavg.report.files import document
from fedavg.report.page import settings_table
from fedavg.settings import AXES, Settings
from fedavg.variants import SideBySide, Variant
from secagg.files import write
from secagg.pages.colours import MUTED, SERIES
from secagg.pages.kit import Tile, render
from secagg.pages.plots import FONT, HEIGHT, Plot, name_lines, plot
from secagg.pages.tables import Cell, Table, quantity

_STROKES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))


def write_files(done: SideBySide, directory: Path) -> tuple[str, ...]:
    """Write both files; returns their names.

    Raises:
        OSError: one cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write(directory / "compare.json", document(done))
    write(directory / "compare.html", compare_html(done))
    return "compare.html", "compare.json"


def compare_html(done: SideBySide) -> bytes:
    """The page; equal runs give equal pages, seconds apart."""
    first = done.variants[0]
    [plural] = [axis for axis, setting in AXES.items() if setting == done.setting]
    names = ", ".join(each.name for each in done.variants)
    rounds = words.plural(len(first.accuracy), "round")
    return render(
        "fedavg.report",
        "compare.html",
        title=f"{first.settings.task}: {len(done.variants)} {plural} compared",
        lead=f"{names}; {rounds} of federated averaging each, all else equal",
        words=words,
        done=done,
        tiles=list(_tiles(done)),
        accuracy=_accuracy(done),
        table=_table(done),
        settings=settings_table(_shared(done), without=done.setting),
    )


def _shared(done: SideBySide) -> Settings:
    """What all runs have in common; where their own values differ, none."""
    first, *others = (each.settings for each in done.variants)
    own = [
        each.name
        for each in fields(first)
        if each.name != done.setting
        and any(getattr(other, each.name) != getattr(first, each.name) for other in others)
    ]
    return replace(first, **cast("dict[str, Any]", dict.fromkeys(own)))


def _tiles(done: SideBySide) -> Iterator[Tile]:
    best = max(done.variants, key=lambda each: each.final_accuracy)
    level = len({f"{each.final_accuracy:.1%}" for each in done.variants}) == 1
    named = "all the same" if level else best.name
    yield Tile("Highest final accuracy", named, f"{best.final_accuracy:.1%}")
    reached = [each for each in done.variants if each.rounds_to_target is not None]
    soonest = min(reached, key=lambda each: each.rounds_to_target or 0, default=None)
    together = len({each.rounds_to_target for each in done.variants}) == 1
    first = "none" if soonest is None else "all the same" if together else soonest.name
    yield Tile(
        f"First to {done.target:.0%}",
        first,
        f"in round {soonest.rounds_to_target}" if soonest else "not in these rounds",
    )
    least = min(done.variants, key=lambda each: each.bytes_up)
    same = len({each.bytes_up for each in done.variants}) == 1
    spread = 100 * (best.final_accuracy - min(each.final_accuracy for each in done.variants))
    yield Tile("Between best and worst", f"{spread:.1f}", "percentage points of final accuracy")
    named = "all the same" if same else least.name
    yield Tile("Least sent", named, f"{quantity(least.bytes_up, 'B')} a round")


def _accuracy(done: SideBySide) -> Plot:
    rounds = len(done.variants[0].accuracy)
    height = max(HEIGHT, 100 + FONT * 1.6 * len(done.variants))
    shares = [share for each in done.variants for share in each.accuracy]

    def draw(axes: Axes) -> None:
        ends = []
        for index, each in enumerate(done.variants):
            colour = SERIES[index % len(SERIES)]
            axes.plot(
                range(1, rounds + 1),
                each.accuracy,
                color=colour,
                linestyle=_STROKES[index % len(_STROKES)],
                # Broad below thin: lines that coincide are all seen.
                linewidth=2 + 0.8 * (len(done.variants) - 1 - index),
                **markers(rounds),
            )
            ends.append((each.accuracy[-1], each.name, colour))
        axes.axhline(done.target, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axes.set_title("right answers on the holdout set")
        in_percent(axes, shares)
        over_rounds(axes, rounds)
        name_lines(axes, rounds, ends, height)

    return plot(
        "accuracy",
        "Accuracy",
        draw,
        alt="Line plot of accuracy over the rounds. At the end: "
        + ", ".join(f"{each.name} {each.final_accuracy:.1%}" for each in done.variants),
        caption=f"The dotted line is the target of {done.target:.0%}. The axis starts at "
        f"{bottom_of(shares):.0%}.",
        height=height,
    )


def _table(done: SideBySide) -> Table:
    columns: dict[str, Callable[[Variant], Cell]] = {
        done.setting.capitalize(): lambda each: each.name,
        "Final accuracy": lambda each: f"{each.final_accuracy:.3f}",
        "Best accuracy": lambda each: f"{each.best_accuracy:.3f}",
        f"Rounds to {done.target:.0%}": lambda each: each.rounds_to_target or "-",
        "Seconds": lambda each: f"{each.seconds:.1f}",
        "Sent": lambda each: quantity(each.bytes_up, "B"),
        "Received": lambda each: quantity(each.bytes_down, "B"),
    }
    return Table.of("Side by side", columns, done.variants)
