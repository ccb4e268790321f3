"""What a task is: a model, gateways with private data, a holdout set, and the caps to declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from fedavg.gateway import Gateway
from fedavg.learning import Recipe, Samples


@dataclass(frozen=True)
class Task:
    """A federation ready to train.

    Attributes:
        name: of the task.
        build: makes the untrained global model, the same one every time.
        gateways: the sites, with their data.
        holdout: samples of no gateway.
        clip: largest |coordinate| of an update, per key pattern; public, declared beforehand.
        max_weight: largest number of samples a gateway may count; public, declared beforehand.
    """

    name: str
    build: Callable[[], nn.Module]
    gateways: tuple[Gateway, ...]
    holdout: Samples
    clip: float | Mapping[str, float]
    max_weight: int


def seeded(build: Callable[[], nn.Module], seed: int) -> Callable[[], nn.Module]:
    """`build` with initial weights decided by `seed` alone; torch's global generator is kept."""

    def fresh() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build()

    return fresh


def sites(
    shares: list[Samples], *, build: Callable[[], nn.Module], recipe: Recipe, seed: int
) -> tuple[Gateway, ...]:
    """One gateway per share of the data, named g01, g02, ..."""
    return tuple(
        Gateway(
            f"g{position:02d}",
            samples,
            build=build,
            recipe=recipe,
            # 4096 gateways per seed before orders could coincide between seeds.
            seed=seed * 4096 + position,
        )
        for position, samples in enumerate(shares, start=1)
    )
