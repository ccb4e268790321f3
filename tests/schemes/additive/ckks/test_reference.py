from __future__ import annotations

import math
import random

import pytest

from secagg.params import Ring
from secagg.schemes.additive import polynomials
from secagg.schemes.additive.ckks import reference
from tests.schemes.stock_seal import SealRing, by_power, in_pairs, slot_errors

PUBLIC = bytes(range(32))
BITS = {2048: 40, 4096: 60}
PRIME = reference.PRIMES[2048]
SMALL = Ring(degree=16, moduli=(PRIME,), step=16)
"""The same prime with few coefficients: what is tested with it holds for every N."""


def ring_of(degree: int) -> Ring:
    return Ring(degree=degree, moduli=(reference.PRIMES[degree],), step=16)


def drawn(count: int, largest: int, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.randint(-largest, largest) for _ in range(count)]


def is_prime(number: int) -> bool:
    """Miller and Rabin's test; with these bases it is certain below 2^64."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        squares = [pow(power, 2**k, number) for k in range(twos)]
        if power != 1 and number - 1 not in squares:
            return False
    return True


# -- the ring --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("degree", "bits"), BITS.items())
def test_the_primes_are_the_largest_of_their_bits(degree, bits):
    prime = reference.PRIMES[degree]
    larger = range(prime + 2 * degree, 2**bits, 2 * degree)

    assert 1 == prime % (2 * degree)
    assert bits == prime.bit_length()
    assert is_prime(prime)
    assert not any(map(is_prime, larger))


def test_products_are_negacyclic():
    left, right = drawn(16, 2**60), drawn(16, 2**16, seed=1)
    expected = [0] * 16
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            expected[(i + j) % 16] += a * b * (1 if i + j < 16 else -1)

    assert in_pairs(expected) == polynomials.multiply(in_pairs(left), in_pairs(right))


def test_digits_hold_the_largest_products():
    left, right = [2**60] * 4096, [-(2**16)] * 4096
    product = by_power(polynomials.multiply(left, right))

    assert -(2**76) * 4096 == product[-1]
    assert 2**76 * 4094 == product[0]


# -- lanes -----------------------------------------------------------------------------------------


def test_an_embedded_block_takes_the_lanes_as_values_at_every_fourth_power_of_zeta():
    degree, step = 32, 1000
    lanes = drawn(degree, 2**20)
    coefficients = reference.embed(lanes, step)
    zeta = complex(math.cos(math.pi / degree), math.sin(math.pi / degree))
    values = [
        sum(c * zeta ** ((4 * k + 1) * j) for j, c in enumerate(by_power(coefficients))) / step
        for k in range(degree // 2)
    ]

    assert pytest.approx(lanes[::2], abs=1e-6) == [value.real for value in values]
    assert pytest.approx(lanes[1::2], abs=1e-6) == [value.imag for value in values]
    assert pytest.approx(lanes, abs=1e-6) == reference.unembed(coefficients, step)


@pytest.mark.parametrize("degree", [32, 2048])
def test_a_coefficient_is_at_most_the_root_of_two_times_the_limit_and_may_be(degree):
    limit = 1000
    worst = [limit * (-1) ** (at // 2) for at in range(degree)]
    coefficients = reference.embed(worst, 1)

    assert pytest.approx(math.sqrt(2) * limit, rel=1e-12) == by_power(coefficients)[degree // 4]
    assert (
        pytest.approx(0, abs=1e-6)
        == sum(map(abs, coefficients)) - by_power(coefficients)[degree // 4]
    )


def test_one_unit_of_noise_in_each_coefficient_is_the_root_of_half_n_in_each_lane():
    degree = 512
    rng = random.Random(0)
    noise = [rng.gauss(0, 1) for _ in range(degree)]
    lanes = reference.unembed(noise, 1)

    # the sample deviation of 512 numbers is off by 15% once in 10^6 draws; the map is an isometry
    assert pytest.approx(math.hypot(*noise) * math.sqrt(degree / 2), rel=1e-9) == math.hypot(*lanes)
    assert pytest.approx(math.sqrt(degree / 2), rel=0.15) == math.hypot(*lanes) / math.sqrt(degree)


# -- uploads ---------------------------------------------------------------------------------------


def test_an_upload_is_message_and_noise_under_its_key():
    message, noise = drawn(16, 2**30), [0.5 * k for k in range(16)]
    secret, other = drawn(16, 16, seed=1), drawn(16, 16, seed=2)
    sent = reference.encrypt(message, secret, public=PUBLIC, noise=noise, block=3, ring=SMALL)
    expected = [round(m + e) for m, e in zip(message, noise, strict=True)]

    def opened(key, public=PUBLIC, block=3):
        return reference.decrypt(sent, key, public=public, block=block, ring=SMALL)

    assert expected == opened(secret)
    assert all(0 <= number < PRIME for number in sent)
    assert opened(secret) != opened(other)
    assert opened(secret) != opened(secret, public=PUBLIC[::-1])
    assert opened(secret) != opened(secret, block=4)


def test_sums_open_under_the_sum_of_the_keys_as_centred_numbers():
    messages = [[PRIME // 4] * 16, [-(PRIME // 2)] * 16]
    keys = [drawn(16, 16, seed) for seed in range(2)]
    sent = [
        reference.encrypt(m, s, public=PUBLIC, noise=[0] * 16, block=0, ring=SMALL)
        for m, s in zip(messages, keys, strict=True)
    ]
    total, key = ([sum(parts) for parts in zip(*rows, strict=True)] for rows in (sent, keys))
    opened = reference.decrypt(total, key, public=PUBLIC, block=0, ring=SMALL)

    assert [PRIME // 4 - PRIME // 2] * 16 == opened


def test_rounding_is_exact_beyond_the_53_bits_of_a_float():
    ring = Ring(degree=16, moduli=(reference.PRIMES[4096],), step=1)
    message, noise = [2**58 + 1] * 16, [0.25, 0.75] * 8
    sent = reference.encrypt(message, [0] * 16, public=PUBLIC, noise=noise, block=0, ring=ring)

    assert [2**58 + 1, 2**58 + 2] * 8 == sent


# -- SEAL itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", BITS)
def test_stock_seal_decrypts_what_the_reference_encrypts(degree):
    theirs, ring = SealRing(degree, BITS[degree]), ring_of(degree)
    rng = random.Random(1)
    secret = [rng.randint(-1, 1) for _ in range(degree)]
    lanes, step = drawn(degree, 1000), 2.0**20
    sent = reference.encrypt(
        reference.embed(lanes, int(step)),
        secret,
        public=PUBLIC,
        noise=[0] * degree,
        block=0,
        ring=ring,
    )
    public = polynomials.public_element(PUBLIC, 0, degree, theirs.prime)
    minus_a = [(-value) % theirs.prime for value in public]
    key = theirs.key(by_power(secret))
    slots = theirs.decrypted(by_power(sent), by_power(minus_a), key, step)

    assert theirs.prime == ring.moduli[0]
    assert max(slot_errors(slots, lanes)) < 1e-2
