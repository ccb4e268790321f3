"""Decides which lanes a vector gets and what a unit means, and states how wrong a mean can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from secagg.errors import ConfigurationError, EncodingError
from secagg.params import MAX_LANES, RoundParams, VectorSpec

# A float64 holds 53 bits: above this limit one lane would carry noise instead of precision, and the
# 16 random bits of the stochastic rounding would no longer fit below bit 63.
MAX_UPDATE_LIMIT: Final = 2**46 - 1
MIN_WEIGHT_CAP: Final = 2.0**-32
MAX_WEIGHT: Final = 2.0**32
# Metrics whose scale is a normal number with room for a whole sum.
METRIC_BOUNDS: Final = (2.0**-60, 2.0**120)
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
    check_max_weight(gateways, max_weight)
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
        max_weight: largest weight, 2^-32 to 2^32.
        lanes: lanes in a word, 1 to 5.
        limit: largest lane value of one gateway, if the scheme has less room than the lane.

    Raises:
        ConfigurationError: something out of range.
    """
    check_max_weight(gateways, max_weight)
    if not MIN_CLIP <= clip <= MAX_CLIP:
        raise ConfigurationError(f"clip of {name} is {clip}: use {MIN_CLIP:.2g} to {MAX_CLIP:.2g}")
    limit = update_limit(lanes, gateways) if limit is None else limit
    scale = limit / (clip * (1 + CLIP_SLACK) * max_weight)
    return VectorSpec(name=name, length=length, lanes=lanes, limit=limit, scale=scale)


def weight_unit(max_weight: float, *, integers: bool) -> float:
    """What weights are multiples of: relative to the cap, and so that the cap is below 2^53 units.

    Args:
        max_weight: largest weight.
        integers: the tree has integer leaves, of which weight * value must fit 64 bits.
    """
    mantissa, exponent = math.frexp(max_weight)
    above = exponent - (mantissa == 0.5)  # the least power of two that the cap does not exceed
    return min(2.0**-16, 2.0 ** (above - (24 if integers else 32)))


def unit_of(params: RoundParams) -> float:
    """The weight unit of a round."""
    return weight_unit(params.max_weight, integers=bool(params.of_kind("integers")))


def cap_units(max_weight: float, *, integers: bool) -> int:
    """U: no weight has more units than this."""
    return math.ceil(Fraction(max_weight) / Fraction(weight_unit(max_weight, integers=integers)))


def integer_bound(gateways: int, max_weight: float) -> int:
    """Largest absolute integer that a sum over all gateways has room for; 0 if there is none."""
    return lane_limit(1, gateways) // cap_units(max_weight, integers=True)


def metric_scale(bound: float, gateways: int) -> float:
    """Lane units of 1 in a metric: the finest power of two with room for the sum of all gateways.

    Args:
        bound: of its absolute value.
        gateways: n.

    Raises:
        ConfigurationError: no bound that a metric can have.
    """
    if not METRIC_BOUNDS[0] <= bound <= METRIC_BOUNDS[1]:
        raise ConfigurationError(f"metric bound is {bound}: use 2**-60 to 2**120")
    return 2.0 ** (lane_limit(1, gateways).bit_length() - 1 - math.frexp(bound)[1])


def metric_limit(bound: float, gateways: int) -> int:
    """Largest lane of a metric of one gateway."""
    scale = metric_scale(bound, gateways)
    return math.ceil(Fraction(bound) * Fraction(scale))


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
    clips = [clip_of(spec, params.max_weight) for _, spec in params.of_kind("update")]
    # of rounding weights: the mean moves by sum (w' - w)(x - mean) / W', abs(x - mean) <= 2 clip
    weights = max(clips, default=0.0) * included * unit_of(params) / total_weight
    return Noise(
        max((error.bound for error in errors), default=0.0) + weights,
        max((error.rms for error in errors), default=0.0),
    )


def weight_units(weight: float, max_weight: float, *, integers: bool) -> int:
    """A weight in units: `units * weight_unit(...)` multiplies the update, `units` are summed.

    Rounds to the nearest unit that is not above `max_weight`. What is refused depends on the cap
    alone: whether a tree has integers shows nothing of a weight.

    Args:
        weight: of a gateway.
        max_weight: largest weight.
        integers: as to `weight_unit`.

    Raises:
        EncodingError: not a number, above `max_weight`, or below half of the larger unit.
    """
    try:
        weight = float(weight)  # numpy and torch have numbers that are no floats
    except (TypeError, ValueError, OverflowError):
        raise EncodingError(f"weight is {weight!r}: it takes a number") from None
    if not 0 < weight <= max_weight:
        raise EncodingError(f"weight is {weight}: it takes a number above 0, at most {max_weight}")
    least = weight_unit(max_weight, integers=True) / 2
    if weight < least:
        raise EncodingError(f"weight {weight} rounds to zero: the smallest is {least}")
    unit = Fraction(weight_unit(max_weight, integers=integers))
    return min(max(round(Fraction(weight) / unit), 1), math.floor(Fraction(max_weight) / unit))


def check_max_weight(gateways: int, max_weight: float) -> None:
    """Accept a cap of weights whose sum has room.

    Raises:
        ConfigurationError: another; names the nearest.
    """
    if not MIN_WEIGHT_CAP <= max_weight <= MAX_WEIGHT:
        raise ConfigurationError(f"max_weight is {max_weight}: use 2**-32 to 2**32")
    if cap_units(max_weight, integers=False) > lane_limit(1, gateways):
        raise ConfigurationError(
            f"max_weight {max_weight} of {gateways} gateways overflows the sum of weights:"
            f" use at most {lane_limit(1, gateways) * 2.0**-16:.6g}"
        )
