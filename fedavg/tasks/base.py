"""Defines what a task is: a model, gateways with private data, a holdout set, declared caps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from fedavg.gateway import Gateway
from fedavg.learning import Recipe, Samples
from fedavg.rules import SPLITS
from fedavg.settings import Settings


class Entry(NamedTuple):
    """A task by name.

    Attributes:
        summary: what it is.
        build: from the number of gateways and the settings to the task.
        losses: it can be trained with, its own first.
        gateways: how many it has unless told otherwise.
        largest: how many it may have.
        splits: of its data that it knows.
        reads_data: whether `Settings.data` means anything to it.
    """

    summary: str
    build: Callable[[int, Settings], Task]
    losses: tuple[str, ...]
    gateways: int = 10
    largest: int = 100
    splits: tuple[str, ...] = SPLITS
    reads_data: bool = False


@dataclass(frozen=True)
class Task:
    """A federation ready to train.

    Attributes:
        name: of the task.
        build: makes the untrained global model, the same one every time.
        gateways: the sites, with their data.
        holdout: samples of no gateway.
        recipe: how they train, but for the overrides; all have its loss.
        clip: largest |coordinate| of an update, per key pattern; public, declared beforehand.
        max_weight: largest number of samples a gateway may count; public, declared beforehand.
    """

    name: str
    build: Callable[[], nn.Module]
    gateways: tuple[Gateway, ...]
    holdout: Samples
    recipe: Recipe
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
