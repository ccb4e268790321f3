"""Names the entries of the vector "counts": what gateways clamp, they count under the mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from secagg.params import LeafSpec, MetricSpec, RoundParams, VectorSpec


@dataclass(frozen=True, slots=True)
class Count:
    """One entry.

    Attributes:
        name: "coordinates" beyond their clip, "metric NAME" beyond its bound or NaN, "integers"
            beyond theirs, "tied leaves" that differ from the first of their place.
        largest: of one gateway.
    """

    name: str
    largest: int


def counts_of(params: RoundParams) -> tuple[Count, ...]:
    """The entries of the counts of P, in order; empty where nothing can be clamped."""
    return count_entries(
        params.leaves,
        params.vectors,
        params.metrics,
        saturate=params.clipping == "saturate",
    )


def count_entries(
    leaves: Sequence[LeafSpec],
    vectors: Sequence[VectorSpec],
    metrics: Sequence[MetricSpec],
    *,
    saturate: bool,
) -> tuple[Count, ...]:
    """As `counts_of`, before there is a P.

    Args:
        leaves: the tree.
        vectors: those that leaves lie in, others may be among them.
        metrics: numbers summed beside the updates.
        saturate: coordinates beyond their clip are clamped.
    """
    reals = sum(vector.length for vector in vectors if vector.kind == "update")
    integers = sum(vector.length for vector in vectors if vector.kind == "integers")
    places = [(leaf.vector, leaf.start) for leaf in leaves if prod(leaf.shape)]
    entries = (
        Count("coordinates", reals if saturate else 0),
        *(Count(f"metric {metric.name}", 1) for metric in metrics),
        Count("integers", integers),
        Count("tied leaves", len(places) - len(set(places))),
    )
    return tuple(entry for entry in entries if entry.largest)
