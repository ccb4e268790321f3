"""Checks an opened sum before it leaves: what no set of honest uploads adds up to is refused."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from secagg.errors import AggregateOutOfRange
from secagg.fixed_point import cap_units, check_sum, decode_integers, metric_limit, unit_of
from secagg.params import RoundParams, VectorSpec
from secagg.protocol.counts import counts_of
from secagg.workers import SERIAL, Workers

Sums = NDArray[np.uint64]


def check_opened(
    params: RoundParams,
    vectors: Sequence[Sums],
    included: int,
    *,
    gateways: int,
    noise: int = 0,
    workers: Workers = SERIAL,
) -> int:
    """Refuse a sum that no set of `included` honest uploads can have.

    The total weight decides how far the others may reach, so it is looked at first.

    Args:
        params: P.
        vectors: opened words of each vector.
        included: m, gateways in the sum.
        gateways: n.
        noise: by which a lane of an update may be off.
        workers: threads.

    Returns:
        Total weight in units.

    Raises:
        AggregateOutOfRange: a vector outside the table of docs/protocol.md#opened-sum.
    """
    opened = list(zip(params.vectors, vectors, strict=True))
    units = 0
    for spec, words in opened:
        if spec.kind == "check":
            check_sum(spec, words, 0, workers)
        elif spec.kind == "weight":
            units = int(decode_integers(spec, words)[0])
            _within(spec, [units], [included], [included * spec.limit])
    metrics = [included * metric_limit(each.bound, gateways) for each in params.metrics]
    counts = [included * entry.largest for entry in counts_of(params)]
    for spec, words in opened:
        match spec.kind:
            case "update":
                reach = update_reach(params, spec, included, units) + noise
                check_sum(spec, words, reach, workers)
            case "integers":
                bound = spec.limit // cap_units(params.max_weight, integers=True)
                check_sum(spec, words, bound * units, workers)
            case "metrics":
                _within(spec, decode_integers(spec, words), [-most for most in metrics], metrics)
            case "counts":
                _within(spec, decode_integers(spec, words), [0] * len(counts), counts)
            case _:
                pass  # weight and check, above
    return units


def update_reach(params: RoundParams, spec: VectorSpec, included: int, units: int) -> int:
    """Largest absolute lane of a sum of updates with a total weight, without noise.

    A gateway's lanes are within limit * weight / cap, clamped in floating point (2^-20 of it at the
    most) and rounded to one of the two lanes beside it; and never beyond the limit.

    Args:
        params: P.
        spec: the vector.
        included: gateways in the sum.
        units: their total weight.
    """
    weighted = Fraction(unit_of(params)) * units * spec.limit / Fraction(params.max_weight)
    whole = int(weighted)
    return min(whole + (whole >> 20) + included, included * spec.limit)


def _within(
    spec: VectorSpec, sums: Sequence[int] | NDArray[np.int64], low: list[int], high: list[int]
) -> None:
    for total, least, most in zip(sums, low, high, strict=True):
        if not least <= total <= most:
            raise AggregateOutOfRange(f"{spec.name}: a sum is not from {least} to {most}")
