"""The commands of `fedavg`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from fedavg.options import settings_of, with_settings
from secagg.console import application, say
from secagg.errors import SecAggError
from secagg.files import check_directory
from secagg.schemes import BY_NAME

if TYPE_CHECKING:
    from fedavg.experiment import Settings
    from fedavg.orchestrator import Round
    from fedavg.report.output import Output
    from fedavg.variants import SideBySide
    from secagg import Plan

VARY: Final = "What to vary: exactly one"
RESULT: Final = "Result"
app = application("fedavg", "Federated averaging, with its one sum made secure.")


OutputOption = Annotated[
    Path | None,
    typer.Option(
        callback=check_directory,
        help="Directory for the results: report.html to look at, JSON, CSV and audit records. "
        "Files of an earlier run there are replaced.",
        rich_help_panel=RESULT,
        show_default="nothing is written",
    ),
]

CompareOutputOption = Annotated[
    Path | None,
    typer.Option(
        callback=check_directory,
        help="Directory for compare.html to look at and compare.json; older ones there are "
        "replaced.",
        rich_help_panel=RESULT,
        show_default="nothing is written",
    ),
]


@app.command()
def tasks() -> None:
    """List the tasks, with their usual number of gateways, losses and splits."""
    from fedavg.tasks import TASKS

    console = Console()
    for name, task in TASKS.items():
        say(console, f"{name:12} {task.summary}")
        say(
            console,
            f"{'':12} gateways {task.gateways} (at most {task.largest}); "
            f"loss {', '.join(task.losses)}; split {', '.join(task.splits)}",
        )


@app.command()
@with_settings
def run(chosen: dict[str, Any], *, output: OutputOption = None) -> None:
    """Train round by round, gateways vanishing, and compare with the same run in the clear."""
    from fedavg import experiment

    settings = experiment.Settings(**settings_of(chosen))
    plan = experiment.check(settings)
    _train(settings, plan, output)


def _one_thread() -> None:
    """Nets this small lose time to a second thread: on a busy machine fifteen times as much."""
    import torch

    torch.set_num_threads(1)


def _phases(plan: Plan | None) -> tuple[str, ...]:
    from fedavg.phases import PHASES

    return PHASES if plan is None else plan.phases


def _train(settings: Settings, plan: Plan | None, directory: Path | None) -> None:
    from fedavg import experiment
    from fedavg.live import Bar, Rows
    from fedavg.report import words
    from fedavg.settings import dropout_warning

    _one_thread()
    for note in (dropout_warning(settings), "" if plan is None else plan.reason):
        if note:
            typer.echo(f"note: {note}", err=True)
    console = Console()
    output, rows = _output(directory), Rows(console)
    with _kept(output, directory), Bar(console, settings.rounds, phases=_phases(plan)) as bar:

        def ended(each: Round) -> None:
            if output is not None:
                output.round(each)
            rows.show(each)
            bar.round(each)

        done = experiment.run(
            settings,
            clock=time.perf_counter,
            on_round=ended,
            on_event=bar.event,
            on_record=(lambda *_: None) if output is None else output.record,
        )
    for line in words.summary(done):
        say(console, line)
    if output is not None:
        say(console, f"written to {directory}: {', '.join(output.finish(done))}")


def _output(directory: Path | None) -> Output | None:
    if directory is None:
        return None
    from fedavg.report.output import Output

    return Output(directory)


@contextmanager
def _kept(output: Output | None, directory: Path | None) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SecAggError):
        if output is not None and output.begun:
            typer.echo(f"rounds that ended are in {directory}", err=True)
        raise


@app.command()
@with_settings
def compare(
    chosen: dict[str, Any],
    *,
    optimisers: Annotated[
        str | None,
        typer.Option(help="Values for --optimiser, as in sgd,adam,adagrad.", rich_help_panel=VARY),
    ] = None,
    servers: Annotated[
        str | None,
        typer.Option(
            help="Values for --server, as in fedavg,fedavgm,fedadam,fedyogi.", rich_help_panel=VARY
        ),
    ] = None,
    schemes: Annotated[
        str | None,
        typer.Option(help=f"Values for --scheme, as in {','.join(BY_NAME)}.", rich_help_panel=VARY),
    ] = None,
    losses: Annotated[
        str | None,
        typer.Option(help="Values for --loss, as in cross-entropy,mse.", rich_help_panel=VARY),
    ] = None,
    target: Annotated[
        float,
        typer.Option(
            help="Accuracy whose first round is looked for, a share above 0, at most 1.",
            rich_help_panel=RESULT,
        ),
    ] = 0.9,
    output: CompareOutputOption = None,
) -> None:
    """Train once for each value of one setting, all else equal, and print them side by side."""
    from fedavg.experiment import Settings
    from fedavg.variants import planned

    axes = {"optimisers": optimisers, "servers": servers, "schemes": schemes, "losses": losses}
    setting, runs = planned(Settings(**settings_of(chosen)), axes, target)
    side_by_side = _vary(setting, runs, target)
    if output is not None:
        from fedavg.report.side_by_side import write_files

        names = write_files(side_by_side, output)
        say(Console(), f"written to {output}: {', '.join(names)}")


def _vary(setting: str, runs: dict[str, tuple[Settings, Plan | None]], target: float) -> SideBySide:
    """Run them one after another; a row each as they end."""
    from fedavg import experiment
    from fedavg.live import Bar, VariantRows
    from fedavg.variants import SideBySide, Variant

    _one_thread()
    console = Console()
    rows, variants = VariantRows(console, setting, list(runs), target), []
    for name, (settings, plan) in runs.items():
        with Bar(console, settings.rounds, f"{name}, ", _phases(plan)) as bar:
            done = experiment.run(
                settings, clock=time.perf_counter, on_round=bar.round, on_event=bar.event
            )
        variants.append(Variant.of(name, done, target))
        rows.show(variants[-1])
    return SideBySide(setting=setting, target=target, variants=tuple(variants))
