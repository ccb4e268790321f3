"""Runs the commands of `fedavg`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from fedavg.options import with_settings
from fedavg.settings import Settings
from secagg.console import Json, Quiet, application, say
from secagg.errors import SecAggError
from secagg.files import check_directory

if TYPE_CHECKING:
    from fedavg.experiment import Report
    from fedavg.orchestrator import Round
    from fedavg.prepared import Prepared
    from fedavg.report.output import Output
    from fedavg.variants import SideBySide

RESULT: Final = "Result"
app = application("fedavg", "Federated averaging, with its one sum made secure.")


def _directory(words: str) -> Any:
    return typer.Option(
        callback=check_directory,
        help=f"Directory for {words}; older ones there are replaced.",
        rich_help_panel=RESULT,
        show_default="nothing is written",
    )


RunOutput = Annotated[
    Path | None, _directory("report.html to look at, and files as JSON, CSV and audit records")
]
CompareOutput = Annotated[Path | None, _directory("compare.html to look at and compare.json")]


@app.command()
def tasks() -> None:
    """List the tasks, with their usual number of gateways, losses and splits."""
    from fedavg.tasks import TASKS, entry

    console = Console()
    for name in TASKS:
        task = entry(name)
        say(console, f"{name:12} {task.summary}")
        say(
            console,
            f"{'':12} gateways {task.gateways} (at most {task.largest}); "
            f"loss {', '.join(task.losses)}; split {', '.join(task.splits)}"
            + ("; reads files" if task.reads_data else ""),
        )


@app.command()
@with_settings
def run(
    settings: Settings, *, output: RunOutput = None, quiet: Quiet = False, as_json: Json = False
) -> None:
    """Train round by round, gateways vanishing, and compare with the same run in the clear.

    It demonstrates, with models of its own: yours trains in your own loop, by SecureAverage.
    """
    from fedavg.prepared import prepare

    done = _train(prepare(settings), output, Console(quiet=quiet or as_json))
    if as_json:
        from fedavg.report.files import report_json

        typer.echo(report_json(done), nl=False)


def _one_thread() -> None:
    """Nets this small lose time to a second thread: on a busy machine fifteen times as much."""
    import torch

    torch.set_num_threads(1)


def _phases(prepared: Prepared) -> tuple[str, ...]:
    from fedavg.phases import PHASES

    return PHASES if prepared.plan is None else prepared.plan.phases


def _train(prepared: Prepared, directory: Path | None, console: Console) -> Report:
    from fedavg import experiment
    from fedavg.live import Bar, Rows
    from fedavg.report import words

    _one_thread()
    for note in (prepared.warning, prepared.plan.reason if prepared.plan else ""):
        if note:
            typer.echo(f"note: {note}", err=True)
    output, rows = _output(directory), Rows(console)
    bar = Bar(console, prepared.settings.rounds, phases=_phases(prepared))
    with _kept(output, directory), bar:

        def ended(each: Round) -> None:
            if output is not None:
                output.round(each)
            rows.show(each)
            bar.round(each)

        done = experiment.run(
            prepared,
            clock=time.perf_counter,
            on_round=ended,
            on_event=bar.event,
            on_record=(lambda *_: None) if output is None else output.record,
        )
    for line in words.summary(done):
        say(console, line)
    for text in done.warnings:
        typer.echo(f"warning: {text}", err=True)
    if output is not None:
        say(console, f"written to {directory}: {', '.join(output.finish(done))}")
    return done


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
    settings: Settings,
    *,
    target: Annotated[
        float,
        typer.Option(
            help="Accuracy whose first round is looked for, a share above 0, at most 1.",
            rich_help_panel=RESULT,
        ),
    ] = 0.9,
    output: CompareOutput = None,
    quiet: Quiet = False,
    as_json: Json = False,
    **axes: str | None,
) -> None:
    """Train once for each value of one setting, all else equal, and print them side by side."""
    from fedavg.variants import planned

    setting, runs = planned(settings, axes, target)
    console = Console(quiet=quiet or as_json)
    side_by_side = _vary(setting, runs, target, console)
    if as_json:
        from fedavg.report.files import document

        typer.echo(document(side_by_side), nl=False)
    if output is not None:
        from fedavg.report.side_by_side import write_files

        names = write_files(side_by_side, output)
        say(console, f"written to {output}: {', '.join(names)}")


def _vary(setting: str, runs: dict[str, Prepared], target: float, console: Console) -> SideBySide:
    """Run them one after another; a row each as they end."""
    from fedavg import experiment
    from fedavg.live import Bar, VariantRows
    from fedavg.variants import SideBySide, Variant

    _one_thread()
    rows, variants = VariantRows(console, setting, list(runs), target), []
    for name, prepared in runs.items():
        with Bar(console, prepared.settings.rounds, f"{name}, ", _phases(prepared)) as bar:
            done = experiment.run(
                prepared, clock=time.perf_counter, on_round=bar.round, on_event=bar.event
            )
        variants.append(Variant.of(name, done, target))
        rows.show(variants[-1])
    for each in variants:
        for text in each.warnings:
            typer.echo(f"warning: {each.name}: {text}", err=True)
    return SideBySide(
        setting=setting,
        target=target,
        variants=tuple(variants),
        versions=experiment.versions(),
    )


if __name__ == "__main__":
    app(prog_name="fedavg")
