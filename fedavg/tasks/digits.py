"""Handwritten digits, 8 x 8 pixels, 1797 of them: they ship inside scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import nn

from fedavg.learning import Recipe, Samples
from fedavg.tasks.base import Task, seeded, sites

HOLDOUT: Final = 360
"""One fifth of the data, as customary."""
BRIGHTEST: Final = 16.0
"""Pixels are whole numbers from 0 to 16."""
TRAINING: Final = 1797 - HOLDOUT

RECIPE: Final = Recipe(steps=90, batch=8, rate=0.1)
CLIP: Final = 5.0
"""Over twice the largest coordinate seen: 1.9, over 3 to 64 gateways, 20 seeds, 10 rounds."""

CNN_RECIPE: Final = Recipe(steps=18, batch=16, rate=0.05)
CNN_CLIP: Final = {"*.running_*": 6.0, "*": 2.5}
"""BatchNorm's statistics move further (2.2) than weights do (0.85): one clip for both is coarse."""


def task(gateways: int, seed: int) -> Task:
    """A multilayer perceptron, data split evenly and at random."""
    return _task("digits", gateways, seed, build=_perceptron, recipe=RECIPE, clip=CLIP)


def convolutional(gateways: int, seed: int) -> Task:
    """A small convolutional net with BatchNorm: its buffers are averaged too."""
    return _task("digits-cnn", gateways, seed, build=_cnn, recipe=CNN_RECIPE, clip=CNN_CLIP)


def _task(
    name: str,
    gateways: int,
    seed: int,
    *,
    build: Callable[[], nn.Module],
    recipe: Recipe,
    clip: float | Mapping[str, float],
) -> Task:
    samples = _shuffled(seed)
    fresh = seeded(build, seed)
    shares = torch.arange(HOLDOUT, len(samples)).tensor_split(gateways)
    return Task(
        name=name,
        build=fresh,
        gateways=sites([samples.at(s) for s in shares], build=fresh, recipe=recipe, seed=seed),
        holdout=samples.at(torch.arange(HOLDOUT)),
        clip=clip,
        max_weight=-(-TRAINING // gateways),
    )


def _shuffled(seed: int) -> Samples:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    samples = Samples(
        torch.tensor(pixels / BRIGHTEST, dtype=torch.float32).reshape(-1, 1, 8, 8),
        torch.tensor(labels, dtype=torch.int64),
    )
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    return samples.at(order)


def _perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
