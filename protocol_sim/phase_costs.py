"""Counts bytes and CPU seconds of a session, by phase."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from secagg.session.loopback import Frame

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one phase costs.

    Attributes:
        phase: of the server.
        up: bytes from one gateway, the mean over those that sent something.
        down: bytes to one gateway, likewise.
        server: CPU seconds of the server.
        gateway: CPU seconds of a gateway that checks every signature itself; the mean over those.
    """

    phase: str
    up: float
    down: float
    server: float
    gateway: float


@dataclass(slots=True)
class PhaseCosts:
    """Bytes and seconds as they come.

    Attributes:
        bytes: (phase, up) -> gateway -> bytes.
        seconds: (phase, who) -> CPU seconds; who is "server", "watched" or "others".
        clock: seconds.
    """

    bytes: dict[tuple[str, bool], dict[str, int]] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    clock: Callable[[], float] = time.process_time

    def timed(self, phase: str, who: str, work: Callable[[], T]) -> T:
        """Do some work, and keep the time it takes."""
        start = self.clock()
        result = work()
        spent = self.clock() - start
        self.seconds[phase, who] = self.seconds.get((phase, who), 0.0) + spent
        return result

    def frame(self, phase: str, frame: Frame) -> None:
        """Keep the size of a frame that is delivered."""
        sizes = self.bytes.setdefault((phase, frame.up), {})
        sizes[frame.gateway] = sizes.get(frame.gateway, 0) + len(frame.data)

    def mean(self, phase: str, *, up: bool) -> float:
        """Bytes of a phase in one direction, over the gateways that had any."""
        sizes = self.bytes.get((phase, up), {})
        return sum(sizes.values()) / len(sizes) if sizes else 0.0

    @property
    def everybody(self) -> float:
        """CPU seconds of all gateways together."""
        return sum(spent for (_, who), spent in self.seconds.items() if who != "server")

    def traffic(self, watched: int) -> tuple[Traffic, ...]:
        """All phases.

        Args:
            watched: gateways whose seconds are averaged.
        """
        phases = dict.fromkeys([phase for phase, _ in (*self.bytes, *self.seconds)])
        return tuple(
            Traffic(
                phase,
                self.mean(phase, up=True),
                self.mean(phase, up=False),
                self.seconds.get((phase, "server"), 0.0),
                self.seconds.get((phase, "watched"), 0.0) / watched,
            )
            for phase in phases
        )
