"""Prepares a run: loads its task, plans its rounds, and refuses what cannot work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from fedavg.aggregation import server_optimiser
from fedavg.plain import PlainAverage
from fedavg.rules import ALPHA
from fedavg.settings import Settings
from fedavg.stopwatch import Clock
from fedavg.tasks import load
from fedavg.tasks.base import Task
from secagg import Event, Plan, SecureAverage
from secagg.errors import ConfigurationError
from secagg.schemes import scheme_of
from secagg.thresholds import usual_colluding

IN_SECRET: Final = ("clip", "clipping", "max_colluding", "max_dropouts")
"""Settings that mean nothing in the clear."""
_METRICS: Final = ("loss", "correct", "samples")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can be had; nothing was trained yet.

    Attributes:
        settings: what was asked, with a value for what was left open.
        task: the gateways with their data.
        plan: what every round needs; None in the clear.
        warning: a sentence if no gateway may vanish; "" if one may, or if there is no protocol.
    """

    settings: Settings
    task: Task
    plan: Plan | None
    warning: str

    def average(
        self, clock: Clock, on_event: Callable[[Event], None]
    ) -> SecureAverage | PlainAverage:
        """What makes the mean in every round; whoever is drawn, all have one roster.

        Args:
            clock: for the seconds of each phase.
            on_event: is told every event of the orchestrator's sessions, as it happens.
        """
        if self.plan is None:
            return PlainAverage()
        average = SecureAverage(
            clip=self.task.clip,
            clipping=self.settings.clipping,
            max_weight=self.task.max_weight,
            scheme=self.plan.scheme,
            max_colluding=self.plan.thresholds.max_colluding,
            max_dropouts=self.plan.thresholds.max_dropouts,
            on_event=on_event,
            clock=clock,
        )
        average.enroll([gateway.name for gateway in self.task.gateways])
        return average


def prepare(settings: Settings) -> Prepared:
    """Refuse what cannot run; data is made or read for it, nothing is trained.

    Raises:
        ConfigurationError: the message names what would work.
    """
    own = Settings()
    unused = [name for name in IN_SECRET if getattr(settings, name) != getattr(own, name)]
    if settings.scheme == "plain" and unused:
        raise ConfigurationError(f"scheme plain hides nothing and has no {', '.join(unused)}")
    server = server_optimiser(settings.server, rate=settings.server_rate)
    task = load(settings)
    total = len(task.gateways)
    asked = total if settings.sample is None else settings.sample
    if not 1 <= asked <= total:
        raise ConfigurationError(f"a sample of {asked} of {total}: draw 1 to {total}")
    if settings.clip is not None:
        task = replace(task, clip=settings.clip)
    recipe = task.recipe
    chosen = replace(
        settings,
        gateways=total,
        loss=recipe.loss,
        optimiser=recipe.optimiser,
        rate=recipe.rate,
        steps=recipe.steps,
        batch=recipe.batch,
        alpha=(settings.alpha or ALPHA) if settings.split == "dirichlet" else None,
        clip=None if settings.scheme == "plain" else task.clip,
        server_rate=server.rate,
    )
    if settings.scheme == "plain":
        _check_absent(settings, asked - 1, "A mean is of one gateway or more")
        return Prepared(chosen, task, None, "")
    plan = _plan(settings, task, asked)
    limits, warning = plan.thresholds, _dropout_warning(plan)
    why = f"{asked} gateways with C = {limits.max_colluding} survive D = {limits.max_dropouts}"
    _check_absent(settings, limits.max_dropouts, warning or why)
    chosen = replace(chosen, max_colluding=limits.max_colluding, max_dropouts=limits.max_dropouts)
    return Prepared(chosen, task, plan, warning)


def _plan(settings: Settings, task: Task, asked: int) -> Plan:
    total, colluding, dropouts = len(task.gateways), settings.max_colluding, settings.max_dropouts
    if colluding is None and settings.sample is not None:
        # Of all, also where few are sampled: the orchestrator says who was drawn, and could name
        # the colluding ones.
        colluding = usual_colluding(total)
    average = SecureAverage(
        clip=task.clip,
        clipping=settings.clipping,
        max_weight=task.max_weight,
        # By itself, "auto" knows the model, and gives its reason with sizes.
        scheme=settings.scheme,
        max_colluding=colluding,
        max_dropouts=dropouts,
    )
    try:
        return average.plan(task.build().state_dict(), asked, _METRICS)
    except ConfigurationError:
        # What max(C + 2, (m + C) // 2 + 1) <= m - D leaves of m.
        least = (colluding or 0) + 1 + max((dropouts or 0) + 1, 2 * (dropouts or 0))
        if not asked < least <= total:
            raise
        given = f"C = {colluding}" if dropouts is None else f"C = {colluding}, D = {dropouts}"
        raise ConfigurationError(
            f"a sample of {asked} of {total} cannot work with {given}: draw {least} or more"
            + (", or set a lower C" if colluding != 1 else "")
        ) from None


def _check_absent(settings: Settings, most: int, why: str) -> None:
    if not 0 <= settings.vanish <= most:
        raise ConfigurationError(f"vanish = {settings.vanish}: use 0 to {most}. {why}")


def _dropout_warning(plan: Plan) -> str:
    """A sentence if no gateway may vanish, and what would let one."""
    asked, colluding = plan.thresholds.gateways, plan.thresholds.max_colluding
    if plan.thresholds.max_dropouts > 0:
        return ""
    possible = scheme_of(plan.scheme).thresholds(asked, max_colluding=colluding).max_dropouts
    # The least n with max(C + 2, (n + C) // 2 + 1) <= n - 1 is C + 3.
    way_out = (
        f"they could survive {_word(possible)}, but max_dropouts is 0"
        if possible
        else f"with C = {colluding}, {_word(colluding + 3)} survive one"
    )
    return (
        f"{_word(asked).capitalize()} gateways survive no dropout (C = {colluding}, D = 0): "
        f"if one falls silent, the round ends without a mean; {way_out}."
    )


_WORDS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _word(number: int) -> str:
    return _WORDS[number] if number < len(_WORDS) else str(number)
