"""Puts coordinates of an update into coefficients, and reads opened sums as words again."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.params import Ring, VectorSpec
from secagg.schemes.additive.blocks import Coefficients, Residues
from secagg.schemes.base import Fill, Words


class Direct:
    """One coefficient for each coordinate: its lane times the step (a `blocks.Lift`).

    Opening takes the nearest multiple of the step: noise that the step does not hold off stays in
    the sum. `update_limit` leaves room for the half step that is added before the division.

    Args:
        spec: the vector.
        ring: checked.
        residues: of the ring.
    """

    __slots__ = ("_residues", "_step", "limbs", "spec")

    def __init__(self, spec: VectorSpec, ring: Ring, residues: Residues) -> None:
        self.spec: Final = spec
        self.limbs: Final = 1
        self._step = ring.step
        self._residues = residues

    def coefficients(self, words: int) -> int:
        """See `Lift`."""
        return words

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
        flat = values.reshape(-1)
        inside = min(len(flat), self.spec.length - first)
        encode(vector, first, scratch[:inside])
        np.copyto(flat[:inside], scratch[:inside], casting="unsafe")
        flat[inside:] = 0
        np.multiply(flat, self._step, out=flat)
        np.add(values, noise, out=values)

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:  # noqa: ARG002
        """See `Lift`."""
        words = out[first : first + values.size]
        lanes = values.reshape(-1)[: len(words)]
        self._residues.centre(values)
        np.add(values, self._step // 2, out=values)
        np.floor_divide(values, self._step, out=values)
        np.copyto(words.view(np.int64), lanes)
