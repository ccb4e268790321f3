"""Draws the noise of lattice: the law of the keys, from a keystream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg_fast import Keystream
from secagg.schemes.additive.sampling import LARGEST


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
