"""Decides which lanes a vector gets and what a unit means, and states how wrong a mean can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from secagg.errors import ConfigurationError
from secagg.fixed_point.units import check_max_weight, lane_limit, unit_of
from secagg.params import RoundParams, VectorSpec

# A float64 holds 53 bits: above this limit one lane would carry noise instead of precision, and the
# 16 random bits of the stochastic rounding would no longer fit below bit 63.
MAX_UPDATE_LIMIT: Final = 2**46 - 1
# With clips in this range neither scale nor its inverse leaves the normal numbers of float32.
MIN_CLIP: Final = 2.0**-40
MAX_CLIP: Final = 2.0**40

# From this many lanes on, values have at most 20 bits and float32 work buffers are exact enough.
FLOAT32_LANES: Final = 3
RANDOM_BITS: Final = 16
# A clip rounded to float32 may exceed the clip itself by 2^-24 of it, and must not be refused.
CLIP_SLACK: Final = 2.0**-22
USUAL_WEIGHT: Final = 1 / 16
"""The average weight that precision is stated for, relative to the largest."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What is added to each coordinate; the sum of two is that of independent noises.

    Attributes:
        bound: largest absolute value.
        rms: root mean square.
    """

    bound: float = 0.0
    rms: float = 0.0

    @property
    def exact(self) -> bool:
        """Nothing is added."""
        return self.bound == 0

    def __add__(self, other: Noise) -> Noise:
        return Noise(self.bound + other.bound, math.hypot(self.rms, other.rms))


NO_NOISE: Final = Noise()


def update_limit(lanes: int, gateways: int) -> int:
    """`lane_limit`, but with a spare bit in every word, and no more than the work buffers resolve.

    Where lanes fill their word and sums their lanes, any garbage would pass for a sum. One lane has
    bits to spare, of three and of five the word has some left over.

    Raises:
        ConfigurationError: as `lane_limit`.
    """
    return min(lane_limit(lanes, gateways, spare=_spare(lanes)), MAX_UPDATE_LIMIT)


def _spare(lanes: int) -> int:
    return int(lanes in {2, 4})


def rounding(included: int, bits: int = RANDOM_BITS) -> Noise:
    """Noise of the stochastic rounding in a sum, in lane units.

    Per gateway at most one unit, and 2^-bits for the cut below it. The variance f(1-f) of rounding
    a fraction f is 1/6 on average over coordinates that lie anywhere between two units alike.

    Args:
        included: gateways in the sum.
        bits: `fraction_bits`.
    """
    return Noise(included * (1 + 2.0**-bits), math.sqrt(included / 6))


def relative_rms(limit: int, gateways: int, added: Noise = NO_NOISE) -> float:
    """Rms error of the mean relative to clip at the average weight that precision assumes.

    Args:
        limit: largest lane value of one gateway.
        gateways: n.
        added: by the scheme to a sum, in lane units.
    """
    if limit == 0:
        return math.inf
    return (rounding(gateways) + added).rms / (USUAL_WEIGHT * limit * gateways)


def check_clip(name: str, clip: float) -> None:
    """Accept a bound of coordinates.

    Raises:
        ConfigurationError: another; names the nearest.
    """
    if not MIN_CLIP <= clip <= MAX_CLIP:
        raise ConfigurationError(f"{name} is {clip}: use {MIN_CLIP:.2g} to {MAX_CLIP:.2g}")


def check_precision(precision: float) -> None:
    """Accept a relative rms error.

    Raises:
        ConfigurationError: it is not above 0.
    """
    if not precision > 0:
        raise ConfigurationError(f"precision is {precision}: use a positive number, as 2**-12")


def choose_lanes(
    gateways: int, max_weight: float, precision: float, allowed: Sequence[int] = (3, 2, 1)
) -> int:
    """The most lanes whose `relative_rms` reaches `precision`.

    Raises:
        ConfigurationError: no allowed number of lanes is precise enough; names the nearest.
    """
    check_max_weight(gateways, max_weight)
    check_precision(precision)
    best = math.inf
    for lanes in sorted(allowed, reverse=True):
        if gateways > 2 ** (64 // lanes - 1 - _spare(lanes)) - 1:
            continue
        reached = relative_rms(update_limit(lanes, gateways), gateways)
        if reached <= precision:
            return lanes
        best = min(best, reached)
    raise ConfigurationError(
        f"precision {precision:.3g} is out of reach of {gateways} gateways with"
        f" {tuple(allowed)} lanes in a word: the nearest possible is {best:.3g}"
    )


def update_spec(
    name: str,
    length: int,
    clip: float,
    gateways: int,
    max_weight: float,
    lanes: int,
    *,
    limit: int | None = None,
) -> VectorSpec:
    """Layout of a vector of real coordinates within [-clip, clip], each times a weight.

    Args:
        name: "update/0", ...
        length: coordinates.
        clip: bound of abs(coordinate), 2^-40 to 2^40.
        gateways: how many are summed at most.
        max_weight: largest weight, 2^-32 to 2^32.
        lanes: lanes in a word, 1 to 5.
        limit: largest lane value of one gateway, if the scheme has less room than the lane.

    Raises:
        ConfigurationError: something out of range.
    """
    check_max_weight(gateways, max_weight)
    check_clip(f"clip of {name}", clip)
    limit = update_limit(lanes, gateways) if limit is None else limit
    scale = limit / (clip * (1 + CLIP_SLACK) * max_weight)
    return VectorSpec(name=name, length=length, lanes=lanes, limit=limit, scale=scale)


def clip_of(spec: VectorSpec, max_weight: float) -> float:
    """Largest absolute coordinate that encodes: the clip of `update_spec` and 2^-22 of it."""
    return spec.limit / (spec.scale * max_weight)


def fraction_bits(spec: VectorSpec) -> int:
    """Bits below one lane unit that the stochastic rounding sees, at most 16.

    Value and fraction together fit the signed 32 bits (64 for one or two lanes) they are added in.
    """
    width = 31 if spec.lanes >= FLOAT32_LANES else 63
    return min(RANDOM_BITS, width - spec.limit.bit_length())


def error_of(
    spec: VectorSpec,
    included: int,
    total_weight: float,
    max_weight: float,
    added: Noise = NO_NOISE,
    *,
    float64: bool = False,
) -> Noise:
    """Error of a decoded coordinate of the mean, in units of the update.

    The bound holds for any inputs within clip and any random bits, and compares with the real
    number sum(weight * x) / total_weight, x the exact difference of tree and base. What rounding to
    the dtype of a leaf adds afterwards is not included.

    Beside `rounding`, relative to clip: for float32 buffers eight roundings of 2^-24 (one each for
    difference, scale and product, two for the clamp at clip, the rest to spare), for float64
    buffers eight of 2^-53. Decoding rounds at most thrice (the sum, its factor, their product), by
    2^-24 or 2^-53. The rms leaves these out.

    Args:
        spec: layout of the vector.
        included: gateways in the sum.
        total_weight: sum of their weights.
        max_weight: as given to `update_spec`.
        added: by the scheme to the sum, in lane units.
        float64: the decoder writes float64; by default float32.
    """
    encode = 2.0**-21 if spec.lanes >= FLOAT32_LANES else 2.0**-50
    decode = 2.0**-51 if float64 else 2.0**-22
    floats = (encode + decode) * clip_of(spec, max_weight)
    noise, units = rounding(included, fraction_bits(spec)) + added, spec.scale * total_weight
    return Noise(noise.bound / units + floats, noise.rms / units)


def mean_error(
    params: RoundParams, included: int, total_weight: float, added: Noise = NO_NOISE
) -> Noise:
    """Largest error of a real coordinate of the mean; none where no vector is an update.

    Args:
        params: P.
        included: gateways in the sum.
        total_weight: sum of their weights.
        added: by the scheme to the sum, in lane units.
    """
    errors = mean_errors(params, included, total_weight, added).values()
    return Noise(
        max((error.bound for error in errors), default=0.0),
        max((error.rms for error in errors), default=0.0),
    )


def mean_errors(
    params: RoundParams, included: int, total_weight: float, added: Noise = NO_NOISE
) -> dict[int, Noise]:
    """Error of a coordinate of the mean, by index of its vector of reals.

    Args:
        params: P.
        included: gateways in the sum.
        total_weight: sum of their weights.
        added: by the scheme to the sum, in lane units.
    """
    # of rounding weights: the mean moves by sum (w' - w)(x - mean) / W', abs(x - mean) <= 2 clip
    weights = included * unit_of(params) / total_weight
    return {
        index: error_of(
            spec,
            included,
            total_weight,
            params.max_weight,
            added,
            float64=spec.lanes < FLOAT32_LANES,  # these carry more than the 24 bits of a float32
        )
        + Noise(clip_of(spec, params.max_weight) * weights)
        for index, spec in params.of_kind("update")
    }
