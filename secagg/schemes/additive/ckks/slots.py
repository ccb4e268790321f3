"""Puts coordinates of an update into complex slots: the canonical embedding of CKKS.

Slot k of a block is the value of its polynomial at zeta^(4k+1), zeta = exp(i pi / N); lanes 2k and
2k + 1 of the block are its real and imaginary part. Let M = N/2. As zeta^M = i, a real polynomial c
is the complex one with coefficients u_j = c_j + i c_(j+M), in the memory of its pairs (`product`),
and its slots are the transform back of u_j zeta^j, of length M. SEAL's slots are the same values in
another order, or their conjugates.

Source: Cheon, Kim, Kim and Song, Homomorphic encryption for arithmetic of approximate numbers
(2017), section 2.2.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.params import Ring, VectorSpec
from secagg.schemes.additive.blocks import Coefficients, Residues
from secagg.schemes.additive.product import ROUNDER, ROUNDER_BITS, twist
from secagg.schemes.base import Fill, Words


class Slots:
    """How a vector of an update lies in its ring elements (a `blocks.Lift`).

    Args:
        spec: the vector.
        ring: checked.
        residues: of the ring.
    """

    __slots__ = ("_from_slots", "_residues", "_to_slots", "limbs", "spec")

    def __init__(self, spec: VectorSpec, ring: Ring, residues: Residues) -> None:
        self.spec: Final = spec
        self.limbs: Final = 1
        self._to_slots = twist(ring.degree) / ring.step
        self._from_slots = twist(ring.degree).conj() * (ring.step / (ring.degree // 2))
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
        lanes = scratch[: values.size]
        inside = min(len(lanes), self.spec.length - first)
        encode(vector, first, lanes[:inside])
        lanes[inside:] = 0
        slots = values.view(np.float64)
        np.copyto(slots, lanes.view(np.int64).reshape(values.shape))
        pairs = slots.view(np.complex128)
        np.fft.fft(pairs, out=pairs)
        np.multiply(pairs, self._from_slots, out=pairs)
        # The noise meets the fraction alone: float64 has no room for it beside a whole part of more
        # than 53 bits, and what noise lost there, an upload would show of a s.
        whole = lanes.view(np.float64).reshape(values.shape)
        np.floor(slots, out=whole)
        np.subtract(slots, whole, out=slots)  # exact
        np.add(slots, noise, out=slots)
        np.add(slots, ROUNDER, out=slots)  # `values` has the bits of the nearest integer
        np.subtract(values, ROUNDER_BITS, out=values)
        np.add(values, whole.astype(np.int64), out=values)

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:  # noqa: ARG002
        """See `Lift`."""
        self._residues.centre(values)
        slots = values.view(np.float64)
        np.copyto(slots, values)
        pairs = slots.view(np.complex128)
        np.multiply(pairs, self._to_slots, out=pairs)
        np.fft.ifft(pairs, norm="forward", out=pairs)
        np.rint(slots, out=slots)
        np.copyto(values, slots, casting="unsafe")
        words = out[first : first + values.size]
        lanes = values.reshape(-1)[: len(words)]
        np.copyto(words.view(np.int64), lanes)
