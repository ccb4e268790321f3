"""Trains and measures models, for every party alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedavg.rules import check_setting

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
    """How a gateway trains within one round.

    Attributes:
        steps: of the optimiser: as many whatever the amount of data, so that the size of an
            update depends little on how the data is split.
        batch: samples in a step.
        rate: learning rate.
        momentum: of SGD, others have none; like all an optimiser remembers, it starts at zero
            every round.
        optimiser: one of `fedavg.rules.OPTIMISERS`, with torch's own settings.
        loss: one of `fedavg.rules.LOSSES`.

    Raises:
        ConfigurationError: a value out of its range; the message names the range.
    """

    steps: int
    batch: int
    rate: float
    momentum: float = 0.9
    optimiser: str = "sgd"
    loss: str = "cross-entropy"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_setting(name, value)


def outputs(loss: str, classes: int) -> int:
    """How many outputs a model needs: bce tells two classes apart by one logit."""
    return 1 if loss == "bce" else classes


def train(model: nn.Module, samples: Samples, recipe: Recipe, order: torch.Generator) -> None:
    """Train `model` in place; `order` decides which samples meet in a batch."""
    model.train()
    optimiser = _optimiser(model.parameters(), recipe)
    for index in _batches(len(samples), recipe, order):
        batch = samples.at(index)
        optimiser.zero_grad()
        losses = _losses(model(batch.inputs), batch.labels, recipe.loss)
        torch.autograd.backward(losses.mean())
        optimiser.step()


def _optimiser(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    match recipe.optimiser:
        case "adam":
            return torch.optim.Adam(parameters, lr=recipe.rate)
        case "adagrad":
            return torch.optim.Adagrad(parameters, lr=recipe.rate)
        case _:
            return torch.optim.SGD(parameters, lr=recipe.rate, momentum=recipe.momentum)


def _batches(count: int, recipe: Recipe, order: torch.Generator) -> tuple[Tensor, ...]:
    """Positions for each step: the data is shuffled again whenever it is used up."""
    needed = recipe.steps * recipe.batch
    passes = [torch.randperm(count, generator=order) for _ in range(-(-needed // count))]
    return torch.split(torch.cat(passes)[:needed], recipe.batch)


def measure(model: nn.Module, samples: Samples, loss: str = "cross-entropy") -> Metrics:
    """Sums of the loss, one of `fedavg.rules.LOSSES`, of correct answers and of samples."""
    model.eval()
    with torch.no_grad():
        answers = model(samples.inputs)
        losses = _losses(answers, samples.labels, loss)
    # One logit above zero says class 1; of several outputs the largest names the class.
    named = answers.squeeze(1) > 0 if loss == "bce" else answers.argmax(dim=1)
    return {
        "loss": float(losses.sum()),
        "correct": float((named == samples.labels).sum()),
        "samples": float(len(samples)),
    }


def _losses(answers: Tensor, labels: Tensor, loss: str) -> Tensor:
    """Loss of each sample, float32 [n]; `answers` float32 [n, outputs], `labels` int64 [n]."""
    match loss:
        case "bce":
            wanted = labels.to(answers.dtype)
            return functional.binary_cross_entropy_with_logits(
                answers.squeeze(1), wanted, reduction="none"
            )
        case "mse":
            wanted = functional.one_hot(labels, answers.shape[1]).to(answers.dtype)
            return functional.mse_loss(answers, wanted, reduction="none").mean(dim=1)
        case _:
            return functional.cross_entropy(answers, labels, reduction="none")
