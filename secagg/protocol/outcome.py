"""Checks an opened sum before it leaves: ranges, total weight, check words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secagg.errors import AggregateOutOfRange
from secagg.fixed_point import check_sum, decode_integers
from secagg.params import RoundParams
from secagg.workers import SERIAL, Workers


def check_opened(
    params: RoundParams,
    vectors: Sequence[NDArray[np.uint64]],
    included: int,
    workers: Workers = SERIAL,
) -> int:
    """Refuse a sum that no set of `included` honest uploads can have.

    Args:
        params: P.
        vectors: opened words of each vector.
        included: gateways in the sum.
        workers: threads.

    Returns:
        Total weight in units.

    Raises:
        AggregateOutOfRange: the check words are not zero, a lane exceeds included * limit, or the
            total weight is not in [1, included * cap].
    """
    total = 0
    for spec, words in zip(params.vectors, vectors, strict=True):
        check_sum(spec, words, included, workers)
        if spec.kind == "weight":
            total = int(decode_integers(spec, words)[0])
    if total < 1:
        raise AggregateOutOfRange(f"the total weight is {total} units")
    return total
