"""Says how vectors lie in rings: updates as the ring will have them, the check, others in limbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import AggregateOutOfRange, UnsupportedParameters
from secagg.params import VectorSpec
from secagg.schemes.additive.blocks import Coefficients, Lift, Residues
from secagg.schemes.additive.limbs import Limbs
from secagg.schemes.base import Fill, Words


def lifts_of(
    vectors: Sequence[VectorSpec],
    update: Callable[[VectorSpec], Lift],
    *,
    limit: int,
    residues: Residues,
    noise: int,
    gateways: int,
) -> list[Lift]:
    """How the vectors of P lie in a ring.

    Args:
        vectors: of P.
        update: how one of an update does.
        limit: largest absolute lane of one gateway in an update.
        residues: of the ring.
        noise: largest absolute noise of a coefficient of an opened sum.
        gateways: n.

    Raises:
        UnsupportedParameters: more than one lane in a word, or another limit.
    """
    lifts: list[Lift] = []
    for spec in vectors:
        if spec.lanes != 1:
            raise UnsupportedParameters(f"{spec.name} has {spec.lanes} lanes: rings take 1")
        if spec.kind == "check":
            lifts.append(Zeros(spec, residues, noise))
        elif spec.kind != "update":
            lifts.append(Limbs(spec, residues, noise, gateways))
        elif 0 < spec.limit == limit:
            lifts.append(update(spec))
        else:
            raise UnsupportedParameters(
                f"limit of {spec.name} is {spec.limit}: this ring's is {limit}"
            )
    return lifts


class Zeros:
    """How the vector "check" lies in its ring elements (a `Lift`): word by word, in whole blocks.

    A wrong sum of keys leaves a times its error in every block. No error is so short that a whole
    block of that stays within the noise (docs/protocol.md#opened-sum).

    Args:
        spec: the vector.
        residues: of the ring.
        noise: largest absolute noise of a coefficient of an opened sum.
    """

    __slots__ = ("_noise", "_residues", "limbs", "spec")

    def __init__(self, spec: VectorSpec, residues: Residues, noise: int) -> None:
        self.spec: Final = spec
        self.limbs: Final = 1
        self._residues = residues
        self._noise = noise

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
        encode(vector, first, scratch[: values.size])
        np.copyto(values.reshape(-1), scratch[: values.size], casting="unsafe")
        np.add(values, np.rint(noise).astype(values.dtype), out=values)

    def read(self, values: Coefficients, first: int, out: Words, included: int) -> None:
        """See `Lift`."""
        self._residues.centre(values)
        if max(int(values.max()), -int(values.min())) > self._noise:
            raise AggregateOutOfRange(
                f"{self.spec.name}: {included} uploads leave more than noise where zeros belong"
            )
        out[first : first + values.size] = 0
