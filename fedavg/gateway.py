"""Plays a gateway: it holds private data and trains on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from fedavg.learning import Metrics, Recipe, Samples, State, measure, train
from secagg.params import GatewayId


class Gateway:
    """One site. Nothing but what these methods return ever leaves it.

    Args:
        name: its id in the federation.
        samples: its private data.
        build: makes a fresh model of the architecture that is trained.
        recipe: how it trains.
        seed: decides the order of its samples; with the round's number it decides everything.
    """

    def __init__(
        self,
        name: GatewayId,
        samples: Samples,
        *,
        build: Callable[[], nn.Module],
        recipe: Recipe,
        seed: int,
    ) -> None:
        self.name = name
        self._samples = samples
        self._build = build
        self._recipe = recipe
        self._seed = seed

    @property
    def count(self) -> int:
        """How many samples it trains on: its weight in the mean."""
        return len(self._samples)

    def train(self, state: Mapping[str, Tensor], number: int) -> State:
        """Train a copy of the model in round `number`; same arguments, same answer."""
        model = self._model(state)
        # 2**20 rounds per seed before two gateways' orders could coincide.
        order = torch.Generator().manual_seed(self._seed * 2**20 + number)
        train(model, self._samples, self._recipe, order)
        return model.state_dict()

    def measure(self, state: Mapping[str, Tensor]) -> Metrics:
        """How well a model does on the private data, as sums."""
        return measure(self._model(state), self._samples, self._recipe.loss)

    def _model(self, state: Mapping[str, Tensor]) -> nn.Module:
        model = self._build()
        model.load_state_dict(state)
        return model

    def __repr__(self) -> str:
        return f"Gateway({self.name!r}, {self.count} samples)"
