"""Recipes, optimisers and losses against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fedavg.learning import Recipe, Samples, measure, outputs, train
from fedavg.rules import LOSSES, OPTIMISERS
from secagg.errors import ConfigurationError

SAMPLES = Samples(
    torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.25, -2.0]]),
    torch.tensor([1, 0, 1], dtype=torch.int64),
)
RECIPE = {"steps": 4, "batch": 2, "rate": 0.1}


def _model(answers=2):
    model = nn.Linear(2, answers)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -0.5], [0.25, 0.75]])[:answers])
        model.bias.copy_(torch.tensor([0.5, -0.25])[:answers])
    return model


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("steps", 0, "steps 0: use a whole number, 1 to 10000"),
        ("steps", 10_001, "steps 10001: use a whole number, 1 to 10000"),
        ("steps", 2.0, "steps 2.0: use a whole number"),
        ("steps", True, "steps True: use a whole number"),
        ("batch", 0, "batch 0: use a whole number, 1 to 10000"),
        ("batch", "8", "batch '8': use a whole number"),
        ("rate", 0, "rate 0: use a number above 0, at most 100"),
        ("rate", -0.1, "rate -0.1: use a number above 0"),
        ("rate", math.nan, "rate nan: use a number above 0"),
        ("rate", math.inf, "rate inf: use a number above 0"),
        ("rate", "fast", "rate 'fast': use a number above 0"),
        ("rate", True, "rate True: use a number above 0"),
        ("momentum", 1.0, "momentum 1.0: use a number from 0 to below 1"),
        ("momentum", -0.1, "momentum -0.1: use a number from 0 to below 1"),
        ("momentum", math.nan, "momentum nan: use a number from 0 to below 1"),
        ("optimiser", "sdg", "optimiser 'sdg': use one of sgd, adam, adagrad"),
        ("loss", "hinge", "loss 'hinge': use one of cross-entropy, bce, mse"),
    ],
)
def test_a_recipe_names_what_is_allowed(name, value, said):
    with pytest.raises(ConfigurationError) as refused:
        Recipe(**{**RECIPE, name: value})

    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(("name", "value"), [("momentum", 0), ("rate", 100), ("steps", 10_000)])
def test_ends_of_the_ranges_are_allowed(name, value):
    assert value == getattr(Recipe(**{**RECIPE, name: value}), name)


def _stepped(optimiser, steps):
    """Weights and biases after `steps` by the textbook, in float64, without momentum."""
    values = [each.detach().double() for each in _model().parameters()]
    first = [torch.zeros_like(each) for each in values]
    second = [torch.zeros_like(each) for each in values]
    for step in range(1, steps + 1):
        leaves = [each.clone().requires_grad_() for each in values]
        answers = SAMPLES.inputs.double() @ leaves[0].T + leaves[1]
        nn.functional.cross_entropy(answers, SAMPLES.labels).backward()
        for i, leaf in enumerate(leaves):
            g = leaf.grad
            if optimiser == "sgd":
                values[i] = values[i] - 0.1 * g
            elif optimiser == "adagrad":
                second[i] += g**2
                values[i] = values[i] - 0.1 * g / (second[i].sqrt() + 1e-10)
            else:
                first[i] = 0.9 * first[i] + 0.1 * g
                second[i] = 0.999 * second[i] + 0.001 * g**2
                mean, square = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
                values[i] = values[i] - 0.1 * mean / (square.sqrt() + 1e-8)
    return torch.cat([each.flatten() for each in values]).tolist()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_three_steps_by_hand(optimiser):
    model = _model()
    recipe = Recipe(steps=3, batch=3, rate=0.1, momentum=0.0, optimiser=optimiser)
    train(model, SAMPLES, recipe, torch.Generator().manual_seed(0))
    trained = torch.cat([each.detach().flatten() for each in model.parameters()]).tolist()

    assert _stepped(optimiser, 3) == pytest.approx(trained, abs=1e-5)


def _by_hand(loss):
    total, correct = 0.0, 0
    for inputs, label in zip(SAMPLES.inputs.tolist(), SAMPLES.labels.tolist(), strict=True):
        x, y = inputs
        logits = [x - 0.5 * y + 0.5, 0.25 * x + 0.75 * y - 0.25]
        if loss == "cross-entropy":
            total -= math.log(math.exp(logits[label]) / sum(map(math.exp, logits)))
        elif loss == "mse":
            total += sum((z - (label == k)) ** 2 for k, z in enumerate(logits)) / 2
        else:
            chance = 1 / (1 + math.exp(-logits[0]))
            total -= math.log(chance if label else 1 - chance)
        named = logits[0] > 0 if loss == "bce" else logits[1] > logits[0]
        correct += named == label
    return {"loss": total, "correct": correct, "samples": 3}


@pytest.mark.parametrize("loss", LOSSES)
def test_metrics_by_hand(loss):
    metrics = measure(_model(outputs(loss, classes=2)), SAMPLES, loss)

    assert _by_hand(loss) == pytest.approx(metrics, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_lowers_the_loss_it_is_given(loss):
    model = _model(outputs(loss, classes=2))
    before = measure(model, SAMPLES, loss)["loss"]
    recipe = Recipe(steps=20, batch=3, rate=0.05, loss=loss)
    train(model, SAMPLES, recipe, torch.Generator().manual_seed(0))

    assert measure(model, SAMPLES, loss)["loss"] < 0.5 * before


def test_bce_needs_one_output_and_others_one_a_class():
    assert (10, 1, 10) == tuple(outputs(loss, classes=10) for loss in LOSSES)
