"""Chooses the first ring that is precise enough, and says how precise it is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from secagg.errors import ConfigurationError
from secagg.fixed_point import Noise, relative_rms
from secagg.fixed_point.units import check_max_weight
from secagg.params import Ring
from secagg.schemes.base import UpdatePlan

TAIL: Final = 2.0**-64
"""Noise of a coefficient, or of a coordinate, exceeds its bound with this probability at most:
hence one of 2^24 with 2^-40."""
_IN_WORDS: Final = "except with probability 2^-40 for 2^24 coordinates"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ring, and what it offers n gateways.

    Attributes:
        ring: as P names it.
        limit: largest absolute lane of one gateway.
        noise: of a sum over all gateways.
        text: the ring in words.
    """

    ring: Ring
    limit: int
    noise: Noise
    text: str


def choose_candidate(
    candidates: Iterable[Candidate],
    gateways: int,
    max_weight: float,
    precision: float,
    *,
    name: str,
) -> UpdatePlan:
    """The first ring that reaches a precision.

    Args:
        candidates: in order of preference.
        gateways: n.
        max_weight: largest weight.
        precision: rms error of the mean relative to clip, from rounding and noise, at an average
            weight of `max_weight` / 16.
        name: of the scheme, for the error.

    Raises:
        ConfigurationError: none reaches it, naming the nearest possible; or no such weight.
    """
    check_max_weight(gateways, max_weight)
    if not precision > 0:
        raise ConfigurationError(f"precision is {precision}: use a positive number, as 2**-12")
    best = math.inf
    for each in candidates:
        if (reached := relative_rms(each.limit, gateways, each.noise)) <= precision:
            text = f"{each.text}: {_result(each.noise)} {_IN_WORDS}"
            return UpdatePlan(
                lanes=1, limit=each.limit, ring=each.ring, noise=each.noise, text=text
            )
        best = min(best, reached)
    raise ConfigurationError(
        f"precision {precision:.3g} is out of reach of {gateways} gateways with {name}:"
        f" the nearest possible is {best:.3g}"
    )


def _result(noise: Noise) -> str:
    if noise.exact:
        return "the opened sum is exact"
    return f"the opened sum is off by {noise.bound:g} lane units at most (rms {noise.rms:.3g})"
