from __future__ import annotations

import math
import random

import numpy as np
import pytest

from secagg.crypto.kdf import derive_key
from secagg.crypto.labels import Label
from secagg.params import Ring
from secagg.schemes.additive.ckks import reference

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


@pytest.mark.parametrize("degree", [16, 2048])
def test_the_root_is_the_least_of_its_order(degree):
    psi = reference.root(degree, PRIME)
    orders = [k for k in range(1, 2 * degree) if pow(psi, k, PRIME) == 1]

    assert not orders
    assert 1 == pow(psi, 2 * degree, PRIME)
    assert psi == min(pow(psi, odd, PRIME) for odd in range(1, 2 * degree, 2))


def test_interpolation_gives_back_the_values_at_the_bit_reversed_powers():
    degree, psi = SMALL.degree, reference.root(16, PRIME)
    values = [value % PRIME for value in drawn(degree, PRIME)]
    coefficients = reference.interpolate(values, PRIME)
    reversed_bits = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15]
    points = [pow(psi, 2 * r + 1, PRIME) for r in reversed_bits]

    assert values == [
        sum(c * pow(point, j, PRIME) for j, c in enumerate(coefficients)) % PRIME
        for point in points
    ]


def test_products_are_negacyclic():
    left, right = drawn(16, 2**60), drawn(16, 2**16, seed=1)
    expected = [0] * 16
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            expected[(i + j) % 16] += a * b * (1 if i + j < 16 else -1)

    assert expected == reference.multiply(left, right)


def test_digits_hold_the_largest_products():
    left, right = [2**60] * 4096, [-(2**16)] * 4096
    product = reference.multiply(left, right)

    assert -(2**76) * 4096 == product[-1]
    assert 2**76 * 4094 == product[0]


# -- the public element ----------------------------------------------------------------------------


@pytest.mark.parametrize("degree", BITS)
def test_public_values_are_uniform(degree):
    ring = ring_of(degree)
    values = [v for block in range(4) for v in reference.public_values(PUBLIC, block, ring)]
    counts, _ = np.histogram(np.array(values, float), 16, (0, ring.moduli[0]))
    expected = len(values) / 16

    assert 0 <= min(values) < max(values) < ring.moduli[0]
    # chi-square with 15 degrees of freedom is above 52 once in 2^17 draws
    assert sum((counts - expected) ** 2 / expected) < 52


def test_values_that_are_no_residues_are_replaced_by_the_next_unused_words(monkeypatch):
    key = derive_key(PUBLIC, salt=b"", label=Label.XOF_RING, length=16)
    words = np.arange(32, dtype=np.uint64) + (1 << 50)  # bits above those of p do not count
    words[[3, 7, 11, 17, 18]] = [PRIME, 2**40 - 1, 2**64 - 1, PRIME, 2**63 + PRIME + 1]
    asked = []

    def keystream(*arguments):
        asked.append(arguments)
        return words

    monkeypatch.setattr(reference, "keystream", keystream)
    values = reference.public_values(PUBLIC, 5, SMALL)

    assert [(key, 5 * 32, 32)] == asked
    assert [0, 1, 2, 16, 4, 5, 6, 19, 8, 9, 10, 20, 12, 13, 14, 15] == values


def test_the_largest_residue_is_not_replaced(monkeypatch):
    monkeypatch.setattr(reference, "keystream", lambda *_: np.full(32, PRIME - 1, np.uint64))

    assert {PRIME - 1} == set(reference.public_values(PUBLIC, 0, SMALL))


def test_public_elements_differ_from_block_to_block_and_with_what_they_follow_from():
    one = reference.public_element(PUBLIC, 0, SMALL)

    assert one == reference.public_element(PUBLIC, 0, SMALL)
    for other in (
        reference.public_element(PUBLIC, 1, SMALL),
        reference.public_element(PUBLIC[::-1], 0, SMALL),
    ):
        assert all(a != b for a, b in zip(one, other, strict=True))


# -- lanes -----------------------------------------------------------------------------------------


def test_an_embedded_block_takes_the_lanes_as_values_at_every_fourth_power_of_zeta():
    degree, step = 32, 1000
    lanes = drawn(degree, 2**20)
    coefficients = reference.embed(lanes, step)
    zeta = complex(math.cos(math.pi / degree), math.sin(math.pi / degree))
    values = [
        sum(c * zeta ** ((4 * k + 1) * j) for j, c in enumerate(coefficients)) / step
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

    assert pytest.approx(math.sqrt(2) * limit, rel=1e-12) == coefficients[degree // 4]
    assert pytest.approx(0, abs=1e-6) == sum(map(abs, coefficients)) - coefficients[degree // 4]


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


@pytest.fixture(params=BITS, ids=lambda degree: f"N={degree}")
def degree(request):
    return request.param


def test_seal_has_this_prime_this_root_and_this_order(degree):
    from secagg.schemes.seal import SealRing

    ring, seal = ring_of(degree), SealRing(degree, BITS[degree])
    values = reference.public_values(PUBLIC, 1, ring)

    assert (seal.prime, seal.root) == (ring.moduli[0], reference.root(degree, seal.prime))
    assert reference.public_element(PUBLIC, 1, ring) == seal.intt(np.array([values]))[0].tolist()


def test_seal_decrypts_what_the_reference_encrypts(degree):
    from secagg.schemes import seal, seal_file

    api, context = seal_file.sealapi(), seal.context_of(degree, (BITS[degree],))
    ring, theirs = ring_of(degree), seal.SealRing(degree, BITS[degree])
    generated = api.KeyGenerator(context).secret_key()
    prime, key = (
        theirs.prime,
        np.frombuffer(seal_file.body(seal_file.dump_seal(generated))[-8 * degree :], "<i8"),
    )
    secret = [(c + prime // 2) % prime - prime // 2 for c in theirs.intt(key[None])[0].tolist()]
    lanes, step = drawn(degree, 1000), 2.0**20
    sent = reference.encrypt(
        reference.embed(lanes, int(step)),
        secret,
        public=PUBLIC,
        noise=[0] * degree,
        block=0,
        ring=ring,
    )
    minus_a = [prime - value for value in reference.public_values(PUBLIC, 0, ring)]
    pair = np.stack([theirs.ntt(np.array([sent]))[0], minus_a])
    plain = api.Plaintext()
    api.Decryptor(context, generated).decrypt(theirs.ciphertext(pair, scale=step), plain)
    slots = api.CKKSEncoder(context).decode_complex(plain)

    assert {-1, 0, 1} == set(secret)
    # SEAL's slot i is the value at zeta^(3^i): at our point, or at its conjugate
    for i, slot in enumerate(slots):
        point = pow(3, i, 2 * degree)
        k, conjugate = (
            (point // 4, False) if point % 4 == 1 else (degree // 2 - point // 4 - 1, True)
        )
        expected = complex(lanes[2 * k], lanes[2 * k + 1])

        assert abs(slot - (expected.conjugate() if conjugate else expected)) < 1e-2
