"""Draws the keys of uploads, by the centred binomial law of variance 8.

The number of ones among 32 random bits, less 16, is the difference of two sums of 16 bits (turn
the bits of the second sum over): abs(s) <= 16, variance 8.

Source: Alkim et al., Post-quantum key exchange - a new hope (2016), section 4.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.params import Entropy

LARGEST: Final = 16
"""Largest absolute coefficient of one key."""
VARIANCE: Final = 8
MAX_INCLUDED: Final = 2047
"""Sums of keys, of abs(coefficient) <= 16 n, are shared modulo 65521 and must stay below half."""

_WORD_BYTES: Final = 4


def small_secret(coefficients: int, rng: Entropy) -> NDArray[np.int64]:
    """A fresh key.

    Args:
        coefficients: N.
        rng: source of 4 bytes a coefficient.

    Returns:
        int64[N], abs(s) <= 16.
    """
    random = np.frombuffer(rng(_WORD_BYTES * coefficients), "<u4")
    secret: NDArray[np.int64] = np.bitwise_count(random).astype(np.int64)
    secret -= LARGEST
    return secret
