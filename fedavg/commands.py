"""The commands of `fedavg`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from secagg.errors import ConfigurationError, EncodingError, SecAggError

if TYPE_CHECKING:
    from fedavg.experiment import Report
    from fedavg.orchestrator import Round

PRIVACY: Final = {
    "masks": "All parties ran in this process: this shows numbers, cost and recovery. Privacy "
    "begins where each gateway runs its own session.",
    "plain": "In the clear: whoever aggregates sees every update.",
}

app = typer.Typer(
    help="Federated averaging, with its one sum made secure.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def tasks() -> None:
    """List the tasks."""
    from fedavg.tasks import TASKS

    console = Console()
    for name, task in TASKS.items():
        _print(console, f"[bold]{name:12}[/] {escape(task.summary)}")


@app.command()
def run(
    *,
    task: Annotated[str, typer.Option(help="What to learn; see `fedavg tasks`.")] = "digits",
    gateways: Annotated[int, typer.Option(help="Sites that train.")] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds of FedAvg.")] = 10,
    vanish: Annotated[int, typer.Option(help="Gateways that fall silent in every round.")] = 0,
    seed: Annotated[int, typer.Option(help="Of data, weights, order and absences.")] = 0,
    scheme: Annotated[str, typer.Option(help="masks, or plain for no protection.")] = "masks",
    max_colluding: Annotated[
        int | None, typer.Option(help="Gateways that may side with the orchestrator.")
    ] = None,
    max_dropouts: Annotated[
        int | None, typer.Option(help="Gateways that may vanish in a round.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(help="Largest coordinate of an update [task's own].")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Directory for report.json.")] = None,
) -> None:
    """Train round by round, gateways vanishing, and compare with the same run in the clear."""
    with _one_line_errors():
        from fedavg import experiment, report

        settings = experiment.Settings(
            task=task,
            gateways=gateways,
            rounds=rounds,
            vanish=vanish,
            seed=seed,
            scheme=scheme,
            max_colluding=max_colluding,
            max_dropouts=max_dropouts,
            clip=clip,
        )
        if output is not None:
            report.check_directory(output)
        console = Console()
        lines = _Lines(console, gateways)
        done = experiment.run(settings, clock=time.perf_counter, on_round=lines.show)
        _summarise(console, done)
        if output is not None:
            _print(console, f"written to {escape(str(report.write(done, output)))}")


class _Lines:
    """One line per round as it ends, under a heading that waits for the first."""

    HEADING = "round  alive  in mean  accuracy    KB up  KB down    bound  vanished"

    def __init__(self, console: Console, gateways: int) -> None:
        self._console = console
        self._gateways = gateways

    def show(self, each: Round) -> None:
        if each.number == 1:
            _print(self._console, f"[bold]{self.HEADING}[/]")
        vanished = ", ".join(
            f"{name} in {phase} ({reason})" for name, (phase, reason) in each.vanished.items()
        )
        _print(
            self._console,
            f"{each.number:5}  {self._gateways - len(each.vanished):5}  {len(each.included):7}  "
            f"[bold]{each.accuracy:8.3f}[/]  {each.bytes_up / 1000:7.1f}  "
            f"{each.bytes_down / 1000:7.1f}  {each.error_bound:7.1e}  [dim]{escape(vanished)}[/]",
        )


def _summarise(console: Console, report: Report) -> None:
    seconds = ", ".join(f"{name} {spent:.1f}" for name, spent in report.seconds.items())
    comparison = report.comparison
    in_the_clear = comparison.plain_accuracy
    worst = max(comparison.deviations, key=lambda each: each.largest)
    verdict = "every round within its bound" if comparison.within_bounds else "BOUND EXCEEDED"
    lines = (
        f"seconds    {seconds}",
        f"accuracy   {comparison.accuracy:.3f}, the same rounds in the clear {in_the_clear:.3f}",
        f"mean       off by at most {worst.largest:.1e}, stated {worst.bound:.1e}: {verdict}",
        f"[dim]{PRIVACY[report.settings.scheme]}[/]",
    )
    for line in lines:
        _print(console, line)


def _print(console: Console, line: str) -> None:
    """One line, never folded: what comes after a pipe reads lines."""
    console.print(line, soft_wrap=True, highlight=False)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (ConfigurationError, EncodingError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    except (SecAggError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
