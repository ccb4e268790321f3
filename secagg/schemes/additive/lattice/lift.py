"""Words of a vector of P as coefficients of ring elements, and opened sums of them as words again.

Coordinates of an update take one coefficient each, times the step; what noise the step does not
hold off stays in the sum. Words of all other vectors are cut into limbs, one coefficient each,
times the exact step: their sums are exact modulo 2^64.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from secagg.errors import AggregateOutOfRange, UnsupportedParameters
from secagg.params import Ring, VectorSpec
from secagg.schemes.additive.lattice.plan import (
    exact_step,
    limb_bits,
    noise_of,
    noise_of_sum,
    update_limit,
)
from secagg.schemes.additive.lattice.product import DEGREE, Coefficients
from secagg.schemes.additive.lattice.residues import Residues
from secagg.schemes.base import Fill, Words

DIRECT: Final = "update/"


class Lift(Protocol):
    """How one vector lies in its ring elements."""

    @property
    def spec(self) -> VectorSpec:
        """The vector."""
        ...

    @property
    def limbs(self) -> int:
        """Coefficients of one word."""
        ...

    def write(
        self, encode: Fill, vector: int, first: int, values: Coefficients, scratch: Words
    ) -> None:
        """Fill rows of coefficients with words of the vector.

        Args:
            encode: gives the words.
            vector: index of the vector.
            first: first word.
            values: rows of k; only the last block of a vector may be shorter than N.
            scratch: uint64, at least as many as values.
        """

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:
        """Words of rows of an opened sum.

        Args:
            values: rows of k, right modulo q; used up.
            first: first word.
            out: uint64, the words of the whole vector.
            included: summands.

        Raises:
            AggregateOutOfRange: no sum of so many words is near.
        """


def lift_of(spec: VectorSpec, ring: Ring, gateways: int) -> Lift:
    """How a vector of P lies in a ring.

    Args:
        spec: the vector.
        ring: checked.
        gateways: n.

    Raises:
        UnsupportedParameters: more than one lane in a word, or a limit without room in the ring.
    """
    if spec.lanes != 1:
        raise UnsupportedParameters(f"{spec.name} has {spec.lanes} lanes: rings take 1")
    if not spec.name.startswith(DIRECT):
        return Limbs(spec, ring, gateways)
    largest = update_limit(ring, gateways)
    if not 0 < spec.limit <= largest:
        raise UnsupportedParameters(f"limit of {spec.name} is {spec.limit}: use 1 to {largest}")
    return Direct(spec, ring, gateways)


class Direct:
    """One coefficient for each coordinate: its lane times the step.

    Opening takes the nearest multiple of the step. `update_limit` leaves room for the half step
    that is added before the division.
    """

    __slots__ = ("_bound", "_residues", "_step", "limbs", "spec")

    def __init__(self, spec: VectorSpec, ring: Ring, gateways: int) -> None:
        self.spec: Final = spec
        self.limbs: Final = 1
        self._step = ring.step
        self._bound = int(noise_of(ring, gateways).bound)
        self._residues = Residues(ring.moduli[0])

    def write(
        self, encode: Fill, vector: int, first: int, values: Coefficients, scratch: Words
    ) -> None:
        """See `Lift`."""
        flat = values.reshape(-1)
        inside = min(len(flat), self.spec.length - first)
        encode(vector, first, scratch[:inside])
        np.copyto(flat[:inside], scratch[:inside], casting="unsafe")
        flat[inside:] = 0
        np.multiply(flat, self._step, out=flat)

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:
        """See `Lift`."""
        words = out[first : first + values.size]
        lanes = values.reshape(-1)[: len(words)]
        self._residues.centre(values)
        np.add(values, self._step // 2, out=values)
        np.floor_divide(values, self._step, out=values)
        largest = included * self.spec.limit
        beyond = max(int(lanes.max()), -int(lanes.min())) - largest
        if beyond > self._bound:
            raise AggregateOutOfRange(
                f"{self.spec.name}: a coordinate is beyond {included} times its limit"
            )
        if beyond > 0:  # noise alone: the exact sum is nearer to the limit
            np.clip(lanes, -largest, largest, out=lanes)
        np.copyto(words.view(np.int64), lanes)


class Limbs:
    """Words as limbs of a few bits, in planes: the lowest limbs of a block's words come first.

    A sum of limbs times the exact step, with its noise and half a step to make that positive, is
    below q, so that the quotient by the step is the sum of the limbs.
    """

    __slots__ = ("_bits", "_noise", "_residues", "_step", "limbs", "spec")

    def __init__(self, spec: VectorSpec, ring: Ring, gateways: int) -> None:
        self.spec: Final = spec
        modulus = ring.moduli[0]
        self._residues = Residues(modulus)
        self._bits = limb_bits(ring, gateways)
        self.limbs: Final = -(-64 // self._bits)
        self._noise = noise_of_sum(modulus, gateways)
        self._step = exact_step(modulus, gateways)

    def write(
        self, encode: Fill, vector: int, first: int, values: Coefficients, scratch: Words
    ) -> None:
        """See `Lift`."""
        per_row = DEGREE // self.limbs
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

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:
        """See `Lift`."""
        per_row = DEGREE // self.limbs
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
