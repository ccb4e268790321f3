"""Every party of one round in this process: frames are handed over, nothing else is shared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from secagg.params import GatewayId
from secagg.protocol.events import Aborted, Event, GatewayDropped, Send, UpdateDue
from secagg.session.client import ClientSession
from secagg.session.server import ServerSession

Update = Any
"""A tree of arrays, or a function without arguments that returns one."""
Key = Any
"""A gateway id. Mappings are invariant in their key: a precise type would refuse dict[str, ...]."""


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
    """Delivers frames between a server and its clients until the session ends."""

    def __init__(
        self,
        server: ServerSession,
        clients: Mapping[GatewayId, ClientSession],
        vanish: Mapping[GatewayId, str],
        on_event: Callable[[Event], None],
    ) -> None:
        self._server = server
        self._clients = clients
        self._vanish = vanish
        self._phases = [step.name for step in server.params.scheme.steps]
        self._on_event = on_event
        self._mail: deque[Send] = deque()
        self._due: deque[GatewayId] = deque()
        self.vanished: dict[GatewayId, tuple[str, str]] = {}
        self.bytes_up = dict.fromkeys(clients, 0)
        self.bytes_down = dict.fromkeys(clients, 0)

    def play(self, upload: Callable[[GatewayId], Iterator[Send]]) -> None:
        """Run to the end.

        Raises:
            SessionAborted: the round has no result.
        """
        self._collect(self._server.start())
        while True:
            if self._mail:
                self._deliver(self._mail.popleft())
            elif self._due:
                name = self._due.popleft()
                for send in upload(name):
                    self._to_server(name, send)
            elif self._server.phase != "done":
                self._collect(self._server.advance())
            else:
                return

    def _deliver(self, send: Send) -> None:
        name = send.to
        if name is None or self._gone(name):
            return
        self.bytes_down[name] += len(send.frame)
        for event in self._clients[name].receive(send.frame):
            if isinstance(event, Send):
                self._to_server(name, event)
            elif isinstance(event, UpdateDue):
                self._due.append(name)

    def _gone(self, name: GatewayId) -> bool:
        phase = self._vanish.get(name)
        now = self._server.phase
        return phase is not None and now in self._phases[self._phases.index(phase) :]

    def _to_server(self, name: GatewayId, send: Send) -> None:
        self.bytes_up[name] += len(send.frame)
        self._collect(self._server.receive(name, send.frame))

    def _collect(self, events: Iterator[Event]) -> None:
        aborted: Aborted | None = None
        for event in events:
            if isinstance(event, Send):
                self._mail.append(event)
                continue
            self._on_event(event)
            if isinstance(event, GatewayDropped):
                self.vanished[event.id] = event.phase, event.reason.name.lower()
            if isinstance(event, Aborted):
                aborted = event
        if aborted is not None:
            raise aborted.reason
