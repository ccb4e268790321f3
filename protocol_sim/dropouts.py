"""Counts rounds that end in a sum, against the rate at which gateways fall silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from protocol_sim.randomness import dice
from secagg.schemes import scheme_of

RATES: Final = tuple(step / 10 for step in range(1, 10))
"""Probabilities that a gateway falls silent somewhere in a round."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What became of rounds in which each gateway vanished with the same probability.

    Attributes:
        scheme: its name.
        gateways: n.
        rate: that probability.
        played: rounds of real sessions.
        sums: those that ended in the sum.
        promised: those in which no more than D vanished.
        violations: (name of the round, what must never happen and did).
    """

    scheme: str
    gateways: int
    rate: float
    played: int
    sums: int
    promised: int
    violations: tuple[tuple[tuple[int, int], str], ...]


def measure(
    schemes: Sequence[str],
    *,
    gateways: int = 8,
    trials: int = 20,
    seed: int = 0,
    on_progress: Callable[[], object] = lambda: None,
) -> list[Rate]:
    """Play `trials` rounds at each of `RATES` for each scheme; the absences are the same for all.

    Args:
        schemes: names.
        gateways: n.
        trials: rounds for each scheme and rate.
        seed: decides who vanishes where.
        on_progress: is called once a scheme and rate.
    """
    found = []
    for scheme in schemes:
        for rate in RATES:
            names = [(seed, trial) for trial in range(trials)]
            rounds = {name: play(scheme, gateways, rate, name) for name in names}
            found.append(judged(scheme, rate, rounds))
            on_progress()
    return found


def judged(scheme: str, rate: float, rounds: Mapping[tuple[int, int], Exchange]) -> Rate:
    """Count what became of rounds.

    Args:
        scheme: name.
        rate: at which gateways vanished.
        rounds: by name, at least one; all of one cohort.
    """
    limits = next(iter(rounds.values())).settings.thresholds
    sums = promised = 0
    violations = []
    for name, each in rounds.items():
        sums += each.verdict.outcome == "sum"
        promised += len(each.allowed) <= limits.max_dropouts
        if each.verdict.violation:
            violations.append((name, each.verdict.violation))
    return Rate(scheme, limits.gateways, rate, len(rounds), sums, promised, tuple(violations))


def play(scheme: str, gateways: int, rate: float, name: object) -> Exchange:
    """A round in which each gateway vanishes with this probability, at any point.

    Who vanishes at one rate vanishes at each higher one too, at the same point.

    Args:
        scheme: name.
        gateways: n.
        rate: probability, 0 to 1.
        name: decides who vanishes, and everything the parties draw.
    """
    decide = dice("dropouts", name)
    parties = Parties(gateways, scheme_of(scheme), seed=("dropouts", name))
    draws = [(each, decide.random(), decide.random()) for each in parties.ids]
    session = Exchange(parties, keep_log=False)
    places = list(session.points.values())
    session.allowed = {
        each: places[int(where * len(places))] for each, luck, where in draws if luck < rate
    }
    return session.play()
