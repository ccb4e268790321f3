"""Secrets and noise: the centred binomial law of variance 8, from a keystream.

The number of ones among 32 random bits, less 16, is the difference of two sums of 16 bits (turn
the bits of the second sum over): |e| <= 16, variance 8.

Source: Alkim et al., Post-quantum key exchange - a new hope (2016), section 4.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg_fast import Keystream
from secagg.params import Entropy

LARGEST: Final = 16
"""Largest |coefficient| of one secret or one ring element of noise."""
VARIANCE: Final = 8

_WORD_BYTES: Final = 4


def small_secret(coefficients: int, rng: Entropy) -> NDArray[np.int64]:
    """A fresh secret.

    Args:
        coefficients: N.
        rng: source of 4 bytes a coefficient.

    Returns:
        int64[N], |s| <= 16.
    """
    random = np.frombuffer(rng(_WORD_BYTES * coefficients), "<u4")
    secret: NDArray[np.int64] = np.bitwise_count(random).astype(np.int64)
    secret -= LARGEST
    return secret


class NoiseStream:
    """One thread's noise of one upload; the element of a block depends on key and block only.

    Args:
        key: 16 bytes, of one upload only.
        coefficients: N, a multiple of 4.
        blocks: largest number of blocks that `noise` is asked for.
    """

    __slots__ = ("_counts", "_handle", "_keystream", "_words")

    def __init__(self, key: bytes, coefficients: int, blocks: int) -> None:
        self._words = coefficients // 2
        self._keystream = Keystream(capacity=blocks * self._words)
        self._handle = self._keystream.open(key)
        self._counts = np.empty((blocks, coefficients), np.uint8)

    def noise(self, first: int, blocks: int) -> NDArray[np.int8]:
        """int8[blocks, N] for the blocks from `first` on: a view that the next call overwrites."""
        self._keystream.seek(first * self._words)
        random = self._keystream.chunk(self._handle, blocks * self._words)
        counts = self._counts[:blocks]
        np.bitwise_count(random.view("<u4").reshape(counts.shape), out=counts)
        np.subtract(counts, LARGEST, out=counts)  # wraps: two's complement of what is meant
        return counts.view(np.int8)
