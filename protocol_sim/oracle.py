"""What a session may end in: the sum over the included gateways, or an error with a name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol_sim.play import Play
from secagg.errors import BadDealing, SecAggError, SessionAborted


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a session ended.

    Attributes:
        outcome: "sum", or the name of the error that ended it.
        included: gateways in the sum.
        dropped: gateway -> (phase, reason).
        violation: what must never happen and did; "" else.
    """

    outcome: str
    included: tuple[str, ...]
    dropped: dict[str, tuple[str, str]]
    violation: str

    @property
    def summed(self) -> tuple[str, ...]:
        """Gateways whose sum came out, and rightly so; nobody if anything is wrong."""
        return self.included if self.outcome == "sum" and not self.violation else ()


def judge(play: Play) -> Verdict:
    """Look at a session that has ended.

    A sum must be over no fewer gateways than promised, and exact, or within the stated noise in
    vectors of updates. An abort must be one of the named ones.
    """
    aborted = play.aborted
    if aborted is not None:
        known = isinstance(aborted, SessionAborted | BadDealing)
        wrong = "" if known else f"ended in {type(aborted).__name__}: {aborted}"
        return Verdict(type(aborted).__name__, (), play.dropped, wrong)
    if play.running:
        return Verdict("open", (), play.dropped, f"still in phase {play.server.phase}")
    return Verdict("sum", play.included, play.dropped, _wrong(play))


def _wrong(play: Play) -> str:
    limits, included = play.settings.thresholds, play.included
    least = max(limits.min_included, limits.gateways - limits.max_dropouts)
    if len(included) < least:
        return f"a sum over {len(included)}, at least {least} are promised"
    machine = play.server._server  # noqa: SLF001 - the oracle looks at words, not at floats
    noise = 0.0 if machine.opened is None else machine.opened.noise.bound
    expected = play.parties.expected(machine.round, included)
    for spec, right, found in zip(machine.round.vectors, expected, play.opened, strict=True):
        allowed = noise if spec.kind == "update" else 0
        off = int(np.abs(right - found).max())
        if off > allowed:
            return f"{spec.name} is off by {off} units, {allowed:g} are allowed"
    return ""


def named(error: SecAggError | None) -> str:
    """The name of an error, "" for none."""
    return "" if error is None else type(error).__name__
