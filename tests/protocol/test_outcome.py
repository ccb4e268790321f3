"""The last look at a sum: check words, lanes and total weight at their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from protocol_sim.parties import Parties
from secagg.errors import AggregateOutOfRange
from secagg.fixed_point.reference import pack
from secagg.protocol.outcome import check_opened

INCLUDED = 4
SETTINGS = Parties(5).settings()
P = SETTINGS.round_params(SETTINGS.session_params(Parties(5).roster, bytes(16), b"k" * 32))
[(_, WEIGHT)] = P.of_kind("weight")
CAP = WEIGHT.limit


def opened(**values: list[int]) -> list[np.ndarray]:
    """Words of a sum that is zero but for a weight of one unit and what is given."""
    given = {"weight": [1]} | values
    return [
        np.array(pack(spec, given.get(spec.kind, [0] * spec.length)), np.uint64)
        for spec in P.vectors
    ]


@pytest.mark.parametrize("total", [1, CAP, INCLUDED * CAP])
def test_the_total_weight_is_returned(total):
    assert total == check_opened(P, opened(weight=[total]), INCLUDED)


[(_, UPDATE)] = P.of_kind("update")
LIMIT, LENGTH = UPDATE.limit, UPDATE.length


@pytest.mark.parametrize("sign", [1, -1])
def test_a_lane_may_reach_its_bound(sign):
    lanes = [sign * INCLUDED * LIMIT] * LENGTH

    assert 1 == check_opened(P, opened(update=lanes), INCLUDED)


@pytest.mark.parametrize(
    "values",
    [
        {"weight": [0]},
        {"weight": [-1]},
        {"weight": [INCLUDED * CAP + 1]},
        {"check": [1, 0]},
        {"check": [0, -1]},
        {"update": [INCLUDED * LIMIT + 1] + [0] * (LENGTH - 1)},
        {"update": [0] * (LENGTH - 1) + [-INCLUDED * LIMIT - 1]},
    ],
    ids=str,
)
def test_beyond_its_bound_there_is_no_sum(values):
    with pytest.raises(AggregateOutOfRange):
        check_opened(P, opened(**values), INCLUDED)


def test_the_bound_is_that_of_the_included():
    with pytest.raises(AggregateOutOfRange):
        check_opened(P, opened(weight=[4 * CAP]), 3)


def test_every_vector_is_looked_at():
    with pytest.raises(ValueError, match="argument 2"):
        check_opened(P, opened()[:-1], INCLUDED)


def test_lanes_without_a_coordinate_are_zero():
    """Seven coordinates in three lanes of three words: two lanes are padding."""
    words = opened()
    assert UPDATE.lanes * UPDATE.words > UPDATE.length
    words[0][-1] += np.uint64(1 << (64 // UPDATE.lanes) * (UPDATE.lanes - 1))

    with pytest.raises(AggregateOutOfRange):
        check_opened(P, words, INCLUDED)
