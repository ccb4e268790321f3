"""When devices are there: availability over a day, as intervals in which one is away.

Shapes after what is published of real fleets: devices take part when they are idle, charging and on
an unmetered network, mostly at night of their own time zone, and three to four times as many are
there at night as in the daytime.

Source: Bonawitz et al., Towards federated learning at scale (2019), sections 2 and 9; Yang et al.,
Applied federated learning: improving Google keyboard query suggestions (2018), section 4.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Final

Intervals = tuple[tuple[float, float], ...]
"""(from, to) in seconds, in order, not touching."""

DAY: Final = 86_400.0
STEP: Final = 600.0
"""Seconds at a time in which a device decides whether it is there."""
_NIGHT: Final = 2 * 3600.0
"""When most devices are there: two in the morning, local time."""
_MOST, _LEAST = 0.8, 0.2
"""Share of devices that are there at night and at noon: a factor of four."""


def diurnal(dice: random.Random, horizon: float) -> Intervals:
    """There with a probability that follows the hour of a time zone drawn once.

    Args:
        dice: decides.
        horizon: seconds.
    """
    zone = dice.random() * DAY

    def there(time: float) -> bool:
        height = (1 + math.cos(2 * math.pi * (time + zone - _NIGHT) / DAY)) / 2
        return dice.random() < _LEAST + (_MOST - _LEAST) * height

    return _away(there, horizon)


def charging(dice: random.Random, horizon: float) -> Intervals:
    """There while it charges on wifi: one stretch a night, now and then an hour in the daytime."""
    zone, begin, length = dice.random() * DAY, dice.gauss(23, 1.5), dice.gauss(7, 1)

    def there(time: float) -> bool:
        hour = (time + zone) % DAY / 3600
        return (hour - begin) % 24 < length or dice.random() < 1 / 24

    return _away(there, horizon)


def churn(dice: random.Random, horizon: float) -> Intervals:
    """Comes and goes at random: there for half an hour and away for ten minutes on average."""
    away, time = [], dice.expovariate(1 / 1800)
    while time < horizon:
        back = time + dice.expovariate(1 / 600)
        away.append((time, min(back, horizon)))
        time = back + dice.expovariate(1 / 1800)
    return tuple(away)


TRACES: Final[Mapping[str, Callable[[random.Random, float], Intervals]]] = {
    "diurnal": diurnal,
    "charging": charging,
    "churn": churn,
}


def _away(there: Callable[[float], bool], horizon: float) -> Intervals:
    away: list[tuple[float, float]] = []
    for step in range(math.ceil(horizon / STEP)):
        begin, end = step * STEP, min((step + 1) * STEP, horizon)
        if there(begin):
            continue
        if away and away[-1][1] == begin:
            begin = away.pop()[0]
        away.append((begin, end))
    return tuple(away)
