"""The last look at a sum: every vector of the table at its bounds, and one unit beyond."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.errors import AggregateOutOfRange
from secagg.fixed_point import integers_of, metric_limit, unit_of
from secagg.fixed_point.reference import pack
from secagg.protocol.counts import counts_of
from secagg.protocol.outcome import check_opened

GATEWAYS, INCLUDED = 5, 4
W = np.zeros(7)
P = (
    SecureAverage(
        clip={"v": 0.5, "*": 1.0},
        max_weight=10.0,
        clipping="saturate",
        metric_bounds={"loss": 100.0, "acc": 1.0},
        integer_bound=1000,
    )
    .params(
        tuple(range(GATEWAYS)),
        {"w": W, "tied": W, "v": np.zeros(4), "n": np.zeros(3, np.int64)},
        round=1,
        metrics=("loss", "acc"),
    )
    .round_params(None)
)
[(_, WEIGHT)] = P.of_kind("weight")
[(_, WIDE), (_, NARROW)] = P.of_kind("update")
CAP = WEIGHT.limit
LOSS, ACC = (INCLUDED * metric_limit(each.bound, GATEWAYS) for each in P.metrics)
COUNTS = [INCLUDED * entry.largest for entry in counts_of(P)]


def opened(**values: list[int]) -> list[np.ndarray]:
    """Words of a sum that is zero but for the least total weight and what is given."""
    given = {"weight": [INCLUDED]} | values
    lanes = [given.get(s.name.replace("/", ""), given.get(s.name, [])) for s in P.vectors]
    return [
        np.array(pack(spec, lane + [0] * (spec.length - len(lane))), np.uint64)
        for spec, lane in zip(P.vectors, lanes, strict=True)
    ]


def check(**values: list[int]) -> int:
    return check_opened(P, opened(**values), INCLUDED, gateways=GATEWAYS)


def reach(spec, units):
    """docs/protocol.md#opened-sum, once more."""
    part = spec.limit * units * Fraction(unit_of(P)) // Fraction(P.max_weight)
    return int(min(part + (part >> 20) + INCLUDED, INCLUDED * spec.limit))


def test_the_sum_of_this_test_has_every_vector():
    kinds = [spec.kind for spec in P.vectors]
    names = [entry.name for entry in counts_of(P)]

    assert ["update"] * 2 + ["integers", "weight", "metrics", "counts", "check"] == kinds
    assert ["coordinates", "metric loss", "metric acc", "integers", "tied leaves"] == names
    assert [4 * 11, 4, 4, 4 * 3, 4] == COUNTS


@pytest.mark.parametrize("total", [INCLUDED, INCLUDED + 1, CAP, INCLUDED * CAP])
def test_the_total_weight_is_returned(total):
    assert total == check(weight=[total])


@pytest.mark.parametrize("units", [INCLUDED, 1000, CAP, INCLUDED * CAP // 3, INCLUDED * CAP])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("name", "spec"), [("update0", WIDE), ("update1", NARROW)])
def test_updates_reach_as_far_as_their_weight_and_rounding_go(units, sign, name, spec):
    edge = sign * reach(spec, units)
    check(weight=[units], **{name: [edge] * spec.length})
    for coordinate in (0, spec.length - 1):
        lanes = [-edge] * spec.length
        lanes[coordinate] = edge + sign
        with pytest.raises(AggregateOutOfRange, match=f"{spec.name}: a lane"):
            check(weight=[units], **{name: lanes})


def test_noise_of_a_ring_lets_updates_reach_farther():
    words = opened(update0=[reach(WIDE, INCLUDED) + 3])
    check_opened(P, words, INCLUDED, gateways=GATEWAYS, noise=3)
    with pytest.raises(AggregateOutOfRange):
        check_opened(P, words, INCLUDED, gateways=GATEWAYS, noise=2)


@pytest.mark.parametrize("units", [INCLUDED, INCLUDED * CAP])
def test_integers_reach_their_bound_times_the_weight(units):
    edge = integers_of(P) * units
    check(weight=[units], integers=[edge, -edge])
    for beyond in (edge + 1, -edge - 1):
        with pytest.raises(AggregateOutOfRange, match="integers: a lane"):
            check(weight=[units], integers=[0, 0, beyond])


@pytest.mark.parametrize(
    ("kind", "at", "beyond"),
    [
        ("weight", [INCLUDED], [INCLUDED - 1]),
        ("weight", [INCLUDED * CAP], [INCLUDED * CAP + 1]),
        ("weight", [INCLUDED], [0]),
        ("weight", [INCLUDED], [-INCLUDED]),
        ("metrics", [LOSS, -ACC], [LOSS + 1, 0]),
        ("metrics", [-LOSS, ACC], [-LOSS - 1, 0]),
        ("metrics", [0, ACC], [0, ACC + 1]),
        *(
            ("counts", [0] * j + [most], [0] * j + [wrong])
            for j, most in enumerate(COUNTS)
            for wrong in (-1, most + 1)
        ),
        ("check", [0, 0], [1, 0]),
        ("check", [0, 0], [0, -1]),
    ],
    ids=str,
)
def test_a_sum_may_reach_its_bound_and_no_farther(kind, at, beyond):
    check(**{kind: at})
    with pytest.raises(AggregateOutOfRange, match=kind):
        check(**{kind: beyond})


def test_the_bound_is_that_of_the_included():
    with pytest.raises(AggregateOutOfRange):
        check_opened(P, opened(weight=[4 * CAP]), 3, gateways=GATEWAYS)


def test_every_vector_is_looked_at():
    with pytest.raises(ValueError, match="argument 2"):
        check_opened(P, opened()[:-1], INCLUDED, gateways=GATEWAYS)


def test_lanes_without_a_coordinate_are_zero():
    """Seven coordinates in three lanes of three words: two lanes are padding."""
    words = opened()
    assert WIDE.lanes * WIDE.words > WIDE.length
    words[0][-1] += np.uint64(1 << (64 // WIDE.lanes) * (WIDE.lanes - 1))

    with pytest.raises(AggregateOutOfRange):
        check_opened(P, words, INCLUDED, gateways=GATEWAYS)
