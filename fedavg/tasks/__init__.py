"""The tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from fedavg.tasks import cancer, digits, threshold
from fedavg.tasks.base import SPLITS, Options, Task
from fedavg.tasks.hospitals import MAX_HOSPITALS, write_hospitals
from secagg.errors import ConfigurationError

__all__ = ["SPLITS", "TASKS", "Entry", "Options", "Task", "load", "write_hospitals"]

MAX_SEED: Final = 2**31 - 1
"""A gateway's order is seeded with seed * 2^32 + its position * 2^20 + round, in 64 bits."""


class Entry(NamedTuple):
    """A task by name.

    Attributes:
        summary: what it is.
        build: from gateways, seed and options to the task.
        losses: it can be trained with, its own first.
        gateways: how many it has unless told otherwise.
        largest: how many it may have.
        splits: of its data that it knows.
        reads_data: whether `Options.data` means anything to it.
    """

    summary: str
    build: Callable[[int, int, Options], Task]
    losses: tuple[str, ...]
    gateways: int = 10
    largest: int = 100
    splits: tuple[str, ...] = SPLITS
    reads_data: bool = False


TASKS: Final = {
    "threshold": Entry(
        "is the sum of ten numbers positive? (synthetic)",
        threshold.task,
        losses=tuple(threshold.DEFAULTS.tuned),
        largest=2_000,
        # Every gateway draws numbers of its own: there is nothing to split.
        splits=("iid",),
    ),
    # Above 100 gateways, one would hold fewer than 15 of the digits.
    "digits": Entry(
        "handwritten digits, multilayer perceptron",
        digits.task,
        losses=tuple(digits.DEFAULTS.tuned),
    ),
    "digits-cnn": Entry(
        "handwritten digits, convolutions and BatchNorm",
        digits.convolutional,
        losses=tuple(digits.CNN_DEFAULTS.tuned),
    ),
    "cancer": Entry(
        "is a breast mass benign? hospitals with 30 measurements a patient",
        cancer.task,
        losses=tuple(cancer.DEFAULTS.tuned),
        gateways=3,
        largest=MAX_HOSPITALS,
        reads_data=True,
    ),
}


def load(
    name: str, *, gateways: int | None = None, seed: int = 0, options: Options | None = None
) -> Task:
    """A task with its data over `gateways` sites; the same arguments give the same task.

    Args:
        name: in `TASKS`.
        gateways: how many; None is the task's own number.
        seed: of data, weights and order, from 0 to `MAX_SEED`.
        options: what to do otherwise than the task would; None changes nothing.

    Raises:
        ConfigurationError: no such task, or something it cannot do; the message names what it can.
    """
    if name not in TASKS:
        raise ConfigurationError(f"task {name!r} is unknown: use {', '.join(TASKS)}")
    entry, options = TASKS[name], options or Options()
    gateways = entry.gateways if gateways is None else gateways
    if not 1 <= gateways <= entry.largest:
        raise ConfigurationError(f"{gateways} gateways: task {name} takes 1 to {entry.largest}")
    if not 0 <= seed <= MAX_SEED:
        raise ConfigurationError(f"seed {seed}: use 0 to {MAX_SEED}")
    if options.loss is not None and options.loss not in entry.losses:
        raise ConfigurationError(
            f"loss {options.loss}: task {name} takes {', '.join(entry.losses)}"
        )
    if options.split not in entry.splits:
        raise ConfigurationError(
            f"split {options.split}: task {name} takes {', '.join(entry.splits)}"
        )
    if options.data is not None and not entry.reads_data:
        readers = [each for each, other in TASKS.items() if other.reads_data]
        raise ConfigurationError(f"data: task {name} reads no files; {', '.join(readers)} does")
    return entry.build(gateways, seed, options)
