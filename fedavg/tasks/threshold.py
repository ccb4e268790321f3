"""Is the sum of ten numbers above five? Synthetic, unequal shares, trained in a blink."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from fedavg.learning import Recipe, Samples
from fedavg.tasks.base import Task, seeded, sites

INPUTS: Final = 10
SMALLEST, LARGEST = 100, 300
"""Samples at a gateway: drawn uniformly, so that weights matter."""
HOLDOUT: Final = 2_000
RECIPE: Final = Recipe(steps=20, batch=20, rate=0.1)
CLIP: Final = 2.5
"""Over 2.5 times the largest coordinate seen: 0.95, over 3 to 64 gateways, 20 seeds, 10 rounds."""


def task(gateways: int, seed: int) -> Task:
    """Ten uniform numbers in [-1, 1]: class 1 if their sum is positive."""
    draw = torch.Generator().manual_seed(seed)
    sizes = torch.randint(SMALLEST, LARGEST + 1, (gateways,), generator=draw).tolist()
    shares = [_samples(size, draw) for size in sizes]
    build = seeded(_model, seed)
    return Task(
        name="threshold",
        build=build,
        gateways=sites(shares, build=build, recipe=RECIPE, seed=seed),
        holdout=_samples(HOLDOUT, draw),
        clip=CLIP,
        max_weight=LARGEST,
    )


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, 16), nn.ReLU(), nn.Linear(16, 2))


def _samples(count: int, draw: torch.Generator) -> Samples:
    inputs = 2 * torch.rand(count, INPUTS, generator=draw) - 1
    return Samples(inputs, (inputs.sum(dim=1) > 0).long())
