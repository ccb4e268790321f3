"""Checks what an upload may consist of: a client encodes nothing it does not recognise."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from secagg.errors import UnsupportedParameters
from secagg.fixed_point import cap_units, clip_of, integer_bound, metric_limit, unit_of
from secagg.fixed_point.layout import MAX_CLIP, MIN_CLIP, update_limit
from secagg.fixed_point.units import MAX_WEIGHT, METRIC_BOUNDS, MIN_WEIGHT_CAP
from secagg.params import LeafSpec, Ring, RoundParams, Thresholds, VectorSpec
from secagg.protocol.counts import counts_of
from secagg.pytree.leaves import FLOATS, INTEGERS

_CHECK_WORDS: Final = 2
MAX_AXES: Final = 64
"""As numpy's."""
SCALES: Final = (2.0**-120, 2.0**120)


def check_length(ring: Ring | None) -> int:
    """Zeros of the vector "check".

    A wrong mask shows in two words but with probability 2^-128. A sum of keys that is off by a
    short element would not show in few coefficients of a ring: all of a block are zero.
    """
    return _CHECK_WORDS if ring is None else ring.degree


def check_vectors(params: RoundParams, thresholds: Thresholds) -> None:
    """Refuse a layout in which a sum could cross a lane, or that does not describe the tree.

    What a scheme's ring leaves to an update, its encoding checks.

    Raises:
        UnsupportedParameters: naming the vector or leaf.
    """
    gateways = thresholds.gateways
    if (params.ring is not None) != (thresholds.committee > 0):
        raise UnsupportedParameters("a ring belongs to schemes with a committee, and to no other")
    if not MIN_WEIGHT_CAP <= params.max_weight <= MAX_WEIGHT:
        raise UnsupportedParameters(f"weights up to {params.max_weight}")
    _check_names(params)
    leaves: list[list[LeafSpec]] = [[] for _ in params.vectors]
    for leaf in params.leaves:
        if not 0 <= leaf.vector < len(leaves):
            raise UnsupportedParameters(f"{leaf.key} does not lie inside a vector")
        if len(leaf.shape) > MAX_AXES or min((0, *leaf.shape)) < 0:
            raise UnsupportedParameters(f"{leaf.key} has no shape of an array")
        leaves[leaf.vector].append(leaf)
    for vector, parts in zip(params.vectors, leaves, strict=True):
        if not _known(vector, params, gateways):
            raise UnsupportedParameters(f"layout of vector {vector.name!r}")
        if gateways * vector.limit > 2 ** (64 // vector.lanes - 1) - 1:
            raise UnsupportedParameters(f"{vector.name}: {gateways} limits leave its lane")
        _check_cover(vector, parts)


def _check_names(params: RoundParams) -> None:
    names = [vector.name for vector in params.vectors]
    if len(set(names)) != len(names) or names[-1:] != ["check"] or "weight" not in names:
        raise UnsupportedParameters(f"vectors {names}: each once, a weight among them, check last")
    if len({leaf.key for leaf in params.leaves}) != len(params.leaves):
        raise UnsupportedParameters("a key of the tree is listed twice")
    for name, there in (("metrics", params.metrics), ("counts", counts_of(params))):
        if (name in names) != bool(there):
            raise UnsupportedParameters(f"{name} without their vector, or the reverse")
    if len({metric.name for metric in params.metrics}) != len(params.metrics):
        raise UnsupportedParameters("a metric is listed twice")
    if not all(METRIC_BOUNDS[0] <= m.bound <= METRIC_BOUNDS[1] for m in params.metrics):
        raise UnsupportedParameters("a metric's bound is not from 2^-60 to 2^120")


def _known(vector: VectorSpec, params: RoundParams, gateways: int) -> bool:
    """The numbers of a vector are those this party would have chosen."""
    if vector.kind == "update":
        return _known_update(vector, params, gateways)
    shape = vector.length, vector.limit, vector.scale
    if vector.lanes != 1:
        return False
    cap = cap_units(params.max_weight, integers=bool(params.of_kind("integers")))
    match vector.kind:
        case "integers":
            bound, rest = divmod(vector.limit, cap)
            fits = 1 <= bound <= integer_bound(gateways, params.max_weight)
            return fits and (rest, vector.scale) == (0, 1 / unit_of(params))
        case "weight":
            return shape == (1, cap, 1 / unit_of(params))
        case "metrics":
            limits = [metric_limit(metric.bound, gateways) for metric in params.metrics]
            return shape == (len(limits), max(limits), 1.0)
        case "counts":
            largest = [entry.largest for entry in counts_of(params)]
            return shape == (len(largest), max(largest), 1.0)
        case "check":
            return shape == (check_length(params.ring), 0, 1.0)
        case _:
            return False


def _known_update(vector: VectorSpec, params: RoundParams, gateways: int) -> bool:
    """Whether limit and clip can be; in a ring the limit is the encoding's business."""
    if params.ring is None:
        fits = vector.limit == update_limit(vector.lanes, gateways)
    else:
        fits = vector.lanes == 1
    # before the division: a scale this far off would underflow or overflow in it
    if not (fits and SCALES[0] <= vector.scale <= SCALES[1]):
        return False
    return MIN_CLIP <= clip_of(vector, params.max_weight) <= 2 * MAX_CLIP


def _check_cover(vector: VectorSpec, leaves: Sequence[LeafSpec]) -> None:
    """Leaves of a vector stand one behind the other, tied ones in one place, without a gap."""
    carries = vector.kind in {"update", "integers"}
    stop = start = 0
    for leaf in sorted(leaves, key=lambda leaf: (leaf.start, prod(leaf.shape))):
        size = prod(leaf.shape)
        tied = size > 0 and (leaf.start, leaf.start + size) == (start, stop)
        if not size or tied:
            continue
        # a real leaf among the integers would pass by its clip
        kinds = INTEGERS if vector.kind == "integers" else FLOATS
        if leaf.dtype not in kinds:
            raise UnsupportedParameters(f"{leaf.key}: {leaf.dtype} in vector {vector.name!r}")
        if not carries or leaf.start != stop:
            raise UnsupportedParameters(f"{leaf.key} does not lie where its vector has room")
        start, stop = leaf.start, leaf.start + size
    if carries and stop != vector.length:
        raise UnsupportedParameters(f"{vector.name}: leaves cover {stop} of {vector.length}")
