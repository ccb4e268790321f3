"""Counts bytes and seconds of a session, by phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

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
        self._costs: dict[str, PhaseCost] = {}
        self.bytes_up = dict.fromkeys(server.settings.cohort, 0)
        self.bytes_down = dict.fromkeys(server.settings.cohort, 0)

    @property
    def phases(self) -> tuple[PhaseCost, ...]:
        """What every phase that was opened has cost so far."""
        return tuple(self._costs.values())

    def call(self, phase: str, party: GatewayId | None, work: Callable[[], T]) -> T:
        """Do the work of one party, and add its seconds to the phase."""
        start = self._clock()
        result = work()
        seconds = self._clock() - start
        # only after the start is it known which phase is the first
        phase = self._server.phase if phase == "ready" else phase
        self._add(phase, "server_seconds" if party is None else "gateway_seconds", seconds)
        return result

    def frame(self, frame: Frame) -> None:
        """Add a frame to the bytes of its gateway and of its phase."""
        by_gateway = self.bytes_up if frame.up else self.bytes_down
        by_gateway[frame.gateway] += len(frame.data)
        self._add(frame.step, "bytes_up" if frame.up else "bytes_down", len(frame.data))

    def event(self, event: Event) -> None:
        """Note how many have answered, and pass the event on."""
        self._on_event(event)
        if isinstance(event, PhaseClosed):
            self._add(event.phase, "answered", len(event.answered))

    def _add(self, phase: str, what: str, more: float) -> None:
        if phase in self._phases:  # what comes after the end is nobody's
            cost = self._costs.get(phase, PhaseCost(phase=phase))
            changed: dict[str, Any] = {what: getattr(cost, what) + more}
            self._costs[phase] = replace(cost, **changed)
