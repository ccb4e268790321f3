"""Handwritten digits, 8 x 8 pixels, 1797 of them: they ship inside scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import nn

from fedavg.learning import Samples
from fedavg.settings import Settings
from fedavg.tasks.base import Entry, Task
from fedavg.tasks.splits import deal, largest
from fedavg.tasks.tuning import Defaults, Tuned

HOLDOUT: Final = 360
"""One fifth of the data, as customary."""
BRIGHTEST: Final = 16.0
"""Pixels are whole numbers from 0 to 16."""

DEFAULTS: Final = Defaults(
    steps=90,
    batch=8,
    tuned={
        "cross-entropy": {
            "sgd": Tuned(0.1, 5.0),
            "adam": Tuned(0.01, 2.5),
            "adagrad": Tuned(0.03, 1.5),
        },
        "mse": {
            "sgd": Tuned(0.1, 2.0),
            "adam": Tuned(0.003, 0.5),
            "adagrad": Tuned(0.01, 0.5),
        },
    },
)
"""Rates: of a grid, the best mean accuracy of 10 gateways. Clips: over twice the largest coordinate
seen over 3 to 50 gateways, 15 seeds, 10 rounds. Seen in even splits, in the order of the table: 1.9
0.79 0.65, 0.33 0.19 0.15; in skewed ones, alpha 0.5 and 0.1: 3.49 1.00 0.67, 0.78 0.19 0.14."""
CNN_DEFAULTS: Final = Defaults(
    steps=18,
    batch=16,
    tuned={
        "cross-entropy": {
            "sgd": Tuned(0.05, 2.5),
            "adam": Tuned(0.01, 0.5),
            "adagrad": Tuned(0.03, 0.8),
        },
        "mse": {
            "sgd": Tuned(0.05, 1.5),
            "adam": Tuned(0.01, 0.5),
            "adagrad": Tuned(0.03, 0.6),
        },
    },
)
"""Like `DEFAULTS`, 3 to 20 gateways. Seen: 0.85 0.18 0.28, 0.54 0.17 0.22; in skewed splits 1.65
0.18 0.30, 0.47 0.17 0.25."""
RUNNING_CLIP: Final = {"iid": 8.0, "dirichlet": 30.0}
"""BatchNorm's statistics move further than weights do, one clip for both is coarse; seen: 3.7, and
14.6 where gateways have one or two classes each."""


def _perceptron_task(gateways: int, settings: Settings) -> Task:
    return _task(gateways, settings, DEFAULTS, _perceptron)


def _convolutional_task(gateways: int, settings: Settings) -> Task:
    """BatchNorm's buffers are averaged too."""
    clips = {"*.running_*": RUNNING_CLIP[settings.split]}
    return _task(gateways, settings, CNN_DEFAULTS, _cnn, clips)


def _task(
    gateways: int,
    settings: Settings,
    defaults: Defaults,
    model: Callable[[str], nn.Module],
    clips: Mapping[str, float] | None = None,
) -> Task:
    samples = _shuffled(settings.seed)
    training = samples.at(torch.arange(HOLDOUT, len(samples)))
    shares = deal(training.labels, gateways, settings)
    return defaults.task(
        settings,
        [training.at(each) for each in shares],
        holdout=samples.at(torch.arange(HOLDOUT)),
        model=model,
        max_weight=largest(len(training), gateways, settings.split),
        clips=clips,
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


def _perceptron(_loss: str) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def _cnn(_loss: str) -> nn.Module:
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


# Above 100 gateways, one would hold fewer than 15 of the digits.
PERCEPTRON: Final = Entry(
    "handwritten digits, multilayer perceptron", _perceptron_task, losses=tuple(DEFAULTS.tuned)
)
CONVOLUTIONAL: Final = Entry(
    "handwritten digits, convolutions and BatchNorm",
    _convolutional_task,
    losses=tuple(CNN_DEFAULTS.tuned),
)
