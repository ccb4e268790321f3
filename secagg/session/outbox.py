"""Keeps the events of a session that no loop has taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from secagg.protocol.events import Event, Send


class Outbox:
    """Gives out the events of each call, and first what a loop before has left behind.

    Attributes:
        frames: that are still to be taken, from whichever loop.
    """

    def __init__(self) -> None:
        self._left: deque[Iterator[Event]] = deque()
        self.frames = 0

    def put(self, events: Iterable[Event], frames: int) -> Iterator[Event]:
        """The events of a call, of which so many are `Send`; they are made as they are taken.

        A loop that goes on beside this one keeps its own.
        """
        parts, self._left = self._left, deque()
        parts.append(iter(events))
        self.frames += frames
        return _Loop(self, parts)

    def leave(self, parts: Iterable[Iterator[Event]]) -> None:
        """Take back what a loop will not take."""
        self._left.extend(parts)


class _Loop(Iterator[Event]):
    """Flat, however many calls have left their events: a chain of chains would be deep."""

    def __init__(self, outbox: Outbox, parts: deque[Iterator[Event]]) -> None:
        self._outbox, self._parts = outbox, parts

    def __next__(self) -> Event:
        while self._parts:
            event = next(self._parts[0], None)
            if event is not None:
                self._outbox.frames -= isinstance(event, Send)
                return event
            self._parts.popleft()
        raise StopIteration

    def __del__(self) -> None:
        # nobody can take these any more: the loop was left, or there was none
        self._outbox.leave(self._parts)
