"""A round that runs, and the cost model beside it for those that cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol_sim import scale
from protocol_sim import shards as sharding
from protocol_sim.model import costs
from protocol_sim.scale import Measured
from secagg.errors import ConfigurationError
from secagg.thresholds import MAX_GATEWAYS

BESIDE: Final = (100, 300)
"""Gateways of the smaller rounds that the model is held against."""
MOST: Final = 10**6
"""Gateways up to which the model is asked."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found.

    Attributes:
        round: that ran; None above the largest cohort.
        model: of costs, with its error and what it says; None if it was not asked for.
    """

    round: Measured | None
    model: costs.Report | None


def figures(
    gateways: int,
    coordinates: int,
    dropout: float,
    scheme: str,
    seed: int,
    *,
    cost_model: bool,
    shards: int = 1,
    ray: bool = False,
    on_step: Callable[[str], object] = lambda _what: None,
) -> Figures:
    """Play the round if it can be played, and calibrate the model if it is asked for.

    Args:
        gateways: n, up to 2,048, or 10^6 with the model.
        coordinates: d.
        dropout: share of the gateways that vanish, 0 to D / n.
        scheme: name.
        seed: decides everything but the seconds.
        cost_model: whether the model is asked for.
        shards: parts that the coordinates of the round are cut into.
        ray: play them on the workers of a Ray cluster.
        on_step: is told what comes next.

    Raises:
        ConfigurationError: numbers that cannot work.
    """
    runs = gateways <= MAX_GATEWAYS
    if not runs and not cost_model:
        raise ConfigurationError(
            f"{gateways:,} gateways: no session has more than {MAX_GATEWAYS:,}; --cost-model says "
            "what a round would cost"
        )
    if gateways > MOST:
        raise ConfigurationError(f"{gateways:,} gateways: the cost model ends at {MOST:,}")

    def play(n: int, parts: int = 1) -> Measured:
        on_step(f"a round of {n:,} gateways, {coordinates:,} coordinates, {scheme}")
        if parts == 1 and not ray:
            return scale.play(n, coordinates, dropout, scheme, seed)
        executor = sharding.on_ray if ray else sharding.here
        return sharding.play(n, coordinates, dropout, scheme, seed, shards=parts, executor=executor)

    played = play(gateways, shards) if runs else None
    if not cost_model:
        return Figures(played, None)
    on_step("calibration of the cost model")
    model = costs.calibrate(scheme, seed=seed)
    rounds = [play(n) for n in BESIDE if n < gateways] + ([played] if played else [])
    sizes = tuple(sorted({*costs.SIZES, gateways}))
    lines = tuple(
        costs.curve(model, coordinates, dropout, limit=limit, gateways=sizes)
        for limit in (None, costs.FIXED_LIMIT)
    )
    compared = costs.compare(model, rounds)
    return Figures(played, costs.Report(model, coordinates, dropout, compared, lines))
