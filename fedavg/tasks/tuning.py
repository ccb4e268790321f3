"""From a task's own settings and what was asked instead to every gateway's recipe and the clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fedavg.learning import Recipe
from fedavg.tasks.base import Options
from secagg.errors import ConfigurationError

MOMENTUM: Final = 0.9
"""Of every task whose gateways use SGD."""
SKEWED: Final = 1.5
"""Times the clip, where labels are skewed: gateways that know one class or two go further from the
common model, up to 2.2 times as far (digits, SGD)."""


class Tuned(NamedTuple):
    """What suits one optimiser with one loss.

    Attributes:
        rate: learning rate.
        clip: largest |coordinate| of an update to declare for an even split, at least twice what
            was seen, as is `SKEWED` times it for a skewed one.
    """

    rate: float
    clip: float


@dataclass(frozen=True, slots=True)
class Defaults:
    """A task's own settings.

    Attributes:
        steps: of the optimiser in a round.
        batch: samples in a step.
        tuned: loss -> optimiser -> what suits them; the first of each is what the task uses when
            nothing is asked.
    """

    steps: int
    batch: int
    tuned: Mapping[str, Mapping[str, Tuned]]

    def recipes(self, options: Options, names: Iterable[str]) -> dict[str, Recipe]:
        """What each of the gateways `names` trains with.

        Raises:
            ConfigurationError: an override of nobody, or of momentum where there is none.
        """
        everybody = tuple(names)
        unknown = [str(name) for name in options.overrides if name not in everybody]
        if unknown:
            raise ConfigurationError(
                f"overrides of unknown gateways {', '.join(unknown[:3])}: "
                f"use {everybody[0]} to {everybody[-1]}"
            )
        return {name: self._recipe(options, name) for name in everybody}

    def _recipe(self, options: Options, name: str) -> Recipe:
        changes: dict[str, Any] = dict(options.overrides.get(name, {}))
        loss = options.loss or next(iter(self.tuned))
        general = options.optimiser or next(iter(self.tuned[loss]))
        optimiser = changes.pop("optimiser", general)
        if "momentum" in changes and optimiser != "sgd":
            raise ConfigurationError(f"gateway {name}: {optimiser} has no momentum: use sgd")
        # A rate that was asked for one optimiser says nothing about another.
        asked = options.rate if optimiser == general else None
        settings: dict[str, Any] = {
            "steps": options.steps or self.steps,
            "batch": options.batch or self.batch,
            "rate": asked or self.tuned[loss][optimiser].rate,
            "momentum": MOMENTUM,
            **changes,
        }
        return Recipe(**settings, optimiser=optimiser, loss=loss)

    def clip(self, recipes: Iterable[Recipe], split: str) -> float:
        """What to declare for gateways that train with `recipes`; recipes and split are public.

        A recipe that may go further than the task's own, by more steps or a higher rate, gets
        that much more room; one that goes less far keeps the task's own.
        """
        largest = max(self._clip(recipe) for recipe in recipes)
        return largest if split == "iid" else SKEWED * largest

    def _clip(self, recipe: Recipe) -> float:
        own = self.tuned[recipe.loss][recipe.optimiser]
        reach = (
            recipe.steps / self.steps * (recipe.rate / own.rate)
            * ((1 - MOMENTUM) / (1 - recipe.momentum))
        )  # fmt: skip
        return own.clip * max(1.0, reach)
