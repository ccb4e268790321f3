"""Runs all rounds, the same rounds in the clear beside them, and reports on both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from platform import python_version
from warnings import catch_warnings, simplefilter

import secagg
from fedavg.aggregation import server_optimiser
from fedavg.comparison import Comparison, Deviation, compare, deviation
from fedavg.learning import State
from fedavg.orchestrator import Orchestrator, Round
from fedavg.phases import steps_of
from fedavg.plain import PlainAverage, weighted_mean
from fedavg.prepared import Prepared
from fedavg.settings import Settings, absences, cohort
from fedavg.stopwatch import Clock
from secagg import Event, Plan, Roster, SecureAverage
from secagg.errors import PrecisionWarning
from secagg.protocol.audit import AuditRecord


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run has to say.

    Attributes:
        settings: what was done, the values that were left open among them.
        warning: a sentence if no gateway may vanish; "" if one may, or if there is no protocol.
        versions: of what the numbers depend on.
        rounds: the history.
        comparison: with plaintext.
        seconds: of each part, over all rounds.
        plan: what protected every round; None in the clear.
        state: state_dict of the model after the last round.
    """

    settings: Settings
    warning: str
    versions: dict[str, str]
    rounds: tuple[Round, ...]
    comparison: Comparison
    seconds: dict[str, float]
    plan: Plan | None
    state: State = field(repr=False)

    @property
    def scheme(self) -> str:
        """That of the settings, or the one that "auto" chose; "plain" in the clear."""
        return "plain" if self.plan is None else self.plan.scheme

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the first round with too coarse a mean was told: later ones name the same cure."""
        first, *later = [each.warnings for each in self.rounds if each.warnings] or [()]
        beside = f" (and so {len(later)} of the rounds after it)" if later else ""
        return tuple(f"{text}{beside}" for text in first)


def run(
    prepared: Prepared,
    *,
    clock: Clock,
    on_round: Callable[[Round], None] = lambda _: None,
    on_event: Callable[[Event], None] = lambda _: None,
    on_record: Callable[[int, AuditRecord, Roster], None] = lambda *_: None,
) -> Report:
    """Train, and compare with plaintext.

    Args:
        prepared: what to do.
        clock: for the seconds of each part.
        on_round: is told every round when it ends.
        on_event: is told every event of the orchestrator's sessions, as it happens.
        on_record: is given number, audit record and roster of every secure round when it ends.

    Raises:
        SecAggError: a round ended without a mean.
    """
    settings, plan = prepared.settings, prepared.plan
    scheme = plan.scheme if plan else "plain"
    steps = steps_of(scheme, plan.thresholds if plan else None)
    orchestrator = _orchestrator(prepared, prepared.average(clock, on_event), clock)
    deviations: list[Deviation] = []
    for number in range(1, settings.rounds + 1):
        asked = cohort(settings, tuple(orchestrator.gateways), number)
        before, updates = orchestrator.state, orchestrator.updates(asked)
        with catch_warnings():
            simplefilter("ignore", PrecisionWarning)  # the history has them
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
    beside = _orchestrator(prepared, PlainAverage(), clock)
    return Report(
        settings=settings,
        warning=prepared.warning,
        versions=versions(),
        rounds=rounds,
        comparison=compare(rounds, deviations, beside),
        seconds=_added([each.seconds for each in rounds]),
        plan=plan,
        state=orchestrator.state,
    )


def versions() -> dict[str, str]:
    """What beside the settings decides numbers: who draws, who trains, whose data it is."""
    others = {name: version(name) for name in ("numpy", "torch", "scikit-learn")}
    return {"secagg": secagg.__version__, "python": python_version(), **others}


def _orchestrator(
    prepared: Prepared, average: SecureAverage | PlainAverage, clock: Clock
) -> Orchestrator:
    """With everything that remembers made afresh."""
    task, settings = prepared.task, prepared.settings
    return Orchestrator(
        task.build(),
        task.gateways,
        task.holdout,
        average=average,
        clock=clock,
        loss=task.recipe.loss,
        server=server_optimiser(settings.server, rate=settings.server_rate),
    )


def _added(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(each[name] for each in parts) for name in parts[0]}
