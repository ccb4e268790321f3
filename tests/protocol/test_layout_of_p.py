"""A client refuses every layout of P that it would not have chosen itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol_sim.parties import Parties
from secagg.errors import ConfigurationError, UnsupportedParameters
from secagg.params import LeafSpec, MetricSpec, Ring, RoundParams, VectorSpec
from secagg.protocol.policy import Policy
from secagg.protocol.vectors import check_vectors
from secagg.thresholds import derive, derive_committee

replace = msgspec.structs.replace
GATEWAYS = 5


def params(**changes: Any) -> RoundParams:
    settings = Parties(GATEWAYS).settings()
    made = RoundParams(
        session_params=bytes(32),
        model=bytes(32),
        purpose="train",
        leaves=settings.leaves,
        vectors=settings.vectors,
        max_weight=settings.max_weight,
        metrics=settings.metrics,
        clipping=settings.clipping,
    )
    return replace(made, **changes)


def vector(name: str, **changes: Any) -> RoundParams:
    whole = params()
    return replace(
        whole,
        vectors=tuple(replace(v, **changes) if v.name == name else v for v in whole.vectors),
    )


def in_ring(ring: Ring, **changes: Any) -> RoundParams:
    """Every update in one lane, with a limit of its own; a whole block of zeros."""
    whole = vector("check", length=changes.pop("zeros", ring.degree)).replace(ring=ring)
    update = {"lanes": 1, "limit": 5} | changes
    return replace(
        whole,
        vectors=tuple(replace(v, **update) if v.kind == "update" else v for v in whole.vectors),
    )


def leaf(index: int, **changes: Any) -> RoundParams:
    leaves = list(params().leaves)
    leaves[index] = replace(leaves[index], **changes)
    return params(leaves=tuple(leaves))


def extra(**changes: Any) -> RoundParams:
    """One more vector, before the check."""
    whole = params()
    more = VectorSpec(
        **({"name": "x", "length": 1, "lanes": 1, "limit": 1, "scale": 1.0} | changes)
    )
    return replace(whole, vectors=(*whole.vectors[:-1], more, whole.vectors[-1]))


@pytest.mark.parametrize("ring", [None, Ring(degree=2048, moduli=(2**32,), step=1)], ids=str)
def test_a_ring_goes_with_a_committee_only(ring):
    fitting, other = derive(GATEWAYS), derive_committee(GATEWAYS)
    p = params()
    if ring is not None:
        fitting, other = other, fitting
        p = in_ring(ring)
    check_vectors(p, fitting)
    with pytest.raises(UnsupportedParameters, match="a ring belongs to"):
        check_vectors(p, other)


@pytest.mark.parametrize("changes", [{"lanes": 3}, {"limit": 0}, {"zeros": 2}], ids=str)
def test_an_update_in_a_ring_has_a_word_for_each_coordinate(changes):
    ring = Ring(degree=2048, moduli=(2**32,), step=1)
    check_vectors(in_ring(ring), derive_committee(GATEWAYS))
    with pytest.raises(UnsupportedParameters, match="layout of vector"):
        check_vectors(in_ring(ring, **changes), derive_committee(GATEWAYS))


def test_an_update_in_a_ring_leaves_room_for_the_sum_of_all():
    ring = Ring(degree=2048, moduli=(2**32,), step=1)
    fits = (2**63 - 1) // GATEWAYS
    check_vectors(in_ring(ring, limit=fits, scale=2.0**60), derive_committee(GATEWAYS))
    with pytest.raises(UnsupportedParameters, match="limits leave its lane"):
        check_vectors(in_ring(ring, limit=fits + 1, scale=2.0**60), derive_committee(GATEWAYS))


def test_the_planners_own_layout_is_accepted():
    check_vectors(params(), derive(GATEWAYS))


def test_tied_leaves_share_their_place():
    first = params().leaves[0]

    # and whether they differ is counted
    whole = vector("counts", length=3)

    check_vectors(
        whole.replace(leaves=(*whole.leaves, replace(first, key="tied"))), derive(GATEWAYS)
    )


def test_empty_leaves_lie_anywhere():
    empty = LeafSpec(key="e", shape=(0, 3), dtype="float32", vector=0, start=0)

    check_vectors(params(leaves=(*params().leaves, empty)), derive(GATEWAYS))


[(_, INTEGERS)] = params().of_kind("integers")
[(_, WEIGHT)] = params().of_kind("weight")
UNITS = WEIGHT.limit

WRONG = {
    "weight cap": params(max_weight=2.0**40),
    "no weight": params(vectors=tuple(v for v in params().vectors if v.kind != "weight")),
    "check not last": params(vectors=params().vectors[::-1]),
    "one name twice": params(vectors=(params().vectors[0], *params().vectors)),
    "unknown name": extra(),
    "counts of more entries": vector("counts", length=3),
    "counts of another limit": vector("counts", limit=1),
    "no counts": params(vectors=tuple(v for v in params().vectors if v.name != "counts")),
    "a metric twice": params(metrics=2 * params().metrics),
    "update of another limit": vector("update/0", limit=5),
    "update scale underflows": replace(vector("update/0", scale=5e-324), max_weight=0.25),
    "update clip too wide": vector("update/0", scale=2.0**-100),
    "integers in lanes": vector("integers", lanes=2, limit=1),
    "integers of another scale": vector("integers", scale=1.0),
    "weight of another limit": vector("weight", limit=1),
    "metrics of another length": vector("metrics", length=2),
    "metrics of another scale": vector("metrics", scale=2.0),
    "metrics of another limit": vector("metrics", limit=2**62),
    "metric bound of 0": params(metrics=(MetricSpec(name="loss", bound=0.0),)),
    "metric bound too wide": params(metrics=(MetricSpec(name="loss", bound=1e200),)),
    "metric bound beside its limit": params(metrics=(MetricSpec(name="loss", bound=99.0),)),
    "integers of no whole bound": vector("integers", limit=INTEGERS.limit - 1),
    "integers of no bound": vector("integers", limit=0),
    "integers without room": vector("integers", limit=INTEGERS.limit + UNITS),
    "check of more words": vector("check", length=3),
    "reals among the integers": leaf(0, dtype="int64"),
    "integers among the reals": leaf(1, dtype="float64"),
    "one key twice": params(leaves=(*params().leaves, params().leaves[0])),
    "metrics without their vector": params(
        vectors=tuple(v for v in params().vectors if v.kind != "metrics")
    ),
    "metrics vector without metrics": params(metrics=()),
    "leaf in no vector": leaf(0, vector=99),
    "leaf in a negative vector": leaf(0, vector=-1),
    "leaf of negative shape": leaf(0, shape=(-1, -7)),
    "leaf of too many axes": leaf(0, shape=(1,) * 65),
    "leaf in the weight": params(
        leaves=(
            *params().leaves,
            LeafSpec(key="z", shape=(1,), dtype="float64", vector=2, start=0),
        )
    ),
    "gap": leaf(0, start=1),
    "overlap": params(leaves=(*params().leaves, replace(params().leaves[0], shape=(3,)))),
    "vector longer than its leaves": vector("update/0", length=8),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_layout_is_refused(name):
    with pytest.raises(UnsupportedParameters):
        check_vectors(WRONG[name], derive(GATEWAYS))


@pytest.mark.parametrize(
    "floors",
    [{"min_gateways": 2}, {"min_included": 2}, {"min_colluding": 0}, {"lanes": (3,)}],
)
def test_a_policy_that_hides_nothing_is_refused(floors):
    with pytest.raises(ConfigurationError):
        Policy(**floors)


def test_what_a_server_names_things_stays_in_one_line():
    hostile = "w\n\x1b[2K\u202e"
    with pytest.raises(UnsupportedParameters, match=r"w\\n\\x1b\[2K\\u202e has no shape") as told:
        check_vectors(leaf(0, key=hostile, shape=(-1,)), derive(GATEWAYS))

    assert str(told.value).isprintable()
