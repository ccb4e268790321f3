from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.errors import AggregateOutOfRange, LocalProtocolError, UnsupportedParameters
from secagg.params import Ring
from secagg.schemes.additive.blocks import AT_ONCE
from secagg.schemes.additive.lattice import MODULI, LatticeRing, reference
from secagg.schemes.additive.lattice.plan import (
    DEGREE,
    exact_step,
    noise_of,
    noise_of_sum,
    update_limit,
)
from secagg.schemes.additive.lattice.residues import Residues
from secagg.schemes.additive.limbs import limb_bits
from secagg.workers import SERIAL, Workers
from tests.schemes.additive.lattice.rounds import (
    PUBLIC,
    draw,
    opened,
    params,
    planned,
    source_of,
    stream,
    upload,
)

SMALL, LARGE = MODULI
LENGTHS = {"update/0": 3000, "update/1": 5, "integers": 3, "weight": 1, "metrics": 2}
SMALLEST = {"update/0": 100, "weight": 1}


def coarse(gateways: int, lengths: dict[str, int]):
    """P with step 1: as much noise as there can be."""
    return params(gateways, Ring(degree=DEGREE, moduli=(SMALL,), step=1), lengths)


# -- sums ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("gateways", [1, 3, 10, 100])
def test_the_sum_is_exact_where_the_plan_says_so(modulus, gateways):
    p = planned(gateways, modulus, LENGTHS)
    result, exact = opened(p, gateways, [draw(p, seed) for seed in range(gateways)])

    for words, expected in zip(result, exact, strict=True):
        np.testing.assert_array_equal(expected, words)
    assert 0 == noise_of(p.ring, gateways).bound


@pytest.mark.parametrize("modulus", MODULI)
def test_the_sum_of_a_thousand_is_exact(modulus):
    p = planned(1000, modulus, SMALLEST)
    result, exact = opened(p, 1000, [draw(p, seed) for seed in range(1000)])

    for words, expected in zip(result, exact, strict=True):
        np.testing.assert_array_equal(expected, words)


@pytest.mark.parametrize("gateways", [3, 100, 1000])
def test_a_finer_step_leaves_noise_within_its_bound_and_nothing_else_inexact(gateways):
    p = coarse(gateways, {"update/0": 2000, "weight": 1})
    noise = noise_of(p.ring, gateways)
    uploads = [draw(p, seed) for seed in range(gateways)]
    (update, weight), (exact, exact_weight) = opened(p, gateways, uploads)
    error = (update - exact).view(np.int64)
    rms = np.sqrt(np.mean(error**2))

    assert abs(error).max() <= noise.bound
    # the sample deviation of 2000 numbers is off by 8% once in 10^6 draws
    assert pytest.approx(noise.rms, rel=0.08) == rms
    np.testing.assert_array_equal(exact_weight, weight)


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("sign", [1, -1])
def test_nothing_wraps_when_everybody_is_at_the_limit(modulus, sign):
    gateways = 10
    p = planned(gateways, modulus, SMALLEST)
    limit = p.vectors[0].limit
    full = [np.full(100, sign * limit).view(np.uint64), np.full(1, 2**64 - 1, np.uint64)]
    result, exact = opened(p, gateways, [full] * gateways)

    assert sign * gateways * limit == int(result[0].view(np.int64)[0])
    for words, expected in zip(result, exact, strict=True):
        np.testing.assert_array_equal(expected, words)


def test_noise_carries_lanes_beyond_the_limit_and_no_farther_than_its_bound():
    gateways = 10
    p = coarse(gateways, SMALLEST)
    limit = p.vectors[0].limit
    full = [np.full(100, limit).view(np.uint64), np.zeros(1, np.uint64)]
    (update, _), _ = opened(p, gateways, [full] * gateways)
    lanes = update.view(np.int64)

    assert 0 < lanes.max() - gateways * limit <= noise_of(p.ring, gateways).bound
    assert 0 < gateways * limit - lanes.min() <= noise_of(p.ring, gateways).bound


@given(
    words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20),
    modulus=st.sampled_from(MODULI),
    gateways=st.sampled_from([2, 3, 2047]),
)
def test_limbs_give_back_any_word(words, modulus, gateways):
    p = planned(gateways, modulus, {"integers": len(words)})
    vectors = [np.array(words, np.uint64)]
    (result,), (exact,) = opened(p, gateways, [vectors, vectors])

    assert [2 * word % 2**64 for word in words] == exact.tolist() == result.tolist()


@pytest.mark.parametrize("modulus", MODULI)
def test_limbs_fill_several_blocks(modulus):
    p = planned(3, modulus, {"integers": 3000})
    (result,), (exact,) = opened(p, 3, [draw(p, seed) for seed in range(3)])

    np.testing.assert_array_equal(exact, result)


@pytest.mark.parametrize("modulus", MODULI)
def test_an_upload_that_is_subtracted_leaves_the_sum_of_the_others(modulus):
    p = planned(3, modulus, LENGTHS)
    encoding = LatticeRing(p, 3)
    running, total = encoding.running_sum(), np.zeros(DEGREE, np.int64)
    for seed, sign in ((0, 1), (1, 1), (0, -1)):
        rng = stream(seed)
        secret = encoding.secret(rng)
        total += sign * secret
        wire = upload(encoding, draw(p, seed), secret, rng)
        for vector, words in enumerate(wire):
            (running.add if sign == 1 else running.subtract)(vector, 0, words)
    with Workers(2) as workers:
        result = running.open(total, public=PUBLIC, included=1, workers=workers)

    for words, expected in zip(result, draw(p, 1), strict=True):
        np.testing.assert_array_equal(expected, words)


@pytest.mark.parametrize("coefficients", [1, 7, 2047, 2048, 2048 * (AT_ONCE + 1) + 1])
@pytest.mark.parametrize("modulus", MODULI)
def test_every_length_opens_and_takes_no_more_than_its_coefficients(modulus, coefficients):
    p = planned(3, modulus, {"update/0": coefficients})
    (result,), (exact,) = opened(p, 3, [draw(p, seed) for seed in range(2)])
    (words,) = LatticeRing(p, 3).words

    np.testing.assert_array_equal(exact, result)
    assert 0 <= words * 8 - coefficients * (4 if modulus == SMALL else 5) < 40


@pytest.mark.parametrize("modulus", MODULI)
def test_transforms_are_kept_for_one_round_at_a_time(modulus):
    p = planned(3, modulus, LENGTHS)
    encoding = LatticeRing(p, 3, cached=2)
    for turn, public in enumerate((PUBLIC, PUBLIC, PUBLIC[::-1], PUBLIC)):
        vectors, rng, running = draw(p, turn), stream(turn), encoding.running_sum()
        secret = encoding.secret(rng)
        fill = encoding.encrypt(source_of(vectors), secret, public=public, rng=rng)()
        for vector, words in enumerate(encoding.words):
            out = np.empty(words, np.uint64)
            fill(vector, 0, out)
            running.add(vector, 0, out)
        result = running.open(secret, public=public, included=1, workers=SERIAL)

        for words, expected in zip(result, vectors, strict=True):
            np.testing.assert_array_equal(expected, words)


# -- uploads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", MODULI)
def test_an_upload_is_that_of_the_reference(modulus):
    gateways = 10
    p = planned(gateways, modulus, {"update/0": 2100, "integers": 2})
    encoding, rng = LatticeRing(p, gateways), stream(5)
    update, integers = draw(p, 0)
    secret, seed = encoding.secret(stream(1)), stream(5)(32)
    wire = upload(encoding, [update, integers], secret, rng)
    noise_key = derive_key(seed, salt=PUBLIC, label=Label.KDF_NOISE, length=16)
    residues = Residues(modulus)
    bits = limb_bits(modulus, noise_of_sum(modulus, gateways), gateways)
    lanes = [p.ring.step * int(lane) for lane in update.view(np.int64)]
    limbs = [
        exact_step(modulus, gateways) * (int(word) >> bits * limb & (1 << bits) - 1)
        for limb in range(-(-64 // bits))
        for word in integers
    ]
    unit = encoding.unit
    parts = [(wire[0][:unit], lanes[:2048]), (wire[0][unit:], lanes[2048:]), (wire[1], limbs)]
    for block, (words, message) in enumerate(parts):
        row = np.zeros((1, residues.coefficients(len(words))), residues.dtype)
        residues.load(words, row)
        expected = reference.encrypt(
            message + [0] * (DEGREE - len(message)),
            secret.tolist(),
            public=PUBLIC,
            noise_key=noise_key,
            block=block,
            modulus=modulus,
        )

        assert expected[: row.size] == (row[0].astype(np.int64) % modulus).tolist()


@pytest.mark.parametrize(
    ("modulus", "frozen"),
    [
        (SMALL, "a3b7f23e9a4b691fef86111ee6b7ac3a750e0a3dfa0e833e84576038b71da786"),
        (LARGE, "5dcba32f83e6249c7912016adbd498441bbd4748f2d9a25f08994e911fced10b"),
    ],
)
def test_the_bytes_of_an_upload_stay_what_they_are(modulus, frozen):
    p = planned(10, modulus, LENGTHS)
    encoding = LatticeRing(p, 10)
    vectors = [np.arange(spec.length, dtype=np.uint64) for spec in p.vectors]
    rng = stream("frozen")
    wire = upload(encoding, vectors, encoding.secret(rng), rng)

    assert frozen == hashlib.sha256(b"".join(w.astype("<u8").tobytes() for w in wire)).hexdigest()


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("cached", [0, 3, 100])
def test_spans_in_any_order_from_two_threads_give_the_upload_of_one_pass(modulus, cached):
    lengths = {"update/0": 2048 * 20 + 9, "weight": 1, "update/1": 2048}
    p = planned(10, modulus, lengths)
    vectors = draw(p, 0)
    secret = LatticeRing(p, 10).secret(stream(1))
    whole = upload(LatticeRing(p, 10), vectors, secret, stream(2))
    encoding = LatticeRing(p, 10, cached=cached)
    source = encoding.encrypt(source_of(vectors), secret, public=PUBLIC, rng=stream(2))
    fills = [source(), source()]
    cuts = [(2, 0, 1), (0, 17, 4), (0, 0, 1), (1, 0, 1), (0, 18, 3), (0, 1, 17), (0, 17, 1)]
    for turn, (vector, block, blocks) in enumerate(cuts):
        span = slice(
            block * encoding.unit, min((block + blocks) * encoding.unit, encoding.words[vector])
        )
        out = np.empty(span.stop - span.start, np.uint64)
        fills[turn % 2](vector, span.start, out)

        np.testing.assert_array_equal(whole[vector][span], out)


@pytest.mark.parametrize(
    ("vector", "first", "words"),
    [
        (0, 1, 1024),
        (0, 1, 1999),
        (0, 0, 1023),
        (0, 2048, 1024),
        (0, -1024, 1024),
        (1, 0, 1),
        (1, 1024, 4),
    ],
)
def test_spans_that_are_no_whole_blocks_are_refused(vector, first, words):
    p = planned(3, SMALL, {"update/0": 4000, "weight": 1})
    encoding = LatticeRing(p, 3)
    fill = encoding.encrypt(
        source_of(draw(p, 0)), np.zeros(DEGREE, np.int64), public=PUBLIC, rng=bytes
    )()
    running, out = encoding.running_sum(), np.empty(words, np.uint64)

    for use in (fill, running.add, running.subtract):
        with pytest.raises(LocalProtocolError, match="no whole blocks"):
            use(vector, first, out)


def test_two_uploads_never_share_noise():
    p = planned(10, SMALL, {"update/0": 4096})
    encoding, vectors, drawn = LatticeRing(p, 10), draw(p, 0), []
    secret = encoding.secret(stream(0))
    rng = stream(1)

    def entropy(size):
        drawn.append(size)
        return rng(size)

    first, second = (upload(encoding, vectors, secret, entropy)[0].view(np.int32) for _ in range(2))
    difference = first - second

    assert [32, 32] == drawn
    assert abs(difference).max() <= 32
    # variance 16 in either, within 10% of it but once in 10^5 draws
    assert pytest.approx(16, rel=0.1) == np.mean(difference.astype(np.int64) ** 2)
    assert np.count_nonzero(difference[:2048] == difference[2048:]) < 500


def test_the_noise_of_one_seed_is_another_in_another_round():
    p = planned(10, SMALL, {"update/0": 2048})
    encoding, zero = LatticeRing(p, 10), np.zeros(DEGREE, np.int64)
    out = np.empty((2, 1024), np.uint64)
    for row, public in zip(out, (PUBLIC, PUBLIC[::-1]), strict=True):
        source = encoding.encrypt(source_of(draw(p, 0)), zero, public=public, rng=bytes)
        source()(0, 0, row)
    first, second = out.view(np.int32)

    assert np.count_nonzero(first == second) < 500


def test_every_coefficient_on_the_wire_has_noise_also_where_nothing_is_encoded():
    p = planned(10, LARGE, {"update/0": 1})
    encoding, zero = LatticeRing(p, 10), np.zeros(DEGREE, np.int64)
    sent = set()
    for seed in range(8):
        (words,) = upload(encoding, [np.zeros(1, np.uint64)], zero, stream(seed))
        row = np.zeros((1, 8), np.int64)
        Residues(LARGE).load(words, row)
        sent.add(tuple(row[0].tolist()))
    columns = list(zip(*sent, strict=True))

    assert 8 == len(columns)
    assert all(len(set(column)) > 2 for column in columns)


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", MODULI)
def test_a_wrong_total_is_no_sum(modulus):
    p = planned(10, modulus, LENGTHS)
    encoding, rng = LatticeRing(p, 10), stream(0)
    secret = encoding.secret(rng)
    running = encoding.running_sum()
    for vector, words in enumerate(upload(encoding, draw(p, 0), secret, rng)):
        running.add(vector, 0, words)
    secret[7] += 1
    with Workers(1) as workers, pytest.raises(AggregateOutOfRange):
        running.open(secret, public=PUBLIC, included=1, workers=workers)


def test_more_summands_than_said_are_out_of_range():
    p = planned(10, SMALL, {"weight": 1})
    vectors = [np.full(1, 2**64 - 1, np.uint64)]
    encoding, running, total = LatticeRing(p, 10), None, 0
    running = encoding.running_sum()
    for seed in range(2):
        rng = stream(seed)
        secret = encoding.secret(rng)
        total = total + secret
        running.add(0, 0, upload(encoding, vectors, secret, rng)[0])
    with Workers(1) as workers:
        with pytest.raises(AggregateOutOfRange, match="beyond 1 times its limit"):
            running.open(total, public=PUBLIC, included=1, workers=workers)
        running.open(total, public=PUBLIC, included=2, workers=workers)


@pytest.mark.parametrize("modulus", MODULI)
def test_something_where_nothing_is_encoded_is_no_sum(modulus):
    p = planned(10, modulus, {"weight": 1})
    encoding, rng = LatticeRing(p, 10), stream(0)
    secret = encoding.secret(rng)
    (wire,) = upload(encoding, draw(p, 0), secret, rng)
    row = np.zeros((1, 8), Residues(modulus).dtype)
    Residues(modulus).load(wire, row)
    row[0, 7] += 2 * exact_step(modulus, 10)
    Residues(modulus).store(row, wire)
    running = encoding.running_sum()
    running.add(0, 0, wire)
    with Workers(1) as workers, pytest.raises(AggregateOutOfRange, match="weight"):
        running.open(secret, public=PUBLIC, included=1, workers=workers)


def test_only_sums_of_small_secrets_pass():
    encoding = LatticeRing(planned(10, SMALL, SMALLEST), 10)
    total = np.zeros(DEGREE, np.int64)
    total[3] = -48

    assert encoding.check_secret(total, 3)
    assert not encoding.check_secret(total, 2)
    assert not encoding.check_secret(-total, 2)
    assert not encoding.check_secret(total[1:], 3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ring": None}, "no ring"),
        ({"ring": Ring(degree=1024, moduli=(SMALL,), step=1)}, "about 85 bits"),
        ({"ring": Ring(degree=2048, moduli=(2**41,), step=1)}, "moduli"),
        ({"ring": Ring(degree=2048, moduli=(SMALL,), step=174)}, "use 1, or 173"),
        ({"limit": 1}, "this ring's is"),
        ({"limit": 0}, "this ring's is"),
        ({"lanes": 2}, "rings take 1"),
    ],
)
def test_parameters_that_are_not_in_the_tables_are_refused(change, sentence):
    p = planned(10, SMALL, SMALLEST)
    if "ring" in change:
        p = p.replace(ring=change["ring"])
    elif "limit" in change:
        limit = change["limit"] and update_limit(p.ring, 10) + 1
        p = p.replace(vectors=(_replaced(p.vectors[0], limit=limit), *p.vectors[1:]))
    else:
        p = p.replace(vectors=(*p.vectors[:1], _replaced(p.vectors[1], lanes=2, limit=1)))

    with pytest.raises(UnsupportedParameters, match=sentence):
        LatticeRing(p, 10)


def _replaced(spec, **changes):
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return type(spec)(**(fields | changes))
