"""Shows a run while it runs: a row for each round, and a line that moves in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from fedavg.orchestrator import Round
from fedavg.phases import PHASES
from fedavg.report.totals import Totals, amount, dropped
from fedavg.variants import Variant
from secagg import Event, GatewayDropped, PhaseClosed
from secagg.console import in_terminal

COLUMNS: Final = {
    "round": 5,
    "alive": 5,
    "in mean": 7,
    "accuracy": 8,
    "MB up": 5,
    "MB down": 7,
    "server ms": 9,
    "gateway ms": 10,
    "clipped": 7,
}
"""Heading and width: 79 characters with two blanks between, so that 80 columns hold them."""
_BESIDE: Final = 40
"""Columns that must be left over for the dropped to stand in the row and not below it."""


def _row(cells: list[str]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, COLUMNS.values(), strict=True))


class Rows:
    """One row per round as it ends, under a heading that waits for the first.

    In a narrow terminal the dropped stand below their row; without a terminal every round is one
    line, so that what comes after a pipe reads lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = sum(COLUMNS.values()) + 2 * (len(COLUMNS) - 1)

    def show(self, each: Round) -> None:
        """Print the row of a round that ended."""
        if each.number == 1:
            heading = Text(_row(list(COLUMNS)), "bold")
            self._line(heading.append("  dropped") if self._beside else heading)
        totals = Totals.of(each)
        cells = [
            str(each.number),
            str(len(each.asked) - len(each.dropped)),
            str(len(each.included)),
            f"{each.accuracy:.3f}",
            amount(totals.up / 1e6),
            amount(totals.down / 1e6),
            amount(totals.server_ms),
            amount(totals.gateway_ms),
            str(each.clipped),
        ]
        self._with_dropped(Text(_row(cells)), dropped(each))

    def _with_dropped(self, row: Text, who: str) -> None:
        if not who:
            self._line(row)
        elif self._beside and self._fits(row, who):
            self._line(row.append("  ").append(who, "dim"))
        else:
            self._line(row)
            self._console.print(Padding(Text(f"dropped: {who}", "dim"), (0, 0, 0, 7)))

    def _fits(self, row: Text, who: str) -> bool:
        room = self._console.width - row.cell_len - 2
        return not in_terminal(self._console) or cell_len(who) <= room

    @property
    def _beside(self) -> bool:
        return not in_terminal(self._console) or self._console.width >= self._width + _BESIDE

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)


class VariantRows:
    """One row per variant as it ends, under a heading that waits for the first.

    Args:
        console: where.
        setting: the one that varies.
        names: its values, for the width of the first column.
        target: accuracy that the column of rounds is about.
    """

    def __init__(self, console: Console, setting: str, names: Sequence[str], target: float) -> None:
        self._console = console
        self._width = max(map(len, (setting, *names)))
        self._heading = (
            setting.ljust(self._width)
            + f"  final  best   {f'to {target:.0%}':>7}  seconds  MB up  "
            "MB down"
        )
        self._shown = False

    def show(self, each: Variant) -> None:
        """Print the row of a run that ended."""
        if not self._shown:
            self._console.print(Text(self._heading, "bold"), soft_wrap=True)
            self._shown = True
        to_target = "-" if each.rounds_to_target is None else str(each.rounds_to_target)
        self._console.print(
            Text(
                f"{each.name:{self._width}}  {each.final_accuracy:.3f}  {each.best_accuracy:.3f}  "
                f"{to_target:>7}  {each.seconds:7.1f}  {amount(each.bytes_up / 1e6):>5}  "
                f"{amount(each.bytes_down / 1e6):>7}"
            ),
            soft_wrap=True,
        )


class Bar:
    """The phase now open, who answered, rounds done and time left; nothing without a terminal.

    Args:
        console: where.
        rounds: how many there will be.
        label: of what, in front.
        phases: of a round, in order.
    """

    def __init__(
        self, console: Console, rounds: int, label: str = "", phases: Sequence[str] = PHASES
    ) -> None:
        self._label = label
        self._phases = phases
        self._begins = phases[0]
        self._closed = False
        self._rounds = rounds
        self._done = 0
        self._progress = Progress(
            TextColumn("rounds done"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("time left"),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self._task = self._progress.add_task("", total=rounds)
        self._live = Live(
            Group(self._status(self._begins), self._progress), console=console, transient=True
        )
        self._moves = (
            in_terminal(console) and console.is_interactive and not console.is_dumb_terminal
        )

    def __enter__(self) -> Self:
        if self._moves:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def event(self, event: Event) -> None:
        """Show what the orchestrator's session just told."""
        match event:
            case PhaseClosed(phase, answered):
                if not self._closed:  # a round begins as the one before it did
                    self._begins, self._closed = phase, True
                opened = self._after(phase)
                self._say(self._status(opened, f"{len(answered)} answered {phase}"))
            case GatewayDropped(phase=phase):
                self._say(self._status(phase, f"dropped: {event}"))
            case _:
                pass

    def round(self, each: Round) -> None:
        """Count a round that ended."""
        self._done, self._closed = each.number, False
        self._progress.update(self._task, completed=each.number)
        if each.number < self._rounds:
            self._say(self._status(self._begins))
        else:
            self._say(Text(f"{self._label}the same rounds in the clear, to compare with"))

    def _after(self, phase: str) -> str:
        place = self._phases.index(phase) + 1 if phase in self._phases else len(self._phases)
        return self._phases[place] if place < len(self._phases) else "mean"

    def _say(self, line: Text) -> None:
        self._live.update(Group(line, self._progress))

    def _status(self, opened: str, last: str = "") -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{self._label}round {self._done + 1}: ").append(opened, "bold")
        return line.append(" is open").append(f"; {last}" if last else "", "dim")
