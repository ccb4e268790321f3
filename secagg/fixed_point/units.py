"""Says what a unit of a weight, a metric, an integer is, and what of them fits a sum."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

from secagg.errors import Beyond, ConfigurationError, EncodingError
from secagg.params import MAX_LANES, RoundParams

MIN_WEIGHT_CAP: Final = 2.0**-32
MAX_WEIGHT: Final = 2.0**32
# Metrics whose scale is a normal number with room for a whole sum.
METRIC_BOUNDS: Final = (2.0**-60, 2.0**120)


def lane_limit(lanes: int, gateways: int, *, spare: int = 0) -> int:
    """Largest absolute value of a lane such that the sum over all gateways stays inside the lane.

    Args:
        lanes: in a word.
        gateways: n.
        spare: bits of a lane that no sum uses.

    Raises:
        ConfigurationError: lanes outside 1 to 5, fewer than one gateway, or no room for the sum.
    """
    if not 1 <= lanes <= MAX_LANES:
        raise ConfigurationError(f"{lanes} lanes in a word: use 1 to {MAX_LANES}")
    if gateways < 1:
        raise ConfigurationError(f"{gateways} gateways: use at least 1")
    top = (1 << (64 // lanes - 1 - spare)) - 1
    if gateways > top:
        raise ConfigurationError(
            f"{gateways} gateways do not fit into {lanes} lanes: use at most {top}, or fewer lanes"
        )
    return top // gateways


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


def integers_of(params: RoundParams) -> int | None:
    """Largest absolute integer coordinate that a round does not clamp; None without integers."""
    for _, spec in params.of_kind("integers"):
        return spec.limit // cap_units(params.max_weight, integers=True)
    return None


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


def real_of(value: Any) -> float:
    """A number as `float`: numpy and torch have some that are none.

    Raises:
        TypeError: no number: a text or a complex one, say.
    """
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if isinstance(value, str | bytes | bytearray) or kind == "c":
        raise TypeError
    try:
        return float(value)
    except Exception:  # noqa: BLE001 - whatever a class of another library raises
        raise TypeError from None


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
        weight = real_of(weight)
    except TypeError:
        kind = type(weight).__name__
        raise EncodingError(f"the weight is a {kind}, no number", key="weight") from None
    if weight > max_weight:
        raise EncodingError(
            "the weight is above max_weight: pass max_weight=..., the largest of any gateway",
            beyond={"weight": Beyond(1, weight, max_weight)},
            cure=f"max_weight={weight!r}" if math.isfinite(weight) else "",
        )
    if not weight >= weight_unit(max_weight, integers=True) / 2:
        text = (
            "the weight is no number above 0, or rounds to 0: leave the gateway out, or lower"
            " max_weight"
        )
        raise EncodingError(text, key="weight", count=1)
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
