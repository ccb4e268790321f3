"""Carries frames between a gateway and the orchestrator: slow, lossy, not always faithful."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from secagg.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What happens to frames between two parties, in each direction.

    Attributes:
        latency: seconds that the first byte takes.
        jitter: seconds that it may take longer, uniformly; frames do not overtake one another.
        bandwidth: bytes a second.
        loss: probability that a frame is lost.
        duplication: probability that it arrives twice.
        reordering: probability that it arrives `latency` later and is overtaken.
        truncation: probability that its end is missing.
        flips: probability that one bit of it is another.
        partitions: (from, to) in seconds in which whatever is sent is lost.

    Raises:
        ConfigurationError: a probability outside [0, 1], a time below zero, no bandwidth.
    """

    latency: float = 0.05
    jitter: float = 0.0
    bandwidth: float = 1e7
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    truncation: float = 0.0
    flips: float = 0.0
    partitions: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("loss", "duplication", "reordering", "truncation", "flips"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: use 0 to 1")
        seconds = (self.latency, self.jitter)
        if not (all(0 <= each < inf for each in seconds) and self.bandwidth > 0):
            raise ConfigurationError(
                f"latency {self.latency}, jitter {self.jitter}, bandwidth {self.bandwidth}: use"
                " seconds of 0 or more, and bytes a second above 0"
            )


class Arrival(NamedTuple):
    """When a frame arrives, and as what."""

    time: float
    data: bytes


class Way:
    """One direction of a link; it carries one frame at a time.

    Args:
        link: its properties.
        dice: decides.
    """

    def __init__(self, link: Link, dice: random.Random) -> None:
        self._link = link
        self._dice = dice
        self._free = 0.0
        self._last = 0.0

    def carry(self, now: float, data: bytes) -> Iterator[Arrival]:
        """Send a frame: its arrivals, none if it is lost.

        Args:
            now: seconds.
            data: the frame.
        """
        link, dice = self._link, self._dice
        self._free = max(now, self._free) + len(data) / link.bandwidth
        time = max(self._free + link.latency + link.jitter * dice.random(), self._last)
        if dice.random() < link.loss:
            return
        if any(begin <= now < end for begin, end in link.partitions):
            return
        if dice.random() < link.reordering:
            time += link.latency
        else:
            self._last = time
        yield Arrival(time, self._damaged(data))
        if dice.random() < link.duplication:
            yield Arrival(time + link.latency * dice.random(), data)

    @property
    def free(self) -> float:
        """When the last byte sent so far has left, in seconds."""
        return self._free

    def _damaged(self, data: bytes) -> bytes:
        if self._dice.random() < self._link.truncation:
            data = data[: self._dice.randrange(len(data))]
        if data and self._dice.random() < self._link.flips:
            place = self._dice.randrange(8 * len(data))
            changed = bytearray(data)
            changed[place // 8] ^= 1 << place % 8
            data = bytes(changed)
        return data
