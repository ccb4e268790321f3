"""Defines the commands of `protocol_sim`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from secagg.console import application
from secagg.errors import ConfigurationError
from secagg.files import check_directory
from secagg.schemes import choices

if TYPE_CHECKING:
    from protocol_sim.scenario import Scenario

SMALL_GATEWAYS: Final = 12
"""Up to so many a run takes place in virtual time and has a timeline that can be read."""
SMALL_DIMENSION: Final = 10_000
_NETWORK: Final = "Network, for up to 12 gateways and 10,000 coordinates"

HELP: Final = "Play secure aggregation with vanishing, slow and hostile parties, from a seed."
app = application("protocol_sim", HELP)
SchemeOption = Annotated[str, typer.Option(help=f"{choices()}.")]
SeedOption = Annotated[int, typer.Option(help="Decides everything: same seed, same transcript.")]


OutputOption = Annotated[
    Path | None,
    typer.Option(
        callback=check_directory,
        help="Directory for report.html and its pictures; older ones there are replaced.",
        show_default="nothing is written",
    ),
]


# -- run and replay --------------------------------------------------------------------------------


@app.command()
def run(
    *,
    gateways: Annotated[
        int, typer.Option(help="In the cohort, 3 to 2,048; to 10^6 by --cost-model.")
    ] = 6,
    dimension: Annotated[int, typer.Option(min=1, help="Coordinates of an update.")] = 1_000,
    dropout: Annotated[
        float, typer.Option(help="Share of the gateways that vanish somewhere in the round.")
    ] = 0.0,
    scheme: SchemeOption = "masks",
    seed: SeedOption = 0,
    rounds: Annotated[int, typer.Option(help="One after the other.", rich_help_panel=_NETWORK)] = 1,
    deadline: Annotated[
        float, typer.Option(help="Seconds to wait in each phase.", rich_help_panel=_NETWORK)
    ] = 10.0,
    latency: Annotated[
        float, typer.Option(help="Mean seconds that a frame takes.", rich_help_panel=_NETWORK)
    ] = 0.05,
    loss: Annotated[
        float, typer.Option(help="Probability that a frame is lost.", rich_help_panel=_NETWORK)
    ] = 0.0,
    trace: Annotated[
        str,
        typer.Option(
            help="Gateways come and go: diurnal, charging or churn, a day of it in a round.",
            rich_help_panel=_NETWORK,
            show_default="always there",
        ),
    ] = "",
    cost_model: Annotated[
        bool,
        typer.Option("--cost-model", help="Also extrapolate seconds and bytes to 10^6 gateways."),
    ] = False,
    shards: Annotated[
        int, typer.Option(help="Cut the coordinates; one part after the other, same sum.", min=1)
    ] = 1,
    ray: Annotated[
        bool, typer.Option("--ray", help="Play shards on Ray's workers, side by side.")
    ] = False,
    output: OutputOption = None,
) -> None:
    """Play a round: a few gateways in virtual time, with a timeline; many, measured.

    Up to 12 gateways and 10,000 coordinates the network has latency, losses and deadlines. Above
    that frames arrive at once, and seconds and bytes stand beside the same round in the clear.
    """
    from protocol_sim import command_runs

    small = gateways <= SMALL_GATEWAYS and dimension <= SMALL_DIMENSION
    if small and shards == 1 and not (cost_model or ray):
        from protocol_sim.scenarios import of_figures

        scenario = of_figures(
            scheme=scheme,
            gateways=gateways,
            coordinates=dimension,
            dropout=dropout,
            seed=seed,
            rounds=rounds,
            deadline=deadline,
            latency=latency,
            loss=loss,
            trace=trace,
        )
        wrong = command_runs.scenario(scenario, output)
    else:
        if (rounds, deadline, latency, loss, trace) != (1, 10.0, 0.05, 0.0, ""):
            raise ConfigurationError(
                f"--rounds, --deadline, --latency, --loss and --trace: {_NETWORK.lower()},"
                " without --cost-model and --shards"
            )
        wrong = command_runs.figures(
            gateways,
            dimension,
            dropout,
            scheme,
            seed,
            output,
            cost_model=cost_model,
            shards=shards,
            ray=ray,
        )
    if wrong:
        raise typer.Exit(1)


@app.command()
def replay(
    what: Annotated[
        str,
        typer.Argument(
            help="Seed of a sweep's schedule, or scenario.json of a run.", metavar="SEED|FILE"
        ),
    ],
    *,
    output: OutputOption = None,
) -> None:
    """Play one schedule again and print its timeline."""
    from protocol_sim import command_runs
    from protocol_sim.scenarios import draw

    scenario = draw(int(what)) if what.isdecimal() else _read(Path(what))
    if command_runs.scenario(scenario, output):
        raise typer.Exit(1)


def _read(path: Path) -> Scenario:
    from protocol_sim.scenario import Scenario

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ConfigurationError(
            f"no schedule {str(path)!r} ({reason}): give a seed or a scenario.json"
        ) from None
    return Scenario.loads(text)


# -- sweep -----------------------------------------------------------------------------------------


@app.command()
def sweep(
    count: Annotated[int, typer.Argument(help="Schedules to play.", min=1)],
    *,
    seed: Annotated[int, typer.Option(help="Of the first; each later one has the next.")] = 0,
    processes: Annotated[int, typer.Option(help="That share the work.", min=1)] = 1,
    output: OutputOption = None,
) -> None:
    """Play many random schedules of up to six gateways and look for what must never happen.

    Dropouts, faults of the network, restarts and hostile parties are drawn from the seed, and so is
    the scheme. Exit code: 0 without a violation, 1 with one; it prints the command that plays it
    again.
    """
    from protocol_sim import command_runs

    if command_runs.schedules(count, seed, processes, output):
        raise typer.Exit(1)


# -- attack ----------------------------------------------------------------------------------------


@app.command()
def attack(
    *,
    name: Annotated[
        str | None, typer.Option(help="One of them; its name is in the first column.")
    ] = None,
    scheme: Annotated[str | None, typer.Option(help=f"{choices()}.")] = None,
    phase: Annotated[str | None, typer.Option(help="One of them, as in masked_input.")] = None,
    seed: SeedOption = 0,
    output: OutputOption = None,
) -> None:
    """Play every attack of the catalogue in every phase on a gateway of every scheme.

    Prints the error that the gateway named, or how the round ended. Exit code: 0 if every cell ends
    as it must and no secret was released, 1 if one does not.
    """
    from protocol_sim import command_runs

    if command_runs.attack_cells(name, scheme, phase, seed, output):
        raise typer.Exit(1)


# -- papers ----------------------------------------------------------------------------------------


@app.command()
def papers(*, output: OutputOption = None) -> None:
    """Print the literature's tables beside ours: bytes on the wire, neighbours and thresholds.

    The papers' figures come from their formulas, ours from real sessions, and above the largest
    cohort from the formula too, which the table says.
    """
    from protocol_sim import command_runs

    command_runs.literature(output)


if __name__ == "__main__":
    app(prog_name="protocol_sim")
