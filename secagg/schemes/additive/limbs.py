"""Cuts words into limbs, one coefficient each: their sums are exact modulo 2^64 in any ring."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import AggregateOutOfRange
from secagg.params import VectorSpec
from secagg.schemes.additive.blocks import Coefficients, Residues
from secagg.schemes.base import Fill, Words


def step_beyond(noise: int) -> int:
    """The smallest step whose multiples the noise never carries beyond half way to the next.

    Args:
        noise: largest absolute noise of a coefficient of an opened sum.
    """
    return 2 * noise + 1


def limb_bits(modulus: int, noise: int, gateways: int) -> int:
    """Bits of a limb such that a sum of limbs times the exact step, with its noise, is below Q.

    Words are cut into as few limbs as that allows, and evenly.

    Args:
        modulus: Q.
        noise: largest absolute noise of a coefficient of an opened sum.
        gateways: n.
    """
    largest = (modulus - 1 - 2 * noise) // (step_beyond(noise) * gateways)
    limbs = -(-64 // ((largest + 1).bit_length() - 1))
    return -(-64 // limbs)


class Limbs:
    """How a vector of P lies in coefficients as limbs (a `Lift`).

    Limbs of a few bits lie in planes: the lowest limbs of a block's words come first. A sum of
    limbs times the exact step, with its noise and half a step to make that positive, is below Q, so
    that the quotient by the step is the sum of the limbs.

    Args:
        spec: the vector.
        residues: of the ring.
        noise: largest absolute noise of a coefficient of an opened sum.
        gateways: n.
    """

    __slots__ = ("_bits", "_noise", "_residues", "_step", "limbs", "spec")

    def __init__(self, spec: VectorSpec, residues: Residues, noise: int, gateways: int) -> None:
        self.spec: Final = spec
        self._residues = residues
        self._bits = limb_bits(residues.modulus, noise, gateways)
        self.limbs: Final = -(-64 // self._bits)
        self._noise = noise
        self._step = step_beyond(noise)

    def coefficients(self, words: int) -> int:
        """See `Lift`."""
        return words * self.limbs

    def write(
        self,
        encode: Fill,
        vector: int,
        first: int,
        values: Coefficients,
        noise: NDArray[Any],
        scratch: Words,
    ) -> None:
        """See `Lift`."""
        per_row = self._residues.degree // self.limbs
        mask = np.uint64((1 << self._bits) - 1)
        for row in values:
            words = scratch[: min(per_row, self.spec.length - first)]
            encode(vector, first, words)
            row[self.limbs * len(words) :] = 0
            for plane in row[: self.limbs * len(words)].reshape(self.limbs, -1):
                plane[:] = words & mask
                np.right_shift(words, self._bits, out=words)
            first += len(words)
        np.multiply(values, self._step, out=values)
        np.add(values, np.rint(noise).astype(values.dtype), out=values)

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:
        """See `Lift`."""
        per_row = self._residues.degree // self.limbs
        np.add(values, self._noise, out=values)
        sums = self._residues.positive(values)
        np.floor_divide(sums, self._step, out=sums)
        largest = included * ((1 << self._bits) - 1)
        for row in sums:
            words = out[first : first + per_row]
            words[:] = 0
            planes = row[: self.limbs * len(words)].reshape(self.limbs, -1)
            if planes.max() > largest or row[planes.size :].any():
                raise AggregateOutOfRange(
                    f"{self.spec.name}: a limb is beyond {included} times its limit"
                )
            for plane in planes[::-1]:
                np.left_shift(words, self._bits, out=words)
                np.add(words, plane, out=words)
            first += len(words)
