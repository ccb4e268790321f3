"""Plays many random scenarios, and says whether one ended in what must never happen."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

from protocol_sim.scenario import Scenario
from protocol_sim.scenarios import draw
from protocol_sim.world import run

CHUNK: Final = 50
"""Scenarios that a process plays before it reports."""


@dataclass(slots=True)
class Tally:
    """What became of many scenarios.

    Attributes:
        played: how many.
        outcomes: how often each scheme ended in what: (scheme, "sum" or the name of an error).
        drops: how often gateways were dropped, by reason.
        violations: (seed, what happened).
    """

    played: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        self.played += other.played
        self.outcomes.update(other.outcomes)
        self.drops.update(other.drops)
        self.violations += other.violations


def command(seed: int) -> str:
    """What plays a scenario again."""
    return f"protocol_sim replay {seed}"


def sweep(
    count: int,
    seed: int = 0,
    *,
    processes: int = 1,
    on_progress: Callable[[Tally], object] = lambda _tally: None,
    scenario_of: Callable[[int], Scenario] = draw,
) -> Tally:
    """Play the scenarios of the seeds from `seed` on.

    Args:
        count: how many.
        seed: the first.
        processes: that share the work.
        on_progress: is told the tally so far, every now and then.
        scenario_of: makes a scenario of a seed; with more than one process, a module's function.
    """
    total = Tally()
    chunks = [
        (scenario_of, first, min(first + CHUNK, seed + count))
        for first in range(seed, seed + count, CHUNK)
    ]
    for tally in _results(chunks, processes):
        total.add(tally)
        on_progress(total)
    total.violations.sort()
    return total


Chunk = tuple[Callable[[int], Scenario], int, int]


def _results(chunks: list[Chunk], processes: int) -> Iterator[Tally]:
    if processes == 1:
        yield from map(_play, chunks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_play, chunks)


def _play(chunk: Chunk) -> Tally:
    scenario_of, first, last = chunk
    tally = Tally()
    for seed in range(first, last):
        try:
            done = run(scenario_of(seed))
        except Exception as error:  # noqa: BLE001 - whatever comes out of a session is a violation
            where = traceback.extract_tb(error.__traceback__)[-1]
            tally.violations.append(
                (seed, f"{type(error).__name__} in {where.name}, line {where.lineno}: {error}")
            )
            tally.played += 1
            continue
        tally.played += 1
        for verdict in done.verdicts:
            tally.outcomes[done.scenario.scheme, verdict.outcome] += 1
            tally.drops.update(reason for _, reason in verdict.dropped.values())
        if done.violation:
            tally.violations.append((seed, done.violation))
    return tally
