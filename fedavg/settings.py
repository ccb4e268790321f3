"""What a run is, who takes part in which round, and what cannot work."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fedavg.phases import PHASES, absent_from
from fedavg.tasks import TASKS
from secagg.errors import ConfigurationError
from secagg.params import GatewayId, Thresholds
from secagg.protocol.steps import Step
from secagg.schemes import BY_NAME, scheme_of
from secagg.schemes.auto import Choice, choose
from secagg.schemes.masks import Masks
from secagg.thresholds import usual_colluding

SCHEMES: Final = (*BY_NAME, "auto", "plain")
MAX_ROUNDS: Final = 10_000
_WHOLE: Final = (
    "gateways", "rounds", "vanish", "seed", "sample", "max_colluding", "max_dropouts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is; equal settings give equal numbers, seconds and the noise of sums apart.

    Attributes:
        task: a name in `fedavg.tasks.TASKS`.
        gateways: how many sites; None is the task's own number.
        rounds: of FedAvg, 1 to `MAX_ROUNDS`.
        vanish: gateways that stop answering in each round, drawn from the seed.
        seed: of data, weights, order, rounding, and of who is asked and who vanishes when.
        scheme: one of `SCHEMES`.
        max_colluding: C; None is the usual number for all gateways, also where few are sampled:
            the orchestrator says who was drawn, and could name the colluding ones.
        max_dropouts: D; None leaves it to the library.
        clip: largest |coordinate| of an update; None leaves it to the task.
        loss: what gateways minimise; None leaves it, as the next four, to the task.
        optimiser: of every gateway.
        rate: learning rate of every gateway.
        steps: of a gateway in a round.
        batch: samples in a step.
        split: how the data is dealt, one of `fedavg.tasks.SPLITS`.
        alpha: of the dirichlet split.
        sample: gateways asked in each round, drawn from the seed; None asks all.
        server: one of `fedavg.aggregation.SERVER_OPTIMISERS`.
        server_rate: its learning rate; None is its own.
        overrides: gateway id -> what this gateway does otherwise.
        data: directory, for a task that reads files.
    """

    task: str = "digits"
    gateways: int | None = None
    rounds: int = 10
    vanish: int = 0
    seed: int = 0
    scheme: str = "masks"
    max_colluding: int | None = None
    max_dropouts: int | None = None
    clip: float | None = None
    loss: str | None = None
    optimiser: str | None = None
    rate: float | None = None
    steps: int | None = None
    batch: int | None = None
    split: str = "iid"
    alpha: float = 0.5
    sample: int | None = None
    server: str = "fedavg"
    server_rate: float | None = None
    overrides: dict[str, dict[str, float | int | str]] = field(default_factory=dict)
    data: Path | None = None


def cohort(settings: Settings, names: Sequence[GatewayId], number: int) -> tuple[GatewayId, ...]:
    """Who of `names` is asked in round `number`, in their order: drawn from the seed."""
    if settings.sample is None:
        return tuple(names)
    # A stream of its own: who vanishes must not follow from who is asked.
    draw = random.Random(f"{settings.seed}/{number}/asked")
    return tuple(names[index] for index in sorted(draw.sample(range(len(names)), settings.sample)))


def absences(
    settings: Settings,
    names: Sequence[GatewayId],
    number: int,
    steps: Sequence[Step] = Masks.steps,
) -> dict[GatewayId, str]:
    """Who of `names` stops answering in round `number`, and from which phase on: from the seed.

    Whoever counts in spite of it counts with the steps of every scheme.
    """
    draw = random.Random(f"{settings.seed}/{number}")
    return {
        name: absent_from(draw.choice(PHASES), steps)
        for name in sorted(draw.sample(names, settings.vanish))
    }


def check_values(settings: Settings) -> None:
    """Refuse what would be wrong whatever the task.

    Raises:
        ConfigurationError: the message names what would work.
    """
    if settings.scheme not in SCHEMES:
        raise ConfigurationError(
            f"scheme {settings.scheme!r} is unknown: use one of {', '.join(SCHEMES)}"
        )
    for name in _WHOLE:
        value: object = getattr(settings, name)
        if value is not None and type(value) is not int:
            raise ConfigurationError(f"{name} is {value!r}: use a whole number")
    if not 1 <= settings.rounds <= MAX_ROUNDS:
        raise ConfigurationError(f"{settings.rounds} rounds: it takes 1 to {MAX_ROUNDS}")


def check_cohorts(settings: Settings) -> None:
    """Refuse rounds that cannot be had with as many gateways, asked or vanishing.

    Raises:
        ConfigurationError: the message names what would work.
    """
    thresholds = thresholds_of(settings)
    if thresholds is None:
        most, why = asked_of(settings) - 1, "A mean is of one gateway or more"
    else:
        most = thresholds.max_dropouts
        why = (
            f"{thresholds.gateways} gateways with C = {thresholds.max_colluding} survive D = {most}"
        )
    if not 0 <= settings.vanish <= most:
        why = dropout_warning(settings) or why
        raise ConfigurationError(f"vanish = {settings.vanish}: use 0 to {most}. {why}")


def asked_of(settings: Settings) -> int:
    """How many gateways are asked in each round.

    Raises:
        ConfigurationError: a sample of nobody, or of more than there are.
    """
    total = _gateways(settings)
    if settings.sample is None:
        return total
    if not 1 <= settings.sample <= total:
        raise ConfigurationError(f"a sample of {settings.sample} of {total}: draw 1 to {total}")
    return settings.sample


def choice_of(settings: Settings) -> Choice | None:
    """The scheme of every round; None in the clear. The reason is right but for sizes.

    Raises:
        ConfigurationError: no scheme can work; the message names what would.
    """
    match settings.scheme:
        case "plain":
            return None
        case "auto":
            return choose(
                asked_of(settings),
                0,  # the choice is that of a model of any size
                max_colluding=max_colluding(settings),
                max_dropouts=settings.max_dropouts,
            )
        case name:
            return Choice(scheme_of(name))


def thresholds_of(settings: Settings) -> Thresholds | None:
    """Of every round; None in the clear.

    Raises:
        ConfigurationError: there are none; the message names what would work.
    """
    asked = asked_of(settings)
    colluding, dropouts = max_colluding(settings), settings.max_dropouts
    try:
        choice = choice_of(settings)
        if choice is None:
            return None
        return choice.scheme.thresholds(asked, max_colluding=colluding, max_dropouts=dropouts)
    except ConfigurationError:
        # What max(C + 2, (m + C) // 2 + 1) <= m - D leaves of m.
        least = (colluding or 0) + 1 + max((dropouts or 0) + 1, 2 * (dropouts or 0))
        if not asked < least <= _gateways(settings):
            raise
        given = f"C = {colluding}" if dropouts is None else f"C = {colluding}, D = {dropouts}"
        raise ConfigurationError(
            f"a sample of {asked} of {_gateways(settings)} cannot work with {given}: "
            f"draw {least} or more" + (", or set a lower C" if colluding != 1 else "")
        ) from None


def max_colluding(settings: Settings) -> int | None:
    """C of every round; None leaves it to the library."""
    if settings.max_colluding is not None or settings.sample is None:
        return settings.max_colluding
    return usual_colluding(_gateways(settings))


def dropout_warning(settings: Settings) -> str | None:
    """A sentence if no gateway may vanish; None if one may, or if there is no protocol.

    Raises:
        ConfigurationError: thresholds that cannot work.
    """
    thresholds, choice = thresholds_of(settings), choice_of(settings)
    if choice is None or thresholds is None or thresholds.max_dropouts > 0:
        return None
    asked, colluding = thresholds.gateways, thresholds.max_colluding
    possible = choice.scheme.thresholds(asked, max_colluding=colluding).max_dropouts
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


def _gateways(settings: Settings) -> int:
    return TASKS[settings.task].gateways if settings.gateways is None else settings.gateways


_WORDS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _word(number: int) -> str:
    return _WORDS[number] if number < len(_WORDS) else str(number)
