"""Says how vectors lie in rings: updates as the ring will have them, all others in limbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from secagg.errors import AggregateOutOfRange, UnsupportedParameters
from secagg.params import VectorSpec
from secagg.schemes.additive.blocks import Coefficients, Lift, Residues
from secagg.schemes.additive.limbs import Limbs


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
        limit: largest absolute lane of one gateway for which an update has room.
        residues: of the ring.
        noise: largest absolute noise of a coefficient of an opened sum.
        gateways: n.

    Raises:
        UnsupportedParameters: more than one lane in a word, or a limit without room in the ring.
    """
    lifts: list[Lift] = []
    for spec in vectors:
        if spec.lanes != 1:
            raise UnsupportedParameters(f"{spec.name} has {spec.lanes} lanes: rings take 1")
        if spec.kind != "update":
            lifts.append(Limbs(spec, residues, noise, gateways))
        elif 0 < spec.limit <= limit:
            lifts.append(update(spec))
        else:
            raise UnsupportedParameters(f"limit of {spec.name} is {spec.limit}: use 1 to {limit}")
    return lifts


def settle(lanes: Coefficients, spec: VectorSpec, included: int, bound: int) -> None:
    """Accept lanes of an opened sum that noise alone may have carried beyond their limit.

    Args:
        lanes: changed to the nearest possible ones.
        spec: their vector.
        included: gateways in the sum.
        bound: largest absolute noise of a lane.

    Raises:
        AggregateOutOfRange: a lane is farther off.
    """
    largest = included * spec.limit
    beyond = max(int(lanes.max()), -int(lanes.min())) - largest
    if beyond > bound:
        raise AggregateOutOfRange(f"{spec.name}: a coordinate is beyond {included} times its limit")
    if beyond > 0:  # noise alone: the exact sum is nearer to the limit
        np.clip(lanes, -largest, largest, out=lanes)
