from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.crypto import prg
from secagg.errors import EncodingError, LocalProtocolError
from secagg.fixed_point import (
    Encoder,
    check_range,
    check_sum,
    clip_of,
    encode_integers,
    reference,
    update_spec,
)
from secagg.fixed_point.layout import CLIP_SLACK, fraction_bits
from secagg.params import VectorSpec

KEY = bytes(range(16))
LANES = (1, 2, 3, 4, 5)


def whole(length, limit):
    """A vector of integers."""
    return VectorSpec(name="integers", length=length, lanes=1, limit=limit, scale=1.0)


def reader(x):
    return lambda start, stop, out: np.copyto(out, x[start:stop], casting="same_kind")


def encode(spec, x, *, weight=1.0, max_weight=1.0, key=KEY):
    out = np.empty(spec.words, np.uint64)
    Encoder(spec, weight=weight, max_weight=max_weight, rounding_key=key).encode(reader(x), 0, out)
    return out


def lanes_of(spec, words):
    return reference.unpack(spec, words.tolist())


def random_numbers(spec, key):
    """Those of a vector shorter than a step: lane after lane, each padded to whole AES blocks."""
    stride = -(-spec.words // 8) * 8
    words = prg.keystream(key, 0, stride * spec.lanes // 4)
    numbers = words.view("<u2").reshape(spec.lanes, stride)[:, : spec.words]
    return (numbers.reshape(-1) >> (16 - fraction_bits(spec)))[: spec.length].tolist()


@pytest.mark.parametrize("lanes", LANES)
@settings(max_examples=60)
@given(data=st.data())
def test_encode_is_the_reference_up_to_the_rounding_of_its_buffers(lanes, data):
    gateways = data.draw(st.integers(1, 2047))
    max_weight = data.draw(st.sampled_from([2.0**-16, 1.0, 1000.0, 2.0**30]))
    clip = data.draw(st.sampled_from([2.0**-40, 1e-3, 1.0, 2.0**40]))
    units = data.draw(st.integers(1, int(max_weight * 2**16)))
    unit = st.floats(-1, 1) | st.sampled_from([0.0, 1.0, -1.0, 5e-324, -1e-310, 2.0**-149])
    x = np.array(data.draw(st.lists(unit, min_size=1, max_size=40))) * clip
    spec = update_spec("u", len(x), clip, gateways, max_weight, lanes)
    words = encode(spec, x, weight=units / 2**16, max_weight=max_weight)

    steps = 2 ** fraction_bits(spec)
    slack = 1 + spec.limit * steps * (2.0**-21 if lanes >= 3 else 2.0**-50)
    factor = Fraction(units, 2**16) * Fraction(spec.scale) * steps
    actual = lanes_of(spec, words)
    for lane, value, r in zip(actual, x.tolist(), random_numbers(spec, KEY), strict=False):
        exact = Fraction(value) * factor + r
        assert math.floor((exact - slack) / steps) <= lane <= math.floor((exact + slack) / steps)
        assert abs(lane) <= spec.limit
    assert set(actual[len(x) :]) <= {0}


@pytest.mark.parametrize("lanes", LANES)
def test_encode_equals_the_reference_where_floating_point_is_exact(lanes):
    spec = VectorSpec(name="u", length=100, lanes=lanes, limit=15, scale=8.0)
    x = np.round(np.linspace(-1.8, 1.8, 100) * 2**12) / 2**12
    words = encode(spec, x, weight=1.0, max_weight=1.0)

    assert words.tolist() == reference.encode_vector(
        spec, x.tolist(), 1.0, random_numbers(spec, KEY)
    )


@pytest.mark.parametrize("lanes", LANES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_the_cut_into_calls_does_not_change_the_words(lanes, data):
    length = 80_000 * lanes + data.draw(st.integers(0, 4))
    x = np.random.default_rng(1).uniform(-1, 1, length).astype(np.float32)
    spec = update_spec("u", length, 1.0, 10, 1.0, lanes)
    cuts = data.draw(st.lists(st.integers(0, spec.words), max_size=6).map(sorted))
    encoder = Encoder(spec, weight=0.5, max_weight=1.0, rounding_key=KEY)
    pieces = np.empty(spec.words, np.uint64)
    for start, stop in zip([0, *cuts], [*cuts, spec.words], strict=True):
        encoder.encode(reader(x), start, pieces[start:stop])

    assert np.array_equal(encode(spec, x, weight=0.5), pieces)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("gateways", [1, 3, 10, 2047])
def test_lanes_never_cross_even_if_everyone_is_at_the_limit(lanes, sign, gateways):
    spec = update_spec("u", 11, 0.1, gateways, 4.0, lanes)
    x = np.full(11, sign * 1e9, np.float32)  # far beyond clip: the clamp alone holds the lane
    x[::2] = math.copysign(math.inf, sign)
    words = encode(spec, x, weight=4.0, max_weight=4.0)
    total = np.zeros_like(words)
    for _ in range(gateways):
        total += words

    check_sum(spec, total, gateways * spec.limit)
    one, everyone = lanes_of(spec, words), lanes_of(spec, total)
    assert [gateways * lane for lane in one] == everyone
    assert spec.limit * (1 - 2**-22) - 1 <= sign * one[0] <= spec.limit


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("fraction", [0.5, 0.25, 1 / 3, 0.01])
@pytest.mark.parametrize("sign", [1, -1])
def test_rounding_is_unbiased(lanes, fraction, sign):
    # 40 deterministic cases of a 5-sigma test: 2.3e-5 of all choices of key would fail one of them.
    count = 60_000
    spec = update_spec("u", count, 1.0, 100, 1.0, lanes)
    value = sign * (3 + fraction)
    x = np.full(count, value / spec.scale)
    mean = float(np.mean(np.array(lanes_of(spec, encode(spec, x))[:count], float)))

    deviation = math.sqrt(fraction * (1 - fraction) / count)
    cut = 2.0 ** -fraction_bits(spec) + 2.0**-20
    assert abs(mean - value) <= 5 * deviation + cut


def test_rounding_is_independent_between_coordinates_and_keys():
    # Correlation of 60,000 fair bits: 5 sigma, false alarm 6e-7 each.
    count = 60_000
    spec = update_spec("u", count, 1.0, 100, 1.0, 3)
    x = np.full(count, 0.5 / spec.scale)
    one = np.array(lanes_of(spec, encode(spec, x))[:count]) * 2 - 1
    other = np.array(lanes_of(spec, encode(spec, x, key=bytes(16)))[:count]) * 2 - 1

    for shift in (1, 8, 4096, spec.words):
        assert abs(np.mean(one[shift:] * one[:-shift])) <= 5 / math.sqrt(count - shift)
    assert abs(np.mean(one * other)) <= 5 / math.sqrt(count)


@pytest.mark.parametrize("lanes", LANES)
def test_rounding_does_not_repeat_in_a_long_vector(lanes):
    # Three steps of 32768 words (six for five lanes): 5 sigma, false alarm 6e-7 each.
    words = 3 * 32768
    spec = update_spec("u", words * lanes, 1.0, 100, 1.0, lanes)
    bits = np.array(encode(spec, np.full(spec.length, 0.5 / spec.scale))) & np.uint64(1)
    signs = bits.astype(int) * 2 - 1

    for shift in (16384, 32768, 65536):
        assert abs(np.mean(signs[shift:] * signs[:-shift])) <= 5 / math.sqrt(words - shift)


def test_a_small_weight_clamps_the_coordinate_not_the_product():
    spec = update_spec("u", 1, 1.0, 3, 4.0, 3)
    (lane, *_) = lanes_of(spec, encode(spec, np.array([7.0]), weight=1.0, max_weight=4.0))

    assert abs(lane - spec.limit / 4) <= 1


def test_nan_that_appears_after_the_check_is_an_error_not_a_number():
    spec = update_spec("u", 4, 1.0, 3, 1.0, 3)
    with pytest.raises(EncodingError, match="became NaN"):
        encode(spec, np.array([0, 1, np.nan, 0], np.float32))


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, 1.5, 1 / 3])
def test_encoder_refuses_weights_that_weight_units_would_not_give(weight):
    with pytest.raises(LocalProtocolError, match="weight_units"):
        encode(update_spec("u", 4, 1.0, 3, 1.0, 3), np.zeros(4), weight=weight)


def test_encoder_refuses_limits_that_update_spec_would_not_give():
    with pytest.raises(LocalProtocolError, match="update_spec"):
        encode(whole(4, 2**46), np.zeros(4))


@pytest.mark.parametrize(("first", "count"), [(0, 3), (2, 1), (-1, 1)])
def test_encode_refuses_words_outside_the_vector(first, count):
    spec = update_spec("u", 4, 1.0, 3, 1.0, 3)
    encoder = Encoder(spec, weight=1.0, max_weight=1.0, rounding_key=KEY)
    with pytest.raises(LocalProtocolError, match="of a vector of 2"):
        encoder.encode(reader(np.zeros(4)), first, np.empty(count, np.uint64))


def test_encoding_needs_memory_for_a_step_only():
    length = 3_000_000
    x = np.zeros(length, np.float32)
    spec = update_spec("u", length, 1.0, 3, 1.0, 3)
    out = np.empty(spec.words, np.uint64)
    tracemalloc.start()
    check_range(reader(x), 0, length, 1.0)
    encoder = Encoder(spec, weight=1.0, max_weight=1.0, rounding_key=KEY)
    encoder.encode(reader(x), 0, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 3 * 2**20  # the vector itself has 12 MB


CLIP = 0.1


def check(x):
    x = np.asarray(x)
    return check_range(reader(x), 0, len(x), CLIP * (1 + CLIP_SLACK))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clip_rounded_to_the_dtype_of_the_update_is_within_clip(dtype, sign):
    assert check(np.full(5, sign * CLIP, dtype)) == (0, 0, 0)


@pytest.mark.parametrize("length", [10, 32768, 100_000])
def test_what_is_beyond_a_bound_is_counted_and_its_largest_known(length):
    x = np.zeros(length)
    x[[0, length // 2, -1]] = 0.11, -2.5, 0.2

    assert check(x) == (3, 2.5, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39])
def test_what_is_not_finite_is_counted_apart(bad):
    x = np.zeros(70_000)
    x[[1, 2, 40_000, 69_999]] = 5.0, bad, bad, bad

    assert check(x) == (1, 5.0, 3)


def test_a_part_of_a_vector_is_looked_at():
    x = np.array([5.0, 0.0, 3.0, 0.0, 5.0])

    assert check_range(reader(x), 1, 4, CLIP) == (1, 3.0, 0)


def test_the_edge_is_that_of_the_bound_and_not_of_float32():
    bound = 1.11 * (1 + CLIP_SLACK)  # float32 has one number just below, and one above
    below = float(np.float32(bound))

    assert below < bound
    assert check_range(reader(np.array([bound * (1 + 1e-9)])), 0, 1, bound) == (0, 0, 0)
    assert check_range(reader(np.array([below])), 0, 1, np.nextafter(below, 0)) == (1, below, 0)


def test_what_saturates_is_encoded_as_the_clip():
    spec = update_spec("u", 6, CLIP, 3, 8.0, 3)
    x = np.array([0.2, -0.2, 1e30, 0.1, 0.0, -0.1])
    clipped = np.clip(x, -clip_of(spec, 8.0), clip_of(spec, 8.0))
    weighted = partial(encode, spec, weight=2.0, max_weight=8.0)

    assert lanes_of(spec, weighted(clipped)) == lanes_of(spec, weighted(x))
    assert check(x) == (3, float(np.float32(1e30)), 0)


@given(data=st.data())
def test_integers_are_exact(data):
    factor = data.draw(st.integers(1, 2**20))
    spec = whole(5, (2**63 - 1) // 8)
    value = st.integers(-(spec.limit // factor), spec.limit // factor)
    values = data.draw(st.lists(value, min_size=5, max_size=5))
    expected = [v * factor for v in values]

    assert expected == lanes_of(spec, encode_integers(values, spec, factor=factor))
    words = encode_integers(np.array(values), spec, factor=factor)
    assert expected == lanes_of(spec, words)


@pytest.mark.parametrize(
    ("values", "factor", "sentence"),
    [
        ([101, 0], 1, "a value of integers is above 100, what fits"),
        ([0, -101], 1, "above 100"),
        ([0, 2**80], 1, "above 100"),
        (np.array([51, 0]), 2, "above 50"),
        (np.array([0, 2**64 - 1], np.uint64), 1, "above 100"),
        ([1], 1, "1 values for the 2"),
        ([1.0, 2.0], 1, "no integers"),
        (np.array([1.0, 2.0]), 1, "no integers"),
    ],
)
def test_integers_that_do_not_fit_are_refused(values, factor, sentence):
    with pytest.raises(EncodingError, match=sentence):
        encode_integers(values, whole(2, 100), factor=factor)


def test_integers_take_one_lane():
    with pytest.raises(LocalProtocolError, match="integers take 1"):
        encode_integers([1], update_spec("u", 1, 1.0, 3, 1.0, 2))
