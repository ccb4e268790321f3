from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import AggregateOutOfRange, LocalProtocolError
from secagg.fixed_point import (
    Decoder,
    Encoder,
    check_sum,
    clip_of,
    decode_integers,
    encode_integers,
    error_of,
    mean_integers,
    reference,
    update_spec,
)
from secagg.params import VectorSpec
from secagg.workers import Workers

LANES = (1, 2, 3, 4, 5)


def whole(length, limit):
    """A vector of integers."""
    return VectorSpec(name="integers", length=length, lanes=1, limit=limit, scale=1.0)


def pack(spec, lanes):
    return np.array(reference.pack(spec, lanes), np.uint64)


@given(data=st.data())
def test_reference_unpacks_what_it_packs(data):
    lanes = data.draw(st.sampled_from(LANES))
    half = 2 ** (64 // lanes - 1)
    values = data.draw(st.lists(st.integers(-half + 1, half - 1), min_size=1, max_size=20))
    spec = update_spec("u", len(values), 1.0, 1, 1.0, lanes)

    assert values == reference.unpack(spec, reference.pack(spec, values))[: len(values)]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_decode_is_the_reference_up_to_three_roundings(lanes, dtype, data):
    gateways = data.draw(st.integers(1, 1000))
    spec = update_spec("u", data.draw(st.integers(1, 30)), 0.7, gateways, 9.0, lanes)
    lane = st.integers(-gateways * spec.limit, gateways * spec.limit)
    values = data.draw(st.lists(lane, min_size=spec.length, max_size=spec.length))
    words = pack(spec, values)
    out = np.full(spec.length, np.nan, dtype)
    Decoder(spec, 3.75, math.inf).decode(words, out)

    check_sum(spec, words, gateways * spec.limit)
    three_roundings = Fraction(3.0001 / 2 * float(np.finfo(dtype).eps))
    for actual, expected in zip(
        out.tolist(), reference.mean(spec, words.tolist(), 3.75), strict=True
    ):
        assert abs(Fraction(actual) - expected) <= abs(expected) * three_roundings


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mean_stays_within_its_clip(lanes, dtype):
    spec = update_spec("u", 3, 0.7, 10, 9.0, lanes)
    clip, unit = clip_of(spec, 9.0), 2.0**-28
    out = np.empty(3, dtype)
    Decoder(spec, 10 * unit, clip).decode(pack(spec, [spec.limit, -spec.limit, 0]), out)

    assert [dtype(clip), -dtype(clip), 0] == out.tolist()


@pytest.mark.parametrize("lanes", LANES)
def test_threads_and_steps_do_not_change_the_mean(lanes):
    spec = update_spec("u", 70_000 * lanes + 1, 1.0, 3, 1.0, lanes)
    rng = np.random.default_rng(2)
    values = rng.integers(-spec.limit, spec.limit + 1, spec.length)
    words = pack(spec, values.tolist())
    one, two = np.empty((2, spec.length), np.float64)
    Decoder(spec, 1.0, math.inf).decode(words, one)
    with Workers(2) as workers:
        Decoder(spec, 1.0, math.inf).decode(words, two, workers)
        check_sum(spec, words, spec.limit, workers)

    assert np.array_equal(one, two)
    assert np.allclose(values / spec.scale, one, rtol=1e-14)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("sign", [1, -1])
def test_every_lane_is_checked_to_the_unit(lanes, sign):
    spec = update_spec("u", 4 * lanes, 1.0, 7, 1.0, lanes)
    for coordinate in range(spec.length):
        values = [-sign * 5 * spec.limit] * spec.length
        values[coordinate] = sign * 5 * spec.limit
        check_sum(spec, pack(spec, values), 5 * spec.limit)
        values[coordinate] += sign
        with pytest.raises(AggregateOutOfRange, match=f"u: a lane is beyond {5 * spec.limit}"):
            check_sum(spec, pack(spec, values), 5 * spec.limit)


@pytest.mark.parametrize("lanes", [3, 5])
@pytest.mark.parametrize("value", [0, 1, -1])
def test_bits_above_the_lanes_are_checked(lanes, value):
    spec = update_spec("u", lanes, 1.0, 7, 1.0, lanes)
    honest = pack(spec, [value] * lanes)
    check_sum(spec, honest, 5 * spec.limit)
    for bit in range(64 // lanes * lanes, 64):
        with pytest.raises(AggregateOutOfRange):
            check_sum(spec, honest ^ np.uint64(1 << bit), 5 * spec.limit)


@pytest.mark.parametrize(("lanes", "length"), [(3, 1), (3, 5), (5, 1), (5, 7), (2, 1)])
@pytest.mark.parametrize("stray", [1, -1])
def test_lanes_past_the_end_must_be_zero(lanes, length, stray):
    spec = update_spec("u", length, 1.0, 7, 1.0, lanes)
    whole = update_spec("u", spec.words * lanes, 1.0, 7, 1.0, lanes)
    values = [-1] * length + [0] * (whole.length - length)
    check_sum(spec, pack(whole, values), 5 * spec.limit)
    for coordinate in range(length, whole.length):
        wrong = list(values)
        wrong[coordinate] = stray
        with pytest.raises(AggregateOutOfRange, match="past its end"):
            check_sum(spec, pack(whole, wrong), 5 * spec.limit)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4), st.sampled_from(LANES))
def test_garbage_passes_the_check_only_if_every_lane_is_in_range(words, lanes):
    spec = update_spec("u", 4 * lanes, 1.0, 3, 1.0, lanes)
    array = np.array(words, np.uint64)
    values = reference.unpack(spec, words)
    fits = max(map(abs, values)) <= 2 * spec.limit and reference.pack(spec, values) == words
    try:
        check_sum(spec, array, 2 * spec.limit)
    except AggregateOutOfRange:
        assert not fits
    else:
        assert fits


def test_check_sum_of_a_zero_limit_accepts_zeros_only():
    spec = whole(2, 0)
    check_sum(spec, np.zeros(2, np.uint64), 0)
    with pytest.raises(AggregateOutOfRange):
        check_sum(spec, np.array([0, 1], np.uint64), 0)


ADVERSARIAL = (0.0, 1.0, -1.0, 0.5, -1 / 3, 2.0**-30, -(2.0**-24), 5e-324, -1e-310, 1 - 2.0**-24)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("included", [1, 3, 40])
@pytest.mark.parametrize("units", [1, 12_345, 1000 * 2**16])
@pytest.mark.parametrize("random", ["down", "up", "drawn"])
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_error_bound_is_the_worst_case(lanes, included, units, random, source, monkeypatch):
    gateways, max_weight, clip = 40, 1000.0, 0.3
    if random != "drawn":
        # Nature at its worst: all gateways round the same way.
        shape = Encoder._random_bits
        top = (0, 2**16 - 1)[random == "up"]
        monkeypatch.setattr(
            Encoder,
            "_random_bits",
            lambda self, *a: np.full_like(shape(self, *a), top >> (16 - self._fraction)),
        )
    draws = np.random.default_rng(included).uniform(-1, 1, 100)
    x = (np.concatenate([ADVERSARIAL, draws]) * clip).astype(source)
    base = np.concatenate([np.zeros(60), np.full(50, 1e-3)]).astype(source)
    spec = update_spec("u", len(x), clip * 1.01, gateways, max_weight, lanes)
    total, words = included * units / 2**16, np.zeros(spec.words, np.uint64)

    def read(start, stop, out):
        dtype = np.result_type(x, out)
        np.subtract(x[start:stop], base[start:stop], out=out, dtype=dtype, casting="same_kind")

    for gateway in range(included):
        encoder = Encoder(
            spec,
            weight=units / 2**16,
            max_weight=max_weight,
            rounding_key=gateway.to_bytes(16, "big"),
        )
        piece = np.empty(spec.words, np.uint64)
        encoder.encode(read, 0, piece)
        words += piece
    check_sum(spec, words, included * spec.limit)
    for dtype in (np.float32, np.float64):
        out = np.empty(spec.length, dtype)
        Decoder(spec, total, math.inf).decode(words, out)
        exact = [Fraction(a) - Fraction(b) for a, b in zip(x.tolist(), base.tolist(), strict=True)]
        worst = max(abs(Fraction(m) - e) for m, e in zip(out.tolist(), exact, strict=True))

        error = error_of(spec, included, total, max_weight, float64=dtype is np.float64)
        assert worst <= error.bound
        if random == "down" and units == 1000 * 2**16 and lanes >= 3:
            assert worst >= 0.6 * error.bound  # and it is not idle talk


def test_a_float32_clip_above_the_clip_still_meets_the_bound():
    spec = update_spec("u", 1, 0.1, 3, 1.0, 3)
    x = np.array([np.float32(0.1)])
    assert float(x[0]) > 0.1
    words = np.empty(1, np.uint64)
    Encoder(spec, weight=1.0, max_weight=1.0, rounding_key=bytes(16)).encode(
        lambda start, stop, out: np.copyto(out, x[start:stop]), 0, words
    )
    out = np.empty(1, np.float32)
    Decoder(spec, 1.0, math.inf).decode(words, out)

    assert abs(float(out[0]) - float(x[0])) <= error_of(spec, 1, 1.0, 1.0).bound
    assert clip_of(spec, 1.0) >= float(x[0])


def test_rms_error_is_what_random_inputs_show():
    # 50,000 samples: the relative deviation of their rms is below 0.4%, so 3% is 7 sigma.
    n, length = 10, 50_000
    spec = update_spec("u", length, 1.0, n, 1.0, 3)
    x = np.random.default_rng(3).uniform(-0.9, 0.9, length)
    words = np.zeros(spec.words, np.uint64)
    for gateway in range(n):
        piece = np.empty(spec.words, np.uint64)
        Encoder(spec, weight=0.25, max_weight=1.0, rounding_key=gateway.to_bytes(16, "big")).encode(
            lambda start, stop, out: np.copyto(out, x[start:stop], casting="same_kind"), 0, piece
        )
        words += piece
    out = np.empty(length)
    Decoder(spec, n * 0.25, math.inf).decode(words, out)

    assert pytest.approx(error_of(spec, n, n * 0.25, 1.0).rms, rel=0.03) == np.sqrt(
        np.mean((out - x) ** 2)
    )


@given(
    st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=5),
    st.integers(1, 2**62) | st.integers(1, 12),
)
def test_integer_means_round_half_to_even(sums, divisor):
    expected = [round(Fraction(value, divisor)) for value in sums]

    assert expected == mean_integers(np.array(sums), divisor).tolist()


@pytest.mark.parametrize("divisor", [0, -1, 2**62 + 1])
def test_integer_means_refuse_other_divisors(divisor):
    with pytest.raises(LocalProtocolError, match="divisor"):
        mean_integers(np.array([1]), divisor)


def test_sums_of_integers_are_exact():
    spec = whole(3, 2**60)
    values = [2**60, -(2**60), 17]
    words = sum((encode_integers(values, spec) for _ in range(4)), np.zeros(3, np.uint64))

    check_sum(spec, words, 4 * spec.limit)
    assert [4 * v for v in values] == decode_integers(spec, words).tolist()


def test_misuse_is_named():
    spec = update_spec("u", 4, 1.0, 3, 1.0, 3)
    words = np.zeros(2, np.uint64)
    for wrong in (np.zeros(3, np.uint64), np.zeros(2, np.int64), np.zeros((2, 1), np.uint64)):
        with pytest.raises(LocalProtocolError, match="belongs"):
            Decoder(spec, 1.0, math.inf).decode(wrong, np.empty(4))
        with pytest.raises(LocalProtocolError, match="belongs"):
            check_sum(spec, wrong, 3)
        with pytest.raises(LocalProtocolError, match="belongs"):
            decode_integers(spec, wrong)
    with pytest.raises(LocalProtocolError, match="out has shape"):
        Decoder(spec, 1.0, math.inf).decode(words, np.empty(5))
    with pytest.raises(LocalProtocolError, match="integers take 1"):
        decode_integers(spec, words)
    with pytest.raises(LocalProtocolError, match="does not fit"):
        check_sum(spec, words, 2**20)
