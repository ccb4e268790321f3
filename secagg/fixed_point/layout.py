"""Decides which lanes a vector gets and what a unit means, and states how wrong a mean can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from secagg.errors import ConfigurationError, EncodingError
from secagg.params import MAX_LANES, WEIGHT_FRACTION_BITS, RoundParams, VectorSpec

WEIGHT_UNIT: Final = 2.0**-WEIGHT_FRACTION_BITS

# A float64 holds 53 bits: above this limit one lane would carry noise instead of precision, and the
# 16 random bits of the stochastic rounding would no longer fit below bit 63.
MAX_UPDATE_LIMIT: Final = 2**46 - 1
MAX_WEIGHT: Final = 2.0**32
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


def lane_limit(lanes: int, gateways: int) -> int:
    """Largest absolute value of a lane such that the sum over all gateways stays inside the lane.

    Raises:
        ConfigurationError: lanes outside 1 to 5, fewer than one gateway, or no room for the sum.
    """
    if not 1 <= lanes <= MAX_LANES:
        raise ConfigurationError(f"{lanes} lanes in a word: use 1 to {MAX_LANES}")
    if gateways < 1:
        raise ConfigurationError(f"{gateways} gateways: use at least 1")
    top = (1 << (64 // lanes - 1)) - 1
    if gateways > top:
        raise ConfigurationError(
            f"{gateways} gateways do not fit into {lanes} lanes: use at most {top}, or fewer lanes"
        )
    return top // gateways


def update_limit(lanes: int, gateways: int) -> int:
    """`lane_limit`, but never more than the work buffers resolve."""
    return min(lane_limit(lanes, gateways), MAX_UPDATE_LIMIT)


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


def choose_lanes(
    gateways: int, max_weight: float, precision: float, allowed: Sequence[int] = (3, 2, 1)
) -> int:
    """The most lanes whose `relative_rms` reaches `precision`.

    Raises:
        ConfigurationError: no allowed number of lanes is precise enough; names the nearest.
    """
    _check_max_weight(gateways, max_weight)
    if not precision > 0:
        raise ConfigurationError(f"precision is {precision}: use a positive number, as 2**-12")
    best = math.inf
    for lanes in sorted(allowed, reverse=True):
        if gateways > 2 ** (64 // lanes - 1) - 1:
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
        max_weight: largest weight, 2^-16 to 2^32.
        lanes: lanes in a word, 1 to 5.
        limit: largest lane value of one gateway, if the scheme has less room than the lane.

    Raises:
        ConfigurationError: something out of range.
    """
    _check_max_weight(gateways, max_weight)
    if not MIN_CLIP <= clip <= MAX_CLIP:
        raise ConfigurationError(f"clip of {name} is {clip}: use {MIN_CLIP:.2g} to {MAX_CLIP:.2g}")
    limit = update_limit(lanes, gateways) if limit is None else limit
    scale = limit / (clip * (1 + CLIP_SLACK) * max_weight)
    return VectorSpec(name=name, length=length, lanes=lanes, limit=limit, scale=scale)


def exact_spec(name: str, length: int, gateways: int, bound: float, scale: float) -> VectorSpec:
    """Layout of a 1 x 64 vector of numbers within [-bound, bound] that are multiples of 1 / scale.

    Raises:
        ConfigurationError: a scale that is no power of two, or a bound that does not fit.
    """
    if not (0 < scale < math.inf and math.frexp(scale)[0] == 0.5):
        raise ConfigurationError(f"scale of {name} is {scale}: use a power of two")
    if not 0 <= bound < math.inf:
        raise ConfigurationError(f"bound of {name} is {bound}: use a finite number, 0 or more")
    limit, largest = math.ceil(Fraction(bound) * Fraction(scale)), lane_limit(1, gateways)
    if limit > largest:
        raise ConfigurationError(
            f"bound {bound} of {name} does not fit {gateways} times into 64 bits in steps of"
            f" {1 / scale}: use at most {largest / scale:.6g}"
        )
    return VectorSpec(name=name, length=length, lanes=1, limit=limit, scale=scale)


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
    errors = [
        error_of(
            spec,
            included,
            total_weight,
            params.max_weight,
            added,
            float64=spec.lanes < FLOAT32_LANES,  # these carry more than the 24 bits of a float32
        )
        for _, spec in params.of_kind("update")
    ]
    return Noise(
        max((error.bound for error in errors), default=0.0),
        max((error.rms for error in errors), default=0.0),
    )


def weight_units(weight: float, max_weight: float) -> int:
    """A weight in units of 2^-16: `units / 2**16` multiplies the update, `units` are summed.

    Rounds to the nearest unit that is not above `max_weight`.

    Raises:
        EncodingError: not a number, not positive, above `max_weight`, or rounds to zero.
    """
    try:
        weight = float(weight)  # numpy and torch have numbers that are no floats
    except (TypeError, ValueError, OverflowError):
        raise EncodingError(f"weight is {weight!r}: it takes a number") from None
    if not 0 < weight <= max_weight:
        raise EncodingError(f"weight is {weight}: it takes a number above 0, at most {max_weight}")
    largest = math.floor(Fraction(max_weight) * 2**WEIGHT_FRACTION_BITS)
    units = min(round(Fraction(weight) * 2**WEIGHT_FRACTION_BITS), largest)
    if units == 0:
        raise EncodingError(f"weight {weight} rounds to zero: the smallest is {WEIGHT_UNIT}")
    return units


def _check_max_weight(gateways: int, max_weight: float) -> None:
    if not WEIGHT_UNIT <= max_weight <= MAX_WEIGHT:
        raise ConfigurationError(f"max_weight is {max_weight}: use 2**-16 to 2**32")
    largest = lane_limit(1, gateways) * WEIGHT_UNIT
    if max_weight > largest:
        raise ConfigurationError(
            f"max_weight {max_weight} of {gateways} gateways overflows the sum of weights:"
            f" use at most {largest:.6g}"
        )
