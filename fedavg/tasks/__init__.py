"""Finds tasks by name; a task is imported, and torch with it, when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from secagg.errors import ConfigurationError

if TYPE_CHECKING:
    from fedavg.settings import Settings
    from fedavg.tasks.base import Entry, Task

TASKS: Final = {
    "threshold": "threshold.THRESHOLD",
    "digits": "digits.PERCEPTRON",
    "digits-cnn": "digits.CONVOLUTIONAL",
    "cancer": "cancer.CANCER",
}
"""Name -> where in this package its `Entry` stands."""


def entry(name: str) -> Entry:
    """What is known of a task before it is loaded.

    Raises:
        ConfigurationError: no such task.
    """
    if name not in TASKS:
        raise ConfigurationError(f"task {name!r} is unknown: use {', '.join(TASKS)}")
    module, _, attribute = TASKS[name].partition(".")
    found: Entry = getattr(import_module(f"{__name__}.{module}"), attribute)
    return found


def load(settings: Settings) -> Task:
    """The task of `settings` with its data over the gateways; equal settings give the same task.

    Raises:
        ConfigurationError: no such task, or something it cannot do; the message names what it can.
    """
    name, known = settings.task, entry(settings.task)
    gateways = known.gateways if settings.gateways is None else settings.gateways
    if not 1 <= gateways <= known.largest:
        raise ConfigurationError(f"{gateways} gateways: task {name} takes 1 to {known.largest}")
    if settings.loss is not None and settings.loss not in known.losses:
        raise ConfigurationError(
            f"loss {settings.loss}: task {name} takes {', '.join(known.losses)}"
        )
    if settings.split not in known.splits:
        raise ConfigurationError(
            f"split {settings.split}: task {name} takes {', '.join(known.splits)}"
        )
    if settings.data is not None and not known.reads_data:
        readers = [each for each in TASKS if entry(each).reads_data]
        raise ConfigurationError(f"data: task {name} reads no files; {', '.join(readers)} does")
    return known.build(gateways, settings)
