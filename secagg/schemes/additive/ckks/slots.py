"""Puts coordinates of an update into complex slots: the canonical embedding of CKKS.

Slot k of a block is the value of its polynomial at zeta^(4k+1), zeta = exp(i pi / N); lanes 2k and
2k + 1 of the block are its real and imaginary part. Let M = N/2. As zeta^M = i, a real polynomial c
is the complex one with coefficients u_j = c_j + i c_(j+M), and its slots are the transform back of
u_j zeta^j, of length M. SEAL's slots are the same values in another order, or their conjugates.

Source: Cheon, Kim, Kim and Song, Homomorphic encryption for arithmetic of approximate numbers
(2017), section 2.2.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.params import Ring, VectorSpec
from secagg.schemes.additive.blocks import Coefficients, Residues
from secagg.schemes.additive.ckks.plan import noise_of
from secagg.schemes.additive.lifts import settle
from secagg.schemes.base import Fill, Words


@cache
def _twist(degree: int) -> NDArray[np.complex128]:
    """zeta^j."""
    twist: NDArray[np.complex128] = np.exp(1j * (np.pi / degree * np.arange(degree // 2)))
    return twist


class Slots:
    """How a vector of an update lies in its ring elements (a `blocks.Lift`).

    Args:
        spec: the vector.
        ring: checked.
        gateways: n.
        residues: of the ring.
    """

    __slots__ = ("_bound", "_residues", "_step", "limbs", "spec")

    def __init__(self, spec: VectorSpec, ring: Ring, gateways: int, residues: Residues) -> None:
        self.spec: Final = spec
        self.limbs: Final = 1
        self._step = ring.step
        self._bound = int(noise_of(ring, gateways).bound)
        self._residues = residues

    def coefficients(self, words: int) -> int:
        """See `Lift`: a slot is in all of them."""
        return self._residues.degree if words else 0

    def write(
        self,
        encode: Fill,
        vector: int,
        first: int,
        values: Coefficients,
        noise: NDArray[Any],
        scratch: Words,
    ) -> None:
        """See `Lift`; noise is added before rounding."""
        lanes, degree = scratch[: values.size], self._residues.degree
        inside = min(len(lanes), self.spec.length - first)
        encode(vector, first, lanes[:inside])
        lanes[inside:] = 0
        slots = values.view(np.float64)
        np.copyto(slots, lanes.view(np.int64).reshape(values.shape))
        pairs = slots.view(np.complex128)
        np.fft.fft(pairs, out=pairs)
        np.multiply(pairs, _twist(degree).conj() * (self._step / (degree // 2)), out=pairs)
        whole = lanes.view(np.float64).reshape(values.shape)
        np.copyto(whole[:, : degree // 2], pairs.real)
        np.copyto(whole[:, degree // 2 :], pairs.imag)
        # The noise meets the fraction alone: float64 has no room for it beside a whole part of more
        # than 53 bits, and what noise lost there, an upload would show of a s.
        fraction = whole - np.floor(whole, out=slots)
        np.add(fraction, noise, out=fraction)
        np.rint(fraction, out=fraction)
        np.copyto(values, slots, casting="unsafe")
        np.add(values, fraction.astype(np.int64), out=values)

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:
        """See `Lift`."""
        half = self._residues.degree // 2
        self._residues.centre(values)
        pairs = np.empty((len(values), half), np.complex128)
        np.copyto(pairs.real, values[:, :half])
        np.copyto(pairs.imag, values[:, half:])
        np.multiply(pairs, _twist(2 * half) / self._step, out=pairs)
        np.fft.ifft(pairs, norm="forward", out=pairs)
        slots = pairs.view(np.float64)
        np.rint(slots, out=slots)
        np.copyto(values, slots, casting="unsafe")
        words = out[first : first + values.size]
        lanes = values.reshape(-1)[: len(words)]
        settle(lanes, self.spec, included, self._bound)
        np.copyto(words.view(np.int64), lanes)
