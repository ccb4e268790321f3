from __future__ import annotations

import math
from fractions import Fraction

import pytest

from secagg.errors import ConfigurationError, EncodingError
from secagg.fixed_point import (
    Noise,
    choose_lanes,
    clip_of,
    error_of,
    exact_spec,
    lane_limit,
    update_spec,
    weight_units,
)
from secagg.fixed_point.layout import NO_NOISE


@pytest.mark.parametrize(
    ("lanes", "gateways", "limit"),
    [
        (1, 1, 2**63 - 1),
        (1, 3, (2**63 - 1) // 3),
        (2, 10, (2**31 - 1) // 10),
        (3, 3, 349_525),
        (3, 2**20 - 1, 1),
        (4, 64, 511),
        (5, 2047, 1),
    ],
)
def test_lane_limit_is_the_largest_whose_sum_stays_inside(lanes, gateways, limit):
    assert limit == lane_limit(lanes, gateways)
    assert gateways * limit < 2 ** (64 // lanes - 1) <= gateways * (limit + 1)


@pytest.mark.parametrize(
    ("lanes", "gateways", "sentence"),
    [(0, 3, "use 1 to 5"), (6, 3, "use 1 to 5"), (3, 0, "at least 1"), (5, 2048, "at most 2047")],
)
def test_lane_limit_refuses(lanes, gateways, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        lane_limit(lanes, gateways)


@pytest.mark.parametrize(
    ("gateways", "precision", "allowed", "lanes"),
    [
        (3, 2**-12, (3, 2, 1), 3),
        (100, 2**-12, (3, 2, 1), 3),
        (1000, 2**-12, (1, 3, 2), 3),
        (1000, 1.9e-4, (3, 2, 1), 2),
        (100, 2**-20, (3, 2, 1), 2),
        (100, 2**-36, (3, 2, 1), 1),
        (3, 2**-12, (5, 4, 3), 3),
        (3, 0.1, (5, 4, 3), 5),
        (4000, 0.5, (5, 3), 3),  # 5 x 12 has no room for 4000 gateways at all
    ],
)
def test_choose_lanes_takes_the_most_lanes_that_are_precise_enough(
    gateways, precision, allowed, lanes
):
    assert lanes == choose_lanes(gateways, 1000.0, precision, allowed)


def test_choose_lanes_agrees_with_the_rms_error_at_the_average_weight_it_assumes():
    n, cap = 100, 1000.0
    reached = error_of(update_spec("u", 1, 1.0, n, cap, 3), n, n * cap / 16, cap).rms

    assert choose_lanes(n, cap, reached * 1.0001) == 3
    assert choose_lanes(n, cap, reached * 0.9999) == 2


@pytest.mark.parametrize(
    ("precision", "max_weight", "sentence"),
    [
        (2**-60, 1.0, r"the nearest possible is 5\.36e-14"),
        (0.0, 1.0, "positive"),
        (math.nan, 1.0, "positive"),
        (2**-12, 0.0, "max_weight is 0"),
        (2**-12, 2.0**33, r"2\*\*32"),
    ],
)
def test_choose_lanes_refuses(precision, max_weight, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        choose_lanes(3, max_weight, precision)


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("clip", [1e-6, 0.1, 1.0, 3e7])
def test_a_clip_survives_the_layout_up_to_its_slack(lanes, clip):
    spec = update_spec("update/0", 10, clip, 7, 100.0, lanes)

    assert clip < clip_of(spec, 100.0) < clip * (1 + 2**-21)
    assert spec.limit <= lane_limit(lanes, 7)


@pytest.mark.parametrize(
    ("clip", "gateways", "max_weight", "sentence"),
    [
        (0.0, 3, 1.0, "clip of u is 0"),
        (math.nan, 3, 1.0, "clip of u is nan"),
        (math.inf, 3, 1.0, "clip of u is inf"),
        (1e-30, 3, 1.0, "clip of u"),
        (1.0, 3, math.nan, "max_weight is nan"),
        (1.0, 2**19, 2.0**32, "overflows the sum of weights"),
    ],
)
def test_update_spec_refuses(clip, gateways, max_weight, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        update_spec("u", 10, clip, gateways, max_weight, 1)


@pytest.mark.parametrize(
    ("bound", "scale", "limit"),
    [(0, 1.0, 0), (1.0, 2.0**16, 2**16), (0.3, 8.0, 3), (2**40, 2.0**16, 2**56), (5, 0.5, 3)],
)
def test_exact_spec_limits_a_gateway_to_its_bound(bound, scale, limit):
    spec = exact_spec("weight", 2, 10, bound, scale)

    assert (1, limit, scale, 2) == (spec.lanes, spec.limit, spec.scale, spec.words)


@pytest.mark.parametrize(
    ("bound", "scale", "sentence"),
    [
        (1, 3.0, "power of two"),
        (1, 0.0, "power of two"),
        (1, math.inf, "power of two"),
        (1, math.nan, "power of two"),
        (-1, 1.0, "0 or more"),
        (math.nan, 1.0, "0 or more"),
        (math.inf, 1.0, "0 or more"),
        (2**60, 1.0, r"use at most 9\.22"),
    ],
)
def test_exact_spec_refuses(bound, scale, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        exact_spec("metrics", 1, 10, bound, scale)


@pytest.mark.parametrize(
    ("weight", "max_weight", "units"),
    [
        (1, 1, 2**16),
        (2.0**-16, 1, 1),
        (0.6 * 2**-16, 1, 1),
        (0.1, 1, 6554),
        (1000, 1000, 1000 * 2**16),
        (1 / 3 + 1 / 7, 1 / 3 + 1 / 7, math.floor(Fraction(1 / 3 + 1 / 7) * 2**16)),
    ],
)
def test_weight_units_never_exceed_the_cap(weight, max_weight, units):
    assert units == weight_units(weight, max_weight)
    assert units / 2**16 <= max_weight


@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf, 1000.001, 0.4 * 2**-16])
def test_weight_units_refuse(weight):
    with pytest.raises(EncodingError, match="weight"):
        weight_units(weight, 1000)


def test_error_bound_is_close_to_the_worst_of_the_rounding_alone():
    spec = update_spec("u", 1, 1.0, 10, 1.0, 3)

    error, finer = error_of(spec, 10, 10.0, 1.0), error_of(spec, 10, 10.0, 1.0, float64=True)

    assert 1.0 < error.bound * spec.scale < 1.1
    assert finer.bound < error.bound
    assert finer.rms == error.rms


def test_noise_adds_up_bounds_by_sum_and_rms_in_quadrature():
    noise = Noise(3.0, 3.0)
    spec = update_spec("u", 1, 1.0, 10, 1.0, 3)
    error, more = error_of(spec, 10, 10.0, 1.0), error_of(spec, 10, 10.0, 1.0, noise)

    assert noise + Noise(4.0, 4.0) == Noise(7.0, 5.0)
    assert noise + NO_NOISE == noise
    assert more.bound == pytest.approx(error.bound + 3 / (spec.scale * 10))
    assert more.rms == pytest.approx(math.hypot(error.rms, 3 / (spec.scale * 10)))
