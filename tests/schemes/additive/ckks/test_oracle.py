"""The encoding against Python integers, against its reference, and against SEAL itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secagg.schemes.additive import polynomials
from secagg.schemes.additive.ckks import CkksRing, plan, reference
from secagg.schemes.additive.ckks.plan import noise_of
from tests.schemes.additive.ckks.rounds import (
    DEGREES,
    SIGMA,
    SMALLEST,
    as_words,
    noisy,
    oracle,
    planned,
    ring_of,
    summed,
    worst,
)
from tests.schemes.additive.lattice.rounds import PUBLIC, draw, stream
from tests.schemes.stock_seal import SealRing, by_power, slot_errors

GATEWAYS = (3, 10, 100)


def errors(result, exact) -> np.ndarray:
    return np.array([int(a) - b for a, b in zip(result.view(np.int64), exact, strict=True)])


# -- sums ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("gateways", GATEWAYS)
def test_sums_of_updates_are_within_the_stated_bound_and_all_others_exact(degree, gateways):
    p = planned(gateways, degree)
    uploads = [draw(p, seed) for seed in range(gateways)]
    result, exact = summed(p, gateways, uploads), oracle(uploads)
    noise = noise_of(p.ring, gateways)
    of_updates = np.concatenate([errors(result[v], exact[v]) for v in range(2)])

    assert noise == plan(gateways, 1.0, 1.0, degree).noise
    assert abs(of_updates).max() <= noise.bound
    # the sample deviation of 5000 numbers is off by 6% once in 10^8 draws
    assert pytest.approx(noise.rms, rel=0.06) == math.sqrt(np.mean(of_updates**2))
    assert pytest.approx(math.sqrt(gateways * degree / 2), rel=0.01) == noise.rms
    for words, sums in list(zip(result, exact, strict=True))[2:]:
        assert [number % 2**64 for number in sums] == words.tolist()


@pytest.mark.parametrize("degree", DEGREES)
@pytest.mark.parametrize("gateways", GATEWAYS)
@pytest.mark.parametrize("sign", [1, -1])
def test_nothing_wraps_when_one_coefficient_is_as_large_as_it_can_be(degree, gateways, sign):
    p = planned(gateways, degree, {"update/0": degree, "weight": 1})
    limit, noise = p.vectors[0].limit, noise_of(p.ring, gateways)
    uploads = [[as_words(worst(degree, sign * limit)), as_words([-1])]] * gateways
    largest = math.sqrt(2) * limit * p.ring.step  # `test_reference.py` has the coefficient
    result, exact = summed(p, gateways, uploads), oracle(uploads)

    assert 0.999 < gateways * largest / (p.ring.moduli[0] / 4) < 1
    assert abs(errors(result[0], exact[0])).max() <= noise.bound
    assert [2**64 - gateways] == result[1].tolist()


@pytest.mark.parametrize("degree", DEGREES)
def test_one_gateway_more_than_twice_as_many_at_the_limit_wraps(degree):
    """The control: all but the spare bit is used."""
    p = planned(10, degree, {"update/0": degree})
    limit = p.vectors[0].limit
    uploads = [[as_words(worst(degree, limit))]] * 21
    wrong = errors(summed(p, 10, uploads)[0], oracle(uploads)[0])

    # p / Delta, forty times sqrt(2) the limit, at one coefficient: cos(pi/4) of it in each lane
    assert pytest.approx(40 * limit, rel=1e-3) == abs(wrong).min()


@pytest.mark.parametrize("degree", DEGREES)
def test_all_lanes_at_the_limit_open_within_it(degree):
    p = planned(10, degree, SMALLEST)
    limit, bound = p.vectors[0].limit, noise_of(p.ring, 10).bound
    lanes = summed(p, 10, [[as_words([limit] * 100), as_words([0])]] * 10)[0].view(np.int64)

    assert 10 * limit - bound <= lanes.min() < 10 * limit < lanes.max() <= 10 * limit + bound


@pytest.mark.parametrize("degree", DEGREES)
def test_products_leave_no_error_in_a_sum(degree):
    """The error of a mean is that of embedding and noise: without keys it is the same."""
    p = planned(10, degree)
    uploads = [draw(p, seed) for seed in range(10)]
    with_keys, without = (summed(p, 10, uploads, keys=keys) for keys in (1, 0))

    for words, expected in zip(with_keys, without, strict=True):
        np.testing.assert_array_equal(expected, words)


# -- uploads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", DEGREES)
def test_an_upload_is_that_of_the_reference(degree):
    """The same seed gives the same noise: it is read where there is neither key nor message."""
    p, zero = planned(10, degree, {"update/0": 9, "integers": 2}), np.zeros(degree, np.int64)
    prime = p.ring.moduli[0]
    lanes = draw(p, 0)[0].view(np.int64) // 2**20  # float64 is finer than the noise's rounding
    vectors = [as_words(lanes), draw(p, 0)[1]]
    secret = CkksRing(p, 10).secret(stream(1))
    empty = [np.zeros_like(vector) for vector in vectors]
    (noise, _), (clear, limbs), (sent, sealed) = (
        [block for (block,) in noisy(p, 10, words, key)]
        for words, key in ((empty, zero), (vectors, zero), (vectors, secret))
    )
    embedded = reference.embed([*lanes.tolist(), *[0] * (degree - 9)], p.ring.step)
    centred = ((a - b + prime // 2) % prime - prime // 2 for a, b in zip(clear, noise, strict=True))

    # the message gives Delta embed(x), but for two roundings of half a unit
    assert max(abs(a - b) for a, b in zip(centred, embedded, strict=True)) <= 1.001
    # the key gives a s, exactly
    for block, (plain, c) in enumerate([(clear, sent), (limbs, sealed)]):
        message = [*plain, *[0] * (degree - len(plain))]
        expected = reference.encrypt(
            message,
            secret.tolist(),
            public=PUBLIC,
            noise=[0] * degree,
            block=block,
            ring=ring_of(degree),
        )

        assert expected[: len(c)] == c


@pytest.mark.parametrize("degree", DEGREES)
def test_noise_is_gaussian_of_the_stated_width_in_every_coefficient(degree):
    p, zero = planned(10, degree, {"update/0": 8 * degree, "weight": 1}), np.zeros(degree, int)
    prime, sigma = p.ring.moduli[0], SIGMA[degree]
    blocks, ((*weight,),) = noisy(
        p, 10, [np.zeros(8 * degree, np.uint64), np.zeros(1, np.uint64)], zero
    )
    e = np.array(blocks, np.int64)
    e = np.where(e > prime // 2, e - prime, e) / sigma
    samples = e.size

    # each of these is a sum of independent numbers: six deviations: once in 5 * 10^8
    assert abs(e.mean()) < 6 / math.sqrt(samples)
    assert abs((e**2).mean() - 1) < 6 * math.sqrt(2 / samples)
    assert abs((e**4).mean() - 3) < 6 * math.sqrt(96 / samples)
    assert abs(np.mean(e[:, : degree // 2] * e[:, degree // 2 :])) < 6 / math.sqrt(samples / 2)
    assert 3.5 < abs(e).max() < 6.7 + 1 / sigma
    assert len(weight) == 8  # of which fewer carry the weight: noise is in the others too
    assert len(set(weight)) > 2


@pytest.mark.parametrize("degree", DEGREES)
def test_noise_keeps_its_last_bits_beside_the_largest_message(degree):
    """Otherwise an upload shows the last bits of a s: float64 has 53, messages have up to 57."""
    p = planned(3, degree, {"update/0": 32 * degree})
    vectors = [as_words(worst(32 * degree, p.vectors[0].limit))]
    prime = p.ring.moduli[0]
    (sent,) = noisy(p, 3, vectors, np.zeros(degree, np.int64))
    largest = [by_power(block)[degree // 4] for block in sent]

    assert all(0.99 < 3 * number / (prime / 4) < 1.01 for number in largest)
    assert {0, 1, 2, 3} == {number % 4 for number in largest}


@pytest.mark.parametrize("degree", DEGREES)
def test_stock_seal_decrypts_an_upload_under_its_key(degree):
    """(c, -a) is a ciphertext of CKKS; what protects it is that nobody else has its key."""
    p = planned(10, degree, {"update/0": degree})
    vectors = draw(p, 0)
    secret, other = (CkksRing(p, 10).secret(stream(i)) for i in range(2))
    ((sent,),) = noisy(p, 10, vectors, secret)
    lanes = vectors[0].view(np.int64).tolist()
    bound = plan(1, 1.0, 1.0, degree).noise.bound

    assert max(slot_errors(_decrypted(degree, sent, secret), lanes)) <= math.sqrt(2) * bound
    assert np.median(slot_errors(_decrypted(degree, sent, other), lanes)) > 1e6 * bound


def _decrypted(degree: int, sent: list[int], key: np.ndarray) -> list[complex]:
    """The slots that SEAL finds in an upload: it transforms c, -a and the key itself."""
    theirs = SealRing(degree, reference.PRIMES[degree].bit_length())
    public = polynomials.public_element(PUBLIC, 0, degree, theirs.prime)
    minus_a = by_power([-value % theirs.prime for value in public])
    return theirs.decrypted(by_power(sent), minus_a, theirs.key(by_power(key)), SIGMA[degree])
