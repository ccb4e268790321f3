"""Keeps the events of a session until a loop takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from secagg.protocol.events import Event, Send


class Outbox:
    """Events in order; what one loop leaves, the next one gets first.

    Attributes:
        frames: that are still to be taken.
    """

    def __init__(self) -> None:
        self._parts: deque[Iterator[Event]] = deque()
        self.frames = 0

    def put(self, events: Iterable[Event], frames: int) -> Iterator[Event]:
        """Add some, of which so many are `Send`; they are made as they are taken.

        Returns:
            All that nobody has taken.
        """
        self._parts.append(iter(events))
        self.frames += frames
        return self._taken()

    def _taken(self) -> Iterator[Event]:
        while self._parts:
            if (event := next(self._parts[0], None)) is None:
                self._parts.popleft()
                continue
            self.frames -= isinstance(event, Send)
            yield event
