from __future__ import annotations

import numpy as np
import pytest

from secagg.errors import LocalProtocolError
from secagg.schemes.additive.blocks import AT_ONCE
from secagg.schemes.additive.lattice import product, reference
from secagg.schemes.additive.lattice.product import (
    DEGREE,
    LARGE,
    SMALL,
    Factor,
    Multiplier,
    PublicElements,
    rounding_slack,
)
from secagg.schemes.additive.sampling import small_secret
from tests.schemes.additive.lattice.rounds import PUBLIC, stream

UNIT = 2.0**-53
MODULI = (SMALL, LARGE)


def secrets(count: int) -> np.ndarray:
    return sum(small_secret(DEGREE, stream(i)) for i in range(count))


def distance(computed, exact, modulus):
    """Largest |difference| modulo Q."""
    pairs = zip(computed, exact, strict=True)
    return max(abs((int(c) - e + modulus // 2) % modulus - modulus // 2) for c, e in pairs)


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("count", [1, 2, 10, 2047])
def test_the_product_is_that_of_the_big_integers(modulus, count):
    factor = secrets(count)
    multiplier = Multiplier(PublicElements(PUBLIC, modulus), Factor(factor, modulus))
    for block, computed in enumerate(multiplier.product(5, 2), 5):
        public = reference.public_element(PUBLIC, block, DEGREE, modulus)

        assert 0 == distance(computed, reference.multiply(public, factor.tolist()), modulus)


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("largest", [16, 16 * 2047])
@pytest.mark.parametrize("pattern", ["constant", "alternating", "random"])
def test_the_product_is_exact_at_the_extremes(monkeypatch, modulus, largest, pattern):
    rng = np.random.default_rng(0)
    signs = {
        "constant": np.ones(DEGREE, np.int64),
        "alternating": 1 - 2 * (np.arange(DEGREE) & 1),
        "random": rng.choice([-1, 1], DEGREE),
    }[pattern]
    part = -signs * (2**31 if modulus == SMALL else 2**19)

    def elements(self, first, out):
        out.view(np.float64)[...] = part

    monkeypatch.setattr(Multiplier, "_elements", elements)
    factor = largest * signs
    public = part if modulus == SMALL else part + (part << 20)
    exact = reference.multiply(public.tolist(), factor.tolist())
    multiplier = Multiplier(PublicElements(PUBLIC, modulus), Factor(factor, modulus))

    assert 0 == distance(multiplier.product(0, 1)[0], exact, modulus)


def test_one_secret_takes_one_digit_and_a_long_one_more():
    assert 1 == len(Factor(secrets(1), SMALL).transforms)
    assert 1 < len(Factor(16 * np.ones(DEGREE, np.int64), SMALL).transforms)
    assert 1 == len(Factor(16 * np.ones(DEGREE, np.int64), LARGE).transforms)


@pytest.mark.parametrize("included", [10, 100, 1000, 2047])
def test_slack_saves_the_digits_of_a_sum_and_is_kept(included):
    total, slack = secrets(included), rounding_slack(SMALL, included)
    factor = Factor(total, SMALL, slack=slack)
    computed = Multiplier(PublicElements(PUBLIC, SMALL), factor).product(0, 2)

    assert 1 == len(factor.transforms) < len(Factor(total, SMALL).transforms)
    for block, row in enumerate(computed):
        public = reference.public_element(PUBLIC, block, DEGREE, SMALL)

        assert distance(row, reference.multiply(public, total.tolist()), SMALL) <= slack


def test_a_longer_sum_than_honest_ones_does_not_get_slack_but_digits():
    total = np.full(DEGREE, 16 * 100)
    factor = Factor(total, SMALL, slack=rounding_slack(SMALL, 100))
    computed = Multiplier(PublicElements(PUBLIC, SMALL), factor).product(0, 1)[0]
    public = reference.public_element(PUBLIC, 0, DEGREE, SMALL)

    assert 1 < len(factor.transforms)
    assert 0 == distance(computed, reference.multiply(public, total.tolist()), SMALL)


def test_rounding_is_zero_where_the_proof_says_exact():
    assert 0 == rounding_slack(SMALL, 1)
    assert (
        0
        < rounding_slack(SMALL, 10)
        <= rounding_slack(SMALL, 100)
        <= rounding_slack(SMALL, 2047)
        < 20
    )
    assert 0 == rounding_slack(LARGE, 2047)


@pytest.mark.parametrize("modulus", MODULI)
def test_blocks_are_the_same_in_any_batch_and_from_the_cache(monkeypatch, modulus):
    factor = Factor(secrets(1), modulus)
    batch = Multiplier(PublicElements(PUBLIC, modulus), factor).product(3, AT_ONCE).copy()
    elements = PublicElements(PUBLIC, modulus, cached=3 + AT_ONCE - 1)
    multiplier = Multiplier(elements, factor)
    one_by_one = [multiplier.product(3 + i, 1)[0].copy() for i in reversed(range(AT_ONCE))]
    monkeypatch.delattr(Multiplier, "_elements")
    again = Multiplier(elements, factor).product(3, AT_ONCE - 1)

    np.testing.assert_array_equal(batch, one_by_one[::-1])
    np.testing.assert_array_equal(batch[:-1], again)
    with pytest.raises(AttributeError):
        multiplier.product(3 + AT_ONCE - 1, 1)  # beyond the cache
    with pytest.raises(AttributeError):
        multiplier.product(0, 4)  # not all filled


@pytest.mark.parametrize("modulus", MODULI)
def test_public_elements_differ_from_block_to_block_and_with_what_they_follow_from(modulus):
    factor = Factor(np.eye(1, DEGREE, dtype=np.int64)[0], modulus)
    first, second = Multiplier(PublicElements(PUBLIC, modulus), factor).product(0, 2).copy()
    other = Multiplier(PublicElements(PUBLIC[::-1], modulus), factor).product(0, 1)[0]

    assert np.count_nonzero(first == second) <= 2
    assert np.count_nonzero(first == other) <= 2


@pytest.mark.parametrize("modulus", MODULI)
def test_public_elements_are_uniform(modulus):
    numbers = np.array(
        [reference.public_element(PUBLIC, block, DEGREE, modulus) for block in range(8)]
    ).reshape(-1)
    counts, _ = np.histogram(numbers, 16, (-modulus // 2, modulus // 2))
    expected = len(numbers) / 16

    assert -modulus // 2 <= numbers.min() < numbers.max() < modulus // 2
    # chi-square with 15 degrees of freedom is above 52 once in 2^17 draws
    assert sum((counts - expected) ** 2 / expected) < 52
    assert np.linalg.norm(numbers[:DEGREE].astype(float)) < 30 * modulus / 2


@pytest.mark.parametrize(
    ("coefficients", "slack"),
    [
        (np.zeros(DEGREE - 1, np.int64), 0),
        (np.full(DEGREE, 2**20), 0),
        (np.full(DEGREE, -(2**20)), 0),
        (np.zeros(DEGREE, np.int64), 65),
        (np.zeros(DEGREE, np.int64), -1),
    ],
)
def test_factor_refuses(coefficients, slack):
    with pytest.raises(LocalProtocolError, match="a factor has"):
        Factor(coefficients, SMALL, slack=slack)


def test_digits_are_balanced_and_give_the_number_back():
    numbers = np.arange(-(2**15), 2**15 + 1)
    digits = product._balanced(numbers, 6, 3)

    np.testing.assert_array_equal(numbers, sum(digit << 6 * k for k, digit in enumerate(digits)))
    assert -32 == digits[0].min() == digits[1].min()
    assert 31 == digits[0].max() == digits[1].max()
    assert 8 == abs(digits[2]).max()


# What the proof of `product` takes for granted, against arithmetic of more bits where there is one.
extended = pytest.mark.skipif(
    np.finfo(np.longdouble).eps > 2.0**-60, reason="long double is double on this machine"
)


def _roots(order: int) -> np.ndarray:
    pi = np.longdouble("3.14159265358979323846264338327950288")
    angles = np.arange(order) * (2 * pi / order)
    return np.cos(angles) + 1j * np.sin(angles)


@extended
def test_the_twist_is_as_accurate_as_the_proof_says():
    off = abs(product._twist() - _roots(2 * DEGREE)[: DEGREE // 2])

    assert off.max() <= 1.9 * UNIT


@extended
def test_roots_of_unity_inside_the_transform_are_as_accurate_as_the_proof_says():
    half = DEGREE // 2
    rows = np.arange(0, half, 3)
    outputs = np.fft.fft(np.eye(half, dtype=np.complex128)[rows])
    exact = _roots(half).conj()[np.outer(rows, np.arange(half)) % half]

    assert abs(outputs - exact).max() <= 10 * (5**0.5 + 6) * UNIT


@extended
def test_a_transform_is_as_accurate_as_the_proof_says():
    half = DEGREE // 2
    rng = np.random.default_rng(0)
    numbers = rng.integers(-(2**31), 2**31, (4, DEGREE)).astype(np.float64).view(np.complex128)
    for transform in (np.fft.fft, np.fft.ifft):
        fine = transform(numbers.astype(np.clongdouble))
        off = transform(numbers) - fine

        assert fine.dtype == np.clongdouble
        assert (np.linalg.norm(off, axis=1) / np.linalg.norm(fine, axis=1)).max() <= 92.4 * UNIT
        assert abs(off).max() > 0

    assert half == len(fine[0])
