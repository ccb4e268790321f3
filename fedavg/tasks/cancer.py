"""Is a breast mass benign? 569 patients, 30 measurements each, over a few hospitals.

The data (Breast Cancer Wisconsin, diagnostic) ship inside scikit-learn; a hospital may also bring
its own, as a file in the same columns.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fedavg.learning import Samples, outputs
from fedavg.settings import Settings
from fedavg.tasks.base import Entry, Task
from fedavg.tasks.hospitals import MAX_HOSPITALS, MAX_PATIENTS, RANGES, read_hospitals, shipped
from fedavg.tasks.splits import deal, largest
from fedavg.tasks.tuning import Defaults, Tuned
from secagg.errors import ConfigurationError

DEFAULTS: Final = Defaults(
    steps=20,
    batch=20,
    tuned={
        "cross-entropy": {
            "sgd": Tuned(0.02, 2.0),
            "adam": Tuned(0.003, 0.2),
            "adagrad": Tuned(0.02, 0.6),
        },
        "bce": {
            "sgd": Tuned(0.02, 2.5),
            "adam": Tuned(0.003, 0.2),
            "adagrad": Tuned(0.02, 0.6),
        },
        "mse": {
            "sgd": Tuned(0.02, 2.5),
            "adam": Tuned(0.02, 1.0),
            "adagrad": Tuned(0.05, 1.2),
        },
    },
)
"""Rates: of a grid, the best mean accuracy of 3 gateways over 5 seeds, and the lower of two that
were as good. Clips: over twice the largest coordinate seen over 3 to 30 gateways, 20 seeds, 10
rounds, even and skewed (alpha 0.5 and 0.1) splits. Seen, in the order of the table: 0.77 0.06 0.25,
1.03 0.06 0.23, 0.85 0.41 0.46."""


def _task(gateways: int, settings: Settings) -> Task:
    """A small perceptron over what the hospitals hold; class 1 is benign."""
    training, holdout = shipped(settings.seed)
    if settings.data is None:
        shares = [training.at(s) for s in deal(training.labels, gateways, settings)]
        most = largest(len(training), gateways, settings.split)
    else:
        if settings.split != "iid":
            raise ConfigurationError(f"split {settings.split}: data in files are split already")
        shares, most = read_hospitals(settings.data, gateways), MAX_PATIENTS
    return DEFAULTS.task(
        settings,
        [_scaled(each) for each in shares],
        holdout=_scaled(holdout),
        model=_model,
        max_weight=most,
    )


def _model(loss: str) -> nn.Module:
    answers = outputs(loss, classes=2)
    return nn.Sequential(nn.Linear(len(RANGES), 16), nn.ReLU(), nn.Linear(16, answers))


def _scaled(samples: Samples) -> Samples:
    """Features within the public ranges to [-1, 1].

    A hospital's own mean and deviation would describe its patients, and averaging them securely
    would cost a round; constants that are public say nothing about anybody.
    """
    low, high = torch.tensor(list(RANGES.values()), dtype=torch.float64).unbind(dim=1)
    scaled: Tensor = 2 * (samples.inputs - low) / (high - low) - 1
    return Samples(scaled.float(), samples.labels)


CANCER: Final = Entry(
    "is a breast mass benign? hospitals with 30 measurements a patient",
    _task,
    losses=tuple(DEFAULTS.tuned),
    gateways=3,
    largest=MAX_HOSPITALS,
    reads_data=True,
)
