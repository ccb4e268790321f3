"""Compares a run with plaintext: its means with the exact ones, its accuracy with theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fedavg.learning import State
from fedavg.orchestrator import Orchestrator, Round
from fedavg.phases import BEFORE


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far one round's mean is from the exact mean of the same updates.

    Attributes:
        largest: over all coordinates.
        bound: the error bound stated for the round, and the rounding of both means to float32.
    """

    largest: float
    bound: float

    @property
    def within(self) -> bool:
        """The bound holds."""
        return self.largest <= self.bound


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run beside the plaintext run over the same included sets.

    Attributes:
        samples: of the holdout set.
        accuracy: on them after the last round.
        plain_accuracy: the same of the plaintext run.
        history: accuracy of the plaintext run after every round.
        deviations: of every round.
        within_bounds: all of them are.
    """

    samples: int
    accuracy: float
    plain_accuracy: float
    history: tuple[float, ...]
    deviations: tuple[Deviation, ...]
    within_bounds: bool


def deviation(mean: State, exact: State, error_bound: float) -> Deviation:
    """Compare two means key by key in float64; integers count as numbers."""
    gaps = [(mean[key].double() - exact[key].double()).abs().max() for key in exact]
    sizes = [value.abs().max() for value in exact.values() if value.is_floating_point()]
    # Rounding to float32 is off by half an eps of the value, once for each of the two means.
    rounding = max(map(float, sizes), default=0.0) * torch.finfo(torch.float32).eps
    return Deviation(largest=max(map(float, gaps)), bound=error_bound + rounding)


def compare(
    rounds: Sequence[Round], deviations: Sequence[Deviation], plain: Orchestrator
) -> Comparison:
    """Repeat `rounds` with a fresh orchestrator that aggregates in the clear.

    Fresh means untrained, and with a server optimiser of its own: they remember.
    """
    for each in rounds:
        left_out = set(each.asked) - set(each.included)
        plain.round(asked=each.asked, vanish=dict.fromkeys(left_out, BEFORE[-1]))
    return Comparison(
        samples=plain.holdout,
        accuracy=rounds[-1].accuracy,
        plain_accuracy=plain.history[-1].accuracy,
        history=tuple(each.accuracy for each in plain.history),
        deviations=tuple(deviations),
        within_bounds=all(each.within for each in deviations),
    )
