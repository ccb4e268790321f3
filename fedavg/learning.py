"""What every party does with a model: train it, measure it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

State = dict[str, Tensor]
"""A model's state_dict."""

Metrics = dict[str, float]
"""Sums over samples, so that they add up across gateways: "loss", "correct", "samples"."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Labelled data.

    Attributes:
        inputs: float32 [n, ...].
        labels: int64 [n], the class of each.
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, index: Tensor) -> Samples:
        """The samples at int64 positions `index`."""
        return Samples(self.inputs[index], self.labels[index])


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a gateway trains within one round: SGD with momentum.

    Attributes:
        steps: of gradient descent: as many whatever the amount of data, so that the size of an
            update depends little on how the data is split.
        batch: samples in a step.
        rate: learning rate.
        momentum: of SGD; starts at zero every round.
    """

    steps: int
    batch: int
    rate: float
    momentum: float = 0.9


def train(model: nn.Module, samples: Samples, recipe: Recipe, order: torch.Generator) -> None:
    """Train `model` in place; `order` decides which samples meet in a batch."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=recipe.rate, momentum=recipe.momentum)
    for index in _batches(len(samples), recipe, order):
        batch = samples.at(index)
        optimiser.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(batch.inputs), batch.labels))
        optimiser.step()


def _batches(count: int, recipe: Recipe, order: torch.Generator) -> tuple[Tensor, ...]:
    """Positions for each step: the data is shuffled again whenever it is used up."""
    needed = recipe.steps * recipe.batch
    passes = [torch.randperm(count, generator=order) for _ in range(-(-needed // count))]
    return torch.split(torch.cat(passes)[:needed], recipe.batch)


def measure(model: nn.Module, samples: Samples) -> Metrics:
    """Sums of cross entropy (nats), of correct answers and of samples."""
    model.eval()
    with torch.no_grad():
        logits = model(samples.inputs)
        loss = functional.cross_entropy(logits, samples.labels, reduction="sum")
        correct = (logits.argmax(dim=1) == samples.labels).sum()
    return {
        "loss": float(loss),
        "correct": float(correct),
        "samples": float(len(samples)),
    }
