from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigurationError, EncodingError
from secagg.fixed_point import (
    Noise,
    cap_units,
    choose_lanes,
    clip_of,
    error_of,
    integer_bound,
    lane_limit,
    metric_limit,
    metric_scale,
    update_spec,
    weight_unit,
    weight_units,
)
from secagg.fixed_point.layout import NO_NOISE, update_limit
from secagg.fixed_point.units import METRIC_BOUNDS


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


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("gateways", [1, 3, 10, 735, 2047])
def test_of_random_words_at_most_half_pass_for_updates(lanes, gateways):
    """A spare bit in every word; where the word has one left over, the lanes give up nothing."""
    reach = gateways * update_limit(lanes, gateways)

    assert Fraction(2 * reach + 1) ** lanes <= Fraction(2**63)
    assert lanes not in {3, 5} or update_limit(lanes, gateways) == lane_limit(lanes, gateways)


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


@pytest.mark.parametrize("cap", [2.0**-32, 1e-4, 0.7, 1, 1.5, 117, 1e3, 1e6, 2.0**32])
@pytest.mark.parametrize("integers", [False, True])
def test_the_unit_of_weights_is_small_beside_the_cap_and_sums_below_2_to_the_53(cap, integers):
    unit, bits = weight_unit(cap, integers=integers), 24 if integers else 32

    assert (0.5, min(2.0**-16, 2.0 ** (math.ceil(math.log2(cap)) - bits))) == (
        math.frexp(unit)[0],
        unit,
    )
    assert cap <= cap_units(cap, integers=integers) * unit < cap + unit
    assert cap_units(cap, integers=integers) < 2**53


@pytest.mark.parametrize(
    ("cap", "gateways", "bound"),
    [
        (1.0, 10, 5.5e10),
        (1.0, 1000, 5.5e8),
        (1e3, 10, 1.4e10),
        (1e3, 1000, 1.4e8),
        (1e6, 10, 1.4e7),
        (1e6, 1000, 1.4e5),
    ],
)
def test_room_for_integers(cap, gateways, bound):
    room = integer_bound(gateways, cap)

    assert room == pytest.approx(bound, rel=0.03)
    assert gateways * room * cap_units(cap, integers=True) < 2**63


@given(
    bound=st.floats(*METRIC_BOUNDS, allow_subnormal=False),
    gateways=st.sampled_from([1, 3, 10, 735, 1000, 2047]),
)
def test_a_metric_has_the_finest_scale_with_room_for_all(bound, gateways):
    scale, limit = metric_scale(bound, gateways), metric_limit(bound, gateways)

    assert math.frexp(scale)[0] == 0.5
    assert bound * scale <= limit <= lane_limit(1, gateways) < 5 * bound * scale


@pytest.mark.parametrize("bound", [0, -1, 1e-300, 1e300, math.inf, math.nan])
def test_no_metric_has_such_a_bound(bound):
    with pytest.raises(ConfigurationError, match="metric bound is"):
        metric_scale(bound, 3)


@pytest.mark.parametrize(
    ("weight", "max_weight", "units"),
    [
        (1, 1, 2**24),
        (2.0**-24, 1, 1),
        (2.0**-25, 1, 1),
        (0.1, 1, 1677722),
        (1000, 1000, 1000 * 2**16),
        (1 / 3 + 1 / 7, 1 / 3 + 1 / 7, math.floor(Fraction(1 / 3 + 1 / 7) * 2**25)),
    ],
)
def test_weight_units_never_exceed_the_cap(weight, max_weight, units):
    assert units == weight_units(weight, max_weight, integers=True)
    assert units * weight_unit(max_weight, integers=True) <= max_weight
    finer = weight_units(weight, max_weight, integers=False)
    assert weight_unit(max_weight, integers=False) * finer == pytest.approx(
        weight, rel=0, abs=weight_unit(max_weight, integers=False)
    )


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf, 1000.001, 0.499 * 2**-16])
def test_what_weights_are_refused_says_nothing_of_integers(weight, integers):
    with pytest.raises(EncodingError, match="weight"):
        weight_units(weight, 1000, integers=integers)


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
