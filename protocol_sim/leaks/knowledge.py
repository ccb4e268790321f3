"""Finds which sums a server can compute from all it has received, and which it must not.

The agreed sum is the one over the honest members of the set for which gateways have released
secrets. Anything else that follows is a leak: another sum, two sums, a weighted one, or the agreed
one if its set is smaller than n_min or has fewer than two honest members. All sessions of a round
count together: they hide the same inputs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Self

from protocol_sim.leaks import derived_masks, recorded_additive
from protocol_sim.leaks.equations import Equation, basis, small, without
from protocol_sim.leaks.names import Agreed, Input, Unknown
from protocol_sim.leaks.recorder import Recorder

LEAST_HONEST = 2
"""With one honest gateway in it, a sum is that gateway's input."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that a server can compute and must not.

    Attributes:
        round: number of the round.
        weights: gateway -> its weight in the sum, of each value of a share in additive schemes.
        reason: what is wrong with it.
    """

    round: int
    weights: dict[str, tuple[int, ...]]
    reason: str

    @property
    def gateways(self) -> frozenset[str]:
        """Whose inputs are in the sum."""
        return frozenset(self.weights)

    def __str__(self) -> str:
        return f"round {self.round}: {', '.join(sorted(self.weights))}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Linear equations over inputs and unknowns, and the sets that gateways have answered for.

    Attributes:
        equations: unknowns are `Unknown`, inputs of honest gateways `Input`.
        agreed: one for each answer that released something.
        colluding: names of the gateways on the server's side.
    """

    equations: tuple[Equation, ...]
    agreed: tuple[Agreed, ...]
    colluding: frozenset[str]

    @classmethod
    def of(cls, recorder: Recorder, colluding: Collection[str]) -> Self:
        """What follows from everything received.

        Args:
            recorder: of the server.
            colluding: gateways whose secrets the server has.
        """
        allies = frozenset(colluding)
        parts = [derived_masks.read(recorder, allies), recorded_additive.read(recorder, allies)]
        return cls(
            tuple(equation for equations, _ in parts for equation in equations),
            tuple(agreed for _, sets in parts for agreed in sets),
            allies,
        )

    def open(self) -> list[Equation]:
        """The computable combinations of inputs: a reduced basis. Other names tell how."""
        return basis(without(self.equations, Unknown), Input)


def leaks(knowledge: Knowledge) -> list[Leak]:
    """Every computable sum but the agreed one; none in a protocol that keeps its promise."""
    by_round: dict[int, list[Equation]] = {}
    for equation in knowledge.open():
        by_round.setdefault(_round(equation), []).append(equation)
    found = []
    for number, equations in sorted(by_round.items()):
        sets = [agreed for agreed in knowledge.agreed if agreed.round == number]
        found += _judge(number, equations, sets, knowledge.colluding)
    return found


def _judge(
    number: int, equations: Iterable[Equation], sets: Collection[Agreed], colluding: frozenset[str]
) -> list[Leak]:
    found: list[Leak] = []
    granted: tuple[frozenset[str], bytes] | None = None
    for equation in equations:
        weights = _weights(equation)
        here = frozenset(weights), _session(equation)
        reason = _wrong(weights, here, sets, colluding)
        if not reason and granted not in {None, here}:
            reason = "a second sum"
        if reason:
            found.append(Leak(number, weights, reason))
        else:
            granted = here
    return found


def _wrong(
    weights: dict[str, tuple[int, ...]],
    here: tuple[frozenset[str], bytes],
    sets: Collection[Agreed],
    colluding: frozenset[str],
) -> str:
    members, session = here
    if len(set(weights.values())) > 1:
        return "a weighted sum"
    matching = [
        agreed
        for agreed in sets
        if agreed.members - colluding == members and session in {b"", agreed.session}
    ]
    if not matching:
        return "nobody has answered for this set"
    if len(members) < LEAST_HONEST:
        return "an input of its own"
    size, least = min((len(agreed.members), agreed.least) for agreed in matching)
    return f"a sum over {size}, n_min is {least}" if size < least else ""


def _inputs(equation: Equation) -> list[Input]:
    return sorted((name for name in equation if isinstance(name, Input)), key=repr)


def _round(equation: Equation) -> int:
    return _inputs(equation)[0].round


def _session(equation: Equation) -> bytes:
    """The session of the keys of an equation's inputs; b"" where inputs have no key."""
    sessions = {name.session for name in _inputs(equation)}
    return sessions.pop() if len(sessions) == 1 else b"several"


def _weights(equation: Equation) -> dict[str, tuple[int, ...]]:
    """Weights of all values of each gateway; those of several keys stand side by side."""
    inputs = _inputs(equation)
    parts = sorted({(name.session, name.part) for name in inputs})
    return {
        gateway: tuple(
            small(equation.get(Input(inputs[0].round, gateway, session, part), 0))
            for session, part in parts
        )
        for gateway in sorted({name.gateway for name in inputs})
    }
