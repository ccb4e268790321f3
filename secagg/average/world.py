"""Every party of one round in this process: frames are handed over, nothing else is shared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from secagg.average.outcome import PhaseCost
from secagg.params import GatewayId
from secagg.protocol.events import Aborted, Event, GatewayDropped, PhaseClosed, Send, UpdateDue
from secagg.session.client import ClientSession
from secagg.session.server import ServerSession

Update = Any
"""A tree of arrays, or a function without arguments that returns one."""
Key = Any
"""A gateway id. Mappings are invariant in their key: a precise type would refuse dict[str, ...]."""
Clock = Callable[[], float]
"""Seconds since any fixed moment, such as `time.perf_counter`."""
Upload = Callable[[], Iterator[Send]]
"""Encodes and masks an update that is there already."""


class Provider:
    """Updates when they are due: a function is called once, and its tree is not kept."""

    def __init__(self, updates: Mapping[Key, Update]) -> None:
        self._updates = updates
        self._peeked: dict[GatewayId, Any] = {}

    def peek(self, name: GatewayId) -> Any:
        """The tree of a gateway ahead of its turn; it is kept until then."""
        self._peeked[name] = self.take(name)
        return self._peeked[name]

    def take(self, name: GatewayId) -> Any:
        """The tree of a gateway, for its upload."""
        if name in self._peeked:
            return self._peeked.pop(name)
        update = self._updates[name]
        return update() if callable(update) else update


class World:
    """Delivers frames between a server and its clients until the session ends.

    Args:
        server: not yet started.
        clients: by id.
        vanish: id -> phase from which on that gateway does not answer.
        on_event: is told the server's events.
        clock: read around every call of a party.
    """

    def __init__(
        self,
        server: ServerSession,
        clients: Mapping[GatewayId, ClientSession],
        vanish: Mapping[GatewayId, str],
        on_event: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._server = server
        self._clients = clients
        self._vanish = vanish
        self._phases = [step.name for step in server.params.scheme.steps]
        self._on_event = on_event
        self._clock = clock
        self._mail: deque[Send] = deque()
        self._due: deque[GatewayId] = deque()
        self._costs: dict[str, _Cost] = {}
        self.vanished: dict[GatewayId, tuple[str, str]] = {}
        self.bytes_up = dict.fromkeys(clients, 0)
        self.bytes_down = dict.fromkeys(clients, 0)

    @property
    def costs(self) -> tuple[PhaseCost, ...]:
        """What every phase that was opened has cost so far."""
        return tuple(
            PhaseCost(
                phase=phase,
                answered=cost.answered,
                bytes_up=cost.up,
                bytes_down=cost.down,
                server_seconds=cost.seconds["server"],
                gateway_seconds=cost.seconds["gateway"],
            )
            for phase, cost in self._costs.items()
        )

    def play(self, prepare: Callable[[GatewayId], Upload]) -> None:
        """Run to the end.

        Args:
            prepare: trains, say, and returns the function that gives the frames: what `prepare`
                takes is nobody's cost.

        Raises:
            SessionAborted: the round has no result.
        """
        start = self._clock()
        events = list(self._server.start())
        # only now is it known which phase is the first
        self._cost(self._server.phase).seconds["server"] += self._clock() - start
        self._collect(events)
        while True:
            if self._mail:
                self._deliver(self._mail.popleft())
            elif self._server.headers_missing:
                self._advance()  # whoever has not spoken by now will not
            elif self._due:
                name = self._due.popleft()
                self._upload(name, prepare(name))
            elif self._server.phase != "done":
                self._advance()
            else:
                return

    def _advance(self) -> None:
        with self._timed(self._server.phase, "server"):
            events = list(self._server.advance())
        self._collect(events)

    def _upload(self, name: GatewayId, upload: Upload) -> None:
        phase = self._server.phase
        with self._timed(phase, "gateway"):
            frames = upload()
        while True:
            with self._timed(phase, "gateway"):
                send = next(frames, None)
            if send is None:
                return
            self._to_server(name, send)

    def _deliver(self, send: Send) -> None:
        name = send.to
        if name is None or self._gone(name):
            return
        phase = self._server.phase
        self.bytes_down[name] += len(send.frame)
        self._cost(phase).down += len(send.frame)
        with self._timed(phase, "gateway"):
            events = list(self._clients[name].receive(send.frame))
        for event in events:
            if isinstance(event, Send):
                self._to_server(name, event)
            elif isinstance(event, UpdateDue):
                self._due.append(name)

    def _gone(self, name: GatewayId) -> bool:
        phase = self._vanish.get(name)
        now = self._server.phase
        return phase is not None and now in self._phases[self._phases.index(phase) :]

    def _to_server(self, name: GatewayId, send: Send) -> None:
        phase = self._server.phase
        self.bytes_up[name] += len(send.frame)
        self._cost(phase).up += len(send.frame)
        with self._timed(phase, "server"):
            events = list(self._server.receive(name, send.frame))
        self._collect(events)

    @contextmanager
    def _timed(self, phase: str, role: str) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self._cost(phase).seconds[role] += self._clock() - start

    def _cost(self, phase: str) -> _Cost:
        if phase not in self._phases:  # what comes after the end is nobody's
            return _Cost()
        return self._costs.setdefault(phase, _Cost())

    def _collect(self, events: list[Event]) -> None:
        aborted: Aborted | None = None
        for event in events:
            if isinstance(event, Send):
                self._mail.append(event)
                continue
            self._on_event(event)
            if isinstance(event, PhaseClosed):
                self._cost(event.phase).answered = len(event.answered)
            if isinstance(event, GatewayDropped):
                self.vanished[event.id] = event.phase, event.reason.name.lower()
            if isinstance(event, Aborted):
                aborted = event
        if aborted is not None:
            raise aborted.reason


class _Cost:
    """One phase, as it adds up."""

    def __init__(self) -> None:
        self.answered = self.up = self.down = 0
        self.seconds = {"server": 0.0, "gateway": 0.0}
