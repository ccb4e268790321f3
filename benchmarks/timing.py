"""Times by the best of several, interleaved: on a noisy machine only ratios of one run count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Clock = Callable[[], float]


def clock_for(threads: int) -> Clock:
    """CPU seconds for one thread, which other processes disturb least; wall seconds for more."""
    return time.process_time if threads == 1 else time.perf_counter


@dataclass(slots=True)
class Samples:
    """Seconds by name, as often as they were measured."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        """One more measurement."""
        self.seconds.setdefault(name, []).append(seconds)

    def time(self, name: str, work: Callable[[], object], clock: Clock) -> None:
        """Measure one call."""
        start = clock()
        work()
        self.add(name, clock() - start)

    def best(self) -> dict[str, float]:
        """The smallest measurement of each name: what the work costs when nobody disturbs it."""
        return {name: min(values) for name, values in self.seconds.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: `seconds` of work on `coordinates`, beside `reference` seconds."""

    name: str
    seconds: float
    coordinates: int
    reference: float

    @property
    def nanoseconds(self) -> float:
        """Per coordinate."""
        return self.seconds / self.coordinates * 1e9

    @property
    def ratio(self) -> float:
        """To the reference."""
        return self.seconds / self.reference

    def record(self) -> Mapping[str, float | str]:
        """The readings for a file."""
        return {
            "name": self.name,
            "milliseconds": self.seconds * 1e3,
            "ns_per_coordinate": self.nanoseconds,
            "ratio": self.ratio,
        }


def table(title: str, reference: str, rows: Sequence[Row]) -> str:
    """Rows as text, one line each."""
    lines = [f"{title:<52} {'ms':>9} {'ns/coord':>9} {'x ' + reference:>14}"]
    lines += [
        f"  {row.name:<50} {row.seconds * 1e3:9.2f} {row.nanoseconds:9.3f} {row.ratio:14.2f}"
        for row in rows
    ]
    return "\n".join(lines)
