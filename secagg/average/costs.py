"""Counts bytes and seconds of a session, by phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from secagg.average.outcome import PhaseCost
from secagg.params import GatewayId
from secagg.protocol.events import Event, PhaseClosed
from secagg.session.loopback import Frame, Observer
from secagg.session.server import ServerSession

T = TypeVar("T")
Clock = Callable[[], float]
"""Seconds since any fixed moment, such as `time.perf_counter`."""


class Costs(Observer):
    """Observes one session.

    Args:
        server: its server, not yet started.
        on_event: is told the server's events.
        clock: read around every call of a party.

    Attributes:
        bytes_up: of each gateway, to the server.
        bytes_down: to each gateway.
    """

    def __init__(
        self, server: ServerSession, on_event: Callable[[Event], None], clock: Clock
    ) -> None:
        self._server = server
        self._phases = {step.name for step in server.settings.scheme.steps}
        self._on_event = on_event
        self._clock = clock
        self._costs: dict[str, _Cost] = {}
        self.bytes_up = dict.fromkeys(server.settings.cohort, 0)
        self.bytes_down = dict.fromkeys(server.settings.cohort, 0)

    @property
    def phases(self) -> tuple[PhaseCost, ...]:
        """What every phase that was opened has cost so far."""
        return tuple(
            PhaseCost(
                phase=phase,
                answered=cost.answered,
                bytes_up=cost.up,
                bytes_down=cost.down,
                server_seconds=cost.server,
                gateway_seconds=cost.gateways,
            )
            for phase, cost in self._costs.items()
        )

    def call(self, phase: str, party: GatewayId | None, work: Callable[[], T]) -> T:
        """Do the work of one party, and add its seconds to the phase."""
        start = self._clock()
        result = work()
        seconds = self._clock() - start
        # only after the start is it known which phase is the first
        cost = self._cost(self._server.phase if phase == "ready" else phase)
        if party is None:
            cost.server += seconds
        else:
            cost.gateways += seconds
        return result

    def frame(self, frame: Frame) -> None:
        """Add a frame to the bytes of its gateway and of its phase."""
        cost, size = self._cost(frame.step), len(frame.data)
        if frame.up:
            self.bytes_up[frame.gateway] += size
            cost.up += size
        else:
            self.bytes_down[frame.gateway] += size
            cost.down += size

    def event(self, event: Event) -> None:
        """Note how many have answered, and pass the event on."""
        self._on_event(event)
        if isinstance(event, PhaseClosed):
            self._cost(event.phase).answered = len(event.answered)

    def _cost(self, phase: str) -> _Cost:
        if phase not in self._phases:  # what comes after the end is nobody's
            return _Cost()
        return self._costs.setdefault(phase, _Cost())


@dataclass(slots=True)
class _Cost:
    """One phase, as it adds up."""

    answered: int = 0
    up: int = 0
    down: int = 0
    server: float = 0.0
    gateways: float = 0.0
