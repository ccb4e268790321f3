"""What a task is: a model, gateways with private data, a holdout set, and the caps to declare."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import nn

from fedavg.gateway import Gateway
from fedavg.learning import Recipe, Samples, check_setting
from secagg.errors import ConfigurationError
from secagg.params import GatewayId

SPLITS: Final = ("iid", "dirichlet")
"""How data are dealt to gateways: evenly and at random, or with skewed labels."""
OVERRIDABLE: Final = ("rate", "steps", "batch", "momentum", "optimiser")
"""What may differ between gateways; a common loss is what makes their models comparable."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a task may be asked to do otherwise than it would; None leaves it to the task.

    Attributes:
        loss: one of `fedavg.learning.LOSSES`.
        optimiser: one of `fedavg.learning.OPTIMISERS`, for every gateway.
        rate: learning rate of every gateway.
        steps: of the optimiser in a round.
        batch: samples in a step.
        split: one of `SPLITS`.
        alpha: of the dirichlet split: the smaller, the fewer classes a gateway has.
        overrides: gateway id -> what this gateway does otherwise, by names in `OVERRIDABLE`.
        data: directory, for a task that can read the gateways' data from files.

    Raises:
        ConfigurationError: a value out of its range; the message names the range.
    """

    loss: str | None = None
    optimiser: str | None = None
    rate: float | None = None
    steps: int | None = None
    batch: int | None = None
    split: str = "iid"
    alpha: float = 0.5
    overrides: Mapping[GatewayId, Mapping[str, float | str]] = field(default_factory=dict)
    data: Path | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "optimiser", "rate", "steps", "batch"):
            if getattr(self, name) is not None:
                check_setting(name, getattr(self, name))
        if self.split not in SPLITS:
            raise ConfigurationError(f"split {self.split!r}: use one of {', '.join(SPLITS)}")
        if not (self.alpha > 0 and math.isfinite(self.alpha)):
            raise ConfigurationError(f"alpha {self.alpha!r}: use a finite number above 0")
        for gateway, changes in self.overrides.items():
            _check_override(gateway, changes)


def _check_override(gateway: GatewayId, changes: Mapping[str, object]) -> None:
    for name, value in changes.items():
        if name not in OVERRIDABLE:
            raise ConfigurationError(
                f"gateway {gateway}: {name!r} cannot be overridden: use {', '.join(OVERRIDABLE)}"
            )
        try:
            check_setting(name, value)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"gateway {gateway}: {wrong}") from None


@dataclass(frozen=True)
class Task:
    """A federation ready to train.

    Attributes:
        name: of the task.
        build: makes the untrained global model, the same one every time.
        gateways: the sites, with their data.
        holdout: samples of no gateway.
        loss: what they all minimise, one of `fedavg.learning.LOSSES`.
        clip: largest |coordinate| of an update, per key pattern; public, declared beforehand.
        max_weight: largest number of samples a gateway may count; public, declared beforehand.
    """

    name: str
    build: Callable[[], nn.Module]
    gateways: tuple[Gateway, ...]
    holdout: Samples
    loss: str
    clip: float | Mapping[str, float]
    max_weight: int


def seeded(build: Callable[[], nn.Module], seed: int) -> Callable[[], nn.Module]:
    """`build` with initial weights decided by `seed` alone; torch's global generator is kept."""

    def fresh() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build()

    return fresh


def names(gateways: int) -> tuple[str, ...]:
    """Ids of so many gateways: g01, g02, ...; as many digits for all, so that they sort."""
    digits = max(2, len(str(gateways)))
    return tuple(f"g{position:0{digits}d}" for position in range(1, gateways + 1))


def sites(
    shares: Sequence[Samples],
    *,
    build: Callable[[], nn.Module],
    recipes: Mapping[str, Recipe],
    seed: int,
) -> tuple[Gateway, ...]:
    """One gateway per share of the data, with the names and recipes of `recipes`, in order."""
    return tuple(
        Gateway(
            name,
            samples,
            build=build,
            recipe=recipe,
            # 4096 gateways per seed before orders could coincide between seeds.
            seed=seed * 4096 + position,
        )
        for position, (samples, (name, recipe)) in enumerate(
            zip(shares, recipes.items(), strict=True), start=1
        )
    )
