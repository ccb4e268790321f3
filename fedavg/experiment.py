"""One run from settings to report: the rounds, and the same rounds in the clear beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fedavg.aggregation import server_optimiser
from fedavg.comparison import Comparison, Deviation, compare, deviation
from fedavg.orchestrator import Orchestrator, Round
from fedavg.phases import steps_of
from fedavg.plain import PlainAverage, weighted_mean
from fedavg.settings import (
    MAX_ROUNDS,
    SCHEMES,
    Settings,
    absences,
    asked_of,
    check_cohorts,
    check_values,
    choice_of,
    cohort,
    dropout_warning,
    max_colluding,
)
from fedavg.stopwatch import Clock
from fedavg.tasks import Options, Task, load
from secagg import Event, Plan, Roster, SecureAverage
from secagg.protocol.audit import AuditRecord

__all__ = [
    "MAX_ROUNDS",
    "SCHEMES",
    "Report",
    "Settings",
    "absences",
    "check",
    "cohort",
    "dropout_warning",
    "run",
]

_METRICS: Final = ("loss", "correct", "samples")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run has to say.

    Attributes:
        settings: what was asked.
        rounds: the history.
        comparison: with plaintext.
        seconds: of each part, over all rounds.
        plan: what protected every round; None in the clear.
    """

    settings: Settings
    rounds: tuple[Round, ...]
    comparison: Comparison
    seconds: dict[str, float]
    plan: Plan | None

    @property
    def scheme(self) -> str:
        """That of the settings, or the one that "auto" chose; "plain" in the clear."""
        return "plain" if self.plan is None else self.plan.scheme


def run(
    settings: Settings,
    *,
    clock: Clock,
    on_round: Callable[[Round], None] = lambda _: None,
    on_event: Callable[[Event], None] = lambda _: None,
    on_record: Callable[[int, AuditRecord, Roster], None] = lambda *_: None,
) -> Report:
    """Train, and compare with plaintext.

    Args:
        settings: what to do.
        clock: for the seconds of each part.
        on_round: is told every round when it ends.
        on_event: is told every event of the orchestrator's sessions, as it happens.
        on_record: is given number, audit record and roster of every secure round when it ends.

    Raises:
        ConfigurationError: settings that cannot work; nothing was trained yet.
        SecAggError: a round ended without a mean.
    """
    task, average, plan = _prepared(settings, clock, on_event)
    scheme = plan.scheme if plan else "plain"
    steps = steps_of(scheme, plan.thresholds if plan else None)
    orchestrator = _orchestrator(settings, task, average, clock)
    deviations: list[Deviation] = []
    for number in range(1, settings.rounds + 1):
        asked = cohort(settings, tuple(orchestrator.gateways), number)
        before, updates = orchestrator.state, orchestrator.updates(asked)
        done = orchestrator.round(
            asked=asked,
            vanish=absences(settings, asked, number, steps),
            rounding_seed=sha256(f"{settings.seed}/{number}".encode()).digest(),
        )
        # The same promises train again, in the clear: what should this mean have been?
        kept = {name: updates[name] for name in done.included}
        exact = weighted_mean(kept, orchestrator.counts, before)
        deviations.append(deviation(orchestrator.mean, exact, done.error_bound))
        if orchestrator.record is not None:
            on_record(number, *orchestrator.record)
        on_round(done)
    rounds = tuple(orchestrator.history)
    beside = _orchestrator(settings, task, PlainAverage(), clock)
    return Report(
        settings=settings,
        rounds=rounds,
        comparison=compare(rounds, deviations, beside),
        seconds=_added([each.seconds for each in rounds]),
        plan=plan,
    )


def check(settings: Settings) -> Plan | None:
    """Refuse what cannot run; data is made or read for it, nothing is trained.

    Returns:
        What every round will need; None in the clear.

    Raises:
        ConfigurationError: the message names what would work.
    """
    *_, plan = _prepared(settings, lambda: 0.0, lambda _: None)
    return plan


def _prepared(
    settings: Settings, clock: Clock, on_event: Callable[[Event], None]
) -> tuple[Task, SecureAverage | PlainAverage, Plan | None]:
    """All that can be refused is refused here."""
    check_values(settings)
    server_optimiser(settings.server, rate=settings.server_rate)
    options = Options(
        loss=settings.loss,
        optimiser=settings.optimiser,
        rate=settings.rate,
        steps=settings.steps,
        batch=settings.batch,
        split=settings.split,
        alpha=settings.alpha,
        overrides={name: dict(changes) for name, changes in settings.overrides.items()},
        data=settings.data,
    )
    task = load(settings.task, gateways=settings.gateways, seed=settings.seed, options=options)
    check_cohorts(settings)
    choice = choice_of(settings)
    if choice is None:
        return task, PlainAverage(), None
    average = SecureAverage(
        clip=task.clip if settings.clip is None else settings.clip,
        max_weight=task.max_weight,
        # by itself, "auto" knows the model, and gives its reason with sizes
        scheme="auto" if settings.scheme == "auto" else choice.scheme,
        max_colluding=max_colluding(settings),
        max_dropouts=settings.max_dropouts,
        on_event=on_event,
        clock=clock,
    )
    # Whoever is drawn, all rounds have one roster: that of everybody.
    average.enroll([gateway.name for gateway in task.gateways])
    plan = average.plan(task.build().state_dict(), asked_of(settings), _METRICS)
    return task, average, plan


def _orchestrator(
    settings: Settings, task: Task, average: SecureAverage | PlainAverage, clock: Clock
) -> Orchestrator:
    """With everything that remembers made afresh."""
    return Orchestrator(
        task.build(),
        task.gateways,
        task.holdout,
        average=average,
        clock=clock,
        loss=task.loss,
        server=server_optimiser(settings.server, rate=settings.server_rate),
    )


def _added(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in parts) for name in parts[0]}
