"""Draws a session's timeline in letters: a lane for each party, and what is worth a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from protocol_sim.moments import Moment, Run
from protocol_sim.pictures.messages import Clock, phases, sessions

SIGNS: Final = {
    "sent up": ("^", "yellow"),
    "arrived down": ("v", "cyan"),
    "lost": ("x", "yellow"),
    "restarted": ("R", "green"),
    "vanished": ("X", "red"),
    "dropped": ("D", "red"),
}
"""Letters of what happens to a gateway: a later one hides an earlier one where they meet."""
LEGEND: Final = (
    "^ sends  v hears  x lost on its way  X vanished  D dropped  R restarted",
    "| phase closed  ! deadline  * end; long waits are cut",
)
_NAME: Final = 13
"""Columns of the names of the parties, and a blank."""
_LEAST: Final = 40
"""Columns of a lane, at least."""


def show(console: Console, run: Run) -> None:
    """Print every round of a run.

    Args:
        console: where; lanes are as long as it is wide.
        run: that was played.
    """
    for number, (moments, verdict) in enumerate(zip(sessions(run), run.verdicts, strict=True), 1):
        heading = f"round {number}: {verdict.outcome}"
        if verdict.included:
            heading += f" of {', '.join(verdict.included)}"
        good = verdict.outcome == "sum" and not verdict.violation
        console.print(Text(heading, "bold green" if good else "bold red"), soft_wrap=True)
        for line in lanes(run, moments, max(_LEAST, console.width - _NAME)):
            console.print(line, soft_wrap=True)
        for line in sentences(moments):
            console.print(line, soft_wrap=True)
        if verdict.violation:
            console.print(Text(f"VIOLATION: {verdict.violation}", "bold red"), soft_wrap=True)
        elif verdict.outcome != "sum":
            console.print(f"No sum was due: {verdict.excuse}.", soft_wrap=True, markup=False)
        console.print()


def lanes(run: Run, moments: Sequence[Moment], width: int) -> Iterator[Text]:
    """The phases, a lane for each party, and what the letters mean.

    Args:
        run: that was played.
        moments: of one of its rounds.
        width: columns of a lane.
    """
    clock = Clock([each.time for each in moments])

    def column(time: float) -> int:
        return round(clock(time) * (width - 1))

    yield Text(" " * _NAME + _names(moments, column, width), "dim")
    yield _lane("orchestrator", _of_orchestrator(moments), column, width)
    for name in run.scenario.names:
        mine = [each for each in moments if each.gateway == name and each.kind in SIGNS]
        mine.sort(key=lambda each: list(SIGNS).index(each.kind))
        signs = [(each.time, *SIGNS[each.kind]) for each in mine]
        yield _lane(name, signs, column, width)
    for line in LEGEND:
        yield Text(f"  {line}", "dim")


def _of_orchestrator(moments: Sequence[Moment]) -> list[tuple[float, str, str]]:
    kinds = {
        "phase closed": ("|", "bold"),
        "deadline": ("!", "red"),
        "completed": ("*", "bold green"),
        "aborted": ("*", "bold red"),
    }
    own = [each for each in moments if not each.gateway and each.kind in kinds]
    own.sort(key=lambda each: list(kinds).index(each.kind))
    return [(each.time, *kinds[each.kind]) for each in own]


def _lane(
    name: str, signs: Sequence[tuple[float, str, str]], column: Callable[[float], int], width: int
) -> Text:
    cells = [("-", "dim")] * width
    for time, sign, style in signs:
        place = column(time)
        if sign == "v" and cells[place][0] == "^" and place + 1 < width:
            cells[place + 1] = cells[place]  # an answer that left at once stands beside
        cells[place] = (sign, style)
    line = Text(name.ljust(_NAME)[:_NAME])
    for sign, style in cells:
        line.append(sign, style)
    return line


def _names(moments: Sequence[Moment], column: Callable[[float], int], width: int) -> str:
    line = ""
    for phase in phases(moments):
        begin, end = column(phase.begin), column(phase.end)
        room = end - begin - 1
        if room > 1:
            line = line.ljust(begin) + phase.name[:room]
    return line[:width]


def sentences(moments: Sequence[Moment]) -> Iterator[Text]:
    """A line for everything but the frames that arrived as they should."""
    for each in moments:
        what = each.kind
        if what.startswith(("sent", "arrived")):
            continue
        style = "red" if what in {"vanished", "dropped", "deadline", "aborted", "lost"} else ""
        who = each.gateway or "orchestrator"
        reason = "" if what == "lost" else each.detail.lower().replace("_", " ")
        line = Text(f"{each.time:9.3f} s  {who:12}  ")
        line.append(what, style)
        line.append(f" in {each.step}" if each.step else "")
        line.append(f": {each.detail if what == 'aborted' else reason}" if reason else "")
        yield line
