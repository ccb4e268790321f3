"""One run from settings to report: the rounds, and the same rounds in the clear beside them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fedavg.comparison import Comparison, Deviation, compare, deviation
from fedavg.orchestrator import Orchestrator, Round
from fedavg.plain import PHASES, PlainAverage, weighted_mean
from fedavg.stopwatch import Clock
from fedavg.tasks import Task, load
from secagg import SecureAverage
from secagg.errors import ConfigurationError
from secagg.params import GatewayId
from secagg.thresholds import derive

SCHEMES: Final = ("masks", "plain")
MAX_ROUNDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is; equal settings give equal numbers, seconds apart.

    Attributes:
        task: a name in `fedavg.tasks.TASKS`.
        gateways: how many sites.
        rounds: of FedAvg.
        vanish: gateways that stop answering in each round, drawn from the seed.
        seed: of data, weights, order, rounding and of who vanishes when.
        scheme: one of `SCHEMES`.
        max_colluding: C; None leaves it to the library.
        max_dropouts: D; None leaves it to the library.
        clip: largest |coordinate| of an update; None leaves it to the task.
    """

    task: str = "digits"
    gateways: int = 10
    rounds: int = 10
    vanish: int = 0
    seed: int = 0
    scheme: str = "masks"
    max_colluding: int | None = None
    max_dropouts: int | None = None
    clip: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run has to say.

    Attributes:
        settings: what was asked.
        rounds: the history.
        comparison: with plaintext.
        seconds: of each part, over all rounds.
    """

    settings: Settings
    rounds: tuple[Round, ...]
    comparison: Comparison
    seconds: dict[str, float]


def run(
    settings: Settings, *, clock: Clock, on_round: Callable[[Round], None] = lambda _: None
) -> Report:
    """Train, and compare with plaintext.

    Args:
        settings: what to do.
        clock: for the seconds of each part.
        on_round: is told every round when it ends.

    Raises:
        ConfigurationError: settings that cannot work; nothing was trained yet.
        SecAggError: a round ended without a mean.
    """
    task = load(settings.task, gateways=settings.gateways, seed=settings.seed)
    check(settings)
    average = _aggregation(settings, task)
    orchestrator = _orchestrator(task, average, clock)
    deviations: list[Deviation] = []
    for number in range(1, settings.rounds + 1):
        before, updates = orchestrator.state, orchestrator.updates()
        done = orchestrator.round(
            vanish=absences(settings, tuple(updates), number),
            rounding_seed=sha256(f"{settings.seed}/{number}".encode()).digest(),
        )
        # The same promises train again, in the clear: what should this mean have been?
        kept = {name: updates[name] for name in done.included}
        exact = weighted_mean(kept, orchestrator.counts, before)
        deviations.append(deviation(orchestrator.state, exact, done.error_bound))
        on_round(done)
    rounds = tuple(orchestrator.history)
    return Report(
        settings=settings,
        rounds=rounds,
        comparison=compare(rounds, deviations, _orchestrator(task, PlainAverage(), clock)),
        seconds=_added([each.seconds for each in rounds]),
    )


def check(settings: Settings) -> None:
    """Refuse what cannot run.

    Raises:
        ConfigurationError: the message names what would work.
    """
    if settings.scheme not in SCHEMES:
        raise ConfigurationError(
            f"scheme {settings.scheme!r} is unknown: use {' or '.join(SCHEMES)}"
        )
    if not 1 <= settings.rounds <= MAX_ROUNDS:
        raise ConfigurationError(f"{settings.rounds} rounds: it takes 1 to {MAX_ROUNDS}")
    if settings.scheme == "plain":
        most, why = settings.gateways - 1, "a mean is of one gateway or more"
    else:
        thresholds = derive(
            settings.gateways,
            max_colluding=settings.max_colluding,
            max_dropouts=settings.max_dropouts,
        )
        most = thresholds.max_dropouts
        why = f"with C = {thresholds.max_colluding}, {settings.gateways} gateways bear D = {most}"
    if not 0 <= settings.vanish <= most:
        raise ConfigurationError(f"{settings.vanish} vanishing gateways: use 0 to {most}, {why}")


def absences(settings: Settings, names: Sequence[GatewayId], number: int) -> dict[GatewayId, str]:
    """Who stops answering in round `number`, and from which phase on: drawn from the seed."""
    draw = random.Random(f"{settings.seed}/{number}")
    return {name: draw.choice(PHASES) for name in sorted(draw.sample(names, settings.vanish))}


def _aggregation(settings: Settings, task: Task) -> SecureAverage | PlainAverage:
    if settings.scheme == "plain":
        return PlainAverage()
    return SecureAverage(
        clip=task.clip if settings.clip is None else settings.clip,
        max_weight=task.max_weight,
        max_colluding=settings.max_colluding,
        max_dropouts=settings.max_dropouts,
    )


def _orchestrator(task: Task, average: SecureAverage | PlainAverage, clock: Clock) -> Orchestrator:
    return Orchestrator(task.build(), task.gateways, task.holdout, average=average, clock=clock)


def _added(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in parts) for name in parts[0]}
