"""The tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from fedavg.tasks import digits, threshold
from fedavg.tasks.base import Task
from secagg.errors import ConfigurationError

__all__ = ["MAX_GATEWAYS", "TASKS", "Entry", "Task", "load"]


class Entry(NamedTuple):
    """A task by name: what it is, and how to split it over gateways with a seed."""

    summary: str
    build: Callable[[int, int], Task]


TASKS: Final = {
    "threshold": Entry("is the sum of ten numbers positive? (synthetic)", threshold.task),
    "digits": Entry("handwritten digits, multilayer perceptron", digits.task),
    "digits-cnn": Entry("handwritten digits, convolutions and BatchNorm", digits.convolutional),
}
MAX_GATEWAYS: Final = 100
"""Above, a gateway would hold fewer than 15 of the digits."""


def load(name: str, *, gateways: int, seed: int = 0) -> Task:
    """A task with its data split over `gateways` sites; the same seed gives the same task.

    Raises:
        ConfigurationError: no such task, or a number of gateways it cannot be split over.
    """
    if name not in TASKS:
        raise ConfigurationError(f"task {name!r} is unknown: use {', '.join(TASKS)}")
    if not 1 <= gateways <= MAX_GATEWAYS:
        raise ConfigurationError(f"{gateways} gateways: task {name} takes 1 to {MAX_GATEWAYS}")
    return TASKS[name].build(gateways, seed)
