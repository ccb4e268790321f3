"""`secagg`: what a round would need, from a terminal."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from secagg.average import SecureAverage
from secagg.errors import ConfigurationError

try:
    import typer
except ModuleNotFoundError:
    raise SystemExit("the command line needs an extra: pip install 'secagg[cli]'") from None

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.callback()
def commands() -> None:
    """Secure aggregation for federated learning."""


@app.command()
def plan(
    gateways: Annotated[int, typer.Option(help="gateways in the cohort, 3 to 64")],
    coordinates: Annotated[int, typer.Option(help="coordinates of the model")],
    clip: Annotated[float, typer.Option(help="bound of |coordinate| of an update")] = 1.0,
    max_weight: Annotated[float, typer.Option(help="largest weight")] = 1.0,
    precision: Annotated[float, typer.Option(help="rms error relative to clip")] = 2.0**-12,
    max_colluding: Annotated[int | None, typer.Option(help="C; default by n")] = None,
    max_dropouts: Annotated[int | None, typer.Option(help="D; default by n")] = None,
) -> None:
    """Print thresholds, layout, bytes and errors of a round; nothing is sent."""
    try:
        average = SecureAverage(
            clip=clip,
            max_weight=max_weight,
            precision=precision,
            max_colluding=max_colluding,
            max_dropouts=max_dropouts,
        )
        # a broadcast array has the shape, not the memory
        template = {"update": np.broadcast_to(np.float32(0), (coordinates,))}
        planned = average.plan(template, gateways)
    except ConfigurationError as error:
        typer.echo(f"secagg: {error}", err=True)
        raise typer.Exit(2) from None
    limits, vector = planned.thresholds, planned.vectors[0]
    floats = planned.upload_bytes / (4 * coordinates)
    rows = [
        ("gateways n", limits.gateways),
        ("colluding C", limits.max_colluding),
        ("dropouts D", limits.max_dropouts),
        ("share threshold t", limits.share_threshold),
        ("quorum q", limits.quorum),
        ("included n_min", limits.min_included),
        ("lanes", f"{vector.lanes} x {64 // vector.lanes} bits, |value| <= {vector.limit}"),
        ("upload", f"{planned.upload_bytes:,} bytes ({floats:.2f} x float32)"),
        ("error of the mean", f"{planned.rms_error:.3g} rms, {planned.error_bound:.3g} worst"),
        ("", f"at an average weight of {planned.average_weight:g}"),
    ]
    for name, value in rows:
        typer.echo(f"{name:18} {value}")
    typer.echo(planned.guarantees.hides)
    typer.echo(planned.guarantees.survives)


def main() -> None:
    """Entry point of the console script."""
    app()
