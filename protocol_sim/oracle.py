"""Judges how a session ended: in the sum over the included gateways, or in an error with a name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from protocol_sim.play import Play
from secagg.errors import BadDealing, BelowThreshold, SecAggError, SessionAborted


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a session ended.

    Attributes:
        outcome: "sum", or the name of the error that ended it.
        included: gateways in the sum.
        dropped: gateway -> (phase, reason).
        excuse: why no sum was due, whatever came; "" if one was.
        violation: what must never happen and did; "" else.
    """

    outcome: str
    included: tuple[str, ...]
    dropped: dict[str, tuple[str, str]]
    excuse: str
    violation: str

    @property
    def summed(self) -> tuple[str, ...]:
        """Gateways whose sum came out, and rightly so; nobody if anything is wrong."""
        return self.included if self.outcome == "sum" and not self.violation else ()


def judge(play: Play, cheaters: Collection[str] = ()) -> Verdict:
    """Look at a session that has ended.

    A sum must be over no fewer gateways than promised, and exact, or within the stated noise in
    vectors of updates. An abort must be one of the named ones, and have an excuse: more than D
    gateways are absent (`Play.absent`), or the error may name a cheater. Otherwise a sum is due.
    Whoever an orchestrator deceives counts as absent: the others' sum is still due.

    Args:
        play: the session.
        cheaters: gateways that do something wrong; an error may name them.
    """
    aborted, excuse = play.aborted, _excuse(play, cheaters)
    if aborted is not None:
        known = isinstance(aborted, SessionAborted | BadDealing)
        wrong = f"ended in {named(aborted)}: {aborted}"
        due = "" if excuse else f"a sum was due, and it {wrong}"
        return Verdict(named(aborted), (), play.dropped, excuse, due if known else wrong)
    if play.running:
        return Verdict("open", (), play.dropped, excuse, f"still in phase {play.server.phase}")
    return Verdict("sum", play.included, play.dropped, excuse, _wrong(play))


def _excuse(play: Play, cheaters: Collection[str]) -> str:
    """Which condition of a sum has failed, "" if none."""
    limits, dropped = play.settings.thresholds, play.dropped
    below = isinstance(play.aborted, BelowThreshold)
    if below and len(dropped) <= limits.max_dropouts:
        return ""  # the server itself misses no more than may be missing
    gone = dict(play.absent)
    if cheaters:  # who was dropped for what is judged name by name
        gone = {name: reason for name, (_, reason) in dropped.items()} | gone
    if len(gone) > limits.max_dropouts:
        each = ", ".join(f"{name} ({why})" for name, why in sorted(gone.items()))
        return f"{len(gone)} of {limits.gateways} are absent, {limits.max_dropouts} may be: {each}"
    if cheaters and not below:
        return f"{', '.join(sorted(cheaters))} cheats, and an error may say so"
    return ""


def _wrong(play: Play) -> str:
    limits, included = play.settings.thresholds, play.included
    least = max(limits.min_included, limits.gateways - limits.max_dropouts)
    if len(included) < least:
        return f"a sum over {len(included)}, at least {least} are promised"
    machine = play.server._server  # noqa: SLF001 - the oracle looks at words, not at floats
    noise = play.settings.carried.noise.bound
    expected = play.parties.expected(machine.round, included, limits.gateways)
    for spec, right, found in zip(machine.round.vectors, expected, play.opened, strict=True):
        allowed = noise if spec.kind == "update" else 0
        off = int(np.abs(right - found).max())
        if off > allowed:
            return f"{spec.name} is off by {off} units, {allowed:g} are allowed"
    return ""


def named(error: SecAggError | None) -> str:
    """The name of an error, "" for none."""
    return "" if error is None else type(error).__name__
