"""Records what happened in a run, moment by moment, and how each round ended."""

from __future__ import annotations

from dataclasses import dataclass

from protocol_sim.oracle import Verdict
from protocol_sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened.

    Attributes:
        time: seconds from the beginning of the run.
        kind: "sent up", "sent down", "arrived up", "arrived down", "lost", "phase closed",
            "deadline", "dropped", "vanished", "restarted", "completed" or "aborted".
        gateway: whom it concerns; "" for the orchestrator.
        step: the phase.
        size: bytes of a frame, 0 else.
        detail: number of the frame, where it was sent and where it arrived; a reason else.
    """

    time: float
    kind: str
    gateway: str
    step: str
    size: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a scenario.

    Attributes:
        scenario: that was run.
        verdicts: of each round.
        transcript: SHA-256 of every frame that arrived, when and where, and of the verdicts.
        moments: in order.
        clock: seconds of virtual time.
    """

    scenario: Scenario
    verdicts: tuple[Verdict, ...]
    transcript: str
    moments: tuple[Moment, ...]
    clock: float

    @property
    def violation(self) -> str:
        """What must never happen and did; "" else."""
        return next((verdict.violation for verdict in self.verdicts if verdict.violation), "")
