"""Products of public elements, of power-of-two and prime moduli, against Python integers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secagg.errors import LocalProtocolError
from secagg.schemes.additive import elements, polynomials, product
from secagg.schemes.additive.blocks import AT_ONCE
from secagg.schemes.additive.ckks import RINGS
from secagg.schemes.additive.elements import (
    PIECE_BITS,
    ElementStream,
    PolynomialRing,
    PublicElements,
)
from secagg.schemes.additive.lattice import MODULI
from secagg.schemes.additive.product import (
    Factor,
    Multiplier,
    product_error,
    rounding_slack,
)
from secagg.schemes.additive.sampling import small_secret
from tests.schemes.additive.lattice.rounds import PUBLIC, stream

UNIT = 2.0**-53
SMALL, LARGE = (PolynomialRing(2048, modulus) for modulus in MODULI)
PRIMES = tuple(PolynomialRing(row.degree, row.prime) for row in RINGS)
ALL = (SMALL, LARGE, *PRIMES)
EACH = pytest.mark.parametrize("ring", ALL, ids=["2^32", "2^40", "40 bits", "60 bits"])
DEGREES = pytest.mark.parametrize("degree", [2048, 4096])


def secrets(ring: PolynomialRing, count: int) -> np.ndarray:
    return sum(small_secret(ring.degree, stream(i)) for i in range(count))


def public_element(ring: PolynomialRing, block: int, public: bytes = PUBLIC) -> list[int]:
    return polynomials.public_element(public, block, ring.degree, ring.modulus)


def multiplier(ring: PolynomialRing, factor: np.ndarray, slack: int = 0) -> Multiplier:
    return Multiplier(PublicElements(PUBLIC, ring), Factor(factor, ring, slack=slack))


def distance(computed, exact, modulus):
    """Largest |difference| modulo Q."""
    pairs = zip(computed, exact, strict=True)
    return max(abs((int(c) - e + modulus // 2) % modulus - modulus // 2) for c, e in pairs)


# -- products --------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("count", [1, 2, 10, 2047])
def test_the_product_is_that_of_the_big_integers(ring, count):
    factor = secrets(ring, count)
    for block, computed in enumerate(multiplier(ring, factor).product(5, 2), 5):
        exact = polynomials.multiply(public_element(ring, block), factor.tolist())

        assert 0 == distance(computed, exact, ring.modulus)


@EACH
@pytest.mark.parametrize("largest", [16, 16 * 2047, 2**20 - 1])
@pytest.mark.parametrize("pattern", ["constant", "alternating", "random"])
def test_the_product_is_exact_at_the_extremes(monkeypatch, ring, largest, pattern):
    """Of pieces that are all as large as they can be, and of factors that no honest sum reaches."""
    rng = np.random.default_rng(0)
    signs = {
        "constant": np.ones(ring.degree, np.int64),
        "alternating": 1 - 2 * (np.arange(ring.degree) & 1),
        "random": rng.choice([-1, 1], ring.degree),
    }[pattern]
    if ring.pieces == 1:
        pieces = -signs[np.newaxis] * 2**31
    else:
        pieces = np.tile((signs == -1) * (2**PIECE_BITS - 1), (ring.pieces, 1))

    def write(self, first, out):
        out[...] = pieces

    monkeypatch.setattr(ElementStream, "write", write)
    factor = largest * signs
    public = [
        sum(piece << PIECE_BITS * k for k, piece in enumerate(each)) for each in pieces.T.tolist()
    ]
    exact = polynomials.multiply(public, factor.tolist())

    assert 0 == distance(multiplier(ring, factor).product(0, 1)[0], exact, ring.modulus)


@pytest.mark.parametrize("ring", PRIMES, ids=["40 bits", "60 bits"])
def test_a_product_with_ones_own_key_is_reduced(ring):
    """`residues.store` relies on it: with a message of less than 0.4 p it is within (0, 2 p)."""
    worst = np.full(ring.degree, 16)
    for factor in (secrets(ring, 1), worst):
        for computed in multiplier(ring, factor).product(0, 4):
            assert 0.4 * ring.modulus < computed.min() < computed.max() < 1.6 * ring.modulus


# -- digits and slack ------------------------------------------------------------------------------


def test_one_secret_takes_one_digit_and_a_long_one_more():
    for ring in ALL:
        assert 1 == len(Factor(secrets(ring, 1), ring).transforms)
        assert 1 < len(Factor(np.full(ring.degree, 16 * 2047), ring).transforms)
    for ring in ALL[1:]:
        assert 1 == len(Factor(secrets(ring, 2047), ring).transforms)
    assert 1 < len(Factor(np.full(2048, 16), SMALL).transforms)


def test_pieces_are_exact_up_to_the_norms_that_the_proof_gives():
    """One digit below, more above: the bound is where the text of `product` has it."""
    for ring, norm in ((SMALL, 218), (LARGE, 296_000), (PRIMES[0], 296_000), (PRIMES[1], 190_000)):
        reached = 0.5 / (product_error(ring.degree) * ring.norm)

        assert pytest.approx(norm, rel=0.005) == reached
        for whole, digits in ((math.floor, 1), (math.ceil, 2)):
            factor = np.zeros(ring.degree, np.int64)
            factor[:2] = whole(reached / math.sqrt(2))

            assert digits == len(Factor(factor, ring).transforms)


@pytest.mark.parametrize("included", [10, 100, 1000, 2047])
def test_slack_saves_the_digits_of_a_sum_and_is_kept(included):
    total, slack = secrets(SMALL, included), rounding_slack(SMALL, included)
    computed = multiplier(SMALL, total, slack).product(0, 2)
    factors = Factor(total, SMALL, slack=slack), Factor(total, SMALL)

    assert 1 == len(factors[0].transforms) < len(factors[1].transforms)
    for block, row in enumerate(computed):
        exact = polynomials.multiply(public_element(SMALL, block), total.tolist())

        assert distance(row, exact, SMALL.modulus) <= slack


def test_a_longer_sum_than_honest_ones_does_not_get_slack_but_digits():
    total = np.full(2048, 16 * 100)
    slack = rounding_slack(SMALL, 100)
    computed = multiplier(SMALL, total, slack).product(0, 1)[0]
    exact = polynomials.multiply(public_element(SMALL, 0), total.tolist())

    assert 1 < len(Factor(total, SMALL, slack=slack).transforms)
    assert 0 == distance(computed, exact, SMALL.modulus)


def test_rounding_is_zero_where_the_proof_says_exact():
    slacks = [rounding_slack(SMALL, included) for included in (1, 10, 100, 2047)]

    assert 0 == slacks[0] < slacks[1] <= slacks[2] <= slacks[3] < 20
    for ring in ALL[1:]:
        assert 0 == rounding_slack(ring, 2047)


@EACH
@pytest.mark.parametrize(
    ("change", "slack"),
    [
        (lambda zeros: zeros[1:], 0),
        (lambda zeros: zeros + 2**20, 0),
        (lambda zeros: zeros - 2**20, 0),
        (lambda zeros: zeros, 65),
        (lambda zeros: zeros, -1),
    ],
)
def test_factor_refuses(ring, change, slack):
    with pytest.raises(LocalProtocolError, match="a factor has"):
        Factor(change(np.zeros(ring.degree, np.int64)), ring, slack=slack)


def test_digits_are_balanced_and_give_the_number_back():
    numbers = np.arange(-(2**15), 2**15 + 1)
    digits = product._balanced(numbers, 6, 3)

    np.testing.assert_array_equal(numbers, sum(digit << 6 * k for k, digit in enumerate(digits)))
    assert -32 == digits[0].min() == digits[1].min()
    assert 31 == digits[0].max() == digits[1].max()
    assert 8 == abs(digits[2]).max()


# -- public elements -------------------------------------------------------------------------------


def numbers_of(ring: PolynomialRing, first: int, blocks: int) -> list[list[int]]:
    """Modulo Q, from their pieces."""
    pieces = np.empty((blocks, ring.pieces, ring.degree))
    ElementStream(PublicElements(PUBLIC, ring), AT_ONCE).write(first, pieces)
    whole = pieces.astype(np.int64).astype(object)
    return (sum(whole[:, k] << PIECE_BITS * k for k in range(ring.pieces)) % ring.modulus).tolist()


@pytest.mark.parametrize(
    ("ring", "block"), [(SMALL, 3), (LARGE, 4), (PRIMES[0], REJECTED := 15_998), (PRIMES[1], 7)]
)
def test_public_elements_are_those_of_the_reference(ring, block):
    """Block `REJECTED` is the first under this key with a number that is no residue."""
    expected = [public_element(ring, number) for number in range(block - 2, block + 2)]

    assert expected == numbers_of(ring, block - 2, 4)
    assert all(0 <= number < ring.modulus for row in expected for number in row)


@pytest.mark.parametrize("ring", PRIMES, ids=["40 bits", "60 bits"])
@pytest.mark.parametrize("beyond", [0, 1])
def test_numbers_that_are_no_residues_are_replaced_as_in_the_reference(monkeypatch, ring, beyond):
    size, wrong = (5, 8)[ring.bits > 40], ring.modulus + beyond
    rng, count = np.random.default_rng(0), ring.degree + 16
    blocks = rng.integers(0, ring.modulus, (3, count))
    blocks[:2, [0, 5, ring.degree - 1, ring.degree, ring.degree + 3]] = wrong
    raw = [
        block.astype("<u4").tobytes() + (block >> 32).astype(np.uint8).tobytes()
        if size == 5
        else (block.astype(np.uint64) | np.uint64(5 << 60)).astype("<u8").tobytes()
        for block in blocks
    ]
    words = [np.frombuffer(each, "<u8") for each in raw]

    def chunk(self, handle, wanted):
        assert 3 * len(words[0]) == wanted == 3 * ring.words
        return np.concatenate(words)

    monkeypatch.setattr(elements.Keystream, "chunk", chunk)
    found = numbers_of(ring, 9, 3)
    for row, block in zip(found, words, strict=True):
        monkeypatch.setattr(polynomials, "keystream", lambda *_, block=block: block)

        assert public_element(ring, 9) == row
    spare = blocks[0, ring.degree :].tolist()
    assert [spare[1], spare[2], spare[4]] == [found[0][at] for at in (0, 5, ring.degree - 1)]
    assert blocks[2, : ring.degree].tolist() == found[2]


def test_the_largest_residue_is_not_replaced(monkeypatch):
    for ring in PRIMES:
        largest = np.full(ring.degree + 16, ring.modulus - 1)
        raw = largest.astype("<u8").tobytes()
        if ring.bits == 40:
            raw = largest.astype("<u4").tobytes() + (largest >> 32).astype(np.uint8).tobytes()
        monkeypatch.setattr(
            elements.Keystream, "chunk", lambda *_, raw=raw: np.frombuffer(raw, "<u8").copy()
        )

        assert {ring.modulus - 1} == set(numbers_of(ring, 0, 1)[0])


@EACH
def test_blocks_are_the_same_in_any_batch_and_from_the_cache(monkeypatch, ring):
    factor = Factor(secrets(ring, 1), ring)
    batch = Multiplier(PublicElements(PUBLIC, ring), factor).product(3, AT_ONCE).copy()
    public = PublicElements(PUBLIC, ring, cached=3 + AT_ONCE - 1)
    single = Multiplier(public, factor)
    one_by_one = [single.product(3 + i, 1)[0].copy() for i in reversed(range(AT_ONCE))]
    monkeypatch.delattr(ElementStream, "write")
    again = Multiplier(public, factor).product(3, AT_ONCE - 1)

    np.testing.assert_array_equal(batch, one_by_one[::-1])
    np.testing.assert_array_equal(batch[:-1], again)
    with pytest.raises(AttributeError):
        single.product(3 + AT_ONCE - 1, 1)  # beyond the cache
    with pytest.raises(AttributeError):
        single.product(0, 4)  # not all filled


@EACH
def test_public_elements_differ_from_block_to_block_and_with_what_they_follow_from(ring):
    first, second = (public_element(ring, block) for block in (0, 1))
    other = public_element(ring, 0, PUBLIC[::-1])

    assert sum(a == b for a, b in zip(first, second, strict=True)) <= 2
    assert sum(a == b for a, b in zip(first, other, strict=True)) <= 2


@EACH
def test_public_elements_are_uniform(ring):
    numbers = np.array([public_element(ring, block) for block in range(8)], float).reshape(-1)
    counts, _ = np.histogram(numbers, 16, (0, ring.modulus))
    expected = len(numbers) / 16

    # chi-square with 15 degrees of freedom is above 52 once in 2^17 draws
    assert sum((counts - expected) ** 2 / expected) < 52


@EACH
def test_no_piece_is_longer_than_the_proof_says(ring):
    pieces = np.empty((8, ring.pieces, ring.degree))
    ElementStream(PublicElements(PUBLIC, ring), 8).write(0, pieces)

    assert np.linalg.norm(pieces, axis=2).max() < ring.norm
    if ring.pieces > 1:
        assert 0 <= pieces.min() < pieces.max() < 2**PIECE_BITS
        assert math.sqrt(ring.degree) * 2**PIECE_BITS == ring.norm


# -- what the proof takes for granted, against arithmetic of more bits where there is one ----------

extended = pytest.mark.skipif(
    np.finfo(np.longdouble).eps > 2.0**-60, reason="long double is double on this machine"
)


def _roots(order: int) -> np.ndarray:
    pi = np.longdouble("3.14159265358979323846264338327950288")
    angles = np.arange(order) * (2 * pi / order)
    return np.cos(angles) + 1j * np.sin(angles)


@extended
@DEGREES
def test_the_twist_is_as_accurate_as_the_proof_says(degree):
    off = abs(product.twist(degree) - _roots(2 * degree)[: degree // 2])

    assert off.max() <= 1.9 * UNIT


@extended
@DEGREES
def test_roots_of_unity_inside_the_transform_are_as_accurate_as_the_proof_says(degree):
    half = degree // 2
    rows = np.arange(0, half, degree // 683)
    outputs = np.fft.fft(np.eye(half, dtype=np.complex128)[rows])
    exact = _roots(half).conj()[np.outer(rows, np.arange(half)) % half]

    assert abs(outputs - exact).max() <= math.log2(half) * (5**0.5 + 6) * UNIT


@extended
@DEGREES
def test_a_transform_is_as_accurate_as_the_proof_says(degree):
    rng = np.random.default_rng(0)
    numbers = rng.integers(-(2**31), 2**31, (4, degree)).astype(np.float64).view(np.complex128)
    most = 9.24 * math.log2(degree // 2) * UNIT
    for transform in (np.fft.fft, np.fft.ifft):
        fine = transform(numbers.astype(np.clongdouble))
        off = transform(numbers) - fine

        assert fine.dtype == np.clongdouble
        assert (np.linalg.norm(off, axis=1) / np.linalg.norm(fine, axis=1)).max() <= most
        assert abs(off).max() > 0


@DEGREES
def test_errors_add_up_to_less_than_the_stated_one(degree):
    levels = math.log2(degree // 2)
    each = [1 + 9.24 * levels * UNIT] * 3 + [1 + (5**0.5 + 6) * UNIT] * 3 + [1 + 5**0.5 * UNIT]

    assert math.fsum(number - 1 for number in each) < 0.96 * product_error(degree)
    assert {2048: 320, 4096: 352}[degree] * UNIT == product_error(degree)
