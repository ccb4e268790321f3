"""Draws one session: parties as lanes, messages as arrows, what went wrong as marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from protocol_sim.moments import Moment, Run
from protocol_sim.pictures.messages import Clock, Message, messages, phases, sessions
from secagg.pages.colours import BAND, BLUE, GREEN, GRID, INK, MUTED, ORANGE, PAPER, RED
from secagg.pages.plots import FONT, Plot, plot

ORCHESTRATOR: Final = "orchestrator"
_WIDE: Final = 1100
"""Points from left to right."""
_LANE: Final = 74
"""Points from lane to lane."""
_ROWS: Final = 3
"""Rows for the names of phases, where one would be too narrow."""
_LETTER: Final = 0.62 * FONT
"""Points a letter is wide, at most on the average."""
MARKS: Final = {
    "vanished": ("x", RED),
    "dropped": ("s", RED),
    "restarted": ("o", GREEN),
}
"""Shape and colour of what happens to a gateway."""


def timeline(run: Run, round_index: int = -1) -> Plot:
    """The picture of one round.

    Args:
        run: that was played.
        round_index: which of its rounds; the last one by default.
    """
    moments = sessions(run)[round_index]
    lanes = {"": 0} | {name: place + 1 for place, name in enumerate(run.scenario.names)}
    verdict = run.verdicts[round_index]
    drawn = _Drawing(run, moments, lanes)
    said = Counter(each.kind for each in moments)
    number = range(len(run.verdicts))[round_index] + 1
    return plot(
        f"timeline-{number}",
        f"Round {number}: {verdict.outcome}",
        drawn.fill,
        alt=f"Timeline of {len(lanes) - 1} gateways and the orchestrator: {said['sent down']} "
        f"messages down, {said['sent up']} up, {said['lost']} lost, {said['vanished']} gateways "
        f"vanished, {said['dropped']} dropped, {said['deadline']} deadlines; ended in "
        f"{verdict.outcome}.",
        caption="Time runs from left to right; long waits are cut (//), with the seconds left out. "
        "Each line is a frame and ends in a dot where it was heard; a broken one was lost on its "
        "way (x), or nobody listened.",
        width=_WIDE,
        height=110 + _LANE * len(lanes),
    )


class _Drawing:
    """What goes where.

    Args:
        run: that was played.
        moments: of the round.
        lanes: place of each party from the top.
    """

    def __init__(self, run: Run, moments: Sequence[Moment], lanes: dict[str, int]) -> None:
        self._run, self._moments, self._lanes = run, moments, lanes
        self._messages = messages(moments)
        self._clock = Clock([each.time for each in moments])
        self._end = max(each.time for each in moments)

    def fill(self, axes: Axes) -> None:
        """Draw all of it."""
        axes.set_xlim(-0.012, 1.02)
        axes.set_ylim(len(self._lanes) - 0.45, -0.75)
        self._phases(axes)
        self._lines(axes)
        self._arrows(axes)
        self._marks(axes)
        self._time(axes)
        axes.set_yticks(range(len(self._lanes)), [name or ORCHESTRATOR for name in self._lanes])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.figure.legend(
            handles=_legend(), loc="outside lower center", ncols=8, columnspacing=1.4
        )

    def _phases(self, axes: Axes) -> None:
        top, ends = -0.95, [-1.0] * _ROWS
        for index, phase in enumerate(phases(self._moments)):
            begin, end = self._clock(phase.begin), self._clock(phase.end)
            if index % 2 == 0:
                axes.axvspan(begin, end, color=BAND, linewidth=0, zorder=0)
            axes.axvline(end, color=GRID, linewidth=1, zorder=0.5)
            for name, lane in self._lanes.items():
                if index and name:  # on a phone the names at the left have scrolled away
                    axes.text(begin + 0.004, lane - 0.17, name, va="center", color=MUTED, size=10)
            width = _LETTER * len(phase.name) / (0.9 * _WIDE)
            place = min(max((begin + end) / 2, width / 2), 1 - width / 2)
            row = next((row for row, taken in enumerate(ends) if place - width / 2 > taken), 0)
            ends[row] = place + width / 2 + 0.005
            axes.text(place, top - 0.27 * row, phase.name, ha="center", va="center", color=MUTED)

    def _lines(self, axes: Axes) -> None:
        ends = [each for each in self._moments if each.kind in {"vanished", "dropped"}]
        gone = {each.gateway: each.time for each in reversed(ends)}
        for name, lane in self._lanes.items():
            end = self._clock(gone.get(name, self._end))
            axes.plot([0, end], [lane, lane], color=MUTED, linewidth=1.4, zorder=1)
            axes.plot([end, 1], [lane, lane], color=GRID, linewidth=1.4, zorder=1)
            for begin, back in self._away(name):
                axes.plot([begin, back], [lane, lane], color=PAPER, linewidth=4, zorder=1.1)
                axes.plot(
                    [begin, back],
                    [lane, lane],
                    color=MUTED,
                    linewidth=1.6,
                    linestyle=(0, (1, 2.5)),
                    zorder=1.2,
                )

    def _away(self, name: str) -> Iterable[tuple[float, float]]:
        plan = self._run.scenario.plans.get(name)
        begin = self._moments[0].time
        for leaves, returns in plan.away if plan else ():
            if returns > begin and leaves < self._end:
                yield self._clock(leaves), self._clock(returns)

    def _arrows(self, axes: Axes) -> None:
        for up, colour in ((False, BLUE), (True, ORANGE)):
            heard = [each for each in self._messages if each.up == up and each.arrived is not None]
            lines = [self._way(each) for each in heard]
            axes.add_collection(
                LineCollection(lines, colors=colour, linewidths=1, alpha=0.75, zorder=2)
            )
            tips = [line[1] for line in lines]
            axes.plot(*_columns(tips), marker="o", linestyle="", color=colour, markersize=3.2)
            unheard = [each for each in self._messages if each.up == up and each.arrived is None]
            ways = [self._way(each) for each in unheard]
            axes.add_collection(
                LineCollection(ways, colors=colour, linewidths=1, linestyles=(0, (3, 2)), zorder=2)
            )
            ends = [way[1] for way, each in zip(ways, unheard, strict=True) if each.lost]
            axes.plot(
                *_columns(ends),
                marker="x",
                linestyle="",
                color=colour,
                markersize=6,
                markeredgewidth=1.8,
            )

    def _way(self, each: Message) -> list[tuple[float, float]]:
        """The way from where it was sent to where it was heard, or part of it."""
        lane, start = self._lanes[each.gateway], self._clock(each.sent)
        begin, end = (lane, 0) if each.up else (0, lane)
        if each.arrived is None:
            return [(start, begin), (min(start + 0.012, 1.0), begin + (end - begin) * 0.45)]
        return [(start, begin), (self._clock(each.arrived), end)]

    def _marks(self, axes: Axes) -> None:
        labels: dict[str, float] = {}
        for moment in self._moments:
            place = self._clock(moment.time)
            if moment.kind in MARKS:
                lane = self._lanes[moment.gateway]
                shape, colour = MARKS[moment.kind]
                axes.plot(
                    place,
                    lane,
                    marker=shape,
                    color=colour,
                    markersize=9,
                    linestyle="",
                    markerfacecolor=PAPER,
                    markeredgewidth=2.2,
                    zorder=4,
                )
                if moment.detail:
                    self._label(axes, labels, moment.gateway, place, moment.detail.lower(), colour)
            elif moment.kind == "deadline":
                axes.axvline(place, color=RED, linewidth=1.4, linestyle=(0, (5, 3)), zorder=1.5)
            elif moment.kind in {"completed", "aborted"} and not moment.gateway:
                self._outcome(axes, moment, place)

    def _label(
        self, axes: Axes, taken: dict[str, float], lane: str, place: float, text: str, colour: str
    ) -> None:
        """Words below a mark, or above it where words stand below already."""
        width = _LETTER * len(text) / (0.9 * _WIDE)
        below = place - width / 2 > taken.get(lane, -1.0)
        taken[lane] = place + width / 2
        axes.text(
            min(place, 1.01 - width / 2),
            self._lanes[lane] + (0.27 if below else -0.27),
            text,
            ha="center",
            va="center",
            color=colour,
            zorder=5,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )

    def _outcome(self, axes: Axes, moment: Moment, place: float) -> None:
        good = moment.kind == "completed"
        colour = GREEN if good else RED
        axes.plot(place, 0, marker="D", color=colour, markersize=10, linestyle="", zorder=5)
        axes.text(
            place - 0.012,
            -0.33,
            "sum" if good else moment.detail,
            color=colour,
            ha="right",
            va="center",
            weight="bold",
            zorder=5,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )

    def _time(self, axes: Axes) -> None:
        for place, left_out in self._clock.cuts:
            axes.text(
                place,
                len(self._lanes) - 0.68,
                f"//\n{left_out:.1f} s",
                ha="center",
                va="center",
                color=MUTED,
                zorder=5,
            )
        ticks = list(self._clock.ticks(14))
        axes.set_xticks([place for place, _ in ticks], [f"{time:.2f} s" for _, time in ticks])
        axes.tick_params(axis="x", length=0)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _legend() -> list[Line2D]:
    def mark(label: str, colour: str, shape: str, line: Any = "") -> Line2D:
        filled = colour if shape == "x" else PAPER
        return Line2D(
            [],
            [],
            color=colour,
            marker=shape,
            markersize=7,
            markerfacecolor=filled,
            markeredgewidth=2,
            linewidth=1.4,
            linestyle=line,
            label=label,
        )

    return [
        mark("message down", BLUE, "", "-"),
        mark("message up", ORANGE, "", "-"),
        mark("lost", MUTED, "x", (0, (3, 2))),
        mark("deadline", RED, "", (0, (5, 3))),
        mark("away", MUTED, "", (0, (1, 2.5))),
        *(mark(name, colour, shape) for name, (shape, colour) in MARKS.items()),
    ]
