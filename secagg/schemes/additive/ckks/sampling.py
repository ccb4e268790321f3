"""Draws the noise of ckks: Gaussian, from a keystream, by Box and Muller in float32.

The radius comes from a number of 32 bits and ends at 6.7 sigma: a tail of 2^-35 is cut off. It is
added to a message before that is rounded, so that no number of it is ever seen unrounded.

Source: Box and Muller, A note on the generation of random normal deviates (1958).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg_fast import Keystream

_UNIT: Final = np.float32(2.0**-32)
_TURN: Final = np.float32(np.pi * 2.0**-31)


class GaussianStream:
    """One thread's noise of one upload; the element of a block depends on key and block only.

    Args:
        key: 16 bytes, of one upload only.
        sigma: standard deviation.
        coefficients: N, a multiple of 4.
        blocks: largest number of blocks that `noise` is asked for.
    """

    __slots__ = ("_angle", "_handle", "_keystream", "_noise", "_radius", "_sigma", "_words")

    def __init__(self, key: bytes, sigma: float, coefficients: int, blocks: int) -> None:
        self._words = coefficients // 2
        self._sigma = np.float32(sigma)
        self._keystream = Keystream(capacity=blocks * self._words)
        self._handle = self._keystream.open(key)
        self._noise = np.empty((blocks, coefficients), np.float32)
        self._radius = np.empty((blocks, coefficients // 2), np.float32)
        self._angle = np.empty((blocks, coefficients // 2), np.float32)

    def noise(self, first: int, blocks: int) -> NDArray[np.float32]:
        """float32[blocks, N] for the blocks from `first` on, which the next call overwrites."""
        self._keystream.seek(first * self._words)
        random = self._keystream.chunk(self._handle, blocks * self._words)
        numbers, noise = random.view("<u4").reshape(blocks, -1), self._noise[:blocks]
        half = noise.shape[1] // 2
        radius, angle = self._radius[:blocks], self._angle[:blocks]
        np.copyto(radius, numbers[:, :half], casting="same_kind")
        np.add(radius, np.float32(1), out=radius)  # a logarithm of zero is none
        np.multiply(radius, _UNIT, out=radius)
        np.log(radius, out=radius)
        np.multiply(radius, np.float32(-2), out=radius)
        np.sqrt(radius, out=radius)
        np.multiply(radius, self._sigma, out=radius)
        np.multiply(numbers[:, half:].view("<i4"), _TURN, out=angle, casting="same_kind")
        np.cos(angle, out=noise[:, :half])
        np.sin(angle, out=noise[:, half:])
        np.multiply(noise[:, :half], radius, out=noise[:, :half])
        np.multiply(noise[:, half:], radius, out=noise[:, half:])
        return noise
