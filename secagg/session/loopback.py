"""Carries the frames of one session between its parties, all of them in this process.

No socket, no clock, no thread: a frame arrives at once, and a phase ends when nothing moves any
more. The driver of a network does the same with a transport in the place of `Loopback.pending`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar, cast

from secagg.errors import EncodingError, SecAggError
from secagg.params import GatewayId
from secagg.protocol.events import Aborted, Event, Send, UpdateDue
from secagg.session.client import ClientSession
from secagg.session.server import ServerSession

T = TypeVar("T")
Name = Any
"""A gateway id. Mappings are invariant in their key: a precise type would refuse dict[str, ...]."""
MakeUpload = Callable[[], Iterator[Send]]
"""Encodes and masks an update that is there already."""


class Frame(NamedTuple):
    """Bytes on their way.

    Attributes:
        gateway: at one end of the way.
        up: to the orchestrator.
        step: the server's phase when they were sent.
        data: the bytes; of an upload a bytearray that nobody changes, which saves a copy.
    """

    gateway: Name
    up: bool
    step: str
    data: bytes

    def __repr__(self) -> str:
        # the last answer of a gateway holds its seed
        way = "up" if self.up else "down"
        return f"Frame({self.gateway!r}, {way}, {self.step!r}, {len(self.data)} bytes)"


Passes = Callable[[Frame], Iterable[bytes]]
"""What arrives instead of a frame."""


def unchanged(frame: Frame) -> Iterable[bytes]:
    """The frame itself arrives."""
    return (frame.data,)


def headers_missing(server: ServerSession) -> bool:
    """Whoever has not sent the header of its upload by now will not."""
    return bool(server.headers_missing)


class _StoppedError(Exception):
    """A `StopIteration` of what prepares an upload, which no generator lets through."""


class Observer:
    """Is told what a loop does. This one keeps nothing."""

    def call(self, _phase: str, _party: GatewayId | None, work: Callable[[], T]) -> T:
        """Do the work of one party, None for the orchestrator; the phase is that of its begin."""
        return work()

    def frame(self, frame: Frame) -> None:
        """A frame arrives."""

    def event(self, event: Event) -> None:
        """The server tells something."""


class Loopback:
    """One session: asks its gateways, passes on what they answer, and closes its phases.

    Answers arrive before further requests, and an upload is made once nothing else is under way:
    one update is alive at a time, and one frame of it.

    Args:
        server: not yet started.
        clients: by id.
        prepare: called when an upload is due; trains, say, and returns what makes the frames.
        silent: whether a gateway neither hears nor speaks now.
        passes: what arrives instead of a frame.
        times_out: whether a deadline passes now, before the next upload. By default one does while
            `headers_missing` names somebody. One passes in any case when nothing moves.
        observer: is told of calls, frames and events.
        vouched: the link knows whose frames it carries; in one process it does.
        invalid: "drop" has a gateway leave whose update cannot be encoded, "raise" ends the round.

    Attributes:
        pending: frames under way.
        uploads: frames not made yet, by gateway.
        events: of the server, but frames.
        client_events: by gateway, likewise.
    """

    def __init__(
        self,
        server: ServerSession,
        clients: dict[Name, ClientSession],
        prepare: Callable[[Name], MakeUpload],
        *,
        silent: Callable[[Name], bool] = lambda _name: False,
        passes: Passes = unchanged,
        times_out: Callable[[ServerSession], bool] = headers_missing,
        observer: Observer | None = None,
        vouched: bool = True,
        invalid: Literal["raise", "drop"] = "raise",
    ) -> None:
        self.server, self.clients, self.prepare = server, clients, prepare
        self.passes = passes
        self.vouched = vouched
        self._invalid = invalid
        self._silent, self._times_out = silent, times_out
        self._observer = observer or Observer()
        self.pending: list[Frame] = []
        self.uploads: dict[Name, Iterator[Send]] = {}
        self.events: list[Event] = []
        self.client_events: dict[Name, list[Event]] = {name: [] for name in clients}

    @property
    def running(self) -> bool:
        """The server's session is open."""
        return self.server.phase not in {"done", "aborted"}

    @property
    def aborted(self) -> SecAggError | None:
        """Why the server's session ended without a result."""
        return next((event.reason for event in self.events if isinstance(event, Aborted)), None)

    # -- frames under way --------------------------------------------------------------------------

    def run(self, until: str | None = None) -> None:
        """Play to the end, or until the server has opened a phase.

        Raises:
            SecAggError: whatever a client raises: an update that cannot be encoded, say.
        """
        if self.server.phase == "ready":
            self.send(self.start())
        while self.running and self.server.phase != until:
            if not self.step():
                self.deadline()
        if not self.running:
            self.settle()

    def settle(self) -> None:
        """Let everything under way arrive; no upload is begun."""
        while self.pending:
            self.carry(self.pick())

    def step(self) -> bool:
        """Do what is due next; False when nothing moves."""
        if self.pending:
            self.carry(self.pick())
        elif self.uploads and self._times_out(self.server):
            self.deadline()
        elif self.uploads:
            self.turn()
        else:
            return False
        return True

    def deadline(self) -> None:
        """Time is up in the open phase."""
        self.send(self.advance())

    def send(self, frames: Iterable[Frame]) -> None:
        """Put frames under way; answers arrive first."""
        made = list(frames)
        self.pending[:0] = [frame for frame in made if frame.up]
        self.pending += [frame for frame in made if not frame.up]

    def pick(self) -> Frame:
        """Take the frame that arrives next."""
        return self.pending.pop(0)

    def turn(self) -> None:
        """Make and carry the next upload, all of it."""
        name = next(iter(self.uploads))
        while (frame := self.next_frame(name)) is not None:
            self.carry(frame)

    def carry(self, frame: Frame) -> None:
        """A frame arrives, unless its gateway is silent."""
        if self._silent(frame.gateway):
            return
        self._observer.frame(frame)
        for data in self.passes(frame):
            self.send(self.deliver(frame._replace(data=data)))

    # -- the parties -------------------------------------------------------------------------------

    def start(self) -> list[Frame]:
        """Announce the session; what the server sends."""
        return self._from_server(self.server.start)

    def advance(self) -> list[Frame]:
        """A deadline at the server; what it sends then."""
        return self._from_server(self.server.advance)

    def deliver(self, frame: Frame) -> list[Frame]:
        """Bytes arrive at the end of their way; what they lead to."""
        if not frame.up:
            return self.arrive(frame.gateway, frame.data)
        name, vouched = frame.gateway, self.vouched
        return self._from_server(lambda: self.server.receive(name, frame.data, vouched=vouched))

    def arrive(self, name: Name, data: bytes) -> list[Frame]:
        """Bytes reach a gateway; what it answers."""
        receive = self.clients[name].receive
        return self._from_gateway(name, lambda: receive(data))

    def leave(self, name: Name, error: EncodingError) -> list[Frame]:
        """A gateway leaves, for it has no update that can be encoded; what it says."""
        abort = self.clients[name].abort
        return self._from_gateway(name, lambda: abort(error))

    def upload(self, name: Name) -> Iterator[Send]:
        """The frames of a gateway's upload; its update lives as long as they are made."""
        phase = self.server.phase
        try:
            work = self.prepare(name)
        except StopIteration as error:
            raise _StoppedError from error
        frames = self._observer.call(phase, name, work)
        while (send := self._observer.call(phase, name, lambda: next(frames, None))) is not None:
            yield send

    def next_frame(self, name: Name) -> Frame | None:
        """Make the next frame of an upload; None at its end."""
        try:
            send = next(self.uploads[name], None)
        except _StoppedError as stopped:
            raise cast("StopIteration", stopped.__cause__) from None
        except EncodingError as error:
            if self._invalid == "raise":
                raise
            send = None
            self.send(self.leave(name, error))
        if send is None:
            del self.uploads[name]
            return None
        return Frame(name, True, self.server.phase, _data(send))

    def _from_gateway(self, name: Name, work: Callable[[], Iterator[Event]]) -> list[Frame]:
        step = self.server.phase
        events = self._observer.call(step, name, lambda: list(work()))
        self.client_events[name] += [event for event in events if not isinstance(event, Send)]
        if any(isinstance(event, UpdateDue) for event in events):
            self.uploads[name] = self.upload(name)
        return [Frame(name, True, step, _data(e)) for e in events if isinstance(e, Send)]

    def _from_server(self, work: Callable[[], Iterator[Event]]) -> list[Frame]:
        phase, frames = self.server.phase, []
        for event in self._observer.call(phase, None, lambda: list(work())):
            if isinstance(event, Send):
                frames.append(Frame(event.to, False, self.server.phase, _data(event)))
            else:
                self.events.append(event)
                self._observer.event(event)
        return frames


def _data(send: Send) -> bytes:
    return cast("bytes", send.frame)
