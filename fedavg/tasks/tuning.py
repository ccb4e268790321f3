"""Makes the gateways of a task and their clip, from its own values and what was asked instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from torch import nn

from fedavg.gateway import Gateway
from fedavg.learning import Recipe, Samples
from fedavg.settings import Settings
from fedavg.tasks.base import Task, names, seeded
from secagg.errors import ConfigurationError

MOMENTUM: Final = 0.9
"""Momentum of every task whose gateways use SGD."""
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

    def task(
        self,
        settings: Settings,
        shares: Sequence[Samples],
        *,
        holdout: Samples,
        model: Callable[[str], nn.Module],
        max_weight: int,
        clips: Mapping[str, float] | None = None,
    ) -> Task:
        """A task whose gateways train as the settings say, or else as suits it.

        Args:
            settings: what was asked.
            shares: of the data, one for each gateway.
            holdout: samples of no gateway.
            model: makes an untrained model for a loss; the seed decides its weights.
            max_weight: largest number of samples a gateway may count.
            clips: of leaves that move further than the others, by key pattern.

        Raises:
            ConfigurationError: an override of nobody, or of momentum where there is none.
        """
        recipes = self._recipes(settings, names(len(shares)))
        common = self._recipe(settings, "")
        build = seeded(partial(model, common.loss), settings.seed)
        gateways = tuple(
            # 4096 gateways per seed before orders could coincide between seeds.
            Gateway(name, mine, build=build, recipe=recipe, seed=settings.seed * 4096 + position)
            for position, (mine, (name, recipe)) in enumerate(
                zip(shares, recipes.items(), strict=True), start=1
            )
        )
        clip = self._common_clip(recipes.values(), settings.split)
        return Task(
            settings.task,
            build,
            gateways,
            holdout,
            recipe=common,
            clip={**clips, "*": clip} if clips else clip,
            max_weight=max_weight,
        )

    def _recipes(self, settings: Settings, names: Iterable[str]) -> dict[str, Recipe]:
        """What each of the gateways `names` trains with."""
        everybody = tuple(names)
        unknown = [str(name) for name in settings.overrides if name not in everybody]
        if unknown:
            raise ConfigurationError(
                f"overrides of unknown gateways {', '.join(unknown[:3])}: "
                f"use {everybody[0]} to {everybody[-1]}"
            )
        return {name: self._recipe(settings, name) for name in everybody}

    def _recipe(self, settings: Settings, name: str) -> Recipe:
        changes: dict[str, Any] = dict(settings.overrides.get(name, {}))
        loss = settings.loss or next(iter(self.tuned))
        general = settings.optimiser or next(iter(self.tuned[loss]))
        optimiser = changes.pop("optimiser", general)
        if "momentum" in changes and optimiser != "sgd":
            raise ConfigurationError(f"gateway {name}: {optimiser} has no momentum: use sgd")
        # A rate that was asked for one optimiser says nothing about another.
        asked = settings.rate if optimiser == general else None
        values: dict[str, Any] = {
            "steps": settings.steps or self.steps,
            "batch": settings.batch or self.batch,
            "rate": asked or self.tuned[loss][optimiser].rate,
            "momentum": MOMENTUM,
            **changes,
        }
        return Recipe(**values, optimiser=optimiser, loss=loss)

    def _common_clip(self, recipes: Iterable[Recipe], split: str) -> float:
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
