"""Measures the seconds of each part of a piece of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Clock = Callable[[], float]
"""Seconds since any fixed moment, such as `time.perf_counter`."""


class Stopwatch:
    """Adds up the seconds spent in named parts; a part inside a part counts for the inner one.

    Args:
        clock: read twice per part.
    """

    def __init__(self, clock: Clock) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs inside towards `name`."""
        counted = sum(self.seconds.values())
        started = self._clock()
        try:
            yield
        finally:
            inner = sum(self.seconds.values()) - counted
            own = self._clock() - started - inner
            self.seconds[name] = self.seconds.get(name, 0.0) + own
