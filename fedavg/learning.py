"""What every party does with a model: train it, measure it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from secagg.errors import ConfigurationError

State = dict[str, Tensor]
"""A model's state_dict."""

Metrics = dict[str, float]
"""Sums over samples, so that they add up across gateways: "loss", "correct", "samples"."""

OPTIMISERS: Final = ("sgd", "adam", "adagrad")
LOSSES: Final = ("cross-entropy", "bce", "mse")
"""Softmax cross entropy (nats) of one logit a class; binary cross entropy (nats) of a single logit;
squared error, averaged over outputs, of one output a class, 1 wanted of the right one, else 0."""

MAX_STEPS: Final = 10_000
MAX_BATCH: Final = 10_000
MAX_RATE: Final = 100.0
"""Far above anything that learns; they keep a slip of the keyboard from running for days."""


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


class _Rule(NamedTuple):
    holds: Callable[[object], bool]
    allowed: str


def _whole(most: int) -> _Rule:
    return _Rule(
        lambda value: type(value) is int and 1 <= value <= most, f"a whole number, 1 to {most}"
    )


def _one_of(names: tuple[str, ...]) -> _Rule:
    return _Rule(lambda value: value in names, f"one of {', '.join(names)}")


def _number(value: object) -> float:
    """NaN, which no comparison accepts, for what is not a number: True is not one either."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


_RULES: Final = {
    "steps": _whole(MAX_STEPS),
    "batch": _whole(MAX_BATCH),
    "rate": _Rule(
        lambda value: 0 < _number(value) <= MAX_RATE, f"a number above 0, at most {MAX_RATE:g}"
    ),
    "momentum": _Rule(lambda value: 0 <= _number(value) < 1, "a number from 0 to below 1"),
    "optimiser": _one_of(OPTIMISERS),
    "loss": _one_of(LOSSES),
}


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
        optimiser: one of `OPTIMISERS`, with torch's own settings.
        loss: one of `LOSSES`.

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


def check_setting(name: str, value: object) -> None:
    """Refuse a value that no `Recipe` may have.

    Raises:
        ConfigurationError: `value` is not allowed for the field `name`; the message says which are.
    """
    holds, allowed = _RULES[name]
    if not holds(value):
        raise ConfigurationError(f"{name} {value!r}: use {allowed}")


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
    """Sums of the loss, one of `LOSSES`, of correct answers and of samples."""
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
    """Of each sample, float32 [n]; `answers` float32 [n, outputs], `labels` int64 [n]."""
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
